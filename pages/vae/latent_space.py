"""Latent space: move one unit of z and see what the decoder makes of it."""

from __future__ import annotations

import time

import numpy as np
import streamlit as st

from core.pictures.images import difference
from core.vae.explorer import VAEExplorer
from core.vae.gaussian import DiagonalGaussianDistribution
from core.vae.model import VAE
from pages.shared import controls, figures, loaders, picking
from pages.shared.figures import Provenance
from pages.shared.picking import Start
from pages.shared.text import _, coloured, formula, head, mechanism, number, plain_errors

LIMIT = 4.0
IN_VIEW = 8
SLIDER_HEIGHT = 560
TRAVERSAL = np.linspace(-3, 3, 13)


def key(unit: int) -> str:
    """Key of a unit's slider; units are counted from 1, as on the page."""
    return f"latent_z{unit + 1}"


def rounded(z: np.ndarray) -> np.ndarray:
    """z as sliders can show it; a class without pictures has no mean and is set to 0."""
    return np.round(np.nan_to_num(z.astype(np.float64)), 2) + 0.0


def reach(z: np.ndarray) -> float:
    """How far the sliders go either way: 4, or as far as the start lies."""
    return max(LIMIT, float(np.ceil(np.abs(z).max())))


def set_sliders(values: np.ndarray, limit: float) -> None:
    for unit, value in enumerate(np.clip(rounded(values), -limit, limit)):
        st.session_state[key(unit)] = float(value)


def follow_start(start: Start) -> None:
    """Sliders move to a newly chosen start; those of a link just opened are left alone."""
    before = st.session_state.get("latent_start")
    if before is not None and before != start.identity:
        set_sliders(start.z, reach(start.z))
    st.session_state["latent_start"] = start.identity


def sliders(explorer: VAEExplorer, start: Start) -> np.ndarray:
    """z as the sliders say: units in order of KL, the strongest in view, the rest folded.

    A slider that was not moved stands for the start's own value, without rounding.
    """
    resting, limit = rounded(start.z), reach(start.z)
    z = start.z.copy()

    def one(unit: int) -> None:
        label = f"z{unit + 1} · KL {number(float(explorer.kl_per_unit[unit]), 2)}"
        value = controls.real(label, -limit, limit, float(resting[unit]), key(unit), step=0.01)
        if value != resting[unit]:
            z[unit] = value

    for unit in explorer.order[:IN_VIEW]:
        one(int(unit))
    rest = explorer.order[IN_VIEW:]
    with st.expander(_("The other {count} units").format(count=len(rest))):
        for unit in rest:
            one(int(unit))
    return z


def set_from(explorer: VAEExplorer, start: Start) -> None:
    """Buttons that move all sliders at once."""
    classes, limit = list(explorer.class_names), reach(start.z)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = controls.option(_("Class"), controls.same(classes), "latent_class", width=110)
        st.button(
            _("Set z to the mean of this class"),
            key="latent_to_class",
            on_click=lambda: set_sliders(explorer.profiles.mean[classes.index(chosen)], limit),
        )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        seed = controls.seed("latent_dice")
        st.button(
            _("Set z to this random draw"),
            key="latent_to_draw",
            on_click=lambda: set_sliders(explorer.prior(seed)[0], limit),
        )
    if start.picture is not None:
        st.button(
            _("Set z to a draw from q(z|x) with this seed"),
            key="latent_to_posterior",
            on_click=lambda: set_sliders(explorer.posterior_draw(start.picture, seed), limit),
            width="stretch",
        )
    st.button(
        _("Back to the start"),
        key="latent_reset",
        icon=":material/restart_alt:",
        on_click=lambda: set_sliders(start.z, limit),
        width="stretch",
    )


@st.fragment
def exploration(name: str, start: Start) -> None:
    """Sliders and pictures: the part that runs again when a slider moves."""
    with plain_errors():
        explore(name, start)


def explore(name: str, start: Start) -> None:
    explorer = loaders.vae(name)
    shown, handles = st.columns([3, 2], gap="large")
    with handles:
        with st.container(height=SLIDER_HEIGHT):
            z = sliders(explorer, start)
        set_from(explorer, start)
    with shown:
        begun = time.perf_counter()
        before, now = explorer.decode(np.stack([start.z, z]))
        seconds = time.perf_counter() - begun
        changed = difference(now, before)
        tiles = [
            (before, _("start"), _("What the decoder makes of the start")),
            (now, _("now"), _("What the decoder makes of z as the sliders say")),
            (changed, _("now − start"), _("Difference of the two; grey where nothing changed")),
        ]
        if start.picture is not None:
            tiles.insert(0, (start.picture, _("the picture"), _("The picture that was encoded")))
        figures.pairs(tiles)
        length, step = st.columns(2, wrap=False)
        length.metric(
            _("Length of z"),
            number(float(np.linalg.norm(z)), 2),
            help=_("A draw from the prior has a length near √{d} = {root}.").format(
                d=explorer.latent_dim, root=number(explorer.latent_dim**0.5)
            ),
        )
        step.metric(
            _("Change of the picture"),
            number(float(np.abs(now.astype(int) - before).mean()), 1),
            help=_("Mean absolute difference from the start, in grey levels of 255."),
        )
        settings = {_("start"): start.words}
        figures.caption(Provenance(explorer.bundle, True, seconds, settings))
        figures.downloads(
            "latent_now",
            png=lambda: figures.grid(np.stack([pixels for pixels, *_words in tiles]), len(tiles)),
            rows=lambda: [
                {
                    "unit": u + 1,
                    "z_start": float(start.z[u]),
                    "z": float(z[u]),
                    "kl_nats": float(explorer.kl_per_unit[u]),
                }
                for u in range(explorer.latent_dim)
            ],
        )
    traversal(explorer, z)


def traversal(explorer: VAEExplorer, z: np.ndarray) -> None:
    st.subheader(_("One unit from end to end"), anchor=False)
    units = [int(unit) for unit in explorer.order]
    chosen = controls.option(
        _("Unit"),
        controls.same(unit + 1 for unit in units),
        "latent_unit",
        help=_("In order of KL: the first says most about the picture."),
    )
    unit = int(chosen) - 1
    begun = time.perf_counter()
    pictures = explorer.traverse(z, unit, TRAVERSAL)
    seconds = time.perf_counter() - begun
    nearest = int(np.abs(TRAVERSAL - z[unit]).argmin())
    sheet = figures.strip(
        pictures,
        [number(float(value), 1) for value in TRAVERSAL],
        marked=nearest,
        alt=_("The picture with unit {unit} from −3 to 3, all others as they are").format(
            unit=unit + 1
        ),
    )
    settings = {_("unit"): unit + 1, "KL": number(float(explorer.kl_per_unit[unit]), 2)}
    figures.caption(Provenance(explorer.bundle, True, seconds, settings))
    st.caption(_("The frame marks the value nearest to where the unit stands now."))
    figures.downloads(
        "latent_traversal",
        png=lambda: sheet,
        gif=lambda: figures.enlarge(pictures, 8),
        rows=lambda: [
            {"unit": unit + 1, "value": float(value), "mean_grey": float(shown.mean())}
            for value, shown in zip(TRAVERSAL, pictures, strict=True)
        ],
    )


def main() -> None:
    head(
        _("Latent space"),
        _(
            "A VAE writes a picture as a few dozen numbers. **Move one of them and see what it "
            "stands for**: some turn the whole picture light or dark, some bend the digit, and "
            "some hardly change a thing."
        ),
    )
    with plain_errors():
        name = controls.bundle_name("vae", "latent_bundle")
        explorer = loaders.vae(name)
        start = picking.start("latent", explorer, with_prior=True, default="maker", first=12)
        if start is None:
            st.info(_("Choose a picture to start from."))
        else:
            follow_start(start)
            exploration(name, start)
        mechanism(
            _(
                "The encoder reads a picture and answers with a mean and a variance for every "
                "latent unit; the decoder draws a picture from any point z. The sliders start at "
                "the encoder's mean and are in order of their **KL**: what a unit costs in nats, on "
                "average over the test digits, and so at most what it tells about a picture. "
                "Units with a KL near 0 are hardly used: the decoder has learnt to ignore them.\n\n"
                "Decoded pictures are soft. The model pays for every pixel that it misses, so "
                "where it is not sure it paints the average of what could be there."
            )
        )
        x, z = coloured("x"), coloured("z")
        formula(
            [
                rf"{z} \sim q_\phi({z} \mid {x}) = \mathcal N\big(\mu_\phi({x}),\ "
                rf"\operatorname{{diag}}\sigma^2_\phi({x})\big),\qquad "
                rf"{z} = \mu_\phi({x}) + \sigma_\phi({x})\,{coloured('eps')}",
                rf"{coloured('x_hat')} = \mu_\theta({z}),\qquad "
                rf"p_\theta({x} \mid {z}) = \mathcal N\big(\mu_\theta({z}),\ I\big)",
            ],
            _("Kingma & Welling 2014, *Auto-Encoding Variational Bayes*, sections 2.4 and 3."),
            VAE.encode,
            DiagonalGaussianDistribution.sample,
            VAE.decode,
            VAEExplorer.traverse,
        )

"""Latent space: move one unit of z and see what the decoder makes of it."""

from __future__ import annotations

import time

import numpy as np
import streamlit as st

from core.pictures.images import Pictures, difference
from core.vae.explorer import VAEExplorer
from core.vae.gaussian import DiagonalGaussianDistribution
from core.vae.model import VAE
from pages.browser import desk
from pages.shared import controls, figures, library, links, loaders, picking, shape
from pages.shared.figures import Provenance
from pages.shared.picking import Start
from pages.shared.text import (
    N_,
    _,
    coloured,
    formula,
    head,
    literal,
    mechanism,
    number,
    plain_errors,
)
from pages.vae.parts import generated
from pages.vae.parts.readers import CLEARLY, readouts_of

NONE_IDLE = N_(
    "A unit with a KL near 0 would be hardly used. Here there is none: the least is {least} nats."
)
SOME_IDLE = N_(
    "Here {idle} of {units} units are hardly used, with a KL near 0: the decoder has learnt to ignore them."
)
MEAN, OF_PRIOR = N_("the mean of a class"), N_("a draw from p(z)")
"""Places of z that a click leads to."""
LIMIT = 4.0
IN_VIEW = 8
TRAVERSAL = np.linspace(-3, 3, 13)
DESK = "latent_desk"


def key(unit: int) -> str:
    """Key of a unit's value; units are counted from 1, as on the page."""
    return f"latent_z{unit + 1}"


def rounded(z: np.ndarray) -> np.ndarray:
    """z as sliders can show it; a class without pictures has no mean and is set to 0."""
    return np.round(np.nan_to_num(z.astype(np.float64)), 2) + 0.0


def reach(z: np.ndarray) -> float:
    """How far the sliders go either way: 4, or as far as the start lies."""
    return max(LIMIT, float(np.ceil(np.abs(z).max())))


def within(z: np.ndarray, limit: float) -> np.ndarray:
    """z as sliders that go so far either way can show it."""
    return np.clip(rounded(z), -limit, limit)


def set_values(values: np.ndarray, limit: float) -> None:
    for unit, value in enumerate(within(values, limit)):
        st.session_state[key(unit)] = float(value)


def follow_start(start: Start) -> None:
    """Sliders move to a newly chosen start; those of a link just opened are left alone."""
    before = st.session_state.get("latent_start")
    if before is not None and before != start.identity:
        set_values(start.z, reach(start.z))
    st.session_state["latent_start"] = start.identity


def values_now(start: Start) -> np.ndarray:
    """The value of every slider (d,): of the visit, of the link, or where the start rests."""
    resting, limit = rounded(start.z), reach(start.z)
    values = [
        links.restore_real(key(unit), f"z{unit + 1}", -limit, limit, float(rest))
        for unit, rest in enumerate(resting)
    ]
    links.keep_numbers(
        {key(unit): (value, float(resting[unit])) for unit, value in enumerate(values)}
    )
    return np.array(values)


def point(start: Start, values: np.ndarray) -> np.ndarray:
    """z (d,) as the sliders say: one that was not moved stands for the start's own value, unrounded."""
    return np.where(values == rounded(start.z), start.z, values).astype(start.z.dtype)


def take(explorer: VAEExplorer, limit: float) -> None:
    """What the desk says when the hand lets go; what no desk of this page would say is left out."""
    z, unit = desk.values_and_unit(DESK)
    try:
        z = np.asarray(z, dtype=np.float64)
    except (TypeError, ValueError):
        return
    if z.shape == (explorer.latent_dim,) and np.isfinite(z).all():
        set_values(z, limit)
    if type(unit) is int and 0 <= unit < explorer.latent_dim:
        st.session_state["latent_unit"] = unit + 1


def places(
    explorer: VAEExplorer, start: Start, seed: int
) -> tuple[list[tuple[str, desk.Places]], desk.Places]:
    """Where a click can bring the sliders: means of classes and generated digits, draws with this seed."""
    limit = reach(start.z)

    def slider_values(z: np.ndarray) -> list[float]:
        return within(z, limit).tolist()

    means = zip(explorer.class_names, explorer.profiles.mean, strict=True)
    menus = [(_(MEAN), [(name, slider_values(mean)) for name, mean in means])]
    if digits := generated_digits(explorer):
        menus.append(
            (_("a generated digit"), [(name, slider_values(z)) for name, z in digits.items()])
        )
    draws = [(_(OF_PRIOR), slider_values(explorer.prior(seed)[0]))]
    if start.picture is not None:
        z = explorer.posterior_draw(start.picture, seed)
        draws.append((_("a draw from q(z|x)"), slider_values(z)))
    return menus, draws


def generated_digits(explorer: VAEExplorer) -> dict[str, np.ndarray]:
    """z (d,) of a generated picture of every digit, by digit; empty where no bundle keeps such pictures."""
    made, of = generated.digits()
    if not made:
        return {}
    pictures = np.stack(list(made.values()))
    z = library.timed_answer(
        "generated_digits",
        8,
        (explorer.bundle.digest, of.digest),
        lambda: explorer.encode(pictures).mean,
    )
    return dict(zip(made, z.value, strict=True))


@shape.fragment
def exploration(name: str, start: Start, seed: int) -> None:
    """The desk and what is said of it: the part that runs again when a hand lets go."""
    with plain_errors():
        explore(name, start, seed)


def explore(name: str, start: Start, seed: int) -> None:
    explorer = loaders.vae(name)
    values = values_now(start)
    units = [int(unit) + 1 for unit in explorer.order]
    unit = links.restore_number("latent_unit", _("Unit"), units, units[0])
    links.keep_number("latent_unit", unit, units[0])
    z = point(start, values)
    begun = time.perf_counter()
    before, now = explorer.decode(np.stack([start.z, z]))
    strip = explorer.traverse(z, unit - 1, TRAVERSAL)
    seconds = time.perf_counter() - begun
    menus, draws = places(explorer, start, seed)
    desk.show(
        DESK,
        explorer.bundle,
        desk.Units(explorer.order, explorer.kl_per_unit, IN_VIEW),
        desk.Start(start.z, rounded(start.z).tolist(), before, start.picture),
        desk.Stand(values.tolist(), unit - 1, now, strip),
        limit=reach(start.z),
        stops=TRAVERSAL.tolist(),
        menus=menus,
        draws=draws,
        taken=lambda: take(explorer, reach(start.z)),
    )
    if word := of_mean(explorer, values, reach(start.z)):
        st.markdown(word)
    picture, from_end_to_end = st.columns(2, gap="large")
    with picture:
        st.markdown(_("**The picture now**"))
        show_provenance(explorer, start, z, (before, now), seconds)
    with from_end_to_end:
        title = _("z{unit} from end to end").format(unit=unit)
        st.markdown(f"**{title}**")
        show_strip_provenance(explorer, unit - 1, z, strip, seconds)
    measures(explorer, z, before, now)


def of_mean(explorer: VAEExplorer, values: np.ndarray, limit: float) -> str:
    """Why the mean of a class shows no digit: where the sliders stand at one, and no linear classifier on z
    tells the classes apart.
    """
    found = readouts_of(explorer.bundle)
    if found is None or found["linear"] - found["most_common"] >= CLEARLY:
        return ""
    means = zip(explorer.class_names, explorer.profiles.mean, strict=True)
    name = next((name for name, z in means if np.array_equal(values, within(z, limit))), None)
    if name is None:
        return ""
    return _(
        "This is the mean of class {name}, **a grey smudge**: in it digits of one class cancel, light on dark "
        "against dark on light for example (see *Latent profiles*). For a digit of a class take a generated "
        "one."
    ).format(name=literal(name))


def measures(explorer: VAEExplorer, z: np.ndarray, before: Pictures, now: Pictures) -> None:
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


def show_provenance(
    explorer: VAEExplorer,
    start: Start,
    z: np.ndarray,
    decoded: tuple[Pictures, Pictures],
    seconds: float,
) -> None:
    """Where the pictures come from, and the pictures as files."""
    before, now = decoded
    tiles = [before, now, difference(now, before)]
    if start.picture is not None:
        tiles.insert(0, start.picture)
    figures.about(
        Provenance(explorer.bundle, True, seconds, {_("start"): start.words}),
        "latent_now",
        png=lambda: figures.grid(np.stack(tiles), len(tiles)),
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


def show_strip_provenance(
    explorer: VAEExplorer, unit: int, z: np.ndarray, strip: Pictures, seconds: float
) -> None:
    """The same of one unit from end to end."""
    kl = number(float(explorer.kl_per_unit[unit]), 2)
    figures.about(
        Provenance(explorer.bundle, True, seconds, {_("unit"): unit + 1, "KL": kl}),
        "latent_traversal",
        png=lambda: figures.grid(figures.enlarge(strip, 4), len(strip), gap=4),
        gif=lambda: figures.enlarge(strip, 8),
        rows=lambda: [
            {"unit": unit + 1, "value": float(value), "mean_grey": float(shown.mean())}
            for value, shown in zip(TRAVERSAL, strip, strict=True)
        ],
    )


def idle_words(explorer: VAEExplorer) -> str:
    """Whether there are units that the decoder ignores."""
    units, idle = explorer.latent_dim, explorer.latent_dim - int(explorer.active.sum())
    if idle == 0:
        return _(NONE_IDLE).format(least=number(float(explorer.kl_per_unit.min()), 2))
    return _(SOME_IDLE).format(idle=idle, units=units)


def how_it_works(explorer: VAEExplorer) -> None:
    mechanism(
        _(
            "The encoder reads a picture and answers with a mean and a variance for every "
            "latent unit; the decoder draws a picture from any point z. The sliders start at "
            "the encoder's mean, in order of their **KL**: what a unit costs in nats, on average "
            "over the test digits, which is also the most that it can tell about a picture. {idle}\n\n"
            "Decoded pictures are blurred. The model pays for every pixel that it gets wrong, so "
            "where it is unsure it paints the average of what could be there."
        ).format(idle=idle_words(explorer))
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
        place = st.container()  # the first screen is the desk's; what it starts from stands below
        name = controls.bundle_name("vae", "latent_bundle")
        explorer = loaders.vae(name)
        folded = _("Another picture, seed of the draws")
        with st.expander(folded, icon=":material/image_search:"):
            start = picking.start("latent", explorer, with_prior=True, default="maker")
            seed = controls.seed("latent_dice")
        with place:
            if start is None:
                st.info(_(picking.WANTED))
            else:
                follow_start(start)
                exploration(name, start, seed)
        how_it_works(explorer)
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

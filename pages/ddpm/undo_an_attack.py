"""Undo an attack: a change that fools the digit classifier, and noise that hides it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from core.ddpm.explorer import DDPMExplorer, Restoration, SamplerSettings
from core.ddpm.restoration import wilson
from core.judge.adversarial import fgsm, loss_gradient, pgd
from core.judge.explorer import Attack, JudgeExplorer, Verdicts
from core.pictures.images import Pictures
from pages.browser import film
from pages.browser.timeline import timeline
from pages.shared import controls, figures, loaders, picking, shape
from pages.shared.colours import GREY, SYMBOL_COLOURS
from pages.shared.figures import Provenance
from pages.shared.picking import PickedPicture
from pages.shared.text import (
    N_,
    _,
    coloured,
    formula,
    head,
    mechanism,
    number,
    percent,
    plain_errors,
)

ONE_EXAMPLE = N_("One example; draws with seeds {first} to {last} in order, none selected.")
OF_THE_TEST_SET = N_(
    "Of {count} attacked test digits the classifier reads {back} correctly at the best t′ (further down)."
)

ATTACKS: dict[Attack, str] = {"pgd": "PGD", "fgsm": "FGSM"}
WAY = SamplerSettings("ddim", 50)
DRAWS = 4
SHARES = (0.02, 0.06, 0.1, 0.14, 0.2, 0.32, 0.5, 0.6)
"""Levels of purification that are tried, as shares of T: up to where most digits are lost, at few levels, as a
high one takes many calls of the network."""
LOUDER = 8
"""The change of the picture is shown this many times as strong."""
COLOURS = {
    "clean": GREY,
    "fgsm": SYMBOL_COLOURS["eps"],
    "pgd": SYMBOL_COLOURS["z"],
}
PURIFIED = N_(
    "Without purification the classifier is right about {clean} of these {count} clean digits, "
    "{fgsm} of those attacked by FGSM and {pgd} of those attacked by PGD; shaded: "
    "Wilson intervals (90%). Best against PGD is "
    "t′ = {t}: the classifier is right about {back} of the attacked digits and {price} of the "
    "clean ones. Too little noise leaves the attack, too much loses the digit."
)
STILL_READ = N_("The classifier still reads {digit}: try a larger change, or PGD.")
CURVES = {"clean": N_("clean pictures"), "fgsm": "FGSM", "pgd": "PGD"}


def main() -> None:
    """One picture attacked and purified, then the figures of the test set."""
    head(
        _("Undo an attack"),
        _(
            "A change that is hardly visible makes a digit classifier read **another digit**. Noise hides the "
            "change, and denoising takes the noise away. Move t′: where is the digit back, and where is it "
            "lost?"
        ),
    )
    with plain_errors():
        with st.expander(_("Another picture, another attack"), icon=":material/tune:"):
            left, right = st.columns([3, 2], gap="large")
            with right:
                explorer = loaders.ddpm(controls.bundle_name("ddpm", "purify_bundle"))
                attack = read_settings()
            with left:
                one = picking.picture("attack", explorer.bundle, default="maker")
        if one is None:
            st.info(_(picking.WANTED))
        else:
            one_picture(explorer, one, attack)
        over_test_set(explorer)
        explain()


@dataclass(frozen=True)
class AttackSettings:
    """The attack that a visitor wants, but for its size: that one is under the hand."""

    kind: Attack
    steps: int
    seed: int


def read_settings() -> AttackSettings:
    kind = controls.choice(_("Attack"), ATTACKS, "purify_attack")
    steps = controls.whole(_("Steps of PGD"), 1, 40, 10, "purify_steps") if kind == "pgd" else 1
    return AttackSettings(kind, steps, controls.seed("purify_seed"))


# ---------------------------------------------------------------- one picture


def louder(picture: Pictures, attacked: Pictures) -> Pictures:
    """The change around mid-grey, ``LOUDER`` times as strong."""
    change = attacked.astype(int) - picture.astype(int)
    return (128 + LOUDER * change).clip(0, 255).astype(np.uint8)


@shape.fragment
def one_picture(explorer: DDPMExplorer, one: PickedPicture, attack: AttackSettings) -> None:
    """Attack, purify, judge: runs again by itself."""
    with plain_errors():
        judge, kind, seed = loaders.judge(), attack.kind, attack.seed
        # What moves stands above the size of the attack, on the first screen.
        films = st.container()
        levels = controls.whole(_("Largest change (grey levels of 255)"), 0, 32, 8, "purify_levels")
        clean = loaders.verdicts(one.picture[None])
        label = int(clean.digit[0])
        attacked = loaders.attack(
            one.picture, label, kind, levels=levels, steps=attack.steps, seed=seed
        )
        fooled = loaders.verdicts(attacked[None])
        names = judge.class_names
        wanted = [max(0, round(share * explorer.T) - 1) for share in SHARES]
        stops = [int(level) + 1 for level in explorer.nearest_levels(WAY, wanted)]
        with films:
            t = timeline("t′", stops, "purify_t", default=stops[len(stops) // 2])
        cells = [
            film.Cell(
                film.still(one.picture),
                answer(names, clean.digit[0], clean.confidence[0]),
                _("The picture"),
            ),
            film.Cell(
                film.still(louder(one.picture, attacked)),
                _("the change, {times} times as strong").format(times=LOUDER),
                _("The change that the attack makes"),
                sign="+",
            ),
            film.Cell(
                film.still(attacked),
                answer(names, fooled.digit[0], fooled.confidence[0]),
                _("The attacked picture"),
                sign="=",
            ),
        ]
        with films:
            film.show("attack_film", "purify_t", [film.Row(cells, widest=figures.ROW)])
        settings = {
            _("picture"): one.words,
            _("attack"): f"{ATTACKS[kind]} {levels}/255",
            _("seed"): seed,
        }
        if fooled.digit[0] == label:
            st.markdown(_(STILL_READ).format(digit=names[label]))
        back = loaders.restoration(
            explorer.bundle.name, WAY, attacked[None], [stop - 1 for stop in stops], DRAWS, seed
        )
        seen = loaders.verdicts(back.now[0])  # (L, D)
        way = _("{sampler}, {steps} steps").format(sampler="DDIM", steps=WAY.steps)
        with films:
            show_denoised(judge, back, seen, label)
        st.caption(one_example(explorer, seed))
        provenance = Provenance(
            explorer.bundle, True, back.seconds, settings | {_("sampler"): way}, [judge.bundle]
        )
        opened = figures.about(
            replace(provenance, settings=dict(provenance.settings) | {"t′": t}),
            "purified",
            png=lambda: figures.grid(back.now[0].reshape(-1, *back.now.shape[3:]), DRAWS),
        )
        tiles = np.stack([one.picture, louder(one.picture, attacked), attacked])
        with opened:
            figures.downloads("attacked", png=lambda: figures.grid(tiles, len(tiles)))
        share_of_draws(judge, stops, seen, label, provenance)


def one_example(explorer: DDPMExplorer, seed: int) -> str:
    """That draws were not selected, and what becomes of many pictures, where the bundle says so."""
    words = _(ONE_EXAMPLE).format(first=seed, last=seed + DRAWS - 1)
    stored = explorer.bundle.metrics.get("judged", {}).get("purification")
    if stored is None:
        return words
    many = _(OF_THE_TEST_SET).format(
        count=number(stored["pictures"], 0),
        back=percent(float(explorer.bundle.profiles["purified_pgd"].max())),
    )
    return f"{words} {many}"


def answer(names: tuple[str, ...], digit: int, p: float) -> str:
    return _("read as {digit}, p = {p}").format(digit=names[digit], p=number(float(p), 2))


def show_denoised(judge: JudgeExplorer, back: Restoration, seen: Verdicts, label: int) -> None:
    """What comes back from t', draw by draw, under the hand."""
    sources = film.several(np.moveaxis(back.now[0], 1, 0))
    cells = [
        film.Cell(
            source,
            [
                f"{'✓' if digit == label else '✗'} {judge.class_names[digit]} · {percent(float(p))}"
                for digit, p in zip(seen.digit[:, draw], seen.confidence[:, draw], strict=True)
            ],
            _("Draw {number} of the attacked picture, noised to {t} and denoised").format(
                number=draw + 1, t=film.STOP
            ),
        )
        for draw, source in enumerate(sources)
    ]
    words = _("What came back, draw by draw")
    film.show("purify_film", "purify_t", [film.Row(cells, words=words, widest=figures.ROW)])


def share_of_draws(
    judge: JudgeExplorer, stops: list[int], seen: Verdicts, label: int, provenance: Provenance
) -> None:
    """How many draws are read as before the attack, by level."""
    t, right = np.array(stops), (seen.digit == label).mean(axis=1)
    low, high = wilson(right, DRAWS)
    figure = go.Figure()
    interval = _("Wilson interval (90%)")
    figure.add_trace(figures.band(t, low, high, SYMBOL_COLOURS["x_hat"], interval))
    figure.add_trace(
        figures.line(
            t,
            right,
            _("draws read as before"),
            SYMBOL_COLOURS["x_hat"],
            markers=True,
        )
    )
    figure.update_xaxes(title="t′")
    figure.update_yaxes(range=[-0.03, 1.03], tickformat=".0%", title=_("draws read as before"))
    rows = [
        {
            "t": int(level),
            "draw": draw + 1,
            "digit": int(seen.digit[i, draw]),
            "p": float(seen.confidence[i, draw]),
            "as_before": int(seen.digit[i, draw] == label),
        }
        for i, level in enumerate(t)
        for draw in range(DRAWS)
    ]
    figures.chart(
        figure,
        "purified_curve",
        _("Share of purified draws that the classifier reads as before the attack, against t′"),
        provenance,
        lambda: rows,
        height=320,
    )
    share = controls.real(
        _("Undone means at least this share of draws"), 0.25, 1.0, 0.75, "purify_share", step=0.25
    )
    good = t[right >= share]
    words = (
        _("At least {share} of the draws are read as {digit} again at t′ = {levels}.")
        if len(good)
        else _("At no level are at least {share} of the draws read as {digit} again.")
    )
    st.markdown(
        words.format(
            share=percent(share),
            digit=judge.class_names[label],
            levels=", ".join(str(one) for one in good),
        )
    )


# ---------------------------------------------------------------- the test set


def over_test_set(explorer: DDPMExplorer) -> None:
    """Accuracy clean, attacked and purified, stored with the bundle."""
    st.subheader(_("Over the test digits"), anchor=False)
    judged = explorer.bundle.metrics.get("judged", {})
    if "purification" not in judged:
        st.info(_("This bundle holds no figures of purification: choose another model."))
        return
    stored, arrays = judged["purification"], explorer.bundle.profiles
    t = np.concatenate([[0], arrays["purified_levels"] + 1])
    figure = go.Figure()
    for kind, title in CURVES.items():
        right = arrays[f"purified_{kind}"]
        figure.add_trace(figures.band(t, *wilson(right, stored["pictures"]), COLOURS[kind]))
        figure.add_trace(figures.line(t, right, _(title), COLOURS[kind], markers=True))
    figure.update_xaxes(title=_("t′ of the purification; 0: none"))
    figure.update_yaxes(
        title=_("accuracy of the classifier"), range=[-0.03, 1.03], tickformat=".0%"
    )
    figures.chart(
        figure,
        "purified_test_set",
        _(
            "Accuracy of the classifier on clean and attacked test digits against t′ of purification"
        ),
        Provenance(
            explorer.bundle,
            live=False,
            settings={
                _("over"): _("{count} test pictures").format(count=stored["pictures"]),
                _("attack"): f"{stored['grey_levels']}/255, PGD {stored['pgd_steps']}",
                _("sampler"): _("{sampler}, {steps} steps").format(
                    sampler="DDIM", steps=stored["steps"]
                ),
            },
        ),
        lambda: [
            {"t": int(level), **{kind: float(arrays[f"purified_{kind}"][i]) for kind in CURVES}}
            for i, level in enumerate(t)
        ],
    )
    best = int(arrays["purified_pgd"].argmax())
    st.markdown(
        _(PURIFIED).format(
            clean=percent(stored["accuracy_clean"], 1),
            count=number(stored["pictures"], 0),
            fgsm=percent(stored["accuracy_fgsm"], 1),
            pgd=percent(stored["accuracy_pgd"], 1),
            t=number(int(t[best]), 0),
            back=percent(float(arrays["purified_pgd"][best]), 1),
            price=percent(float(arrays["purified_clean"][best]), 1),
        )
    )
    st.warning(
        _(
            "The attacker here does **not know** of the purification. One who does, and attacks "
            "classifier and denoising together, succeeds far more often (Athalye, Carlini & Wagner "
            "2018; Lee & Kim 2023): these curves show an effect, not a defence."
        )
    )


def explain() -> None:
    mechanism(
        _(
            "The attack adds to every value the small step that raises the classifier's loss most: each "
            "is hardly visible, together they all push the same way. From some t′ on the noise is "
            "larger than the step, and it has no direction: it drowns the change and, as long as "
            "t′ is small, not the digit. The way back then ends at a picture that the diffusion model finds "
            "likely, and the attacked one is not. **Purification is the same experiment as t\\*, "
            "with a picture that was changed on purpose**: it works between the level that hides "
            "the attack and the level that loses the digit."
        )
    )
    x, eps = coloured("x", "x_0"), coloured("eps", r"\epsilon")
    formula(
        [
            rf"\text{{FGSM: }} x' = {x} + {eps}\ \mathrm{{sign}}\,\nabla_{{x}}\,L(f({x}), y)",
            rf"\text{{PGD: }} x'_{{k+1}} = \Pi_{{\|x'-{x}\|_\infty \le {eps}}}\big(x'_k + a\ "
            r"\mathrm{sign}\,\nabla_x L(f(x'_k), y)\big)",
        ],
        _(
            "Goodfellow, Shlens & Szegedy 2015; Madry et al. 2018; Nie et al. 2022, *DiffPure*, "
            "for the purification."
        ),
        loss_gradient,
        fgsm,
        pgd,
    )

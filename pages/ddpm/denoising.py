"""Denoising: from noise to a picture, by whichever sampler, live, and the whole way to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import streamlit as st

from core.bundles.bundle import Bundle
from core.ddpm.explorer import DDPMExplorer, SamplerSettings, Trajectory
from core.ddpm.model import DDPM
from core.ddpm.samplers import ddim, dpm_solver, p_sample_loop
from core.ddpm.schedule import NoiseSchedule
from core.pictures.images import Pictures
from pages.browser import film, networks
from pages.browser.timeline import timeline
from pages.ddpm.parts import compared
from pages.shared import controls, figures, library, links, live, loaders, shape
from pages.shared.figures import Provenance
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

SAMPLERS = {"ddim": "DDIM", "dpm": "DPM-Solver++", "ddpm": "DDPM"}
COUNTS = (1, 4, 16)
OWN = "own"
"""The seed is the visitor's, and not one that was chosen."""
CHOSEN_WITH = SamplerSettings("ddim", 50)
"""How the samples were made from which the seeds were chosen."""
OWN_STEPS = 20
"""Steps at first where the seed is the visitor's own: four pictures at once have to come soon."""
STEPS_BEGAN = "denoise_steps_began"
"""In the visit: what the number of steps began with."""
STALE = "denoise_stale"
"""In the visit: which result it saw last."""
COMPUTED_BY = {"server": N_("The server"), "browser": N_("Your browser")}
GRID = N_("Pictures made from noise")
STEP_ALTS = {
    "ends": N_("Where the step from level {t} ends"),
    "fresh": N_("The fresh noise that is added at level {t}"),
    "correction": N_("The correction from the step before at level {t}"),
    "mean of DDPM": N_("In the step of DDPM: the mean, level {t}"),
    "fresh of DDPM": N_("In the step of DDPM: the fresh noise, level {t}"),
    "end of DDPM": N_("Where the step of DDPM from level {t} ends"),
}
OF_DDPM = N_("One step of DDPM (p_sample), t → t−1")
NONE_PREDICTED = N_("none is predicted at t = 0")
CHOSEN = N_(
    "**Chosen**: of the first {count} seeds, the one whose picture a digit classifier reads as this "
    "digit most surely."
)
CHOSEN_WITH_ANOTHER = N_(
    "**Chosen** among {count} seeds with {chosen_with}. With {sampler} it may become another digit, or "
    "none."
)
UNKNOWN_TO_BROWSERS = N_("This architecture is not made for browsers: the server computes.")
CHANGED = N_(
    "You have changed the settings: press the button. Below: the previous result, for the "
    "old settings."
)
NO_WEBASSEMBLY = N_("This browser runs no WebAssembly: let the server compute.")
ALTS = {
    "x_t": N_("The noisy picture at level {t}"),
    "eps_hat": N_("The noise that the network predicts at level {t}"),
    "x0_hat": N_("The clean picture that the network predicts at level {t}"),
}
AS_THEY_COME = N_("The noisy pictures, and below them what the network predicts of them")
"""Alt text of the pictures while they are computed; ``ALTS`` afterwards."""
BROWSER_STEPS = 50
# Ways of at most so many network calls times pictures are gone without being asked: about 0.3 s.
AT_ONCE = 100
COLUMNS = {1: 1, 4: 4, 16: 8}

SUM_WIDTH = 560


# ---------------------------------------------------------------- what is asked for


def endings(bundle: Bundle) -> dict[str, int]:
    """Seeds that were chosen because their picture shows a digit, by that digit; the surest first."""
    stored = bundle.metrics.get("way", {})
    rows = zip(*(stored.get(key, ()) for key in ("confidence", "digit", "seeds")), strict=False)
    chosen = sorted(
        (-sure, str(digit), seed)
        for place, (sure, digit, seed) in enumerate(rows)
        if digit == place  # else no sample was read as this digit
    )
    return {digit: seed for _sure, digit, seed in chosen}


def noise(bundle: Bundle) -> int | None:
    """The seed of noise that ends in a digit, or None: the visitor's own."""
    chosen = endings(bundle)
    if not chosen:
        return None
    options = {**{digit: digit for digit in sorted(chosen)}, OWN: N_("any seed")}
    asks_for_a_seed = links.values("denoise_seed") or links.values("denoise_count")
    default = OWN if asks_for_a_seed else next(iter(chosen))
    label = _("Noise chosen for the digit")
    code = controls.choice(label, options, "denoise_noise", default=default)
    return chosen.get(code)


def steps_asked(chosen: bool) -> int:
    """How many steps, 2 to 100: at first as many as the ``chosen`` noise was chosen with, else 20."""
    state, default = st.session_state, CHOSEN_WITH.steps if chosen else OWN_STEPS
    before, state[STEPS_BEGAN] = state.get(STEPS_BEGAN, default), default
    if default != before == state.get("denoise_steps"):  # the visitor has left it as it was
        state["denoise_steps"] = default
    return controls.whole(_("Steps"), 2, 100, default, "denoise_steps")


def why_this_noise(bundle: Bundle, way: SamplerSettings, T: int) -> str:
    """In one sentence how the noise was chosen; with another sampler, that this may not hold for it."""
    of = number(bundle.metrics["way"]["of"], 0)
    if way == CHOSEN_WITH:
        return _(CHOSEN).format(count=of)
    return _(CHOSEN_WITH_ANOTHER).format(
        count=of, chosen_with=words_of(CHOSEN_WITH, T), sampler=words_of(way, T)
    )


def unchosen(bundle: Bundle) -> str:
    """How well the model does with seeds that nobody chose."""
    words = _("Take *any seed* to see what the model makes of seeds that are not chosen.")
    sure = bundle.metrics.get("judged", {}).get("samples", {}).get("sure")
    if sure is None:
        return words
    return f"{words} " + _("The classifier is sure of {share} of their pictures.").format(
        share=percent(sure)
    )


def asked(chosen: int | None) -> tuple[str, SamplerSettings, list[int]]:
    """Whose machine computes, sampler, steps, eta, and seeds of the pictures: ``chosen``, if it is one."""
    left, right = st.columns(2, gap="large")
    with left:
        by = controls.choice(_("Computed by"), COMPUTED_BY, "denoise_by")
        if by == "browser":
            st.caption(
                _(
                    "One picture, by DDIM with η = 0 in at most {steps} steps. The network comes to "
                    "your browser, some 9 MB the first time, and the server rests."
                ).format(steps=BROWSER_STEPS)
            )
            sampler, count = "ddim", 1
        else:
            sampler, count = controls.choice(_("Sampler"), SAMPLERS, "denoise_sampler"), 1
            if chosen is None:
                count = controls.stop(_("Pictures at once"), COUNTS, 4, "denoise_count")
        steps, eta, clip = None, 0.0, False
        if sampler == "ddpm":
            st.caption(
                _("DDPM takes every one of the T steps, with fresh noise in each but the last.")
            )
        else:
            steps = steps_asked(chosen is not None)
        if by == "browser":
            steps = min(steps, BROWSER_STEPS)
        elif sampler == "ddim":
            eta = controls.real(
                "η",
                0.0,
                1.0,
                0.0,
                "denoise_eta",
                help=_(
                    "0: deterministic, the start decides everything. 1: as much fresh noise as DDPM."
                ),
            )
        if sampler == "dpm":
            st.caption(
                _("A second-order solver of the same path without noise as DDIM with η = 0.")
            )
    with right:
        seed = controls.seed("denoise_seed") if chosen is None else chosen
        if by == "server":
            clip = controls.switch(
                _("Clip x̂₀ to [−1, 1]"),
                "denoise_clip",
                help=_("Values outside are no colours. Off in every comparison of this app."),
            )
    settings = SamplerSettings(sampler, steps, eta, clip)
    return by, settings, [seed + index for index in range(count)]


def words_of(way: SamplerSettings, T: int) -> str:
    """The way in a few words, for captions."""
    if way.sampler == "ddpm":
        return _("DDPM, {steps} steps").format(steps=number(T, 0))
    eta = f", η = {number(way.eta, 2)}" if way.sampler == "ddim" else ""
    return (
        _("{sampler}, {steps} steps").format(sampler=SAMPLERS[way.sampler], steps=way.steps) + eta
    )


# ---------------------------------------------------------------- going the way


def newest(path: Trajectory) -> int:
    """The noisy pictures as they are now, and what the network sees in them; how many bytes travel."""
    frame = path.newest
    count = len(frame.x_t)
    if count == 1:  # as large as they will stand when the work is done
        pictures, columns, width = [frame.x_t, frame.eps_hat, frame.x0_hat], 3, figures.WIDE
    else:
        pictures, columns, width = [frame.x_t, frame.x0_hat], min(count, 8), 560
    return figures.live_sheet(
        np.concatenate(pictures),
        columns=columns,
        alt=_(AS_THEY_COME),
        width=width,
    )


# ---------------------------------------------------------------- the way, looked at


def results(explorer: DDPMExplorer, path: Trajectory, way: SamplerSettings, seed: int) -> None:
    """The pictures at the end."""
    st.subheader(_("The result"), anchor=False)
    count = path.x_t.shape[1]
    made = path.result
    sheet = figures.sheet(
        made,
        "denoised",
        columns=COLUMNS[count],
        alt=_(GRID),
        width="stretch" if count > 1 else 320,
    )
    figures.about(
        provenance(explorer, path.seconds, way, seed, count),
        "denoised",
        png=lambda: sheet,
        gif=lambda: figures.enlarge(
            np.stack([figures.grid(frame, COLUMNS[count]) for frame in path.x_t]), 4
        ),
    )


def provenance(
    explorer: DDPMExplorer,
    seconds: float | None,
    way: SamplerSettings,
    seed: int,
    count: int,
    **more: object,
) -> Provenance:
    settings = {
        _("sampler"): words_of(way, explorer.T),
        _("seeds"): seed if count == 1 else f"{seed} – {seed + count - 1}",
        _("clipped"): _("yes") if way.clip_x0 else _("no"),
        **more,
    }
    return Provenance(explorer.bundle, True, seconds, settings)


def along(explorer: DDPMExplorer, path: Trajectory, way: SamplerSettings, seed: int) -> None:
    """The timeline of a way that the server went: runs again by itself."""
    with plain_errors():
        count = path.x_t.shape[1]
        index = 0
        if count > 1:
            index = controls.whole(_("Which picture"), 1, count, 1, "denoise_which") - 1
        parts = {"x_t": path.x_t, "eps_hat": path.eps_hat, "x0_hat": path.x0_hat}
        sources = {part: film.levels(frames[:, index]) for part, frames in parts.items()}
        if path.finished:  # at t = 0 no noise is predicted
            noise_at = [*range(len(path.t) - 1), None]
            sources["eps_hat"] = film.levels(path.eps_hat[:, index], places=noise_at)
        step = step_of_server(path, index, sources, way)
        ancestral = step_of_ddpm(path, index)
        t = show_way(sources, [int(t) + 1 for t in path.t], step, ancestral)
        change = along_rows(path, index)
        figures.about(
            provenance(explorer, path.seconds, way, seed + index, 1, t=t),
            "denoising_way",
            png=lambda: figures.grid(
                np.concatenate([frames[:, index] for frames in parts.values()]), len(path.t)
            ),
            gif=lambda: figures.enlarge(
                np.concatenate([path.x_t[:, index], path.x0_hat[:, index]], axis=2), 6
            ),
            rows=lambda: change,
        )
        what_comes_first()


def what_comes_first() -> None:
    st.markdown(
        _(
            "Follow the predicted x₀: at high t it is an average of all pictures, blurred and "
            "grey; colour and light and dark come first, edges and texture last."
        )
    )


def step_of_server(
    path: Trajectory,
    index: int,
    sources: Mapping[str, film.Source],
    way: SamplerSettings,
) -> list[film.Cell]:
    """The step from every level of a way, as a sum of pictures: nothing at the last, where none begins."""
    moves = path.moves
    if not moves:  # another visitor watches this way begin
        return []
    places = [*range(len(moves)), None]
    ends = film.levels(np.stack([move.x_s[index] for move in moves]), places=places)
    added = None
    if way.sampler == "dpm" or any(move.sigma for move in moves):
        added = film.levels(np.stack([move.added[index] for move in moves]), places=places)
    terms = [(move.of_x_t, move.of_eps, move.sigma) for move in moves]
    return step_as_sum(sources, ends, added, terms, correction=way.sampler == "dpm")


def step_of_ddpm(path: Trajectory, index: int) -> list[film.Cell]:
    """What p_sample makes of x_t at every level: mean and fresh noise; nothing where DDPM is the sampler."""
    steps = path.ancestral
    if not steps:
        return []
    places = [*range(len(steps)), None]

    def source(pictures: Sequence[Pictures]) -> film.Source:
        return film.levels(np.stack([each[index] for each in pictures]), places=places)

    means, noises = _("mean: {a} · xₜ − {b} · predicted noise"), _("fresh noise")
    return [
        film.Cell(
            source([step.mean for step in steps]),
            [
                *(means.format(a=number(one.of_x_t, 3), b=number(one.of_eps, 3)) for one in steps),
                "",
            ],
            _(STEP_ALTS["mean of DDPM"]),
        ),
        film.Cell(
            source([step.fresh for step in steps]),
            [*(f"{number(step.sigma, 3)} · {noises}" for step in steps), ""],
            _(STEP_ALTS["fresh of DDPM"]),
            sign="+",
        ),
        film.Cell(
            source([step.x_s for step in steps]),
            "xₜ₋₁",
            _(STEP_ALTS["end of DDPM"]),
            sign="=",
        ),
    ]


def step_as_sum(
    sources: Mapping[str, film.Source],
    ends: film.Source,
    added: film.Source | None,
    terms: Sequence[tuple[float, float, float]],
    *,
    correction: bool = False,
) -> list[film.Cell]:
    """x_s = a x_t - b eps_hat + sigma xi, or + a solver's ``correction``, with the numbers of every level."""

    def times(values: Sequence[float], symbol: str) -> list[str]:
        return [*(f"{number(value, 3)} · {symbol}" for value in values), ""]

    of_x_t, of_eps, sigma = zip(*terms, strict=True)
    fresh = _(STEP_ALTS["fresh"])
    label = times(sigma, _("fresh noise"))
    if correction:
        fresh, label = _(STEP_ALTS["correction"]), _("correction")
    cells = [
        film.Cell(
            sources["x_t"], times(of_x_t, "xₜ"), _("In the step: the noisy picture, level {t}")
        ),
        film.Cell(
            sources["eps_hat"],
            times(of_eps, _("predicted noise")),
            _("In the step: the predicted noise, level {t}"),
            sign="−",
        ),
    ]
    if added is not None:
        cells.append(film.Cell(added, label, fresh, sign="+"))
    return [
        *cells,
        film.Cell(ends, _("one step on"), _(STEP_ALTS["ends"]), sign="="),
    ]


def show_way(
    sources: Mapping[str, film.Source],
    levels: Sequence[int],
    step: Sequence[film.Cell],
    ancestral: Sequence[film.Cell] = (),
) -> int:
    """The timeline of a way and the pictures that follow it; the level where it stands.

    ``ancestral``: the step that DDPM would take instead of the sampler's own.
    """
    t = timeline("t", levels, "denoise_t", default=levels[len(levels) * 3 // 5])
    now = [
        film.Cell(sources["x_t"], "xₜ", _(ALTS["x_t"])),
        film.Cell(
            sources["eps_hat"],
            [_("predicted noise") if level else _(NONE_PREDICTED) for level in levels],
            _(ALTS["eps_hat"]),
        ),
        film.Cell(
            sources["x0_hat"],
            _("predicted x₀"),
            _(ALTS["x0_hat"]),
        ),
    ]
    chosen = np.linspace(0, len(levels) - 1, min(9, len(levels))).round().astype(int).tolist()
    strips = [
        film.Row(
            [
                film.Cell(cell.source, str(levels[at]), cell.alt.format(t=levels[at]), at=at)
                for at in chosen
            ],
            "strip",
            cell.label,
        )
        for cell in ((now[2],) if shape.on_stage() else (now[0], now[2]))
    ]
    rows = [film.Row(now, widest=figures.WIDE), *strips]
    if not shape.on_stage():
        of_ddpm = _(OF_DDPM)
        sums = ((step, _("One step")), (ancestral, of_ddpm))
        rows[1:1] = [
            film.Row(cells, words=words, widest=SUM_WIDTH) for cells, words in sums if cells
        ]
    film.show("denoise_film", "denoise_t", rows)
    return t


def in_the_browser(
    explorer: DDPMExplorer, network: Mapping[str, str], way: SamplerSettings, seed: int
) -> None:
    """The way back of one picture, gone by the visitor's own machine: runs again by itself."""
    with plain_errors():
        grid = way.grid(explorer.T)
        alpha_bar = explorer.schedule.alpha_bar(grid).tolist()
        words = {
            "loading": _("The network is on its way to your browser."),
            "step": _("Your browser takes step {step} of {steps}."),
            "unable": _(NO_WEBASSEMBLY),
        }
        levels, says = grid[:-1].tolist(), explorer.config.prediction
        sources = film.way_back(network, explorer.begin(seed), levels, alpha_bar, says, words)
        moved = zip(
            *(term.tolist() for term in explorer.schedule.step_back(grid[:-1], grid[1:])),
            strict=True,
        )
        step = step_as_sum(sources, sources["x_s"], None, list(moved))
        t = show_way(sources, [level + 1 for level in grid.tolist()], step)
        figures.about(
            provenance(explorer, None, way, seed, 1, t=t),
            "denoise_film",
            png=lambda: at_level(explorer, way, seed, t),
        )
        what_comes_first()


WAYS_KEPT = 8


def at_level(explorer: DDPMExplorer, way: SamplerSettings, seed: int, t: int) -> Pictures:
    """What a browser shows at a level, computed here: x_t, the noise and the picture that are predicted."""

    def compute() -> Trajectory:
        *_steps, whole = explorer.denoise_steps(way, [seed])
        return whole

    request = (explorer.bundle.digest, way, seed)
    path = library.timed("denoised_for_browsers", WAYS_KEPT, request, compute).value
    place = [int(one) + 1 for one in path.t].index(t)
    parts = (path.x_t, path.eps_hat, path.x0_hat)
    return figures.grid(np.stack([part[place, 0] for part in parts]), len(parts))


def along_rows(path: Trajectory, index: int) -> list[dict]:
    """How far the predicted picture still is from the final one, by t."""
    final = path.result[index].astype(float)
    return [
        {
            "t": int(t) + 1,
            "rms_from_result": float(np.sqrt(np.square(path.x0_hat[i, index] - final).mean())),
            "mean_grey_x0_hat": float(path.x0_hat[i, index].mean()),
        }
        for i, t in enumerate(path.t)
    ]


# ---------------------------------------------------------------- the page


def main() -> None:
    head(
        _("Denoising"),
        _(
            "Start from pure noise and **let the network take it away**, step by step. Which "
            "sampler, how many steps, how much fresh noise on the way: see what each is worth."
        ),
    )
    with plain_errors():
        line = st.container(horizontal=True, vertical_alignment="bottom")
        reason = st.empty()
        with line, controls.popover(_("Model, sampler, seed")) as opened:
            name = controls.bundle_name("ddpm", "denoise_bundle")
        bundle = library.bundle(name)
        with line:
            chosen = noise(bundle)
        with opened, links.folded():
            by, way, seeds = asked(chosen)
        explorer = loaders.ddpm(name)
        network = networks.network(explorer.bundle, "unet") if by == "browser" else None
        if network is not None:
            shape.fragment(in_the_browser)(explorer, network, way, seeds[0])
        else:
            if by == "browser":
                st.info(_(UNKNOWN_TO_BROWSERS))
            on_the_server(name, explorer, way, seeds, line)
        if chosen is not None:
            reason.caption(why_this_noise(bundle, way, explorer.T))
            st.markdown(unchosen(bundle))
        with plain_errors():
            compared.show(name, explorer)
        explained()


def on_the_server(
    name: str,
    explorer: DDPMExplorer,
    way: SamplerSettings,
    seeds: list[int],
    line: st.delta_generator.DeltaGenerator,
) -> None:
    """The button, the way as it grows, and the way when it was gone."""
    calls = len(way.grid(explorer.T)) - 1
    words = (
        _("Denoise one picture in {calls} steps")
        if len(seeds) == 1
        else _("Denoise {count} pictures in {calls} steps")
    )
    with line:
        clicked = controls.act(
            words.format(count=len(seeds), calls=number(calls, 0)),
            "denoise_go",
            of=("denoised", "denoise_film", "denoising_way"),
            type="primary",
            icon=":material/play_arrow:",
        )
    # One place for the work and for its result: what grows stands where it will stay.
    place = st.container(key="denoise_place").empty()
    request = (explorer.bundle.digest, way, tuple(seeds))
    path = live.answer(
        request,
        lambda: explorer.denoise_steps(way, seeds, ancestral=True),
        "denoise",
        place,
        newest,
        wanted=clicked,
        seconds=calls * len(seeds) * loaders.seconds_a_picture(name),
        little=calls * len(seeds) <= AT_ONCE,
        replay=Trajectory.replay,
    )
    asks = links.wants_result("denoise", request)
    if path is not None:
        if path.finished:
            st.session_state[STALE] = request, name
        with place.container() if path.finished else st.container():
            shape.fragment(along)(explorer, path, way, seeds[0])
            results(explorer, path, way, seeds[0])
    elif not asks and (before := result_of_before()) is not None:
        with place.container():
            st.info(_(CHANGED))
            st.html("<style>.st-key-denoise_before { opacity: 0.45; }</style>")
            with st.container(key="denoise_before"):
                shape.fragment(along)(*before)
                results(*before)
    elif not asks:  # which has said so already
        place.info(_("This takes a moment: press the button."))


def result_of_before() -> tuple[DDPMExplorer, Trajectory, SamplerSettings, int] | None:
    """The result that this visit saw last, as long as it is kept for all visitors."""
    request, name = st.session_state.get(STALE, (None, ""))
    if request is None:
        return None
    _digest, way, seeds = request
    explorer = loaders.ddpm(name)
    little = (len(way.grid(explorer.T)) - 1) * len(seeds) <= AT_ONCE
    path = live.result("denoise", request, little=little)
    return None if path is None else (explorer, path, way, seeds[0])


def explained() -> None:
    mechanism(
        _(
            "The network never paints a picture. It is shown a noisy one and the level t, "
            "and guesses **the noise** (by way of v: see Diffusion training); taking the "
            "guess away gives the picture it believes in, the predicted x₀. No sampler "
            "trusts it at once: each takes a small step towards it.\n\n**DDPM** takes all T "
            "steps and adds fresh noise after each but the last, as the model says. **DDIM** "
            "skips levels and, with η = 0, adds none: the same noise always gives the same "
            "picture. **DPM-Solver++** follows the same curve with a second-order rule, so "
            "that 10 to 20 steps are enough."
        )
    )
    x, x_t = coloured("x_hat", r"\hat x_0"), coloured("x_t")
    eps = coloured("eps", rf"\varepsilon_\theta({coloured('x_t')}, t)")
    formula(
        [
            rf"{x} = \frac{{{x_t} - \sqrt{{1-\bar\alpha_t}}\,{eps}}}{{\sqrt{{\bar\alpha_t}}}}",
            r"\text{DDPM: } x_{t-1} = \frac{1}{\sqrt{\alpha_t}}\Big("
            rf"{x_t} - \frac{{\beta_t}}{{\sqrt{{1-\bar\alpha_t}}}}\,{eps}\Big)"
            r" + \sqrt{\tilde\beta_t}\,\xi,\qquad \xi \sim \mathcal N(0, I)",
            rf"\text{{DDIM: }} x_s = \sqrt{{\bar\alpha_s}}\,{x} + "
            rf"\sqrt{{1-\bar\alpha_s-\sigma^2}}\,{eps} + \sigma\,\xi,\qquad "
            r"\sigma^2 = \eta^2\,\frac{1-\bar\alpha_s}{1-\bar\alpha_t}"
            r"\Big(1-\frac{\bar\alpha_t}{\bar\alpha_s}\Big)",
        ],
        _(
            "Ho, Jain & Abbeel 2020, algorithm 2; Song, Meng & Ermon 2021, equation 12; Lu et al. "
            "2022, DPM-Solver++ (2M). A page counts t from 1 to T, code from 0."
        ),
        NoiseSchedule.p_sample,
        NoiseSchedule.p_mean,
        p_sample_loop,
        ddim,
        dpm_solver,
        DDPM.sample,
    )

"""A way from noise to a picture, looked at: level by level, its steps as sums of pictures, its result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import streamlit as st

from core.ddpm.explorer import DDPMExplorer, SamplerSettings, Trajectory
from core.pictures.images import Pictures
from pages.browser import film
from pages.browser.timeline import timeline
from pages.ddpm.parts.denoise_settings import words_of
from pages.shared import controls, figures, library, shape
from pages.shared.figures import Provenance
from pages.shared.text import N_, _, number, plain_errors

GRID = N_("Pictures made from noise")
STEP_ALTS = {
    "ends": N_("Where the step from level {t} ends"),
    "fresh": N_("The fresh noise that is added at level {t}"),
    "correction": N_("The correction from the step before at level {t}"),
    "mean of DDPM": N_("In the step of DDPM: the mean, level {t}"),
    "fresh of DDPM": N_("In the step of DDPM: the fresh noise, level {t}"),
    "end of DDPM": N_("Where the step of DDPM from level {t} ends"),
}
ALTS = {
    "x_t": N_("The noisy picture at level {t}"),
    "eps_hat": N_("The noise that the network predicts at level {t}"),
    "x0_hat": N_("The clean picture that the network predicts at level {t}"),
}
OF_DDPM = N_("One step of DDPM (p_sample), t → t−1")
NONE_PREDICTED = N_("none is predicted at t = 0")
NO_WEBASSEMBLY = N_("This browser runs no WebAssembly: let the server compute.")
COLUMNS = {1: 1, 4: 4, 16: 8}
SUM_WIDTH = 560
WAYS_KEPT = 8


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
            provenance(explorer, path.seconds, way, seed + index, 1, t=number(t, 0)),
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
    said = [number(levels[at], 0) for at in chosen]
    strips = [
        film.Row(
            [
                film.Cell(cell.source, at_stop, cell.alt.format(t=at_stop), at=at)
                for at, at_stop in zip(chosen, said, strict=True)
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
    """The way back of one picture, computed by the visitor's own machine: runs again by itself."""
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
            provenance(explorer, None, way, seed, 1, t=number(t, 0)),
            "denoise_film",
            png=lambda: at_level(explorer, way, seed, t),
        )
        what_comes_first()


def at_level(explorer: DDPMExplorer, way: SamplerSettings, seed: int, t: int) -> Pictures:
    """What a browser shows at a level, computed here: x_t, the noise and the picture that are predicted."""

    def compute() -> Trajectory:
        *_steps, whole = explorer.denoise_steps(way, [seed])
        return whole

    request = (explorer.bundle.digest, way, seed)
    path = library.timed_answer("denoised_for_browsers", WAYS_KEPT, request, compute).value
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

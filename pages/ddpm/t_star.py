"""Finding t*: noise a picture, denoise it, and see from which level on it is another picture."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import numpy as np
import streamlit as st

from core.ddpm.explorer import DDPMExplorer, Restoration, SamplerSettings
from core.ddpm.restoration import crossing, find_t_star, noised, spread, sweep, wilson
from core.judge.similarity import psnr, ssim
from core.pictures.images import Pictures
from pages.ddpm.parts import prediction, quick_look, restored, t_star_of_set, three_ways
from pages.shared import controls, figures, library, links, live, loaders, picking, shape, site
from pages.shared.controls import LANGUAGE_PARAMETER
from pages.shared.picking import PickedPicture
from pages.shared.text import (
    N_,
    _,
    coloured,
    formula,
    head,
    mechanism,
    number,
    plain_errors,
)

QUICK_LOOK = N_(
    "A quick look: {quick}, {levels} levels, draws: {few}. Press the button for {way}, "
    "draws: {draws}."
)
STILL_ON_THEIR_WAY = N_(
    "There is no t\\* before the last step: these pictures are still on their way."
)
TOO_FEW_LEVELS = N_("Fewer than two levels of this way lie in this range: widen it.")

WAYS: dict[str, tuple[str, SamplerSettings]] = {
    "ddim-50": ("DDIM 50", SamplerSettings("ddim", 50)),
    "ddim-20": ("DDIM 20", SamplerSettings("ddim", 20)),
    "dpm-20": ("DPM-Solver++ 20", SamplerSettings("dpm", 20)),
    "ddim-50-eta-1": ("DDIM 50, η = 1", SamplerSettings("ddim", 50, eta=1.0)),
    "ddpm": (N_("DDPM, every step"), SamplerSettings("ddpm", None)),
}
AS_IT_COMES = N_("The noisy picture at every level, and below it what each draw has become")
"""Alt text of the pictures while they are computed."""
CHANGED = N_(
    "You have changed the settings: press the button. The pale pictures and charts belong to the "
    "settings before: {way}, {levels} levels, draws: {draws}, seed {seed}."
)
SEEN = "tstar_seen"
"""In the visit: which sweep it saw last."""


# ---------------------------------------------------------------- what is asked for


def words(code: str | None) -> str:
    """The way in a few words; None is the quick look."""
    return f"DDIM {quick_look.WAY.steps}" if code is None else _(WAYS[code][0])


def read_settings(explorer: DDPMExplorer) -> tuple[str, tuple[int, ...], int, int]:
    """Sampler, levels as pages count them, number of draws, seed."""
    T = explorer.T
    codes = {code: title for code, (title, _way) in WAYS.items()}
    code = controls.choice(_("Sampler"), codes, "tstar_way")
    low, high = controls.span(
        _("Levels t′, from – to"), 1, T, quick_look.span(T), f"tstar_span_{T}"
    )
    count = controls.whole(_("How many levels"), 3, 24, quick_look.LEVELS, "tstar_levels")
    draws = controls.whole(
        _("Draws of noise per level"),
        1,
        8,
        4,
        "tstar_draws",
        help=_("Each draw is the same noise at every level, so that one thing varies."),
    )
    seed = controls.seed("tstar_seed")
    return code, quick_look.levels(low, high, count, T), draws, seed


def chosen_pictures(explorer: DDPMExplorer) -> list[PickedPicture]:
    """One picture or several."""
    picked = picking.picture("tstar", explorer.bundle, default="maker")
    count = controls.whole(
        _("How many pictures"),
        1,
        4,
        1,
        "tstar_count",
        help=_("Those that follow the chosen one; an upload and a photo stand alone."),
    )
    if picked is None:
        return []
    return picking.companions("tstar", explorer.bundle, picked, count)


# ---------------------------------------------------------------- going the way


def rows(now: Restoration) -> int:
    """The noisy picture at every level, and below it what each draw has become; how many bytes travel."""
    columns = len(now.t)
    draws = np.moveaxis(now.now, 1, 2)  # (P, D, L, H, W, 3)
    noisy = now.noised[:, :, 0][:, None]
    return figures.live_sheet(
        np.concatenate([noisy, draws], axis=1).reshape(-1, *draws.shape[3:]),
        columns=columns,
        alt=_(AS_IT_COMES),
        width=min(figures.WIDE, 70 * columns),
    )


def run_sweep(
    explorer: DDPMExplorer, request: restored.Request, pictures: Pictures, above: live.Place
) -> tuple[Restoration | None, live.Place]:
    """Buttons and progress; how far the sweep of this request has come, if it was asked for.

    Also the place of what follows from it, which is empty while the sweep goes on, as is ``above``.
    """
    zero_based = [level - 1 for level in request.levels]
    grid = request.way.grid(explorer.T).numpy()
    steps = [
        (grid <= level).sum() - 1 for level in explorer.nearest_levels(request.way, zero_based)
    ]
    each = request.draws * len(pictures)
    seconds = sum(steps) * each * loaders.seconds_a_picture(explorer.bundle.name)
    clicked = controls.act(
        _("Noise and restore {count} pictures: about {seconds} s").format(
            count=number(len(steps) * each, 0), seconds=number(seconds, 0)
        ),
        key="tstar_go",
        of=("tstar_film", "t_star_level", "t_star"),
        type="primary",
        icon=":material/play_arrow:",
    )
    place, below = st.empty(), st.empty()
    if clicked:
        above.empty()
        below.empty()
    now = live.answer(
        request,
        lambda: explorer.restore(request.way, pictures, zero_based, request.draws, request.seed),
        "tstar",
        place,
        rows,
        wanted=clicked,
        seconds=seconds,
        worked=lambda now: now.worked,
    )
    return now, below


# ---------------------------------------------------------------- the page


def find(
    explorer: DDPMExplorer,
    picked: list[PickedPicture],
    above: live.Place,
    settings: tuple[str, tuple[int, ...], int, int],
) -> None:
    """What follows from settings; at ``above`` the pictures that move with t'."""
    code, levels, draws, seed = settings
    if not picked:
        with shape.notice():
            st.info(_(picking.WANTED))
        return
    pictures = np.stack([one.picture for one in picked])
    request = restored.Request(
        explorer.bundle.digest,
        WAYS[code][1],
        levels,
        draws,
        seed,
        tuple(picture.tobytes() for picture in pictures),
    )
    index = 0
    if len(picked) > 1:
        index = controls.whole(_("Picture"), 1, len(picked), 1, "tstar_which") - 1
        st.caption(picked[index].words)
    done, below = run_sweep(explorer, request, pictures, above)
    with below.container():
        if done is not None and not done.finished:
            show_unfinished(done)
            return
        before = None if done is not None else previous_sweep(request)
        quick = done is None and before is None
        if done is not None:
            st.session_state[SEEN], back, way = request, done, words(code)
        elif before is not None:
            (request, back), seed = before, before[0].seed
            way = caption_pale(request, back)
        else:
            back, way = at_once(explorer, request, pictures, words(code)), words(None)
        compared = library.answers("compared", live.MOST_KEPT).ask(
            (request, quick, loaders.judge().bundle.digest),
            lambda: loaders.judge().compare(pictures, back.now),
        )
        if len(back.t) < 2:
            st.warning(_(TOO_FEW_LEVELS))
            return
        found = restored.SweepResult(
            explorer, loaders.judge(), picked, back, compared, way, seed, quick
        )
        guess = prediction.read_guess(explorer.T, (request.bundle, request.pictures[index]))
        revealed = guess != prediction.NONE
        with above.container(), pale(before is not None, "tstar_before_film"):
            answer = st.empty()
            restored.at_level(found, index, revealed=revealed)
        if revealed:
            with pale(before is not None, "tstar_before"):
                restored.result(found, index, guess, answer)
                three_ways.show(found)


def previous_sweep(request: restored.Request) -> tuple[restored.Request, Restoration] | None:
    """The sweep that this visit saw last, of the same picture and model, as long as it is kept.

    None where a link asks for another, which has said so already.
    """
    before: restored.Request | None = st.session_state.get(SEEN)
    if before is None or links.wants_result("tstar", request):
        return None
    if (before.bundle, before.pictures) != (request.bundle, request.pictures):
        return None
    back = live.result("tstar", before)
    return None if back is None else (before, back)


def caption_pale(before: restored.Request, back: Restoration) -> str:
    """Says which settings the pale result belongs to; its way in words."""
    way = words(next(code for code, (_title, way) in WAYS.items() if way == before.way))
    st.info(
        _(CHANGED).format(
            way=way, levels=number(len(back.t), 0), draws=before.draws, seed=str(before.seed)
        )
    )
    return way


def pale(wanted: bool, key: str) -> AbstractContextManager:
    """Around what belongs to other settings than those of now; as it is where it is not ``wanted``."""
    if not wanted:
        return nullcontext()
    st.html(f"<style>.st-key-{key} {{ opacity: 0.45; }}</style>")
    return st.container(key=key)


def show_unfinished(now: Restoration) -> None:
    """How far the pictures of a stopped sweep have come; nothing follows from them."""
    st.info(_(STILL_ON_THEIR_WAY))
    rows(now)


def at_once(
    explorer: DDPMExplorer, request: restored.Request, pictures: Pictures, way: str
) -> Restoration:
    """Few steps and draws at once, before the button is pressed."""
    back = quick_look.restoration(explorer.bundle.name, pictures, request.levels, request.seed)
    st.info(
        _(QUICK_LOOK).format(
            quick=words(None),
            levels=number(len(back.t), 0),
            few=quick_look.DRAWS,
            way=way,
            draws=request.draws,
        )
    )
    return back


def redirect_old_links() -> None:
    """Opens the page of attacks for a link to the view that this page once had, with what the link says."""
    if not {"purify", "Undo an attack"} & set(links.values("tstar_view")):
        return
    kept = [
        LANGUAGE_PARAMETER,
        *(f"purify_{name}" for name in ("attack", "levels", "steps", "seed", "share")),
    ]
    said = {name: links.values(name) for name in kept}
    said["purify_bundle"] = links.values("tstar_bundle")
    said |= {f"attack_{name}": links.values(f"tstar_{name}") for name in picking.DIGIT}
    st.switch_page(
        site.UNDO_AN_ATTACK.page(), query_params={name: one for name, one in said.items() if one}
    )


def main() -> None:
    redirect_old_links()
    head(
        _("Finding t*"),
        _(
            "Noise a picture to level t′ and denoise it again. At low t′ **the same picture comes "
            "back**, at high t′ **another one**. Where it changes is t\\*: move t′ there and **predict it "
            "first**, then see what several measures say."
        ),
    )
    with plain_errors():
        above = st.empty()
        left, right = st.columns(2, gap="large")
        with right, st.expander(_("Model, sampler, levels, seed"), icon=":material/tune:"):
            explorer = loaders.ddpm(controls.bundle_name("ddpm", "tstar_bundle"))
            settings = read_settings(explorer)
        with left, st.expander(_("Another picture"), icon=":material/image_search:"):
            picked = chosen_pictures(explorer)
        find(explorer, picked, above, settings)
        t_star_of_set.show(explorer)
        explain()


def explain() -> None:
    mechanism(
        _(
            "At level t′ one sees √ᾱ times the picture plus √(1−ᾱ) times noise. While the noise hides only "
            "texture, every picture that fits x_t has the same digit, and the way back ends at "
            "one of them. When the noise hides the strokes as well, the network fills in what it "
            "has learnt: **the prior takes over from the picture**.\n\n"
            "**t\\* depends on the picture** (large, high-contrast digits survive longer), on the "
            "**measure** (colours are lost before digits, or after), on the **draws** (hence the "
            "interval), on the **sampler**, and on the **model**: one that knows the data better "
            "needs less of the picture. Compare models at the same noise, not at the same t: "
            "t\\* of T = 500 and of T = 1000 are other numbers for one amount of noise.\n\n"
            "**Thresholds** are conventions, so each can be moved: half of the draws with the same "
            "digit; 15 dB; an SSIM of 0.5 in 7 × 7 windows; and in the classifier's features the "
            "median distance of two test digits of different class. All levels and draws go "
            "through the network together: those at lower t′ join as t falls."
        )
    )
    x, x_t = coloured("x", "x_0"), coloured("x_t", "x_{t'}")
    eps, x_hat = coloured("eps"), coloured("x_hat", r"\hat x_0")
    beyond = _("is on the other side of its threshold")
    formula(
        [
            rf"{x_t} = \sqrt{{\bar\alpha_{{t'}}}}\,{x} + \sqrt{{1-\bar\alpha_{{t'}}}}\,{eps},"
            rf"\qquad {x_t} \to x_{{t'-1}} \to \dots \to {x_hat}",
            rf"t^* = \min\{{t' : m({x}, {x_hat}(t')) "
            rf"\text{{ {beyond}}}\}}",
        ],
        _(
            "Meng et al. 2022, *SDEdit*, for noising a picture only part of the way; Wang et al. "
            "2004 for SSIM; Wilson 1927 for the interval of a share; the interval of t* is a bootstrap over "
            "draws."
        ),
        noised,
        sweep,
        crossing,
        find_t_star,
        wilson,
        spread,
        psnr,
        ssim,
    )

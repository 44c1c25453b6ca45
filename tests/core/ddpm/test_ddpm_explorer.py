import itertools
import math
import shutil
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from torch.nn.modules.module import register_module_forward_hook

from core.ddpm import explorer as ddpm_explorer
from core.ddpm.counted_noise import counted_noise
from core.ddpm.explorer import (
    FRAMES,
    DDPMExplorer,
    SamplerSettings,
    golden_deviation,
    noisy_walk,
    show_noise,
)
from core.ddpm.model import DDPM
from core.ddpm.samplers import ddim, dpm_solver, p_sample_loop, time_grid
from core.ddpm.schedule import NoiseSchedule, draw_noise
from core.ddpm.unet import UNet
from core.errors import AtelierError
from core.families import open_bundle
from core.pictures.images import to_pictures, to_tensor
from core.resumable import Resumable

T = 60
SEEDS = [7, 3]
WAYS = {
    "ddpm": SamplerSettings("ddpm", None),
    "ddim": SamplerSettings("ddim", 8),
    "ddim-noisy": SamplerSettings("ddim", 8, eta=1.0),
    "ddim-half-clipped": SamplerSettings("ddim", 5, eta=0.5, clip_x0=True),
    "dpm": SamplerSettings("dpm", 8),
}


@pytest.fixture(scope="module")
def explorer(tiny_ddpm_bundle):
    return DDPMExplorer(open_bundle(tiny_ddpm_bundle))


@pytest.fixture(scope="module")
def model(tiny_ddpm_bundle):
    return DDPM.from_pretrained(tiny_ddpm_bundle)


@pytest.fixture(scope="module")
def digit(make_digits):
    return make_digits(4, 9)[0][3]


@pytest.fixture(params=WAYS)
def way(request):
    return WAYS[request.param]


def assert_near(found, expected):
    """Pictures that differ by rounding alone."""
    assert found.dtype == expected.dtype == np.uint8
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).max() <= 1


def same(first, second):
    """All fields of two dataclasses are equal, but for the time it took."""

    def equal(one, two):
        if isinstance(one, tuple):
            return len(one) == len(two) and all(map(equal, one, two))
        return np.array_equal(one, two)

    names = [field.name for field in fields(first) if field.name != "seconds"]
    return all(equal(getattr(first, name), getattr(second, name)) for name in names)


# ---------------------------------------------------------------- into noise


@pytest.fixture(scope="module")
def schedule():
    return NoiseSchedule.linear(300, 1e-3, 0.05)


LEVELS = [-1, 0, 9, 29, 90, 150, 299]


@pytest.fixture(scope="module")
def walk(schedule, digit):
    return noisy_walk(schedule, digit, 5, LEVELS)


def test_a_walk_keeps_the_levels_asked_for_and_begins_with_the_picture(walk, digit):
    assert walk.t.tolist() == list(range(-1, 300))
    assert walk.kept.tolist() == LEVELS
    for pictures in (walk.walked, walk.jumped):
        assert pictures.shape == (7, 32, 32, 3)
        assert pictures.dtype == np.uint8
        assert np.array_equal(pictures[0], digit)
    assert (walk.off[0], walk.noise[0], walk.noise_jumped[0]) == (0, 0, 0)
    assert (walk.signal[0], walk.signal_jumped[0]) == (1, 1)


def test_a_walk_is_the_closed_form_with_its_own_noise(walk):
    assert walk.off.shape == (301,)
    assert (walk.off < 1e-12).all()


@pytest.mark.parametrize("seed", range(3))
def test_what_is_left_of_the_picture_is_what_the_schedule_says(schedule, digit, seed):
    found = noisy_walk(schedule, digit, seed, LEVELS)
    alpha_bar = schedule.alpha_bar(torch.tensor(LEVELS)).numpy()
    rows = found.kept + 1
    size = 3 * 32 * 32
    strength = to_tensor(digit[None]).double().square().sum().sqrt().item()
    error = np.sqrt(1 - alpha_bar)
    for signal in (found.signal[rows], found.signal_jumped[rows]):
        assert (np.abs(signal - np.sqrt(alpha_bar)) <= 5 * error / strength + 1e-12).all()
    for noise in (found.noise[rows], found.noise_jumped[rows]):
        assert (np.abs(noise - error) <= 5 * error / math.sqrt(2 * size) + 1e-12).all()


def test_the_figures_of_a_walk_are_those_of_its_pictures(schedule):
    """Where no value is clipped, up to the rounding of the pictures."""
    soft = np.random.default_rng(0).integers(80, 176, (32, 32, 3), dtype=np.uint8)
    x0 = to_tensor(soft[None]).double()
    found = noisy_walk(schedule, soft, 1, [-1, 3, 6, 9])
    for pictures, signal, noise in (
        (found.walked, found.signal, found.noise),
        (found.jumped, found.signal_jumped, found.noise_jumped),
    ):
        assert 0 < pictures.min() < pictures.max() < 255
        for row, t in enumerate(found.kept):
            x_t = to_tensor(pictures[row : row + 1]).double()
            share = ((x_t * x0).sum() / x0.square().sum()).item()
            assert share == pytest.approx(signal[t + 1], abs=1e-3)
            rest = (x_t - share * x0).std().item()
            assert rest == pytest.approx(noise[t + 1], abs=1e-3)


def test_the_jump_is_q_sample_with_the_first_noise_of_the_seed(schedule, walk, digit, seeded):
    x0 = to_tensor(digit[None]).double()
    noise = draw_noise(x0, seeded(5))
    np.testing.assert_array_equal(walk.eps, noise[0].numpy())
    for t, jumped in zip(walk.kept[1:].tolist(), walk.jumped[1:], strict=True):
        assert_near(jumped, to_pictures(schedule.q_sample(x0, t, noise))[0])


def test_in_one_step_with_its_own_noise_the_walk_ends_at_the_same_picture(walk):
    np.testing.assert_array_equal(walk.direct, walk.walked)


def test_the_walk_has_noise_of_its_own(walk):
    apart = np.abs(walk.walked.astype(int) - walk.jumped).mean(axis=(1, 2, 3))
    assert (apart[3:] > 10).all()
    assert (walk.signal[1:] != walk.signal_jumped[1:]).all()


def test_a_step_of_the_walk_adds_its_own_draw(schedule, digit):
    x0 = to_tensor(digit[None]).double()
    first = torch.from_numpy(counted_noise(5, 0, x0.shape))
    second = torch.from_numpy(counted_noise(5, 1, x0.shape))
    x_2 = schedule.q_step(schedule.q_step(x0, 0, first), 1, second)
    found = noisy_walk(schedule, digit, 5, [1])
    np.testing.assert_array_equal(found.walked, to_pictures(x_2))


def test_a_walk_is_the_same_whichever_levels_are_kept(schedule, walk, digit):
    few = noisy_walk(schedule, digit, 5, [9, 90])
    assert few.kept.tolist() == [9, 90]
    for name in ("walked", "jumped", "direct"):
        assert np.array_equal(getattr(few, name), getattr(walk, name)[[2, 4]])
    for name in ("off", "signal", "noise", "signal_jumped", "noise_jumped"):
        assert np.array_equal(getattr(few, name), getattr(walk, name))


def test_the_same_seed_makes_the_same_walk(schedule, walk, digit):
    assert same(noisy_walk(schedule, digit, 5, LEVELS), walk)
    other = noisy_walk(schedule, digit, 6, LEVELS)
    assert not np.array_equal(other.walked[3], walk.walked[3])
    assert not np.array_equal(other.jumped[3], walk.jumped[3])


def test_a_walk_beyond_the_last_level_is_refused(schedule, digit):
    with pytest.raises(ValueError, match=r"^levels must be -1 to 299"):
        noisy_walk(schedule, digit, 0, [-1, 300])


def test_noise_is_shown_from_minus_three_to_three():
    eps = torch.tensor([0.0, 3.0, -3.0, 9.0, -9.0, 1.5]).view(6, 1, 1, 1).expand(6, 3, 2, 2)
    shown = show_noise(eps)
    assert shown.shape == (6, 2, 2, 3)
    assert shown[1:5, 0, 0, 0].tolist() == [255, 0, 255, 0]
    assert shown[0, 0, 0, 0] in (127, 128)
    assert shown[5, 0, 0, 0] == 191


# ---------------------------------------------------------------- from noise to pictures


@pytest.fixture(scope="module")
def steps_of(model):
    """Every step of the sampler itself, by level, on the model's guess of the noise."""

    @cache
    @torch.no_grad()
    def steps_of_way(way):
        generators = [torch.Generator().manual_seed(seed) for seed in SEEDS]
        x_T = draw_noise(torch.zeros(len(SEEDS), 3, 32, 32), generators)
        args = (model.eps, model.schedule, x_T)
        times = time_grid(T, T if way.steps is None else way.steps)
        clip = {"clip_x0": way.clip_x0}
        if way.sampler == "ddpm":
            steps = p_sample_loop(*args, **clip, generator=generators)
        elif way.sampler == "ddim":
            steps = ddim(*args, times, **clip, eta=way.eta, generator=generators)
        else:
            steps = dpm_solver(*args, times, **clip)
        return {int(step.t[0]): step for step in steps}

    return steps_of_way


@pytest.fixture(scope="module")
def whole(explorer):
    """The whole way at once, from ``SEEDS``."""
    return cache(lambda way: explorer.denoise(way, SEEDS))


CLIPPED = [SamplerSettings("ddpm", None, clip_x0=True), SamplerSettings("dpm", 8, clip_x0=True)]


@pytest.mark.parametrize("way", [*WAYS.values(), *CLIPPED], ids=str)
def test_a_way_back_is_that_of_the_sampler(steps_of, whole, way):
    steps, path = steps_of(way), whole(way)
    assert path.finished
    assert path.done == path.total == len(steps) - 1
    assert_near(path.result, to_pictures(steps[-1].x_t))
    assert_near(path.x_t[-1], to_pictures(steps[-1].x_t))
    assert np.ptp(path.result) > 50
    for row, t in enumerate(path.t.tolist()):
        assert_near(path.x_t[row], to_pictures(steps[t].x_t))
        assert_near(path.x0_hat[row], to_pictures(steps[t].x0_hat))


@pytest.mark.parametrize("way", [*WAYS.values(), *CLIPPED], ids=str)
def test_the_noise_shown_follows_from_the_noisy_and_the_clean_picture(steps_of, whole, model, way):
    steps, path = steps_of(way), whole(way)
    for row, t in enumerate(path.t[:-1].tolist()):
        a = model.schedule.alphas_cumprod[t].item()
        eps_hat = (steps[t].x_t - math.sqrt(a) * steps[t].x0_hat) / math.sqrt(1 - a)
        assert_near(path.eps_hat[row], to_pictures(eps_hat / 3))
        if way.sampler == "ddim" and not way.clip_x0:  # then it is what the network says
            with torch.no_grad():
                said = model.eps(steps[t].x_t, steps[t].t)
            assert_near(path.eps_hat[row], to_pictures(said / 3))
    assert (np.abs(path.eps_hat[-1].astype(float) - 127.5) < 1).all()  # none is left


def test_a_step_is_the_sum_of_its_terms(explorer, steps_of, whole, way):
    """What is shown of a step, put together again: up to the rounding of three pictures."""
    steps, path = steps_of(way), whole(way)
    assert len(path.moves) == len(path.t) - 1
    levels = way.grid(T).tolist()
    for row, move in enumerate(path.moves):
        t = int(path.t[row])
        assert move.s == levels[levels.index(t) + 1]
        assert_near(move.x_s, to_pictures(steps[move.s].x_t))
        eps_hat = (3 * to_tensor(path.eps_hat[row])).double()
        inside = (eps_hat.abs() < 3).all(dim=1) & (to_tensor(path.x_t[row]).abs() < 1).all(dim=1)
        added = to_tensor(move.added).double() * (3 * move.sigma if move.sigma else 1)
        inside &= (to_tensor(move.added).abs() < 1).all(dim=1)
        summed = move.of_x_t * to_tensor(path.x_t[row]).double() - move.of_eps * eps_hat + added
        off = (summed - steps[move.s].x_t.double()).abs().amax(dim=1)[inside]
        rounding = (move.of_x_t + 3 * abs(move.of_eps) + 3 * move.sigma + 1) / 255
        assert inside.float().mean() > 0.05 or t < 1
        assert (off <= rounding).all()
    stochastic = way.sampler == "ddpm" or way.eta > 0
    assert all((move.sigma > 0) == (stochastic and move.s >= 0) for move in path.moves)
    if way.sampler == "ddim" and not stochastic:
        assert all(np.ptp(move.added) <= 1 for move in path.moves)  # nothing is added
    if way.sampler == "dpm":
        assert any(np.ptp(move.added) > 1 for move in path.moves)  # the second order


def test_the_step_that_is_not_yet_taken_has_no_terms(explorer, way):
    for path in explorer.denoise_steps(way, SEEDS):
        taken = [frame.move is not None for frame in path.frames]
        assert taken == [True] * (len(taken) - 1) + [False]


def test_a_way_back_is_watched_step_by_step(explorer, whole, way, seeded):
    levels = way.grid(T).tolist()
    paths = list(explorer.denoise_steps(way, SEEDS))
    noise = draw_noise(torch.zeros(2, 3, 32, 32), [seeded(seed) for seed in SEEDS])
    assert [path.done for path in paths] == list(range(len(levels)))
    assert {path.total for path in paths} == {len(levels) - 1}
    assert [path.finished for path in paths] == [False] * (len(levels) - 1) + [True]
    assert [path.t[-1] for path in paths] == levels
    seconds = [path.seconds for path in paths]
    assert seconds[0] > 0
    assert seconds == sorted(seconds)
    for path in paths:
        assert 1 <= len(path.t) <= FRAMES + 1
        assert path.t[0] == T - 1
        assert (np.diff(path.t) < 0).all()
        for pictures in (path.x_t, path.eps_hat, path.x0_hat):
            assert pictures.dtype == np.uint8
            assert pictures.shape == (len(path.t), 2, 32, 32, 3)
        assert np.array_equal(path.x_t[0], to_pictures(noise))
        assert np.array_equal(path.result, path.x0_hat[-1])
    assert same(paths[-1], whole(way))


def test_a_step_is_one_call_of_the_network_when_it_is_asked_for(explorer, way):
    calls = []

    def count(module, _inputs, _output):
        if isinstance(module, UNet):
            calls.append(module)

    with register_module_forward_hook(count):
        steps = explorer.denoise_steps(way, [0])
        assert calls == []
        for path in steps:
            assert len(calls) == min(path.done + 1, path.total)
    assert path.finished


def test_of_many_steps_as_many_are_kept_as_can_be_looked_at(explorer):
    for way, kept in (
        (SamplerSettings("ddpm", None), FRAMES + 1),
        (SamplerSettings("ddim", FRAMES), FRAMES + 1),
    ):
        *_, halfway, path = explorer.denoise_steps(way, [0])
        assert len(path.t) == kept
        assert len(halfway.t) in (kept, kept - 1)
        assert (path.t[0], path.t[-1]) == (T - 1, -1)
        assert set(-np.diff(path.t)) == {1, 2}  # evenly
    few = explorer.denoise(SamplerSettings("ddim", 6), [0])
    assert few.t.tolist() == time_grid(T, 6).tolist()


def test_a_frame_that_was_kept_stays_as_it_was(explorer):
    paths = list(explorer.denoise_steps(SamplerSettings("ddpm", None), [1]))
    for before, after in itertools.pairwise(paths):
        for row, t in enumerate(before.t[:-1]):
            (place,) = np.flatnonzero(after.t == t)
            assert np.array_equal(after.x_t[place], before.x_t[row])
            assert np.array_equal(after.x0_hat[place], before.x0_hat[row])
            assert np.array_equal(after.eps_hat[place], before.eps_hat[row])


def test_a_picture_depends_on_its_own_seed_alone(explorer, whole, way):
    together = whole(way)
    alone = explorer.denoise(way, SEEDS[:1])
    assert_near(alone.x_t[:, 0], together.x_t[:, 0])
    assert_near(alone.x0_hat[:, 0], together.x0_hat[:, 0])
    elsewhere = explorer.denoise(way, [9, 4, SEEDS[1]])
    assert_near(elsewhere.result[2], together.result[1])
    pictures = [*together.result.astype(int), elsewhere.result[0].astype(int)]
    for one, two in itertools.combinations(pictures, 2):
        assert np.abs(one - two).mean() > 5


@pytest.mark.parametrize("stops", [[4], [1, 1, 2]])
def test_a_trajectory_that_was_left_goes_on_where_it_stood(explorer, whole, way, stops):
    work = Resumable(explorer.denoise_steps(way, SEEDS))
    for stop in stops:
        reached = 0 if work.newest is None else work.newest.done + 1
        for count, _path in enumerate(work.advance(), 1):
            if count == stop:
                break
        assert work.newest.done == reached + stop - 1
        assert not work.finished
        explorer.denoise(SamplerSettings("ddim", 2, eta=1.0), SEEDS)  # somebody else's
        torch.rand(3)
    for _path in work.advance():
        pass
    assert work.finished
    assert same(work.newest, whole(way))


def test_a_replay_shows_what_was_seen_on_the_way(explorer, way):
    seen = {path.done: path for path in explorer.denoise_steps(way, SEEDS)}
    *_before, whole = seen.values()
    replay = whole.replay()
    assert [path.finished for path in replay] == [False] * (len(replay) - 1) + [True]
    assert replay[0].done == 0
    assert len(replay) == len(whole.frames)
    for path in replay:
        live = seen[path.done]
        assert path.total == live.total
        for part in ("t", "x_t", "eps_hat", "x0_hat"):
            np.testing.assert_array_equal(getattr(path, part), getattr(live, part))
    assert same(replay[-1], whole)


def test_trajectories_taken_in_turns_do_not_disturb_one_another(explorer, whole):
    works = [Resumable(explorer.denoise_steps(way, SEEDS)) for way in WAYS.values()]
    for _ in itertools.zip_longest(*(work.advance() for work in works)):
        pass
    for work, way in zip(works, WAYS.values(), strict=True):
        assert same(work.newest, whole(way))


def test_visitors_at_once_see_what_each_would_see_alone(explorer):
    ways = [(SamplerSettings("ddim", 4, eta=1.0), [seed]) for seed in range(6)]
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda way: explorer.denoise(*way), ways))
    for path, way in zip(found, ways, strict=True):
        assert_near(path.result, explorer.denoise(*way).result)


def test_a_pause_does_not_count_as_work(explorer, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(ddpm_explorer, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    paths = []
    for path in explorer.denoise_steps(SamplerSettings("ddim", 3), [0]):
        paths.append(path)
        clock[0] += 1000.0
    assert {path.seconds for path in paths} == {0}


@pytest.mark.parametrize(
    ("way", "steps"),
    [
        (SamplerSettings(), 20),
        (SamplerSettings("ddim", None), T),
        (SamplerSettings("ddim", 7), 7),
        (SamplerSettings("ddim", 1), 1),
        (SamplerSettings("dpm", T + 1), T),
        (SamplerSettings("dpm", 1000), T),
        (SamplerSettings("ddpm", None), T),
        (SamplerSettings("ddpm", 20), T),
    ],
)
def test_a_way_visits_as_many_levels_as_it_has_steps_and_the_ancestral_one_all(way, steps):
    assert way.grid(T).tolist() == time_grid(T, steps).tolist()


def test_a_way_is_without_noise_and_free_unless_told():
    assert replace(SamplerSettings(), sampler="dpm", steps=5) == SamplerSettings("dpm", 5)
    assert (SamplerSettings().sampler, SamplerSettings().eta, SamplerSettings().clip_x0) == (
        "ddim",
        0.0,
        False,
    )


@pytest.mark.parametrize(
    ("named", "way"),
    [
        ("steps", SamplerSettings("ddim", 0)),
        ("steps", SamplerSettings("dpm", -1)),
        ("eta", SamplerSettings("ddim", 5, eta=1.5)),
        ("sampler", SamplerSettings("euler", 5)),
    ],
)
def test_a_way_that_does_not_exist_is_refused_at_once(explorer, named, way):
    with pytest.raises(ValueError, match=rf"^{named} must be"):
        explorer.denoise_steps(way, [0])


# ---------------------------------------------------------------- noise a picture, and back


@pytest.fixture(scope="module")
def asked(make_digits):
    return make_digits(5, 4)[0][3:]


def last_of(steps):
    *_, last = steps
    return last


def levels_for(way):
    """Levels of the way's grid: of its low ones, its high ones, and the top."""
    grid = way.grid(T)[:-1].flip(0).tolist()
    return [grid[0], grid[len(grid) // 2], grid[-2], grid[-1]]


RESTORED_LEVELS, RESTORED_DRAWS, RESTORED_SEED = 4, 2, 30


@pytest.fixture(scope="module")
def restorations(explorer, asked):
    """Every step of a way there and back of two pictures."""
    return cache(
        lambda way: list(
            explorer.restore(way, asked, levels_for(way), RESTORED_DRAWS, RESTORED_SEED)
        )
    )


def test_levels_snap_to_the_way_rise_and_come_once(explorer):
    way = SamplerSettings("ddim", 8)
    grid = way.grid(T)[:-1].tolist()  # 59, 52, 44, 37, 29, 22, 14, 7
    assert explorer.nearest_levels(way, [59, 8, 7, 30, 6, 28]).tolist() == [7, 29, 59]
    assert explorer.nearest_levels(way, [0, 10**6]).tolist() == [grid[-1], 59]
    assert explorer.nearest_levels(way, range(T)).tolist() == grid[::-1]
    assert explorer.nearest_levels(SamplerSettings("ddpm", 8), [5, 3, 3]).tolist() == [
        3,
        5,
    ]  # knows every level
    found = last_of(explorer.restore(way, np.zeros((1, 32, 32, 3), np.uint8), [30, 8, 6, 28], 1, 0))
    assert found.t.tolist() == [7, 29]
    assert found.now.shape == (1, 2, 1, 32, 32, 3)


def test_a_restoration_is_watched_step_by_step(restorations, way):
    steps, levels = restorations(way), levels_for(way)
    visited = [t for t in way.grid(T).tolist() if t <= levels[-1]]
    assert [step.done for step in steps] == list(range(len(visited)))
    assert {step.total for step in steps} == {len(visited) - 1}
    assert [step.finished for step in steps] == [False] * (len(visited) - 1) + [True]
    seconds = [step.seconds for step in steps]
    assert seconds[0] > 0
    assert seconds == sorted(seconds)
    for step in steps:
        assert step.t.tolist() == levels
        for pictures in (step.noised, step.now, *([step.glance] if step.finished else [])):
            assert pictures.dtype == np.uint8
            assert pictures.shape == (2, RESTORED_LEVELS, RESTORED_DRAWS, 32, 32, 3)
        assert np.array_equal(step.noised, steps[0].noised)
        assert (step.glance is None) == (step is not steps[-1])


def test_a_way_there_and_back_from_below_takes_no_more_steps_than_it_needs(explorer, asked):
    for way, levels, steps in (
        (SamplerSettings("ddim", 8), [7, 22], 3),
        (SamplerSettings("ddpm", None), [4], 5),
    ):
        found = list(explorer.restore(way, asked, levels, 1, 0))
        assert [step.total for step in found] == [steps] * (steps + 1)
        assert found[-1].finished


def test_a_draw_is_the_same_noise_at_every_level(restorations, model, asked, seeded):
    way = WAYS["ddim"]
    found = restorations(way)[0]
    x0 = to_tensor(asked)
    for p, (row, t), d in itertools.product(range(2), enumerate(levels_for(way)), range(2)):
        seed = RESTORED_SEED + p * RESTORED_DRAWS + d
        noise = draw_noise(x0[:1], seeded(seed))
        x_t = model.schedule.q_sample(x0[p : p + 1], t, noise)
        assert_near(found.noised[p, row, d], to_pictures(x_t)[0])
    apart = np.abs(found.noised[:, 3, 0].astype(int) - found.noised[:, 3, 1]).mean()
    assert apart > 10


def test_a_glance_is_the_prediction(restorations, explorer, asked, way):
    found, levels = restorations(way)[-1], levels_for(way)
    for p, d in itertools.product(range(2), range(2)):
        looks = explorer.predict(asked[p], levels, RESTORED_SEED + p * RESTORED_DRAWS + d)
        for row, look in enumerate(looks):
            assert_near(found.glance[p, row, d], look.x0_hat)
            assert_near(found.noised[p, row, d], look.x_t)


def test_looking_a_few_at_a_time_changes_nothing(explorer, restorations, asked, monkeypatch):
    way = WAYS["ddim"]
    monkeypatch.setattr(ddpm_explorer, "LOOK", 3)
    found = explorer.restore(way, asked, levels_for(way), RESTORED_DRAWS, RESTORED_SEED)
    assert_near(last_of(found).glance, restorations(way)[-1].glance)


def test_what_waits_is_shown_noised_and_what_moves_as_the_network_sees_it(restorations, way):
    steps, levels = restorations(way), np.array(levels_for(way))
    for step, t in zip(steps, way.grid(T).tolist(), strict=True):
        waits = levels < t
        assert np.array_equal(step.now[:, waits], step.noised[:, waits])
        first = levels == t  # the network's first look at those
        if first.any() and not way.clip_x0:
            assert_near(step.now[:, first], steps[-1].glance[:, first])
    assert not np.array_equal(steps[-1].now, steps[-1].noised)


@pytest.mark.parametrize("name", ["ddim", "dpm"])
def test_a_noiseless_way_back_is_that_of_the_sampler(restorations, model, asked, name, seeded):
    way, sampler = WAYS[name], {"ddim": ddim, "dpm": dpm_solver}[name]
    found, x0 = restorations(way)[-1], to_tensor(asked)
    for p, (row, t), d in itertools.product(range(2), enumerate(levels_for(way)), range(2)):
        seed = RESTORED_SEED + p * RESTORED_DRAWS + d
        x_t = model.schedule.q_sample(x0[p : p + 1], t, draw_noise(x0[:1], seeded(seed)))
        times = torch.tensor([s for s in way.grid(T).tolist() if s <= t])
        with torch.no_grad():
            *_, last = sampler(model.eps, model.schedule, x_t, times)
        assert_near(found.now[p, row, d], to_pictures(last.x_t)[0])


def test_what_comes_back_does_not_depend_on_other_levels(explorer, restorations, asked, way):
    whole, levels = restorations(way)[-1], levels_for(way)
    for rows in ([1], [0, 1], [1, 3]):
        some = [levels[row] for row in rows]
        found = last_of(explorer.restore(way, asked, some, RESTORED_DRAWS, RESTORED_SEED))
        assert_near(found.now, whole.now[:, rows])


def test_what_comes_back_does_not_depend_on_other_pictures(explorer, restorations, asked, way):
    whole = restorations(way)[-1]
    levels = levels_for(way)
    first = last_of(explorer.restore(way, asked[:1], levels, RESTORED_DRAWS, RESTORED_SEED))
    assert_near(first.now, whole.now[:1])
    second = explorer.restore(way, asked[1:], levels, RESTORED_DRAWS, RESTORED_SEED + 2)
    assert_near(last_of(second).now, whole.now[1:])


def test_what_comes_back_does_not_depend_on_other_draws(explorer, restorations, asked, way):
    whole = restorations(way)[-1]
    levels = levels_for(way)
    for draw in range(2):
        alone = last_of(explorer.restore(way, asked[:1], levels, 1, RESTORED_SEED + draw))
        assert_near(alone.now[:, :, 0], whole.now[:1, :, draw])


@pytest.mark.parametrize(
    ("way", "levels"),
    [(SamplerSettings("ddim", 8, eta=1.0), [22, 44]), (SamplerSettings("ddpm", None), [3, 5])],
    ids=str,
)
def test_noise_on_the_way_back_is_new_at_every_step_level_and_draw(
    explorer, model, asked, way, levels, seeded
):
    """What was added follows from what the network is shown, step after step; none of it comes
    twice, and none is the noise of the way there."""
    shown = []

    def note(module, inputs, _output):
        if isinstance(module, UNet):
            shown.append([value.clone() for value in inputs[:2]])

    with register_module_forward_hook(note):
        last_of(explorer.restore(way, asked, levels, 2, 3))
    start = torch.tensor(levels).repeat_interleave(2).repeat(2)  # pictures, levels, draws
    added = [draw_noise(torch.zeros(4, 3, 32, 32), [seeded(3 + i) for i in range(4)])]
    for (x_t, t), (x_s, s) in itertools.pairwise(shown[:-1]):  # the last was the look
        assert len(t) == (start >= t[0]).sum()
        a, b = (model.schedule.alphas_cumprod[int(level[0])].item() for level in (t, s))
        with torch.no_grad():
            eps_hat = model.eps(x_t, t)
        x0_hat = (x_t - math.sqrt(1 - a) * eps_hat) / math.sqrt(a)
        var = (1 - b) / (1 - a) * (1 - a / b)
        mean = math.sqrt(b) * x0_hat + math.sqrt(1 - b - var) * eps_hat
        moved = (start >= s[0]).nonzero().flatten().tolist()
        there = [row for row, place in enumerate(moved) if start[place] >= t[0]]
        added.append((x_s[there] - mean) / math.sqrt(var))
    noise = torch.cat(added).flatten(1).numpy()  # (n, 3072)
    assert len(noise) > 20
    np.testing.assert_allclose(noise.std(axis=1), 1, atol=0.1)
    alike = np.corrcoef(noise) - np.eye(len(noise))
    assert np.abs(alike).max() < 0.1  # five times the chance of 1 / sqrt(3072)


def test_restorations_follow_their_seed(explorer, asked):
    way = SamplerSettings("ddim", 4, eta=1.0)
    first, again, other = (
        last_of(explorer.restore(way, asked[:1], [29, 59], 1, seed)) for seed in (1, 1, 2)
    )
    assert np.array_equal(first.now, again.now)
    assert not np.array_equal(first.noised, other.noised)
    assert not np.array_equal(first.now, other.now)


@pytest.mark.parametrize("name", ["ddim-half-clipped"])
def test_a_clipped_way_stays_within_range(restorations, explorer, asked, name):
    way = WAYS[name]
    free = explorer.restore(
        replace(way, clip_x0=False), asked, levels_for(way), RESTORED_DRAWS, RESTORED_SEED
    )
    assert np.abs(restorations(way)[-1].now.astype(int) - last_of(free).now).max() > 1


def test_a_level_at_which_nothing_is_lost_gives_the_picture_back(explorer, asked):
    found = last_of(explorer.restore(SamplerSettings("ddpm", None), asked, [0], 2, 0))
    change = np.abs(found.now[:, 0].astype(int) - asked[:, None])
    assert change.mean() < 6
    assert np.abs(found.noised[:, 0].astype(int) - asked[:, None]).mean() < 10


def test_calls_of_the_network_are_those_of_the_longest_way_and_one_look(explorer, asked):
    batches = []

    def count(module, inputs, _output):
        if isinstance(module, UNet):
            batches.append(len(inputs[0]))

    way = SamplerSettings("ddim", 8)
    with register_module_forward_hook(count):
        steps = explorer.restore(way, asked, [7, 22, 44], 2, 0)
        assert batches == []
        for step in steps:
            assert len(batches) == step.done + 1
    # 44, 37, 29 from the highest, 22, 14 with the next, 7 with all; at the end one look at all 12.
    assert batches == [4, 4, 4, 8, 8, 12, 12]


def test_nothing_but_the_present_of_a_restoration_is_kept(explorer, asked):
    seen = []
    steps = explorer.restore(SamplerSettings("ddim", 8), asked, [22, 59], 2, 0)
    for step in steps:
        seen.append(weakref.ref(step.now))
        step = None  # the loop lets go
        assert sum(one() is not None for one in seen) <= 1


def test_a_pause_of_a_restoration_does_not_count_as_work(explorer, asked, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(ddpm_explorer, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    for step in explorer.restore(SamplerSettings("ddim", 3), asked, [59], 1, 0):
        clock[0] += 1000.0
        assert step.seconds == 0


def test_work_of_a_restoration_counts(explorer, asked, monkeypatch):
    """Every call of the network takes a second on this clock: three steps, and a look at the end."""
    clock = [0.0]
    monkeypatch.setattr(ddpm_explorer, "time", SimpleNamespace(perf_counter=lambda: clock[0]))

    def tick(module, _inputs, _output):
        if isinstance(module, UNet):
            clock[0] += 1.0

    with register_module_forward_hook(tick):
        found = [
            step.seconds for step in explorer.restore(SamplerSettings("ddim", 3), asked, [59], 1, 0)
        ]
    assert found == [1, 2, 3, 4]


@pytest.mark.parametrize("wrong", [0, -1])
def test_no_draws_at_all_are_refused(explorer, asked, wrong):
    with pytest.raises(ValueError, match=rf"^draws must be at least 1, got {wrong}"):
        next(explorer.restore(SamplerSettings(), asked, [5], wrong, 0))


# ---------------------------------------------------------------- one look


def test_a_prediction_is_the_guess_of_the_model_on_q_sample(explorer, model, digit, seeded):
    levels = [40, 0, 59]
    found = explorer.predict(digit, levels, seed=3)
    assert [look.t for look in found] == levels
    x0 = to_tensor(digit[None])
    eps = draw_noise(x0, seeded(3))
    for look in found:
        a = model.schedule.alphas_cumprod[look.t].item()
        x_t = math.sqrt(a) * x0 + math.sqrt(1 - a) * eps
        with torch.no_grad():
            eps_hat = model.eps(x_t, torch.tensor([look.t]))
        x0_hat = (x_t - math.sqrt(1 - a) * eps_hat) / math.sqrt(a)
        assert_near(look.x_t, to_pictures(x_t)[0])
        assert_near(look.eps, to_pictures(eps / 3)[0])
        assert_near(look.eps_hat, to_pictures(eps_hat / 3)[0])
        assert_near(look.x0_hat, to_pictures(x0_hat)[0])
        assert look.eps_mse == pytest.approx((eps_hat - eps).square().mean().item(), rel=1e-4)
        assert look.x0_mse == pytest.approx((x0_hat - x0).square().mean().item(), rel=1e-4)
        assert look.x0_mse == pytest.approx(look.eps_mse * (1 - a) / a, rel=1e-3)
        assert look.log_snr == pytest.approx(math.log(a / (1 - a)))
        assert look.alpha_bar == pytest.approx(a)
        assert_near(look.off, to_pictures((eps - eps_hat) / 3)[0])
        loss = model.schedule.p_losses(lambda *_, said=eps_hat: said, x0, look.t, eps)
        assert look.loss == pytest.approx(loss.item(), rel=1e-4)


def test_predictions_share_their_noise_and_follow_their_seed(explorer, digit):
    first, again, other = (explorer.predict(digit, [5, 30, 59], seed) for seed in (1, 1, 2))
    assert all(map(same, first, again))
    assert all(np.array_equal(look.eps, first[0].eps) for look in first)
    for one, two in zip(first, other, strict=True):
        assert not np.array_equal(one.eps, two.eps)
        assert not np.array_equal(one.x_t, two.x_t)
    (alone,) = explorer.predict(digit, [30], 1)
    assert_near(alone.x0_hat, first[1].x0_hat)
    assert alone.eps_mse == pytest.approx(first[1].eps_mse, rel=1e-4)


@pytest.mark.parametrize("wrong", [-1, T])
def test_a_level_that_is_not_there_is_refused(explorer, digit, wrong):
    for question in (explorer.predict, explorer.features):
        with pytest.raises(ValueError, match=rf"^t must be 0 to {T - 1}"):
            question(digit, [0, wrong], 0)


# ---------------------------------------------------------------- inside the network


def test_features_are_what_the_layers_hold_for_the_noisy_picture(explorer, model, digit, seeded):
    levels = [2, 50, 20]
    found = explorer.features(digit, levels, seed=4)
    x0 = to_tensor(digit[None]).expand(3, -1, -1, -1)
    noise = draw_noise(x0[:1], seeded(4)).expand(3, -1, -1, -1)
    t, expected = torch.tensor(levels), {}
    with torch.no_grad():
        x_t = model.schedule.q_sample(x0, t, noise)
        model.unet(x_t, t, lambda name, h: expected.update({name: h.clone()}))
    assert tuple(found) == explorer.layers == model.unet.layers()
    for name, values in found.items():
        side = {"stem": 16, "middle": 4}.get(name) or int(name.split()[1])
        assert values.shape == (3, 8, side, side)
        assert values.dtype == np.float32
        np.testing.assert_allclose(values, expected[name].numpy(), atol=1e-5)
        assert values.std() > 0


def test_features_of_a_level_are_the_same_alone(explorer, digit):
    together = explorer.features(digit, [0, 33, 59], seed=2)
    for row, level in enumerate((0, 33, 59)):
        alone = explorer.features(digit, [level], seed=2)
        for name in explorer.layers:
            np.testing.assert_allclose(alone[name][0], together[name][row], rtol=0, atol=1e-5)


def test_features_follow_their_seed_and_stay_as_they_were(explorer, digit):
    first = explorer.features(digit, [33], seed=1)
    kept = {name: values.copy() for name, values in first.items()}
    again, other = (explorer.features(digit, [33], seed) for seed in (1, 2))
    for name in explorer.layers:
        assert np.array_equal(first[name], kept[name])
        assert np.array_equal(again[name], first[name])
        assert not np.array_equal(other[name], first[name])


# ---------------------------------------------------------------- the bundle


def test_an_explorer_knows_its_bundle(explorer, tiny_ddpm_bundle, tiny_ddpm):
    assert explorer.T == T == explorer.schedule.T
    assert explorer.config == tiny_ddpm
    weights = load_file(tiny_ddpm_bundle / "model.safetensors")
    assert explorer.parameters() == sum(values.size for values in weights.values())
    assert explorer.class_names == tuple("0123456789")


def test_a_step_takes_time(explorer):
    assert 0 < explorer.seconds_a_step(2) < math.inf


def test_other_work_of_the_machine_is_not_the_pace_of_the_network(explorer, monkeypatch):
    clock = iter([0, 9, 10, 11, 20, 25])  # three calls: 9, 1 and 5 s
    monkeypatch.setattr(ddpm_explorer.time, "perf_counter", lambda: next(clock))
    assert explorer.seconds_a_step(1) == 1


def test_nothing_an_explorer_does_touches_the_global_generator(explorer, digit):
    before = torch.random.get_rng_state()
    explorer.denoise(SamplerSettings("ddim", 2, eta=1.0), [0])
    explorer.predict(digit, [3], 0)
    explorer.features(digit, [3], 0)
    noisy_walk(explorer.schedule, digit, 0, [-1, 3])
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_golden_output_is_checked_on_the_files(tiny_ddpm_bundle):
    assert 0 <= golden_deviation(open_bundle(tiny_ddpm_bundle)) <= 1e-4


def test_altered_weights_do_not_pass_the_golden_check(tiny_ddpm_bundle, tmp_path):
    copy = shutil.copytree(tiny_ddpm_bundle, tmp_path / "copy")
    weights = load_file(copy / "model.safetensors")
    weights["head.conv.bias"] += np.float16(0.01)
    save_file(weights, copy / "model.safetensors")
    with pytest.raises(AtelierError) as caught:
        golden_deviation(open_bundle(copy))
    assert caught.value.code == "bundle-golden"

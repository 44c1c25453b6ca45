"""Pictures that start at different levels share the network's calls and nothing else."""

import itertools

import pytest
import torch

from core.ddpm.samplers import ddim, sample, snap, time_grid, times_from
from core.ddpm.schedule import NoiseSchedule, draw_noise
from core.ddpm.unet import UNet, UNetConfig

T = 40
WAYS = {
    "ddpm": {"sampler": "ddpm"},
    "ddim": {"sampler": "ddim"},
    "ddim-half": {"sampler": "ddim", "eta": 0.5},
    "ddim-noisy": {"sampler": "ddim", "eta": 1.0},
    "dpm": {"sampler": "dpm"},
}
STARTS = [20, 38, 7, 39, -1]


@pytest.fixture(scope="module")
def schedule():
    return NoiseSchedule.linear(T, 1e-3, 0.2)


@pytest.fixture(params=WAYS)
def way(request):
    return WAYS[request.param]


def grid_of(way):
    return time_grid(T, T if way["sampler"] == "ddpm" else 8)


def starts_of(way):
    wanted = torch.tensor(STARTS)
    return torch.where(wanted < 0, wanted, snap(grid_of(way), wanted))


def curved(x, t):
    return torch.sin(2 * x + t.to(x).view(-1, 1, 1, 1) / 10) + 0.3 * x


class Spy:
    """Remembers the levels of every call."""

    def __init__(self, eps_model=curved):
        self.eps_model, self.calls = eps_model, []

    def __call__(self, x, t):
        assert len(x) == len(t) > 0
        self.calls.append(t.tolist())
        return self.eps_model(x, t)


def pictures(seeded, side=4):
    like = torch.zeros(len(STARTS), 3, side, side).double()
    return draw_noise(like, [seeded(50 + i) for i in range(len(STARTS))])


def run(eps_model, schedule, x, start, way, seeded, rows, **options):
    times = times_from(grid_of(way), start)
    generator = [seeded(row) for row in rows]
    return list(sample(eps_model, schedule, x, times, **way, generator=generator, **options))


@pytest.mark.parametrize("clip_x0", [False, True])
def test_a_picture_in_a_batch_is_the_picture_alone(schedule, way, clip_x0, seeded):
    x, start = pictures(seeded), starts_of(way)
    together = run(curved, schedule, x, start, way, seeded, range(len(x)), clip_x0=clip_x0)
    for row in range(len(x)):
        one = slice(row, row + 1)
        alone = run(curved, schedule, x[one], start[one], way, seeded, [row], clip_x0=clip_x0)
        shared = together[len(together) - len(alone) :]
        for a, b in zip(alone, shared, strict=True):
            assert a.t == b.t[one]
            torch.testing.assert_close(b.x_t[one], a.x_t, rtol=0, atol=1e-8)
            torch.testing.assert_close(b.x0_hat[one], a.x0_hat, rtol=0, atol=1e-8)


@pytest.mark.parametrize("sampler", ["ddim", "dpm"])
def test_so_it_is_with_a_network(schedule, sampler, seeded, stirred):
    unet = stirred(UNet(UNetConfig(channels=(8, 8, 8), time_width=16))).double()
    with torch.no_grad():
        x, grid = pictures(seeded, 32), time_grid(T, 4)
        start = torch.tensor([39, 19, 29, 9, -1])
        *_, together = sample(unet, schedule, x, times_from(grid, start), sampler=sampler)
        for row in range(len(x)):
            one = slice(row, row + 1)
            times = times_from(grid, start[one])
            *_, alone = sample(unet, schedule, x[one], times, sampler=sampler)
            torch.testing.assert_close(together.x_t[one], alone.x_t, rtol=0, atol=1e-8)


def test_a_picture_does_not_depend_on_the_company_it_keeps(schedule, way, seeded):
    x, start = pictures(seeded), starts_of(way)
    first = run(curved, schedule, x, start, way, seeded, range(5))[-1].x_t[1]
    others = x + 1
    others[1] = x[1]
    elsewhere = torch.tensor([39, int(start[1]), 39, 39, 39])
    second = run(curved, schedule, others, elsewhere, way, seeded, [7, 1, 8, 9, 10])[-1].x_t
    torch.testing.assert_close(second[1], first, rtol=0, atol=1e-12)


def test_only_pictures_that_move_cost_a_call(schedule, way, seeded):
    x, start, spy = pictures(seeded), starts_of(way), Spy()
    run(spy, schedule, x, start, way, seeded, range(5))
    levels = grid_of(way)[:-1].tolist()
    expected = [[s for s in (start.clamp(max=level)).tolist() if s == level] for level in levels]
    assert spy.calls == [call for call in expected if call]
    assert sum(map(len, spy.calls)) == sum(level <= s for level in levels for s in start.tolist())


def test_rows_in_which_all_wait_cost_nothing_and_are_not_shown(schedule, seeded):
    x, spy = pictures(seeded)[:2], Spy()
    times = torch.tensor([[9, 9], [9, 9], [5, 9], [5, 9], [-1, -1], [-1, -1]])
    steps = list(ddim(spy, schedule, x, times))
    assert spy.calls == [[9], [5, 9]]
    assert [step.t.tolist() for step in steps] == [[9, 9], [5, 9], [-1, -1]]
    *_, plain = ddim(curved, schedule, x, torch.tensor([[9, 9], [5, 9], [-1, -1]]))
    assert torch.equal(steps[-1].x_t, plain.x_t)


def test_finished_pictures_come_back_at_once(schedule, way, seeded):
    x, spy = pictures(seeded), Spy()
    (step,) = run(spy, schedule, x, torch.full((5,), -1), way, seeded, range(5))
    assert spy.calls == []
    assert torch.equal(step.x_t, x)
    assert torch.equal(step.x0_hat, x)


def test_clean_pictures_are_nan_before_and_the_picture_itself_after(schedule, way, seeded):
    x, start = pictures(seeded), starts_of(way)
    steps = run(curved, schedule, x, start, way, seeded, range(5))
    seen = set()
    for now, then in itertools.pairwise([*steps, None]):
        for row, t in enumerate(now.t.tolist()):
            x_t, x0_hat = now.x_t[row], now.x0_hat[row]
            if t < 0:
                seen.add("finished")
                assert torch.equal(x0_hat, x_t)
            elif t == then.t[row]:
                seen.add("waits")
                assert torch.equal(x_t, x[row])
                assert x0_hat.isnan().all()
            else:
                seen.add("moves")
                one = x_t[None]
                expected = schedule.x0_from_eps(one, t, curved(one, now.t[row : row + 1]))
                torch.testing.assert_close(x0_hat, expected[0], rtol=0, atol=1e-10)
    assert seen == {"finished", "waits", "moves"}


@pytest.mark.parametrize("times", [[[9, 9], [5, 9], [5, 4], [-1, -1]], [[9, 9], [5, 5]]])
def test_a_clean_picture_is_never_that_of_an_earlier_level(schedule, times, seeded):
    """A picture that waits on its way, or stays above the clean one, has its own or none."""
    for step in ddim(curved, schedule, pictures(seeded)[:2], torch.tensor(times)):
        for row, t in enumerate(step.t.tolist()):
            one, x0_hat = step.x_t[row : row + 1], step.x0_hat[row : row + 1]
            if t >= 0 and not x0_hat.isnan().all():
                expected = schedule.x0_from_eps(one, t, curved(one, step.t[row : row + 1]))
                torch.testing.assert_close(x0_hat, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("sampler", ["ddpm", "dpm"])
@pytest.mark.parametrize("eta", [1.0, 0.5, -1.0, float("nan")])
def test_a_sampler_without_eta_refuses_one(schedule, sampler, eta, seeded):
    spy = Spy()
    with pytest.raises(ValueError, match=f"^eta must be 0 with the sampler {sampler}"):
        sample(*(spy, schedule, pictures(seeded), time_grid(T, T)), sampler=sampler, eta=eta)
    assert spy.calls == []


@pytest.mark.parametrize("kind", [list, tuple])
@pytest.mark.parametrize("count", [0, 4, 6])
@pytest.mark.parametrize("sampler", ["ddpm", "ddim"])
def test_generators_of_another_count_are_refused_at_once(schedule, sampler, count, kind, seeded):
    spy = Spy()
    times, generator = time_grid(T, T), kind(seeded() for _ in range(count))
    with pytest.raises(ValueError, match=rf"^generator must be .* 5 of them, got {count}"):
        sample(
            *(spy, schedule, pictures(seeded), times),
            sampler=sampler,
            eta=1.0 if sampler == "ddim" else 0.0,
            generator=generator,
        )
    assert spy.calls == []

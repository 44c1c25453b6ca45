"""The levels that a sampler visits, and those of pictures that start at different ones."""

import pytest
import torch

from core.ddpm.samplers import snap, time_grid, times_from


@pytest.mark.parametrize("T", [1, 2, 7, 1000])
def test_as_many_steps_as_levels_visit_every_level(T):
    assert time_grid(T, T).tolist() == list(range(T - 1, -2, -1))


def test_50_steps_of_1000_visit_every_twentieth_level():
    times = time_grid(1000, 50)
    assert times.dtype == torch.int64
    assert times.tolist() == [*range(999, 0, -20), -1]


def test_one_step_goes_to_the_clean_picture_at_once():
    assert time_grid(1000, 1).tolist() == [999, -1]


@pytest.mark.parametrize(
    ("T", "steps"), [(1000, 7), (1000, 999), (10, 3), (1500, 50), (9999, 7777)]
)
def test_steps_that_do_not_divide_T_fall_evenly_to_the_clean_picture(T, steps):
    times = time_grid(T, steps)
    assert len(times) == steps + 1
    assert (times[0], times[-1]) == (T - 1, -1)
    falls = -times.diff()
    assert set(falls.tolist()) <= {T // steps, T // steps + 1}


@pytest.mark.parametrize("steps", [0, -1, 1001])
def test_steps_that_do_not_fit_are_refused(steps):
    with pytest.raises(ValueError, match=f"^steps must be 1 to T = 1000, got {steps}"):
        time_grid(1000, steps)


def test_snap_is_the_nearest_level_and_never_the_clean_picture():
    grid = time_grid(1000, 50)
    t = torch.tensor([999, 990, 989, 988, 500, 20, 10, 0])
    assert snap(grid, t).tolist() == [999, 999, 979, 979, 499, 19, 19, 19]
    assert snap(grid, 300) == 299
    assert torch.equal(snap(grid, grid[:-1]), grid[:-1])
    assert snap(time_grid(1000, 1000), torch.arange(1000)).tolist() == list(range(1000))


def test_snap_takes_the_lower_of_two_equals():
    assert snap(torch.tensor([9, 5, 1, -1]), torch.tensor([7, 3])).tolist() == [5, 1]


def test_pictures_wait_at_their_start_and_rows_in_which_all_wait_are_left_out():
    grid = torch.tensor([9, 7, 4, 2, -1])
    times = times_from(grid, torch.tensor([4, 7, -1, 2]))
    assert times.tolist() == [
        [4, 7, -1, 2],
        [4, 4, -1, 2],
        [2, 2, -1, 2],
        [-1, -1, -1, -1],
    ]
    assert times_from(grid, torch.tensor([9])).flatten().tolist() == grid.tolist()
    assert times_from(grid, torch.tensor([-1, -1])).tolist() == [[-1, -1]]


def test_starts_between_the_levels_are_refused():
    with pytest.raises(ValueError, match=r"^start must be levels of the grid, got \[4, 5\]"):
        times_from(torch.tensor([9, 7, 4, -1]), torch.tensor([4, 5]))

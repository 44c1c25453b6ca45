"""The way back with chosen seeds: who is chosen, and what stands in the sheet."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from core.ddpm.model import DDPM
from core.ddpm.samplers import time_grid
from core.ddpm.schedule import NoiseSchedule, draw_noise
from core.families import open_bundle
from core.judge.explorer import JudgeExplorer
from core.pictures.images import read_sheet, to_pictures
from train.ddpm import bundle as ddpm_bundle
from train.ddpm import way

CPU = torch.device("cpu")


def certain(*named, digits=10):
    """Rows of probabilities: (digit, how surely)."""
    rows = np.empty((len(named), digits))
    for row, (digit, sure) in zip(rows, named, strict=True):
        row[:] = (1 - sure) / (digits - 1)
        row[digit] = sure
    return rows


def test_every_digit_has_its_surest_sample():
    p = certain((1, 0.7), (0, 0.6), (2, 0.9), (1, 0.8), (2, 0.5), (0, 0.95), digits=3)
    assert way.surest_rows(p) == [5, 3, 2]


def test_digits_that_no_sample_shows_take_the_surest_of_what_is_left():
    """0 and 3 are seen in nothing; 1 keeps its surest, whose second best is not theirs to take first."""
    p = certain((1, 0.99), (2, 0.6), (1, 0.98), (1, 0.5), (2, 0.7), digits=4)
    assert way.surest_rows(p) == [2, 0, 4, 1]


def test_of_any_samples_no_seed_is_chosen_twice_and_none_is_surer_of_its_digit(seeded):
    for seed in range(30):
        p = torch.rand(14, 10, generator=seeded(seed), dtype=torch.float64).softmax(dim=1).numpy()
        rows = way.surest_rows(p)
        assert len(set(rows)) == 10
        for digit, row in enumerate(rows):
            of_it = p[p.argmax(axis=1) == digit, digit]
            if len(of_it):
                assert p[row].argmax() == digit
                assert p[row, digit] == of_it.max()


def test_fewer_samples_than_digits_are_refused():
    with pytest.raises(ValueError, match="p must have a row for each of 10 digits"):
        way.surest_rows(np.ones((9, 10)) / 10)


def test_frames_of_a_world_whose_picture_is_known_are_the_closed_form():
    """Where all pictures are 0 the noise of x_t is x_t / sigma_t, and DDIM keeps it: x_t = sigma_t eps."""
    schedule = NoiseSchedule.linear(100)
    sigma = (1 - schedule.alphas_cumprod).sqrt()

    def eps_model(x_t, t):
        return x_t / sigma[t][:, None, None, None].to(x_t)

    seeds = [7, 0, 3]
    found, levels = way.frames(eps_model, schedule, seeds, 50, CPU)
    sources = [torch.Generator().manual_seed(seed) for seed in seeds]
    x_T = draw_noise(torch.empty(3, 3, 32, 32), sources)
    assert found.shape == (len(levels), 3, 32, 32, 3)
    assert (levels[0], levels[-1]) == (100, 0)
    for frame, level in zip(found, levels, strict=True):
        scale = sigma[level - 1] / sigma[99] if level else 0.0
        off = np.abs(frame.astype(int) - to_pictures(x_T * scale).astype(int))
        assert off.max() <= 1


@pytest.mark.parametrize("T", [500, 1000, 1500])
def test_frames_are_spread_evenly_over_how_much_is_picture(T):
    schedule = NoiseSchedule.linear(T)
    grid = time_grid(T, 50)
    places = way.shown_steps(schedule, grid, 21)
    assert (len(places), places[0], places[-1]) == (21, 0, 50)
    signal = schedule.alpha_bar(grid[places]).sqrt().numpy()
    assert np.abs(signal - np.linspace(signal[0], 1, 21)).max() < 0.03


def test_of_a_short_grid_every_step_is_shown_once():
    schedule = NoiseSchedule.linear(6)
    assert way.shown_steps(schedule, time_grid(6, 6), 21) == list(range(7))


def test_the_sheet_is_a_picture_of_ten_columns_and_a_row_a_frame(seeded):
    """Noise at full contrast, which compresses worst, and flat colours, which come back as they were."""
    noise = torch.randint(256, (20, 10, 32, 32, 3), generator=seeded(0)).to(torch.uint8)
    flat = torch.arange(10)[None, :, None, None, None].expand(1, 10, 32, 32, 3) * 25
    shown = torch.cat([noise, flat.to(torch.uint8)]).numpy()
    made = way.sheet_bytes(shown)
    assert Image.open(io.BytesIO(made)).size == (320, 672)
    back = read_sheet(made, 210).reshape(shown.shape)
    assert np.abs(back[-1].astype(int) - shown[-1]).max() <= 3
    of_noise = [np.corrcoef(back[0, i].ravel(), shown[0, i].ravel())[0, 1] for i in range(10)]
    assert min(of_noise) > 0.9


@pytest.fixture(scope="module")
def measured(tiny_ddpm_bundle, tiny_judge_bundle):
    judge = JudgeExplorer(open_bundle(tiny_judge_bundle))
    model = DDPM.from_bundle(open_bundle(tiny_ddpm_bundle))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(way, "SEEDS", 16)
        return model, judge, way.measure(model, judge, CPU)


def test_the_last_row_is_what_the_named_seeds_give(measured):
    model, judge, found = measured
    figures = found.metrics["way"]
    drawn = ddpm_bundle.draw(model.eps, model.schedule, 16, figures["steps"], CPU)
    count = 10 * len(figures["t"])
    last = read_sheet(found.sheets["way"], count)[-10:]
    for picture, seed in zip(last, figures["seeds"], strict=True):
        off = [np.abs(picture.astype(float) - other).mean() for other in drawn]
        assert int(np.argmin(off)) == seed
    seen = judge.judge(drawn[figures["seeds"]])
    np.testing.assert_allclose(figures["confidence"], seen.confidence, atol=0.02)
    assert figures["digit"] == seen.digit.tolist()
    assert figures["of"] == 16
    assert figures["judge"] == judge.bundle.digest


def test_no_figure_of_it_is_an_array_of_the_profiles(measured):
    assert measured[2].profiles == {}


def test_the_card_says_that_seeds_are_chosen_and_which_digit_was_not_found():
    figures = {
        "judge": "abc",
        "steps": 20,
        "of": 200,
        "digit": [0, 1, 2, 3, 4, 5, 8, 7, 8, 9],
        "confidence": [0.9] * 9 + [0.52],
    }
    said = " ".join(way.card_section(figures).split())
    assert "**chosen**: of the first 200" in said
    assert "(52% to 90%)" in said
    assert "For 1 of 10 digits no sample was found: column 6 shows" in said
    assert "takes for a 8" in said
    all_found = way.card_section({**figures, "digit": list(range(10))})
    assert "no sample" not in all_found

import os
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from core.bundles import bundle as bundles
from core.errors import AtelierError
from core.pictures.data import load_split
from core.pictures.images import to_tensor
from train.run import loop

CPU = torch.device("cpu")


def first(*arguments):
    return loop.epoch_generator(*arguments, CPU).initial_seed()


def weights(model, value):
    for parameter in model.parameters():
        nn.init.constant_(parameter, value)


def test_a_generator_depends_on_seed_epoch_and_purpose_alone():
    assert first(1, 2, "train") == first(1, 2, "train")
    variants = [(1, 2, "train"), (2, 2, "train"), (1, 3, "train"), (1, 2, "pace"), (2, 1, "train")]
    assert len({first(*variant) for variant in variants}) == 5
    assert first(1, 12, "train") != first(11, 2, "train")


def test_a_generator_leaves_the_global_one_alone():
    before = torch.random.get_rng_state()
    torch.rand(3, generator=loop.epoch_generator(0, 0, "train", CPU))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_rate_rises_evenly_and_falls_to_the_floor():
    rate = [loop.cosine_rate(step, 1000, warmup=10, floor=0.1) for step in range(1001)]
    np.testing.assert_allclose(np.array(rate[:10]), np.arange(1, 11) / 10, rtol=1e-3)
    assert rate[500] == pytest.approx(0.55)
    assert rate[1000] == pytest.approx(0.1)
    assert (np.diff(rate[10:]) < 0).all()
    assert loop.cosine_rate(5000, 1000, warmup=10, floor=0.1) == pytest.approx(0.1)


def test_without_a_warm_up_the_rate_starts_at_its_peak():
    assert loop.cosine_rate(0, 100, warmup=0) == 1


def test_a_constant_decay_follows_its_closed_form():
    decay, model = 0.1, nn.Linear(2, 2).double()
    weights(model, 5.0)
    average = loop.MovingAverage(model, decay)
    seen = [3.0, -1.0, 4.0, 1.5]
    for value in seen:
        weights(model, value)
        average.update(model)
    expected = decay**4 * 5 + sum(
        (1 - decay) * decay ** (3 - k) * value for k, value in enumerate(seen)
    )
    for value in average.values.values():
        torch.testing.assert_close(value, torch.full_like(value, expected))


def test_a_large_decay_is_approached_in_the_first_updates():
    model = nn.Linear(1, 1).double()
    weights(model, 0.0)
    average = loop.MovingAverage(model, 0.9)
    expected = 0.0
    for n in range(1, 200):
        weights(model, float(n))
        average.update(model)
        decay = min(0.9, (1 + n) / (10 + n))
        expected = decay * expected + (1 - decay) * n
        assert average.values["bias"].item() == pytest.approx(expected)


def test_without_decay_the_average_is_the_model(seeded):
    model = nn.Linear(3, 3)
    average = loop.MovingAverage(model, 0.0)
    for seed in range(3):
        nn.init.normal_(model.weight, generator=seeded(seed))
        average.update(model)
        assert torch.equal(average.values["weight"], model.weight)


def test_buffers_are_copied_and_the_model_is_left_alone(seeded):
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    average = loop.MovingAverage(model, 0.999)
    model(torch.randn(8, 3, generator=seeded()))
    weights(model, 7.0)
    average.update(model)
    assert torch.equal(average.values["1.running_mean"], model[1].running_mean)
    assert average.values["1.num_batches_tracked"] == 1
    assert (model[0].weight == 7).all()
    assert not (average.values["0.weight"] == 7).any()


def test_a_state_comes_back(tmp_path):
    state = {"epoch": 3, "model": {"w": torch.arange(3.0)}, "history": [{"nll": 1.5}]}
    loop.save_state(tmp_path / "state.pt", state)
    found = loop.load_state(tmp_path / "state.pt", CPU)
    assert torch.equal(found["model"].pop("w"), state["model"].pop("w"))
    assert found == state


def test_a_missing_state_is_reported(tmp_path):
    with pytest.raises(AtelierError) as caught:
        loop.load_state(tmp_path / "state.pt", CPU)
    assert caught.value.code == "run-missing"


@pytest.mark.parametrize("kept", [0, 10, -10])
def test_a_truncated_state_is_reported(tmp_path, kept):
    path = tmp_path / "state.pt"
    loop.save_state(path, {"w": torch.zeros(100)})
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(AtelierError) as caught:
        loop.load_state(path, CPU)
    assert caught.value.code == "run-damaged"


class Harmful:
    def __reduce__(self):
        return os.mkdir, (os.environ["HARM"],)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize(
    "save", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))]
)
def test_a_state_that_would_run_code_is_refused_unrun(tmp_path, monkeypatch, save):
    monkeypatch.setenv("HARM", str(tmp_path / "harm"))
    save({"w": Harmful()}, tmp_path / "state.pt")
    with pytest.raises(AtelierError) as caught:
        loop.load_state(tmp_path / "state.pt", CPU)
    assert caught.value.code == "run-damaged"
    assert not (tmp_path / "harm").exists()


def test_a_budget_becomes_epochs_with_five_per_cent_kept_back():
    assert loop.epochs_within(10, seconds_per_epoch=57, seconds_at_end=0) == 10
    assert loop.epochs_within(10, seconds_per_epoch=57, seconds_at_end=1) == 9
    assert loop.epochs_within(10, seconds_per_epoch=57, seconds_at_end=0, most=4) == 4


@pytest.mark.parametrize("end", [0, 1e6])
def test_a_budget_too_small_for_one_epoch_is_one_epoch(end):
    assert loop.epochs_within(0.01, seconds_per_epoch=60, seconds_at_end=end) == 1


@pytest.mark.parametrize("minutes", [1e9, 1e300, 1e308])
def test_no_budget_means_more_epochs_than_a_bundle_can_name(minutes):
    assert loop.epochs_within(minutes, seconds_per_epoch=0.001, seconds_at_end=30) == 9999
    assert bundles.PROGRESS_FILE.fullmatch(f"progress/epoch-{loop.MOST_EPOCHS:04d}-samples.jpg")


def test_a_longer_budget_never_means_fewer_epochs():
    epochs = [loop.epochs_within(minutes, 7, 30) for minutes in np.linspace(0, 50, 300)]
    assert epochs == sorted(epochs)


def test_a_step_is_timed_after_its_warm_up():
    calls = []
    seconds = loop.seconds_per_call(lambda: calls.append(1), CPU, warmup=3, runs=8)
    assert len(calls) == 11
    assert seconds > 0


@pytest.mark.parametrize("epochs", [1, 4, 5, 12, 100, 190, 195, 196, 200, 1000, 3001])
def test_snapshots_start_at_zero_end_at_the_last_and_are_at_most_forty(epochs):
    shown = loop.snapshot_epochs(epochs)
    assert shown == sorted(set(shown))
    assert (shown[0], shown[-1]) == (0, epochs)
    assert len(shown) <= 40
    assert all(epoch % 5 == 0 for epoch in shown[:-1])


def test_snapshots_come_every_fifth_epoch_while_they_fit():
    assert loop.snapshot_epochs(12) == [0, 5, 10, 12]
    assert loop.snapshot_epochs(195) == list(range(0, 196, 5))
    assert len(loop.snapshot_epochs(200)) == 40


def test_pictures_on_the_device_are_those_of_core(make_digits):
    pictures, _ = make_digits(4, 0)
    levels = loop.resident(pictures, CPU)
    assert levels.dtype == torch.uint8
    assert torch.equal(loop.as_float(levels), to_tensor(pictures))


def test_a_set_on_the_device_keeps_each_label_with_its_picture():
    test_set = load_split("svhn", "test")
    held = loop.Resident.of(test_set, CPU)
    assert held.levels.dtype == torch.uint8
    assert held.levels.shape == (40, 3, 32, 32)
    assert held.labels.dtype == torch.int64
    for row in (0, 7, 39):
        assert held.labels[row] == test_set.labels[row]
        assert torch.equal(
            loop.as_float(held.levels[row : row + 1])[0], to_tensor(test_set.pictures)[row]
        )


def test_a_device_is_taken_by_name():
    assert loop.pick_device("cpu") == CPU
    assert loop.device_name(CPU).startswith("CPU, ")


@pytest.mark.parametrize("name", ["foo", "", "meta", "cuda:x", "gpu", "CUDA"])
def test_what_is_no_device_is_refused(name):
    with pytest.raises(ValueError, match=r"^device must be cuda, mps or cpu, got"):
        loop.pick_device(name)


@pytest.mark.parametrize("name", ["cuda:99", "cpu:1", "mps:1"])
def test_a_device_that_is_not_here_is_named(name):
    with pytest.raises(AtelierError, match=f"PyTorch finds no {name} on this machine") as caught:
        loop.pick_device(name)
    assert caught.value.code == "device-missing"


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_an_accelerator_is_taken_where_there_is_one_alone(name, monkeypatch):
    module = {"cuda": torch.cuda, "mps": torch.backends.mps}[name]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(module, "is_available", lambda: True)
    assert loop.pick_device(name) == torch.device(name)
    monkeypatch.setattr(module, "is_available", lambda: False)
    with pytest.raises(AtelierError, match=f"no {name} on"):
        loop.pick_device(name)


@pytest.mark.parametrize("content", [b"", b"PK\3\4 torn", b"no state"])
def test_a_state_that_is_damaged_says_so(tmp_path, content):
    (tmp_path / "state.pt").write_bytes(content)
    with pytest.raises(AtelierError) as caught:
        loop.load_state(tmp_path / "state.pt", CPU)
    assert caught.value.code == "run-damaged"


def test_a_state_that_may_not_be_read_is_not_called_damaged(tmp_path):
    (tmp_path / "state.pt").mkdir()
    with pytest.raises(IsADirectoryError):
        loop.load_state(tmp_path / "state.pt", CPU)

import json
import math
import shutil
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from torch.nn import functional as F

from core.families import open_bundle
from core.judge.calibration import fit_temperature
from core.judge.explorer import JudgeExplorer, golden_deviation
from core.judge.frechet import frechet_distance
from core.judge.model import Judge
from core.pictures.data import load_split
from core.pictures.images import to_tensor
from train.__main__ import main
from train.judge import bundle as judge_bundle
from train.judge import trainer as judge
from train.release import verify
from train.run import loop
from train.run.augment import DigitAugmentation, without_digit

CPU = torch.device("cpu")
SECONDS = {"seconds", "seconds_train", "seconds_total"}
EPOCHS = 12
LEARNS = judge.JudgeTraining(
    epochs=EPOCHS,
    batch_size=16,
    warmup_steps=4,
    learning_rate=2e-2,
    average_decay=0.8,
    label_smoothing=0.1,
    mixup=0.0,
    digitless=0.0,
    augmentation=DigitAugmentation(),
)


def put(folder, write_shard, pictures, labels, split):
    order = np.random.default_rng(5).permutation(len(labels))  # digits come in no order
    file = folder / "ufldl-stanford/svhn/cropped_digits" / f"{split}-00000-of-00001.parquet"
    write_shard(file, pictures[order], labels[order])


@pytest.fixture(scope="module")
def digits(tmp_path_factory, make_digits, write_shard):
    """Enough drawn digits to learn from; 1 is rarer among the test digits than the others."""
    folder = tmp_path_factory.mktemp("digits")
    put(folder, write_shard, *make_digits(240, 0), "train")
    pictures, labels = make_digits(80, 1)
    kept = np.ones(len(labels), dtype=bool)
    kept[np.flatnonzero(labels == 1)[:3]] = False
    put(folder, write_shard, pictures[kept], labels[kept], "test")
    return folder


@pytest.fixture(autouse=True)
def enough_data(digits, monkeypatch):
    monkeypatch.setenv("ATELIER_DATA_DIR", str(digits))


@pytest.fixture(scope="module")
def uninterrupted(digits, tiny_judge, tmp_path_factory):
    run = tmp_path_factory.mktemp("whole") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ATELIER_DATA_DIR", str(digits))
        judge.start(run, tiny_judge, LEARNS, device=CPU)
    return run


@pytest.fixture
def bundle(uninterrupted):
    return open_bundle(uninterrupted / "bundle", family="judge")


@pytest.fixture
def model(bundle):
    return Judge.from_bundle(bundle)


@pytest.fixture
def copy(uninterrupted, tmp_path):
    return shutil.copytree(uninterrupted / "bundle", tmp_path / "bundle")


def new_trainer(config, training=LEARNS, labels=None):
    trained, tested = (loop.Resident.of(load_split("svhn", s), CPU) for s in ("train", "test"))
    if labels is not None:
        trained = replace(trained, labels=labels(trained.labels))
    return judge.Trainer(config, training, CPU, trained, tested)


def state(run):
    return loop.load_state(run / "state.pt", CPU)


def timeless(history):
    return [{key: value for key, value in row.items() if key not in SECONDS} for row in history]


def interrupt_before(epoch, monkeypatch):
    whole = judge.Trainer.run_epoch

    def interrupted(trainer, bar=None):
        if trainer.epoch == epoch:
            raise KeyboardInterrupt
        return whole(trainer, bar)

    monkeypatch.setattr(judge.Trainer, "run_epoch", interrupted)


def edit_json(file, change):
    value = json.loads(file.read_text())
    change(value)
    file.write_text(json.dumps(value))


def of_test(model):
    """Calibrated logits and features of the test digits in one batch, and their labels."""
    test_set = load_split("svhn", "test")
    with torch.no_grad():
        features = model.features(to_tensor(test_set.pictures))
        logits = model.answer(features) / model.temperature
    return logits.double(), features.double().numpy(), torch.from_numpy(test_set.labels)


def best_temperature(logits, labels):
    """By bisection: the cross-entropy has one minimum along the logarithm."""
    low, high = np.log(0.01), np.log(100)
    for _ in range(100):
        a, b = low + (high - low) / 3, high - (high - low) / 3
        fa, fb = (float(F.cross_entropy(logits / np.exp(at), labels)) for at in (a, b))
        low, high = (low, b) if fa < fb else (a, high)
    return float(np.exp((low + high) / 2))


def crossed(model):
    """Probabilities of the test digits, each half with the temperature of the other half."""
    logits, _, labels = of_test(model)
    raw = logits * float(model.temperature)
    p = torch.empty_like(raw)
    for half in (0, 1):
        p[half::2] = (
            raw[half::2] / best_temperature(raw[1 - half :: 2], labels[1 - half :: 2])
        ).softmax(1)
    return p.numpy(), labels.numpy()


def calibration_error(p, labels):
    """Over 15 bins: share of pictures times the gap between confidence and accuracy."""
    sure, right = p.max(1), p.argmax(1) == labels
    error = 0.0
    for low in range(15):
        inside = (sure >= low / 15) & ((sure < (low + 1) / 15) | (low == 14))
        if inside.any():
            error += inside.mean() * abs(right[inside].mean() - sure[inside].mean())
    return error


# ---------------------------------------------------------------- the run


def test_drawn_digits_are_learnt(uninterrupted, tiny_judge):
    untrained = new_trainer(tiny_judge)
    before = untrained.evaluate(untrained.averaged_model())
    history = state(uninterrupted)["history"]
    assert before["test_accuracy"] < 0.3
    assert history[-1]["test_accuracy"] > 0.6
    assert history[-1]["train_accuracy"] > 0.6
    assert history[-1]["test_loss"] < 0.7 * before["test_loss"]
    assert history[-1]["train_loss"] < history[0]["train_loss"]


def test_nothing_is_learnt_from_labels_of_other_pictures(tiny_judge, seeded):
    trainer = new_trainer(
        tiny_judge, labels=lambda labels: labels[torch.randperm(len(labels), generator=seeded(1))]
    )
    for trainer.epoch in range(EPOCHS):
        trainer.run_epoch()
    assert trainer.evaluate(trainer.averaged_model())["test_accuracy"] < 0.4


@pytest.mark.parametrize(("smoothing", "mixup"), [(0.0, 0.0), (0.1, 0.0), (0.0, 1.0), (0.1, 0.5)])
def test_one_step_takes_the_gradient_of_the_cross_entropy_of_its_rows(
    tiny_judge, seeded, smoothing, mixup
):
    """Of augmented pictures, some blended, against the labels that went into each, by hand."""
    augmentation = DigitAugmentation(rotation=20.0, shear=0.3, invert=0.5)
    training = replace(LEARNS, label_smoothing=smoothing, mixup=mixup, augmentation=augmentation)
    trainer, twin = new_trainer(tiny_judge, training), new_trainer(tiny_judge, training).model
    rows, generator = torch.arange(200, 0, -9), seeded(4)
    x, labels = trainer.augmented_batch(rows, generator), trainer.trained.labels[rows]
    assert not torch.equal(labels, trainer.trained.labels[: len(rows)])
    chance, share = torch.rand(2, len(rows), generator=generator)
    share[chance >= mixup] = 1
    other = torch.randperm(len(rows), generator=generator)
    assert (share < 1).double().mean().item() == pytest.approx(mixup, abs=0.3)
    assert (share < 0.5).any() == bool(mixup)
    x = torch.stack([s * a + (1 - s) * b for s, a, b in zip(share, x, x[other], strict=True)])
    logits = twin.train()(x.contiguous(memory_format=torch.channels_last))
    own = F.one_hot(labels, 10)
    target = share[:, None] * own + (1 - share[:, None]) * own[other]
    target = (1 - smoothing) * target + smoothing / 10
    expected = -(target * logits.log_softmax(1)).sum(1).mean()
    expected.backward()
    loss, right = trainer.step(rows, 0, seeded(4))
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    stronger = [int(labels[i] if share[i] >= 0.5 else labels[other[i]]) for i in range(len(rows))]
    answers = logits.argmax(1).tolist()
    hits = sum(answer == digit for answer, digit in zip(answers, stronger, strict=True))
    assert right.item() == pytest.approx(hits / len(rows))
    for (name, found), wanted in zip(
        trainer.model.named_parameters(), twin.parameters(), strict=True
    ):
        torch.testing.assert_close(found.grad, wanted.grad, rtol=1e-3, atol=1e-5, msg=name)


def test_blended_pictures_teach_too(tiny_judge):
    trainer = new_trainer(tiny_judge, replace(LEARNS, mixup=0.5))
    for trainer.epoch in range(EPOCHS):
        row = trainer.run_epoch()
    assert trainer.evaluate(trainer.averaged_model())["test_accuracy"] > 0.4
    assert row["train_accuracy"] > 0.3


def test_training_leaves_the_temperature_alone(uninterrupted):
    saved = state(uninterrupted)
    assert saved["model"]["temperature"] == saved["average"]["temperature"] == 1


def test_an_epoch_reports_the_means_over_its_steps(tiny_judge):
    steps = [(torch.tensor(2.0), torch.tensor(0.25)), (torch.tensor(1.0), torch.tensor(0.75))]
    row = new_trainer(tiny_judge).summary(steps)
    assert row == {"train_loss": 1.5, "train_accuracy": 0.5}


def test_every_row_of_the_history_has_the_promised_figures(bundle, tiny_judge, uninterrupted):
    assert [row["epoch"] for row in bundle.history] == list(range(1, EPOCHS + 1))
    figures = {"train_loss", "train_accuracy", "test_loss", "test_accuracy"}
    for row in bundle.history:
        assert set(row) == {"epoch", "updates", *figures, *SECONDS}
        assert 0 <= row["train_accuracy"] <= 1
    averaged = Judge(tiny_judge).eval()
    averaged.load_state_dict(state(uninterrupted)["average"])
    logits, _, labels = of_test(averaged)
    last = bundle.history[-1]
    assert last["test_loss"] == pytest.approx(float(F.cross_entropy(logits, labels)), rel=1e-5)
    assert last["test_accuracy"] == pytest.approx((logits.argmax(1) == labels).double().mean())


def test_a_resumed_run_is_bit_for_bit_the_uninterrupted_one(
    uninterrupted, tiny_judge, tmp_path, monkeypatch
):
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        interrupt_before(EPOCHS - 2, patch)
        with pytest.raises(KeyboardInterrupt):
            judge.start(run, tiny_judge, LEARNS, device=CPU)
    assert state(run)["epoch"] == EPOCHS - 2
    bundle = judge.resume(run, device=CPU)
    a, b = state(run), state(uninterrupted)
    for part in ("model", "average"):
        torch.testing.assert_close(a[part], b[part], rtol=0, atol=0)
    torch.testing.assert_close(a["optimizer"]["state"], b["optimizer"]["state"], rtol=0, atol=0)
    assert timeless(a["history"]) == timeless(b["history"])
    others = ("model.safetensors", "profiles.safetensors", "golden.safetensors", "metrics.json")
    for name in (*others, "config.json"):
        other = uninterrupted / "bundle" / name
        assert (bundle / name).read_bytes() == other.read_bytes()


def test_ctrl_c_keeps_the_last_whole_epoch_and_finish_makes_a_bundle_of_it(
    tmp_path, tiny_judge, monkeypatch, capsys
):
    monkeypatch.setitem(judge.PRESETS, "default", tiny_judge)
    run = tmp_path / "run"
    command = ["judge", "--run", str(run), "--device", "cpu"]
    with monkeypatch.context() as patch:
        interrupt_before(1, patch)
        assert main([*command, "--epochs", "3", "--batch-size", "32"]) == 1
    assert "--finish" in capsys.readouterr().err
    assert main([*command, "--finish"]) == 0
    found = open_bundle(run / "bundle", family="judge")
    assert found.config["training"]["epochs_done"] == 1
    assert found.config["training"]["epochs"] == 3
    assert len(found.history) == 1
    assert golden_deviation(found) <= 1e-4


def test_minutes_become_epochs(tmp_path, tiny_judge):
    judge.start(tmp_path / "run", tiny_judge, LEARNS, minutes=1e-4, device=CPU)
    assert len(state(tmp_path / "run")["history"]) == 1


# ---------------------------------------------------------------- its temperature


def test_the_temperature_of_the_weights_is_that_of_the_figures(bundle, model):
    stored = load_file(bundle.folder / "model.safetensors")["temperature"]
    assert stored.dtype == np.float16
    assert float(stored) == bundle.metrics["test"]["temperature"] == float(model.temperature)
    assert float(stored) != 1
    golden = load_file(bundle.folder / "golden.safetensors")
    raw = F.linear(torch.from_numpy(golden["output.features"]), *model.answer.parameters())
    np.testing.assert_allclose(golden["output.logits"], raw.detach() / float(stored), rtol=1e-4)


def test_no_other_temperature_suits_the_test_digits_better(model):
    logits, _, labels = of_test(model)
    best = float(F.cross_entropy(logits, labels))
    for factor in (0.97, 1.03, 1 / float(model.temperature)):
        assert float(F.cross_entropy(logits / factor, labels)) > best


def test_the_temperature_makes_the_judge_say_what_it_knows(bundle):
    test = bundle.metrics["test"]
    assert test["calibration_error"] < test["calibration_error_uncalibrated"] - 0.05


@pytest.mark.parametrize("before", [1.0, 3.0])
def test_calibrating_goes_on_from_the_temperature_at_hand(model, before):
    """The best temperature is the same wherever one starts, and the judge given keeps its own."""
    best = float(model.temperature)
    model.temperature.fill_(before)
    test_set = loop.Resident.of(load_split("svhn", "test"), CPU)
    found = judge_bundle.calibrated(model, test_set.levels, test_set.labels)
    assert float(found.temperature) == pytest.approx(best, rel=0.02)  # float16 weights
    assert float(model.temperature) == before


# ---------------------------------------------------------------- its figures


def test_each_half_is_judged_with_the_temperature_of_the_other(bundle, model):
    p, labels = crossed(model)
    test = bundle.metrics["test"]
    chosen = p[np.arange(len(labels)), labels]
    assert test["cross_entropy"] == pytest.approx(-np.log(chosen).mean(), rel=1e-4)
    assert test["calibration_error"] == pytest.approx(calibration_error(p, labels), abs=1e-4)
    sure = p.max(1) >= 0.9
    assert 0 < sure.sum() < len(sure)
    assert test["sure"] == pytest.approx(sure.mean())
    assert test["accuracy_of_sure"] == pytest.approx((p.argmax(1) == labels)[sure].mean())
    # Their own temperatures would flatter: the figures are the honest, worse ones.
    logits, _, truth = of_test(model)
    assert test["cross_entropy"] > float(F.cross_entropy(logits, truth))


def test_the_uncalibrated_error_is_that_at_temperature_one(bundle, model):
    logits, _, labels = of_test(model)
    p = (logits * float(model.temperature)).softmax(1).numpy()
    assert bundle.metrics["test"]["calibration_error_uncalibrated"] == pytest.approx(
        calibration_error(p, labels.numpy()), abs=1e-4
    )


def test_the_figures_are_of_the_raw_answers_whatever_the_temperature(model):
    tested = loop.Resident.of(load_split("svhn", "test"), CPU)
    figures, _ = judge_bundle.test_figures(model, tested.levels, tested.labels)
    model.temperature.fill_(7.0)
    others, _ = judge_bundle.test_figures(model, tested.levels, tested.labels)
    assert others.pop("temperature") == 7
    del figures["temperature"]
    assert others == pytest.approx(figures, rel=1e-4)


def test_confusion_counts_every_test_digit_by_its_class_and_its_answer(bundle, model):
    test_set = load_split("svhn", "test")
    confusion = bundle.profiles["confusion"]
    np.testing.assert_array_equal(confusion.sum(1), np.bincount(test_set.labels, minlength=10))
    assert np.trace(confusion) / len(test_set) == bundle.metrics["test"]["accuracy"]
    assert not np.array_equal(confusion, confusion.T)
    logits, _, _ = of_test(model)
    for truth in range(10):
        answers = logits.argmax(1).numpy()[test_set.labels == truth]
        np.testing.assert_array_equal(confusion[truth], np.bincount(answers, minlength=10))


def test_the_reliability_arrays_tell_the_calibration_error(bundle, model):
    profiles, test = bundle.profiles, bundle.metrics["test"]
    count = profiles["reliability_count"]
    assert len(count) == 15
    assert count.sum() == test["pictures"] == len(load_split("svhn", "test"))
    gaps = np.abs(profiles["reliability_confidence"] - profiles["reliability_accuracy"])
    assert (gaps * count).sum() / count.sum() == pytest.approx(test["calibration_error"], abs=1e-5)
    right = (profiles["reliability_accuracy"] * count).sum()
    assert right / count.sum() == pytest.approx(test["accuracy"], abs=1e-6)
    p, _ = crossed(model)
    assert (profiles["reliability_confidence"] * count).sum() == pytest.approx(
        p.max(1).sum(), rel=1e-4
    )


def test_a_judge_that_is_sure_of_nothing_has_no_accuracy_there(tiny_judge):
    untrained = Judge(tiny_judge).eval()
    torch.nn.init.zeros_(untrained.answer.weight)
    torch.nn.init.zeros_(untrained.answer.bias)
    tested = loop.Resident.of(load_split("svhn", "test"), CPU)
    figures, _ = judge_bundle.test_figures(untrained, tested.levels, tested.labels)
    assert figures["sure"] == figures["accuracy_of_sure"] == 0
    assert figures["cross_entropy"] == pytest.approx(np.log(10))


def test_a_judge_of_brightness_alone_is_sure_where_no_digit_is(tiny_judge):
    """Digits gone, colours kept: a judge that reads brightness says there what it said before."""
    grey = torch.cat([torch.full((30, 3, 32, 32), 40), torch.full((10, 3, 32, 32), 220)]).byte()

    class Brightness(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.tensor(100.0))

        def forward(self, x):
            bright = x.mean(dim=(1, 2, 3)) * self.scale
            return torch.nn.functional.pad(
                bright[:, None], (1, 8)
            )  # 1 where bright, else 0 or more

    found = judge_bundle.digitless_figures(Brightness(), grey)
    for kind in ("wiped", "scrambled"):  # both keep the brightness
        expected = {"pictures": 40, "sure": 0.25, "most_read": 0, "share_of_most_read": 0.75}
        assert found[kind] == expected
    assert found["clouds"]["pictures"] == 2000
    assert 0.2 < found["clouds"]["sure"] < 0.5  # half are bright, some of them only just


def test_where_the_strokes_are_wiped_out_a_judge_of_strokes_is_not_sure():
    """Stripes a pixel wide: gone where the digit is, in their place in a scrambled picture."""
    stripes = torch.zeros(40, 3, 32, 32, dtype=torch.uint8)
    stripes[..., ::2] = 255

    class Strokes(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.tensor(100.0))

        def forward(self, x):
            strong = (x.diff(dim=3).abs().mean(dim=(1, 2, 3)) - 0.5) * self.scale
            return torch.nn.functional.pad(strong[:, None], (7, 2))

    found = judge_bundle.digitless_figures(Strokes(), stripes)
    assert (found["scrambled"]["sure"], found["scrambled"]["most_read"]) == (1, 7)
    assert found["wiped"]["sure"] == found["clouds"]["sure"] == 0


def test_a_scrambled_picture_has_the_same_patches_in_other_places(seeded):
    x = torch.rand(20, 3, 32, 32, generator=seeded(0))
    made = judge_bundle.scrambled(x, seeded(1))

    def patches(pictures):
        cut = pictures.unfold(2, 8, 8).unfold(3, 8, 8)  # (N, 3, 4, 4, 8, 8)
        return cut.permute(0, 2, 3, 1, 4, 5).reshape(len(pictures), 16, -1)

    before, after = patches(x), patches(made)
    same = (before[:, :, None] == after[:, None]).all(dim=3)  # (N, before, after)
    assert (same.sum(dim=1) == 1).all()
    assert (same.sum(dim=2) == 1).all()
    assert same.diagonal(dim1=1, dim2=2).double().mean() < 0.2  # few stay where they were


def test_the_bundle_says_how_sure_it_is_without_a_digit(bundle, model):
    tested = loop.resident(load_split("svhn", "test").pictures, CPU)
    assert bundle.metrics["digitless"] == judge_bundle.digitless_figures(model, tested)
    share = f"{bundle.metrics['digitless']['clouds']['sure']:.1%}"
    assert f"| in clouds of random colour | {share} |" in bundle.card


def test_pictures_are_judged_alike_in_batches_of_any_size(model, monkeypatch):
    logits, features, _ = of_test(model)
    levels = loop.resident(load_split("svhn", "test").pictures, CPU)
    for batch in (30, 256):
        monkeypatch.setattr(judge_bundle, "BATCH", batch)
        found = judge_bundle.features_of(model, levels), judge_bundle.logits_of(model, levels)
        np.testing.assert_allclose(found[0], features, atol=1e-4)
        np.testing.assert_allclose(found[1], logits, atol=1e-3)


def test_statistics_of_features_are_those_of_the_test_digits(bundle, model):
    _, features, _ = of_test(model)
    profiles, figures = bundle.profiles, bundle.metrics["features"]
    np.testing.assert_allclose(profiles["feature_mean"], features.mean(0), rtol=1e-4)
    covariance = np.cov(features, rowvar=False)
    np.testing.assert_allclose(
        profiles["feature_covariance"], covariance, atol=1e-4 * covariance.max()
    )
    assert figures["dimension"] == features.shape[1] == 8
    # The explorer measures Frechet distances to them: of the test digits to themselves, none.
    again = JudgeExplorer(bundle).quality(load_split("svhn", "test").pictures)
    assert again.frechet == pytest.approx(0, abs=1e-3)
    assert again.diversity == pytest.approx(1, rel=1e-4)


def test_distances_of_test_digits_are_those_of_every_pair(bundle, model):
    _, features, labels = of_test(model)
    apart = {
        (i, j): np.sqrt(np.square(features[i] - features[j]).sum())
        for i, j in combinations(range(len(features)), 2)
    }
    other = [value for (i, j), value in apart.items() if labels[i] != labels[j]]
    figures = bundle.metrics["features"]
    assert figures["median_distance_other_digit"] == pytest.approx(np.median(other), rel=1e-4)
    assert figures["mean_distance"] == pytest.approx(np.mean(list(apart.values())), rel=1e-4)
    assert figures["median_distance_other_digit"] != pytest.approx(
        np.median(list(apart.values())), rel=1e-4
    )


def test_frechet_of_real_to_real_is_the_mean_over_splits_into_halves(bundle, model):
    _, features, _ = of_test(model)
    draws, found = np.random.default_rng(0), []
    for _ in range(judge_bundle.SPLITS):
        order = draws.permutation(len(features))
        half = len(features) // 2
        found.append(frechet_distance(features[order[:half]], features[order[half:]]))
    assert len(set(found)) == judge_bundle.SPLITS
    assert bundle.metrics["features"]["frechet_halves_of_test"] == pytest.approx(
        np.mean(found), rel=1e-3
    )


def test_frechet_of_training_digits_takes_some_spread_over_the_set(model, monkeypatch):
    monkeypatch.setattr(judge_bundle, "FRECHET_PICTURES", 60)
    trained, tested = (loop.Resident.of(load_split("svhn", s), CPU) for s in ("train", "test"))
    figures, _ = judge_bundle.feature_figures(model, trained.levels, tested.levels, tested.labels)
    with torch.no_grad():
        features = model.features(to_tensor(load_split("svhn", "train").pictures[::4])).numpy()
    assert figures["frechet_training_pictures"] == len(features) == 60
    assert figures["frechet_training_against_test"] == pytest.approx(
        frechet_distance(features, of_test(model)[1]), rel=1e-3
    )


# ---------------------------------------------------------------- its bundle


def test_no_picture_is_in_the_bundle(bundle, uninterrupted):
    """No sheet, and no array large enough for one but the generated golden input."""
    assert not any("progress" in name for name in bundle.sha256)
    assert not list(bundle.folder.rglob("*.jpg"))
    assert not list(uninterrupted.rglob("*.jpg"))
    assert max(value.size for value in bundle.profiles.values()) <= 100
    x = bundle.arrays("golden.safetensors")["input.x"]
    uniform = torch.rand(x.shape, generator=torch.Generator().manual_seed(0)).numpy()
    np.testing.assert_allclose(x, 2 * uniform - 1, atol=1e-6)
    assert "No picture of the data set is in this folder" in bundle.card


def test_the_bundle_gives_its_golden_output(bundle):
    assert golden_deviation(bundle) <= 1e-4


def test_weights_are_stored_in_float16(bundle):
    weights = load_file(bundle.folder / "model.safetensors")
    floating = {v.dtype for k, v in weights.items() if not k.endswith("num_batches_tracked")}
    assert floating == {np.dtype(np.float16)}


def test_the_weights_are_the_averaged_ones(bundle, uninterrupted):
    stored, saved = load_file(bundle.folder / "model.safetensors"), state(uninterrupted)
    for name, value in saved["average"].items():
        if name != "temperature":
            np.testing.assert_array_equal(stored[name], value.numpy().astype(stored[name].dtype))
    assert not torch.equal(saved["average"]["answer.weight"], saved["model"]["answer.weight"])


def test_the_card_shows_the_figures_of_the_metrics(bundle, model):
    test, features = bundle.metrics["test"], bundle.metrics["features"]
    shown = {
        "accuracy": f"{test['accuracy']:.2%}",
        "expected calibration error": f"{test['calibration_error']:.4f}",
        "the same before the temperature": f"{test['calibration_error_uncalibrated']:.4f}",
        "temperature": f"{test['temperature']:.3f}",
        "sure of (p at least 0.9)": f"{test['sure']:.1%}",
        "accuracy of those": f"{test['accuracy_of_sure']:.2%}",
        "Frechet distance in its features, half of the test digits to the other half": (
            f"{features['frechet_halves_of_test']:.2f}"
        ),
    }
    for words, figure in shown.items():
        assert f"| {words} | {figure} |" in bundle.card
    assert len(set(shown.values())) == len(shown)
    parameters = sum(value.numel() for value in model.parameters())
    assert f"{parameters:,} parameters" in bundle.card
    assert "SVHN subset (train), 240 pictures" in bundle.card
    assert "SVHN subset (test), 77 pictures" in bundle.card
    assert "non-commercial" in bundle.card
    assert bundle.metrics["protocol"] in bundle.card


def test_the_configuration_says_what_was_trained_on_what(bundle, tiny_judge):
    config = bundle.config
    assert config["architecture"] == tiny_judge.plain()
    assert config["training"]["label_smoothing"] == 0.1
    assert config["data"]["fingerprint"] == load_split("svhn", "train").fingerprint()
    assert config["data"]["test_fingerprint"] == load_split("svhn", "test").fingerprint()


# ---------------------------------------------------------------- verified


def test_verify_finds_every_figure_again_and_names_the_bar(uninterrupted, bundle, capsys):
    assert main(["verify", str(uninterrupted / "bundle"), "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    assert "every figure agrees" in said
    assert "DIFFERS" not in said
    accuracy = bundle.metrics["test"]["accuracy"]
    assert accuracy < 0.94
    assert f"bar test.accuracy >= 0.94: {accuracy:.6g}, MISSED" in said


@pytest.mark.parametrize(
    "change",
    [
        lambda metrics: metrics["test"].update(temperature=metrics["test"]["temperature"] + 0.01),
        lambda metrics: metrics["test"].update(accuracy=1.0),
        lambda metrics: metrics["features"].update(median_distance_other_digit=9.0),
        lambda metrics: metrics["features"].pop("mean_distance"),
    ],
    ids=["temperature", "accuracy", "median", "absent"],
)
def test_verify_finds_an_altered_figure(copy, change, capsys):
    edit_json(copy / "metrics.json", change)
    assert main(["verify", str(copy), "--device", "cpu"]) == 1
    assert "DIFFERS" in capsys.readouterr().out


def test_verify_finds_an_altered_profile_and_an_altered_card(copy, capsys):
    arrays = load_file(copy / "profiles.safetensors")
    arrays["confusion"] = arrays["confusion"][::-1].copy()
    save_file(arrays, copy / "profiles.safetensors")
    card = (copy / "README.md").read_text()
    (copy / "README.md").write_text(card.replace("| temperature |", "| temperature | 1.0 or"))
    assert main(["verify", str(copy), "--device", "cpu"]) == 1
    said = capsys.readouterr().out
    assert any("confusion" in line and "DIFFERS" in line for line in said.splitlines())
    assert "the card does not say what the figures say  DIFFERS" in said
    assert "2 figures differ" in said


@pytest.mark.parametrize(
    ("at_least", "value", "met"),
    [
        (True, 0.94, True),
        (True, 0.95, True),
        (True, 0.93, False),
        (False, 0.94, True),
        (False, 0.95, False),
        (False, 0.93, True),
    ],
)
def test_a_bar_is_met_from_its_own_side(at_least, value, met):
    assert verify.Bar("test.accuracy", 0.94, "", at_least=at_least).met(value) is met


def test_bars_are_asked_of_known_pictures_alone(bundle):
    (bar,) = verify.bars(bundle, {})
    assert (bar.figure, bar.limit, bar.at_least) == ("test.accuracy", 0.94, True)
    data = {**bundle.config["data"], "name": "folder"}
    others = replace(bundle, config={**bundle.config, "data": data})
    assert list(verify.bars(others, {})) == []


def test_the_temperature_is_found_as_core_finds_it(model):
    logits, _, labels = of_test(model)
    raw = logits * float(model.temperature)
    assert best_temperature(raw, labels) == pytest.approx(fit_temperature(raw, labels), rel=1e-4)


def test_a_picture_without_a_digit_has_its_colours_and_nothing_else(seeded):
    x = (torch.rand(200, 3, 1, 1, generator=seeded(1)) * 1.6 - 0.8).repeat(1, 1, 32, 32)
    x[:, :, 8:24, 14:18] = 1  # a stroke
    made = without_digit(x, seeded(0))
    assert made.shape == x.shape
    greys = (made.mean(dim=(2, 3)).std(dim=1) < 0.02).double().mean()
    assert 0.2 < greys < 0.4
    kept = made.mean(dim=(2, 3)).mean(dim=1)
    torch.testing.assert_close(kept, x.mean(dim=(1, 2, 3)), atol=0.06, rtol=0)
    # The stroke is gone: its place is no brighter than where it was not, but for the blend.
    middle, sides = made[:, :, 12:20, 14:18].mean(), made[:, :, 12:20, [2, 3, 28, 29]].mean()
    assert abs(middle - sides) < 0.05


def test_pictures_without_a_digit_are_taught_every_answer(tiny_judge, seeded):
    """With nothing else to learn from, the loss ends at that of the uniform guess, log 10."""
    trainer = new_trainer(tiny_judge, replace(LEARNS, digitless=1.0))
    rows = torch.arange(64)
    losses = [trainer.step(rows, number, seeded(number)) for number in range(60)]
    loss, right = losses[-1]
    assert float(right) == 0  # none of them has a right answer
    assert float(loss) == pytest.approx(math.log(10), abs=0.05)
    assert float(losses[0][0]) >= math.log(10)

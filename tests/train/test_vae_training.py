import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from core.errors import AtelierError
from core.pictures.data import load_split
from core.pictures.images import to_tensor
from core.vae.model import VAE
from train.__main__ import main
from train.run import loop
from train.run.augment import DigitAugmentation
from train.run.budget import measure_pace
from train.vae import trainer as vae

CPU = torch.device("cpu")
ROOT = Path(__file__).parents[2]
SECONDS = {"seconds", "seconds_train", "seconds_total"}
THREE_EPOCHS = vae.VAETraining(epochs=3, batch_size=16, warmup_steps=2)


def trained(run, config, **options):
    return vae.start(run, config, THREE_EPOCHS, device=CPU, **options)


def state(run):
    return loop.load_state(run / "state.pt", CPU)


def same_run(a, b):
    torch.testing.assert_close(a["model"], b["model"], rtol=0, atol=0)
    torch.testing.assert_close(a["average"], b["average"], rtol=0, atol=0)
    moments = [s["optimizer"]["state"] for s in (a, b)]
    torch.testing.assert_close(*moments, rtol=0, atol=0)
    timeless = [
        [{key: value for key, value in row.items() if key not in SECONDS} for row in s["history"]]
        for s in (a, b)
    ]
    assert timeless[0] == timeless[1]
    assert a["epoch"] == b["epoch"]


def interrupt_before(epoch, monkeypatch):
    whole = vae.Trainer.run_epoch

    def interrupted(trainer, bar=None):
        if trainer.epoch == epoch:
            raise KeyboardInterrupt
        return whole(trainer, bar)

    monkeypatch.setattr(vae.Trainer, "run_epoch", interrupted)


def new_trainer(config, training=THREE_EPOCHS):
    sets = [loop.Resident.of(load_split("svhn", s), CPU) for s in ("train", "test")]
    return vae.Trainer(config, training, CPU, *sets)


@pytest.fixture(scope="module")
def uninterrupted(svhn_folder, tiny, tmp_path_factory):
    run = tmp_path_factory.mktemp("whole") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ATELIER_DATA_DIR", str(svhn_folder))
        patch.setattr(vae.vae_bundle, "IMPORTANCE_PICTURES", 6)
        patch.setattr(vae.vae_bundle, "IMPORTANCE_SAMPLES", (1, 10, 50))
        patch.setattr(vae.vae_bundle, "READ_ITERATIONS", 30)
        trained(run, tiny)
    return run


def test_a_resumed_run_is_bit_for_bit_the_uninterrupted_one(
    uninterrupted, tiny, tmp_path, monkeypatch
):
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        interrupt_before(1, patch)
        with pytest.raises(KeyboardInterrupt):
            trained(run, tiny)
    assert state(run)["epoch"] == 1
    bundle = vae.resume(run, device=CPU)
    same_run(state(run), state(uninterrupted))
    for name in ("model.safetensors", "profiles.safetensors", "metrics.json"):
        other = uninterrupted / "bundle" / name
        assert (bundle / name).read_bytes() == other.read_bytes()
    names = [sorted(p.name for p in (r / "progress").iterdir()) for r in (run, uninterrupted)]
    assert names[0] == names[1]


KILLED = """
import os, signal, sys
from pathlib import Path

import torch

from core.vae import VAEConfig
from train.vae import trainer as vae

whole = vae.Trainer.step

def step(trainer, rows, number, generator):
    if number == 6:
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(trainer, rows, number, generator)

vae.Trainer.step = step
training = vae.VAETraining(epochs=3, batch_size=16, warmup_steps=2)
config = VAEConfig(channels=(8, 8, 8), latent_dim=4)
vae.start(Path(sys.argv[1]), config, training, device=torch.device("cpu"))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_run_killed_in_its_second_epoch_goes_on_to_the_same_weights(
    uninterrupted, tiny, tmp_path
):
    run = tmp_path / "run"
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": str(torch.get_num_threads()),
    }
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(run)], env=environment, capture_output=True
    )
    assert killed.returncode == -9
    assert state(run)["epoch"] == 1
    vae.resume(run, device=CPU)
    same_run(state(run), state(uninterrupted))


def test_another_seed_gives_other_weights(uninterrupted, tiny):
    trainer = new_trainer(tiny, replace(THREE_EPOCHS, seed=1))
    before = state(uninterrupted)["model"]["mean.weight"]
    trainer.run_epoch()
    assert not torch.equal(trainer.model.mean.weight, before)


def test_ctrl_c_keeps_the_last_whole_epoch_and_finish_makes_a_bundle_of_it(
    tmp_path, tiny_preset, monkeypatch, capsys
):
    run = tmp_path / "run"
    command = ["vae", "--run", str(run), "--device", "cpu"]
    with monkeypatch.context() as patch:
        interrupt_before(1, patch)
        assert main([*command, "--epochs", "3", "--batch-size", "16"]) == 1
    said = capsys.readouterr().err
    assert "--resume" in said
    assert "--finish" in said
    assert not (run / "bundle").exists()
    assert main([*command, "--finish"]) == 0
    config = json.loads((run / "bundle" / "config.json").read_text())
    assert config["training"]["epochs_done"] == 1
    assert config["training"]["epochs"] == 3
    assert config["training"]["batch_size"] == 16
    assert state(run)["epoch"] == 1


def test_ctrl_c_within_the_first_epoch_promises_nothing(tmp_path, tiny_preset, monkeypatch, capsys):
    interrupt_before(0, monkeypatch)
    assert main(["vae", "--run", str(tmp_path / "run"), "--epochs", "3", "--device", "cpu"]) == 1
    assert "nothing to keep" in capsys.readouterr().err


def test_a_run_is_not_overwritten(uninterrupted, tiny):
    before = (uninterrupted / "state.pt").read_bytes()
    with pytest.raises(AtelierError) as caught:
        trained(uninterrupted, tiny)
    assert caught.value.code == "run-exists"
    assert (uninterrupted / "state.pt").read_bytes() == before


def test_a_lengthened_run_is_the_one_that_was_long_from_the_start(tmp_path, tiny, monkeypatch):
    """At a constant rate; with a falling one the rates of the epochs behind differ."""
    for name in ("IMPORTANCE_PICTURES", "IMPORTANCE_SAMPLES"):
        few = {"IMPORTANCE_PICTURES": 4, "IMPORTANCE_SAMPLES": (1,)}[name]
        monkeypatch.setattr(vae.vae_bundle, name, few)
    steady = replace(THREE_EPOCHS, cosine=False)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    vae.start(whole, tiny, steady, device=CPU)
    vae.start(parts, tiny, replace(steady, epochs=1), device=CPU)
    vae.resume(parts, epochs=2, device=CPU)
    bundle = vae.resume(parts, epochs=3, device=CPU)
    same_run(state(parts), state(whole))
    said = json.loads((bundle / "config.json").read_text())["training"]
    assert (said["epochs"], said["epochs_done"]) == (3, 3)
    assert said["lengthened"] == [[1, 1], [2, 2]]
    assert json.loads((parts / "run.json").read_text())["training"]["epochs"] == 3


def test_a_lengthened_run_falls_along_the_longer_cosine(uninterrupted, tiny, tmp_path, monkeypatch):
    run = tmp_path / "run"
    shutil.copytree(uninterrupted, run)
    rates = []
    whole = vae.Trainer.run_epoch

    def watched(trainer, bar=None):
        row = whole(trainer, bar)
        rates.append(trainer.optimizer.param_groups[0]["lr"])
        return row

    monkeypatch.setattr(vae.Trainer, "run_epoch", watched)
    vae.resume(run, epochs=6, device=CPU)
    steps = state(run)["optimizer"]["state"][0]["step"] / 6
    peak = THREE_EPOCHS.learning_rate
    last = [loop.cosine_rate(int(steps * epoch) - 1, int(steps * 6), 2) for epoch in (4, 5, 6)]
    assert rates == pytest.approx([peak * share for share in last])


def test_a_run_is_not_made_shorter(uninterrupted, tiny):
    before = (uninterrupted / "state.pt").read_bytes()
    with pytest.raises(ValueError, match=r"must be at least the 3 .* got 2"):
        vae.resume(uninterrupted, epochs=2, device=CPU)
    assert (uninterrupted / "state.pt").read_bytes() == before


def test_the_command_that_lengthened_a_run_may_be_repeated(uninterrupted, tiny, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(uninterrupted, run)
    vae.resume(run, epochs=4, device=CPU)
    once = state(run)["settings"]
    vae.resume(run, epochs=4, device=CPU)
    assert state(run)["settings"] == once
    assert once["training"]["lengthened"] == ((3, 3),)


@pytest.mark.parametrize("verb", [vae.resume, vae.finish], ids=["resume", "finish"])
def test_where_there_is_no_run_there_is_nothing_to_go_on_with(tmp_path, verb):
    with pytest.raises(AtelierError) as caught:
        verb(tmp_path / "run", device=CPU)
    assert caught.value.code == "run-missing"


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_run_does_not_go_on_with_other_pictures(
    uninterrupted, tiny, tmp_path, monkeypatch, make_digits, write_shard, split
):
    folder = tmp_path / "ufldl-stanford/svhn/cropped_digits"
    for name, count, seed in (("train", 64, 0), ("test", 40, 1)):
        seed += 10 * (name == split)
        write_shard(folder / f"{name}-00000-of-00001.parquet", *make_digits(count, seed))
    monkeypatch.setenv("ATELIER_DATA_DIR", str(tmp_path))
    with pytest.raises(AtelierError) as caught:
        vae.resume(uninterrupted, device=CPU)
    assert caught.value.code == "run-other-data"


def test_minutes_become_a_number_of_epochs_fixed_in_the_settings(tmp_path, tiny):
    run = tmp_path / "run"
    trained(run, tiny, minutes=1e-4)
    settings = json.loads((run / "run.json").read_text())
    assert settings["training"]["epochs"] == len(state(run)["history"]) == 1
    assert "minutes" not in settings["training"]


def test_measuring_the_pace_changes_nothing(tiny):
    trainer, other = new_trainer(tiny), new_trainer(tiny)
    assert min(measure_pace(trainer)) > 0
    assert trainer.run_epoch() == other.run_epoch()
    torch.testing.assert_close(trainer.model.state_dict(), other.model.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize("draws", [1, 3])
def test_evaluate_is_the_mean_over_pictures_and_draws(tiny_bundle, draws):
    model = VAE.from_pretrained(tiny_bundle)
    pictures = load_split("svhn", "test").pictures
    found = vae.evaluate(model, loop.resident(pictures, CPU), draws=draws)
    x = to_tensor(pictures)
    generator = loop.epoch_generator(0, 0, "evaluate", CPU)
    with torch.no_grad():
        q = model.encode(x)
        decoded = [model.decode(q.sample(generator)).mean.double() for _ in range(draws)]
    posterior = Independent(Normal(q.mean.double(), q.std.double()), 1)
    prior = Independent(Normal(torch.zeros_like(q.mean.double()), 1.0), 1)
    nll = [-Independent(Normal(y, 1.0), 3).log_prob(x.double()).mean().item() for y in decoded]
    kl = kl_divergence(posterior, prior).mean().item()
    assert found["nll"] == pytest.approx(np.mean(nll), rel=1e-6)
    assert found["kl"] == pytest.approx(kl, rel=1e-5)
    assert found["negative_elbo"] == pytest.approx(np.mean(nll) + kl, rel=1e-6)
    mse = np.mean([(y - x).square().mean().item() for y in decoded])
    assert found["mse"] == pytest.approx(mse, rel=1e-5)
    assert found["active_units"] == (q.mean.numpy().var(axis=0, ddof=1) > 0.01).sum()


def test_evaluate_does_not_depend_on_the_size_of_its_batches(tiny_bundle):
    model = VAE.from_pretrained(tiny_bundle)
    levels = loop.resident(load_split("svhn", "test").pictures, CPU)
    once, many = vae.evaluate(model, levels), vae.evaluate(model, levels.repeat(8, 1, 1, 1))
    assert many["kl"] == pytest.approx(once["kl"], rel=1e-5)
    assert many["nll"] == pytest.approx(once["nll"], rel=1e-3)


@pytest.mark.parametrize("preset", ["default", "homework"])
def test_a_trained_model_beats_an_untrained_one(tiny, preset):
    config = tiny
    if preset == "homework":
        config = replace(tiny, architecture="homework", channels=(8, 8, 8, 8))
    recipe = replace(
        vae.PRESET_TRAINING[preset],
        epochs=12,
        batch_size=8,
        learning_rate=5e-3,
        average_decay=0.0,
        augmentation=DigitAugmentation(),
    )
    trainer = new_trainer(config, recipe)
    before = vae.evaluate(trainer.averaged_model(), trainer.tested.levels)
    for _ in range(12):
        row = trainer.run_epoch()
        trainer.epoch += 1
    after = vae.evaluate(trainer.averaged_model(), trainer.tested.levels)
    assert after["negative_elbo"] < before["negative_elbo"] - 100
    assert after["mse"] < 0.7 * before["mse"]
    assert after["active_units"] > 0
    assert row["train_negative_elbo"] == pytest.approx(row["train_nll"] + row["train_kl"])


def test_one_step_takes_the_gradient_of_the_bound_of_its_batch(tiny):
    training = replace(THREE_EPOCHS, cosine=False, clip_norm=None, augmentation=DigitAugmentation())
    trainer = new_trainer(tiny, training)
    twin = VAE(tiny)
    twin.load_state_dict(trainer.model.state_dict())
    rows = torch.arange(16)
    generators = [loop.epoch_generator(0, 0, "x", CPU) for _ in range(2)]
    (nll, kl), _ = trainer.step(rows, 0, generators[0])
    _, nll_twin, kl_twin = twin(
        loop.as_float(trainer.trained.levels[rows]), generator=generators[1]
    )
    (nll_twin + kl_twin).mean().backward()
    assert nll.item() == pytest.approx(nll_twin.mean().item(), rel=1e-6)
    assert kl.item() == pytest.approx(kl_twin.mean().item(), rel=1e-5)
    for (name, found), expected in zip(
        trainer.model.named_parameters(), twin.parameters(), strict=True
    ):
        torch.testing.assert_close(found.grad, expected.grad, rtol=1e-3, atol=1e-3, msg=name)


def test_an_epoch_sees_every_picture_once(tiny):
    trainer = new_trainer(tiny)
    seen = []
    trainer.step = lambda rows, number, generator: (
        seen.append((number, rows.tolist())) or (torch.zeros(2), torch.zeros(len(rows), 4))
    )
    trainer.epoch = 2
    trainer.run_epoch()
    assert [number for number, _ in seen] == [8, 9, 10, 11]
    assert sorted(row for _, rows in seen for row in rows) == list(range(64))


def test_every_epoch_has_an_order_of_its_own_that_its_number_decides(tiny):
    orders = []
    for epoch in (0, 1, 1):
        trainer = new_trainer(tiny)
        trainer.epoch, order = epoch, []
        trainer.step = lambda rows, number, generator, order=order: (
            order.extend(rows.tolist()) or (torch.zeros(2), torch.zeros(len(rows), 4))
        )
        trainer.run_epoch()
        orders.append(order)
    assert orders[0] != orders[1] == orders[2]


def test_every_row_of_the_history_has_the_promised_figures(uninterrupted):
    history = json.loads((uninterrupted / "bundle" / "history.json").read_text())
    assert [row["epoch"] for row in history] == [1, 2, 3]
    for row in history:
        for part in ("train", "test"):
            total = row[f"{part}_nll"] + row[f"{part}_kl"]
            assert row[f"{part}_negative_elbo"] == pytest.approx(total)
        assert row["test_mse"] > 0
        assert 0 <= row["test_active_units"] <= 4
        assert row["seconds"] >= row["seconds_train"] > 0
    totals = np.cumsum([row["seconds"] for row in history])
    np.testing.assert_allclose([row["seconds_total"] for row in history], totals)


def test_the_last_row_of_the_history_describes_the_averaged_model(uninterrupted, tiny):
    saved = state(uninterrupted)
    model = VAE(tiny).eval()
    model.load_state_dict(saved["average"])
    levels = loop.resident(load_split("svhn", "test").pictures, CPU)
    found = vae.evaluate(model, levels)
    for name, value in found.items():
        assert saved["history"][-1][f"test_{name}"] == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize(
    ("name", "wrong"), [("epochs", 0), ("batch_size", 1), ("learning_rate", 0.0)]
)
def test_a_wrong_setting_is_refused_by_its_name(name, wrong):
    with pytest.raises(ValueError, match=rf"^{name} must"):
        vae.VAETraining(**{name: wrong})


def test_a_wrong_setting_on_the_command_line_is_one_line_of_error(tmp_path, capsys):
    assert main(["vae", "--run", str(tmp_path), "--epochs", "0"]) == 1
    assert capsys.readouterr().err == "error: epochs must be 1 to 100000000, got 0\n"

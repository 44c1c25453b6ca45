import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from core.ddpm.explorer import golden_deviation
from core.ddpm.model import DDPM, DDPMConfig
from core.ddpm.schedule import NoiseSchedule
from core.families import open_bundle
from core.pictures.data import load_split
from core.pictures.images import read_sheet, to_tensor
from train.__main__ import main
from train.ddpm import bundle as ddpm_bundle
from train.ddpm import trainer as ddpm
from train.run import loop
from train.run.bundling import shown_rows

CPU = torch.device("cpu")
SECONDS = {"seconds", "seconds_train", "seconds_total"}
THREE_EPOCHS = ddpm.DDPMTraining(epochs=3, batch_size=16, warmup_steps=2)


@pytest.fixture(autouse=True)
def fewer_figures(monkeypatch, few_ddpm_figures):
    few_ddpm_figures(monkeypatch)


def new_trainer(config, training=THREE_EPOCHS):
    sets = [loop.Resident.of(load_split("svhn", s), CPU) for s in ("train", "test")]
    return ddpm.Trainer(config, training, CPU, *sets)


def state(folder):
    return loop.load_state(folder / "state.pt", CPU)


def timeless(history):
    return [{key: value for key, value in row.items() if key not in SECONDS} for row in history]


@pytest.fixture(scope="module")
def uninterrupted(svhn_folder, tiny_ddpm, tmp_path_factory, few_ddpm_figures):
    folder = tmp_path_factory.mktemp("whole") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ATELIER_DATA_DIR", str(svhn_folder))
        few_ddpm_figures(patch)
        ddpm.start(folder, tiny_ddpm, THREE_EPOCHS, device=CPU)
    return folder


@pytest.mark.slow
def test_a_resumed_run_is_bit_for_bit_the_uninterrupted_one(
    uninterrupted, tiny_ddpm, tmp_path, monkeypatch
):
    folder = tmp_path / "run"
    whole = ddpm.Trainer.run_epoch

    def interrupted(trainer, bar=None):
        if trainer.epoch == 1:
            raise KeyboardInterrupt
        return whole(trainer, bar)

    with monkeypatch.context() as patch:
        patch.setattr(ddpm.Trainer, "run_epoch", interrupted)
        with pytest.raises(KeyboardInterrupt):
            ddpm.start(folder, tiny_ddpm, THREE_EPOCHS, device=CPU)
    bundle = ddpm.resume(folder, device=CPU)
    a, b = state(folder), state(uninterrupted)
    torch.testing.assert_close(a["model"], b["model"], rtol=0, atol=0)
    torch.testing.assert_close(a["average"], b["average"], rtol=0, atol=0)
    assert timeless(a["history"]) == timeless(b["history"])
    for name in ("model.safetensors", "profiles.safetensors", "golden.safetensors"):
        other = uninterrupted / "bundle" / name
        assert (bundle / name).read_bytes() == other.read_bytes()
    sheets = [sorted((r / "progress").iterdir()) for r in (folder, uninterrupted)]
    assert [p.name for p in sheets[0]] == [p.name for p in sheets[1]]
    assert [p.read_bytes() for p in sheets[0]] == [p.read_bytes() for p in sheets[1]]


@pytest.mark.slow
@pytest.mark.parametrize("prediction", ["eps", "v"])
def test_training_lowers_the_loss(tiny_ddpm, prediction):
    config = replace(tiny_ddpm, prediction=prediction)
    trainer = new_trainer(config, replace(THREE_EPOCHS, epochs=40, learning_rate=3e-3))
    before = trainer.evaluate(trainer.averaged_model())
    for trainer.epoch in range(40):
        row = trainer.run_epoch()
    after = trainer.evaluate(trainer.averaged_model())
    assert after["test_loss"] < 0.7 * before["test_loss"]
    assert after["test_mse"] < before["test_mse"]
    assert row["train_loss"] < before["test_loss"]


def test_one_step_is_the_loss_of_the_noise(tiny_ddpm):
    """What an epoch reports as loss is p_losses of the weights before the step."""
    for prediction in ("eps", "v"):
        trainer = new_trainer(replace(tiny_ddpm, prediction=prediction))
        with torch.no_grad():
            for value in trainer.model.parameters():
                value.add_(
                    0.05 * torch.randn(value.shape, generator=torch.Generator().manual_seed(3))
                )
        rows = torch.arange(16)
        x0 = trainer.augmented_batch(rows, torch.Generator().manual_seed(9))
        generator = torch.Generator().manual_seed(9)
        t = trainer.schedule.t_sample(16, generator, stratified=True)
        noise = torch.randn(x0.shape, generator=generator)
        model = trainer.ddpm(trainer.model)
        with torch.no_grad():
            x_t = trainer.schedule.q_sample(x0, t, noise)
            wanted = F.smooth_l1_loss(model.eps(x_t, t), noise)
            output = trainer.model(x_t, t)
        minimised, of_noise = trainer.step(rows, 0, torch.Generator().manual_seed(9))
        assert float(of_noise) == pytest.approx(float(wanted), rel=1e-4)
        target = noise if prediction == "eps" else trainer.schedule.v_target(x0, t, noise)
        assert float(minimised) == pytest.approx(float(F.smooth_l1_loss(output, target)), rel=1e-4)


def test_evaluation_is_that_of_every_picture_once(tiny_ddpm):
    trainer = new_trainer(tiny_ddpm)
    model = trainer.ddpm(trainer.averaged_model())
    found = ddpm.evaluate(model, trainer.tested.levels)
    assert found == ddpm.evaluate(model, trainer.tested.levels)
    # The untrained network says v = 0, which is eps_hat = sqrt(1 - alpha_bar) x_t.
    assert 0 < found["test_mse"] < 2
    quarters = np.mean([found[f"test_loss_{q}"] for q in (1, 2, 3, 4)])
    assert found["test_loss"] == pytest.approx(quarters, rel=1e-6)  # 40 pictures, 10 a quarter


def test_samples_kept_by_epoch_start_from_the_same_noise(uninterrupted):
    first = uninterrupted / "progress" / "epoch-0000-samples.jpg"
    pictures = read_sheet(first.read_bytes(), 24)
    assert pictures.shape == (24, 32, 32, 3)
    assert {p.name for p in (uninterrupted / "progress").iterdir()} == {
        "epoch-0000-samples.jpg",
        "epoch-0003-samples.jpg",
    }


def test_drawn_pictures_do_not_depend_on_how_many_are_drawn(tiny_ddpm_bundle):
    model = DDPM.from_pretrained(tiny_ddpm_bundle)
    for steps in (10, model.schedule.T):
        few = ddpm_bundle.draw(model.eps, model.schedule, 2, steps, CPU)
        more = ddpm_bundle.draw(model.eps, model.schedule, 5, steps, CPU)
        assert np.abs(few.astype(int) - more[:2]).max() <= 1


def test_the_bundle_gives_its_golden_output_and_names_its_schedule(tiny_ddpm_bundle, tiny_ddpm):
    bundle = open_bundle(tiny_ddpm_bundle, family="ddpm")
    assert golden_deviation(bundle) <= 1e-4
    assert DDPMConfig.read(bundle.config["architecture"]) == tiny_ddpm
    assert bundle.metrics["schedule"]["alpha_bar_end"] == pytest.approx(
        float(NoiseSchedule.linear(60).alphas_cumprod[-1])
    )
    assert f"T = {tiny_ddpm.schedule.T}" in bundle.card
    kinds = {file.split("-")[-1].removesuffix(".jpg") for file in bundle.sha256 if "-" in file}
    assert kinds == {"samples", "ancestral", "final"}


def test_losses_by_level_are_those_of_the_stored_weights(tiny_ddpm_bundle):
    bundle = open_bundle(tiny_ddpm_bundle)
    model = DDPM.from_bundle(bundle)
    arrays, pictures = bundle.profiles, load_split("svhn", "test").pictures
    place = 7
    t = int(arrays["level_t"][place])
    rows = shown_rows(len(pictures), ddpm_bundle.LEVEL_PICTURES)
    x0 = to_tensor(pictures[rows])
    noise = torch.randn(x0.shape, generator=loop.epoch_generator(0, 0, "levels", CPU))
    x_t = model.schedule.q_sample(x0, t, noise)
    with torch.no_grad():
        eps_hat = model.eps(x_t, torch.full((len(x0),), t))
    assert arrays["level_eps_mse"][place] == pytest.approx(
        float((eps_hat - noise).square().mean()), rel=1e-4
    )
    assert arrays["level_log_snr"][place] == pytest.approx(float(model.schedule.log_snr[t]))
    ratio = math.exp(-float(model.schedule.log_snr[t]))
    assert arrays["level_x0_mse"][place] == pytest.approx(
        ratio * arrays["level_eps_mse"][place], rel=1e-3
    )


def test_verify_finds_every_figure_again(tiny_ddpm_bundle, capsys):
    assert main(["verify", str(tiny_ddpm_bundle), "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    assert "every figure agrees" in said
    assert "timing.seconds_a_step" in said


def test_verify_finds_a_changed_figure(tiny_ddpm_bundle, tmp_path, capsys):
    import shutil

    copy = shutil.copytree(tiny_ddpm_bundle, tmp_path / "bundle")
    metrics = json.loads((copy / "metrics.json").read_text())
    metrics["samples"]["frechet_pixel_components"] *= 0.5
    (copy / "metrics.json").write_text(json.dumps(metrics))
    assert main(["verify", str(copy), "--device", "cpu"]) == 1
    assert "frechet_pixel_components" in capsys.readouterr().out


def test_the_command_line_sets_T_and_the_schedule(tmp_path, monkeypatch, tiny_ddpm):
    monkeypatch.setitem(ddpm.PRESETS, "default", tiny_ddpm)
    folder = tmp_path / "run"
    options = ["--epochs", "1", "--batch-size", "16", "-T", "30", "--schedule", "cosine"]
    assert main(["ddpm", "--run", str(folder), "--device", "cpu", *options]) == 0
    architecture = json.loads((folder / "bundle" / "config.json").read_text())["architecture"]
    assert architecture["schedule"]["T"] == 30
    assert architecture["schedule"]["kind"] == "cosine"
    assert architecture["unet"]["channels"] == [8, 8, 8]


@pytest.mark.slow
def test_minutes_become_epochs(tmp_path, tiny_ddpm):
    folder = tmp_path / "run"
    ddpm.start(folder, tiny_ddpm, THREE_EPOCHS, minutes=1e-4, device=CPU)
    assert len(state(folder)["history"]) == 1


@pytest.mark.parametrize("prediction", ["eps", "v"])
def test_weighted_levels_change_what_is_minimised_and_not_what_is_told_of_the_noise(
    tiny_ddpm, prediction
):
    config, rows = replace(tiny_ddpm, prediction=prediction), torch.arange(16)
    told = {}
    for weighting in ("uniform", "min-snr"):
        trainer = new_trainer(config, replace(THREE_EPOCHS, weighting=weighting))
        generator = loop.epoch_generator(0, 0, "train", CPU)
        told[weighting] = trainer.step(rows, 0, generator)
    assert told["uniform"][1] == told["min-snr"][1]
    assert told["uniform"][0] != told["min-snr"][0]
    with pytest.raises(ValueError, match="weighting must be one of"):
        replace(THREE_EPOCHS, weighting="max-snr")

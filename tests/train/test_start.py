"""Runs that begin with a bundle, that are locked, that break down, and options that would be ignored."""

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from core.bundles import lineage
from core.ddpm.model import DDPM
from core.errors import AtelierError
from core.families import open_bundle
from core.judge.model import Judge
from core.pictures.data import load_split
from core.simsiam import methods
from core.simsiam.joint_embedding import EmbeddingConfig
from train.__main__ import build_parser, main
from train.ddpm import trainer as ddpm
from train.judge import trainer as judge
from train.release import embed
from train.run import ancestry, options
from train.run.lock import is_locked
from train.run.loop import Resident
from train.simsiam import trainer as simsiam
from train.simsiam.diagnosis import Protocol
from train.vae import trainer as vae

CPU = torch.device("cpu")
STILL = ["--learning-rate", "1e-12", "--epochs", "1", "--batch-size", "16", "--device", "cpu"]
"""Hardly a step: weights stay what they began as."""


def residents(name="svhn"):
    return [Resident.of(load_split(name, split), CPU) for split in ("train", "test")]


def state_of(run):
    return torch.load(run / "state.pt", weights_only=True)


def weights_in(bundle):
    return open_bundle(bundle).arrays("model.safetensors")


def close(ours, theirs, tolerance=1e-6):
    assert set(ours) == set(theirs)
    for key, value in theirs.items():
        np.testing.assert_allclose(ours[key], value, atol=tolerance, err_msg=key)


# ---------------------------------------------------------------- beginning with a bundle


def test_a_run_begins_with_the_weights_of_a_bundle_and_says_so(tiny_bundle, tmp_path, capsys):
    run = tmp_path / "run"
    assert main(["vae", "--run", str(run), "--from", str(tiny_bundle), *STILL]) == 0
    begun, earlier = open_bundle(run / "bundle"), open_bundle(tiny_bundle)
    close(begun.arrays("model.safetensors"), weights_in(tiny_bundle))
    assert begun.config["architecture"] == earlier.config["architecture"]
    (ancestor,) = begun.config["training"]["ancestors"]
    assert ancestor["digest"] == earlier.digest
    assert (ancestor["epochs"], ancestor["updates"]) == (2, 2 * (64 // 16))
    assert ancestor["data"] == "SVHN subset (train), 64 pictures"
    assert len(begun.history) == 1
    assert begun.history[0]["updates"] == 4
    assert ancestor["history"] == earlier.history
    assert [row["epoch"] for row in lineage.whole_history(begun)] == [1, 2, 3]
    assert f"Went on from run ({earlier.heading}, {earlier.digest}: 2 epochs in " in begun.card
    assert "trained on SVHN subset (train), 64 pictures), then 1 epoch in " in begun.card
    assert main(["verify", str(run / "bundle"), "--device", "cpu"]) == 0


def test_a_run_without_a_bundle_to_begin_with_says_nothing_of_one(tiny_bundle):
    bundle = open_bundle(tiny_bundle)
    assert bundle.config["training"]["ancestors"] == []
    assert "Went on" not in bundle.card


def test_the_optimiser_and_the_average_are_fresh_and_the_next_run_knows_both_ancestors(
    tiny_bundle, tmp_path
):
    first, second = tmp_path / "first", tmp_path / "second"
    assert main(["vae", "--run", str(first), "--from", str(tiny_bundle), *STILL]) == 0
    assert state_of(first)["average_updates"] == 4
    assert all(one["step"] == 4 for one in state_of(first)["optimizer"]["state"].values())
    assert main(["vae", "--run", str(second), "--from", str(first / "bundle"), *STILL]) == 0
    training = open_bundle(second / "bundle").config["training"]
    assert [one["name"] for one in training["ancestors"]] == [tiny_bundle.parent.name, "first"]
    assert ancestry.epochs_of(training) == [2, 1, 1]


def test_what_a_run_began_with_survives_an_interruption(tiny_bundle, tmp_path):
    run = tmp_path / "run"
    assert main(["vae", "--run", str(run), "--from", str(tiny_bundle), *STILL]) == 0
    before = state_of(run)["settings"]["training"]["ancestors"]
    assert main(["vae", "--run", str(run), "--resume", "--epochs", "2", "--device", "cpu"]) == 0
    assert open_bundle(run / "bundle").config["training"]["ancestors"] == [
        dict(one) for one in before
    ]


def test_a_diffusion_model_goes_on_with_another_number_of_levels(
    tiny_ddpm_bundle, tmp_path, few_ddpm_figures, monkeypatch
):
    few_ddpm_figures(monkeypatch)
    run = tmp_path / "run"
    command = ["ddpm", "--run", str(run), "--from", str(tiny_ddpm_bundle), "-T", "30", *STILL]
    assert main(command) == 0
    model, earlier = DDPM.from_pretrained(run / "bundle"), DDPM.from_pretrained(tiny_ddpm_bundle)
    assert (model.schedule.T, earlier.schedule.T) == (30, 60)
    assert model.config.unet == earlier.config.unet
    close(weights_in(run / "bundle"), weights_in(tiny_ddpm_bundle))


def test_a_judge_answers_as_before_and_trains_at_a_temperature_of_1(tiny_judge_bundle, tiny_judge):
    trainer = judge.Trainer(tiny_judge, judge.JudgeTraining(batch_size=16), CPU, *residents())
    trainer.begin_with(open_bundle(tiny_judge_bundle))
    earlier = Judge.from_pretrained(tiny_judge_bundle)
    assert earlier.temperature != 1
    x = torch.rand(4, 3, 32, 32) * 2 - 1
    for model in (trainer.model.eval(), trainer.averaged_model()):
        assert model.temperature == 1
        with torch.no_grad():
            torch.testing.assert_close(model(x), earlier(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("recipe", [None, "no-predictor"])
def test_views_go_on_by_the_recipe_of_the_bundle_or_by_another(
    cifar_run, tmp_path, monkeypatch, recipe
):
    run = tmp_path / "run"
    command = ["simsiam", "--run", str(run), "--from", str(cifar_run / "bundle"), *STILL]
    more = ["--bank", "40", "--queries", "30"]
    if recipe is None:
        assert main([*command, *more]) == 0
        bundle = open_bundle(run / "bundle")
        assert bundle.config["training"]["recipe"] == "no-stop-gradient"
        assert bundle.config["architecture"]["stop_gradient"] is False
        assert bundle.config["architecture"]["dim"] == 64
        # "Untrained" stays the network of the seed, and "before" is what the run began with.
        x = torch.rand(4, 3, 32, 32) * 2 - 1
        earlier = open_bundle(cifar_run / "bundle")
        with torch.no_grad():
            ours, theirs = (methods.untrained_network(one).features(x) for one in (bundle, earlier))
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)
        assert bundle.metrics["before"]["test_rank_h"] == pytest.approx(
            earlier.history[-1]["test_rank_h"], rel=0.05
        )
        assert "of the weights that it began with" in bundle.card
    else:
        assert main([*command, *more, "--recipe", recipe]) == 1


def test_weights_that_do_not_fit_are_one_sentence(tiny_bundle, tmp_path, capsys):
    command = ["vae", "--run", str(tmp_path / "run"), "--from", str(tiny_bundle), *STILL]
    assert main([*command, "--latent-dim", "7"]) == 1
    said = capsys.readouterr().err
    assert said.startswith(
        f"error: The weights of {tiny_bundle} do not fit the network of this run"
    )
    assert not (tmp_path / "run/state.pt").exists()


def test_what_cannot_be_begun_with_is_one_sentence(tiny_bundle, cifar_run, tmp_path, capsys):
    embed.write_record(open_bundle(cifar_run / "bundle"), tmp_path / "record")
    for command, place, words in (
        ("ddpm", tiny_bundle, "of the family vae, not ddpm"),
        ("vae", tmp_path / "nowhere", "neither a folder nor a Hub repository"),
        ("simsiam", tmp_path / "record", "no weights"),
    ):
        assert main([command, "--run", str(tmp_path / "r"), "--from", str(place), *STILL]) == 1
        assert words in capsys.readouterr().err
    assert not (tmp_path / "r").exists()


@pytest.fixture(scope="module")
def cifar_run(tmp_path_factory, make_digits, write_shard):
    root = tmp_path_factory.mktemp("cifar")
    for split, count, seed in (("train", 64, 0), ("test", 40, 1)):
        file = root / f"uoft-cs/cifar10/plain_text/{split}-00000-of-00001.parquet"
        write_shard(file, *make_digits(count, seed), image_column="img")
    size = EmbeddingConfig(width=8, stem="strided", hidden=32, dim=64, predictor_hidden=8)
    config = simsiam.named_config(simsiam.ABLATIONS["no-stop-gradient"], size)
    training = simsiam.SimSiamTraining(
        epochs=1,
        batch_size=16,
        warmup_steps=2,
        recipe="no-stop-gradient",
        protocol=Protocol(40, 30, 40, 10),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ATELIER_DATA_DIR", str(root))
        simsiam.start(root / "run", config, training, device=CPU)
    return root / "run"


@pytest.fixture(autouse=True)
def both_data_sets(svhn_folder, cifar_run, tmp_path, monkeypatch):
    data = tmp_path / "data"
    data.mkdir()
    (data / "ufldl-stanford").symlink_to(svhn_folder / "ufldl-stanford")
    (data / "uoft-cs").symlink_to(cifar_run.parent / "uoft-cs")
    monkeypatch.setenv("ATELIER_DATA_DIR", str(data))


# ---------------------------------------------------------------- one process a run


HOLDS = """
import sys, time
from pathlib import Path
from train.run.lock import run_lock
with run_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def held(tmp_path):
    """A run that another process trains."""
    child = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(tmp_path / "run")],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
        text=True,
    )
    assert child.stdout.readline() == "held\n"
    yield child
    child.kill()
    child.wait()


def test_a_run_under_way_is_not_written_by_a_second_process(held, tiny, tmp_path):
    training = vae.VAETraining(epochs=1, batch_size=16)
    assert is_locked(tmp_path / "run")
    with pytest.raises(AtelierError) as caught:
        vae.start(tmp_path / "run", tiny, training, device=CPU)
    assert caught.value.code == "run-busy"
    assert not (tmp_path / "run/state.pt").exists()


def test_a_lock_goes_with_the_process_that_held_it(held, tiny, tmp_path):
    held.kill()
    held.wait()
    assert not is_locked(tmp_path / "run")
    training = vae.VAETraining(epochs=1, batch_size=16)
    assert open_bundle(vae.start(tmp_path / "run", tiny, training, device=CPU))
    assert not is_locked(tmp_path / "run")


# ---------------------------------------------------------------- losses that are no numbers


FAMILIES = {
    "vae": lambda size: vae.Trainer(size["vae"], vae.VAETraining(batch_size=16), CPU, *residents()),
    "ddpm": lambda size: ddpm.Trainer(
        size["ddpm"], ddpm.DDPMTraining(batch_size=16), CPU, *residents()
    ),
    "judge": lambda size: judge.Trainer(
        size["judge"], judge.JudgeTraining(batch_size=16), CPU, *residents()
    ),
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_no_family_trains_on_with_a_weight_that_is_no_number(
    family, value, tiny, tiny_ddpm, tiny_judge
):
    trainer = FAMILIES[family]({"vae": tiny, "ddpm": tiny_ddpm, "judge": tiny_judge})
    with torch.no_grad():
        next(trainer.model.parameters())[0] = value
    with pytest.raises(AtelierError) as caught:
        trainer.run_epoch()
    assert caught.value.code == "run-not-finite"


def test_a_run_that_breaks_down_keeps_its_last_good_state(tiny, tmp_path, monkeypatch):
    training = vae.VAETraining(epochs=3, batch_size=16, warmup_steps=2)
    step = vae.Trainer.step

    def broken(trainer, rows, number, generator):
        found = step(trainer, rows, number, generator)
        if trainer.epoch == 1 and number == 7:  # the last update: no loss tells of it any more
            with torch.no_grad():
                next(trainer.model.parameters()).fill_(float("nan"))
        return found

    with monkeypatch.context() as patch:
        patch.setattr(vae.Trainer, "step", broken)
        with pytest.raises(AtelierError, match=r"in epoch 2: .* after epoch 1 is kept") as caught:
            vae.start(tmp_path / "run", tiny, training, device=CPU)
    assert caught.value.code == "run-not-finite"
    kept = state_of(tmp_path / "run")
    assert kept["epoch"] == 1
    assert all(value.isfinite().all() for value in kept["model"].values())
    bundle = vae.finish(tmp_path / "run", device=CPU)
    assert open_bundle(bundle).config["training"]["epochs_done"] == 1


def test_a_figure_that_is_no_number_stops_a_run_before_it_is_stored(tiny, tmp_path, monkeypatch):
    evaluate = vae.Trainer.evaluate

    def broken(trainer, model):
        row = evaluate(trainer, model)
        return row | {"test_mse": float("inf")} if trainer.epoch == 2 else row

    monkeypatch.setattr(vae.Trainer, "evaluate", broken)
    training = vae.VAETraining(epochs=3, batch_size=16)
    with pytest.raises(AtelierError, match=r"test_mse is no finite number .* in epoch 2"):
        vae.start(tmp_path / "run", tiny, training, device=CPU)
    kept = state_of(tmp_path / "run")
    assert kept["epoch"] == len(kept["history"]) == 1


def test_a_run_that_breaks_down_in_its_first_epoch_promises_nothing(tiny, tmp_path):
    wild = vae.VAETraining(
        epochs=1, batch_size=2, learning_rate=1e30, warmup_steps=1, clip_norm=None
    )
    with pytest.raises(AtelierError, match="Begin again at a lower --learning-rate"):
        vae.start(tmp_path / "run", tiny, wild, device=CPU)
    assert not (tmp_path / "run/state.pt").exists()


# ---------------------------------------------------------------- options


RESUME = ["--run", "r", "--resume"]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["vae", *RESUME, "--minutes", "3"], "leave out --minutes"),
        (["vae", *RESUME, "--preset", "homework"], "leave out --preset"),
        (["vae", *RESUME, "--latent-dim", "32"], "leave out --latent-dim"),
        (["vae", *RESUME, "--augment", "0"], "leave out --augment"),
        (["vae", *RESUME, "--no-compile"], "leave out --compile"),
        (["vae", *RESUME, "--from", "b"], "leave out --from"),
        (["ddpm", *RESUME, "-T", "1000"], "leave out -T"),
        (["ddpm", *RESUME, "--schedule", "linear"], "leave out --schedule"),
        (["ddpm", *RESUME, "--weighting", "uniform", "--pixels", "0"], "--pixels, --weighting"),
        (["simsiam", *RESUME, "--recipe", "baseline"], "leave out --recipe"),
        (["simsiam", *RESUME, "--bank", "5000", "--seed", "0"], "leave out --bank, --seed"),
        (["judge", *RESUME, "--pictures", "0"], "leave out --pictures"),
        (["judge", "--run", "r", "--finish", "--epochs", "3"], "leave out --epochs"),
        (["judge", "--run", "r", "--minutes", "1", "--epochs", "3"], "leave out --epochs"),
        (["judge", "--run", "r", "--folder", "f", "--split", "train"], "leave out --split"),
        (["judge", "--run", "r", "--selection", "first"], "--pictures"),
        (["judge", "--run", "r", "--minutes", "0"], "minutes must be above 0, got 0"),
        (["judge", "--run", "r", "--at-most", "-1"], "at_most must be above 0, got -1"),
        (["judge", "--run", "r", "--finish", "--at-most", "1"], "leave out --at-most"),
        (["judge", "--run", "r", "--minutes", "nan"], "minutes must be above 0, got nan"),
    ],
)
def test_an_option_that_would_be_ignored_is_refused(command, words, capsys):
    assert main(command) == 1
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("word", ["--resum", "--pix", "--lat"])
def test_an_option_is_typed_whole(word, capsys):
    with pytest.raises(SystemExit):
        build_parser().parse_args(["vae", "--run", "r", word])
    assert "unrecognized arguments" in capsys.readouterr().err


def test_going_on_and_finishing_are_one_or_the_other(capsys):
    with pytest.raises(SystemExit):
        build_parser().parse_args(["vae", *RESUME, "--finish"])
    assert "not allowed with" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["vae", "ddpm", "simsiam", "judge"])
def test_every_option_is_absent_until_it_is_typed(command):
    """So that none can pass unseen where it would be ignored."""
    arguments = build_parser().parse_args([command, "--run", "r"])
    assert options.typed_options(arguments) == {"run"}


def test_options_change_what_they_name(tmp_path):
    words = ["--run", "r", "--channels", "16,24,32", "--weighting", "min-snr", "--pixels", "2"]
    arguments = build_parser().parse_args(["ddpm", *words, "-T", "7", "--augment", "0.5"])
    config, recipe = ddpm.configure(arguments, None)
    training = options.training_of(recipe, arguments, CPU)
    assert config.unet.channels == (16, 24, 32)
    assert config.schedule.T == 7
    assert (training.weighting, training.augmentation.pixels) == ("min-snr", 2)


@pytest.mark.parametrize(
    "wrong",
    [{"seed": -1}, {"selection": "some"}, {"updates_per_epoch": -1}, {"pictures": -3}],
)
def test_settings_that_make_no_sense_are_refused(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=name):
        replace(vae.VAETraining(), **wrong)


# ---------------------------------------------------------------- shorter epochs


def test_an_epoch_of_a_few_updates_ends_there_and_the_cosine_with_it(tiny, tmp_path, monkeypatch):
    training = vae.VAETraining(epochs=3, batch_size=16, warmup_steps=1, updates_per_epoch=2)
    rates = []
    descend = vae.Trainer.descend

    def watched(trainer, loss, number):
        descend(trainer, loss, number)
        rates.append(trainer.optimizer.param_groups[0]["lr"])

    monkeypatch.setattr(vae.Trainer, "descend", watched)
    bundle = open_bundle(vae.start(tmp_path / "run", tiny, training, device=CPU))
    assert [row["updates"] for row in bundle.history] == [2, 4, 6]
    kept = [rate for rate in rates if rate > 0][:6]
    assert kept == sorted(kept, reverse=True)
    assert kept[-1] < 0.2 * training.learning_rate
    assert json.loads((tmp_path / "run/run.json").read_text())["training"]["updates_per_epoch"] == 2


def test_a_run_at_its_limit_makes_the_bundle_of_its_last_epoch(tiny, tmp_path, monkeypatch):
    training = vae.VAETraining(epochs=50, batch_size=16)
    clock = [0.0]
    step = vae.Trainer.step

    def slow(trainer, rows, number, generator):
        clock[0] += 5  # seconds: 20 an epoch of 4 updates
        return step(trainer, rows, number, generator)

    monkeypatch.setattr(vae.Trainer, "step", slow)
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    run = tmp_path / "run"
    bundle = open_bundle(vae.start(run, tiny, training, at_most=0.9, device=CPU))
    assert bundle.config["training"]["epochs_done"] == len(bundle.history) == 3
    assert bundle.config["training"]["epochs"] == 50
    assert 3 in bundle.progress("samples")
    again = open_bundle(vae.resume(run, at_most=0.1, device=CPU))
    assert len(again.history) == 4


def test_an_epoch_cannot_have_more_updates_than_pictures(tiny, tmp_path):
    training = vae.VAETraining(epochs=1, batch_size=16, updates_per_epoch=5)
    with pytest.raises(ValueError, match="at most the 4 of one pass, got 5"):
        vae.start(tmp_path / "run", tiny, training, device=CPU)

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from core.families import open_bundle
from core.pictures.data import load_split
from core.simsiam import methods
from core.simsiam.byol import BYOL
from core.simsiam.explorer import SimSiamExplorer, golden_deviation
from core.simsiam.joint_embedding import EmbeddingConfig
from core.simsiam.run_record import RIGHT, read_run
from core.simsiam.views import STANDARD, Views
from train.__main__ import main
from train.run import loop
from train.run.budget import measure_pace
from train.run.loop import Resident
from train.simsiam import diagnosis
from train.simsiam import trainer as simsiam
from train.simsiam.bundle import by_epoch
from train.simsiam.diagnosis import Protocol

CPU = torch.device("cpu")
# Not narrower: with 4 channels, last in memory, the backward pass of a convolution with stride 2 writes
# outside its memory on a CPU without AVX-512 (torch 2.14).
SIZE = EmbeddingConfig(width=8, stem="strided", hidden=32, dim=64, predictor_hidden=8)
FEW = Protocol(spread=40, queries=40, bank=60, k=10)
SHORT = simsiam.SimSiamTraining(epochs=3, batch_size=32, warmup_steps=2, protocol=FEW)


@pytest.fixture(scope="module")
def cifar(tmp_path_factory, make_digits, write_shard):
    """Drawn digits in the layout of CIFAR-10."""
    folder = tmp_path_factory.mktemp("cifar")
    for split, count, seed in (("train", 160, 0), ("test", 60, 1)):
        file = folder / f"uoft-cs/cifar10/plain_text/{split}-00000-of-00001.parquet"
        write_shard(file, *make_digits(count, seed), image_column="img")
    return folder


@pytest.fixture(autouse=True)
def data_at_hand(cifar, monkeypatch):
    monkeypatch.setenv("ATELIER_DATA_DIR", str(cifar))


def residents():
    return [Resident.of(load_split("cifar10", split), CPU) for split in ("train", "test")]


def new_trainer(recipe="baseline", training=SHORT, size=SIZE):
    chosen = simsiam.ABLATIONS[recipe]
    config = simsiam.named_config(replace(chosen, config={**chosen.config, "dim": size.dim}), size)
    settings = {key: value for key, value in chosen.training.items() if key == "heavy"}
    return simsiam.Trainer(config, replace(training, **settings), CPU, *residents())


def trained(run, recipe="baseline", training=SHORT, **how):
    chosen = simsiam.ABLATIONS[recipe]
    settings = {key: value for key, value in chosen.training.items() if key == "heavy"}
    config = simsiam.named_config(replace(chosen, config={**chosen.config, "dim": 64}), SIZE)
    training = replace(training, recipe=recipe, **settings)
    return simsiam.start(run, config, training, device=CPU, **how)


@pytest.fixture(scope="module")
def whole(cifar, tmp_path_factory):
    run = tmp_path_factory.mktemp("whole") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ATELIER_DATA_DIR", str(cifar))
        trained(run)
    return run


@pytest.fixture
def bundle(whole):
    return open_bundle(whole / "bundle", family="simsiam")


# ---------------------------------------------------------------- what the runs show


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_without_stop_gradient_the_loss_falls_lower_and_the_outputs_collapse(seed):
    training = replace(SHORT, epochs=8, batch_size=40, learning_rate=2.0, seed=seed)
    found = {}
    for recipe in ("baseline", "no-stop-gradient"):
        trainer = new_trainer(recipe, training)
        for _epoch in range(training.epochs):
            loss = trainer.run_epoch()["train_loss"]
            trainer.epoch += 1
        found[recipe] = loss, trainer.diagnose(trainer.averaged_model()).figures
    (loss, healthy), (lower, collapsed) = found["baseline"], found["no-stop-gradient"]
    assert lower < loss - 0.3
    assert collapsed["test_std_z"] < 0.8 * healthy["test_std_z"]
    assert collapsed["test_rank_z"] < 0.7 * healthy["test_rank_z"]
    assert healthy["test_std_z"] > 0.8 / 64**0.5


@pytest.mark.parametrize("recipe", simsiam.ABLATIONS)
def test_every_recipe_takes_a_step_and_changes_what_it_names(recipe):
    trainer = new_trainer(recipe)
    before = {key: value.clone() for key, value in trainer.model.state_dict().items()}
    generator = loop.epoch_generator(0, 0, "train", CPU)
    (loss,) = trainer.step(torch.arange(32), 0, generator)
    assert loss.isfinite()
    after = trainer.model.state_dict()
    key = "backbone.stages.7.conv2.weight"
    assert not torch.equal(before[key], after[key])
    chosen = simsiam.ABLATIONS[recipe]
    assert methods.method_of(trainer.model) == chosen.method
    for name, value in chosen.config.items():
        if name != "dim":
            assert getattr(trainer.model.config, name) == value


def test_recipes_differ_from_the_baseline_in_what_they_name_alone():
    for name, recipe in simsiam.ABLATIONS.items():
        _method, config = simsiam.named_config(recipe, simsiam.EMBEDDING_PRESETS["narrow"])
        assert config.width == simsiam.EMBEDDING_PRESETS["narrow"].width
        assert (config.dim == 4096) == ("dim-4096" in name)
        assert (recipe.training.get("batch_size") == 4096) == name.endswith("batch-4096")
        assert recipe.training.get("heavy", False) == name.startswith("heavy")


# ---------------------------------------------------------------- one step


def test_the_rate_of_the_predictor_stays_while_the_others_fall():
    trainer = new_trainer(training=replace(SHORT, epochs=2, warmup_steps=1, learning_rate=0.1))
    generator = loop.epoch_generator(0, 0, "train", CPU)
    rates = []
    for number in (0, 4, 9):
        trainer.step(torch.arange(32), number, generator)
        rates.append([group["lr"] for group in trainer.optimizer.param_groups])
    falling, constant = zip(*rates, strict=True)
    assert falling[0] > falling[1] > falling[2]
    assert constant == (0.1 * 32 / 256,) * 3
    predicted = {id(p) for p in trainer.model.predictor.parameters()}
    assert {id(p) for p in trainer.optimizer.param_groups[1]["params"]} == predicted


def test_every_weight_that_learns_is_in_one_group():
    for recipe in simsiam.ABLATIONS:
        trainer = new_trainer(recipe)
        grouped = [id(p) for group in trainer.optimizer.param_groups for p in group["params"]]
        wanted = [id(p) for p in trainer.model.parameters() if p.requires_grad]
        assert sorted(grouped) == sorted(wanted)


def test_a_step_is_one_of_stochastic_gradient_descent_with_momentum_and_decay():
    trainer = new_trainer(training=replace(SHORT, warmup_steps=1))
    weight = trainer.model.projector[0].weight
    before = weight.detach().clone()
    trainer.step(torch.arange(32), 0, loop.epoch_generator(0, 0, "train", CPU))
    rate = trainer.optimizer.param_groups[0]["lr"]
    assert rate == pytest.approx(0.03 * 32 / 256)
    expected = before - rate * (weight.grad + 5e-4 * before)
    torch.testing.assert_close(weight.detach(), expected, rtol=1e-5, atol=1e-7)


def test_the_target_of_byol_follows_after_every_step():
    trainer = new_trainer("byol")
    assert isinstance(trainer.model, BYOL)
    target = trainer.model.target_projector[0].weight
    before = target.detach().clone()
    trainer.step(torch.arange(32), 0, loop.epoch_generator(0, 0, "train", CPU))
    momentum = trainer.model.config.momentum
    expected = momentum * before + (1 - momentum) * trainer.model.projector[0].weight.detach()
    torch.testing.assert_close(target.detach(), expected)
    assert not torch.equal(target, before)


def test_byol_without_momentum_takes_the_steps_of_simsiam():
    """A quarter of the rate for four times the loss, and the target is the network itself."""
    quarter = {"learning_rate": 0.3 / 4, "weight_decay": 4 * SHORT.weight_decay}
    ours = new_trainer(training=replace(SHORT, learning_rate=0.3))
    theirs = new_trainer("byol-no-momentum", replace(SHORT, **quarter))
    for trainer in (ours, theirs):
        generator = loop.epoch_generator(0, 0, "train", CPU)
        for number in range(3):
            trainer.step(torch.arange(number, number + 32), number, generator)
    for name, weight in ours.model.named_parameters():
        other = theirs.model.get_parameter(name)
        torch.testing.assert_close(weight, other, rtol=1e-3, atol=1e-5, msg=name)


def test_two_views_of_a_picture_differ_and_so_do_those_of_equal_pictures():
    trainer = new_trainer()
    first, second = trainer.views(torch.zeros(8, dtype=torch.int64), torch.Generator())
    assert first.shape == (8, 3, 32, 32)
    assert first.is_contiguous(memory_format=torch.channels_last)
    assert not torch.equal(first, second)
    assert not torch.equal(first[0], first[1])


def test_heavy_views_are_further_from_the_picture():
    x = loop.as_float(residents()[0].levels[:32])
    standard, heavy = (new_trainer(recipe) for recipe in ("baseline", "heavy"))
    rows = torch.arange(32)
    off = [
        float((t.views(rows, torch.Generator().manual_seed(0))[0] - x).square().mean())
        for t in (standard, heavy)
    ]
    assert off[1] > 1.05 * off[0]


def test_dssl_gets_standard_views_and_harder_ones_made_of_them():
    seed = torch.Generator().manual_seed
    four = new_trainer("heavy-dssl").views(torch.arange(16), seed(0))
    two = new_trainer("heavy").views(torch.arange(16), seed(0))
    assert (len(four), len(two)) == (4, 2)
    standard = new_trainer().views(torch.arange(16), seed(0))
    torch.testing.assert_close(four[0], standard[0])
    torch.testing.assert_close(four[2], two[0])


def test_dssl_without_harder_views_is_refused():
    config = simsiam.named_config(simsiam.ABLATIONS["heavy-dssl"], SIZE)
    with pytest.raises(ValueError, match="heavy"):
        simsiam.Trainer(config, SHORT, CPU, *residents())


# ---------------------------------------------------------------- what is measured


def test_settling_gives_batch_statistics_of_the_weights_as_they_stand():
    trainer = new_trainer()
    levels = trainer.trained.levels
    plain = Views(crop=1, ratio=1, flip=0, jitter=0, grey=0)
    raw = diagnosis.projections_of(
        trainer.model.eval(), diagnosis.features_of(trainer.model, levels)
    )
    model = diagnosis.settle(trainer.model, levels, plain)
    z = diagnosis.projections_of(model, diagnosis.features_of(model, levels))
    assert not model.training
    assert float(raw.var(dim=0).mean()) < 0.1  # nothing is normalised yet
    assert float(z.mean(dim=0).abs().max()) < 0.05
    assert float(z.var(dim=0).mean()) == pytest.approx(1, abs=0.03)
    norm = model.projector[1]
    assert isinstance(norm, nn.BatchNorm1d)
    assert norm.momentum == 0.1


def test_diagnosing_changes_no_weight_and_repeats_itself():
    trainer = new_trainer()
    model = trainer.averaged_model()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    first, second = trainer.diagnose(model), trainer.diagnose(model)
    assert first.figures == second.figures
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert first.arrays["map_z"].shape == (40, 2)
    assert first.arrays["spectrum_z"].shape == (diagnosis.SPECTRUM,)


def test_a_constant_network_is_diagnosed_as_collapsed():
    trainer = new_trainer()
    model = trainer.averaged_model()
    nn.init.zeros_(model.projector[6].weight)
    model.projector[7].running_mean.zero_()
    model.projector[7].running_mean.sub_(1.0)
    found = trainer.diagnose(model).figures
    assert found["test_std_z"] == pytest.approx(0, abs=1e-6)
    assert found["test_alignment"] == pytest.approx(0, abs=1e-6)
    assert found["test_uniformity"] == pytest.approx(0, abs=1e-6)


def test_the_pace_is_measured_without_a_step_of_the_run(whole):
    trainer = new_trainer()
    before = trainer.model.projector[0].weight.detach().clone()
    epoch, end = measure_pace(trainer)
    assert epoch > 0
    assert end > 0
    assert torch.equal(before, trainer.model.projector[0].weight)
    assert trainer.arrays == []


# ---------------------------------------------------------------- a run and its bundle


def test_a_run_leaves_a_bundle_that_tells_of_every_epoch(bundle):
    assert golden_deviation(bundle) <= 1e-4
    record = read_run(bundle)
    assert record.epochs.tolist() == [0, 1, 2, 3]
    assert record.recipe == "baseline"
    assert record.dim == 64
    assert np.isnan(record.figures["train_loss"][0])
    assert np.isfinite(record.figures["train_loss"][1:]).all()
    assert record.maps["z"].shape == (4, 40, 2)
    assert (np.diff(record.spectra["h"], axis=1) <= 1e-3).all()
    assert record.labels.tolist() == load_split("cifar10", "test").labels[:40].tolist()
    assert bundle.metrics["test"]["bank"] == 160
    assert bundle.profiles["bank_features"].shape == (160, 64)


def test_a_run_keeps_which_test_pictures_it_names_right(bundle):
    record, test = read_run(bundle), bundle.metrics["test"]
    for measure in ("knn_accuracy", "linear_accuracy"):
        assert record.right(measure).mean() == pytest.approx(test[measure])
    shares = [record.right("knn_by_epoch", epoch).mean() for epoch in record.epochs]
    assert shares == pytest.approx(record.figures["test_knn_accuracy"])


@pytest.mark.parametrize("change", ["absent", "other kind", "other count", "other pictures"])
def test_answers_that_do_not_give_their_share_are_not_used(bundle, change):
    record = read_run(bundle)
    for name, array in bundle.profiles.items():
        if name.startswith("right"):
            bundle.profiles[name] = {
                "other kind": array.astype(np.float32),
                "other count": array[..., 1:],
                "other pictures": ~array,
            }.get(change)
    for measure in RIGHT:
        assert record.right(measure, 0) is None


def test_a_run_of_an_older_state_goes_without_answers_by_epoch():
    kept = {"spectrum_z": torch.ones(3), "spectrum_h": torch.ones(3)}
    kept |= {"map_z": torch.ones(2, 2), "map_h": torch.ones(2, 2)}
    right = {"right": torch.ones(1, dtype=torch.uint8)}
    labels = torch.zeros(2, dtype=torch.long)
    assert RIGHT["knn_by_epoch"] in by_epoch([kept | right, kept | right], labels, 2)
    assert RIGHT["knn_by_epoch"] not in by_epoch([kept, kept | right], labels, 2)


def test_figures_of_the_bundle_are_found_again(bundle, capsys):
    assert main(["verify", str(bundle.folder), "--device", "cpu"]) == 0
    assert "every figure agrees" in capsys.readouterr().out


def test_a_false_figure_is_found_out(whole, tmp_path, capsys):
    copy = shutil.copytree(whole / "bundle", tmp_path / "bundle")
    metrics = json.loads((copy / "metrics.json").read_text())
    metrics["test"]["rank_z"] += 1
    (copy / "metrics.json").write_text(json.dumps(metrics))
    assert main(["verify", str(copy), "--device", "cpu"]) == 1
    assert "DIFFERS" in capsys.readouterr().out


def test_the_network_before_training_is_made_again_from_its_seed(bundle):
    explorer = SimSiamExplorer(bundle)
    trainer = new_trainer()
    x = loop.as_float(trainer.tested.levels[:8])
    with torch.no_grad():
        expected = trainer.averaged_model().features(x)
        found = methods.untrained_network(bundle).features(x)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(found, explorer._trained.features(x))


def test_a_resumed_run_ends_as_one_that_never_stopped(whole, tmp_path, monkeypatch):
    run = tmp_path / "run"

    def stop_after_two(path, state, save=loop.save_state):
        save(path, state)
        if state["epoch"] == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop, "save_state", stop_after_two)
        with pytest.raises(KeyboardInterrupt):
            trained(run)
    simsiam.resume(run, device=CPU)
    ours, theirs = (open_bundle(one / "bundle") for one in (run, whole))
    for file in ("model.safetensors", "profiles.safetensors"):
        for key, value in ours.arrays(file).items():
            np.testing.assert_array_equal(value, theirs.arrays(file)[key], err_msg=key)
    clock = {"seconds", "seconds_train", "seconds_total"}
    for row, other in zip(ours.history, theirs.history, strict=True):
        assert {k: v for k, v in row.items() if k not in clock} == {
            k: v for k, v in other.items() if k not in clock
        }
    assert ours.metrics == theirs.metrics


def test_the_card_says_what_was_trained_on_what(bundle):
    card = bundle.card
    assert "# SimSiam: baseline" in card
    assert "CIFAR-10 subset (train), 160 pictures" in card
    assert "width 8" in card
    assert "narrow" in card
    assert "methods.from_pretrained" in card
    assert f"{bundle.metrics['test']['knn_accuracy']:.2%}" in card


def test_the_command_trains_a_recipe_on_part_of_the_pictures(tmp_path, monkeypatch):
    monkeypatch.setitem(simsiam.EMBEDDING_PRESETS, "narrow", SIZE)
    run = tmp_path / "run"
    command = ["simsiam", "--run", str(run), "--preset", "narrow", "--recipe", "no-predictor"]
    settings = ["--epochs", "1", "--batch-size", "32", "--pictures", "96", "--device", "cpu"]
    assert main([*command, *settings, "--bank", "50", "--queries", "30"]) == 0
    found = open_bundle(run / "bundle")
    assert found.config["architecture"]["predictor"] == "identity"
    assert found.config["training"]["recipe"] == "no-predictor"
    assert found.config["training"]["protocol"]["bank"] == 50
    assert found.config["data"]["pictures"] == 96
    on = ["simsiam", "--run", str(run), "--resume", "--device", "cpu"]
    assert main([*on, "--recipe", "byol"]) == 1  # a run keeps its recipe
    assert main([*on, "--epochs", "2"]) == 0
    longer = open_bundle(run / "bundle").config["training"]
    assert longer == found.config["training"] | {
        "epochs": 2,
        "epochs_done": 2,
        "lengthened": [[1, 1]],
    }


def test_standard_views_are_those_of_the_default_recipe():
    assert simsiam.SimSiamTraining().views == STANDARD

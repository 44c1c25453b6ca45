import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from core.errors import AtelierError
from core.families import open_bundle, read_manifest
from train.__main__ import build_parser, commands, main
from train.judge import trainer as judge


@pytest.fixture
def copy(tiny_bundle, tmp_path):
    return shutil.copytree(tiny_bundle, tmp_path / "bundle")


def verify(bundle):
    return main(["verify", str(bundle), "--device", "cpu"])


def embed(bundle, checkpoints, name="vae-tiny", title="Tiny"):
    place = ["--checkpoints", str(checkpoints)]
    return main(["embed", str(bundle), "--name", name, "--title", title, *place])


def edit_metrics(bundle, change):
    metrics = json.loads((bundle / "metrics.json").read_text())
    change(metrics)
    (bundle / "metrics.json").write_text(json.dumps(metrics))


def edit_arrays(path, change):
    arrays = load_file(path)
    change(arrays)
    save_file(arrays, path)


def test_verify_finds_every_figure_again(tiny_bundle, capsys):
    assert verify(tiny_bundle) == 0
    said = capsys.readouterr().out
    assert "every figure agrees" in said
    assert "test.negative_elbo" in said
    assert "DIFFERS" not in said
    assert "MISSED" in said or "met" in said


@pytest.mark.parametrize(
    "change",
    [
        lambda metrics: metrics["test"].update(nll=metrics["test"]["nll"] + 1),
        lambda metrics: metrics["test"].update(active_units=99),
        lambda metrics: metrics["linear_model"].update(nll=2000.0),
        lambda metrics: metrics["importance_weighted"][1].update(nll=2000.0),
        lambda metrics: metrics["test"].update(invented=1.0),
        lambda metrics: metrics["test"].pop("mse"),
        lambda metrics: metrics.pop("linear_model"),
    ],
    ids=["nll", "units", "linear", "importance", "invented", "absent", "absent-group"],
)
def test_verify_finds_an_altered_figure(copy, change, capsys):
    edit_metrics(copy, change)
    assert verify(copy) == 1
    assert "DIFFERS" in capsys.readouterr().out


@pytest.mark.parametrize(
    "change",
    [
        lambda arrays: np.add(arrays["class_mean"], 0.5, out=arrays["class_mean"]),
        lambda arrays: arrays.pop("kl_per_unit"),
        lambda arrays: arrays.update(test_kl=arrays["test_kl"][:-1]),
    ],
    ids=["altered", "absent", "shorter"],
)
def test_verify_finds_an_altered_profile(copy, change, capsys):
    edit_arrays(copy / "profiles.safetensors", change)
    assert verify(copy) == 1
    assert "DIFFERS" in capsys.readouterr().out


def test_verify_refuses_altered_weights(copy, capsys):
    def nudge(arrays):
        arrays["decoder.0.bias"] += np.float16(0.05)

    edit_arrays(copy / "model.safetensors", nudge)
    assert verify(copy) == 1
    assert "golden" in capsys.readouterr().err


def test_verify_refuses_other_pictures(copy, capsys):
    config = json.loads((copy / "config.json").read_text())
    config["data"]["test_fingerprint"] = "0" * 64
    (copy / "config.json").write_text(json.dumps(config))
    assert verify(copy) == 1
    assert "not those of the bundle" in capsys.readouterr().err


def test_an_embedded_bundle_opens_verified_by_its_name(tiny_bundle, tmp_path):
    assert embed(tiny_bundle, tmp_path) == 0
    manifest = read_manifest(tmp_path / "manifest.json")
    opened = manifest.open("vae-tiny")
    assert opened.verified
    assert opened.digest == open_bundle(tiny_bundle).digest
    assert manifest.entry("vae-tiny").title == "Tiny"
    with open(tmp_path / "vae-tiny" / "model.safetensors", "ab") as file:
        file.write(b"\n")
    with pytest.raises(AtelierError) as caught:
        manifest.open("vae-tiny")
    assert caught.value.code == "bundle-hash"


def test_embedding_again_replaces_the_bundle(tiny_bundle, copy, tmp_path):
    embed(tiny_bundle, tmp_path / "checkpoints")
    edit_metrics(copy, lambda metrics: metrics["test"].update(nll=1.0))
    (copy / "progress" / "epoch-0002-samples.jpg").unlink()
    embed(copy, tmp_path / "checkpoints", title="Again")
    manifest = read_manifest(tmp_path / "checkpoints" / "manifest.json")
    assert [entry.title for entry in manifest.entries] == ["Again"]
    opened = manifest.open("vae-tiny")
    assert opened.metrics["test"]["nll"] == 1.0
    assert list(opened.progress("samples")) == [0]


@pytest.mark.parametrize("there", [True, False])
def test_a_bundle_that_the_manifest_cannot_name_leaves_all_as_it_was(
    tiny_bundle, copy, tmp_path, monkeypatch, capsys, there
):
    checkpoints = tmp_path / "checkpoints"
    if there:
        embed(tiny_bundle, checkpoints)
    (copy / "metrics.json").write_text((copy / "metrics.json").read_text() + "\n")

    def full(*_arguments, **_names):
        raise OSError(28, "No space left on device", str(checkpoints / "manifest.json"))

    with monkeypatch.context() as patch:
        patch.setattr("train.release.embed.register", full)
        assert embed(copy, checkpoints) == 1
    assert "The disk is full" in capsys.readouterr().err
    if there:
        assert read_manifest(checkpoints / "manifest.json").open("vae-tiny").verified
    assert [path.name for path in checkpoints.iterdir() if path.is_dir()] == ["vae-tiny"] * there
    assert embed(copy, checkpoints) == 0


def test_files_that_are_not_of_the_bundle_are_not_embedded(copy, tmp_path):
    (copy / "state.pt").touch()
    (copy / "progress" / "evil.py").touch()
    embed(copy, tmp_path / "checkpoints")
    names = {path.name for path in (tmp_path / "checkpoints").rglob("*")}
    assert not names & {"state.pt", "evil.py"}


@pytest.mark.parametrize("name", ["../up", "Upper", "", "-a", "a/b"])
def test_a_name_that_is_no_folder_name_is_refused(tiny_bundle, tmp_path, name, capsys):
    arguments = ["embed", str(tiny_bundle), f"--name={name}", "--title", "T"]
    assert main([*arguments, "--checkpoints", str(tmp_path)]) == 1
    assert "name must" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_is_not_embedded_onto_itself(tiny_bundle, tmp_path, capsys):
    embed(tiny_bundle, tmp_path)
    assert embed(tmp_path / "vae-tiny", tmp_path) == 1
    assert "already" in capsys.readouterr().err
    assert read_manifest(tmp_path / "manifest.json").open("vae-tiny").verified


def test_a_folder_that_is_no_bundle_is_one_line_of_error(tmp_path, capsys):
    named = ["embed", str(tmp_path), "--name=a", "--title=A"]
    for command in (["verify", str(tmp_path)], ["measure", str(tmp_path)], named):
        assert main(command) == 1
        assert capsys.readouterr().err.count("\n") == 1


def train_judge(run, *options):
    few = ["--epochs", "1", "--batch-size", "16", "--device", "cpu"]
    return main(["judge", "--run", str(run), *few, *options])


def test_the_command_judge_trains_by_its_own_recipe(tmp_path, monkeypatch, tiny_judge):
    monkeypatch.setitem(judge.PRESETS, "default", tiny_judge)
    assert train_judge(tmp_path / "run", "--augment", "0.5") == 0
    bundle = open_bundle(tmp_path / "run" / "bundle", family="judge")
    training, recipe = bundle.config["training"], judge.JudgeTraining()
    assert bundle.config["architecture"] == tiny_judge.plain()
    assert training["epochs"] == 1
    assert training["weight_decay"] == recipe.weight_decay
    assert training["label_smoothing"] == recipe.label_smoothing
    assert training["mixup"] == recipe.mixup
    assert training["augmentation"] == {
        name: value / 2 for name, value in vars(recipe.augmentation).items()
    }
    assert recipe.augmentation.shear > 0


def test_the_command_judge_takes_no_wrong_setting(tmp_path, capsys):
    assert train_judge(tmp_path / "run", "--learning-rate", "0") == 1
    assert capsys.readouterr().err.startswith("error: learning_rate must")


@pytest.mark.parametrize("name", ["vae", "ddpm", "simsiam", "judge"])
def test_a_run_is_resumed_and_finished_by_its_folder_alone(name, tmp_path, capsys):
    for option in ("--resume", "--finish"):
        assert main([name, "--run", str(tmp_path / "run"), option]) == 1
        assert "no run that could be resumed" in capsys.readouterr().err
        assert main([name, "--run", str(tmp_path / "run"), option, "--seed", "3"]) == 1
        assert "leave out --seed" in capsys.readouterr().err


def test_measure_asks_what_verify_asks_and_how_many_pictures_for_t_star():
    parser = build_parser()
    given = ["some/folder", "--folder", "mine", "--device", "cpu"]
    found = [vars(parser.parse_args([name, *given])) for name in ("measure", "verify")]
    assert found[0].pop("command") == "measure"
    assert found[1].pop("command") == "verify"
    assert found[0].pop("t_star") is None
    assert found[0].pop("seconds") is False
    assert found[0].pop("way") is False
    assert found[0].pop("layers") is False
    assert found[0] == found[1]
    assert parser.parse_args(["measure", *given, "--t-star", "0"]).t_star == 0


def test_every_command_says_what_it_does(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    said = " ".join(capsys.readouterr().out.split())
    for name, (_module, summary) in commands().items():
        assert f"{name} {summary}" in said

"""What a command cannot do is one sentence that names the cause, and nothing is lost by it."""

import errno
import os
import shutil
import sys

import pytest
import torch

from train.__main__ import main
from train.families import TRAINED
from train.release import pace, verify
from train.run import loop
from train.vae import trainer as vae

CPU = torch.device("cpu")
SMALL = ["--epochs", "1", "--batch-size", "16", "--device", "cpu"]


def names(folder):
    return sorted(path.name for path in folder.rglob("*"))


def one_sentence(command, capsys):
    """What a command that fails says on stderr."""
    capsys.readouterr()
    assert main([str(word) for word in command]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    return said


@pytest.fixture
def run(tmp_path, tiny_presets):
    """A finished run of a tiny VAE."""
    assert main(["vae", "--run", str(tmp_path / "run"), *SMALL]) == 0
    return tmp_path / "run"


@pytest.fixture
def no_training(monkeypatch):
    for family in TRAINED.values():
        monkeypatch.setattr(family.trainer, "step", lambda *_: pytest.fail("it trained"))


# ---------------------------------------------------------------- files and folders


@pytest.mark.parametrize(
    "command",
    [
        ["vae", "--run", "FILE", *SMALL],
        ["vae", "--run", "FILE/below", *SMALL],
        ["embed", "BUNDLE", "--name", "a", "--title", "A", "--checkpoints", "FILE"],
        ["embed", "BUNDLE", "--name", "a", "--title", "A", "--checkpoints", "FILE/below"],
        ["simsiam", "--run", "FILE", *SMALL],
    ],
    ids=lambda command: " ".join(command[:3]),
)
def test_a_file_where_a_folder_should_be_is_named(tiny_bundle, tmp_path, capsys, command):
    file = tmp_path / "file"
    file.write_text("mine")
    words = [
        word.replace("FILE", str(file)).replace("BUNDLE", str(tiny_bundle)) for word in command
    ]
    said = one_sentence(words, capsys)
    assert str(file) in said
    assert "a file stands where a folder is needed" in said
    assert file.read_text() == "mine"


@pytest.mark.skipif(os.name != "posix", reason="rights as POSIX has them")
@pytest.mark.parametrize(
    ("refused", "command"),
    [
        ("tempfile.mkstemp", ["vae", "--run", "RUN", "--resume", "--epochs", "2"]),
        ("tempfile.mkstemp", ["vae", "--run", "NEW", *SMALL]),
        ("tempfile.mkdtemp", ["vae", "--run", "RUN", "--finish"]),
        ("tempfile.mkdtemp", ["embed", "BUNDLE", "--name=a", "--title=A", "--checkpoints=NEW"]),
        ("os.mkdir", ["vae", "--run", "NEW", *SMALL]),
    ],
)
@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_what_may_not_be_written_is_named(
    run, tmp_path, monkeypatch, capsys, refused, command, number
):
    module, call = refused.split(".")

    def fails(path=None, *_arguments, **options):
        raise OSError(number, os.strerror(number), str(options.get("dir", path)))

    before = names(run)
    places = {"RUN": run, "NEW": tmp_path / "new", "BUNDLE": run / "bundle"}
    for word, path in places.items():
        command = [part.replace(word, str(path)) for part in command]
    with monkeypatch.context() as patch:
        patch.setattr(sys.modules[module], call, fails)
        said = one_sentence(command, capsys)
    assert str(tmp_path) in said
    assert os.strerror(number) in said or "The disk is full" in said
    assert names(run) == before
    assert loop.load_state(run / "state.pt", CPU)["epoch"] == 1


@pytest.fixture
def room():
    """Limits how long a file may become, as a disk that fills up does."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(
    ("verb", "kilobytes", "file"),
    [
        (["--resume", "--epochs", "2"], 100, "state.pt"),
        (["--resume", "--epochs", "2"], 0, "run.json"),
        (["--finish"], 100, "bundle"),
    ],
)
def test_a_file_that_is_cut_short_leaves_the_one_before(run, room, capsys, verb, kilobytes, file):
    before = {name: (run / name).read_bytes() for name in ("state.pt", "bundle/metrics.json")}
    command = ["vae", "--run", run, "--device", "cpu", *verb]
    room(kilobytes * 1000)
    said = one_sentence(command, capsys)
    room(-1)
    assert str(run / file) in said
    assert "File too large" in said
    assert {name: (run / name).read_bytes() for name in before} == before
    assert [name for name in names(run) if name.startswith(".")] == [".lock"]
    assert main([str(word) for word in command]) == 0


# ---------------------------------------------------------------- runs of others


@pytest.mark.parametrize("other", ["ddpm", "simsiam", "judge"])
@pytest.mark.parametrize("verb", ["--resume", "--finish"])
@pytest.mark.parametrize("said_by", [True, False], ids=["named", "of an earlier version"])
def test_a_run_of_another_family_is_named(run, capsys, other, verb, said_by):
    state = loop.load_state(run / "state.pt", CPU)
    if not said_by:
        del state["settings"]["family"]
        loop.save_state(run / "state.pt", state)
    said = one_sentence([other, "--run", run, verb, "--device", "cpu"], capsys)
    assert str(run) in said
    assert f"of the family vae, not of {other}" in said or f"no run of the family {other}" in said
    assert said_by == ("family vae" in said)


@pytest.mark.parametrize(
    "state",
    [
        [1, 2],
        {},
        {"weights": torch.zeros(2)},
        torch.zeros(3),
        {"settings": 3},
        {"settings": {"architecture": {}}, "epoch": 1},
    ],
    ids=["list", "empty", "weights", "tensor", "number", "settings"],
)
def test_a_file_that_is_no_state_is_named(run, capsys, state):
    loop.save_state(run / "state.pt", state)
    said = one_sentence(["vae", "--run", run, "--resume", "--device", "cpu"], capsys)
    assert f"{run / 'state.pt'} is damaged" in said


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.update(model={}),
        lambda state: state["optimizer"].update(param_groups=[]),
        lambda state: state["model"].update({"mean.weight": torch.zeros(1)}),
    ],
)
def test_a_state_of_other_weights_is_named(run, capsys, change):
    state = loop.load_state(run / "state.pt", CPU)
    change(state)
    loop.save_state(run / "state.pt", state)
    said = one_sentence(["vae", "--run", run, "--finish", "--device", "cpu"], capsys)
    assert f"{run / 'state.pt'} is damaged" in said


# ---------------------------------------------------------------- values


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--minutes", "0"),
        ("--minutes", "-1"),
        ("--minutes", "nan"),
        ("--minutes", "inf"),
        ("--at-most", "inf"),
        ("--seed", "-1"),
        ("--seed", "12345678901234567890123"),
        ("--seed", str(2**63)),
        ("--pictures", "1"),
        ("--pictures", "-2"),
        ("--pictures", str(10**23)),
        ("--learning-rate", "inf"),
        ("--learning-rate", "nan"),
        ("--weight-decay", "-1"),
        ("--weight-decay", "nan"),
        ("--average-decay", "1"),
        ("--average-decay", "nan"),
        ("--warmup-steps", "-1"),
        ("--warmup-steps", str(10**23)),
        ("--updates-per-epoch", "-1"),
        ("--updates-per-epoch", str(10**23)),
        ("--epochs", "0"),
        ("--epochs", "10000"),
        ("--batch-size", "1"),
        ("--batch-size", str(10**23)),
        ("--device", "foo"),
    ],
)
@pytest.mark.parametrize("family", ["vae", "ddpm", "simsiam", "judge"])
def test_a_value_that_makes_no_sense_is_refused_before_any_work(
    tiny_presets, tmp_path, no_training, capsys, family, option, value
):
    said = one_sentence([family, "--run", tmp_path / "run", option, value], capsys)
    assert option[2:].replace("-", "_") in said
    assert "must be" in said
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("seed", [0, 1, 2**63 - 1])
def test_every_seed_that_is_taken_trains(tiny, tmp_path, seed):
    training = vae.VAETraining(epochs=1, batch_size=32, seed=seed)
    vae.start(tmp_path / "run", tiny, training, device=CPU)
    assert loop.load_state(tmp_path / "run/state.pt", CPU)["settings"]["training"]["seed"] == seed


# ---------------------------------------------------------------- the data folder


@pytest.mark.parametrize("place", ["/nowhere", "~/data", "DATA/ufldl-stanford", "DATA/empty"])
def test_a_data_folder_that_is_wrong_is_named_as_it_was_looked_in(
    svhn_folder, tmp_path, monkeypatch, capsys, place
):
    monkeypatch.setenv("HOME", str(tmp_path))
    root = place.replace("DATA", str(svhn_folder))
    monkeypatch.setenv("ATELIER_DATA_DIR", root)
    said = one_sentence(["vae", "--run", tmp_path / "run", *SMALL], capsys)
    looked_in = root.replace("~", str(tmp_path)) + "/ufldl-stanford/svhn/cropped_digits"
    assert f"ATELIER_DATA_DIR is set, but {looked_in} holds no file of it" in said


def test_the_home_of_a_data_folder_is_found(svhn_folder, tiny_presets, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(svhn_folder.parent))
    monkeypatch.setenv("ATELIER_DATA_DIR", f"~/{svhn_folder.name}")
    assert main(["vae", "--run", str(tmp_path / "run"), *SMALL]) == 0


# ---------------------------------------------------------------- bundles


def cut_short(file):
    file.write_bytes(file.read_bytes()[:-9])


def of_another_format(file):
    file.write_text(file.read_text().replace('"format": 1', '"format": 9'))


def of_another_width(file):
    file.write_text(file.read_text().replace('"latent_dim": 4', '"latent_dim": 5'))


@pytest.mark.parametrize(
    ("file", "spoil"),
    [
        ("config.json", cut_short),
        ("config.json", of_another_format),
        ("config.json", of_another_width),
        ("metrics.json", cut_short),
        ("profiles.safetensors", cut_short),
        ("model.safetensors", cut_short),
        ("history.json", lambda file: file.unlink()),
        ("golden.safetensors", lambda file: file.unlink()),
    ],
)
@pytest.mark.parametrize("command", ["verify", "measure"])
def test_a_bundle_that_cannot_be_used_is_named_by_its_path(
    tiny_bundle, tmp_path, capsys, command, file, spoil
):
    bundle = tmp_path / "first/bundle"
    shutil.copytree(tiny_bundle, bundle)
    spoil(bundle / file)
    assert f"{bundle} " in one_sentence([command, bundle, "--device", "cpu"], capsys)


@pytest.mark.parametrize(
    "command", [["ddpm", "--run", "RUN", "--from"], ["simsiam", "--run", "RUN", "--from"]]
)
def test_a_bundle_of_another_family_is_named_by_its_path(tiny_bundle, tmp_path, capsys, command):
    words = [word.replace("RUN", str(tmp_path / "run")) for word in command]
    assert f"{tiny_bundle} is a bundle of the family vae" in one_sentence(
        [*words, tiny_bundle], capsys
    )


# ---------------------------------------------------------------- options that would pass unseen


@pytest.mark.parametrize("empty", ["", " ", "="], ids=["empty", "blank", "behind ="])
@pytest.mark.parametrize(
    "command",
    [
        ["vae", "--run", "RUN", *SMALL, "--folder"],
        ["ddpm", "--run", "RUN", *SMALL, "--from"],
        ["simsiam", *SMALL, "--run"],
        ["judge", "--run", "RUN", "--resume", "--folder"],
        ["embed", "BUNDLE", "--name", "a", "--checkpoints", "NEW", "--title"],
        ["verify", "BUNDLE", "--folder"],
        ["pace", "vae", "--to"],
        ["publish", "BUNDLE", "--repo", "user/name", "--dry-run", "--title"],
    ],
    ids=lambda command: f"{command[0]} {command[-1]}",
)
def test_an_empty_word_as_a_shell_leaves_it_is_refused(
    tiny_bundle, tmp_path, no_training, capsys, monkeypatch, command, empty
):
    monkeypatch.chdir(tmp_path)
    places = {"RUN": tmp_path / "run", "NEW": tmp_path / "new", "BUNDLE": tiny_bundle}
    *words, option = (str(places.get(word, word)) for word in command)
    words += [f"{option}="] if empty == "=" else [option, empty]
    assert f"{option} must not be empty" in one_sentence(words, capsys)
    assert names(tmp_path) == []


def test_an_empty_path_is_not_the_folder_that_one_is_in(tiny_bundle, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tiny_bundle)
    said = one_sentence(["embed", "", "--name", "a", "--title", "A"], capsys)
    assert "what follows embed must not be empty" in said


@pytest.mark.parametrize("place", [".", "progress", "new/run"])
@pytest.mark.parametrize("family", ["vae", "simsiam"])
def test_no_run_is_written_into_a_bundle(
    tiny_bundle, tmp_path, tiny_presets, no_training, capsys, family, place
):
    bundle = tmp_path / "mine"
    shutil.copytree(tiny_bundle, bundle)
    before = names(bundle)
    said = one_sentence([family, "--run", bundle / place, *SMALL], capsys)
    assert f"{bundle} is a bundle" in said
    assert names(bundle) == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--t-star", "-1"], "t_star must be 0 or more, got -1"),
        (["--t-star", "-5"], "t_star must be 0 or more, got -5"),
        (["--t-star", "3"], "--t-star is for a diffusion model"),
        (["--t-star", "0"], "--t-star is for a diffusion model"),
        (["--t-star", "3", "--seconds"], "--seconds measures that alone: leave out --t-star"),
        (["--t-star", "3", "--way"], "--way measures that alone: leave out --t-star"),
        (["--t-star", "0", "--layers"], "--layers measures that alone: leave out --t-star"),
        (["--folder", "mine", "--seconds"], "--seconds looks at no pictures: leave out --folder"),
        (["--folder", "mine", "--way"], "--way looks at no pictures: leave out --folder"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_measure_takes_no_option_that_it_would_not_heed(
    tiny_bundle, capsys, monkeypatch, options, words
):
    monkeypatch.setattr(verify, "recompute", lambda *_, **__: pytest.fail("it measured"))
    assert words in one_sentence(["measure", tiny_bundle, *options, "--device", "cpu"], capsys)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--batch-size", "0"], "batch_size must be 2 to"),
        (["--batch-size", "-8"], "batch_size must be 2 to"),
        (["--batch-size", "1"], "batch_size must be 2 to"),
        (["--preset", "huge"], "preset must be one that vae has"),
        (["--to", "FOLDER"], "a folder stands where a file is needed"),
        (["--to", "FILE/pace.json"], "a file stands where a folder is needed"),
        (["--to", "FILE/deep/pace.json"], "a file stands where a folder is needed"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_pace_knows_before_it_measures_what_it_cannot_do(
    tmp_path, capsys, monkeypatch, options, words
):
    monkeypatch.setattr(pace, "matrix_peak", lambda *_: pytest.fail("it measured"))
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    before = names(tmp_path)
    options = [
        word.replace("FOLDER", f"{tmp_path}/folder").replace("FILE", f"{tmp_path}/file")
        for word in options
    ]
    assert words in one_sentence(["pace", "vae", *options, "--device", "cpu"], capsys)
    assert names(tmp_path) == before


@pytest.mark.parametrize("repo", ["x", "a/b/c", "user/", "../up", "user/name@main", "user name/b"])
@pytest.mark.parametrize("command", [["space"], ["publish", "BUNDLE"]], ids=["space", "publish"])
def test_a_dry_run_refuses_what_the_hub_would(tiny_bundle, capsys, repo, command):
    words = [str(tiny_bundle) if word == "BUNDLE" else word for word in command]
    said = one_sentence([*words, "--repo", repo, "--dry-run"], capsys)
    assert repo in said

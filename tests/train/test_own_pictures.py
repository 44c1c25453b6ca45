"""Runs on folders of one's own pictures, of any make: they end in a bundle, or are refused at once."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file

from core.ddpm.model import DDPM
from core.errors import AtelierError
from core.families import check_contents, open_bundle
from core.pictures import data
from train.__main__ import main
from train.ddpm import trainer as ddpm
from train.families import TRAINED
from train.run import loop, sets
from train.simsiam import bundle as simsiam_bundle

CPU = torch.device("cpu")
SMALL = ["--epochs", "1", "--batch-size", "8", "--device", "cpu"]
MANY = {f"c{number:02d}": 3 for number in range(11)}


def train(family, run, folder, *more):
    return main([family, "--run", str(run), "--folder", str(folder), *SMALL, *more])


def no_training(monkeypatch):
    """Any step of any family fails the test."""
    for family in TRAINED.values():
        monkeypatch.setattr(family.trainer, "step", lambda *_: pytest.fail("it trained"))


# ---------------------------------------------------------------- first ones, of every class


@pytest.mark.parametrize(
    "sizes", [(30, 30), (10, 20, 70), (40, 40, 40, 11, 1)], ids=lambda sizes: str(len(sizes))
)
def test_any_first_pictures_have_of_each_class_its_share(sizes):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    pictures = np.arange(len(labels), dtype=np.uint8).reshape(-1, 1, 1, 1)
    names = tuple(map(str, range(len(sizes))))
    whole = data.PictureSet("folder", "train", pictures, labels, names)
    found = data.mixed(whole)
    assert sorted(found.pictures.flatten()) == list(range(len(labels)))
    assert (labels[found.pictures.flatten()] == found.labels).all()
    for count in range(len(labels) + 1):
        share = count * np.array(sizes) / len(labels)
        taken = np.bincount(found.labels[:count], minlength=len(sizes))
        assert (abs(taken - share) <= 1).all(), (count, taken)


@pytest.mark.parametrize("pictures", [0, 20, 33])
def test_a_sorted_folder_is_mixed_for_training_and_test(own, pictures):
    folder = own(a=40, b=40, c=40)
    for part in sets.load("", "", "", folder=str(folder), pictures=pictures):
        for count in (3, 6, 9, len(part)):
            assert np.ptp(np.bincount(part.labels[:count], minlength=3)) <= 1
    earlier, _tested = sets.load("", "", "", folder=str(folder), mixed=False)
    assert (np.diff(earlier.labels) >= 0).all()


def test_bank_queries_spread_and_map_of_a_sorted_folder_have_every_class(
    own, tiny_presets, tmp_path
):
    folder, run = own(a=60, b=60, c=60), tmp_path / "run"
    assert train("simsiam", run, folder, "--bank", "20", "--queries", "6") == 0
    arrays = load_file(run / "bundle/profiles.safetensors")
    for name in ("bank_labels", "map_labels"):
        assert set(arrays[name][:6]) == {0, 1, 2}, name
    state = loop.load_state(run / "state.pt", CPU)
    assert 0 < state["history"][0]["test_knn_accuracy"] < 1


def test_a_run_that_began_on_a_sorted_folder_goes_on_with_it(own, tiny_presets, tmp_path):
    folder, run = own(a=20, b=20), tmp_path / "run"
    assert train("vae", run, folder) == 0
    state = loop.load_state(run / "state.pt", CPU)
    parts = sets.load("", "", "", folder=str(folder), mixed=False)
    for key, part in zip(("fingerprint", "test_fingerprint"), parts, strict=True):
        state["settings"]["data"][key] = part.fingerprint()
    del state["settings"]["training"]["mixed"]
    loop.save_state(run / "state.pt", state)
    assert main(["vae", "--run", str(run), "--resume", "--epochs", "2", "--device", "cpu"]) == 0
    verify = ["verify", str(run / "bundle"), "--folder", str(folder), "--device", "cpu"]
    assert main(verify) == 0


@pytest.mark.parametrize("classes", [2, 256, 257, 70000])
def test_labels_of_more_classes_than_a_byte_holds_are_kept(classes):
    labels = torch.arange(classes)
    kept = simsiam_bundle.kept_labels(labels, classes)
    assert np.array_equal(kept, labels.numpy())
    assert kept.itemsize == (1 if classes <= 256 else 4)


# ---------------------------------------------------------------- runs that end well


@pytest.mark.parametrize("family", ["vae", "ddpm", "simsiam"])
@pytest.mark.parametrize(
    "classes",
    [dict.fromkeys("abc", 9), MANY, {"a": 19, "b": 1}, {"a": 20, "b": 20, "zebra": 3}],
    ids=["3 of 9", "11 of 3", "19 and 1", "one of 3"],
)
def test_small_classes_end_in_a_bundle(own, tiny_presets, tmp_path, family, classes):
    few_levels = ["-T", "4"] if family == "ddpm" else []
    assert train(family, tmp_path / "run", own(**classes), *few_levels) == 0
    about = open_bundle(tmp_path / "run/bundle").config["data"]
    assert about["test_pictures"] >= 2
    assert about["test_pictures"] + about["pictures"] == sum(classes.values())


@pytest.mark.parametrize("family", ["vae", "ddpm"])
def test_one_class_ends_in_a_bundle_that_pages_can_show(own, tiny_presets, tmp_path, family):
    folder = own(unlabelled=30)
    assert train(family, tmp_path / "run", folder) == 0
    bundle = open_bundle(tmp_path / "run/bundle")
    check_contents(bundle)
    assert bundle.config["data"]["class_names"] == ["unlabelled"]
    assert "readouts" not in bundle.metrics
    assert "Readers of z" not in bundle.metrics["protocol"]
    verify = ["verify", str(bundle.folder), "--folder", str(folder), "--device", "cpu"]
    assert main(verify) == 0


@pytest.mark.parametrize("T", [4, 5, 20])
def test_a_few_levels_of_noise_end_in_a_bundle(own, tiny_presets, tmp_path, T):
    folder = own(a=20, b=10)
    assert train("ddpm", tmp_path / "run", folder, "-T", str(T)) == 0
    bundle = open_bundle(tmp_path / "run/bundle")
    assert DDPM.from_pretrained(bundle.folder).schedule.T == T
    assert bundle.metrics["samples"]["steps"] == T
    assert f"DDIM with {T} steps" in bundle.metrics["protocol"]
    assert all(np.isfinite(bundle.history[0][f"test_loss_{q}"]) for q in (1, 2, 3, 4))


# ---------------------------------------------------------------- runs that could not


@pytest.mark.parametrize(
    ("family", "classes", "more", "words"),
    [
        ("simsiam", {"only": 30}, [], "at least 2 classes to be measured on, got 1"),
        ("judge", {"only": 30}, [], "at least 2 classes to be measured on, got 1"),
        ("judge", MANY, [], "at most 10 classes apart, got 11"),
        (
            "judge",
            {"a": 20, "b": 10},
            [],
            "The test set has too few pictures, 3: the family judge needs 4",
        ),
        ("judge", {"a": 40, "b": 5}, [], "are of one class"),
        ("vae", {"a": 8, "b": 8}, [], "too few to learn from"),
        ("vae", {"a": 30}, ["--pictures", "1"], "pictures must be 0 (all), or 2 or more, got 1"),
        ("ddpm", {"a": 30}, ["-T", "1"], "T must be at least 4"),
        ("ddpm", {"a": 30}, ["-T", "3"], "T must be at least 4"),
        ("vae", {"a": 30, "n" * 101: 30}, [], f"cannot name the class '{'n' * 101}'"),
        ("ddpm", {"a": 30, "\udce9t\udce9": 30}, [], r"cannot name the class '\udce9t\udce9'"),
        ("simsiam", {"a": 30, "x\udcff": 30}, [], "must be UTF-8 and have at most 100 characters"),
        ("vae", {f"c{n:04d}": 1 for n in range(1001)}, [], "at most 1,000 classes, got 1,001"),
        ("vae", {"a": 30}, ["--data-note", "\udcff"], "no usable data.note"),
        ("simsiam", {"a": 30, "b": 30}, ["--bank", str(10**23)], "training.protocol.bank"),
        ("vae", {"a": 30}, ["--updates-per-epoch", "50"], "at most the 3 of one pass, got 50"),
    ],
)
def test_what_cannot_end_in_a_bundle_is_refused_before_any_work(
    own, tiny_presets, tmp_path, monkeypatch, capsys, family, classes, more, words
):
    folder = own(**classes)
    no_training(monkeypatch)
    assert train(family, tmp_path / "run", folder, *more) == 1
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
    assert not (tmp_path / "run/state.pt").exists()
    assert not (tmp_path / "run/run.json").exists()


def test_a_split_of_one_test_picture_is_refused_too(
    tiny_presets, tmp_path, monkeypatch, capsys, write_shard, make_digits
):
    folder = tmp_path / "ufldl-stanford/svhn/cropped_digits"
    for split, count in (("train", 20), ("test", 1)):
        write_shard(folder / f"{split}-00000-of-00001.parquet", *make_digits(count, 0))
    monkeypatch.setenv("ATELIER_DATA_DIR", str(tmp_path))
    no_training(monkeypatch)
    assert main(["vae", "--run", str(tmp_path / "run"), *SMALL]) == 1
    assert "The test set has too few pictures, 1: the family vae needs 2" in capsys.readouterr().err


# ---------------------------------------------------------------- what a folder holds


def disguised(folder, suffix, form):
    for file in sorted(folder.glob("*/*.png")):
        Image.open(file).save(file.with_suffix(suffix), form)
        file.unlink()


@pytest.mark.parametrize(
    ("suffix", "form"), [(".tif", "TIFF"), (".TIFF", "TIFF"), (".jfif", "JPEG"), (".JPG", "JPEG")]
)
def test_pictures_of_every_suffix_are_taken(own, suffix, form, capsys):
    folder = own(a=15, b=15)
    disguised(folder, suffix, form)
    train_set, test_set = sets.load("", "", "", folder=str(folder))
    assert len(train_set) + len(test_set) == 30
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("a/._000.png", "name with a dot in front"),
        ("a/nowhere.png", "link to nowhere"),
        ("b/weird.png/", "folder in a class folder"),
        ("b/notes.TXT", ".txt"),
        ("b/raw", "file without a suffix"),
        ("loose.heic", ".heic"),
        ("empty/one.heic", ".heic (1), class folder without a picture"),
        ("@eaDir/one.png", "folder of another program"),
        ("a/0.png", "picture that cannot be read (1, the first is a/0.png)"),
    ],
)
def test_what_is_no_picture_is_left_out_and_said_once(
    own, tiny_presets, tmp_path, capsys, place, words
):
    folder = own(a=15, b=15)
    made = folder / place
    made.parent.mkdir(exist_ok=True)
    if place.endswith("/"):
        made.mkdir()
    elif "nowhere" in place:
        made.symlink_to(tmp_path / "gone.png")
    else:
        made.write_bytes(b"\0\5\26\7no picture")
    assert train("vae", tmp_path / "run", folder) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if "Left out" in line]
    count = "" if words.endswith(")") else " (1)"
    assert said == [f"Left out of {folder}: {words}{count}."]
    about = open_bundle(tmp_path / "run/bundle").config["data"]
    assert (about["pictures"], about["test_pictures"]) == (28, 2)
    assert about["class_names"] == ["a", "b"]


def test_what_is_left_out_is_counted_by_kind(own):
    folder = own(a=15, b=15)
    for name in ("1.heic", "2.HEIC", "3.avif"):
        (folder / "a" / name).touch()
    found = data.find_own(folder)
    assert found.left_out == {".avif": 1, ".heic": 2}
    said = sets.left_out_in_words(found)
    assert said == f"Left out of {folder}: .avif (1), .heic (2)."


def test_pictures_that_cannot_be_read_are_counted_and_the_first_is_named(own):
    folder = own(a=15, b=15)
    for name, content in (
        ("a/003.png", b""),
        ("b/007.png", b"no picture"),
        ("b/008.png", b"\x89PNG"),
    ):
        (folder / name).write_bytes(content)
    found = data.find_own(folder)
    whole, unreadable = data.load_own(found)
    assert len(whole) == 27
    said = sets.left_out_in_words(found, unreadable)
    assert said == f"Left out of {folder}: picture that cannot be read (3, the first is a/003.png)."


# ---------------------------------------------------------------- pictures that were moved


@pytest.mark.parametrize("verb", ["--resume", "--finish"])
def test_a_run_goes_on_with_pictures_that_were_moved(
    own, tiny_presets, tmp_path, capsys, monkeypatch, verb
):
    folder, run = own(a=15, b=15), tmp_path / "run"
    assert train("vae", run, folder) == 0
    folder.rename(tmp_path / "moved")
    again = ["vae", "--run", str(run), verb, "--device", "cpu"]
    assert main(again) == 1
    assert "mine is not a folder" in capsys.readouterr().err
    monkeypatch.chdir(tmp_path)
    assert main([*again, "--folder", "moved"]) == 0
    shutil.copytree(tmp_path / "moved", tmp_path / "other")
    shutil.copy(tmp_path / "other/a/001.png", tmp_path / "other/a/000.png")
    assert main([*again, "--folder", "other"]) == 1
    assert "not those that" in capsys.readouterr().err


def test_a_run_finds_its_pictures_from_everywhere(own, tiny_presets, tmp_path, monkeypatch):
    own(a=15, b=15)
    run = tmp_path / "run"
    monkeypatch.chdir(tmp_path)
    assert train("vae", run, "mine") == 0
    stored = json.loads((run / "run.json").read_text())["training"]["folder"]
    assert stored == str(tmp_path / "mine")
    assert open_bundle(run / "bundle").config["training"]["folder"] == "mine"
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert main(["vae", "--run", str(run), "--resume", "--epochs", "2", "--device", "cpu"]) == 0


def test_the_home_of_a_folder_is_found_without_a_shell(own, tiny_presets, tmp_path, monkeypatch):
    own(a=15, b=15)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert train("vae", tmp_path / "run", "~/mine") == 0


def test_a_folder_is_no_answer_to_a_run_of_a_data_set(own, tiny_presets, tmp_path, capsys):
    run = tmp_path / "run"
    assert main(["vae", "--run", str(run), *SMALL]) == 0
    again = ["vae", "--run", str(run), "--resume", "--folder", str(own(a=20)), "--device", "cpu"]
    assert main(again) == 1
    assert "the run was trained on svhn" in capsys.readouterr().err


# ---------------------------------------------------------------- few test pictures


@pytest.mark.parametrize("T", [4, 5, 6, 1000, 1001])
@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 9])
def test_every_quarter_of_the_levels_is_looked_at(tiny_ddpm, T, count):
    config = replace(tiny_ddpm, schedule=replace(tiny_ddpm.schedule, T=T))
    levels = torch.zeros(count, 3, 32, 32, dtype=torch.uint8)
    found = ddpm.evaluate(DDPM.build(config), levels)
    assert all(np.isfinite(value) for value in found.values())


def test_an_empty_folder_is_refused_with_its_name(tmp_path):
    with pytest.raises(AtelierError) as caught:
        data.find_own(tmp_path)
    assert str(tmp_path) in str(caught.value)

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from PIL import Image

from core.errors import AtelierError
from train import __main__ as commands
from train.run import sets
from train.vae import trainer as vae


@pytest.fixture
def own_folder(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("cats", "dogs"):
        (tmp_path / "mine" / name).mkdir(parents=True)
        for index in range(15):
            pixels = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "mine" / name / f"{index:02d}.png")
    return tmp_path / "mine"


def test_every_tenth_of_ones_own_pictures_is_held_out(own_folder):
    train, test = sets.load("svhn", "train", "test", folder=str(own_folder))
    assert (len(train), len(test)) == (28, 2)
    assert set(test.labels) == {0, 1}
    assert not {p.tobytes() for p in train.pictures} & {p.tobytes() for p in test.pictures}


def test_too_few_pictures_of_ones_own_get_one_sentence(own_folder):
    for file in list((own_folder / "cats").iterdir()):
        file.unlink()
    with pytest.raises(AtelierError, match="too few") as error:
        sets.load("svhn", "train", "test", folder=str(own_folder))
    assert error.value.code == "folder-small"


def test_a_model_of_ones_own_pictures_from_the_command_line(
    own_folder, tiny_preset, tmp_path, capsys
):
    run = str(tmp_path / "run")
    command = [
        "vae",
        "--run",
        run,
        "--folder",
        str(own_folder),
        "--epochs",
        "1",
        "--batch-size",
        "9",
    ]
    assert commands.main([*command, "--device", "cpu"]) == 0
    assert commands.main(["verify", f"{run}/bundle", "--device", "cpu"]) == 1
    assert "--folder" in capsys.readouterr().err
    again = ["verify", f"{run}/bundle", "--folder", str(own_folder), "--device", "cpu"]
    assert commands.main(again) == 0
    card = (tmp_path / "run" / "bundle" / "README.md").read_text()
    assert "one's own folder (train), 28 pictures" in card
    assert "SVHN" not in card
    assert '"cats"' in (tmp_path / "run" / "bundle" / "config.json").read_text()


def test_a_download_is_only_tried_when_asked_for(monkeypatch, tmp_path):
    monkeypatch.setenv("ATELIER_DATA_DIR", str(tmp_path))
    for download, code in ((False, "data-missing"), (True, "hub-unreachable")):
        with pytest.raises(AtelierError) as error:
            sets.load("svhn", "train", "test", download=download)
        assert error.value.code == code


def test_part_of_ones_own_pictures_has_every_class(own_folder):
    train, _test = sets.load("svhn", "train", "test", folder=str(own_folder), pictures=10)
    assert list(np.bincount(train.labels)) == [5, 5]
    earlier, _test = sets.load(
        "svhn", "train", "test", folder=str(own_folder), pictures=10, selection="first"
    )
    assert list(np.bincount(earlier.labels, minlength=2)) == [10, 0]


def test_a_run_of_an_earlier_version_keeps_the_pictures_that_it_took(own_folder):
    stored = asdict(vae.VAETraining(pictures=10))
    del stored["selection"], stored["ancestors"], stored["updates_per_epoch"]
    assert vae.VAETraining.read(stored).selection == "first"
    assert vae.VAETraining.read(asdict(vae.VAETraining())).selection == "shares"


def about(split, pictures, name="svhn"):
    return {
        "name": name,
        "split": split,
        "pictures": pictures,
        "test_split": "test",
        "test_pictures": 40,
        "note": sets.note_of(name, split),
    }


def test_cards_say_what_a_split_of_ours_holds_and_what_its_figures_are_not():
    extended = about("extended", 12482)
    trained, _tested = sets.describe(extended)
    assert trained == (
        "SVHN subset (extended), 12,482 pictures: training pictures 1 to 2000 and test pictures "
        "1001 to 5033"
    )
    terms = sets.terms_of(trained_on(extended))
    assert "non-commercial" in terms.sentence
    assert "none of its figures is a result on that test set" in terms.sentence
    for split, name in (("train", "svhn"), ("jittered", "svhn"), ("train", "cifar10")):
        assert sets.terms_of(trained_on(about(split, 9, name))) == sets.TERMS[name]


def trained_on(data, *earlier):
    seen = [{"data_name": name, "split": split} for name, split in earlier]
    return {"data": data, "training": {"ancestors": seen} if seen else {}}


@pytest.mark.parametrize(
    ("own", "earlier", "licence", "test_seen"),
    [
        (("cifar10", "train"), [("svhn", "train")], "svhn", False),
        (("folder", "train"), [("svhn", "extended")], "svhn", True),
        (("cifar10", "train"), [("folder", "train"), ("cifar10", "train")], "folder", False),
        (("svhn", "train"), [("svhn", "extended"), ("svhn", "jittered")], "svhn", True),
        (("cifar10", "test"), [], "cifar10", True),
    ],
)
def test_the_strictest_terms_of_all_that_weights_went_through_hold(
    own, earlier, licence, test_seen
):
    name, split = own
    terms = sets.terms_of(trained_on(about(split, 9, name), *earlier))
    assert terms.front_matter == sets.TERMS[licence].front_matter
    assert ("is a result on that test set" in terms.sentence) == test_seen


def test_the_note_of_a_split_is_written_unless_another_one_is_typed(
    svhn_folder, tiny, write_shard, make_digits, tmp_path, monkeypatch
):
    folder = tmp_path / "ufldl-stanford/svhn/cropped_digits"
    for split in ("extended", "test"):
        write_shard(folder / f"{split}-00000-of-00001.parquet", *make_digits(20, 0))
    monkeypatch.setenv("ATELIER_DATA_DIR", str(tmp_path))
    training = vae.VAETraining(epochs=1, batch_size=10, split="extended")
    for note, said in (("", sets.NOTES["svhn", "extended"]), ("mine", "mine")):
        run = tmp_path / f"run-{note}"
        vae.start(run, tiny, replace(training, data_note=note), device=torch.device("cpu"))
        config = json.loads((run / "bundle/config.json").read_text())
        assert config["data"]["note"] == said
        assert "is a result on that test set" in (run / "bundle/README.md").read_text()

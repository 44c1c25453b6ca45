import numpy as np
import pytest
from PIL import Image

from core.errors import AtelierError
from train import __main__ as commands
from train import sets


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

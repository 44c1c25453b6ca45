import re
import shutil
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet as parquet
import pytest
from huggingface_hub import constants
from PIL import Image

from core.errors import AtelierError
from core.pictures.data import (
    download_split,
    find_own,
    find_split,
    load_folder,
    load_own,
    load_rows,
    load_split,
    select,
    split_labels,
)

SVHN = Path("ufldl-stanford/svhn/cropped_digits")


@pytest.fixture
def digits(make_digits):
    return make_digits(6, 4)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("ATELIER_DATA_DIR", str(tmp_path))
    return tmp_path / SVHN


def refusal(function, *arguments):
    with pytest.raises(AtelierError) as caught:
        function(*arguments)
    sentence = str(caught.value)
    assert re.fullmatch(r"[^\n]+[^.]\.", sentence)
    assert ". " not in sentence
    return caught.value.code


def test_a_split_comes_back_as_it_was_written(folder, write_shard, digits):
    pictures, labels = digits
    write_shard(folder / "train-00000-of-00001.parquet", pictures, labels)
    found = load_split("svhn", "train")
    assert np.array_equal(found.pictures, pictures)
    assert np.array_equal(found.labels, labels)
    assert found.pictures.dtype == np.uint8
    assert found.labels.dtype == np.int64
    assert (found.name, found.split, len(found)) == ("svhn", "train", 6)
    assert found.class_names == tuple("0123456789")


def test_shards_are_joined_in_their_order(folder, write_shard, digits):
    pictures, labels = digits
    write_shard(folder / "train-00001-of-00002.parquet", pictures[4:], labels[4:])
    write_shard(folder / "train-00000-of-00002.parquet", pictures[:4], labels[:4])
    found = load_split("svhn", "train")
    assert np.array_equal(found.pictures, pictures)
    assert np.array_equal(found.labels, labels)


def test_shards_are_read_in_order(folder, write_shard, digits):
    pictures, labels = digits
    write_shard(folder / "test-00000-of-00002.parquet", pictures[:4], labels[:4])
    write_shard(folder / "test-00001-of-00002.parquet", pictures[4:], labels[4:])
    found = load_split("svhn", "test")
    assert np.array_equal(found.pictures, pictures)
    assert np.array_equal(found.labels, labels)


@pytest.mark.parametrize("most", [1, 3, 4, 5, 6, 7])
def test_the_first_pictures_alone_are_read(folder, write_shard, digits, most):
    pictures, labels = digits
    write_shard(folder / "train-00000-of-00002.parquet", pictures[:4], labels[:4])
    write_shard(folder / "train-00001-of-00002.parquet", pictures[4:], labels[4:])
    found = load_split("svhn", "train", most, "first")
    assert np.array_equal(found.pictures, pictures[:most])
    assert np.array_equal(found.labels, labels[:most])


LABELS = [0] * 50 + [1] * 30 + [2] * 20  # as in a folder, class behind class


@pytest.mark.parametrize(
    ("count", "given"),
    [
        (10, (5, 3, 2)),
        (50, (25, 15, 10)),
        (11, (6, 3, 2)),  # 5.5, 3.3, 2.2
        (99, (49, 30, 20)),  # 49.5, 29.7, 19.8: the halves lose
        (1, (1, 0, 0)),
        (2, (1, 1, 0)),  # 1.0, 0.6, 0.4
        (0, (50, 30, 20)),
        (100, (50, 30, 20)),
        (1000, (50, 30, 20)),
    ],
)
def test_every_class_gives_its_share(count, given):
    labels = np.array(LABELS)
    for order in (np.arange(100), np.random.default_rng(0).permutation(100)):
        rows = select(labels[order], count, "shares")
        assert tuple(np.bincount(labels[order][rows], minlength=3)) == given
        assert np.array_equal(rows, np.unique(rows))


@pytest.mark.parametrize("count", [7, 23, 50])
def test_a_share_is_the_first_pictures_of_its_class(count):
    labels = np.random.default_rng(1).integers(0, 4, 60)
    rows = select(labels, count, "shares")
    assert len(rows) == count
    for one in range(4):
        every, taken = np.flatnonzero(labels == one), rows[labels[rows] == one]
        assert np.array_equal(taken, every[: len(taken)])
        assert abs(len(taken) - count * len(every) / 60) < 1


def test_a_selection_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="selection must be one of"):
        select(np.zeros(3, dtype=np.int64), 2, "last")
    with pytest.raises(ValueError, match="count must be 0"):
        select(np.zeros(3, dtype=np.int64), -2, "first")


def test_a_part_of_a_split_has_every_class(folder, write_shard, make_digits):
    pictures, labels = make_digits(20, 0)
    order = np.argsort(labels, kind="stable")
    for number, rows in enumerate((order[:8], order[8:])):
        write_shard(folder / f"train-0000{number}-of-00002.parquet", pictures[rows], labels[rows])
    found = load_split("svhn", "train", 10)
    assert np.array_equal(found.labels, np.arange(10))
    assert np.array_equal(found.pictures, pictures[order][::2])


def test_pictures_behind_the_first_are_not_decoded(folder, write_shard, digits):
    pictures, labels = digits
    rows = [*pictures[:3], b"no picture", *pictures[4:]]
    write_shard(folder / "train-00000-of-00001.parquet", rows, labels)
    assert len(load_split("svhn", "train", 3, "first")) == 3
    with pytest.raises(AtelierError):
        load_split("svhn", "train", 4, "first")


def test_cifar_is_read_from_its_own_columns(tmp_path, folder, write_shard, digits):
    pictures, labels = digits
    file = tmp_path / "uoft-cs/cifar10/plain_text/test-00000-of-00001.parquet"
    write_shard(file, pictures, labels, image_column="img")
    found = load_split("cifar10", "test")
    assert np.array_equal(found.pictures, pictures)
    assert found.class_names[3] == "cat"


def test_a_split_of_ones_own_is_found_beside_the_others(folder, write_shard, digits):
    write_shard(folder / "mine-00000-of-00001.parquet", *digits)
    assert len(load_split("svhn", "mine")) == 6
    assert find_split("svhn", "train") is None


def test_the_standard_cache_is_looked_into_without_a_network(
    folder, write_shard, digits, tmp_path, monkeypatch
):
    cache = Path(constants.HF_HUB_CACHE) / "datasets--ufldl-stanford--svhn"
    commit = "0" * 40
    name = "cropped_digits/test-00000-of-00001.parquet"
    file = write_shard(cache / "snapshots" / commit / name, *digits)
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text(commit)
    try:
        assert find_split("svhn", "test") == [file]
        assert download_split("svhn", "test") == [file]
        monkeypatch.delenv("ATELIER_DATA_DIR")
        assert len(load_split("svhn", "test")) == 6
    finally:
        shutil.rmtree(cache)


def test_the_data_folder_comes_before_the_standard_cache(svhn_folder, monkeypatch):
    monkeypatch.setenv("ATELIER_DATA_DIR", str(svhn_folder))
    files = find_split("svhn", "test")
    assert files == [svhn_folder / SVHN / "test-00000-of-00001.parquet"]


def test_an_unknown_data_set_is_refused():
    with pytest.raises(ValueError, match=r"^name must be one of.*'mnist'"):
        load_split("mnist", "train")


def test_a_split_that_is_not_at_hand_is_reported(folder):
    assert refusal(load_split, "svhn", "train") == "data-missing"


def test_a_split_the_hub_does_not_have_is_not_asked_for():
    assert refusal(download_split, "svhn", "mine") == "data-no-such-split"


def test_a_download_without_a_network_says_so():
    assert refusal(download_split, "svhn", "train") == "hub-unreachable"


def test_missing_shards_are_reported(folder, write_shard, digits):
    write_shard(folder / "train-00001-of-00003.parquet", *digits)
    assert refusal(load_split, "svhn", "train") == "data-incomplete"


@pytest.mark.parametrize("kept", [0, 3, 200, -1])
def test_a_truncated_file_is_reported(folder, write_shard, digits, kept):
    file = write_shard(folder / "train-00000-of-00001.parquet", *digits)
    file.write_bytes(file.read_bytes()[:kept])
    assert refusal(load_split, "svhn", "train") == "data-damaged"


@pytest.mark.parametrize("columns", [{"image_column": "img"}, {"label_column": "digit"}])
def test_a_missing_column_is_reported(folder, write_shard, digits, columns):
    write_shard(folder / "train-00000-of-00001.parquet", *digits, **columns)
    assert refusal(load_split, "svhn", "train") == "data-layout"


@pytest.mark.parametrize("wrong", [10, -1, None, "7", 0.5])
def test_labels_that_are_no_classes_are_reported(folder, write_shard, digits, wrong):
    labels = [wrong] * 6 if isinstance(wrong, str | float) else [0, 1, 2, 3, 4, wrong]
    write_shard(folder / "train-00000-of-00001.parquet", digits[0], labels)
    assert refusal(load_split, "svhn", "train") == "data-labels"


@pytest.mark.parametrize("wrong", [b"", b"junk", b"\x89PNG\r\n\x1a\n", None])
def test_a_picture_that_cannot_be_read_is_reported(folder, write_shard, digits, wrong):
    write_shard(folder / "train-00000-of-00001.parquet", [*digits[0][:5], wrong], digits[1])
    assert refusal(load_split, "svhn", "train") == "data-picture-unreadable"


def test_a_picture_of_another_size_is_reported(folder, write_shard, digits):
    write_shard(folder / "train-00000-of-00001.parquet", digits[0][:, :28, :28], digits[1])
    assert refusal(load_split, "svhn", "train") == "data-picture-size"


@pytest.mark.parametrize("rows", [[0], [5, 0, 3], [4, 4, 1]])
def test_pictures_are_read_by_their_places(folder, write_shard, digits, rows):
    pictures, labels = digits
    write_shard(folder / "train-00001-of-00002.parquet", pictures[4:], labels[4:])
    write_shard(folder / "train-00000-of-00002.parquet", pictures[:4], labels[:4])
    assert np.array_equal(split_labels("svhn", "train"), labels)
    found = load_rows("svhn", "train", np.array(rows, dtype=int))
    assert np.array_equal(found, pictures[rows])
    assert found.dtype == np.uint8


def test_pictures_in_other_places_are_not_decoded(folder, write_shard, digits):
    pictures, labels = digits
    file = folder / "train-00000-of-00001.parquet"
    write_shard(file, pictures, labels)
    table = parquet.read_table(file)
    rows = table.column("image").to_pylist()
    rows[2] = {**rows[2], "bytes": b"no picture"}
    place = table.column_names.index("image")
    kind = table.schema.field("image").type
    damaged = table.set_column(place, "image", pyarrow.array(rows, kind))
    parquet.write_table(damaged, file, row_group_size=2)
    assert np.array_equal(load_rows("svhn", "train", np.array([1, 5, 3])), pictures[[1, 5, 3]])
    assert refusal(load_rows, "svhn", "train", np.array([2])) == "data-picture-unreadable"


@pytest.mark.parametrize("row", [-1, 6])
def test_places_that_do_not_exist_are_refused(folder, write_shard, digits, row):
    write_shard(folder / "train-00000-of-00001.parquet", *digits)
    with pytest.raises(ValueError, match="rows must be 0 to 5"):
        load_rows("svhn", "train", np.array([0, row]))


@pytest.mark.parametrize("read", [split_labels, lambda *a: load_rows(*a, np.array([0]))])
def test_single_pictures_are_missing_and_damaged_as_a_whole_split_is(
    folder, write_shard, digits, read
):
    assert refusal(read, "svhn", "train") == "data-missing"
    write_shard(folder / "train-00000-of-00001.parquet", *digits, "picture")
    assert refusal(read, "svhn", "train") == "data-layout"
    (folder / "train-00000-of-00001.parquet").write_bytes(b"PAR1 and no more")
    assert refusal(read, "svhn", "train") == "data-damaged"


def test_a_fingerprint_changes_with_a_pixel_and_with_a_label(folder, write_shard, digits):
    pictures, labels = digits
    prints = set()
    for change in ("none", "again", "pixel", "label"):
        changed, named = pictures.copy(), labels.copy()
        changed[3, 5, 5, 0] ^= change == "pixel"
        named[2] += change == "label"
        write_shard(folder / "train-00000-of-00001.parquet", changed, named)
        prints.add(load_split("svhn", "train").fingerprint())
    assert len(prints) == 3


def test_a_folder_of_ones_own_becomes_classes_in_order(tmp_path, digits):
    root = tmp_path / "mine"
    for name, picture in (("b", digits[0][0]), ("a", digits[0][1])):
        (root / name).mkdir(parents=True)
        Image.fromarray(picture).save(root / name / "1.png")
    Image.new("RGB", (90, 50), "red").save(root / "b" / "2.JPG")
    (root / "b" / "notes.txt").write_text("no picture")
    (root / "stray.txt").touch()
    found = load_folder(root)
    assert found.class_names == ("a", "b")
    assert found.labels.tolist() == [0, 1, 1]
    assert np.array_equal(found.pictures[:2], digits[0][[1, 0]])
    assert found.pictures.shape == (3, 32, 32, 3)


def test_a_folder_without_classes_or_without_a_place_is_reported(tmp_path):
    assert refusal(load_folder, tmp_path) == "folder-empty"
    assert refusal(load_folder, tmp_path / "nowhere") == "folder-missing"


@pytest.mark.parametrize("content", [b"", b"junk", b"\x89PNG\r\n\x1a\n"], ids=str)
def test_a_picture_in_a_folder_that_cannot_be_read_is_left_out(tmp_path, digits, content):
    for name in "abc":
        (tmp_path / name).mkdir()
    for name, file in (("a", "1.png"), ("c", "2.png")):
        Image.fromarray(digits[0][0]).save(tmp_path / name / file)
    for file in ("a/0.png", "b/only.png"):
        (tmp_path / file).write_bytes(content)
    found, unreadable = load_own(find_own(tmp_path))
    assert found.class_names == ("a", "c")
    assert found.labels.tolist() == [0, 1]
    assert unreadable == (tmp_path / "a/0.png", tmp_path / "b/only.png")


def test_a_folder_in_which_nothing_can_be_read_is_reported(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/broken.png").write_bytes(b"junk")
    assert refusal(load_folder, tmp_path) == "folder-empty"


@pytest.mark.parametrize(
    "name",
    [
        "__MACOSX",
        ".thumbnails",
        "@eaDir",
        "$RECYCLE.BIN",
        "System Volume Information",
        "lost+found",
    ],
)
def test_folders_of_other_programs_are_no_classes_and_are_counted(tmp_path, digits, name):
    for folder in ("a", name):
        (tmp_path / folder).mkdir()
        Image.fromarray(digits[0][0]).save(tmp_path / folder / "1.png")
    (tmp_path / "later").mkdir()
    found = find_own(tmp_path)
    assert [*found.pictures] == ["a"]
    assert found.left_out == {"class folder without a picture": 1, "folder of another program": 1}

import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from core.bundles.files import (
    plain,
    replacing,
    replacing_folder,
    restore_interrupted,
    sha256,
    write_json,
)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def fail_after(write, text, error):
    write(text)
    raise error


@pytest.mark.parametrize("interruption", [RuntimeError, KeyboardInterrupt])
def test_the_old_file_stays_when_writing_the_new_one_fails(tmp_path, interruption):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(interruption), replacing(path) as temporary:
        fail_after(temporary.write_text, "half", interruption)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_the_new_file_takes_the_place_of_the_old_one(tmp_path):
    path = tmp_path / "below" / "a.txt"
    for text in ("first", "second"):
        with replacing(path) as temporary:
            temporary.write_text(text)
            assert not path.exists() or path.read_text() != text
        assert path.read_text() == text
    assert names(path.parent) == ["a.txt"]
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("interruption", [RuntimeError, KeyboardInterrupt])
def test_the_old_folder_stays_when_writing_the_new_one_fails(tmp_path, interruption):
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "old").touch()
    with pytest.raises(interruption), replacing_folder(folder) as temporary:
        fail_after((temporary / "half").write_text, "half", interruption)
    assert names(folder) == ["old"]
    assert names(tmp_path) == ["bundle"]


def test_the_old_folder_comes_back_when_the_exchange_is_interrupted(tmp_path, monkeypatch):
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "old").touch()
    replace, calls = os.replace, []

    def interrupted(source, target):
        calls.append(source)
        if len(calls) == 2:
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt), replacing_folder(folder) as temporary:
        (temporary / "new").touch()
    assert names(folder) == ["old"]
    assert names(tmp_path) == ["bundle"]


def test_the_new_folder_takes_the_place_of_the_old_one(tmp_path):
    folder = tmp_path / "below" / "bundle"
    for name in ("first", "second"):
        with replacing_folder(folder) as temporary:
            (temporary / name).touch()
        assert names(folder) == [name]
    assert names(folder.parent) == ["bundle"]
    assert folder.stat().st_mode & 0o777 == 0o755


def test_the_old_folder_comes_back_when_what_follows_fails(tmp_path):
    def fails():
        assert names(tmp_path / "bundle") == ["new"]
        raise OSError(errno.ENOSPC, "full", "manifest.json")

    folder = tmp_path / "bundle"
    for before in ([], ["old"]):
        for name in before:
            folder.mkdir()
            (folder / name).touch()
        failure = pytest.raises(OSError, match=r"manifest\.json")
        with failure, replacing_folder(folder, fails) as temporary:
            (temporary / "new").touch()
        assert names(tmp_path) == (["bundle"] if before else [])
        assert not before or names(folder) == before


KILLED = """
import os, signal, sys
from pathlib import Path
from core.bundles import files

folder, calls, replace = Path(sys.argv[1]), [], os.replace

def killed(source, target):
    calls.append(source)
    if len(calls) == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    replace(source, target)

os.replace = killed
with files.replacing_folder(folder) as temporary:
    (temporary / "new").touch()
"""


@pytest.mark.parametrize(("at_exchange", "left"), [(1, "old"), (2, "old")])
def test_what_a_killed_process_left_is_taken_away_and_the_old_folder_comes_back(
    tmp_path, at_exchange, left
):
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "old").touch()
    command = [sys.executable, "-c", KILLED, str(folder), str(at_exchange)]
    root = Path(__file__).parents[3]
    assert subprocess.run(command, cwd=root, check=False).returncode == -signal.SIGKILL
    assert len(names(tmp_path)) >= 2 or not folder.exists()
    restore_interrupted(tmp_path)
    assert names(tmp_path) == ["bundle"]
    assert names(folder) == [left]


def test_a_full_disk_names_the_file_that_is_written_and_not_the_one_that_is_copied(
    tmp_path, monkeypatch
):
    def full(*_arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "source").write_text("x")
    monkeypatch.setattr(os, "sendfile", full)
    with (
        pytest.raises(OSError, match="space") as caught,
        replacing_folder(tmp_path / "a") as folder,
    ):
        shutil.copyfile(tmp_path / "source", folder / "copy")
    assert str(tmp_path / "a" / "copy") in str(plain(caught.value))


def test_files_of_other_names_are_left_alone(tmp_path):
    kept = [".lock", ".gitignore", "state.pt", ".state.pt.short", "a.b.abcdefgh", ".a.b.ABCDEFGH"]
    for name in (*kept, ".state.pt.a1_b2c3d", ".run.json.abcdefgh"):
        (tmp_path / name).touch()
    restore_interrupted(tmp_path)
    assert names(tmp_path) == sorted(kept)
    restore_interrupted(tmp_path / "absent")


def test_json_comes_back_and_keeps_its_accents(tmp_path):
    value = {"é": [1, 2.5, None, True], "b": "x"}
    write_json(tmp_path / "a.json", value)
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads(text) == value
    assert "é" in text
    assert text.endswith("}\n")


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_json_refuses_what_is_no_number_and_keeps_the_old_file(tmp_path, wrong):
    write_json(tmp_path / "a.json", 1)
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", wrong)
    assert json.loads((tmp_path / "a.json").read_text()) == 1
    assert names(tmp_path) == ["a.json"]


def test_sha256_is_that_of_hashlib(tmp_path):
    data = bytes(range(256)) * 5000
    (tmp_path / "a").write_bytes(data)
    assert sha256(tmp_path / "a") == hashlib.sha256(data).hexdigest()


# ---------------------------------------------------------------- what cannot be read or written


def raised(action):
    try:
        action()
    except OSError as error:
        return str(plain(error))
    pytest.fail("it did not fail")


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "The disk is full: {path} could not be written."),
        (errno.EDQUOT, "The disk is full: {path} could not be written."),
        (errno.EROFS, "{path}: Read-only file system."),
        (errno.EACCES, "{path}: Permission denied."),
        (errno.EIO, "{path}: Input/output error."),
    ],
)
def test_what_a_disk_refuses_names_the_file_that_was_meant(tmp_path, number, words):
    """Whatever name the error had: none, or that of the file that would have been moved there."""

    def written(named):
        with replacing(tmp_path / "state.pt") as temporary:
            raise OSError(number, os.strerror(number), *([str(temporary)] if named else []))

    def bundled(named):
        with replacing_folder(tmp_path / "bundle") as temporary:
            path = [str(temporary / "config.json")] if named else []
            raise OSError(number, os.strerror(number), *path)

    meant = words.format(path=tmp_path / "state.pt")
    assert raised(lambda: written(False)) == raised(lambda: written(True)) == meant
    assert raised(lambda: bundled(False)) == words.format(path=tmp_path / "bundle")
    assert raised(lambda: bundled(True)) == words.format(path=tmp_path / "bundle/config.json")
    assert names(tmp_path) == []


def test_a_file_within_a_folder_that_is_replaced_is_named_where_it_would_have_been(tmp_path):
    def write():
        with replacing_folder(tmp_path / "bundle") as folder, replacing(folder / "config.json"):
            raise OSError(errno.ENOSPC, "No space left on device")

    assert str(tmp_path / "bundle/config.json") in raised(write)


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (lambda path: (path / "file/below").mkdir(parents=True), "a file stands where a folder"),
        (lambda path: (path / "file").mkdir(), "a file stands where a folder"),
        (lambda path: (path / "folder").read_bytes(), "a folder stands where a file"),
        (lambda path: (path / "nowhere").read_bytes(), "does not exist"),
        (lambda path: (path / ("n" * 300)).read_bytes(), "File name too long"),
    ],
)
def test_what_stands_in_the_way_is_named(tmp_path, action, words):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    said = raised(lambda: action(tmp_path))
    assert said.startswith(str(tmp_path))
    assert words in said


@pytest.mark.parametrize("error", [OSError("odd"), BrokenPipeError(errno.EPIPE, "Broken pipe")])
def test_an_error_that_is_of_no_file_says_what_it_is(error):
    assert str(plain(error)) == f"{error.strerror or error}."

"""Files that are either the old ones or the new ones, never half of each."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import AtelierError

LEFT = re.compile(r"\.(?P<name>.+)\.[a-z0-9_]{8}(?P<aside>\.old)?")
"""Names that ``tempfile`` makes of the prefix ``.NAME.``; ``.old``: what was moved aside."""


def plain(error: OSError) -> AtelierError:
    """What a person is told of a file that could not be read or written: its path and the cause."""
    path = error.filename
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return AtelierError(
            "disk-is-full", "The disk is full: {path} could not be written.", path=path or "a file"
        )
    if path is None:
        return AtelierError("system", "{reason}.", reason=error.strerror or error)
    if isinstance(error, FileExistsError | NotADirectoryError):
        return AtelierError(
            "file-for-folder", "{path}: a file stands where a folder is needed.", path=path
        )
    if isinstance(error, IsADirectoryError):
        return AtelierError(
            "folder-for-file", "{path}: a folder stands where a file is needed.", path=path
        )
    if isinstance(error, FileNotFoundError):
        return AtelierError("file-gone", "{path} does not exist.", path=path)
    return AtelierError(
        "file-refused", "{path}: {reason}.", path=path, reason=error.strerror or error
    )


@contextmanager
def _name_in_errors(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """``OSError`` raised in here names ``path`` in place of nothing or of what is ``temporary``.

    A full disk, for one, is reported without a name, and while a file is copied with that of the one that is
    read first. Without ``temporary`` every name is replaced.
    """
    try:
        yield
    except OSError as error:
        found = error.filename
        if error.errno is None:
            raise
        if found is None or temporary is None:
            error.filename = str(path)
        else:
            for name in (error.filename2, found):
                if isinstance(name, str) and Path(name).is_relative_to(temporary):
                    error.filename = str(path / Path(name).relative_to(temporary))
                    break
        raise


def check_place(path: Path) -> None:
    """Raises the ``OSError`` that ``replacing`` would, before the work whose result goes there."""
    above = next(folder for folder in Path(path).absolute().parents if folder.exists())
    if Path(path).is_dir():
        number, where = errno.EISDIR, path
    elif not above.is_dir():
        number, where = errno.ENOTDIR, above
    elif not os.access(above, os.W_OK | os.X_OK):
        number, where = errno.EACCES, path
    else:
        return
    raise OSError(number, os.strerror(number), str(where))


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name next to ``path``; moved onto it at the end, removed on any error."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _name_in_errors(path):
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        with _name_in_errors(path, temporary):
            yield temporary
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(folder: Path, then: Callable[[], object] | None = None) -> Iterator[Path]:
    """A temporary folder next to ``folder``; takes its place at the end, removed on any error.

    The old folder is moved aside first and deleted last, so that an interruption leaves one of
    the two whole. ``then`` is called when the new one has its place; where it raises, all is as before.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _name_in_errors(folder):
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    os.chmod(temporary, 0o755)
    aside, placed = temporary.with_name(temporary.name + ".old"), False
    try:
        with _name_in_errors(folder, temporary):
            yield temporary
            if folder.exists():
                os.replace(folder, aside)
            os.replace(temporary, folder)
            placed = True
        if then is not None:
            then()
    except BaseException:
        if placed:
            os.replace(folder, temporary)
        if aside.exists() and not folder.exists():
            os.replace(aside, folder)
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(aside, ignore_errors=True)


def restore_interrupted(folder: Path) -> None:
    """Takes away what ``replacing`` and ``replacing_folder`` left in ``folder`` when they were killed.

    A folder that had been moved aside, and whose new version did not come, goes back to its place.
    Only for a folder in which nobody else writes.
    """
    for left in sorted(folder.glob(".*")) if folder.is_dir() else ():
        match = LEFT.fullmatch(left.name)
        if match is None:
            continue
        target = folder / match["name"]
        if match["aside"] and not target.exists():
            os.replace(left, target)
        elif left.is_dir():
            shutil.rmtree(left)
        else:
            left.unlink()


def write_json(path: Path, value: object) -> None:
    """``value`` as indented UTF-8 JSON with a final newline; NaN is refused."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def sha256(path: Path) -> str:
    """Hash of a file's bytes, 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""A disk that is full, or that may not be written, for the process that asks for it."""

from __future__ import annotations

import builtins
import errno
import io
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from unittest import mock

FULL = (errno.ENOSPC, errno.EDQUOT)
"""Errors of a disk that is full: names may still be changed on it."""
CLOSED = (errno.EROFS, errno.EACCES)
"""Errors of a folder in which nothing may be changed."""
TO_WRITE = os.O_WRONLY | os.O_RDWR | os.O_CREAT
BLOCK = 4096
"""Bytes that are written at once, so that a file may end in its middle."""


class Disk:
    """Fails with an error from its ``after``-th change on."""

    def __init__(self, number: int, after: int) -> None:
        self.number, self.after, self.changes = number, after, 0

    def change(self, path: object = None) -> None:
        """Counts a change; raises where it is one too many. A write names no path, as in earnest."""
        self.changes += 1
        if self.changes > self.after:
            names = [] if path is None else [os.fspath(path)]
            raise OSError(self.number, os.strerror(self.number), *names)


@contextmanager
def failing(number: int, after: int) -> Iterator[Disk]:
    """Every change of a file in this process fails with the error of that number, but for the first ``after``.

    Changes are what Python itself does: files opened to be written, what is written into them, folders and
    links made; names changed where nothing may be. Deleting works on a disk that is full.
    """
    disk = Disk(number, after)
    open_file, open_number = io.open, os.open

    class File(io.FileIO):
        def write(self, data: bytes) -> int | None:
            disk.change()
            return super().write(memoryview(data)[:BLOCK])

    def opened(file, mode="r", buffering=-1, encoding=None, errors=None, newline=None, *more):
        if not set(mode) & set("wax+"):
            return open_file(file, mode, buffering, encoding, errors, newline, *more)
        disk.change(file)
        raw = File(file, mode.replace("b", "").replace("t", ""), *more)
        if buffering == 0:
            return raw
        held = (io.BufferedRandom if "+" in mode else io.BufferedWriter)(raw)
        return held if "b" in mode else io.TextIOWrapper(held, encoding, errors, newline)

    def opened_by_number(path, flags, *more, **how):
        if flags & TO_WRITE:
            disk.change(path)
        return open_number(path, flags, *more, **how)

    def changing(function: Callable) -> Callable:
        def change(*arguments, **how):
            named = isinstance(arguments[0], str | os.PathLike)
            disk.change(arguments[0] if named else None)
            return function(*arguments, **how)

        return change

    names = ["mkdir", "symlink", "link", "sendfile"]
    names += ["rename", "replace"] if number in CLOSED else []
    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(builtins, "open", opened))
        stack.enter_context(mock.patch.object(io, "open", opened))
        stack.enter_context(mock.patch.object(os, "open", opened_by_number))
        for name in names:
            stack.enter_context(mock.patch.object(os, name, changing(getattr(os, name))))
        yield disk

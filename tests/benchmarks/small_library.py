"""The library of tiny bundles that pages are tested on, for scripts that look at pages in their own process."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

VARIABLE = "ATELIER_TEST_LIBRARY"


@contextmanager
def small_library() -> Iterator[Path]:
    """The folder of bundles (``checkpoints``), of the runs that made them and of their data (``data``).

    That of the folder which ``ATELIER_TEST_LIBRARY`` names, or one that is made now, which takes minutes.
    """
    # Here: it changes the environment, and needs all of torch.
    from tests.conftest import draw_digits, write_table
    from tests.library import library

    with tempfile.TemporaryDirectory(prefix="latent-atelier-library-") as made:
        shared = Path(os.environ.get(VARIABLE) or made) / "library"
        shared.mkdir(parents=True, exist_ok=True)
        with redirect_stdout(io.StringIO()):
            library(shared, draw_digits, write_table)
        yield shared

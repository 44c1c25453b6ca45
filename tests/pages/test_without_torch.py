"""What only shows what bundles store starts without torch, which takes seconds to import."""

import subprocess
import sys
from pathlib import Path

import pytest

SHOW = """
import sys
from tests.pages.opening import opened
at = opened({page!r})
assert {shown!r} in [str(title.value) for title in at.title], at.title
print(sorted(name for name in ("torch", "torchvision", "onnxruntime") if name in sys.modules))
"""


@pytest.mark.parametrize(
    ("page", "shown"), [("home", "Latent Atelier"), ("checkpoints", "Checkpoints")]
)
def test_the_page_is_shown_without_torch(page, shown, tiny_library, monkeypatch):
    monkeypatch.setenv("ATELIER_CHECKPOINTS", str(tiny_library))
    found = subprocess.run(
        [sys.executable, "-c", SHOW.format(page=page, shown=shown)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert found.stdout.strip() == "[]", found.stderr[-2000:]

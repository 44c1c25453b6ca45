"""ONNX Runtime Web in the repository, and how it is sent."""

import gzip
import hashlib
import json

import pytest
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient

from pages.browser import serving

NAMED = json.loads((serving.RUNTIME / "FILES.json").read_text("utf-8"))


def test_the_files_are_those_that_are_named():
    assert "Copyright (c) Microsoft" in (serving.RUNTIME / "LICENSE").read_text("utf-8")
    stored = {path.stem: path for path in serving.RUNTIME.glob("*.gz")}
    assert stored.keys() == NAMED["files"].keys()
    for name, path in stored.items():
        raw = gzip.decompress(path.read_bytes())
        assert len(raw) == NAMED["files"][name]["bytes"]
        assert hashlib.sha256(raw).hexdigest() == NAMED["files"][name]["sha256"]


@pytest.mark.parametrize("name", NAMED["files"])
def test_they_are_sent_as_they_are_stored(name):
    route = Route(f"{serving.base()}/{{digest}}/{{name}}", serving.answer)
    with TestClient(Starlette(routes=[route])) as client:
        found = client.get(serving.runtime(name), headers={"Accept-Encoding": "gzip"})
        assert found.headers["content-encoding"] == "gzip"
        stored = (serving.RUNTIME / f"{name}.gz").read_bytes()
        assert int(found.headers["content-length"]) == len(stored)
        assert "immutable" in found.headers["cache-control"]
        plain = client.get(serving.runtime(name), headers={"Accept-Encoding": "identity"})
        assert len(plain.content) == NAMED["files"][name]["bytes"]
        other = client.get(serving.runtime(f"no-{name}"))
        assert other.status_code == 404

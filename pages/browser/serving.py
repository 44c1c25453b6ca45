"""What visitors' browsers fetch: modules, frames, weights, each at an address with its own hash.

An address never changes its content, so a browser keeps what it has once fetched. Nothing is found by a
path that a visitor names: only what a page has offered is served, by the hash that the page was given.
Content is kept and sent compressed, because Streamlit would compress every answer anew.
"""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import streamlit as st
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response

from core.bundles.bundle import Bundle

MODULES = Path(__file__).parent / "modules"
RUNTIME = Path(__file__).parent / "vendor" / "onnxruntime-web"
PREFIX = "browser"
KEPT_BYTES = 64 * 2**20
"""How much of what pages offer is kept, compressed; what was not offered for longest leaves first."""
KEPT_FILES = 256
HASH_DIGITS = 32
HEADERS = {
    "Cache-Control": "public, max-age=31536000, immutable",
    "X-Content-Type-Options": "nosniff",
}
BINARY = "application/octet-stream"


@dataclass(frozen=True)
class Content:
    """What one address answers: bytes, compressed by gzip where ``zipped``, and their type."""

    body: bytes
    media_type: str
    zipped: bool = True


class Offers:
    """Content by hash, bounded; safe to share between threads."""

    def __init__(self, most_bytes: int = KEPT_BYTES, most_files: int = KEPT_FILES) -> None:
        self.most_bytes, self.most_files = most_bytes, most_files
        self._content: OrderedDict[str, Content] = OrderedDict()
        self._files: OrderedDict[str, Path] = OrderedDict()
        self._bytes = 0
        self._holding = threading.Lock()

    def content(self, digest: str) -> Content | None:
        with self._holding:
            return self._content.get(digest)

    def file(self, digest: str) -> Path | None:
        with self._holding:
            return self._files.get(digest)

    def keep(self, raw: bytes, media_type: str) -> str:
        """Keeps bytes, or keeps them for longer; returns their hash."""
        digest = hash_of(raw)
        with self._holding:
            if digest in self._content:
                self._content.move_to_end(digest)
                return digest
        made = Content(gzip.compress(raw, 6, mtime=0), media_type)
        with self._holding:
            if digest not in self._content:
                self._content[digest] = made
                self._bytes += len(made.body)
            while self._bytes > self.most_bytes and len(self._content) > 1:
                self._bytes -= len(self._content.popitem(last=False)[1].body)
        return digest

    def keep_file(self, path: Path, digest: str) -> None:
        """Keeps the place of a file whose hash is known."""
        with self._holding:
            self._files[digest] = path
            self._files.move_to_end(digest)
            while len(self._files) > self.most_files:
                self._files.popitem(last=False)


def hash_of(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()[:HASH_DIGITS]


OFFERS = Offers()


# ---------------------------------------------------------------- addresses


def base() -> str:
    """The path below which everything of this module is served: ``/browser``, or ``/BASE/browser``."""
    under = (st.get_option("server.baseUrlPath") or "").strip("/")
    return f"/{under}/{PREFIX}" if under else f"/{PREFIX}"


def offer(raw: bytes, name: str = "data", media_type: str = BINARY) -> str:
    """The address, without the host, at which browsers find these bytes."""
    return f"{base()}/{OFFERS.keep(raw, media_type)}/{name}"


def offer_file(of: Bundle, name: str) -> str:
    """The address of a file of an opened bundle, whose hash was checked when it was opened."""
    digest = of.sha256[name][:HASH_DIGITS]
    OFFERS.keep_file(of.folder / name, digest)
    return f"{base()}/{digest}/{Path(name).name}"


@cache
def modules() -> Mapping[str, Content]:
    """All ES modules by name, compressed."""
    return {
        path.name: Content(gzip.compress(path.read_bytes(), 9, mtime=0), "text/javascript")
        for path in sorted(MODULES.glob("*.js"))
    }


@cache
def modules_digest() -> str:
    """One hash of all modules: they import one another from next to themselves."""
    return hash_of(b"".join(name.encode() + one.body for name, one in modules().items()))


def module(name: str) -> str:
    """The address of an ES module."""
    return f"{base()}/{modules_digest()}/{name}"


@cache
def runtime_files() -> Mapping[str, Content]:
    """ONNX Runtime Web by name, as it is stored: compressed."""
    kinds = {".mjs": "text/javascript", ".wasm": "application/wasm"}
    return {
        path.stem: Content(path.read_bytes(), kinds[Path(path.stem).suffix])
        for path in sorted(RUNTIME.glob("*.gz"))
    }


@cache
def runtime_digest() -> str:
    """One hash of the runtime, which finds its parts next to itself: that of the list of their hashes."""
    return hash_of((RUNTIME / "FILES.json").read_bytes())


def runtime(name: str) -> str:
    """The address of a file of the runtime."""
    return f"{base()}/{runtime_digest()}/{name}"


# ---------------------------------------------------------------- answers


def _content(digest: str, name: str) -> Content | None:
    if digest == modules_digest():
        return modules().get(name)
    if digest == runtime_digest():
        return runtime_files().get(name)
    return OFFERS.content(digest)


def answer(request: Request) -> Response:
    """What is kept at an address; 404, which nothing remembers, where that is nothing."""
    digest, name = request.path_params["digest"], request.path_params["name"]
    found = _content(digest, name)
    if found is not None:
        body, headers = found.body, dict(HEADERS)
        if found.zipped:
            headers["Vary"] = "Accept-Encoding"
            if "gzip" in request.headers.get("accept-encoding", ""):
                headers["Content-Encoding"] = "gzip"
            else:
                body = gzip.decompress(body)
        return Response(body, media_type=found.media_type, headers=headers)
    path = OFFERS.file(digest)
    if path is not None and path.is_file():
        kind = mimetypes.guess_type(path.name)[0] or BINARY  # of the file, not of what a link says
        # A named encoding keeps Streamlit from compressing weights, which grow no smaller.
        return FileResponse(
            path, media_type=kind, headers=HEADERS | {"Content-Encoding": "identity"}
        )
    return PlainTextResponse(
        "Nothing is kept here.", status_code=404, headers={"Cache-Control": "no-store"}
    )

"""What browsers fetch: by hash, compressed, bounded; nothing by a path."""

import gzip
import os

import pytest
import streamlit as st
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient

from core.bundles.bundle import read_bundle
from pages.browser import serving


@pytest.fixture
def client(monkeypatch):
    monkeypatch.setattr(serving, "OFFERS", serving.Offers())
    return TestClient(Starlette(routes=[Route("/browser/{digest}/{name}", serving.answer)]))


def test_what_was_offered_is_answered_and_kept(client):
    answer = client.get(serving.offer(b"frames" * 100, "frames"))
    assert answer.content == b"frames" * 100
    assert answer.headers["content-encoding"] == "gzip"
    assert "immutable" in answer.headers["cache-control"]
    assert int(answer.headers["content-length"]) < 100


def test_a_browser_that_reads_no_gzip_is_answered_too(client):
    answer = client.get(serving.offer(b"frames"), headers={"accept-encoding": "identity"})
    assert "content-encoding" not in answer.headers
    assert answer.content == b"frames"


def test_the_same_content_has_one_address(client):
    assert serving.offer(b"one") == serving.offer(b"one") != serving.offer(b"two")


@pytest.mark.parametrize("digest", ["0" * 32, "..", "modules"])
def test_nothing_else_is_answered(client, digest):
    answer = client.get(f"/browser/{digest}/frames")
    assert answer.status_code == 404
    assert "immutable" not in answer.headers.get("cache-control", "")


def test_no_file_is_found_by_its_path(client):
    for name in ("../app.py", "%2e%2e%2fapp.py", "app.py"):
        assert client.get(f"/browser/{serving.modules_digest()}/{name}").status_code == 404


def test_what_was_not_offered_for_longest_leaves():
    noise = [os.urandom(1000) for _ in range(4)]
    offers = serving.Offers(most_bytes=2500)
    first, second = (offers.keep(raw, serving.BINARY) for raw in noise[:2])
    assert offers.keep(noise[0], serving.BINARY) == first  # asked for again
    third = offers.keep(noise[2], serving.BINARY)
    assert offers.content(second) is None
    assert gzip.decompress(offers.content(first).body) == noise[0]
    assert offers.content(third) is not None


def test_a_file_of_a_bundle_is_sent_as_it_lies(client, tiny_library):
    bundle = read_bundle(tiny_library / "vae-svhn")
    answer = client.get(serving.offer_file(bundle, "model.safetensors"))
    assert answer.content == (bundle.folder / "model.safetensors").read_bytes()
    assert answer.headers["content-encoding"] == "identity"  # Streamlit would compress it else
    # A link does not say what the file of somebody else's bundle is taken for.
    digest = bundle.sha256["model.safetensors"][: serving.HASH_DIGITS]
    answer = client.get(f"/browser/{digest}/page.html")
    assert answer.headers["content-type"] == serving.BINARY
    with pytest.raises(KeyError):
        serving.offer_file(bundle, "../vae-svhn/model.safetensors")


def test_modules_import_one_another_from_next_to_themselves(client):
    for name in serving.modules():
        answer = client.get(serving.module(name))
        assert answer.headers["content-type"].startswith("text/javascript")
        assert answer.text == (serving.MODULES / name).read_text("utf-8")


@pytest.mark.parametrize("under", ["atelier", "/atelier/"])
def test_addresses_stand_below_the_base_path(monkeypatch, under):
    options = {"server.baseUrlPath": under}
    monkeypatch.setattr(st, "get_option", options.get)
    assert serving.offer(b"frames").startswith("/atelier/browser/")
    assert serving.module("film.js").startswith("/atelier/browser/")

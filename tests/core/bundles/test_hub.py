import shutil
from argparse import Namespace
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants

from core.bundles import hub as hub_module
from core.bundles.files import write_json
from core.bundles.hub import _progress_bar, cached_dataset_file
from core.errors import AtelierError
from core.families import open_bundle, read_manifest
from core.vae.model import VAE

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cached(tiny_bundle):
    repository = Path(constants.HF_HUB_CACHE) / "models--user--vae"
    folder = repository / "snapshots" / COMMIT
    shutil.copytree(tiny_bundle, folder)
    yield folder
    shutil.rmtree(repository)


def test_the_cache_of_the_tests_is_their_own():
    assert "latent-atelier-hub-" in constants.HF_HUB_CACHE
    assert constants.HF_HUB_OFFLINE


def test_a_cached_bundle_opens_by_name_without_a_network(cached, tiny_bundle):
    bundle = open_bundle("user/vae", revision=COMMIT)
    assert (bundle.name, bundle.origin, bundle.revision) == ("user/vae", "hub", COMMIT)
    loaded = VAE.from_pretrained("user/vae", revision=COMMIT)
    embedded = VAE.from_pretrained(tiny_bundle)
    z = torch.zeros(1, 4)
    assert torch.equal(loaded.decode(z).mean, embedded.decode(z).mean)


def test_a_manifest_opens_a_cached_bundle_verified(cached, tmp_path):
    entry = {
        "name": "a",
        "family": "vae",
        "title": "A",
        "repo": "user/vae",
        "revision": COMMIT,
        "sha256": dict(open_bundle(cached).sha256),
    }
    write_json(tmp_path / "manifest.json", {"format": 1, "bundles": [entry]})
    manifest = read_manifest(tmp_path / "manifest.json")
    assert manifest.open("a").verified
    with open(cached / "model.safetensors", "ab") as file:
        file.write(b"\n")
    with pytest.raises(AtelierError) as caught:
        manifest.open("a")
    assert caught.value.code == "bundle-hash"


@pytest.mark.parametrize("revision", [None, COMMIT])
def test_a_bundle_that_is_not_cached_is_reported_as_unreachable(revision):
    with pytest.raises(AtelierError) as caught:
        open_bundle("user/elsewhere", revision=revision)
    assert caught.value.code == "hub-unreachable"


@pytest.mark.parametrize("name", ["a--b/c", "user/.name", "-user/name", "../up"])
def test_a_name_the_hub_does_not_allow_is_reported(name):
    with pytest.raises(AtelierError) as caught:
        open_bundle(name)
    assert caught.value.code == "hub-name"


def test_a_file_that_is_not_cached_is_none():
    assert cached_dataset_file("user/elsewhere", "a.parquet") is None


def test_progress_is_reported_in_bytes_and_nothing_is_printed(capfd):
    seen = []
    bar = _progress_bar(lambda *pair: seen.append(pair))(total=10, name="x", unit="B")
    bar.update(4)
    bar.update(6)
    bar.close()
    assert seen == [(4, 10), (10, 10)]
    assert capfd.readouterr() == ("", "")


class Api:
    """A Hub that takes everything; ``meanwhile`` happens once the list of files is made."""

    def __init__(self, meanwhile=lambda: None):
        self.meanwhile = meanwhile

    def create_repo(self, *_arguments, **_options):
        self.meanwhile()

    def list_repo_files(self, *_arguments, **_options):
        return []

    def preupload_lfs_files(self, _repo, additions, **_options):
        for one in additions:
            with one.as_file() as file:
                file.read()

    def create_commit(self, repo, operations, **options):
        self.preupload_lfs_files(repo, operations, **options)
        return Namespace(oid=COMMIT, commit_url="https://example.org")


@pytest.mark.parametrize("when", ["before", "small", "large", "a folder"])
def test_a_file_that_cannot_be_uploaded_is_named_and_not_the_cache(tmp_path, monkeypatch, when):
    file, other = tmp_path / "a.bin", tmp_path / "b.bin"
    file.write_bytes(b"a"), other.write_bytes(b"b")
    api = Api() if when in ("before", "a folder") else Api(file.unlink)
    if when in ("before", "a folder"):
        file.unlink()
    if when == "a folder":
        file.mkdir()
    monkeypatch.setattr(hub_module, "SENT_ALONE", 0 if when == "large" else 10)
    monkeypatch.setattr(hub_module, "HfApi", lambda: api)
    monkeypatch.setattr(hub_module, "get_token", lambda: "token")
    with pytest.raises(AtelierError) as caught:
        hub_module.publish("user/name", {"a.bin": file, "b.bin": other}, message="x")
    assert caught.value.code == "hub-upload-file"
    assert caught.value.values["file"] == str(file)


def test_files_that_can_be_read_are_uploaded(tmp_path, monkeypatch):
    file = tmp_path / "a.bin"
    file.write_bytes(b"a")
    monkeypatch.setattr(hub_module, "HfApi", Api)
    monkeypatch.setattr(hub_module, "get_token", lambda: "token")
    made = hub_module.publish("user/name", {"a.bin": file, "b": b"b"}, message="x")
    assert made.commit == COMMIT

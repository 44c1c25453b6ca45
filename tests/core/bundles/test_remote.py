"""Bundles through the real client from a small server with the Hub's routes."""

import errno
import json
import os
import shutil

import pytest
from safetensors.numpy import load_file, save_file

from core.bundles import remote
from core.bundles.files import sha256
from core.errors import AtelierError
from core.families import open_bundle
from tests.hub_client import Client

IMPORTS = "from core.bundles import remote\nfrom core.families import networks"
OPEN = """
from core.bundles import remote
from core.families import networks
steps = []
tell = lambda *s: steps.append(s)
found = remote.fetch(repo, revision, networks=networks(), expected=expected, progress=tell)
print(found.family, found.revision, found.verified, found.reached, len(found.sha256))
if steps: print("steps", len(steps) > 1, steps == sorted(steps), steps[-1][0] == steps[-1][1])
"""


@pytest.fixture
def repo(hub, request, tiny_bundle):
    """A repository of its own with the files of a bundle, and no faults."""
    name = f"user/{abs(hash(request.node.nodeid))}"
    hub.put(name, contents(tiny_bundle))
    hub.seen.clear()
    return name


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def hashes(folder):
    return dict(open_bundle(folder).sha256)


def fetched(client, repo, revision=None, expected=None):
    return client.run(OPEN, repo=repo, revision=revision, expected=expected)


def refused(client, repo, revision=None, expected=None):
    with pytest.raises(RuntimeError) as caught:
        fetched(client, repo, revision, expected)
    return str(caught.value)


def altered(files, file, change):
    value = json.loads(files[file])
    change(value)
    return files | {file: json.dumps(value).encode()}


# ---------------------------------------------------------------- what arrives


def test_a_bundle_arrives_with_progress_and_is_pinned_to_its_commit(client, hub, repo, tiny_bundle):
    commit = hub.repositories["models", repo].at("main")[0]
    said = fetched(client, repo)
    assert said.startswith(f"vae {commit} False True {len(hashes(tiny_bundle))}")
    assert "steps True True True" in said


def test_what_arrives_is_what_was_published(client, repo, tiny_bundle):
    code = f"{IMPORTS}\nprint(*remote.fetch(repo, networks=networks()).sha256.items(), sep='\\n')"
    assert client.run(code, repo=repo).splitlines() == [
        str(pair) for pair in hashes(tiny_bundle).items()
    ]


def test_a_manifest_opens_it_verified_and_asks_once(client, hub, repo, tiny_bundle):
    commit = hub.repositories["models", repo].at("main")[0]
    assert " True True " in fetched(client, repo, commit, hashes(tiny_bundle))
    hub.seen.clear()
    assert " True True " in fetched(client, repo, commit, hashes(tiny_bundle))
    assert hub.seen == []


def test_the_pinned_commit_stays_when_the_branch_moves(client, hub, repo, tiny_bundle):
    first = hub.repositories["models", repo].at("main")[0]
    files = contents(tiny_bundle)
    second = hub.put(repo, files | {"README.md": b"---\n---\nAnother card"})
    code = f"{IMPORTS}\nprint(remote.fetch(repo, revision, networks=networks()).card[-12:])"
    assert "Another card" not in client.run(code, repo=repo, revision=first)
    assert "Another card" in client.run(code, repo=repo, revision=second)
    assert "Another card" in client.run(code, repo=repo, revision=None)


def test_files_that_the_format_does_not_name_are_left_there(client, hub, repo, tiny_bundle):
    strangers = {"model.pt": b"pickle", "code.py": b"boom", "progress/x.py": b"boom"}
    strangers |= {"../outside.json": b"{}", "config.json.bak": b"{}"}
    hub.put(repo, contents(tiny_bundle) | strangers)
    fetched(client, repo)
    assert not [path for path in hub.downloads() if path.split("/main/")[-1].endswith(".py")]
    assert len(set(hub.downloads())) == len(hashes(tiny_bundle))


# ---------------------------------------------------------------- connections and answers


def test_a_cut_connection_is_taken_up_where_it_broke(client, hub, repo):
    cut = []

    def once(method, path):
        if method == "GET" and path.endswith("model.safetensors") and not cut:
            cut.append(path)
            return "cut"
        return None

    hub.fault = once
    assert fetched(client, repo).startswith("vae")
    assert len(hub.downloads("model.safetensors")) == 2


@pytest.mark.parametrize("fault", ["garble", "shorten"])
def test_a_damaged_file_is_fetched_again_once(client, hub, repo, fault):
    damaged = []

    def once(method, path):
        if method == "GET" and path.endswith("model.safetensors") and not damaged:
            damaged.append(path)
            return fault
        return None

    hub.fault = once
    assert fetched(client, repo).startswith("vae")
    assert damaged


@pytest.mark.parametrize("file", ["model.safetensors", "config.json"])
def test_a_file_that_stays_damaged_is_refused(client, hub, repo, file):
    hub.fault = lambda method, path: (
        "garble" if method == "GET" and path.endswith(f"/{file}") else None
    )
    said = refused(client, repo)
    assert said.startswith("bundle-hash | ")
    assert file in said
    assert len(hub.downloads(file)) == 2


def test_a_file_that_is_not_that_of_the_manifest_is_refused(client, hub, repo, tiny_bundle):
    commit = hub.repositories["models", repo].at("main")[0]
    wrong = hashes(tiny_bundle) | {"metrics.json": "0" * 64}
    assert refused(client, repo, commit, wrong).startswith("bundle-hash | metrics.json")


def test_a_damaged_copy_in_the_cache_is_replaced(client, repo, hub, tiny_bundle):
    commit = hub.repositories["models", repo].at("main")[0]
    expected = hashes(tiny_bundle)
    fetched(client, repo, commit, expected)
    damage = """
from core.bundles import hub
file = hub.cached_folder(repo, revision) / "profiles.safetensors"
file.resolve().write_bytes(file.read_bytes()[:-5] + b"wrong")
"""
    client.run(damage, repo=repo, revision=commit)
    assert " True True " in fetched(client, repo, commit, expected)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (401, "hub-answer"),
        (403, "hub-answer"),
        (404, "hub-answer"),
        (429, "hub-busy"),
        (500, "hub-answer"),
        (503, "hub-answer"),
    ],
)
@pytest.mark.parametrize("place", ["/api/models/", "/resolve/"])
def test_an_answer_that_is_no_bundle_is_one_sentence(client, hub, repo, status, code, place):
    hub.fault = lambda method, path: status if place in path else None
    said = refused(client, repo)
    assert said.startswith(f"{code} | ")
    assert "\n" not in said


def test_slow_answers_are_waited_for_or_told(client, hub, repo):
    slow = []

    def once(method, path):
        if "/resolve/" in path and path.endswith("README.md") and not slow:
            slow.append(path)
            return "slow"
        return None

    hub.fault = once
    assert fetched(client, repo).startswith("vae")


def test_without_a_connection_the_cached_copy_is_opened_and_says_so(client, hub, repo):
    fetched(client, repo)
    hub.fault = lambda method, path: 503
    assert " False False " in fetched(client, repo)


def test_without_a_connection_half_a_copy_is_no_bundle(client, hub, repo):
    hub.fault = lambda method, path: 503 if path.endswith("model.safetensors") else None
    assert refused(client, repo).startswith("hub-")
    hub.fault = lambda method, path: 503
    assert refused(client, repo).startswith("hub-answer | ")


def test_an_absent_repository_or_revision_is_named(client, repo):
    assert refused(client, "user/nowhere").startswith("hub-not-found | ")
    assert refused(client, repo, "v9").startswith("hub-not-found | ")


def test_a_full_disk_is_one_sentence(client, repo):
    code = """
import errno
from core.bundles import hub, remote
from core.families import networks
def full(*arguments, **options):
    raise OSError(errno.ENOSPC, "No space left on device")
whole, hub.hf_hub_download = hub.hf_hub_download, full
try:
    remote.fetch(repo, networks=networks())
finally:
    hub.hf_hub_download = whole
"""
    with pytest.raises(RuntimeError, match=r"^disk-full \| The disk is full"):
        client.run(code, repo=repo)
    assert errno.ENOSPC == 28


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EPERM])
def test_a_cache_that_cannot_be_written_is_named_and_not_the_hub(client, repo, number):
    code = """
import os
from core.bundles import remote
from core.families import networks
def refused(path, *arguments, **options):
    raise OSError(number, os.strerror(number), str(path))
whole, os.mkdir = os.mkdir, refused
try:
    remote.fetch(repo, networks=networks())
finally:
    os.mkdir = whole
"""
    with pytest.raises(RuntimeError) as caught:
        client.run(code, repo=repo, number=number)
    said = str(caught.value)
    assert said.startswith(f"hub-cache | {repo} cannot be stored in the cache")
    assert os.strerror(number) in said
    assert "reached" not in said


def test_a_file_where_the_cache_should_be_is_named(hub, repo, tmp_path):
    home = tmp_path / "home"
    home.touch()
    one = Client(hub.address, home)
    try:
        said = refused(one, repo)
    finally:
        one.close()
    assert said.startswith("hub-cache | ")
    assert str(home) in said


# ---------------------------------------------------------------- what is looked at first


def test_a_family_that_is_not_known_is_refused_before_any_weight_is_fetched(
    client, hub, repo, tiny_bundle
):
    change = altered(contents(tiny_bundle), "config.json", lambda c: c.update(family="oracle"))
    hub.put(repo, change)
    assert refused(client, repo).startswith("bundle-family | ")
    assert {path.split("/")[-1] for path in hub.downloads()} == {"config.json"}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda c: c.pop("architecture"), "architecture"),
        (lambda c: c.update(family="../vae"), "family"),
        (lambda c: c["architecture"].update(latent_dim=10**9), "architecture"),
        (lambda c: c["architecture"].update(channels=[1024, 1024, 1024], blocks=8), "architecture"),
        (lambda c: c["architecture"].update(unknown=1), "architecture"),
        (lambda c: c["data"].pop("pictures"), "data.pictures"),
        (lambda c: c["data"].update(class_names=["a"] * 1001), "data.class_names"),
        (lambda c: c["training"].update({f"x{i}": i for i in range(300)}), "training"),
        (lambda c: c.update(seed="0"), "seed"),
    ],
)
def test_a_configuration_is_checked_before_any_weight_is_fetched(
    client, hub, repo, tiny_bundle, change, named
):
    hub.put(repo, altered(contents(tiny_bundle), "config.json", change))
    said = refused(client, repo)
    assert said.startswith("bundle-config | ")
    assert said.endswith(f"no usable {named}.")
    assert {path.split("/")[-1] for path in hub.downloads()} == {"config.json"}


@pytest.mark.parametrize("text", [b"[]", b"{", b"\xff", b'"text"'])
def test_a_configuration_that_is_none_is_refused(client, hub, repo, tiny_bundle, text):
    hub.put(repo, contents(tiny_bundle) | {"config.json": text})
    assert refused(client, repo).startswith("bundle-damaged | config.json")


@pytest.mark.parametrize("file", ["config.json", "metrics.json", "README.md"])
def test_a_file_that_is_too_large_is_not_fetched(client, hub, repo, tiny_bundle, file):
    hub.put(repo, contents(tiny_bundle) | {file: b" " * (remote.LARGEST[file] + 1)})
    said = refused(client, repo)
    assert said.startswith(f"bundle-large | {file}")
    assert hub.downloads(file) == []


def test_too_many_sheets_are_not_fetched(client, hub, repo, tiny_bundle):
    sheets = {f"progress/epoch-{i:04d}-samples.jpg": b"x" for i in range(remote.MOST_SHEETS + 1)}
    hub.put(repo, contents(tiny_bundle) | sheets)
    assert refused(client, repo).startswith("bundle-large | progress/")
    assert hub.downloads(".jpg") == []


@pytest.mark.parametrize("file", ["model.safetensors", "history.json", "README.md", "config.json"])
def test_a_missing_file_is_named(client, hub, repo, tiny_bundle, file):
    files = contents(tiny_bundle)
    del files[file]
    hub.put(repo, files)
    said = refused(client, repo)
    assert said.startswith("bundle-incomplete | ")
    assert file in said


def test_weights_of_another_architecture_are_refused_by_their_header(
    client, hub, repo, tiny_bundle, tmp_path
):
    weights = load_file(tiny_bundle / "model.safetensors")
    name = next(name for name, array in weights.items() if array.ndim > 1)
    weights[name] = weights[name].reshape(-1)
    save_file(weights, tmp_path / "model.safetensors")
    changed = (tmp_path / "model.safetensors").read_bytes()
    hub.put(repo, contents(tiny_bundle) | {"model.safetensors": changed})
    assert refused(client, repo).startswith("bundle-weights | ")


# ---------------------------------------------------------------- names, and the cache


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("user/name", ("user/name", None)),
        (" user/name ", ("user/name", None)),
        ("user/name@main", ("user/name", "main")),
        ("a-b.c/d_e@0123abc", ("a-b.c/d_e", "0123abc")),
        ("user/name@refs/pr/1", ("user/name", "refs/pr/1")),
    ],
)
def test_a_place_names_repository_and_revision(place, expected):
    assert remote.parse(place) == expected


@pytest.mark.parametrize(
    "place",
    [
        "",
        "name",
        "user/name/more",
        "user/name@",
        "../x",
        "user/..",
        "user/na me",
        "u/n@a b",
        "https://hub/user/name",
        "user/name@../../x",
    ],
)
def test_other_places_are_refused_in_one_sentence(place):
    with pytest.raises(AtelierError) as caught:
        remote.parse(place)
    assert caught.value.code == "hub-name"
    assert "\n" not in str(caught.value)


def test_a_commit_is_deleted_from_the_cache(client, hub, repo):
    code = """
from core.bundles import hub, remote
from core.families import networks
found = remote.fetch(repo, networks=networks())
print(hub.forget(repo, found.revision) > 1000, hub.cached_folder(repo, found.revision))
print(hub.forget(repo, found.revision))
"""
    assert client.run(code, repo=repo).split() == ["True", "None", "0"]


def test_a_damaged_embedded_bundle_gives_way_to_that_of_the_hub(
    client, hub, repo, tiny_bundle, tmp_path
):
    shutil.copytree(tiny_bundle, tmp_path / "vae")
    entry = {
        "name": "vae",
        "family": "vae",
        "title": "VAE",
        "folder": "vae",
        "repo": repo,
        "revision": hub.repositories["models", repo].at("main")[0],
        "sha256": hashes(tiny_bundle),
    }
    (tmp_path / "manifest.json").write_text(json.dumps({"format": 1, "bundles": [entry]}))
    code = """
from pathlib import Path
from core.families import read_manifest
found = read_manifest(Path(folder) / "manifest.json").open("vae")
print(found.origin, found.verified)
"""
    assert client.run(code, folder=str(tmp_path)).split() == ["embedded", "True"]
    (tmp_path / "vae" / "metrics.json").write_text("{}")
    assert sha256(tmp_path / "vae" / "metrics.json") != entry["sha256"]["metrics.json"]
    assert client.run(code, folder=str(tmp_path)).split() == ["hub", "True"]

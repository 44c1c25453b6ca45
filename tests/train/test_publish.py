"""Publishing through the real client to a small server with the Hub's routes, and back."""

import io
import json
import shutil

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

from core.families import open_bundle
from core.pictures.images import sheet_bytes
from tests.hub_server import READER, WRITER
from train.release import publish


@pytest.fixture
def repo(hub, request):
    return f"user/{abs(hash(request.node.nodeid))}"


@pytest.fixture
def put(client, repo, svhn_folder):
    """Runs the command; its exit status and what it printed."""

    def run(bundle, *options, token=WRITER, data=True):
        settings = {"HF_TOKEN": token} if token else {}
        settings |= {"ATELIER_DATA_DIR": str(svhn_folder) if data else ""}
        code = f"""
import contextlib, io, os, sys
from train.__main__ import main
for name in ("HF_TOKEN", "ATELIER_DATA_DIR"):
    os.environ.pop(name, None)
os.environ.update({{k: v for k, v in settings.items() if v}})
print("status", main(["publish", {str(bundle)!r}, "--repo", {repo!r}, *options]))
"""
        said = client.run(code, settings=settings, options=list(options))
        return int(said.rsplit("status ", 1)[1]), said

    return run


@pytest.fixture
def copy(tiny_bundle, tmp_path):
    return shutil.copytree(tiny_bundle, tmp_path / "copy")


def described(said):
    """The manifest entry that was printed."""
    return json.loads(said[said.index("\n{") :].rsplit("}", 1)[0] + "}")


def arrays(folder, file, change):
    held = load_file(folder / file)
    change(held)
    save_file(held, folder / file)


# ---------------------------------------------------------------- there and back


def test_what_was_published_is_fetched_again_byte_for_byte(put, client, hub, repo, tiny_bundle):
    status, said = put(tiny_bundle)
    assert status == 0
    entry = described(said)
    assert entry["revision"] == hub.repositories["models", repo].at("main")[0]
    assert entry["repo"] == repo
    files = hub.files(repo)
    for file in open_bundle(tiny_bundle).sha256:
        if file != "README.md":
            assert files[file] == (tiny_bundle / file).read_bytes(), file
    back = """
from core.bundles import remote
from core.families import networks
from core.vae import VAE
found = remote.fetch(repo, revision, networks=networks(), expected=expected)
print(found.verified, VAE.from_pretrained(repo, revision=revision).config.latent_dim)
"""
    said = client.run(back, repo=repo, revision=entry["revision"], expected=entry["sha256"])
    assert said.split() == ["True", "4"]


def test_all_goes_up_in_one_commit_and_again_in_none(put, hub, repo, tiny_bundle):
    put(tiny_bundle)
    assert hub.commits(repo) == 1
    status, said = put(tiny_bundle)
    assert status == 0
    assert hub.commits(repo) == 1
    assert described(said)["revision"] == hub.repositories["models", repo].at("main")[0]


def test_a_file_that_is_gone_from_the_bundle_goes_there_too(put, hub, repo, tiny_bundle):
    hub.put(repo, {"progress/epoch-0099-samples.jpg": b"old", ".gitattributes": b"kept"})
    assert put(tiny_bundle)[0] == 0
    assert "progress/epoch-0099-samples.jpg" not in hub.files(repo)
    assert hub.files(repo)[".gitattributes"] == b"kept"


@pytest.mark.parametrize(
    "place", ["/api/repos/create", "/preupload/", "/objects/batch", "/store/", "/commit/"]
)
def test_interrupted_and_repeated_it_ends_the_same(put, hub, repo, tiny_bundle, place):
    hub.fault = lambda method, path: 500 if place in path else None
    status, said = put(tiny_bundle)
    assert status == 1
    assert "error: The Hub" in said
    hub.fault = lambda method, path: None
    assert put(tiny_bundle)[0] == 0
    assert {*open_bundle(tiny_bundle).sha256} == {*hub.files(repo)}
    assert hub.commits(repo) == 1


def test_a_dry_run_shows_everything_and_uploads_nothing(put, hub, repo, tiny_bundle):
    status, said = put(tiny_bundle, "--dry-run", token=None)
    assert status == 0
    assert "model-index:" in said
    assert all(file in said for file in open_bundle(tiny_bundle).sha256)
    assert hub.repositories.get(("models", repo)) is None
    assert hub.seen == []


# ---------------------------------------------------------------- the card


def test_the_card_says_data_licence_figures_and_how_to_load(put, hub, repo, tiny_bundle):
    put(tiny_bundle)
    card = hub.files(repo)["README.md"].decode()
    assert "license_name: svhn-non-commercial" in card
    assert "- ufldl-stanford/svhn" in card
    found = json.loads((tiny_bundle / "metrics.json").read_text())["test"]["negative_elbo"]
    assert f"value: {found}" in card
    assert "SVHN subset (test), 40 pictures" in card  # and not SVHN as such
    assert f'VAE.from_pretrained("{repo}")' in card
    assert "(progress/epoch-0002-samples.jpg)" in card
    assert "path/to/this/folder" not in card


def test_names_and_titles_can_be_chosen(put, tiny_bundle):
    said = put(tiny_bundle, "--name", "mine", "--title", "My VAE", "--dry-run")[1]
    entry = described(said)
    assert (entry["name"], entry["title"], entry["family"]) == ("mine", "My VAE", "vae")
    assert "name: My VAE" in said


# ---------------------------------------------------------------- who may


@pytest.mark.parametrize(
    ("token", "words"),
    [
        (None, "The Hub does not know who wants to write to"),
        (READER, "Your token may not write to"),
        ("hf_unknown", "The Hub does not know who wants to write to"),
    ],
)
def test_who_may_not_write_is_told(put, hub, repo, tiny_bundle, token, words):
    status, said = put(tiny_bundle, token=token)
    assert status == 1
    (line,) = [line for line in said.splitlines() if line.startswith("error: ")]
    assert words in line
    assert hub.repositories.get(("models", repo)) is None


def test_a_hub_that_is_down_is_one_sentence(put, hub, repo, tiny_bundle):
    hub.fault = lambda method, path: 503
    status, said = put(tiny_bundle)
    assert status == 1
    assert "error: The Hub answered 503" in said
    assert "Traceback" not in said


def test_a_full_disk_is_one_sentence(put, client, repo, tiny_bundle):
    full = """
import errno, shutil
from train.release import publish
class Full:
    def __getattr__(self, name):
        return getattr(shutil, name)
    def copyfile(self, *places):
        raise OSError(errno.ENOSPC, "No space left on device")
publish.shutil = Full()
"""
    client.run(full)
    try:
        status, said = put(tiny_bundle)
    finally:
        client.run("import shutil\nfrom train.release import publish\npublish.shutil = shutil")
    assert status == 1
    assert "error: The disk is full" in said


# ---------------------------------------------------------------- what is not published


def test_weights_that_do_not_give_their_golden_output_stay_here(put, hub, repo, copy):
    def double(held):
        name = next(name for name, array in held.items() if array.ndim > 1)
        held[name] = held[name] * 2

    arrays(copy, "model.safetensors", double)
    status, said = put(copy)
    assert status == 1
    assert "golden" in said
    assert hub.repositories.get(("models", repo)) is None


@pytest.mark.parametrize("where", ["sheet", "profile", "golden"])
def test_a_picture_of_the_data_set_is_found_wherever_it_is(
    put, hub, repo, copy, make_digits, where
):
    pictures, _labels = make_digits(64, 0)  # those of the training split
    if where == "sheet":
        noise = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
        tiles = np.concatenate([noise, pictures[41:42]])
        (copy / "progress/epoch-0002-samples.jpg").write_bytes(sheet_bytes(tiles, 2))
    elif where == "profile":
        arrays(copy, "profiles.safetensors", lambda held: held.update(kept=pictures[41:43]))
    else:
        as_tensor = np.float32(pictures[41:42] / 127.5 - 1).transpose(0, 3, 1, 2)
        arrays(
            copy,
            "golden.safetensors",
            lambda held: held.update({"input.more": np.ascontiguousarray(as_tensor)}),
        )
    status, said = put(copy)
    assert status == 1
    assert "picture 41 of svhn (train)" in said
    assert hub.repositories.get(("models", repo)) is None


def test_without_the_data_it_asks(put, hub, repo, tiny_bundle):
    status, said = put(tiny_bundle, data=False)
    assert status == 1
    assert "--without-data" in said
    assert put(tiny_bundle, "--without-data", data=False)[0] == 0
    assert hub.commits(repo) == 1


def test_a_bundle_that_is_not_the_one_of_its_manifest_stays_here(put, hub, repo, copy):
    entry = {"name": "copy", "family": "vae", "title": "Copy", "folder": "copy"}
    entry["sha256"] = dict(open_bundle(copy).sha256)
    manifest = {"format": 1, "bundles": [entry]}
    (copy.parent / "manifest.json").write_text(json.dumps(manifest))
    assert "hashes: those of the manifest" in put(copy, "--dry-run")[1]
    (copy / "metrics.json").write_text((copy / "metrics.json").read_text() + " ")
    status, said = put(copy)
    assert status == 1
    assert f"error: metrics.json of the bundle {copy} is not the file that was published" in said
    assert hub.repositories.get(("models", repo)) is None


def test_a_revision_is_not_published_to(put, tiny_bundle, client):
    code = "from train.__main__ import main\nprint(main(['publish', folder, '--repo', 'a/b@main']))"
    assert "name the repository alone" in client.run(code, folder=str(tiny_bundle))


def test_pictures_are_found_in_every_layout():
    rng = np.random.default_rng(1)
    values = rng.integers(0, 256, (2, 3, 32, 32, 3), dtype=np.uint8)
    as_floats = np.float32(values / 127.5 - 1)
    for array in (values, as_floats, np.moveaxis(as_floats, -1, -3)):
        assert np.array_equal(publish.as_pictures(array), values.reshape(6, 32, 32, 3))
    assert publish.as_pictures(np.zeros((5, 32, 3))) is None
    assert publish.as_pictures(np.zeros((10, 32))) is None


def test_padding_is_no_picture():
    tiles = np.zeros((3, 32, 32, 3), np.uint8)
    tiles[1, 0, 0, 0] = 9
    assert len(publish.without_uniform(tiles)) == 1
    buffer = io.BytesIO()
    Image.fromarray(tiles[0]).save(buffer, format="PNG")
    assert len(publish.without_uniform(tiles[:0])) == 0

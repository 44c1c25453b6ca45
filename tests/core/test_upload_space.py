"""Uploads of a Space through the real client to a small server with the Hub's routes."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.hub_client import Client
from tests.hub_server import PART, READER, WRITER, Hub

ROOT = Path(__file__).parents[2]
README = "---\nsdk: docker\n---\né"
UPLOAD = """
import json, os
from pathlib import Path
from core.bundles import hub
os.environ.pop("HF_TOKEN", None)
if token:
    os.environ["HF_TOKEN"] = token
files = {p.relative_to(folder).as_posix(): p for p in Path(folder).rglob("*") if p.is_file()}
files["README.md"] = readme.encode()
steps = []
made = hub.upload_space(
    repo, files, message="a message", private=private,
    progress=lambda *step: steps.append(step),
)
print(json.dumps({"address": made.url, "steps": steps}))
"""


@pytest.fixture
def files(tmp_path):
    folder = tmp_path / "files"
    contents = {
        "app.py": b"print('hello')\n",
        "core/empty.py": b"",
        "checkpoints/one.safetensors": os.urandom(PART - 1),
        "checkpoints/many parts.safetensors": os.urandom(2 * PART + 5),
    }
    for path, content in contents.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


@pytest.fixture
def upload(client, files):
    def run(repo="user/name", private=False, token=WRITER):
        values = {"repo": repo, "private": private, "token": token}
        return json.loads(client.run(UPLOAD, folder=str(files), readme=README, **values))

    return run


@pytest.fixture
def refused(upload):
    def run(**options):
        with pytest.raises(RuntimeError) as caught:
            upload(**options)
        return str(caught.value)

    return run


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    } | {"README.md": README.encode()}


def space(hub):
    return hub.files("user/name", "spaces")


def commits(hub):
    return hub.commits("user/name", "spaces")


def test_what_arrives_is_what_was_sent(hub, upload, files):
    said = upload()
    assert space(hub) == contents(files)
    assert commits(hub) == 1
    commit = hub.repositories["spaces", "user/name"].at("main")[0]
    assert said["address"] == f"{hub.address}/spaces/user/name/commit/{commit}"
    assert hub.summaries == ["a message"]


def test_large_files_go_apart_and_in_parts(hub, upload):
    upload()
    assert sorted(len(parts) for parts in hub.parts.values()) == [1, 3]


def test_progress_ends_at_the_bytes_of_all_files(upload, files):
    steps = upload()["steps"]
    total = sum(len(content) for content in contents(files).values())
    assert steps[-1] == [total, total]
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)
    assert [2 * PART + 5, total] in steps


def test_files_that_are_no_longer_there_go(hub, upload, files):
    held = {"old.py": b"old", ".gitattributes": b"*.bin filter=lfs", "app.py": b"old"}
    hub.put("user/name", held, "spaces")
    upload()
    assert space(hub) == contents(files) | {".gitattributes": b"*.bin filter=lfs"}
    assert commits(hub) == 2


def test_the_same_files_again_make_no_commit(hub, upload):
    first, again = upload(), upload()
    assert commits(hub) == 1
    assert again["address"].split("/")[-1] == first["address"].split("/")[-1]


@pytest.mark.parametrize(("private", "visibility"), [(True, "private"), (False, None)])
def test_the_space_is_made_for_docker(hub, upload, private, visibility):
    upload(private=private)
    [created] = hub.created
    assert (created["type"], created["sdk"]) == ("space", "docker")
    assert (created["organization"], created["name"]) == ("user", "name")
    assert created.get("visibility") == visibility


@pytest.mark.parametrize(
    ("place", "status", "code"),
    [
        ("/preupload/", 403, "hub-forbidden-to-write"),
        ("/store/", 403, "hub-forbidden-to-write"),
        ("/store/", 418, "hub-answer"),
        ("/commit/", 403, "hub-forbidden-to-write"),
    ],
)
def test_a_refusal_is_told_and_leaves_the_space_as_it_was(hub, refused, place, status, code):
    hub.put("user/name", {"app.py": b"old"}, "spaces")
    hub.fault = lambda method, path: status if place in path else None
    said = refused()
    assert said.startswith(f"{code} | ")
    assert "user/name" in said
    assert space(hub) == {"app.py": b"old"}


@pytest.mark.parametrize(("status", "code"), [(401, "hub-login"), (402, "hub-paid")])
def test_a_space_that_may_not_be_made_is_told(hub, refused, status, code):
    hub.fault = lambda method, path: status if "/api/repos/create" in path else None
    assert refused().startswith(f"{code} | ")
    assert hub.repositories == {}


def test_a_token_that_may_only_read_makes_no_space(hub, refused):
    assert refused(token=READER).startswith("hub-forbidden-to-write | ")
    assert hub.repositories == {}


@pytest.mark.slow
@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not in a git repository")
def test_the_command_sends_the_repository(hub, client):
    code = """
import os
from train.__main__ import main
os.environ["HF_TOKEN"] = token
print("status", main(["space", "--repo", "user/name", "--private"]))
"""
    said = client.run(code, token=WRITER)
    assert "status 0" in said
    assert f"{hub.address}/spaces/user/name\n" in said
    assert hub.created[0]["visibility"] == "private"
    listed = subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).splitlines()
    files = space(hub)
    sent = {path: content for path, content in files.items() if path != "README.md"}
    assert sent == {path: (ROOT / path).read_bytes() for path in sent}
    assert set(files) < set(listed)
    assert {"Dockerfile", "app.py", "checkpoints/vae-svhn/model.safetensors"} < set(sent)
    assert files["README.md"].endswith((ROOT / "README.md").read_bytes())


def test_without_a_token_nothing_is_asked(hub, refused):
    assert refused(token=None).startswith("hub-login | ")
    assert hub.seen == []


def test_an_expired_token_is_told(hub, refused):
    assert refused(token="hf_old").startswith("hub-login | ")


def test_a_hub_that_is_down_is_told(files, tmp_path):
    gone = Hub()
    gone.close()
    client = Client(gone.address, tmp_path / "home")
    try:
        client.run("import time\ntime.sleep = lambda seconds: None")
        with pytest.raises(RuntimeError, match=r"^hub-not-reached \| "):
            client.run(
                UPLOAD,
                folder=str(files),
                readme=README,
                repo="user/name",
                private=False,
                token=WRITER,
            )
    finally:
        client.close()


@pytest.mark.parametrize("repo", ["name", "a/b/c", "user/.name"])
def test_a_name_that_is_none_is_told(hub, refused, repo):
    assert refused(repo=repo).startswith("hub-name | ")

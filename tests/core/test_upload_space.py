"""Uploads through the real client to a small server with the Hub's routes."""

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LARGE, PART = 2_000_000, 3_000_000
TOKEN = "hf_abcdefghijklmnopqrstuvwxyz"

UPLOAD = """
import json, sys
from pathlib import Path
from core import hub
from core.errors import AtelierError
folder, repo, private = sys.argv[1:]
files = {p.relative_to(folder).as_posix(): p for p in Path(folder).rglob("*") if p.is_file()}
files["README.md"] = "---\\nsdk: docker\\n---\\né".encode()
steps = []
try:
    address = hub.upload_space(
        repo, files, message="a message", private=private == "yes",
        progress=lambda *step: steps.append(step),
    ).url
    print(json.dumps({"address": address, "steps": steps}))
except AtelierError as error:
    print(error.code, "|", error)
"""


class Hub:
    """One Space as the Hub keeps it: its files, large contents by sha256, and what was asked."""

    def __init__(self, exists=False, held=(), refuse=None):
        self.exists, self.files = exists, dict(held)
        self.refuse = refuse or {}
        self.large, self.commits, self.asked, self.created = {}, [], [], []

    def route(self, method, path):
        """What answers a request, and the parts of its path."""
        for name, verb, pattern in (
            ("create", "POST", r"/api/repos/create"),
            ("info", "GET", r"/api/spaces/([^/]+/[^/]+)"),
            ("head", "GET", r"/api/spaces/([^/]+/[^/]+)/revision/main"),
            ("tree", "GET", r"/api/spaces/([^/]+/[^/]+)/tree/main"),
            ("validate", "POST", r"/api/validate-yaml"),
            ("preupload", "POST", r"/api/spaces/([^/]+/[^/]+)/preupload/main"),
            ("batch", "POST", r"/spaces/([^/]+/[^/]+)\.git/info/lfs/objects/batch"),
            ("put", "PUT", r"/large/(\w+)/(\d+)"),
            ("complete", "POST", r"/complete/(\w+)"),
            ("verify", "POST", r"/verify"),
            ("commit", "POST", r"/api/spaces/([^/]+/[^/]+)/commit/main"),
        ):
            match = re.fullmatch(pattern, path)
            if match and verb == method:
                return name, match.groups()
        return None, ()

    def answer(self, name, parts, body, address):
        if name in self.refuse:
            return self.refuse[name], {"error": "refused"}
        return getattr(self, f"on_{name}")(*parts, body=body, address=address)

    def on_create(self, *, body, address):
        wanted = json.loads(body)
        self.created.append(wanted)
        status, self.exists = (409 if self.exists else 200), True
        return status, {"url": f"{address}/spaces/{wanted['organization']}/{wanted['name']}"}

    def on_info(self, repo, *, body, address):
        return 200, {"id": repo, "sha": self.sha(), "siblings": []}

    on_head = on_info

    def on_tree(self, repo, *, body, address):
        return 200, [
            {"type": "file", "path": path, "size": len(content), "oid": "0" * 40}
            for path, content in self.files.items()
        ]

    def on_validate(self, *, body, address):
        assert json.loads(body)["repoType"] == "space"
        return 200, {"errors": [], "warnings": []}

    def on_preupload(self, repo, *, body, address):
        def about(file):
            large = file["size"] > LARGE
            content = self.files.get(file["path"])
            if content is None:
                oid = None
            elif large:
                oid = hashlib.sha256(content).hexdigest()
            else:
                oid = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            mode = "lfs" if large else "regular"
            return {"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid}

        return 200, {"files": [about(file) for file in json.loads(body)["files"]]}

    def on_batch(self, repo, *, body, address):
        def actions(item):
            oid, size = item["oid"], item["size"]
            verify = {"href": f"{address}/verify"}
            if size <= PART:
                return {"upload": {"href": f"{address}/large/{oid}/1"}, "verify": verify}
            parts = {str(n + 1): f"{address}/large/{oid}/{n + 1}" for n in range(-(-size // PART))}
            header = {"chunk_size": str(PART), **parts}
            upload = {"href": f"{address}/complete/{oid}", "header": header}
            return {"upload": upload, "verify": verify}

        objects = json.loads(body)["objects"]
        return 200, {"objects": [{**item, "actions": actions(item)} for item in objects]}

    def on_put(self, oid, part, *, body, address):
        self.large.setdefault(oid, {})[int(part)] = body
        return 200, {}

    def on_complete(self, oid, *, body, address):
        assert [part["partNumber"] for part in json.loads(body)["parts"]] == sorted(self.large[oid])
        return 200, {}

    def content(self, oid):
        return b"".join(part for _, part in sorted(self.large[oid].items()))

    def on_verify(self, *, body, address):
        item = json.loads(body)
        content = self.content(item["oid"])
        right = hashlib.sha256(content).hexdigest() == item["oid"] and len(content) == item["size"]
        return (200 if right else 422), {}

    def on_commit(self, repo, *, body, address):
        lines = [json.loads(line) for line in body.splitlines()]
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                self.files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                self.files[value["path"]] = self.content(value["oid"])
            elif line["key"] == "deletedFile":
                del self.files[value["path"]]
            else:
                assert line["key"] == "header"
        self.commits.append(lines)
        return 200, {
            "commitUrl": f"{address}/spaces/{repo}/commit/{self.sha()}",
            "commitOid": self.sha(),
        }

    def sha(self):
        return f"{len(self.commits):040x}"


@contextmanager
def serving(hub):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments):
            pass

        def answer(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            name, parts = hub.route(self.command, self.path.split("?")[0])
            hub.asked.append(name)
            if name is None:
                status, said = 404, {"error": f"no route {self.command} {self.path}"}
            elif (
                name not in ("put", "complete")
                and self.headers.get("Authorization") != f"Bearer {TOKEN}"
            ):
                status, said = 401, {"error": "Invalid credentials"}
            else:
                address = f"http://{self.headers['Host']}"
                status, said = hub.answer(name, parts, body, address)
            content = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("ETag", '"part"')
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = answer

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def files(tmp_path):
    folder = tmp_path / "files"
    contents = {
        "app.py": b"print('hello')\n",
        "core/empty.py": b"",
        "checkpoints/one.safetensors": os.urandom(LARGE + 1),
        "checkpoints/many parts.safetensors": os.urandom(2 * PART + 5),
    }
    for path, content in contents.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


def environment(address, home, token=TOKEN):
    """For a process with the real client, whose address is read at import."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "ATELIER_"))}
    about = {"HF_ENDPOINT": address, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1"}
    return kept | about | ({"HF_TOKEN": token} if token else {})


def run(command, address, home, token=TOKEN):
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=environment(address, home, token),
        capture_output=True,
        text=True,
        timeout=120,
    )


def upload(folder, address, *, repo="user/name", private="no", token=TOKEN):
    done = run(["-c", UPLOAD, str(folder), repo, private], address, folder.parent / "home", token)
    assert done.returncode == 0, done.stderr
    return done.stdout


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    } | {"README.md": "---\nsdk: docker\n---\né".encode()}


def test_what_arrives_is_what_was_sent(files):
    hub = Hub()
    with serving(hub) as address:
        said = json.loads(upload(files, address))
    assert hub.files == contents(files)
    assert len(hub.commits) == 1
    assert said["address"] == f"{address}/spaces/user/name/commit/{1:040x}"
    assert [line["value"]["summary"] for line in hub.commits[0][:1]] == ["a message"]


def test_large_files_go_apart_and_small_ones_in_the_commit(files):
    hub = Hub()
    with serving(hub) as address:
        upload(files, address)
    apart = {line["value"]["path"] for line in hub.commits[0] if line["key"] == "lfsFile"}
    assert apart == {"checkpoints/one.safetensors", "checkpoints/many parts.safetensors"}
    assert sorted(len(parts) for parts in hub.large.values()) == [1, 3]


def test_progress_ends_at_the_bytes_of_all_files(files):
    hub = Hub()
    with serving(hub) as address:
        steps = json.loads(upload(files, address))["steps"]
    total = sum(len(content) for content in contents(files).values())
    assert steps[-1] == [total, total]
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)
    assert [2 * PART + 5, total] in steps


def test_files_that_are_no_longer_there_go(files):
    held = {"old.py": b"old", ".gitattributes": b"*.bin filter=lfs", "app.py": b"old"}
    hub = Hub(exists=True, held=held)
    with serving(hub) as address:
        upload(files, address)
    assert hub.files == contents(files) | {".gitattributes": b"*.bin filter=lfs"}
    assert len(hub.commits) == 1


def test_the_same_files_again_make_no_commit(files):
    hub = Hub()
    with serving(hub) as address:
        first = json.loads(upload(files, address))
        again = json.loads(upload(files, address))
    assert len(hub.commits) == 1
    assert again["address"] == first["address"]


@pytest.mark.parametrize(("private", "visibility"), [("yes", "private"), ("no", None)])
def test_the_space_is_made_for_docker(files, private, visibility):
    hub = Hub()
    with serving(hub) as address:
        upload(files, address, private=private)
    [created] = hub.created
    assert (created["type"], created["sdk"]) == ("space", "docker")
    assert (created["organization"], created["name"]) == ("user", "name")
    assert created.get("visibility") == visibility


@pytest.mark.parametrize(
    ("where", "status", "code"),
    [
        ("create", 401, "hub-login"),
        ("create", 402, "hub-paid"),
        ("create", 403, "hub-forbidden-to-write"),
        ("preupload", 403, "hub-forbidden-to-write"),
        ("put", 403, "hub-forbidden-to-write"),
        ("put", 418, "hub-answer"),
        ("commit", 403, "hub-forbidden-to-write"),
    ],
)
def test_a_refusal_is_told_and_leaves_the_space_as_it_was(files, where, status, code):
    refuse = {where: status} | ({"info": status} if where == "create" else {})
    hub = Hub(held={"app.py": b"old"}, refuse=refuse)
    with serving(hub) as address:
        said = upload(files, address)
    assert said.startswith(f"{code} | ")
    assert "user/name" in said
    assert hub.files == {"app.py": b"old"}


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not in a git repository")
def test_the_command_sends_the_repository(tmp_path):
    hub = Hub()
    with serving(hub) as address:
        done = run(["-m", "train", "space", "--repo", "user/name", "--private"], address, tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"{address}/spaces/user/name\n" in done.stdout
    assert hub.created[0]["visibility"] == "private"
    listed = subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).splitlines()
    sent = {path: content for path, content in hub.files.items() if path != "README.md"}
    assert sent == {path: (ROOT / path).read_bytes() for path in sent}
    assert set(hub.files) < set(listed)
    assert {"Dockerfile", "app.py", "checkpoints/vae-svhn/model.safetensors"} < set(sent)
    assert hub.files["README.md"].endswith((ROOT / "README.md").read_bytes())


def test_without_a_token_nothing_is_asked(files):
    hub = Hub()
    with serving(hub) as address:
        assert upload(files, address, token=None).startswith("hub-login | ")
    assert hub.asked == []


def test_an_expired_token_is_told(files):
    with serving(Hub()) as address:
        assert upload(files, address, token="hf_old").startswith("hub-login | ")


def test_a_hub_that_is_down_is_told(files):
    with serving(Hub()) as address:
        pass
    assert upload(files, address).startswith("hub-not-reached | ")


@pytest.mark.parametrize("repo", ["name", "a/b/c", "user/.name"])
def test_a_name_that_is_none_is_told(files, repo):
    with serving(Hub()) as address:
        assert upload(files, address, repo=repo).startswith("hub-name | ")

"""A small server with the Hub's routes, for the real client: repositories, large files, faults."""

import base64
import hashlib
import json
import re
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

WRITER, READER = "hf_writer", "hf_reader"
LARGE = (".safetensors", ".jpg")
"""Kept as large files, which the Hub knows by their sha256."""
PART = 2**20
"""Bytes: larger contents are uploaded in parts of this size."""


class Repository:
    """Commits of a repository, the newest last: each its name and its files."""

    def __init__(self):
        self.commits = []
        self.commit({})

    def commit(self, files):
        name = secrets.token_hex(20)
        self.commits.append((name, dict(files)))
        return name

    def at(self, revision):
        """The commit of a branch (``main``) or of a name; None where there is none."""
        if revision == "main":
            return self.commits[-1]
        return next((one for one in self.commits if one[0] == revision), None)


def blob(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def entity(name, content):
    return hashlib.sha256(content).hexdigest() if name.endswith(LARGE) else blob(content)


class Hub:
    """The server. ``fault(method, path)`` may answer with a status, or with what to do:
    ``cut`` (half of the content, then the connection ends), ``garble`` (as many other bytes),
    ``shorten`` (half of the content, said to be all), ``slow`` (a pause before the answer), ``hang up`` (no
    answer), ``portal`` (a page of HTML, as the network of a hotel has it), ``half`` (half an answer in JSON).
    """

    def __init__(self):
        self.forget()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def forget(self):
        """As it was at its beginning: no repositories, no faults, nothing seen."""
        self.repositories, self.stored, self.parts = {}, {}, {}
        self.seen, self.ranges, self.created, self.summaries = [], [], [], []
        self.fault = lambda method, path: None

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server.server_port}"

    def page(self, kind, repo):
        return f"{self.address}/{'spaces/' if kind == 'spaces' else ''}{repo}"

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def put(self, repo, files, kind="models"):
        """A commit that holds ``files``, and no others; ``kind``: also ``datasets``, ``spaces``."""
        return self.repositories.setdefault((kind, repo), Repository()).commit(files)

    def files(self, repo, kind="models"):
        return self.repositories[kind, repo].at("main")[1]

    def commits(self, repo, kind="models"):
        return len(self.repositories[kind, repo].commits) - 1

    def downloads(self, name=""):
        return [p for m, p in self.seen if m == "GET" and "/resolve/" in p and p.endswith(name)]

    def handler(self):
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Or each answer waits 40 ms for the client to have its head.
            disable_nagle_algorithm = True

            def log_message(self, *arguments):
                pass

            def do_GET(self):
                hub.answer(self, self.command)

            do_HEAD = do_POST = do_PUT = do_GET

        return Handler

    # ------------------------------------------------------------ answers

    def answer(self, to, method):
        path = unquote(urlsplit(to.path).path)
        body = to.rfile.read(int(to.headers.get("Content-Length", 0)))
        self.seen.append((method, path))
        fault = self.fault(method, path)
        if fault == "slow":
            time.sleep(2)
        if isinstance(fault, int):
            return send(to, fault, b"")
        if fault == "hang up":
            to.close_connection = True
            return None
        if fault == "portal":
            return send(to, 200, b"<title>Welcome</title>", {"Content-Type": "text/html"})
        if fault == "half":
            return send(to, 200, b'{"id": "us', {"Content-Type": "application/json"})
        writing = method in ("POST", "PUT") and "/verify" not in path
        token = to.headers.get("Authorization", "").removeprefix("Bearer ")
        if writing and not path.startswith(("/store/", "/complete/")):
            if token not in (WRITER, READER):
                return send(to, 401, b"")
            if token == READER:
                return send(to, 403, b"")
        for pattern, route in ROUTES:
            match = re.fullmatch(pattern, f"{method} {path}")
            if match:
                return route(self, to, body, fault, **match.groupdict())
        return missing(to, "Entry")

    def found(self, kind, repo, revision):
        held = self.repositories.get((kind, repo))
        return held.at(revision) if held else None

    def info(self, to, body, fault, kind, repo, revision="main"):
        commit = self.found(kind, repo, revision)
        if commit is None:
            known = (kind, repo) in self.repositories
            return missing(to, "Revision" if known else "Repo")
        siblings = []
        for file, content in commit[1].items():
            size = len(content)
            siblings.append({"rfilename": file, "size": size, "blobId": blob(content)})
            if file.endswith(LARGE):
                lfs = {"sha256": entity(file, content), "size": size, "pointerSize": 1}
                siblings[-1]["lfs"] = lfs
        return send_json(to, {"id": repo, "sha": commit[0], "siblings": siblings, "tags": []})

    def tree(self, to, body, fault, kind, repo, revision):
        commit = self.found(kind, repo, revision)
        if commit is None:
            return missing(to, "Repo")
        rows = [
            {"type": "file", "path": file, "size": len(content), "oid": blob(content)}
            for file, content in commit[1].items()
        ]
        return send_json(to, rows)

    def resolve(self, to, body, fault, repo, revision, file, kind=None):
        commit = self.found(kind or "models", repo, revision)
        if commit is None or file not in commit[1]:
            return missing(to, "Entry")
        content = commit[1][file]
        headers = {"ETag": f'"{entity(file, content)}"', "X-Repo-Commit": commit[0]}
        if fault == "garble":
            content = bytes(len(content))
        if fault == "shorten":
            content = content[: len(content) // 2]
        asked = re.match(r"bytes=(\d+)-", to.headers.get("Range", ""))
        start = int(asked[1]) if asked else 0
        if start:
            self.ranges.append(start)
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        return send(to, 206 if start else 200, content[start:], headers, cut=fault == "cut")

    def create(self, to, body, fault):
        wanted = json.loads(body)
        self.created.append(wanted)
        kind = {"model": "models", "space": "spaces"}[wanted.get("type") or "model"]
        repo = f"{wanted.get('organization') or 'user'}/{wanted['name']}"
        url = {"url": self.page(kind, repo)}
        if (kind, repo) in self.repositories:
            return send_json(to, url, 409)
        self.repositories[kind, repo] = Repository()
        return send_json(to, url)

    def preupload(self, to, body, fault, kind, repo, revision):
        commit = self.found(kind, repo, revision)
        if commit is None:
            return missing(to, "Repo")
        files = [
            {
                "path": path,
                "uploadMode": "lfs" if path.endswith(LARGE) else "regular",
                "shouldIgnore": False,
                "oid": entity(path, commit[1][path]) if path in commit[1] else None,
            }
            for path in (file["path"] for file in json.loads(body)["files"])
        ]
        return send_json(to, {"files": files})

    def batch(self, to, body, fault, **repo):
        objects = json.loads(body)["objects"]
        return send_json(to, {"objects": [one | self.actions(**one) for one in objects]})

    def actions(self, oid, size):
        """Where a content goes to; nowhere where it is already."""
        if oid in self.stored:
            return {}
        store = f"{self.address}/store/{oid}"
        if size <= PART:
            upload = {"href": f"{store}/1"}
        else:
            parts = {str(n + 1): f"{store}/{n + 1}" for n in range(-(-size // PART))}
            header = {"chunk_size": str(PART), **parts}
            upload = {"href": f"{self.address}/complete/{oid}", "header": header}
        return {"actions": {"upload": upload, "verify": {"href": f"{self.address}/verify"}}}

    def store(self, to, body, fault, oid, part):
        self.parts.setdefault(oid, {})[int(part)] = body
        return send(to, 200, b"", {"ETag": '"part"'})

    def complete(self, to, body, fault, oid):
        numbers = [part["partNumber"] for part in json.loads(body)["parts"]]
        return send_json(to, {}, 200 if numbers == sorted(self.parts[oid]) else 422)

    def verify(self, to, body, fault):
        oid, size = (json.loads(body)[key] for key in ("oid", "size"))
        content = b"".join(part for _number, part in sorted(self.parts[oid].items()))
        if hashlib.sha256(content).hexdigest() != oid or len(content) != size:
            return send(to, 422, b"")
        self.stored[oid] = content
        return send_json(to, {})

    def commit(self, to, body, fault, kind, repo, revision):
        held = self.repositories.get((kind, repo))
        if held is None:
            return missing(to, "Repo")
        files = dict(held.at("main")[1])
        for line in body.decode().splitlines():
            step = json.loads(line)
            value = step["value"]
            if step["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif step["key"] == "lfsFile":
                files[value["path"]] = self.stored[value["oid"]]
            elif step["key"] == "deletedFile":
                del files[value["path"]]
            else:
                self.summaries.append(value["summary"])
        name = held.commit(files)
        url = f"{self.page(kind, repo)}/commit/{name}"
        return send_json(to, {"success": True, "commitOid": name, "commitUrl": url})

    def validate(self, to, body, fault):
        return send_json(to, {"errors": [], "warnings": []})


REPO, REVISION = r"(?P<repo>[\w.-]+/[\w.-]+)", r"(?P<revision>[\w.-]+)"
KIND = r"(?P<kind>models|spaces)"
ROUTES = (
    (r"POST /api/validate-yaml", Hub.validate),
    (rf"GET /api/{KIND}/{REPO}", Hub.info),
    (rf"GET /api/{KIND}/{REPO}/revision/{REVISION}", Hub.info),
    (rf"GET /api/{KIND}/{REPO}/tree/{REVISION}", Hub.tree),
    (r"POST /api/repos/create", Hub.create),
    (rf"POST /api/{KIND}/{REPO}/preupload/{REVISION}", Hub.preupload),
    (rf"POST /api/{KIND}/{REPO}/commit/{REVISION}", Hub.commit),
    (rf"POST /(spaces/)?{REPO}.git/info/lfs/objects/batch", Hub.batch),
    (r"PUT /store/(?P<oid>\w+)/(?P<part>\d+)", Hub.store),
    (r"POST /complete/(?P<oid>\w+)", Hub.complete),
    (r"POST /verify", Hub.verify),
    (rf"(GET|HEAD) /((?P<kind>datasets)/)?{REPO}/resolve/{REVISION}/(?P<file>.+)", Hub.resolve),
)


def missing(to, what):
    return send(to, 404, b"", {"X-Error-Code": f"{what}NotFound"})


def send_json(to, value, status=200):
    return send(to, status, json.dumps(value).encode(), {"Content-Type": "application/json"})


def send(to, status, content, headers=None, *, cut=False):
    to.send_response(status)
    for name, value in (headers or {}).items():
        to.send_header(name, value)
    to.send_header("Content-Length", str(len(content)))
    to.end_headers()
    if to.command == "HEAD":
        return
    to.wfile.write(content[: len(content) // 2] if cut else content)
    if cut:
        to.wfile.flush()
        to.close_connection = True

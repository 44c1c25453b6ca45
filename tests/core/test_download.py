"""Downloads through the real client from a small server with the Hub's routes."""

import hashlib
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
COMMIT = "0123456789abcdef0123456789abcdef01234567"
RESOLVE = re.compile(r"^/datasets/([\w.-]+/[\w.-]+)/resolve/[^/]+/(.+)$")
TEST_SPLIT = ("ufldl-stanford/svhn", "cropped_digits/test-00000-of-00001.parquet")
CONTENT = bytes(range(256)) * 100_000

DOWNLOAD = """
from core import data
from core.errors import AtelierError
seen = []
try:
    [file] = data.download_split("svhn", "test", lambda *step: seen.append(step))
    print("bytes", file.stat().st_size, "steps", len(seen), "last", *(seen[-1] if seen else ()))
    print("found", data.find_split("svhn", "test") == [file])
except AtelierError as error:
    print(error.code, "|", error)
"""


@contextmanager
def hub(files, *, status=None, drop_once_after=None):
    """Serves ``{(repo, name): bytes}``; ``status`` answers everything with that code, and
    ``drop_once_after`` cuts the first download after so many bytes. Yields address and requests.
    """
    seen, dropped = [], []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments):
            pass

        def do_HEAD(self):
            self.answer(body=False)

        def do_GET(self):
            self.answer(body=True)

        def answer(self, body):
            path = self.path.split("?")[0]
            seen.append((self.command, path, self.headers.get("Range")))
            match = RESOLVE.match(path)
            content = files.get((match[1], match[2])) if match else None
            if status is not None:
                self.send(status, b"", {}, body)
            elif content is None:
                self.send(404, b"", {"X-Error-Code": "EntryNotFound"}, body)
            else:
                etag = hashlib.sha256(content).hexdigest()
                self.send(200, content, {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT}, body)

        def send(self, code, content, headers, body):
            asked = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
            start = int(asked[1]) if asked and code == 200 else 0
            if start:
                code = 206
                headers |= {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
            self.send_response(code)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            if not body:
                return
            cut = drop_once_after is not None and content and not dropped
            self.wfile.write(content[start : drop_once_after if cut else None])
            if cut:
                dropped.append(True)
                self.close_connection = True

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        server.server_close()


def download(address, home):
    """What a fresh process says; it has the real client, whose address is read at import."""
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("HF_", "ATELIER_"))
    }
    environment |= {"HF_ENDPOINT": address, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1"}
    done = subprocess.run(
        [sys.executable, "-c", DOWNLOAD],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_split_is_downloaded_with_progress_and_found_again(tmp_path):
    with hub({TEST_SPLIT: CONTENT}) as (address, seen):
        said = download(address, tmp_path)
        assert f"bytes {len(CONTENT)}" in said
        assert f"last {len(CONTENT)} {len(CONTENT)}" in said
        assert "found True" in said
        downloads = [path for method, path, _ in seen if method == "GET" and "resolve" in path]
        download(address, tmp_path)
        again = [path for method, path, _ in seen if method == "GET" and "resolve" in path]
        assert len(downloads) == len(again) == 1


def test_a_cut_connection_is_taken_up_where_it_broke(tmp_path):
    with hub({TEST_SPLIT: CONTENT}, drop_once_after=12_000_000) as (address, seen):
        assert f"bytes {len(CONTENT)}" in download(address, tmp_path)
        assert any(asked and asked != "bytes=0-" for _, _, asked in seen)


def test_a_file_that_the_hub_lacks_is_named(tmp_path):
    with hub({}) as (address, _):
        assert download(address, tmp_path).startswith("hub-not-found | ")


@pytest.mark.parametrize("status", [403, 404])
def test_an_answer_that_is_no_file_is_told(tmp_path, status):
    with hub({}, status=status) as (address, _):
        said = download(address, tmp_path)
        assert said.startswith("hub-answer | ")
        assert str(status) in said


@pytest.mark.slow  # the client asks six times, waiting longer each time
def test_a_server_that_is_not_there_is_told(tmp_path):
    with hub({}) as (address, _):
        pass
    assert download(address, tmp_path).startswith("hub-unreachable | ")

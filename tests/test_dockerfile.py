"""The Dockerfile without a container engine: its context, its steps, and the app that they leave.

``pip`` resolves against what is installed and installs nothing, ``useradd`` is left out, and the home of
the image is a folder of the test.
"""

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect

exclude_paths = pytest.importorskip("docker.utils", reason="tests/requirements.txt").exclude_paths

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
IGNORED = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
PARTS = ("app.py", "requirements.txt", ".streamlit/config.toml")
ROOMS = ("checkpoints", "core", "pages", "train")
SHELL = f"""
useradd() {{ :; }}
python() {{ {sys.executable} "$@"; }}
pip() {{ echo pip "$@"; python -m pip "$@" --dry-run --no-deps --no-index --quiet; }}
"""


def instructions(text):
    """(instruction, arguments) in order; a line that ends in a backslash goes on."""
    text = re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    return [(line.split()[0], line.partition(" ")[2].strip()) for line in text.splitlines() if line]


def files_below(folder):
    found = (file.relative_to(folder) for file in folder.rglob("*") if file.is_file())
    return {file.as_posix() for file in found if "__pycache__" not in file.parts}


def build(root, dockerfile=DOCKERFILE, ignored=IGNORED, **arguments):
    """What the steps leave: ``folder``, ``env``, ``printed``, ``command``, ``health``; fails as a step does."""
    rules = [line for line in ignored if line and not line.startswith("#")]
    context = {path for path in exclude_paths(ROOT, rules) if (ROOT / path).is_file()}
    image = SimpleNamespace(folder=root, env={}, printed="")
    for word, rest in instructions(dockerfile):
        if word == "ARG":
            name, _, default = rest.partition("=")
            image.env[name] = arguments.get(name, default.strip('"'))
        elif word == "ENV":
            values = dict(part.split("=", 1) for part in shlex.split(rest))
            home = str(root / "home")
            image.env |= {k: re.sub("^/home", home, value) for k, value in values.items()}
        elif word == "WORKDIR":
            image.folder = root / rest.lstrip("/")
            image.folder.mkdir(parents=True)
        elif word == "COPY":
            source, target = rest.split()
            sent = [path for path in context if f"{path}/".startswith(f"{source}/")]
            assert sent, f"COPY {rest}: not in the context"
            for path in sent:
                place = image.folder / target / Path(path).relative_to(source)
                place = image.folder / path if target == "./" else place
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / path, place)
        elif word == "RUN":
            done = run(image, ["/bin/sh", "-ec", SHELL + rest])
            assert done.returncode == 0, f"RUN {rest}: {done.stdout}"
            image.printed += done.stdout
        elif word == "CMD":
            image.command = json.loads(rest)
        elif word == "HEALTHCHECK":
            image.health = SHELL + rest.partition("CMD ")[2]
    return image


def surroundings(image, **more):
    scripts = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {"PATH": scripts, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"} | image.env | more


def run(image, command, **more):
    out = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.run(command, cwd=image.folder, env=surroundings(image, **more), **out)


def visit(port, page):
    """What a browser is sent of a page: kinds of elements, and their words."""
    address = f"ws://127.0.0.1:{port}/_stcore/stream"
    with connect(address, subprotocols=["streamlit"], max_size=None) as socket_:
        ask = BackMsg()
        ask.rerun_script.page_name = page
        socket_.send(ask.SerializeToString())
        sent = [ForwardMsg()]
        while sent[-1].WhichOneof("type") != "script_finished":
            sent.append(ForwardMsg.FromString(socket_.recv(timeout=60)))
    elements = [m.delta.new_element for m in sent if m.WhichOneof("type") == "delta"]
    return {element.WhichOneof("type") for element in elements}, "".join(map(str, elements))


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    return build(tmp_path_factory.mktemp("image"))


def test_the_image_has_every_file_of_the_app_and_no_other(image):
    of_the_app = {f"{room}/{file}" for room in ROOMS for file in files_below(ROOT / room)}
    assert files_below(image.folder) == of_the_app | set(PARTS)
    assert all(any((image.folder / room).rglob("*.pyc")) for room in ("core", "pages", "train"))


def test_the_app_of_the_image_serves_and_changes_none_of_its_files(image):
    assert "/_stcore/health'" in image.health  # any other address answers 200 too, with the page
    before = {(path, path.stat().st_mtime_ns) for path in image.folder.rglob("*")}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    at = {"STREAMLIT_SERVER_PORT": port}
    serving = subprocess.Popen(
        image.command, cwd=image.folder, env=surroundings(image, **at), stdout=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 60
        while run(image, ["/bin/sh", "-c", image.health], **at).returncode:
            assert serving.poll() is None
            assert time.monotonic() < deadline
        for page, title in (("", "Latent Atelier"), ("checkpoints", "Checkpoints")):
            kinds, words = visit(port, page)
            assert not {"exception", "alert"} & kinds, words
            assert f'"{title}"' in words
    finally:
        serving.terminate()
        serving.wait(timeout=30)
    assert run(image, ["/bin/sh", "-c", image.health], **at).returncode
    assert {(path, path.stat().st_mtime_ns) for path in image.folder.rglob("*")} == before


def test_an_upload_needs_no_token_in_the_image_alone(image):
    shown = ["streamlit", "config", "show"]
    assert "\nenableXsrfProtection = false" in run(image, shown).stdout
    elsewhere = SimpleNamespace(folder=image.folder, env={})
    assert "\nenableXsrfProtection = false" not in run(elsewhere, shown).stdout


def test_a_package_index_serves_torch_alone_and_only_where_one_is_named(image, tmp_path):
    assert "--index-url" not in image.printed
    named = build(tmp_path, TORCH_INDEX="https://index.test/cpu")
    (line,) = [line for line in named.printed.splitlines() if "--index-url" in line]
    assert "--index-url https://index.test/cpu" in line
    assert line.endswith("torch torchvision")


def test_data_sets_are_asked_of_the_hub(tmp_path):
    with pytest.raises(AssertionError, match="could not be reached"):
        build(tmp_path, DATA="svhn cifar10")


def test_the_python_is_one_of_the_project_and_the_user_is_not_root():
    steps = instructions(DOCKERFILE)
    version = re.fullmatch(r"python:3\.(\d+)-slim", steps[0][1])[1]
    lowest = re.search(r'requires-python = ">=3\.(\d+)"', (ROOT / "pyproject.toml").read_text())[1]
    assert int(version) >= int(lowest)
    words = [word for word, _rest in steps]
    assert "--uid 1000 user" in steps[words.index("RUN")][1]  # a Space runs it as 1000
    assert steps[words.index("USER")] == ("USER", "user")
    assert words.index("USER") > max(n for n, word in enumerate(words) if word == "COPY")
    assert "OMP_NUM_THREADS" not in "".join(rest for word, rest in steps if word in ("ENV", "ARG"))

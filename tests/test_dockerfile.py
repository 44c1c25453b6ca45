"""The Dockerfile, step by step, without a container engine: what it copies is all that the app has.

What this proves of it: the context that ``.dockerignore`` leaves, every COPY, every RUN by a shell
(``pip`` resolves against what is installed and installs nothing, ``useradd`` is left out), and the
CMD with the ENV, from the copied folder, by a process that may not write there.
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
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pages.shared.text import in_language

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
IGNORED = (ROOT / ".dockerignore").read_text(encoding="utf-8")
CONTINUED = re.compile(r"\\\n(?:\s*#[^\n]*\n)*")
PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)


# ---------------------------------------------------------------- reading it


def instructions(text):
    """(instruction, arguments) in order; a line that ends in a backslash goes on."""
    for line in CONTINUED.sub(" ", text).splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            word, _, rest = line.strip().partition(" ")
            yield word, rest.strip()


def given(name):
    return [rest for word, rest in instructions(DOCKERFILE) if word == name]


def pattern(line):
    """A line of ``.dockerignore`` as a regular expression: ``**`` any folders, ``*`` within one."""
    line = line.strip("/").replace("**/", "\0").replace("**", "\1")
    parts = {"\0": "(?:.*/)?", "\1": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(parts.get(sign, re.escape(sign)) for sign in line))


def ignores(text):
    """Whether a path stays out of the context: the last line that matches it or a parent decides."""
    lines = [line.strip() for line in text.splitlines()]
    rules = [
        (pattern(line.removeprefix("!")), not line.startswith("!"))
        for line in lines
        if line and not line.startswith("#")
    ]

    def ignored(path):
        parts = path.split("/")
        names = ["/".join(parts[: count + 1]) for count in range(len(parts))]
        out = False
        for rule, excludes in rules:
            if any(rule.fullmatch(name) for name in names):
                out = excludes
        return out

    return ignored


def files_of(folder):
    """Files below a folder that a clean checkout of it would have."""
    left_out = {".git", ".venv", "venv", "runs", ".data", ".pytest_cache", ".ruff_cache"}
    for top, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in left_out]
        for name in names:
            yield (Path(top) / name).relative_to(folder).as_posix()


# ---------------------------------------------------------------- building it


@dataclass
class Image:
    """What the steps made so far, below ``root``: folders of the image are folders of it."""

    root: Path
    environment: dict = field(default_factory=dict)
    arguments: dict = field(default_factory=dict)
    workdir: str = "/"
    ran: list = field(default_factory=list)
    command: list = field(default_factory=list)
    health: str = ""

    @property
    def folder(self):
        return self.inside(self.workdir)

    def inside(self, path):
        return self.root / path.lstrip("/")

    def variables(self):
        """ENV as a process here needs it: the home of the image is a folder below ``root``."""
        moved = {
            name: str(self.inside(value)) if value.startswith("/home/") else value
            for name, value in self.environment.items()
        }
        scripts = Path(sys.executable).parent  # those of the interpreter of the tests
        return {"PATH": f"{self.root}/bin:{scripts}:{os.environ['PATH']}"} | moved


class StepFailed(AssertionError):
    pass


def build(root, ignore=IGNORED, dockerfile=DOCKERFILE, context=ROOT, **arguments):
    """Carries out every step; raises ``StepFailed`` where one would stop a real build."""
    image = Image(root)
    put_shims(image)
    ignored = ignores(ignore)
    there = [path for path in files_of(context) if not ignored(path)]
    steps = {"ARG": set_argument, "ENV": set_variables, "WORKDIR": change_folder, "RUN": run_step}
    for word, rest in instructions(dockerfile):
        if word == "COPY":
            copy(image, rest, context, there)
        elif word == "ARG":
            set_argument(image, rest, arguments)
        elif word in steps:
            steps[word](image, rest)
        elif word == "CMD":
            image.command = json.loads(rest)
        elif word == "HEALTHCHECK":
            image.health = rest.partition("CMD ")[2]
        else:
            assert word in ("FROM", "USER", "EXPOSE"), f"no step for {word}"
    return image


def put_shims(image):
    """What may not happen here: ``pip`` only says what it would install, nobody is added."""
    shims = image.root / "bin"
    shims.mkdir(parents=True)
    pip = f'exec {sys.executable} -m pip "$@" --dry-run --no-deps --no-index --quiet'
    scripts = {"pip": pip, "useradd": "exit 0", "python": f'exec {sys.executable} "$@"'}
    for name, script in scripts.items():
        (shims / name).write_text(f'#!/bin/sh\necho {name} "$@" >> {image.root}/said\n{script}\n')
        (shims / name).chmod(0o755)


def set_argument(image, rest, arguments):
    name, _, default = rest.partition("=")
    image.arguments[name] = arguments.get(name, default.strip('"'))


def set_variables(image, rest):
    image.environment |= dict(part.split("=", 1) for part in shlex.split(rest))


def change_folder(image, rest):
    image.workdir = rest
    image.folder.mkdir(parents=True, exist_ok=True)


def copy(image, rest, context, there):
    *sources, target = rest.split()
    for source in sources:
        if (context / source).is_dir():
            found = [path for path in there if path.startswith(f"{source}/")]
            places = {path: f"{target}/{path.removeprefix(f'{source}/')}" for path in found}
        else:
            found = [path for path in there if path == source]
            places = {path: f"{target}/{Path(path).name}" for path in found}
        if not found:
            raise StepFailed(f"COPY {rest}: {source} is not in the context")
        for path, place in places.items():
            (image.folder / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(context / path, image.folder / place)


def run_step(image, rest):
    done = subprocess.run(
        ["/bin/sh", "-ec", rest],
        cwd=image.folder,
        env=image.variables() | image.arguments | {"HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise StepFailed(f"RUN {rest}: {done.stderr}")
    image.ran.append(rest)


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    root = tmp_path_factory.mktemp("image")
    yield build(root)
    for path in root.rglob("*"):  # what was locked can be removed again
        if path.is_dir():
            path.chmod(0o755)


# ---------------------------------------------------------------- running it


NO_POWERS = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
"""Before a command: root, but with no right to write what belongs to others."""


def lock(folder):
    """Makes a folder read-only for the commands that follow; what has to stand before them.

    User 1000 of the image may not be able to enter the interpreter of the tests. Root itself without
    its powers stands for it: the folder belongs to another user.
    """
    if os.geteuid() != 0:
        for path in [folder, *folder.rglob("*")]:
            path.chmod(path.stat().st_mode & ~0o222)
        return []
    if not shutil.which("setpriv") or subprocess.run([*NO_POWERS, "true"]).returncode:
        pytest.skip("root cannot give up its powers here")
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, 65534, 65534)
    return NO_POWERS


class Container:
    """The CMD of an image, on a free port; stopped at the end."""

    def __init__(self, image, **variables):
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self.port = listener.getsockname()[1]
        self.image, self.url = image, f"http://127.0.0.1:{self.port}"
        port = {"STREAMLIT_SERVER_PORT": str(self.port)}
        # One thread: the tests share their cores.
        self.variables = image.variables() | port | {"OMP_NUM_THREADS": "1"} | variables
        self.before = lock(image.folder)
        self.log = image.root / "log"

    def __enter__(self):
        self.process = self.start(self.image.command, stdout=self.log.open("w"))
        deadline = time.monotonic() + 60
        while not self.healthy():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
        return self

    def __exit__(self, *error):
        self.process.terminate()
        self.process.wait(timeout=30)

    def start(self, command, **more):
        return subprocess.Popen(
            [*self.before, *command],
            cwd=self.image.folder,
            env=self.variables,
            stderr=subprocess.STDOUT,
            **more,
        )

    def healthy(self):
        return (
            self.start(["/bin/sh", "-c", self.image.health], stdout=subprocess.DEVNULL).wait() == 0
        )

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=30) as answer:
            return answer.status, answer.read()


def visit(container, page=""):
    """Opens a page as a browser does: its session, and what its script said until it ended.

    A page answers 200 whatever its script does; only the websocket tells.
    """
    from streamlit.proto.BackMsg_pb2 import BackMsg
    from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
    from websockets.sync.client import connect

    address = f"ws://127.0.0.1:{container.port}/_stcore/stream"
    with connect(address, subprotocols=["streamlit"], max_size=None) as socket_:
        ask = BackMsg()
        ask.rerun_script.query_string = "lang=fr"
        ask.rerun_script.page_name = page
        socket_.send(ask.SerializeToString())
        session, said = None, []
        while True:
            message = ForwardMsg.FromString(socket_.recv(timeout=60))
            session = message.new_session.initialize.session_id or session
            said.append(message)
            if message.WhichOneof("type") == "script_finished":
                return session, said, upload(container, session)


def upload(container, session):
    """The answer to a picture that comes without a token, while the session is open."""
    edge = "part"
    head = f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
    request = urllib.request.Request(
        f"{container.url}/_stcore/upload_file/{session}/a-file",
        data=head.encode() + PNG + f"\r\n--{edge}--\r\n".encode(),
        headers={"Content-Type": f"multipart/form-data; boundary={edge}"},
        method="PUT",
    )
    try:
        return urllib.request.urlopen(request, timeout=30).status
    except urllib.error.HTTPError as error:
        return error.code


def words(said):
    """Headings, sentences and errors of a page."""
    elements = [m.delta.new_element for m in said if m.WhichOneof("type") == "delta"]
    kinds = [element.WhichOneof("type") for element in elements]
    texts = [
        getattr(getattr(element, kind), "body", "")
        for element, kind in zip(elements, kinds, strict=True)
        if kind
    ]
    return kinds, texts


# ---------------------------------------------------------------- tests


def absent(image):
    """Files of the app that the image lacks, and those that it has besides."""
    parts = ("core/", "pages/", "train/", "checkpoints/", ".streamlit/config", "app.py", "requirem")
    wanted = {path for path in files_of(ROOT) if path.startswith(parts)}
    return {
        path for path in wanted.symmetric_difference(files_of(image.folder)) if "pyc" not in path
    }


def test_every_file_of_the_app_is_copied_and_no_other(image):
    assert absent(image) == set()


def test_the_image_serves_the_app_and_changes_none_of_its_files(image):
    before = sorted(files_of(image.folder))
    with Container(image) as container:
        assert container.start(["touch", "a-file"], stdout=subprocess.DEVNULL).wait() != 0
        assert container.get("/")[0] == 200
        _, said, answer = visit(container)
        kinds, texts = words(said)
        assert said[-1].script_finished == 0, container.log.read_text()
        assert not {"exception", "alert"} & set(kinds), texts
        assert "Latent Atelier" in texts
        assert in_language("Diffusion model", "fr") in " ".join(texts)
        assert answer == 204
        _, said, _ = visit(container, "checkpoints")
        kinds, texts = words(said)
        assert not {"exception", "alert"} & set(kinds), texts
        assert in_language("Checkpoints", "fr") in texts
        assert "Latent Atelier" not in texts
    assert not container.healthy()
    assert sorted(files_of(image.folder)) == before


def test_elsewhere_an_upload_without_a_token_is_refused(image):
    with Container(image, STREAMLIT_SERVER_ENABLE_XSRF_PROTECTION="true") as container:
        assert visit(container)[2] == 403


@pytest.mark.parametrize("part", ["app.py", "checkpoints", "core", "pages", "requirements.txt"])
def test_a_part_that_is_ignored_stops_the_build(tmp_path, part):
    with pytest.raises(StepFailed, match=part):
        build(tmp_path, f"{IGNORED}\n{part}\n")


def test_a_file_that_is_ignored_is_missed(tmp_path):
    image = build(tmp_path, f"{IGNORED}\n**/*.mo\n")
    assert absent(image) == {"pages/shared/locale/fr/LC_MESSAGES/atelier.mo"}


def test_a_part_that_is_not_copied_is_missed(tmp_path):
    without = DOCKERFILE.replace("COPY checkpoints checkpoints\n", "")
    image = build(tmp_path, dockerfile=without)
    assert {path.split("/")[0] for path in absent(image)} == {"checkpoints"}


def test_a_step_that_fails_stops_the_build(tmp_path):
    """Data sets are asked of the Hub, which is out of reach here."""
    with pytest.raises(StepFailed, match="could not be reached"):
        build(tmp_path, DATA="svhn cifar10")


def test_a_package_index_is_asked_only_where_one_is_named(image, tmp_path):
    named = build(tmp_path, TORCH_INDEX="https://index.test/cpu")
    without, with_index = ((made.root / "said").read_text() for made in (image, named))
    assert "--index-url" not in without
    assert with_index.count("--index-url https://index.test/cpu") == 1
    line = next(line for line in with_index.splitlines() if "index.test" in line)
    assert line.endswith("torch torchvision")


def test_python_of_the_image_is_one_that_the_project_is_for():
    version = re.fullmatch(r"python:(\d+)\.(\d+)-slim", given("FROM")[0]).groups()
    lowest = re.search(r'requires-python = ">=(\d+)\.(\d+)"', (ROOT / "pyproject.toml").read_text())
    assert tuple(map(int, version)) >= tuple(map(int, lowest.groups()))


def test_the_container_is_no_root_and_uses_every_core():
    words_ = [word for word, _ in instructions(DOCKERFILE)]
    assert "--uid 1000 user" in given("RUN")[0]
    assert given("USER") == ["user"]
    assert words_.index("USER") > max(n for n, word in enumerate(words_) if word == "COPY")
    assert "OMP_NUM_THREADS" not in " ".join(given("ENV") + given("RUN") + given("ARG"))


def test_health_is_asked_where_streamlit_tells_it():
    """Any other address answers 200 too, with the page."""
    assert "/_stcore/health'" in given("HEALTHCHECK")[0]


def test_protection_is_off_in_the_image_alone():
    assert "XSRF" in given("ENV")[0]
    assert "xsrf" not in (ROOT / ".streamlit" / "config.toml").read_text().lower()


@pytest.mark.parametrize(
    ("lines", "path", "out"),
    [
        ("*\n!core", "core/a/b.py", False),
        ("*\n!core", "tests/a.py", True),
        ("*\n!core\n**/__pycache__", "core/__pycache__/a.pyc", True),
        ("**/*.pyc", "a.pyc", True),
        ("**/*.pyc", "core/deep/a.pyc", True),
        ("*.pyc", "core/a.pyc", False),
        ("*\n!.streamlit/config.toml", ".streamlit/config.toml", False),
        ("*\n!.streamlit/config.toml", ".streamlit/secrets.toml", True),
        ("# core\n\ncore/", "core/a.py", True),
        ("core", "core2/a.py", False),
        ("!core\n*", "core/a.py", True),
    ],
)
def test_ignored_paths_are_those_of_docker(lines, path, out):
    assert ignores(lines)(path) is out

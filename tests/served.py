"""The app as a process of its own, with folders of its own, for tests that visit it."""

import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from tests.browser.conftest import free_port

ROOT = Path(__file__).parents[1]


class App:
    """The app with a home, a temporary folder and a working folder below ``folder``; ``environment``: what else
    it is told, ``ATELIER_CHECKPOINTS`` and the like."""

    def __init__(self, folder, **environment):
        self.folder, port = folder, free_port()
        self.url, self.log = f"http://127.0.0.1:{port}", folder.with_name("log")
        home, temporary, here = (folder / name for name in ("home", "tmp", "here"))
        for one in (home, temporary, here):
            one.mkdir(parents=True)
        places = {"HOME": home, "TMPDIR": temporary, "HF_HOME": home / "hub"}
        variables = {k: v for k, v in os.environ.items() if not k.startswith("ATELIER_")}
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "streamlit",
                    "run",
                    ROOT / "app.py",
                    "--server.port",
                    str(port),
                ],
                cwd=here,
                env={**variables, **places, "PYTHONDONTWRITEBYTECODE": "1", **environment},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        until = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=1)
                return
            except OSError:
                assert self.process.poll() is None, self.log.read_text()
                assert time.monotonic() < until, self.log.read_text()
                time.sleep(0.1)

    def files(self):
        """What lies in its folders, with the size."""
        found = (file for file in self.folder.rglob("*") if file.is_file())
        return {str(file.relative_to(self.folder)): file.stat().st_size for file in found}

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=30)

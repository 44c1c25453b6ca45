"""The real client of the Hub in a process of its own, since it reads its settings when imported."""

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


class Client:
    """A process that runs snippets, one after the other, against a server that stands for the Hub."""

    def __init__(self, address, home, **settings):
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "ATELIER_"))}
        settings = {
            "HF_ENDPOINT": address,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DOWNLOAD_TIMEOUT": "1",
            **settings,
        }
        self.process = subprocess.Popen(
            [sys.executable, __file__],
            cwd=ROOT,
            env={**kept, "PYTHONPATH": str(ROOT), **settings},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, code, **values):
        """What a snippet printed; raises RuntimeError with the error it ended in."""
        self.process.stdin.write(json.dumps([code, values]) + "\n")
        self.process.stdin.flush()
        printed, error = json.loads(self.process.stdout.readline())
        if error:
            raise RuntimeError(error)
        return printed

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=30)
        self.process.stdout.close()


def serve():
    answers = sys.stdout
    for line in sys.stdin:
        code, values = json.loads(line)
        printed, error = io.StringIO(), ""
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            try:
                exec(code, {"__name__": "snippet", **values})
            except BaseException as failure:
                error = f"{getattr(failure, 'code', type(failure).__name__)} | {failure}"
        answers.write(json.dumps([printed.getvalue(), error]) + "\n")
        answers.flush()


if __name__ == "__main__":
    serve()

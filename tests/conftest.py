# ruff: noqa: E402
"""Small data of our own, a small trained bundle, and no network for anyone."""

import os
import tempfile
from pathlib import Path

HUB_HOME = tempfile.TemporaryDirectory(prefix="latent-atelier-hub-")
os.environ["HF_HOME"] = HUB_HOME.name
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")
for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_TOKEN", "ATELIER_DATA_DIR"):
    os.environ.pop(variable, None)

import io

import numpy as np
import pyarrow
import pytest
import torch
from PIL import Image
from pyarrow import parquet

from core.ddpm.model import DDPMConfig, ScheduleConfig
from core.ddpm.unet import UNetConfig
from core.judge.model import JudgeConfig
from core.pictures.house_number import HouseNumber, draw
from core.vae.networks import VAEConfig
from tests import chromium
from tests.hub_client import Client
from tests.hub_server import Hub

TINY = VAEConfig(channels=(8, 8, 8), latent_dim=4)
TINY_JUDGE = JudgeConfig(channels=(8, 8, 8), blocks=1)
TINY_DDPM = DDPMConfig(UNetConfig(channels=(8, 8, 8), time_width=16), ScheduleConfig(T=60))


def draw_digits(count, seed):
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 10
    pictures = [
        draw(
            HouseNumber(
                text=str(label),
                ink="#{:02x}{:02x}{:02x}".format(*rng.integers(150, 256, 3)),
                wall="#{:02x}{:02x}{:02x}".format(*rng.integers(0, 100, 3)),
                rotation=float(rng.uniform(-15, 15)),
                size=float(rng.uniform(0.6, 1.0)),
                seed=int(rng.integers(2**31)),
            )
        )
        for label in labels
    ]
    return np.stack(pictures), labels


def png(picture):
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG")
    return buffer.getvalue()


def write_table(file, pictures, labels, image_column="image", label_column="label"):
    file.parent.mkdir(parents=True, exist_ok=True)
    rows = [p if p is None or isinstance(p, bytes) else png(p) for p in pictures]
    table = pyarrow.table(
        {
            image_column: [{"bytes": row, "path": None} for row in rows],
            label_column: pyarrow.array(list(labels)),
        }
    )
    parquet.write_table(table, file)
    return file


@pytest.fixture(scope="session")
def make_digits():
    return draw_digits


@pytest.fixture(scope="session")
def write_shard():
    return write_table


@pytest.fixture(scope="session")
def tiny():
    return TINY


@pytest.fixture
def seeded():
    return lambda seed=0: torch.Generator().manual_seed(seed)


@pytest.fixture(scope="session")
def svhn_folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    folder = root / "ufldl-stanford" / "svhn" / "cropped_digits"
    for split, count, seed in (("train", 64, 0), ("test", 40, 1)):
        write_table(folder / f"{split}-00000-of-00001.parquet", *draw_digits(count, seed))
    return root


@pytest.fixture(scope="session")
def tiny_bundle(svhn_folder, tmp_path_factory):
    from train.vae import bundle as vae_bundle
    from train.vae import trainer as vae

    run = tmp_path_factory.mktemp("tiny") / "run"
    training = vae.VAETraining(epochs=2, batch_size=16, warmup_steps=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ATELIER_DATA_DIR", str(svhn_folder))
        patch.setattr(vae_bundle, "IMPORTANCE_PICTURES", 6)
        patch.setattr(vae_bundle, "IMPORTANCE_SAMPLES", (1, 10, 50))
        patch.setattr(vae_bundle, "READ_ITERATIONS", 30)
        return vae.start(run, TINY, training, device=torch.device("cpu"))


@pytest.fixture(scope="session")
def tiny_ddpm():
    return TINY_DDPM


@pytest.fixture(scope="session")
def few_ddpm_figures():
    """Fewer pictures behind the final figures of a diffusion model."""
    from train.ddpm import bundle as ddpm_bundle

    return lambda patch: [
        patch.setattr(ddpm_bundle, name, count)
        for name, count in (("SAMPLES", 12), ("LEVEL_PICTURES", 8), ("COMPONENTS", 6))
    ]


@pytest.fixture(scope="session")
def tiny_ddpm_bundle(svhn_folder, tmp_path_factory, few_ddpm_figures):
    from train.ddpm import trainer as ddpm

    run = tmp_path_factory.mktemp("tiny-ddpm") / "run"
    training = ddpm.DDPMTraining(epochs=2, batch_size=16, warmup_steps=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ATELIER_DATA_DIR", str(svhn_folder))
        few_ddpm_figures(patch)
        return ddpm.start(run, TINY_DDPM, training, device=torch.device("cpu"))


@pytest.fixture(scope="session")
def tiny_judge():
    return TINY_JUDGE


@pytest.fixture(scope="session")
def tiny_judge_bundle(svhn_folder, tmp_path_factory):
    from train.judge import trainer as judge

    run = tmp_path_factory.mktemp("tiny-judge") / "run"
    training = judge.JudgeTraining(epochs=2, batch_size=16, warmup_steps=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ATELIER_DATA_DIR", str(svhn_folder))
        return judge.start(run, TINY_JUDGE, training, device=torch.device("cpu"))


@pytest.fixture(scope="session")
def hub_server():
    running = Hub()
    yield running
    running.close()


@pytest.fixture
def hub(hub_server):
    """A server with the Hub's routes, without repositories and faults."""
    hub_server.forget()
    return hub_server


@pytest.fixture(scope="session")
def client(hub_server, tmp_path_factory):
    """The real client of the Hub, which talks to that server, and does not wait between its tries."""
    one = Client(hub_server.address, tmp_path_factory.mktemp("home"))
    one.run("import time\ntime.sleep = lambda seconds: None")
    yield one
    one.close()


SLOW = ("tests/pages/", "tests/train/test_plan.py", "tests/train/test_export.py")
"""What ``pytest`` leaves to ``pytest -m ""``, as it does what is marked one by one."""
FIRST = ("tests/browser/", "tests/train/", "tests/test_")
"""Where the tests are that take longest: one that began last would leave the other worker without work."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    if config.pluginmanager.hasplugin("xdist"):
        items.sort(key=lambda item: [not item.nodeid.startswith(place) for place in FIRST])
    for item in items:
        path = item.path.relative_to(config.rootpath).as_posix()
        if path.startswith(SLOW):
            item.add_marker(pytest.mark.slow)
        if path.startswith("tests/browser/") and _required():
            # Next to other tests on few cores: once more, and what failed before is printed all the same.
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """With ``--dist loadgroup`` one worker drives the browser, while the other goes through the other files.

    xdist would do it by marks, but writes them into names of tests, which pytest 9.2 does not read again.
    """
    if config.getvalue("dist") != "loadgroup":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class BrowserAlone(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return "browser" if nodeid.startswith("tests/browser/") else nodeid.split("::")[0]

    config.option.loadscopereorder = False  # the longest come first, in the order of ``FIRST``
    return BrowserAlone(config, log)


# ---------------------------------------------------------------- a browser


def _required():
    """Whether everything has to run that a machine without an accelerator can run, as it has to in CI."""
    return os.environ.get("ATELIER_REQUIRE_BROWSER") == "1"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    return _not_skipped((yield), item)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    return _not_skipped((yield), collector)


def _not_skipped(report, node):
    """Where all is required, what is skipped has failed; but for what needs a CUDA device, and for failures
    that are expected.
    """
    expected = hasattr(report, "wasxfail") or node.get_closest_marker("gpu")
    if report.skipped and _required() and not expected:
        report.outcome, report.longrepr = "failed", f"skipped: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def playwright():
    """One a process: it does not start twice in one thread."""
    required = _required()
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        if required:
            raise
        pytest.skip("playwright is not installed (tests/requirements.txt)")
    if not Path(chromium.PATH).exists():
        assert not required, f"{chromium.PATH} is missing"
        pytest.skip(f"{chromium.PATH} is missing")
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="session")
def browser(playwright):
    """For visitors who have never been here: each context of it has a cache of its own."""
    running = playwright.chromium.launch(executable_path=chromium.PATH, args=chromium.ARGUMENTS)
    yield running
    running.close()

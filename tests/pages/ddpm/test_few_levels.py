"""Diffusion models of few levels of noise on every page that shows one."""

import shutil

import pytest
import torch

from core.ddpm.model import DDPMConfig, ScheduleConfig
from core.ddpm.unet import UNetConfig
from core.families import read_manifest
from pages.ddpm.parts import unet_levels
from pages.shared import loaders
from tests.narrow import without_onednn
from tests.pages.opening import opened
from train.__main__ import main
from train.ddpm import bundle as ddpm_bundle
from train.ddpm import trainer as ddpm

UNET = UNetConfig(channels=(8, 8, 8), time_width=16, attention=(False, False, False))
PAGES = {
    "adding_noise": {"noise_t": "4"},
    "denoising": {},
    "t_star": {},
    "inside_the_unet": {"inside_t": "4"},
    "ddpm_training": {},
    "ddpm_lengths": {"lengths_align": "Same t", "lengths_at_t": "2"},
}
"""Pages by the address that they are opened at."""


@pytest.fixture(scope="module", params=[4, 20])
def few(request, tmp_path_factory, tiny_library):
    """A library whose first diffusion model has few levels of noise; their number."""
    T, root = request.param, tmp_path_factory.mktemp("few")
    shutil.copytree(tiny_library, root / "checkpoints")
    with without_onednn(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("ATELIER_DATA_DIR", str(tiny_library.parent / "data"))
        for name, count in (("SAMPLES", 12), ("LEVEL_PICTURES", 8), ("COMPONENTS", 6)):
            patch.setattr(ddpm_bundle, name, count)
        training = ddpm.DDPMTraining(epochs=1, batch_size=16)
        config = DDPMConfig(UNET, ScheduleConfig(T=T))
        made = ddpm.start(root / "run", config, training, device=torch.device("cpu"))
    for entry in read_manifest(root / "checkpoints/manifest.json").of_family("ddpm"):
        command = ["embed", str(made), "--name", entry.name, "--title", entry.title]
        assert main([*command, "--checkpoints", str(root / "checkpoints")]) == 0  # all alike
    return T, root / "checkpoints"


@pytest.mark.parametrize("page", PAGES)
def test_the_page_opens(few, page, monkeypatch):
    monkeypatch.setenv("ATELIER_CHECKPOINTS", str(few[1]))
    at = opened(page, **PAGES[page])
    assert not at.error, [one.value for one in at.error]


def test_the_levels_of_the_grid_are_levels_of_the_model(few, monkeypatch):
    T, checkpoints = few
    monkeypatch.setenv("ATELIER_CHECKPOINTS", str(checkpoints))
    explorer = loaders.ddpm("ddpm-svhn-1000")
    levels = unet_levels.levels_of(explorer)
    assert levels == sorted(set(levels))
    assert 0 <= levels[0] <= levels[-1] < T == explorer.T
    assert set(unet_levels.levels_of(explorer, unet_levels.SEGMENT_SHARES)) <= set(levels)

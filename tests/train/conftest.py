import numpy as np
import pytest
from PIL import Image

from core.simsiam.joint_embedding import EmbeddingConfig
from train.ddpm import trainer as ddpm
from train.judge import trainer as judge
from train.simsiam import trainer as simsiam
from train.vae import bundle as vae_bundle
from train.vae import trainer as vae


@pytest.fixture(autouse=True)
def small_data_and_few_draws(svhn_folder, monkeypatch):
    monkeypatch.setenv("ATELIER_DATA_DIR", str(svhn_folder))
    monkeypatch.setattr(vae_bundle, "IMPORTANCE_PICTURES", 6)
    monkeypatch.setattr(vae_bundle, "IMPORTANCE_SAMPLES", (1, 10, 50))
    monkeypatch.setattr(vae_bundle, "READ_ITERATIONS", 30)


@pytest.fixture
def tiny_preset(tiny, monkeypatch):
    monkeypatch.setitem(vae.PRESETS, "default", tiny)


@pytest.fixture
def own(tmp_path):
    """Makes a folder of one's own pictures, with this number of each class, all different."""

    def make(name="mine", **classes):
        rng = np.random.default_rng(0)
        for label, count in classes.items():
            (tmp_path / name / label).mkdir(parents=True)
            for index in range(count):
                pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / name / label / f"{index:03d}.png")
        return tmp_path / name

    return make


@pytest.fixture
def tiny_presets(tiny_preset, tiny_ddpm, tiny_judge, few_ddpm_figures, monkeypatch):
    """The commands of all families train tiny networks."""
    size = EmbeddingConfig(width=8, stem="strided", hidden=32, dim=64, predictor_hidden=8)
    monkeypatch.setitem(ddpm.PRESETS, "default", tiny_ddpm)
    monkeypatch.setitem(judge.PRESETS, "default", tiny_judge)
    monkeypatch.setitem(simsiam.EMBEDDING_PRESETS, "default", size)
    few_ddpm_figures(monkeypatch)

import pytest

from train.vae import bundle as vae_bundle
from train.vae import trainer as vae


@pytest.fixture(autouse=True)
def small_data_and_few_draws(svhn_folder, monkeypatch):
    monkeypatch.setenv("ATELIER_DATA_DIR", str(svhn_folder))
    monkeypatch.setattr(vae_bundle, "IMPORTANCE_PICTURES", 6)
    monkeypatch.setattr(vae_bundle, "IMPORTANCE_SAMPLES", (1, 10, 50))


@pytest.fixture
def tiny_preset(tiny, monkeypatch):
    monkeypatch.setitem(vae.PRESETS, "default", tiny)

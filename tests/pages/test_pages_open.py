import shutil

import numpy as np
import pytest

from pages.shared import library, loaders, site
from pages.shared.text import LANGUAGES, in_language
from pages.vae import latent_space
from tests.pages.opening import components, turned_to

WIDGETS = ("slider", "select_slider", "number_input", "selectbox", "button_group")
PAGES = [page for pages in site.SECTIONS.values() for page in pages]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path)
def test_every_page_opens_in_every_language(open_page, page, language):
    at = open_page(page.name, lang=language)
    title = "Latent Atelier" if page is site.HOME else in_language(page.title, language)
    assert at.title[0].value == title
    assert not at.error


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path)
def test_garbage_in_the_address_does_no_harm(open_page, page):
    clean = open_page(page.name)
    keys = [widget.key for kind in WIDGETS for widget in getattr(clean, kind) if widget.key]
    broken = open_page(page.name, **dict.fromkeys(keys, "%%garbage\x00"))
    assert not broken.error
    assert [image.value for image in broken.image] == [image.value for image in clean.image]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path)
def test_the_language_survives_a_change_of_page(open_page, page):
    at = open_page("home", lang="fr")
    turned_to(at, page.name)
    assert at.query_params["lang"] == "fr"
    assert at.title[0].value == in_language(page.title, "fr") or page is site.HOME


def test_switching_the_language_keeps_what_was_set(open_page):
    at = open_page("latent_space")
    unit = int(loaders.vae("vae-svhn").order[0])
    at.session_state[f"latent_z{unit + 1}"] = 2.0
    at.run()
    words = components(at)[latent_space.DESK]["words"]
    at.button_group(key="language_widget").set_value("fr").run()
    assert at.title[0].value == "Espace latent"
    found = components(at)[latent_space.DESK]
    assert found["values"][unit] == 2.0
    assert found["words"] != words


def test_without_bundles_every_page_says_so_in_a_sentence(open_page, monkeypatch, tmp_path):
    monkeypatch.setenv("ATELIER_CHECKPOINTS", str(tmp_path))
    for page in PAGES:
        if page in site.SECTIONS["Classroom"]:  # they have lessons and sheets to show
            continue
        at = open_page(page.name)
        said = [*at.error, *at.info, *at.caption]
        assert any(
            "bundle" in str(element.value) or "version" in str(element.value) for element in said
        )


def test_a_damaged_bundle_is_refused_and_the_page_goes_on(open_page, monkeypatch, tmp_path):

    shutil.copytree(library.own_manifest().root, tmp_path / "checkpoints")
    monkeypatch.setenv("ATELIER_CHECKPOINTS", str(tmp_path / "checkpoints"))
    weights = tmp_path / "checkpoints" / "vae-svhn" / "model.safetensors"
    damaged = np.frombuffer(weights.read_bytes(), dtype=np.uint8).copy()
    damaged[-1] ^= 1
    weights.write_bytes(damaged.tobytes())
    at = open_page("latent_space")
    assert ["sha256" in error.value for error in at.error] == [True]
    checkpoints = open_page("checkpoints")
    assert ["sha256" in caption.value for caption in checkpoints.caption].count(True) == 1
    assert "checkpoints_more_ddpm-svhn-500" in [button.key for button in checkpoints.button]

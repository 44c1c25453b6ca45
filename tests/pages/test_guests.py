"""Bundles of others: opened from a field or a link, offered on the pages, deleted from the cache."""

import json
import shutil
from pathlib import Path

import pytest
from huggingface_hub import constants

from core.families import open_bundle
from pages import checkpoints
from pages.models import details as details_of
from pages.shared import guests, library
from pages.vae.latent_space import DESK
from tests.pages.opening import checked, components, turned_to
from tests.pages.sentences import like, refusal

COMMIT, OTHER = "0123456789abcdef0123456789abcdef01234567", "f" * 40
PLACE = f"user/vae@{COMMIT}"
NAME = "user/vae@0123456"
KEY = "checkpoints_bundle"


@pytest.fixture
def cached(tiny_bundle):
    """A bundle in the standard cache, from when the Hub could be reached."""
    repository = Path(constants.HF_HUB_CACHE) / "models--user--vae"
    folder = repository / "snapshots" / COMMIT
    shutil.copytree(tiny_bundle, folder)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    yield folder
    shutil.rmtree(repository, ignore_errors=True)


def said(at):
    return " ".join(
        str(e.value) for e in (*at.error, *at.info, *at.warning, *at.success, *at.caption)
    )


def submitted(at, place):
    at.text_input(key="checkpoints_place").set_value(place)
    return next(b for b in at.button if b.label == "Open").click().run()


def details(at, name):
    return checked(at.button(key=f"checkpoints_more_{name}").click().run())


def manifest_of(tmp_path, bundle, **changes):
    """A manifest that names a bundle of the Hub, next to the embedded VAE."""
    shutil.copytree(library.own_manifest().root / "vae-svhn", tmp_path / "vae-svhn")
    own = next(
        entry
        for entry in json.loads((library.own_manifest().root / "manifest.json").read_text())[
            "bundles"
        ]
        if entry["name"] == "vae-svhn"
    )
    entry = {
        "name": "vae-hub",
        "family": "vae",
        "title": "VAE of the Hub",
        "repo": "user/vae",
        "revision": COMMIT,
        "sha256": dict(open_bundle(bundle).sha256),
    } | changes
    (tmp_path / "manifest.json").write_text(json.dumps({"format": 1, "bundles": [own, entry]}))
    return tmp_path


# ---------------------------------------------------------------- opening


def test_a_link_opens_a_bundle_and_it_is_the_model_of_its_pages(open_page, cached):
    at = open_page("latent_space", bundle=PLACE)
    assert at.selectbox[0].value == NAME
    assert f"{NAME} · {COMMIT[:12]} · start" in said(at)
    assert at.query_params["bundle"] == PLACE


def test_the_address_names_the_commit_that_a_branch_stood_for(open_page, cached):
    at = open_page("latent_space", bundle="user/vae")
    assert at.query_params["bundle"] == PLACE


def test_a_guest_that_made_room_for_others_is_missed_in_a_sentence_and_offered(open_page, cached):
    at = open_page("latent_space", bundle=PLACE)
    repository = cached.parents[1]
    elsewhere = shutil.move(repository, repository.with_name("elsewhere"))
    turned_to(at, "interpolation")
    assert not at.selectbox  # of one model there is nothing to choose
    assert like(guests.MADE_ROOM, name=NAME).search(said(at))
    assert at.button(key=f"guests_fetch_{PLACE}")
    assert at.query_params["bundle"] == PLACE
    shutil.move(elsewhere, repository)  # somebody opened it again
    checked(at.run())
    assert not like(guests.MADE_ROOM, name=NAME).search(said(at))
    assert at.selectbox[0].value == NAME


def test_a_guest_stays_when_the_page_changes(open_page, cached):
    at = open_page("latent_space", bundle=PLACE)
    turned_to(at, "interpolation")
    assert at.query_params["bundle"] == PLACE
    assert at.selectbox[0].value == NAME


def test_the_field_opens_a_bundle_for_all_pages(open_page, cached):
    at = submitted(open_page("checkpoints"), PLACE)
    assert at.query_params["bundle"] == PLACE
    assert [NAME in toast.value for toast in at.toast] == [True]
    assert at.button(key="preferred_undo_vae")
    turned_to(at, "interpolation")
    assert at.selectbox[0].value == NAME
    details(turned_to(at, "checkpoints"), NAME)
    assert at.selectbox(key=KEY).value == NAME
    assert at.metric[0].value == open_bundle(cached).digest
    assert f"Hub: user/vae, revision {COMMIT}" in said(at)


def test_our_own_model_comes_back_while_the_guest_stays(open_page, cached):
    at = submitted(open_page("checkpoints"), PLACE)
    at.button(key="preferred_undo_vae").click().run()
    assert at.query_params["model"] == "vae-svhn"
    turned_to(at, "interpolation")
    assert at.selectbox[0].value == "vae-svhn"
    assert at.query_params["bundle"] == PLACE
    link = open_page("interpolation", bundle=PLACE, model="vae-svhn")
    assert link.selectbox[0].value == "vae-svhn"


def test_a_copy_of_the_cache_says_that_it_is_one(open_page, cached):
    at = details(submitted(open_page("checkpoints"), PLACE), NAME)
    assert details_of.CACHED in said(at)


@pytest.mark.parametrize(
    ("place", "refused"),
    [
        ("nonsense", refusal("hub-name", repo="nonsense")),
        ("user/../x", refusal("hub-name")),
        ("user/elsewhere", refusal("hub-unreachable", repo="user/elsewhere")),
        ("", refusal("hub-name")),
    ],
)
def test_what_cannot_be_opened_is_one_sentence_and_loses_nothing(open_page, place, refused):
    at = submitted(open_page("checkpoints"), place)
    assert not at.exception
    (error,) = at.error
    assert refused.match(error.value)
    assert len(at.dataframe[0].value) > 5
    assert at.text_input(key="checkpoints_place").value == place


def test_a_link_to_nowhere_is_said_once_and_the_page_goes_on(open_page):
    place = "user/elsewhere@main"
    at = open_page("latent_space", bundle=place)
    assert not at.error  # asked first
    assert DESK in components(at)
    at.button(key=f"guests_fetch_{place}").click().run()
    (error,) = at.error
    assert error.value.startswith(f"{place}: ")
    assert refusal("hub-unreachable", repo="user/elsewhere").search(error.value)
    assert DESK in components(at)
    assert "user/elsewhere" not in said(at.run())


def test_a_link_fetches_nothing_that_its_visitor_does_not_want(open_page, monkeypatch):
    monkeypatch.setattr(guests, "open_", lambda place: pytest.fail(f"{place} was fetched"))
    place = "user/elsewhere@main"
    at = open_page("latent_space", bundle=place)
    assert at.query_params["bundle"] == place  # until it is answered
    at.run()
    at.button(key=f"guests_decline_{place}").click().run()
    assert not at.exception
    assert not [button for button in at.button if place in str(button.key)]
    assert "bundle" not in at.query_params


def test_a_bundle_that_is_no_bundle_is_refused(open_page, cached):
    config = json.loads((cached / "config.json").read_text())
    config["architecture"]["latent_dim"] = 10**9
    (cached / "config.json").write_text(json.dumps(config))
    at = submitted(open_page("checkpoints"), PLACE)
    assert refusal("bundle-config", name="user/vae", field="architecture").search(said(at))


def test_only_a_few_guests_are_kept(open_page, cached, tiny_bundle):
    at = open_page("checkpoints")
    commits = [f"{i:07x}" + 33 * "0" for i in range(guests.MOST + 1)]
    for commit in commits:
        shutil.copytree(tiny_bundle, cached.parent / commit)
        submitted(at, f"user/vae@{commit}")
    theirs = {f"user/vae@{commit[:7]}" for commit in commits}
    keys = [str(button.key) for button in at.button]
    cards = [k.removeprefix("checkpoints_more_") for k in keys if k.startswith("checkpoints_more_")]
    assert set(cards[: guests.MOST]) == theirs - {f"user/vae@{commits[0][:7]}"}
    assert not theirs & set(cards[guests.MOST :])


def test_french_is_spoken_too(open_page, cached):
    at = open_page("checkpoints", lang="fr")
    at.text_input(key="checkpoints_place").set_value(PLACE)
    next(b for b in at.button if b.label == "Ouvrir").click().run()
    assert not at.exception
    assert at.button(key="preferred_undo_vae")
    assert at.toast


# ---------------------------------------------------------------- the manifest's own


def test_a_bundle_on_the_hub_is_not_fetched_unasked(open_page, monkeypatch, tmp_path, tiny_bundle):
    monkeypatch.setenv("ATELIER_CHECKPOINTS", str(manifest_of(tmp_path, tiny_bundle)))
    at = open_page("latent_space")
    assert not at.selectbox or "VAE of the Hub" not in at.selectbox[0].options
    at = open_page("checkpoints", checkpoints_bundle="vae-hub")
    assert like(checkpoints.ELSEWHERE, repo="user/vae").search(said(at))
    at.button(key="checkpoints_fetch_vae-hub").click().run()
    assert refusal("hub-unreachable", repo="user/vae").search(said(at))
    assert not at.exception


def test_a_bundle_of_the_manifest_in_the_cache_is_offered(open_page, monkeypatch, tmp_path, cached):
    monkeypatch.setenv("ATELIER_CHECKPOINTS", str(manifest_of(tmp_path, cached)))
    at = open_page("latent_space")
    assert "VAE of the Hub" in at.selectbox[0].options
    at = open_page("checkpoints", checkpoints_bundle="vae-hub")
    assert f"Hub: user/vae, revision {COMMIT}" in said(at)
    assert details_of.PUBLISHED in said(at)


def test_a_family_that_is_only_on_the_hub_says_where_to_fetch_it(
    open_page, monkeypatch, tmp_path, tiny_bundle
):
    folder = manifest_of(tmp_path, tiny_bundle, family="ddpm")
    monkeypatch.setenv("ATELIER_CHECKPOINTS", str(folder))
    assert refusal("no-bundle-fetched").search(said(open_page("denoising")))


# ---------------------------------------------------------------- the page


def test_a_guest_is_deleted_from_the_cache(open_page, cached):
    at = details(submitted(open_page("checkpoints"), PLACE), NAME)
    at.button(key=f"checkpoints_forget_{NAME}").click().run()
    assert not at.exception
    assert like(checkpoints.FREED).search(said(at))
    assert not cached.exists()
    assert NAME not in at.selectbox(key=KEY).options
    assert not at.query_params.get("bundle")


def test_embedded_bundles_cannot_be_deleted(open_page):
    at = open_page("checkpoints", checkpoints_bundle="vae-svhn")
    assert not [b for b in at.button if str(b.key).startswith("checkpoints_forget_")]


def test_what_an_address_names_is_said_letter_for_letter(open_page):
    at = open_page("interpolation", bundle="![x](https://evil.example/x.png)")
    (error,) = at.error
    assert r"!\[x\](https://evil.example/x.png)" in error.value


def test_a_bundle_that_an_address_names_twice_is_asked_for_once(open_page):
    at = open_page("interpolation", bundle=["user/name", "user/name"])
    assert not at.error

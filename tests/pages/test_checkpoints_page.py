"""Checkpoints: a card a model, one table a family, the details of one, and one for all pages."""

import csv
import io
import json
import re
from types import SimpleNamespace

import numpy as np
import pytest

from core.bundles.bundle import read_bundle
from core.bundles.manifest import CHECKPOINTS
from core.families import read_manifest
from pages.models import comparison, details, facts, labels, portraits
from pages.models.facts import FAMILY_NAMES
from pages.shared import figures, library
from pages.shared.colours import CLASSES
from pages.shared.text import LANGUAGES, in_language
from tests.pages.opening import checked, components, turned_to

KEY = "checkpoints_bundle"


def stored(name, file):
    return json.loads((library.own_manifest().root / name / file).read_text())


def cards(at):
    """Names of the models that have a card, in the order of the page."""
    keys = [str(button.key) for button in at.button]
    return [k.removeprefix("checkpoints_more_") for k in keys if k.startswith("checkpoints_more_")]


def words(at):
    """All that a visitor reads, but for the model card and what only downloads hold."""
    found = [
        str(e.value) for kind in ("title", "markdown", "caption", "info") for e in at.get(kind)
    ]
    found += [str(e.label) for kind in ("button", "selectbox", "expander") for e in at.get(kind)]
    found += [option for box in at.selectbox for option in box.options]
    for frame in at.dataframe:
        found += [str(name) for name in frame.value.columns]
        found += [str(value) for value in frame.value.astype(str).to_numpy().ravel()]
    return found


# ---------------------------------------------------------------- cards


def test_every_family_has_its_cards_in_the_order_of_the_navigation(open_page):
    found = cards(open_page("checkpoints"))
    assert found == [
        "vae-svhn",
        "ddpm-svhn-500",
        "ddpm-svhn-1000",
        "ddpm-svhn-1500",
        "simsiam-cifar10-baseline",
        "judge-svhn",
    ]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_card_has_a_picture_with_its_words(open_page, language):
    at = open_page("checkpoints", lang=language)
    pictures = [image for image in at.main.image if image.proto.imgs]
    assert len(pictures) == len(cards(at))
    assert all(len(image.proto.imgs[0].alt) > 20 for image in pictures)


def test_every_embedded_family_has_a_picture_of_its_own():
    """Over the embedded bundles themselves: one card at least, and what it shows is stored."""
    found = read_manifest(CHECKPOINTS / "manifest.json")
    opened = {
        one.name: read_bundle(CHECKPOINTS / one.folder, name=one.name) for one in found.entries
    }
    shown = facts.with_card(facts.ordered(found.entries, opened), opened)
    assert list(dict.fromkeys(entry.family for entry in shown)) == list(FAMILY_NAMES)
    for entry in shown:
        portrait = portraits.of_model(opened[entry.name], entry.title)
        assert portrait.picture.std() > 5, entry.name
        assert entry.title in portrait.alt
        assert facts.how_good(opened[entry.name])
    assert len(shown) < len(found.entries)


def test_a_generated_picture_is_that_of_the_stored_sheet():
    of = library.bundle("ddpm-svhn-500")
    made = portraits.of_model(of, "a title").picture
    first = library.sheet(of, "final", max(of.progress("final")), 24)[0]
    assert np.array_equal(made[:128:4, :128:4], first)


def test_the_map_of_a_collapsed_run_is_a_dot():
    whole = portraits.of_model(library.bundle("simsiam-cifar10-baseline"), "a").picture

    labels_of_it = library.bundle("simsiam-cifar10-baseline").profiles["map_labels"]
    points = np.full((1, len(labels_of_it), 2), 0.4)
    dot = portraits._map(SimpleNamespace(profiles={"map_h": points, "map_labels": labels_of_it}))
    assert (dot[..., 3] > 0).sum() < 4 * portraits.DOT**2 < (whole[..., 3] > 0).sum()
    used = {tuple(pixel[:3]) for pixel in whole[whole[..., 3] == 255]}
    assert used & {tuple(int(c[i : i + 2], 16) for i in (1, 3, 5)) for c in CLASSES}


def test_the_diagonal_of_a_perfect_classifier_is_all_of_it():
    perfect = SimpleNamespace(profiles={"confusion": np.diag(np.arange(1, 11))})
    alpha = portraits._confusions(perfect)[..., 3]
    cell = portraits.SIZE[1] // 11
    left = (portraits.SIZE[0] - 11 * cell) // 2
    middles = [cell * (i + 1) + cell // 2 for i in range(10)]
    found = alpha[np.ix_(middles, [left + m for m in middles])]
    assert (np.diag(found) == 255).all()
    assert (found[~np.eye(10, dtype=bool)] == 20).all()


# ---------------------------------------------------------------- one for all pages


def test_one_press_makes_all_pages_of_the_family_begin_with_it(open_page):
    at, other = open_page("checkpoints"), open_page("checkpoints")
    checked(at.button(key="checkpoints_use_ddpm-svhn-1500").click().run())
    assert at.query_params["model"] == "ddpm-svhn-1500"
    assert at.button(key="preferred_undo_ddpm")
    for page, key in (("denoising", "denoise_bundle"), ("ddpm_training", "ddpm_bundle")):
        turned_to(at, page)
        assert at.selectbox(key=key).value == "ddpm-svhn-1500"
        turned_to(other, page)
        assert other.selectbox(key=key).value != "ddpm-svhn-1500"
        assert "model" not in other.query_params


def test_a_link_says_which_model_all_pages_begin_with(open_page):
    at = open_page("denoising", model="ddpm-svhn-500")
    assert at.selectbox(key="denoise_bundle").value == "ddpm-svhn-500"
    turned_to(at, "adding_noise")
    assert at.selectbox(key="noise_bundle").value == "ddpm-svhn-500"


def test_what_a_link_says_of_a_page_is_stronger(open_page):
    at = open_page("denoising", model="ddpm-svhn-500", denoise_bundle="ddpm-svhn-1500")
    assert at.selectbox(key="denoise_bundle").value == "ddpm-svhn-1500"
    turned_to(at, "ddpm_training")
    assert at.selectbox(key="ddpm_bundle").value == "ddpm-svhn-500"


def test_it_is_undone_where_one_stands(open_page):
    usual = open_page("denoising").selectbox(key="denoise_bundle").value
    at = open_page("denoising", model="ddpm-svhn-500")
    checked(at.button(key="preferred_undo_ddpm").click().run())
    assert at.selectbox(key="denoise_bundle").value == usual
    assert "model" not in at.query_params
    assert "preferred_undo_ddpm" not in [button.key for button in at.button]


def test_the_card_undoes_it_too(open_page):
    at = open_page("checkpoints", model="ddpm-svhn-500")
    checked(at.button(key="checkpoints_use_undo_ddpm-svhn-500").click().run())
    assert "model" not in at.query_params
    assert at.button(key="checkpoints_use_ddpm-svhn-500")


def test_a_model_that_is_not_here_is_said(open_page):
    at = open_page("denoising", model="ddpm-of-yesterday")
    assert ["ddpm-of-yesterday" in info.value for info in at.info].count(True) == 1
    assert at.selectbox(key="denoise_bundle").value


def test_compared_runs_begin_with_the_chosen_one(open_page):
    usual = components(open_page("two_views"))
    at = open_page("two_views", model="simsiam-cifar10-no-stop-gradient")
    assert at.button_group(key="views_network").value == "simsiam-cifar10-no-stop-gradient"
    assert usual is not None


# ---------------------------------------------------------------- the table


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_the_numbers_of_the_table_are_those_of_the_bundles(open_page, family):
    at = open_page("checkpoints", checkpoints_family=family, checkpoints_all="true")
    frame = at.dataframe[0].value
    names = [e.name for e in library.available(family)]
    assert len(frame) == len(names)
    for name in names:
        config, metrics = stored(name, "config.json"), stored(name, "metrics.json")
        history = stored(name, "history.json")
        entry = library.own_manifest().entry(name)
        row = frame[frame["model"] == entry.title].iloc[0]
        assert row["batch"] == config["training"]["batch_size"]
        before = config["training"].get("ancestors") or ()
        assert row["epochs"] == len(history) + sum(one["epochs"] for one in before)
        assert row["updates, last run"] == history[-1]["updates"]
        assert row["rate"] == config["training"]["learning_rate"]
        assert row["pictures"] == config["data"]["pictures"]
        assert row["s/epoch + tests"] == pytest.approx(history[-1]["seconds_total"] / len(history))
        own = {
            "vae": {"−ELBO": metrics["test"].get("negative_elbo")},
            "ddpm": {"error": metrics["test"].get("eps_mse")},
            "simsiam": {
                "kNN": metrics["test"].get("knn_accuracy"),
                "probe": metrics["test"].get("linear_accuracy"),
                "d": config["architecture"].get("dim"),
            },
            "judge": {"right": metrics["test"].get("accuracy")},
        }[family]
        for column, value in own.items():
            assert row[column] == value, (name, column)


def test_epochs_are_those_of_all_runs():
    before = [SimpleNamespace(epochs=50), SimpleNamespace(epochs=182)]
    of = SimpleNamespace(history=[{}] * 20, ancestors=before)
    assert facts.epochs_in_all(of) == 252
    assert facts.epochs(of) == 20


def test_updates_are_whole_batches_where_a_run_did_not_count_them():
    training = {"batch_size": 4096, "learning_rate": 0.15}
    old = SimpleNamespace(
        family="simsiam",
        history=[{"epoch": 1}, {"epoch": 2}],
        config={"data": {"pictures": 10_000}, "training": training},
    )
    assert facts.updates(old) == 2 * 2
    assert facts.peak_rate(old) == pytest.approx(0.15 * 16)


def test_a_table_is_as_wide_as_the_page():
    for columns in comparison.QUANTITIES.values():
        first = [column.width for column in columns if not column.more]
        assert comparison.TITLE_WIDTH + sum(first) <= comparison.PAGE - comparison.BOX


def test_the_file_of_a_table_has_english_keys_and_raw_numbers(open_page):
    open_page("checkpoints", lang="fr")
    of = [library.bundle(entry.name) for entry in library.available("ddpm")]
    rows = list(
        csv.DictReader(io.StringIO(figures.csv_bytes(comparison.rows_of("ddpm", of)).decode()))
    )
    assert [row["model"] for row in rows] == [one.name for one in of]
    assert [float(row["eps_mse"]) for row in rows] == [one.metrics["test"]["eps_mse"] for one in of]
    assert sorted(int(row["T"]) for row in rows) == [500, 1000, 1500]


# ---------------------------------------------------------------- details


def test_details_are_one_click_away_and_so_is_the_way_back(open_page):
    at = open_page("checkpoints")
    checked(at.button(key="checkpoints_more_judge-svhn").click().run())
    assert at.query_params[KEY] == "judge-svhn"
    assert at.metric[0].value == library.bundle("judge-svhn").digest
    assert not cards(at)
    checked(at.button(key="checkpoints_back").click().run())
    assert KEY not in at.query_params
    assert cards(at)


def test_two_models_stand_side_by_side(open_page):
    first, second = "ddpm-svhn-500", "ddpm-svhn-1000"
    at = open_page("checkpoints", **{KEY: first}, checkpoints_beside=second)
    table = at.dataframe[0].value.set_index(["part", "what"])
    errors = [stored(name, "metrics.json")["test"]["eps_mse"] for name in (first, second)]
    shown = table.loc[("on test pictures", labels.WORDS["eps_mse"])].to_numpy().ravel()
    assert list(shown) == [labels.value_in_words(value) for value in errors]
    assert list(table.loc[("noise schedule", "T")].to_numpy().ravel()) == ["500", "1,000"]
    assert ("model", "family") not in table.index
    (chart,) = at.get("plotly_chart")
    assert len(json.loads(chart.proto.spec)["data"]) == 2


def test_the_history_is_that_of_the_bundle(open_page):
    at = open_page("checkpoints", **{KEY: "vae-svhn"}, checkpoints_column="test_kl")
    (chart,) = at.get("plotly_chart")
    drawn = json.loads(chart.proto.spec)["data"][0]
    assert drawn["y"] == [row["test_kl"] for row in stored("vae-svhn", "history.json")]
    assert drawn["name"] == "VAE on SVHN"


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", ["", *("vae-svhn", "ddpm-svhn-500", "judge-svhn")])
def test_no_key_of_a_file_stands_on_the_page(open_page, name, language):
    at = open_page("checkpoints", lang=language, **({KEY: name} if name else {}))
    card = library.bundle(name).card.split("---", 2)[-1] if name else ""
    raw = re.compile(r"(?<![\w/`-])[a-z0-9]+(?:[._][a-z0-9]+)*_[a-z0-9_]+(?![\w/])")
    files = re.compile(r"\.(safetensors|json|md|jpg)$|^progress/")
    found = {
        w for w in words(at) if w.strip() != card.strip() and raw.search(w) and not files.search(w)
    }
    assert not found


EMBEDDED = sorted({entry.name for entry in read_manifest(CHECKPOINTS / "manifest.json").entries})


def test_every_value_of_the_embedded_models_has_its_word():
    """In config, metrics and history: a key with a word of its own is not shown as it is."""
    missing = set()
    for name in EMBEDDED:
        of = read_bundle(CHECKPOINTS / name)
        paths = [
            *labels.readable_values(of.config),
            *labels.readable_values(of.metrics),
            *of.history[-1],
        ]
        for path in paths:
            key = path.rpartition(".")[2]
            figure = key.removeprefix("train_").removeprefix("test_")
            if path.startswith("layer_probe.accuracy."):
                continue  # layers are called as the network calls them, on every page
            if key not in labels.WORDS and figure not in labels.WORDS and key != "epoch":
                missing.add(path)
    assert not missing


def test_french_gives_the_facts_and_says_that_the_card_is_english(open_page):
    at = open_page("checkpoints", lang="fr", **{KEY: "vae-svhn"})
    note = details.CARD_IN_ENGLISH
    assert in_language(note, "fr") in [caption.value for caption in at.caption]
    assert note not in [c.value for c in open_page("checkpoints", **{KEY: "vae-svhn"}).caption]

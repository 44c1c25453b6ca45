"""Home: what its first figure is made of, what the cards say, and where every link leads."""

import json
import shutil
from argparse import Namespace
from urllib.parse import parse_qs

import numpy as np
import pytest

from core.bundles.bundle import read_bundle
from core.pictures.images import read_sheet
from pages import from_noise, home
from pages.browser import serving
from pages.shared import library, links, shape, site, training
from pages.shared.text import in_language
from pages.teach import shelf
from pages.teach.lesson import Lesson, Step, Words, write_lesson
from tests.pages.opening import components, frames, moved
from train.ddpm import way
from train.judge import judged
from train.release.measure import main as measure

NAME = "ddpm-svhn-1000"
PAGES = [page for pages in site.SECTIONS.values() for page in pages]
ITEMS = [
    pytest.param(item, id=f"{item.number}-{item.page.path}-{index}".replace(" ", ""))
    for items in site.ASSIGNMENT.values()
    for index, item in enumerate(items)
]


def known(folder, name):
    """Makes the manifest of a library name the files of a bundle as they are now."""
    manifest = json.loads((folder / "manifest.json").read_text())
    for entry in manifest["bundles"]:
        if entry["name"] == name:
            entry["sha256"] = dict(read_bundle(folder / name).sha256)
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.fixture
def own_library(tiny_library, tmp_path, monkeypatch):
    """A copy of the library that a test may change."""
    folder = shutil.copytree(tiny_library, tmp_path / "checkpoints")
    monkeypatch.setenv("ATELIER_CHECKPOINTS", str(folder))
    return folder


def without_way(folder, name):
    for file in (folder / name / "progress").glob("*-way.jpg"):
        file.unlink()
    metrics = json.loads((folder / name / "metrics.json").read_text())
    metrics.pop("way", None)
    (folder / name / "metrics.json").write_text(json.dumps(metrics))
    known(folder, name)


@pytest.fixture
def no_way(own_library):
    """No bundle keeps a way back."""
    for entry in library.own_manifest().of_family("ddpm"):
        without_way(own_library, entry.name)
    return own_library


@pytest.fixture(scope="module")
def measured(tiny_library, tmp_path_factory):
    """A bundle whose way back was measured."""
    folder = shutil.copytree(tiny_library / NAME, tmp_path_factory.mktemp("way") / NAME)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judged, "CHECKPOINTS", tiny_library)
        patch.setattr(way, "SEEDS", 20)
        measure(
            Namespace(bundle=folder, device="cpu", seconds=False, way=True, t_star=None, folder="")
        )
    return folder


@pytest.fixture
def with_way(no_way, measured):
    """One bundle keeps a way back, and it is not the first."""
    shutil.rmtree(no_way / "ddpm-svhn-500")
    (no_way / NAME).rename(no_way / "ddpm-svhn-500")
    shutil.copytree(measured, no_way / NAME)
    for name in (NAME, "ddpm-svhn-500"):
        known(no_way, name)
    return no_way


def said(at):
    return "\n".join(str(one.value) for one in at.markdown)


def page_links(at):
    """Label, page and query of every link: as Streamlit sends them."""
    return [
        (one.proto.label, one.proto.page, parse_qs(one.proto.query_string))
        for one in at.get("page_link")
    ]


# ---------------------------------------------------------------- the first figure


def test_the_first_figure_is_the_stored_way_picture_by_picture(open_page, with_way):
    at = open_page("home")
    of = library.bundle(NAME)
    (sheet,) = of.progress("way").values()
    stored = read_sheet(sheet.read_bytes(), 210).reshape(21, 10, 32, 32, 3)
    shown = components(at)
    cells = [cell for row in shown["home_film"]["rows"] for cell in row["cells"]]
    assert len(cells) == 10
    for column, cell in enumerate(cells):
        found = frames(at, "home_film", cell["alt"])
        np.testing.assert_array_equal(found, stored[:, column])
    line = shown[f"{from_noise.STEP}_hand"]
    assert line["words"]["stops"][0].endswith("1,000")
    assert line["words"]["stops"][-1].endswith("0")
    assert line["value"] == 20


def test_below_every_picture_stands_what_the_judge_reads(open_page, with_way):
    figures = library.bundle(NAME).metrics["way"]
    at = open_page("home")
    rows = components(at)["home_film"]["rows"]
    labels = [cell["label"] for row in rows for cell in row["cells"]]
    assert [int(label.split(" · ")[0]) for label in labels] == figures["digit"]
    for label, sure in zip(labels, figures["confidence"], strict=True):
        said_to_be = float(label.split(" · ")[1].rstrip("%")) / 100
        assert said_to_be <= sure < said_to_be + 0.01 + 1e-9


def test_the_page_says_that_seeds_are_chosen_from_how_many_and_what_is_missed(open_page, with_way):
    figures = library.bundle(NAME).metrics["way"]
    words = said(open_page("home"))
    assert "**chosen**" in words
    assert "20 samples" in words
    missed = [str(digit) for digit in range(10) if digit not in figures["digit"]]
    assert (f"no sample as {', '.join(missed)}" in words) is bool(missed)


def test_a_hand_leaves_the_way_where_it_let_go_and_a_link_finds_it_there(open_page, with_way):
    at = moved(open_page("home"), from_noise.STEP, 3)
    assert at.query_params[from_noise.STEP] == "3"
    again = open_page("home", **{from_noise.STEP: "3"})
    assert components(again)[f"{from_noise.STEP}_hand"]["value"] == 3


def test_without_a_way_the_samples_of_every_epoch_take_its_place(open_page, no_way):
    at = open_page("home")
    of = library.bundle(library.available("ddpm")[0].name)
    (source,) = components(at)["home_film"]["sources"]
    files = of.progress("samples")
    found = [serving.OFFERS.file(address.split("/")[-2]) for address in source["addresses"]]
    assert found == list(files.values())
    assert components(at)[f"{from_noise.EPOCH}_hand"]["stops"] == list(files)
    assert "chosen" not in said(at)
    first = moved(at, from_noise.EPOCH, 0)
    assert first.query_params[from_noise.EPOCH] == "0"


def test_epochs_are_counted_over_all_runs_as_on_the_page_of_training(
    open_page, no_way, monkeypatch
):
    of = library.bundle(library.available("ddpm")[0].name)
    files = list(of.progress("samples"))
    ancestors = [{"name": "first", "epochs": 1200}]
    monkeypatch.setitem(of.config["training"], "ancestors", ancestors)
    at = open_page("home")
    stops = components(at)[f"{from_noise.EPOCH}_hand"]["words"]["stops"]
    assert stops == [f"epoch {1200 + epoch:,}" for epoch in files]
    alts = components(at)["home_film"]["rows"][0]["cells"][0]["alt"]
    assert alts == [f"Samples after {stop}" for stop in stops]
    assert training.first_stop(of) in said(at)
    assert "1,200" in training.first_stop(of)


def test_without_a_diffusion_model_the_vae_is_shown(open_page, own_library):
    for entry in library.own_manifest().of_family("ddpm"):
        shutil.rmtree(own_library / entry.name)
    manifest = json.loads((own_library / "manifest.json").read_text())
    manifest["bundles"] = [b for b in manifest["bundles"] if b["family"] != "ddpm"]
    (own_library / "manifest.json").write_text(json.dumps(manifest))
    at = open_page("home")
    assert not at.error
    (source,) = components(at)["home_film"]["sources"]
    assert len(source["addresses"]) == len(library.bundle("vae-svhn").progress("samples"))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda way: way.update(steps="many"),
        lambda way: way["t"].pop(3),
        lambda way: way["t"].append(0),
        lambda way: way.update(t=[2000, *way["t"][1:]]),
        lambda way: way.pop("t"),
        lambda way: way.update(steps=0),
        lambda way: way.update(steps=10**9),
        lambda way: way["seeds"].pop(),
        lambda way: way.update(digit=None),
        lambda way: way.update(confidence=[7] * 10),
        lambda way: way.pop("of"),
        lambda way: way.clear(),
    ],
)
def test_a_way_that_cannot_be_shown_is_passed_over(open_page, with_way, wrong):
    """A guest's bundle may say anything."""
    metrics = json.loads((with_way / NAME / "metrics.json").read_text())
    wrong(metrics["way"])
    (with_way / NAME / "metrics.json").write_text(json.dumps(metrics))
    known(with_way, NAME)
    assert from_noise.way_of(library.bundle(NAME)) is None
    at = open_page("home")
    assert not at.error
    assert f"{from_noise.EPOCH}_hand" in components(at)


def test_a_damaged_first_bundle_gives_way_to_the_next(open_page, with_way):
    (with_way / "ddpm-svhn-500" / "metrics.json").write_text("{}")
    (with_way / "ddpm-svhn-1500" / "metrics.json").write_text("{}")
    assert f"{from_noise.STEP}_hand" in components(open_page("home"))


# ---------------------------------------------------------------- cards, routes, doors


def test_the_card_of_simsiam_tells_of_the_baseline(open_page):
    runs = [entry.name for entry in library.available("simsiam")]
    assert runs[0] == "simsiam-cifar10-baseline" or "baseline" not in runs[0]
    of = home.bundle_of(home.MODELS[2])
    assert of.config["training"]["recipe"] == "baseline"
    words = home.by_neighbours(of)
    assert f"{100 * of.history[-1]['test_knn_accuracy']:.0f}%" in words
    assert f"{100 * of.metrics['before']['test_knn_accuracy']:.0f}%" in words
    assert words in said(open_page("home"))


def test_cards_say_how_sure_the_judge_is_and_nothing_where_nobody_asked_it(open_page):
    at = open_page("home")
    for family in ("vae", "ddpm"):
        of = library.bundle(library.available(family)[0].name)
        found = of.metrics["judged"]["samples"]
        words = from_noise.sure_sentence(of)
        assert f"**{100 * found['sure']:.0f}%**" in words
        assert words in said(at)
        of.metrics.pop("judged")
        assert from_noise.sure_sentence(of) == ""


def test_routes_are_few_short_and_of_pages_that_exist(open_page):
    assert len(home.ROUTES) <= 3
    assert all(3 <= len(route.pages) <= 4 for route in home.ROUTES)
    labels = [label for label, _page, _query in page_links(open_page("home"))]
    for route in home.ROUTES:
        for place, page in enumerate(route.pages, start=1):
            assert f"{place}\u2002{page.title}".replace("*", r"\*") in labels


def lesson_links(at):
    """Label and query of every link to a lesson."""
    return [(label, query) for label, _page, query in page_links(at) if "lesson" in query]


def small(name, title):
    return Lesson(name, 7, title, (Step("collapse", 7, Words("Look.", "Regardez.")),))


@pytest.fixture
def shipped(monkeypatch, tmp_path):
    """A folder in place of that of the app's own lessons."""
    monkeypatch.setattr(shelf, "SHIPPED", tmp_path)
    monkeypatch.delenv(shelf.VARIABLE, raising=False)
    return tmp_path


def test_there_is_no_door_to_lessons_where_there_are_none(open_page, shipped):
    at = open_page("home")
    assert "(#lessons)" not in said(at)
    assert "(#assignment)" in said(at)
    assert not lesson_links(at)


@pytest.mark.parametrize(("language", "title"), [("en", "Why?"), ("fr", "Pourquoi ?")])
def test_lessons_have_a_door_and_two_links_each(open_page, shipped, language, title):
    file = shipped / "why.toml"
    file.write_text(write_lesson(small("why", Words("Why?", "Pourquoi ?"))), "utf-8")
    (shipped / "bad.toml").write_text("")
    at = open_page("home", lang=language)
    assert not at.error
    assert "(#lessons)" in said(at)
    assert f"**{title}** · 7 min" in said(at)
    assert lesson_links(at) == [
        (in_language("At a desk", language), {"lesson": ["why"], "as": ["desk"]}),
        (in_language("On a stage", language), {"lesson": ["why"], "as": ["stage"]}),
    ]
    assert [page for _label, page, _query in page_links(at)].count(site.TEACH.path) == 1


def test_a_title_has_its_numbers_and_is_the_name_where_no_model_has_them(open_page, shipped):
    for name, number in (("known", "{baseline.knn}"), ("unknown", "{nobody.knn}")):
        title = Words(f"*All* of {number}", f"Tout de {number}")
        (shipped / f"{name}.toml").write_text(write_lesson(small(name, title)), "utf-8")
    at = open_page("home")
    assert not at.error
    last = library.bundle("simsiam-cifar10-baseline").history[-1]["test_knn_accuracy"]
    assert f"**All of {100 * last:.1f}%** · 7 min" in said(at)
    assert "**unknown** · 7 min" in said(at)
    assert len(lesson_links(at)) == 4


def test_the_lessons_of_the_app_stand_on_home(open_page, monkeypatch):
    monkeypatch.delenv(shelf.VARIABLE, raising=False)
    at = open_page("home")
    names = [query["lesson"][0] for _label, query in lesson_links(at)]
    assert names[::2] == names[1::2] == ["vae-45", "diffusion-45", "simsiam-45", "lab-2h"]


# ---------------------------------------------------------------- the assignment


def test_every_item_of_the_assignment_has_its_place():
    numbers = {item.number.split()[0] for items in site.ASSIGNMENT.values() for item in items}
    expected = {f"1.{n}" for n in (1, 2, 3)} | {f"2.{n}" for n in (1, 2, 3)}
    assert numbers == expected | {f"3.{n}" for n in range(1, 10)}
    assert all(item.page in PAGES for items in site.ASSIGNMENT.values() for item in items)


@pytest.mark.parametrize("language", ["en", "fr"])
def test_home_links_every_item_with_its_view(open_page, language):
    found = page_links(open_page("home", lang=language))
    for items in site.ASSIGNMENT.values():
        for item in items:
            query = {
                key: [value] if isinstance(value, str) else list(value)
                for key, value in item.address.items()
            }
            label = in_language(item.words, language)
            assert (label, query) in [(one, asked) for one, _page, asked in found]


@pytest.mark.parametrize("item", ITEMS)
def test_the_link_of_an_item_opens_the_view_that_it_names(open_page, item):
    """The page has these controls, they stand where the link says, and it refuses nothing of it.

    But for runs that the tests' library lacks.
    """
    at = open_page(item.page.name, **item.query)
    assert not at.error
    visit = at.session_state[links.VISIT]
    assert set(item.query) <= visit.shown
    shown = at.session_state[shape.VISIT]
    assert item.view in {*shown.seen_figures, *shown.seen_controls, *shown.code}
    here = {entry.name for entry in library.own_manifest().entries}
    for key, value in item.query.items():
        if isinstance(value, str):
            assert visit.stands[key] == [value]
            assert key not in visit.refused
            continue
        wanted = [one for one in value if f"simsiam-cifar10-{one}" in here]
        assert list(at.session_state[key]) == wanted
        assert (key in visit.refused) is (wanted != list(value))

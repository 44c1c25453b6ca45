"""Neighbours: the vote, its figures and its pictures are those of the stored bank."""

import base64
import json
import re

import numpy as np
import pytest

from core.pictures import data, images, shapes
from core.pictures.data import SOURCES
from pages.shared import library, loaders
from pages.shared.text import in_language
from tests.pages.simsiam.drawn_networks import (
    NAMES,
    TRAIN,
    networks_folder,
    objects_folder,
    write_split,
)

__all__ = ["networks_folder", "objects_folder"]

PAGE = "neighbours"
NAME, OTHER_NAME = NAMES["baseline"], NAMES["no-stop-gradient"]
CLASSES = SOURCES["cifar10"].class_names
SHIP = shapes.draw(shapes.Shape())
ALT = "The nearest training pictures, most similar first"


@pytest.fixture(autouse=True)
def tiny_networks(networks_folder, monkeypatch):
    monkeypatch.setenv("ATELIER_CHECKPOINTS", str(networks_folder))


def vote(name=NAME, picture=SHIP, k=TRAIN, temperature=0.1):
    return loaders.simsiam(name).vote(picture, k, temperature)


def numbers(values):
    """Numbers of a chart, which travel as bytes."""
    if isinstance(values, dict):
        decoded = np.frombuffer(base64.b64decode(values["bdata"]), values["dtype"])
        return decoded.astype(float)
    return np.array(values, dtype=float)


def chart(at, place):
    return json.loads(at.get("plotly_chart")[place].proto.spec)


def said(at, words):
    texts = [*at.markdown, *at.info, *at.caption, *at.error]
    return next((str(e.value) for e in texts if words in str(e.value)), "")


def shown(at):
    """Alt texts of the sheets of neighbours."""
    return [img.alt for image in at.image for img in image.proto.imgs if img.alt.startswith(ALT)]


def seen(at):
    charts = [chart_.proto.spec for chart_ in at.get("plotly_chart")]
    return charts, [m.value for m in at.metric], at.dataframe[0].value.to_csv()


# ---------------------------------------------------------------- the vote


@pytest.mark.parametrize(("place", "name"), [(0, NAME), (1, OTHER_NAME)])
def test_the_vote_is_that_of_the_bank(open_page, place, name):
    at = open_page(PAGE)
    found = vote(name)
    winner, share = [m.value for m in at.metric][2 * place : 2 * place + 2]
    assert winner == CLASSES[found.predicted]
    assert share == f"{100 * found.scores.max():.0f}%"
    bars, bank = chart(at, 2 * place)["data"]
    np.testing.assert_allclose(numbers(bars["x"]), found.scores, atol=1e-5)
    labels = library.bundle(name).profiles["bank_labels"]
    frequency = np.bincount(labels.astype(int), minlength=10) / len(labels)
    np.testing.assert_allclose(numbers(bank["x"]), frequency, atol=1e-6)
    assert [label.split("  ")[0] for label in bars["y"]] == list(CLASSES)
    second = np.argsort(-found.scores, kind="stable")
    second = next(c for c in second if c != found.predicted)
    words = [str(e.value) for e in at.markdown if str(e.value).startswith("Second")][place]
    assert words == f"Second: {CLASSES[second]}, {100 * found.scores[second]:.0f}%."


def test_the_neighbours_fall_by_rank_in_the_colour_of_their_class(open_page):
    at = open_page(PAGE, near_k="20")
    found = vote(k=20)
    traces = chart(at, 1)["data"]
    for trace in traces:
        rows = found.labels == CLASSES.index(trace["name"])
        np.testing.assert_allclose(numbers(trace["x"]), np.flatnonzero(rows) + 1)
        np.testing.assert_allclose(numbers(trace["y"]), found.similarity[rows], atol=1e-5)
    assert sum(len(numbers(trace["x"])) for trace in traces) == 20
    colours = {trace["marker"]["color"] for trace in traces}
    symbols = {trace["marker"]["symbol"] for trace in traces}
    assert len(colours) == len(symbols) == len(traces) == len(set(found.labels))


def test_both_networks_share_their_axes(open_page):
    at = open_page(PAGE)
    assert chart(at, 1)["layout"]["yaxis"]["range"] == chart(at, 3)["layout"]["yaxis"]["range"]
    low, high = chart(at, 1)["layout"]["yaxis"]["range"]
    least = min(vote(name).similarity[-1] for name in (NAME, OTHER_NAME))
    assert low < least
    assert high > 1
    assert chart(at, 0)["layout"]["xaxis"]["range"] == chart(at, 2)["layout"]["xaxis"]["range"]
    most = max(vote(name).scores.max() for name in (NAME, OTHER_NAME))
    assert chart(at, 0)["layout"]["xaxis"]["range"][1] > most


def test_one_neighbour_decides_alone(open_page):
    at = open_page(PAGE)
    at.select_slider(key="near_k").set_value(1).run()
    found = vote(k=1)
    assert at.metric[0].value == CLASSES[found.labels[0]]
    assert at.metric[1].value == "100%"
    assert said(at, f"nearest {found.similarity[0]:.3f}, last of the k {found.similarity[0]:.3f}")


def test_the_temperature_changes_the_vote_and_not_the_similarities(open_page):
    at = open_page(PAGE)
    ranks = chart(at, 1)["data"]
    for temperature in (0.02, 1.0):
        before = seen(at)
        at.select_slider(key="near_temperature").set_value(temperature).run()
        assert seen(at) != before
        bars = chart(at, 0)["data"][0]
        wanted = vote(temperature=temperature).scores
        np.testing.assert_allclose(numbers(bars["x"]), wanted, atol=1e-5)
    assert chart(at, 1)["data"] == ranks


def test_the_median_is_that_of_the_whole_bank(open_page):
    at = open_page(PAGE, near_k="5")
    middle = np.median(vote().similarity)
    assert said(at, f"median of the whole bank {middle:.3f}**")


def test_k_goes_up_to_the_whole_bank(open_page):
    at = open_page(PAGE)
    assert at.select_slider(key="near_k").value == TRAIN
    assert at.select_slider(key="near_k").options == ["1", "2", "5", "10", "20", "50", str(TRAIN)]


def test_every_k_has_its_answer(open_page):
    table = open_page(PAGE, near_temperature="0.5").dataframe[0].value
    assert list(table["k"]) == ["1", "2", "5", "10", "20", "50", str(TRAIN)]
    for k, one, other in table.itertuples(index=False):
        for name, cell in ((NAME, one), (OTHER_NAME, other)):
            found = vote(name, k=int(k), temperature=0.5)
            share = found.scores[found.predicted]
            assert cell == f"{CLASSES[found.predicted]}, {100 * share:.0f}%"


def test_the_other_network_can_be_chosen(open_page):
    at = open_page(PAGE, near_network="no stop-gradient")
    assert at.metric[0].value == CLASSES[vote(OTHER_NAME).predicted]
    assert list(at.dataframe[0].value.columns)[1] == "no stop-gradient"


def test_every_object_has_neighbours_of_its_own(open_page):
    at = open_page(PAGE)
    before = seen(at)
    at.button_group(key="near_kind").set_value("frog").run()
    assert seen(at) != before
    found = vote(picture=shapes.draw(shapes.Shape(kind="frog")))
    assert at.metric[1].value == f"{100 * found.scores.max():.0f}%"


def test_nothing_chosen_asks_for_a_picture(open_page):
    at = open_page(PAGE, near_from="upload")
    assert said(at, "Choose a picture to start from.")
    assert not at.metric
    content = images.png_bytes(SHIP)
    at.file_uploader(key="near_upload").set_value(("s.png", content, "image/png")).run()
    assert at.metric[0].value == CLASSES[vote().predicted]


# ---------------------------------------------------------------- with the data set


def test_a_test_picture_says_whether_the_vote_is_right(open_page, monkeypatch, objects_folder):
    monkeypatch.setenv("ATELIER_DATA_DIR", str(objects_folder))
    found = data.load_split("cifar10", "test")
    answers = [vote(picture=picture).predicted for picture in found.pictures]
    hits = np.array(answers) == found.labels
    assert hits.any()
    assert not hits.all()
    for index, words in ((int(hits.argmax()), "**right**"), (int(hits.argmin()), "**wrong**")):
        at = open_page(PAGE, near_from="test", near_test=str(index))
        line = next(str(e.value) for e in at.markdown if str(e.value).startswith("Second"))
        assert words in line
        if not hits[index]:
            assert f"the data set says {CLASSES[found.labels[index]]}." in line


def test_without_the_data_set_neighbours_are_words_and_can_be_fetched(open_page):
    at = open_page(PAGE, near_k="5")
    found = vote(k=5)
    words = " · ".join(
        f"{CLASSES[c]} {s:.2f}" for c, s in zip(found.labels, found.similarity, strict=True)
    )
    assert said(at, words) == words
    assert "near_pictures" not in [toggle.key for toggle in at.toggle]
    at.button(key="near_training_download").click().run()
    assert not at.exception
    assert ["could not be reached" in error.value for error in at.error] == [True]


def test_with_the_data_set_the_nearest_pictures_are_shown(open_page, monkeypatch, objects_folder):
    monkeypatch.setenv("ATELIER_DATA_DIR", str(objects_folder))
    drawn = []
    at = open_page(PAGE)
    assert not shown(at)
    from pages.shared import figures

    strip = figures.strip
    monkeypatch.setattr(
        figures,
        "strip",
        lambda pictures, *a, **k: drawn.append(pictures) or strip(pictures, *a, **k),
    )
    at.toggle(key="near_pictures").set_value(True).run()
    assert not at.exception
    assert len(shown(at)) == 2
    trained = data.load_split("cifar10", "train")
    for name, pictures, alt in zip((NAME, OTHER_NAME), drawn, shown(at), strict=True):
        found = vote(name)
        np.testing.assert_array_equal(pictures, trained.pictures[found.index[:12]])
        assert list(trained.labels[found.index]) == list(found.labels)
        nearest = f"{CLASSES[found.labels[0]]} {found.similarity[0]:.2f}"
        assert alt.startswith(f"{ALT}: {nearest}, ")


def test_fewer_neighbours_are_fewer_pictures(open_page, monkeypatch, objects_folder):
    monkeypatch.setenv("ATELIER_DATA_DIR", str(objects_folder))
    at = open_page(PAGE, near_pictures="true", near_k="5")
    assert all(alt.count(",") == 5 for alt in shown(at))
    assert len(shown(at)) == 2


def test_another_training_set_is_not_taken_for_the_runs_own(
    open_page, monkeypatch, tmp_path, write_shard
):
    """Same labels, other pictures."""
    write_split(write_shard, tmp_path, "train", TRAIN, 5)
    monkeypatch.setenv("ATELIER_DATA_DIR", str(tmp_path))
    at = open_page(PAGE, near_pictures="true")
    assert not shown(at)
    assert said(at, "The training set at hand is not the one")
    assert re.search(r"\w+ [01]\.\d\d · ", said(at, " · "))


def test_a_longer_training_set_that_begins_with_the_runs_own_is_taken(
    open_page, monkeypatch, tmp_path, write_shard, objects_folder
):
    """A run may take the first pictures of a split only."""
    own = data_of(monkeypatch, objects_folder)
    more = np.concatenate([own.pictures, own.pictures[:3]])
    source = SOURCES["cifar10"]
    file = tmp_path / source.repo / source.configuration / "train-00000-of-00001.parquet"
    labels = [*own.labels.tolist(), 0, 0, 0]
    write_shard(file, more, labels, source.image_column, source.label_column)
    monkeypatch.setenv("ATELIER_DATA_DIR", str(tmp_path))
    assert len(shown(open_page(PAGE, near_pictures="true"))) == 2


def data_of(monkeypatch, folder):
    monkeypatch.setenv("ATELIER_DATA_DIR", str(folder))
    return data.load_split("cifar10", "train")


def test_classes_are_called_in_the_visitors_language(open_page):
    at = open_page(PAGE, lang="fr")
    assert not at.error
    labels = [label.split("  ")[0] for label in chart(at, 0)["data"][0]["y"]]
    assert labels == [in_language(name, "fr") for name in CLASSES]

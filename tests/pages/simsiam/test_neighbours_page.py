"""Neighbours: the vote, its figures and its pictures are those of the stored bank."""

import base64
import io
import json
import re
import shutil
from html import unescape

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from core.bundles.bundle import read_bundle
from core.bundles.manifest import register
from core.errors import AtelierError
from core.pictures import data, images, shapes
from core.pictures.data import SOURCES
from core.simsiam.explorer import SimSiamExplorer
from pages.shared import library, loaders, picking
from pages.shared.text import in_language
from pages.simsiam import neighbours
from pages.simsiam.neighbours import VOTED
from pages.simsiam.parts import nearest, networks
from tests.pages.sentences import like, refusal
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


@pytest.fixture(autouse=True)
def tiny_networks(networks_folder, monkeypatch):
    monkeypatch.setenv("ATELIER_CHECKPOINTS", str(networks_folder))


def vote(name=NAME, picture=SHIP, k=TRAIN, temperature=0.1):
    return loaders.simsiam(name).vote(picture, k, temperature)


def untrained(data_set):
    """What the network before training makes of all pictures that it was trained on."""
    return loaders.simsiam(NAME).features(data_set.pictures, trained=False)


def numbers(values):
    """Numbers of a chart, which travel as bytes."""
    if isinstance(values, dict):
        decoded = np.frombuffer(base64.b64decode(values["bdata"]), values["dtype"])
        return decoded.astype(float)
    return np.array(values, dtype=float)


def chart(at, place):
    return json.loads(at.get("plotly_chart")[place].proto.spec)


def said(at, sentence, **values):
    """The text with that sentence in it."""
    texts = [*at.markdown, *at.info, *at.caption, *at.error]
    wanted = like(sentence, **values)
    return next((str(e.value) for e in texts if wanted.search(str(e.value))), "")


GROUP = re.compile(
    r'<div class="title">([^<]*)</div><div class="tiles">(.*?)</div><div class="said">'
)
TILE = re.compile(r'(?:alt|aria-label)="(\d+): ([^,]*), similarity ([^"]*)"')


def grid(at):
    """What stands on the first screen, as it is sent."""
    (found,) = [html.proto.body for html in at.get("html") if 'class="near"' in html.proto.body]
    return found


def groups(at):
    """Of every network, by its title: rank, class and similarity of every picture."""
    return {
        unescape(title): [
            (int(rank), name, float(similarity)) for rank, name, similarity in TILE.findall(body)
        ]
        for title, body in GROUP.findall(grid(at))
    }


def sent_pictures(at):
    """Of every network, by its title, its pictures (12, 32, 32, 3)."""
    return {
        unescape(title): np.stack(
            [
                np.asarray(Image.open(io.BytesIO(base64.b64decode(one))))
                for one in re.findall(r'src="data:image/png;base64,([^"]*)"', body)
            ]
        )
        for title, body in GROUP.findall(grid(at))
        if "<img" in body
    }


def seen(at):
    charts = [chart_.proto.spec for chart_ in at.get("plotly_chart")]
    return charts, [m.value for m in at.metric], at.dataframe[0].value.to_csv(), grid(at)


# ---------------------------------------------------------------- the vote


@pytest.mark.parametrize(("place", "name"), [(0, NAME), (1, OTHER_NAME)])
def test_the_vote_is_that_of_the_bank(open_page, place, name):
    at = open_page(PAGE)
    found = vote(name)
    assert at.metric[place].value == CLASSES[found.predicted]
    bars, bank = chart(at, place)["data"]
    np.testing.assert_allclose(numbers(bars["x"]), found.scores, atol=1e-5)
    labels = library.bundle(name).profiles["bank_labels"]
    frequency = np.bincount(labels.astype(int), minlength=10) / len(labels)
    np.testing.assert_allclose(numbers(bank["x"]), frequency, atol=1e-6)
    assert [label.split("  ")[0] for label in bars["y"]] == list(CLASSES)
    second = np.argsort(-found.scores, kind="stable")
    second = next(c for c in second if c != found.predicted)
    words = [str(e.value) for e in at.markdown if like(VOTED).match(str(e.value))][place]
    share, other = (f"{share:.0%}" for share in (found.scores.max(), found.scores[second]))
    assert words == VOTED.format(share=share, name=CLASSES[second], other=other)


def test_similarity_falls_by_rank(open_page):
    at = open_page(PAGE, near_k="20")
    traces = chart(at, 2)["data"]
    assert [trace["name"] for trace in traces] == ["SimSiam (baseline)", "no stop-gradient"]
    for trace, name in zip(traces, (NAME, OTHER_NAME), strict=True):
        np.testing.assert_allclose(numbers(trace["x"]), np.arange(1, 21))
        np.testing.assert_allclose(numbers(trace["y"]), vote(name, k=20).similarity, atol=1e-5)
    low, high = chart(at, 2)["layout"]["yaxis"]["range"]
    assert low < min(vote(name, k=20).similarity[-1] for name in (NAME, OTHER_NAME))
    assert high > 1


def test_all_networks_share_their_axis(open_page):
    at = open_page(PAGE)
    assert chart(at, 0)["layout"]["xaxis"]["range"] == chart(at, 1)["layout"]["xaxis"]["range"]
    most = max(vote(name).scores.max() for name in (NAME, OTHER_NAME))
    assert chart(at, 0)["layout"]["xaxis"]["range"][1] > most


def test_one_neighbour_decides_alone(open_page):
    at = open_page(PAGE)
    at.select_slider(key="near_k").set_value(1).run()
    found = vote(k=1)
    assert at.metric[0].value == CLASSES[found.labels[0]]
    assert said(at, VOTED, share="100%")
    alone = f"{found.similarity[0]:.3f}"
    assert said(at, neighbours.HOW_NEAR, first=alone, last=alone)


def test_the_temperature_changes_the_vote_and_not_the_similarities(open_page):
    at = open_page(PAGE)
    ranks = chart(at, 2)["data"]
    for temperature in (0.02, 1.0):
        before = seen(at)
        at.select_slider(key="near_temperature").set_value(temperature).run()
        assert seen(at) != before
        bars = chart(at, 0)["data"][0]
        wanted = vote(temperature=temperature).scores
        np.testing.assert_allclose(numbers(bars["x"]), wanted, atol=1e-5)
    assert chart(at, 2)["data"] == ranks


def test_the_median_is_that_of_the_whole_bank(open_page):
    at = open_page(PAGE, near_k="5")
    middle = np.median(vote().similarity)
    assert said(at, neighbours.HOW_NEAR, middle=f"{middle:.3f}")


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
    assert said(at, VOTED, share=f"{found.scores.max():.0%}")


def test_the_next_picture_is_one_click_away(open_page):
    at = open_page(PAGE)
    at.button(key="near_next").click().run()
    assert at.button_group(key="near_kind").value == list(picking.KINDS)[1]
    assert groups(at)["SimSiam (baseline)"] == tiles(
        vote(picture=shapes.draw(shapes.Shape(kind=list(picking.KINDS)[1])), k=12)
    )


def test_nothing_chosen_asks_for_a_picture(open_page):
    at = open_page(PAGE, near_from="upload")
    assert said(at, picking.WANTED)
    assert not at.metric
    content = images.png_bytes(SHIP)
    at.file_uploader(key="near_upload").set_value(("s.png", content, "image/png")).run()
    assert at.metric[0].value == CLASSES[vote().predicted]


# ---------------------------------------------------------------- the nearest themselves


def tiles(found):
    """What the tiles of a vote say."""
    return [
        (rank + 1, CLASSES[label], round(float(similarity), 2))
        for rank, (label, similarity) in enumerate(zip(found.labels, found.similarity, strict=True))
    ]


def test_without_the_data_set_the_nearest_are_classes_and_can_be_fetched(open_page):
    at = open_page(PAGE, near_k="5")
    shown = groups(at)
    assert list(shown) == ["SimSiam (baseline)", "no stop-gradient"]
    for title, name in zip(shown, (NAME, OTHER_NAME), strict=True):
        assert shown[title] == tiles(vote(name, k=12))
    assert not sent_pictures(at)
    assert said(at, neighbours.NO_PICTURES_NOR_BEFORE)
    at.button(key="near_training_download").click().run()
    assert not at.exception
    assert [bool(refusal("hub-unreachable").search(error.value)) for error in at.error] == [True]


@pytest.fixture
def with_data(monkeypatch, objects_folder):
    return data_of(monkeypatch, objects_folder)


def test_with_the_data_set_the_nearest_pictures_of_all_networks_are_shown(open_page, with_data):
    at = open_page(PAGE, near_from="shape")
    bank = untrained(with_data)
    before = loaders.simsiam(NAME).vote(SHIP, 12, 0.1, untrained_bank=bank)
    wanted = {
        "SimSiam (baseline)": vote(k=12),
        "no stop-gradient": vote(OTHER_NAME, k=12),
        nearest.BEFORE_TRAINING: before,
    }
    shown, pictures = groups(at), sent_pictures(at)
    assert list(shown) == list(pictures) == list(wanted)
    for title, found in wanted.items():
        assert shown[title] == tiles(found)
        np.testing.assert_array_equal(pictures[title], with_data.pictures[found.index])
    assert not at.button(key="near_next").disabled
    assert "near_training_download" not in [button.key for button in at.button]


def test_the_untrained_network_votes_with_its_own_features(open_page, with_data):
    """Computed here by hand: cosines, weights, the sum by class."""
    at = open_page(PAGE, near_from="shape", near_k="20", near_temperature="0.5")
    bank = untrained(with_data).astype(float)
    h = loaders.simsiam(NAME).features(SHIP[None], trained=False)[0].astype(float)
    cosines = bank @ h / np.linalg.norm(bank, axis=1) / np.linalg.norm(h)
    first = np.argsort(-cosines, kind="stable")[:20]
    weights = np.exp(cosines[first] / 0.5)
    scores = np.bincount(with_data.labels[first], weights / weights.sum(), minlength=10)
    bars = chart(at, 2)["data"][0]
    np.testing.assert_allclose(numbers(bars["x"]), scores, atol=1e-4)
    assert at.metric[2].value == CLASSES[scores.argmax()]
    line = chart(at, 3)["data"][2]
    np.testing.assert_allclose(numbers(line["y"]), cosines[first], atol=1e-5)
    cell = at.dataframe[0].value[nearest.BEFORE_TRAINING][4]  # k = 20
    assert cell == f"{CLASSES[scores.argmax()]}, {100 * scores.max():.0f}%"


def test_what_the_untrained_network_makes_of_the_bank_is_computed_once(
    open_page, with_data, monkeypatch
):
    open_page(PAGE)
    asked = []
    monkeypatch.setattr(networks, "_of_bank", lambda *a: asked.append(a))
    open_page(PAGE)
    assert not asked


def test_the_table_of_k_is_asked_of_the_networks_once_for_all_visitors(open_page, monkeypatch):
    asked, vote_ = [], SimSiamExplorer.vote

    def counting(explorer, picture, k, temperature, **more):
        asked.append((k, temperature))
        return vote_(explorer, picture, k, temperature, **more)

    monkeypatch.setattr(SimSiamExplorer, "vote", counting)
    at = open_page(PAGE)
    table = at.dataframe[0].value
    assert len(asked) >= 2 * len(table)
    asked.clear()
    again = open_page(PAGE)
    pd.testing.assert_frame_equal(again.dataframe[0].value, table)
    assert not asked
    again.select_slider(key="near_temperature").set_value(1.0).run()
    assert len([k for k, temperature in asked if temperature == 1.0]) == 2 * (len(table) + 1)


def test_how_many_of_the_nearest_are_of_its_class(open_page, with_data):
    found = data.load_split("cifar10", "test")
    at = open_page(PAGE, near_from="test", near_test="4")
    label = found.labels[4]
    near = vote(picture=found.pictures[4], k=12)
    count = (near.labels == label).sum()
    words = nearest.OF_ITS_CLASS.format(count=count, shown=12, name=CLASSES[label])
    assert words in unescape(grid(at))
    words = nearest.CLASSES_AMONG.format(count=len(set(vote(k=12).labels)), shown=12)
    assert words in grid(open_page(PAGE, near_from="shape"))


def test_a_test_picture_says_whether_the_vote_is_right(open_page, with_data):
    found = data.load_split("cifar10", "test")
    answers = [vote(picture=picture).predicted for picture in found.pictures]
    hits = np.array(answers) == found.labels
    assert hits.any()
    assert not hits.all()
    for index in (int(hits.argmax()), int(hits.argmin())):
        at = open_page(PAGE, near_from="test", near_test=str(index))
        line = next(str(e.value) for e in at.markdown if like(VOTED).match(str(e.value)))
        wrong = neighbours.WRONG.format(name=CLASSES[found.labels[index]])
        assert line.endswith(neighbours.RIGHT if hits[index] else wrong)
        column = at.dataframe[0].value["SimSiam (baseline)"]
        assert column.iloc[-1].endswith(" ✓" if hits[index] else " ✗")  # k: the whole bank


def test_the_accuracy_over_the_test_set_stands_below(open_page):
    over = {"pictures": 36, "k": 5, "temperature": "0.10", "bank": 40}
    words = said(open_page(PAGE), neighbours.OVER_THE_TEST_SET, **over)
    for name in (NAME, OTHER_NAME):
        accuracy = loaders.run(name).figures["test_knn_accuracy"]
        assert f"**{100 * accuracy[-1]:.0f}%**" in words
    before = 100 * loaders.run(NAME).figures["test_knn_accuracy"][0]
    before = {"name": nearest.BEFORE_TRAINING, "share": f"{before:.0f}%"}
    assert neighbours.RIGHT_FOR.format(**before) in words


def test_another_training_set_is_not_taken_for_the_runs_own(
    open_page, monkeypatch, tmp_path, write_shard
):
    """Same labels, other pictures."""
    write_split(write_shard, tmp_path, "train", TRAIN, 5)
    monkeypatch.setenv("ATELIER_DATA_DIR", str(tmp_path))
    at = open_page(PAGE)
    assert not sent_pictures(at)
    assert said(at, neighbours.OTHER_TRAINING_SET)
    assert groups(at)["SimSiam (baseline)"] == tiles(vote(k=12))


def test_an_error_is_not_taken_for_another_training_set(open_page, with_data, monkeypatch):
    def broken(*asked):
        raise AtelierError("data-damaged", "The file is damaged.")

    monkeypatch.setattr(networks, "_of_bank", broken)
    at = open_page(PAGE)
    assert at.error
    assert not said(at, neighbours.OTHER_TRAINING_SET)


def test_a_run_that_began_with_other_weights_has_no_untrained_network(
    open_page, with_data, monkeypatch, tmp_path, networks_folder
):
    (tmp_path / "manifest.json").write_text('{"format": 1, "bundles": []}')
    for name in (NAME, OTHER_NAME):
        shutil.copytree(networks_folder / name, tmp_path / name)
        file = tmp_path / name / "config.json"
        config = json.loads(file.read_text())
        config["training"]["ancestors"] = [{"name": "the-first", "epochs": 7}]
        file.write_text(json.dumps(config))
        written = read_bundle(tmp_path / name)
        register(tmp_path / "manifest.json", written, name=name, title=name)
    monkeypatch.setenv("ATELIER_CHECKPOINTS", str(tmp_path))
    at = open_page(PAGE)
    assert list(groups(at)) == ["SimSiam (baseline)", "no stop-gradient"]
    assert len(sent_pictures(at)) == 2
    assert not said(at, nearest.BEFORE_TRAINING)
    assert not said(at, neighbours.OTHER_TRAINING_SET)


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
    at = open_page(PAGE)
    assert len(sent_pictures(at)) == 3


def test_a_link_to_a_test_picture_says_that_it_is_not_here(open_page):
    at = open_page(PAGE, near_from="test", near_test="3")
    assert ["test picture 3" in str(e.value) for e in at.warning] == [True]
    assert at.query_params["near_from"] == "test"


def test_one_network_stands_alone(open_page, networks_folder, monkeypatch, tmp_path):
    raw = json.loads((networks_folder / "manifest.json").read_text())
    raw["bundles"] = [entry for entry in raw["bundles"] if entry["name"] == NAME]
    (tmp_path / NAME).symlink_to(networks_folder / NAME)
    (tmp_path / "manifest.json").write_text(json.dumps(raw))
    monkeypatch.setenv("ATELIER_CHECKPOINTS", str(tmp_path))
    at = open_page(PAGE)
    assert list(groups(at)) == ["SimSiam (baseline)"]
    assert len(at.metric) == 1


def data_of(monkeypatch, folder):
    monkeypatch.setenv("ATELIER_DATA_DIR", str(folder))
    return data.load_split("cifar10", "train")


def test_classes_are_called_in_the_visitors_language(open_page):
    at = open_page(PAGE, lang="fr")
    assert not at.error
    labels = [label.split("  ")[0] for label in chart(at, 0)["data"][0]["y"]]
    assert labels == [in_language(name, "fr") for name in CLASSES]

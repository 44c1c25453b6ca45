"""The page on collapse: every curve, figure and verdict is that of the runs on the screen."""

from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from core.bundles import bundle as bundles
from core.bundles.manifest import register
from core.families import read_manifest
from core.pictures.data import SOURCES
from core.simsiam.byol import BYOLConfig
from core.simsiam.run_record import RIGHT, read_run
from pages.shared import site
from pages.shared.text import in_language
from pages.simsiam import collapse
from pages.simsiam.parts import dim_and_batch, evidence, findings, run_charts, runs, verdicts
from tests import library
from tests.narrow import without_onednn
from tests.pages.drawn import charts
from tests.pages.opening import answered, checked, components, moved
from tests.pages.sentences import like
from train.release import embed
from train.simsiam import trainer as training
from train.simsiam.diagnosis import Protocol

PAGE = "collapse"
TRAINED = ("baseline", "no-stop-gradient")
SIZE = replace(
    training.EMBEDDING_PRESETS["narrow"],
    width=2,
    stem="strided",
    hidden=12,
    dim=16,
    predictor_hidden=6,
)
EPOCHS = 3
COLLAPSED = {
    "train_loss": -0.99,
    "test_knn_accuracy": 0.05,
    "test_std_z": 0.01,
    "test_rank_z": 1.5,
}


# ---------------------------------------------------------------- tiny runs


@pytest.fixture(scope="session")
def tiny_runs(make_digits, write_shard, tmp_path_factory):
    """Two trained runs; records made of them that collapse, are wider, and have another loss; and
    one that is an epoch longer and is not to be mixed with the others.
    """
    root = tmp_path_factory.mktemp("runs")
    source = SOURCES["cifar10"]
    columns = source.image_column, source.label_column
    for split, count, seed in (("train", 48, 0), ("test", 40, 1)):
        file = root / source.repo / source.configuration / f"{split}-00000-of-00001.parquet"
        write_shard(file, *make_digits(count, seed), *columns)
    folder = root / "checkpoints"
    folder.mkdir()
    (folder / "manifest.json").write_text('{"format": 1, "bundles": []}')
    first, _other = [trained(root, folder, recipe) for recipe in TRAINED]
    derive(first, folder, "no-predictor", figures=COLLAPSED, stretch=2)
    derive(first, folder, "dim-4096", architecture={"dim": 64})
    byol = {"method": "byol", **replace(BYOLConfig(), **SIZE.plain()).plain()}
    derive(first, folder, "byol", architecture=byol, figures={"train_loss": 3.0})
    derive(first, folder, "neither", figures=COLLAPSED, name="run-longer", epochs=EPOCHS + 1)
    return folder


def trained(root, folder, recipe):
    settings = training.SimSiamTraining(
        recipe=recipe,
        epochs=EPOCHS,
        batch_size=16,
        learning_rate=0.5,
        protocol=Protocol(spread=30, queries=36, bank=40, k=5),
    )
    with without_onednn(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("ATELIER_DATA_DIR", str(root))
        config = training.named_config(training.ABLATIONS[recipe], SIZE)
        bundle = training.start(root / recipe, config, settings, device=torch.device("cpu"))
    name = f"run-{recipe}"
    request = Namespace(bundle=bundle, name=name, title=name, record=True, checkpoints=folder)
    embed.main(request)
    return bundles.read_bundle(folder / name)


def derive(
    of, folder, recipe, *, architecture=None, figures=None, stretch=1, name=None, epochs=EPOCHS
):
    """A record like ``of`` that differs in its architecture, in its figures after epoch 0, or in
    the size of its maps.
    """
    name = name or f"run-{recipe}"
    parts = {**of.config["architecture"], **(architecture or {})}
    if parts["method"] != "simsiam":
        parts = architecture
    config = {**of.config, "architecture": parts}
    config["training"] = {**config["training"], "recipe": recipe}
    history = [{**row, **(figures or {})} for row in of.history]
    history += [{**history[-1], "epoch": epoch} for epoch in range(EPOCHS + 1, epochs + 1)]
    repeats = [1] * EPOCHS + [1 + epochs - EPOCHS]
    profiles = {
        key: array
        if len(array) != EPOCHS + 1  # of the test pictures, not by epoch
        else np.repeat(array * (stretch if "map" in key else 1), repeats, axis=0).astype(np.float16)
        for key, array in of.profiles.items()
        if key not in RIGHT.values()  # which pictures were right goes with the figures that change
    }
    bundles.write_bundle(
        folder / name,
        config=config,
        weights=None,
        history=history,
        metrics=of.metrics,
        profiles=profiles,
        golden=None,
        progress={},
        card=of.card,
    )
    written = bundles.read_bundle(folder / name)
    register(folder / "manifest.json", written, name=name, title=name)


@pytest.fixture
def records(tiny_runs):
    manifest = read_manifest(tiny_runs / "manifest.json")
    found = [read_run(manifest.open(entry.name)) for entry in manifest.of_family("simsiam")]
    return {record.recipe: record for record in found}


@pytest.fixture
def open_collapse(open_page, tiny_runs, monkeypatch):
    monkeypatch.setenv("ATELIER_CHECKPOINTS", str(tiny_runs))
    return lambda **query: open_page(PAGE, **query)


# ---------------------------------------------------------------- what is on the screen


def chart(at, key):
    return charts(at).get(key)


def curves(at, key):
    return chart(at, key).y


def epoch(at):
    return at.session_state["collapse_epoch"]


def said(at, sentence, **values):
    """The text with that sentence in it."""
    shown = [*at.markdown, *at.info, *at.caption, *at.error]
    wanted = like(sentence, **values)
    return next((str(e.value) for e in shown if wanted.search(str(e.value))), "")


def rows(at):
    return at.dataframe[0].value


def more(at):
    """The page with its further measures unfolded."""
    at.session_state["collapse_more"] = True
    return checked(at.run())


def same(shown, expected):
    np.testing.assert_allclose(shown, expected, rtol=1e-6)
    return True


# ---------------------------------------------------------------- curves


def test_every_curve_is_the_run_whose_name_it_bears(open_collapse, records):
    at = more(open_collapse())
    names = {"baseline": "SimSiam (baseline)", "no-stop-gradient": "no stop-gradient"}
    columns = {
        "collapse_loss": "train_loss",
        "collapse_knn": "test_knn_accuracy",
        "collapse_std": "test_std_z",
        "collapse_rank": "test_rank_z",
        "collapse_variance": "test_variance_z",
        "collapse_alignment": "test_alignment",
        "collapse_uniformity": "test_uniformity",
    }
    for key, column in columns.items():
        shown = curves(at, key)
        for recipe, name in names.items():
            assert same(shown[name], records[recipe].figures[column])
        assert chart(at, key).spec["along"]
        assert chart(at, key).spec["timeline"] == "collapse_epoch"
        caption = said(at, f"run-baseline · {records['baseline'].bundle.digest}")
        assert records["no-stop-gradient"].bundle.digest in caption
    before = records["baseline"].figures["test_knn_accuracy"][0]
    assert chart(at, "collapse_knn").levels == {f"random weights: {100 * before:.1f}%": before}
    levels = chart(at, "collapse_std").levels
    assert levels == {"1/√d = 0.2500: isotropic": 16**-0.5, "0: collapsed": 0}
    assert epoch(at) == EPOCHS


def test_every_epoch_is_sent_once_and_moves_everything(open_collapse, records):
    at = more(open_collapse(collapse_epoch="1"))
    first, second = records["baseline"], records["no-stop-gradient"]
    sent = {key: one.spec for key, one in charts(at).items()}
    spectrum = curves(at, "collapse_spectrum")["no stop-gradient"]
    assert same(spectrum, np.where(second.spectra["z"] > 0, second.spectra["z"], np.nan))
    shown = chart(at, "collapse_plane_1").points
    assert list(shown)[:3] == ["airplane", "automobile", "bird"]
    for c, name in enumerate(shown):
        assert same(shown[name], first.maps["z"][:, first.labels == c])
    for one in chart(at, "collapse_plane_1").spec["series"]:
        assert one["stops"] == list(range(EPOCHS + 1))
    for now in (1, 2):
        moved(at, "collapse_epoch", now)
        assert rows(at)["loss"].tolist() == [
            f"{r.figures['train_loss'][now]:.3f}".replace("-", "\N{MINUS SIGN}")
            for r in (first, second)
        ]
        assert rows(at)["rank of z"].tolist() == [
            f"{r.figures['test_rank_z'][now]:.1f}" for r in (first, second)
        ]
        assert said(at, f"epoch: {now}")
        assert "".join(at.query_params["collapse_epoch"]) == str(now)
    moved(at, "collapse_epoch", 0)
    assert rows(at)["loss"].tolist() == ["–", "–"]
    assert not any(said(at, words) for words in verdicts.KNN_WORDS.values())
    assert {key: one.spec for key, one in charts(at).items()} == sent


def test_z_or_h(open_collapse, records):
    at = more(open_collapse())
    std, knn = (chart(at, f"collapse_{key}").spec for key in ("std", "knn"))
    reach = chart(at, "collapse_plane_1").spec["x"]["high"]
    at.button_group(key="collapse_layer").set_value("h").run()
    record = records["baseline"]
    name = "SimSiam (baseline)"
    assert same(curves(at, "collapse_rank")[name], record.figures["test_rank_h"])
    assert same(curves(at, "collapse_variance")[name], record.figures["test_variance_h"])
    values = record.spectra["h"]
    assert same(curves(at, "collapse_spectrum")[name], np.where(values > 0, values, np.nan))
    plane = chart(at, "collapse_plane_1")
    assert same(plane.points["bird"], record.maps["h"][:, record.labels == 2])
    assert plane.spec["x"]["high"] != reach
    assert [chart(at, f"collapse_{key}").spec for key in ("std", "knn")] == [std, knn]


# ---------------------------------------------------------------- which runs


def test_runs_are_chosen_from_a_list_and_by_one_click(open_collapse, records):
    at = open_collapse()
    preset = at.selectbox(key="collapse_preset")
    assert preset.options == [collapse.PRESETS[code][0] for code in ("stop", "predictor", "dim")]
    assert preset.value == "stop"
    at.multiselect(key="collapse_runs").set_value(["no-predictor", "baseline"]).run()
    assert rows(at)["run"].tolist() == [
        "SimSiam (baseline)",
        "no predictor",
    ]
    preset = at.selectbox(key="collapse_preset")
    assert preset.value == "predictor"
    preset.select(collapse.PRESETS["stop"][0]).run()
    assert at.multiselect(key="collapse_runs").value == list(TRAINED)
    assert len(rows(at)) == 2
    at.multiselect(key="collapse_runs").set_value([]).run()
    assert said(at, collapse.CHOOSE_A_RUN)
    assert not charts(at)
    assert not at.exception


@pytest.mark.parametrize("language", ["en", "fr"])
def test_a_link_restores_the_runs_in_either_language(open_collapse, language):
    stop, byol = (runs.LOOKS[recipe].name for recipe in ("no-stop-gradient", "byol"))
    link = [in_language(stop, "fr"), byol, "no-predictor", "%%garbage"]
    at = open_collapse(lang=language, collapse_runs=link)
    chosen = {"no-stop-gradient", "no-predictor", "byol"}
    assert set(at.multiselect(key="collapse_runs").value) == chosen
    assert len(rows(at)) == 3


def test_the_choice_of_runs_survives_a_change_of_language(open_collapse):
    at = open_collapse(collapse_runs=["no-stop-gradient", "byol"])
    at.button_group(key="language_widget").set_value("fr").run()
    assert set(at.multiselect(key="collapse_runs").value) == {"no-stop-gradient", "byol"}
    assert len(rows(at)) == 2


def test_garbage_in_the_link_leaves_the_default(open_collapse):
    at = open_collapse(collapse_runs="%%garbage", collapse_epoch="x", collapse_share="y")
    assert at.multiselect(key="collapse_runs").value == list(TRAINED)
    assert not at.error


def test_another_d_is_drawn_times_its_root_and_said(open_collapse, records):
    at = more(open_collapse())
    assert not said(at, collapse.OTHER_DIMS)
    at.selectbox(key="collapse_preset").select(collapse.PRESETS["dim"][0]).run()
    assert said(at, collapse.OTHER_DIMS)
    shown = curves(at, "collapse_std")
    for recipe, name, root in (("baseline", "SimSiam (baseline)", 4), ("dim-4096", "d = 4096", 8)):
        expected = root * records[recipe].figures["test_std_z"]
        assert same(shown[name], expected)
        assert f"{expected[-1]:.2f}" in rows(at)["std(z) √d"].tolist()
    assert chart(at, "collapse_std").levels["1: isotropic"] == 1


def test_another_loss_is_not_drawn_over_this_one(open_collapse, records):
    at = open_collapse(collapse_runs=["baseline", "byol"])
    name = "BYOL"
    assert name not in curves(at, "collapse_loss")
    assert name in curves(at, "collapse_knn")
    assert said(at, collapse.OTHER_LOSSES) == collapse.OTHER_LOSSES.format(runs="BYOL")
    at.multiselect(key="collapse_runs").set_value(["byol"]).run()
    assert chart(at, "collapse_loss") is None
    assert at.selectbox(key="collapse_preset").value == "own"


def test_runs_of_different_length_are_never_mixed(open_collapse):
    at = open_collapse()
    assert epoch(at) == 3
    offered = at.selectbox(key="collapse_set")
    offered.select(next(one for one in offered.options if "4 epochs" in one)).run()
    assert at.multiselect(key="collapse_runs").value == ["neither"]
    absent = findings.NOT_HERE.format(runs="SimSiam (baseline); no stop-gradient")
    assert said(at, findings.NOT_HERE) == absent
    assert epoch(at) == 4  # what stood at its end stands at the end
    assert epoch(moved(at, "collapse_epoch", 2)) == 2
    assert not said(at, findings.NOT_HERE)
    assert said(at, verdicts.STATE_WORDS["collapsed"])  # no baseline is needed to say so
    assert chart(at, "collapse_plane_2") is None


# ---------------------------------------------------------------- maps


def test_maps_show_the_chosen_runs_on_the_same_axes(open_collapse, records):
    at = open_collapse(collapse_runs=["baseline", "no-stop-gradient", "no-predictor"])
    for place, recipe in ((1, "no-stop-gradient"), (2, "baseline")):
        at.button_group(key=f"collapse_map_{place}").set_value(recipe).run()
    axes = []
    for place, recipe in ((1, "no-stop-gradient"), (2, "baseline")):
        record = records[recipe]
        plane = chart(at, f"collapse_plane_{place}")
        assert same(plane.points["cat"], record.maps["z"][:, record.labels == 3])
        axes += [(plane.spec[axis]["low"], plane.spec[axis]["high"]) for axis in "xy"]
    assert len(set(axes)) == 1
    farthest = max(np.abs(records[recipe].maps["z"]).max() for recipe in TRAINED)
    assert axes[0][1] == pytest.approx(1.05 * farthest)
    drawn = chart(at, "collapse_plane_1").spec["series"]
    looks = {(one["colour"], one["symbol"]) for one in drawn}
    assert len(looks) == len({colour for colour, _shape in looks}) == 10
    assert len({shape for _colour, shape in looks}) == 10


# ---------------------------------------------------------------- verdicts


def test_the_rule_and_its_threshold(open_collapse, records):
    at = open_collapse(collapse_runs=["baseline", "no-predictor"])
    assert rows(at)["state"].tolist() == ["spread out", "collapsed"]
    assert rows(at)["rank low"].tolist() == ["–", "✓"]
    start = records["no-predictor"].figures["test_rank_z"][0]
    words = said(at, verdicts.STATE_WORDS["collapsed"])
    assert f"→ 0.04 ✓, effective rank {start:.1f} → 1.5 ✓" in words
    assert like(verdicts.KNN_WORDS["below"], accuracy="5.0%", before="25.0%").search(words)
    at.slider(key="collapse_share").set_value(0.05).run()
    assert 0.05 * start < 1.5
    assert rows(at)["state"].tolist() == ["spread out", "partly collapsed"]
    assert rows(at)["spread low"].tolist() == ["–", "✓"]
    assert said(at, f"rule: {verdicts.RULE}", share="5%")


def test_a_low_loss_is_not_good_news(open_collapse, records):
    at = open_collapse()
    assert not said(at, verdicts.NOT_THE_BETTER)
    answered(at, "collapse_low_loss")
    assert not said(at, verdicts.NOT_THE_BETTER)
    learnt = altered(records["baseline"], test_knn_accuracy=[0.1, 0.3, 0.6, 0.9])
    collapsed = records["no-predictor"]

    def pair_of(*ends):
        sets = [
            {"baseline": altered(learnt, train_loss=[np.nan, -0.5, -0.6, end]), "none": collapsed}
            for end in ends
        ]
        return verdicts.telling_pair([{"byol": records["byol"]}, *sets])

    assert pair_of(-0.995) is None  # the better network has the lower loss
    good, bad = pair = pair_of(-0.7, -0.9, -0.8)
    assert bad is collapsed
    assert good.figures["train_loss"][-1] == -0.9
    words, options = verdicts.loss_question(pair)
    assert "\N{MINUS SIGN}0.99" in words
    assert options["lower"] == verdicts.THAT_WITH.format(loss="\N{MINUS SIGN}0.99")
    assert options["higher"] == verdicts.THAT_WITH.format(loss="\N{MINUS SIGN}0.90")


def test_why_a_low_loss_says_little_follows_the_visitors_answer(open_collapse):
    at = open_collapse()
    assert not said(at, verdicts.AGREEMENT)
    at = answered(at, "collapse_low_loss", "either")
    assert said(at, verdicts.AGREEMENT)


EMBEDDED = Path(__file__).parents[3] / "checkpoints"


def test_another_pair_is_asked_about_anew(open_page, monkeypatch):
    monkeypatch.setenv("ATELIER_CHECKPOINTS", str(EMBEDDED))
    at = answered(open_page(PAGE), "collapse_low_loss", "lower")
    assert said(at, verdicts.NOT_THE_BETTER)
    assert said(at, verdicts.PAIR_ENDS["shown"], low="−0.99", high="−0.84")
    offered = at.selectbox(key="collapse_set")
    at = checked(offered.select(next(one for one in offered.options if "width 8" in one)).run())
    assert " −0.5" in said(at, verdicts.PAIR_ENDS["shown"], low="−0.99")
    assert at.button_group(key="collapse_low_loss_own").value is None
    assert not said(at, verdicts.NOT_THE_BETTER)


def test_runs_on_the_screen_are_asked_about_before_others(records):
    learnt = {"train_loss": [np.nan, -0.7, -0.7, -0.7], "test_knn_accuracy": [0.1, 0.9, 0.9, 0.9]}
    good = altered(records["baseline"], **learnt)
    other = altered(records["dim-4096"], **learnt)
    found = {"dim-4096": other, "baseline": good, "no-predictor": records["no-predictor"]}
    assert verdicts.telling_pair([found])[0] is good
    assert verdicts.telling_pair([found], [other])[0] is other
    shown = [good, records["no-predictor"]]
    words, _options = verdicts.loss_question(verdicts.telling_pair([found], shown), shown)
    assert like(verdicts.PAIR_ENDS["shown"]).fullmatch(words)


def test_the_page_begins_with_the_best_set_that_holds_its_runs(open_page, monkeypatch):
    monkeypatch.setenv("ATELIER_CHECKPOINTS", str(EMBEDDED))
    (item,) = [one for items in site.ASSIGNMENT.values() for one in items if one.number == "3.4"]
    at = open_page(item.page.name, **item.query)
    assert said(at, collapse.FEWER_EPOCHS, count=34, asked=100)
    at.selectbox(key="collapse_preset").select(collapse.PRESETS["predictor"][0]).run()
    assert said(at, collapse.FEWER_EPOCHS, count=20, asked=100)
    assert set(at.multiselect(key="collapse_runs").value) == {"baseline", "no-predictor"}
    assert not said(at, findings.NOT_HERE)
    at = open_page(item.page.name, collapse_runs=["baseline", "dim-4096"])
    assert said(at, collapse.FEWER_EPOCHS, count=20)
    chart_of = chart(at, "collapse_knn")
    assert chart_of.spec["y"]["digits"] == 1


def test_more_than_two_runs_have_a_map_each(open_collapse):
    at = open_collapse(collapse_runs=["baseline", "no-stop-gradient", "no-predictor"])
    keys = ("collapse_clouds", "collapse_clouds_2", "collapse_clouds_3")
    assert [list(chart(at, key).points) for key in keys] == [
        ["SimSiam (baseline)"],
        ["no stop-gradient"],
        ["no predictor"],
    ]
    assert len({chart(at, key).spec["x"]["high"] for key in keys}) == 1


def test_a_view_of_the_map_alone_has_the_map_of_every_run(open_collapse):
    recipes = ["baseline", "no-stop-gradient", "no-predictor"]
    at = open_collapse(figures="collapse_clouds", keep="", collapse_runs=recipes)
    shown = [key for key in components(at) if key.startswith("collapse_clouds")]
    assert set(shown) == {"collapse_clouds", "collapse_clouds_2", "collapse_clouds_3"}


def test_a_pair_of_another_set_is_said_to_be_one(records):
    pair = (records["baseline"], records["no-predictor"])
    here, _options = verdicts.loss_question(pair)
    there, _options = verdicts.loss_question(pair, elsewhere=True)
    assert like(verdicts.PAIR_ENDS["of the set"]).fullmatch(here)
    elsewhere = like(verdicts.PAIR_ENDS["elsewhere"], set=runs.words(pair[0]))
    assert elsewhere.fullmatch(there)


@pytest.fixture
def misleading(tiny_runs, monkeypatch, tmp_path):
    """A set in which the run that learnt has the higher loss."""
    (tmp_path / "manifest.json").write_text('{"format": 1, "bundles": []}')
    first = bundles.read_bundle(tiny_runs / "run-baseline")
    learnt = {"train_loss": -0.7, "test_knn_accuracy": 0.9}
    derive(first, tmp_path, "baseline", figures=learnt)
    derive(first, tmp_path, "no-predictor", figures=COLLAPSED)
    monkeypatch.setenv("ATELIER_CHECKPOINTS", str(tmp_path))


def test_the_answer_names_the_pair_whose_losses_mislead(misleading, open_page):
    at = answered(open_page(PAGE), "collapse_low_loss", "lower")
    right = (verdicts.THAT_WITH.format(loss="−0.70"), verdicts.LOSS_DOES_NOT_TELL)
    assert said(at, f"Right: {' · '.join(right)}")
    words = said(at, verdicts.NOT_THE_BETTER)
    ends = (("SimSiam (baseline)", "−0.70", "90.0%"), ("no predictor", "−0.99", "5.0%"))
    for run, loss, knn in ends:
        assert like(verdicts.OF_THE_PAIR, run=run, loss=loss, knn=knn).search(words)
    assert words.index("SimSiam (baseline)") < words.index("no predictor")


def altered(record, **figures):
    changed = {name: np.array(values, dtype=float) for name, values in figures.items()}
    return replace(record, figures={**record.figures, **changed})


def test_collapsed_is_below_its_own_start_in_spread_and_in_rank(records):
    def of(std, rank, epoch=1):
        other = altered(
            records["no-stop-gradient"],
            test_std_z=[0.25] + [std] * 3,
            test_rank_z=[10] + [rank] * 3,
        )
        found = run_charts.tests(other, epoch, 0.2)
        return run_charts.state(other, epoch, 0.2), found

    assert of(0.049, 1.9) == ("collapsed", (True, True))
    assert of(0.051, 1.9) == ("partly", (False, True))
    assert of(0.049, 2.1) == ("partly", (True, False))
    assert of(0.051, 2.1) == ("spread", (False, False))
    assert of(0.0, 1.0, epoch=0) == ("spread", (False, False))
    wide = altered(records["dim-4096"], test_std_z=[1 / 8] * 4)
    assert run_charts.spread_of(wide, 2) == pytest.approx(1)


def test_learnt_is_more_than_two_standard_errors(records):
    for off, learnt in ((2.1, True), (1.9, False), (-2.1, False)):
        now = 0.25
        for _round in range(50):  # the later share's own error counts, too: of 36 pictures each
            now = 0.25 + off * np.sqrt((0.25 * 0.75 + now * (1 - now)) / 36)
        accuracy = [0.25, now, 0.25, 0.25]
        record = altered(records["baseline"], test_knn_accuracy=accuracy)
        assert run_charts.has_learnt(record, 1) is learnt


@pytest.mark.parametrize(
    ("end", "found", "words"),
    [
        (0.6, "above", "above"),
        (0.3, "chance", "chance"),
        (0.2, "not above", "below"),
        (0.25, "not above", "equal"),
    ],
)
def test_an_accuracy_that_is_not_beyond_chance_is_not_called_worse(records, end, found, words):
    record = altered(records["baseline"], test_knn_accuracy=[0.25, 0.25, 0.25, end])
    assert run_charts.above_random(record, EPOCHS) == found
    values = {"accuracy": f"{100 * end:.1f}%", "before": "25.0%", "pictures": 36}
    told = verdicts.in_words(record, EPOCHS, 0.2)
    assert like(verdicts.KNN_WORDS[words], **values).search(told)
    named = " ".join(findings.state_sentences([record]))
    for code, sentence in findings.WHO_HAS_NOT_LEARNT.items():
        assert bool(like(sentence).search(named)) is (found == code)
    shows = findings.what_it_shows(record)
    assert (findings.SHOWS["not needed"] in shows) is (found == "above")
    assert (findings.ENDS["chance"] in shows) is (found == "chance")


# ---------------------------------------------------------------- d and batch


def with_batch(record, recipe, batch, updates, knn, final=None):
    """A record as if it had been trained in other batches, with other updates and accuracies."""
    config = {**record.bundle.config}
    config["training"] = {**config["training"], "recipe": recipe, "batch_size": batch}
    history = [
        {**row, "updates": count} for row, count in zip(record.bundle.history, updates, strict=True)
    ]
    test = {**record.bundle.metrics["test"], "queries": 10_000}
    test["knn_accuracy"] = test["linear_accuracy"] = final if final is not None else knn[-1]
    metrics = {**record.bundle.metrics, "test": test}
    bundle = replace(record.bundle, config=config, history=history, metrics=metrics)
    return altered(replace(record, bundle=bundle), test_knn_accuracy=knn)


@pytest.fixture
def batches(records):
    usual = with_batch(records["baseline"], "baseline", 16, [30, 60, 90], [0.2, 0.3, 0.5, 0.6])
    large = with_batch(records["baseline"], "batch-4096", 160, [12, 24, 36], [0.2, 0.3, 0.3, 0.35])
    return usual, large


def test_the_longer_run_is_cut_at_the_updates_of_the_shorter(batches):
    usual, large = batches
    first, second = dim_and_batch.at_equal_updates(usual, large)
    assert (first.epoch, first.updates, first.whole) == (1, 30, False)
    assert (second.epoch, second.updates, second.whole) == (3, 36, True)
    assert dim_and_batch.at_equal_updates(large, usual) == (second, first)
    assert [usual.epoch_of(count) for count in (0, 29, 30, 59, 60, 500)] == [0, 0, 1, 1, 2, 3]


def test_updates_that_were_not_counted_are_whole_batches(records):
    record = records["baseline"]
    counted = record.updates
    history = [{k: v for k, v in row.items() if k != "updates"} for row in record.bundle.history]
    of_old = replace(record, bundle=replace(record.bundle, history=history))
    pictures = record.bundle.config["data"]["pictures"]
    assert of_old.updates.tolist() == [e * (pictures // 16) for e in range(EPOCHS + 1)]
    assert counted.tolist() == of_old.updates.tolist()


def test_updates_are_named_where_they_differ(batches):
    usual, large = batches
    told = collapse.updates_in_words([large, usual], 2)
    values = {"counts": "24 / 60", "runs": "batch of 4096; SimSiam (baseline)"}
    assert like(collapse.UNEQUAL_UPDATES, **values).fullmatch(told)
    assert collapse.updates_in_words([usual, usual], 2) == ""
    assert collapse.updates_in_words([large, usual], 0) == ""


def below(sentence, few, many):
    """That the run with the larger batch ends below, at as many epochs or updates."""
    words = evidence.COMPARED["below"]
    filled = sentence.format(few=few, many=many, words=words)
    return like(filled, a="The run with **batch of 4096**")


def test_a_batch_is_compared_at_equal_epochs_and_at_equal_updates(batches):
    usual, large = batches
    found = {"baseline": usual, "batch-4096": large}
    chance = dim_and_batch.Chance()
    at_epochs, at_updates, lacking = dim_and_batch.of_the_batch(
        found, dim_and_batch.PAIRS[0], chance
    )
    assert lacking == dim_and_batch.LACKING.format(run=runs.LOOKS["few-updates"].name)
    assert below(dim_and_batch.AT_EQUAL_EPOCHS, 36, 90).fullmatch(at_epochs)
    # 36 pictures cannot tell 35 from 30 %.
    assert like(dim_and_batch.CUT[0], few=36, many=30).match(at_updates)
    few = with_batch(usual, "few-updates", 16, [12, 24, 36], [0.2, 0.3, 0.4, 0.9])
    found["few-updates"] = few
    _at_epochs, at_updates = dim_and_batch.of_the_batch(found, dim_and_batch.PAIRS[0], chance)
    assert below(dim_and_batch.AT_EQUAL_UPDATES, 36, 36).fullmatch(at_updates)
    assert [cut.record.recipe for cut in dim_and_batch.lines(found)] == list(found)


@pytest.mark.parametrize(
    ("knn", "sign"),
    [(0.9, 1), (0.02, -1), (0.35, 0)],
)
def test_a_whole_run_next_to_one_that_is_cut(batches, knn, sign):
    usual, large = batches
    large = altered(large, test_knn_accuracy=[0.2, 0.3, 0.3, knn])
    shortened, whole = dim_and_batch.at_equal_updates(usual, large)
    told = dim_and_batch.of_a_cut(shortened, whole, dim_and_batch.Chance())
    of_both = {"few": 36, "many": 30, "a": "the run with **batch of 4096**", "epoch": 1}
    words = f"{dim_and_batch.CUT[sign]} {dim_and_batch.RATE_STILL_HIGH}"
    assert like(words, x=f"{knn:.1%}", y="30.0%", **of_both).fullmatch(told)
    seeds = [altered(usual, test_knn_accuracy=[0.2, share, 0.5, 0.6]) for share in (0, 0.5, 1)]
    by_seeds = dim_and_batch.of_a_cut(shortened, whole, dim_and_batch.Chance(seeds))
    # Seeds lie further apart than pictures tell.
    assert like(dim_and_batch.CUT[0]).match(by_seeds)


def test_what_helps_is_told_by_the_runs(records):
    recipes = ("baseline", "dim-4096", "batch-4096", "dim-4096-batch-4096")

    def helps(*knn):
        ends = {
            recipe: with_batch(
                records["baseline"], recipe, 16, [30, 60, 90], [0.2, 0.3, 0.4, share]
            )
            for recipe, share in zip(recipes, knn, strict=False)
        }
        return dim_and_batch.helps(ends)

    assert helps(0.3, 0.3, 0.9, 0.95) == {"batch", "both"}
    assert helps(0.5, 0.51, 0.5, 0.3) == {"none"}  # 36 pictures tell no 51 % from 50 %
    assert helps(0.3, 0.9, 0.9) == set()


def test_d_and_batch_answer_after_an_answer(open_collapse):
    at = open_collapse()
    tables = len(at.dataframe)
    answered(at, "collapse_dim_batch")
    assert len(at.dataframe) == tables
    assert not said(at, "**Chance**")
    answered(at, "collapse_dim_batch", "none")
    assert len(at.dataframe) == tables + 1
    assert said(at, "The run with **d = 4096** and **SimSiam (baseline)**")
    over = evidence.OVER_PICTURES.format(pictures=36, bank=40)
    assert f"kNN, {over}" in at.dataframe[0].value.columns
    assert said(at, f"{evidence.FIGURES_OVER} {evidence.CHANCE_OF_PICTURES}", knn=over, count=1)
    assert said(at, f"{collapse.A_POINT} {collapse.KNN_OVER}", over=over)


def test_all_of_the_answer_about_d_and_batch_speaks_of_one_accuracy(batches):
    usual, large = (
        replace(
            one,
            bundle=replace(one.bundle, metrics={"test": {"linear_accuracy": 0.5, "queries": 36}}),
        )
        for one in batches
    )
    told = dim_and_batch.of_the_batch(
        {"baseline": usual, "batch-4096": large}, dim_and_batch.PAIRS[0], dim_and_batch.Chance()
    )
    assert "60.0%" in told[0]
    assert "35.0%" in told[0]
    assert "35.0%" in told[1]


# ---------------------------------------------------------------- the assignment


@pytest.mark.parametrize("number", ["3.3", "3.4", "3.5 a", "3.5 b"])
def test_an_item_of_the_assignment_opens_its_view(open_page, number):
    (item,) = [one for items in site.ASSIGNMENT.values() for one in items if one.number == number]
    at = open_page(item.page.name, **item.query)
    assert at.multiselect(key="collapse_runs").value
    wanted = set(item.query.get("collapse_runs", TRAINED)) & set(library.RUNS)
    assert set(at.multiselect(key="collapse_runs").value) == wanted
    for key in ("collapse_loss", "collapse_knn"):
        assert len(curves(at, key)) == len(wanted)
    shown = chart(at, "collapse_clouds")
    assert set(shown.points) <= set(curves(at, "collapse_knn"))
    assert shown.spec["timeline"] == "collapse_epoch"
    answered(at, "collapse_dim_batch", "both")
    assert said(at, "**Chance**")


def test_the_map_of_outputs_has_a_colour_a_run(open_collapse, records):
    shown = chart(open_collapse(), "collapse_clouds")
    for recipe, name in zip(TRAINED, shown.points, strict=True):
        assert same(shown.points[name], records[recipe].maps["z"][:, : run_charts.FEW])
    assert len({(one["colour"], one["symbol"]) for one in shown.spec["series"]}) == 2

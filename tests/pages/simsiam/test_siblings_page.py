"""The page on SimSiam's siblings: diagrams are those of the networks, words those of the runs."""

import base64
import json
import re
import shutil
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
from core.simsiam import methods
from core.simsiam.run_record import read_run
from pages.shared import site
from pages.shared.text import percent
from pages.simsiam import siblings
from pages.simsiam.parts import evidence, findings, questions, runs
from pages.simsiam.parts.questions import PASSES, QUESTIONS
from tests.narrow import without_onednn
from tests.pages.opening import answered, checked
from tests.pages.sentences import like
from train.release import embed
from train.simsiam import trainer as training
from train.simsiam.diagnosis import Protocol

PAGE = "siblings"
TRAINED = ("baseline", "heavy-dssl", "byol", "barlow", "vicreg")
VARIANTS = {
    "no-stop-gradient": "baseline",
    "fixed-predictor": "baseline",
    "batch-4096": "baseline",
    "heavy": "baseline",
    "byol-no-momentum": "byol",
    "barlow-batch-4096": "barlow",
    "vicreg-no-variance": "vicreg",
}
"""Runs that differ from a trained one in what their configuration says."""
RECIPES = (*TRAINED, *VARIANTS)
SMALL = {"width": 1, "stem": "strided", "hidden": 6, "dim": 8, "predictor_hidden": 4}
QUERIES, EPOCHS = 36, 2
TITLES = ("SimSiam", "BYOL", "Barlow Twins", "VICReg")


@pytest.fixture(scope="session")
def tiny_siblings(make_digits, write_shard, tmp_path_factory):
    """Checkpoints with records of tiny runs."""
    root = tmp_path_factory.mktemp("siblings")
    source = SOURCES["cifar10"]
    columns = source.image_column, source.label_column
    for split, count, seed in (("train", 32, 0), ("test", 40, 1)):
        file = root / source.repo / source.configuration / f"{split}-00000-of-00001.parquet"
        write_shard(file, *make_digits(count, seed), *columns)
    folder = root / "checkpoints"
    folder.mkdir()
    (folder / "manifest.json").write_text('{"format": 1, "bundles": []}')
    for name in TRAINED:
        one_run(root, folder, name)
    for name, of in VARIANTS.items():
        variant(folder, name, of)
    return folder


def one_run(root, folder, name):
    recipe = training.ABLATIONS[name]
    size = replace(training.EMBEDDING_PRESETS["narrow"], **SMALL)
    settings = training.SimSiamTraining(
        **{**recipe.training, "batch_size": 8, "learning_rate": 0.05},
        recipe=name,
        epochs=EPOCHS,
        protocol=Protocol(spread=30, queries=QUERIES, bank=32, k=5),
    )
    with without_onednn(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("ATELIER_DATA_DIR", str(root))
        made = training.start(
            root / name, training.named_config(recipe, size), settings, device=torch.device("cpu")
        )
    embed.main(
        Namespace(bundle=made, name=f"run-{name}", title=name, record=True, checkpoints=folder)
    )


def variant(folder, name, of):
    """A copy of a record that says to be of another recipe."""
    one, recipe = folder / f"run-{name}", training.ABLATIONS[name]
    shutil.copytree(folder / f"run-{of}", one)
    config = json.loads((one / "config.json").read_text())
    config["architecture"] |= recipe.config
    config["training"] |= {**recipe.training, "recipe": name}
    config["training"]["batch_size"] = 32 if "batch" in name else 8
    (one / "config.json").write_text(json.dumps(config))
    history = json.loads((one / "history.json").read_text())
    for row in history:
        del row["updates"]  # as a run of an earlier version, which did not count them
    (one / "history.json").write_text(json.dumps(history))
    add(folder, one, name)


def add(folder, one, title):
    made = bundles.read_bundle(one)
    register(folder / "manifest.json", made, name=one.name, title=title)


@pytest.fixture(autouse=True)
def at_hand(tiny_siblings, monkeypatch):
    monkeypatch.setenv("ATELIER_CHECKPOINTS", str(tiny_siblings))
    return tiny_siblings


@pytest.fixture
def records(at_hand):
    manifest = read_manifest(at_hand / "manifest.json")
    return {name: read_run(manifest.open(f"run-{name}")) for name in RECIPES}


@pytest.fixture
def rewritten(at_hand, monkeypatch, tmp_path):
    """The same runs with other figures in their histories: what words are made from."""
    folder = tmp_path / "checkpoints"
    shutil.copytree(at_hand, folder)
    monkeypatch.setenv("ATELIER_CHECKPOINTS", str(folder))

    def rewrite(recipe, *, before=None, end=None, training=None, **columns):
        one = folder / f"run-{recipe}"
        config = json.loads((one / "config.json").read_text())
        config["training"] |= training or {}
        (one / "config.json").write_text(json.dumps(config))
        history = json.loads((one / "history.json").read_text())
        for column, values in columns.items():
            for row, value in zip(history, values, strict=True):
                row[column] = value
        (one / "history.json").write_text(json.dumps(history))
        metrics = json.loads((one / "metrics.json").read_text())
        metrics["before"] |= before or {}
        if end is not None:  # kNN accuracy and linear probe over 36 test pictures
            metrics["test"] |= {
                "knn_accuracy": end[0],
                "linear_accuracy": end[1],
                "queries": QUERIES,
            }
        (one / "metrics.json").write_text(json.dumps(metrics))
        add(folder, one, recipe)

    return rewrite


@pytest.fixture
def open_siblings(open_page):
    return lambda **query: open_page(
        PAGE, **{f"siblings_{key}" if key != "lang" else key: value for key, value in query.items()}
    )


def choose(at, **choices):
    """The page after clicks on options, by their codes."""
    for key, code in choices.items():
        if key == "figure":
            at.selectbox(key="siblings_figure").select_index(list(siblings.FIGURES).index(code))
        else:
            at.button_group(key=f"siblings_{key}").set_value(code)
        at.run()
        assert not at.exception
    return at


def said(at):
    return "\n".join(str(element.value) for element in (*at.markdown, *at.caption, *at.info))


def figures_of(at):
    """By key: the figure."""
    return {
        chart.proto.id.rsplit("-", 1)[-1]: json.loads(chart.proto.spec)
        for chart in at.get("plotly_chart")
    }


def curves(at, key):
    """By name of the run: x and y of its curve."""
    found = {}
    for trace in figures_of(at)[key]["data"]:
        found[trace["name"]] = np.array(decoded(trace["y"]), dtype=float)
    return found


def decoded(values):
    if isinstance(values, dict):
        return np.frombuffer(base64.b64decode(values["bdata"]), dtype=values["dtype"])
    return [np.nan if value is None else value for value in values]


def alt_of(at, key):
    """What a diagram says to those who do not see it."""
    return next(c.proto.alt for c in at.get("plotly_chart") if c.proto.id.endswith(f"-{key}"))


def arrows(alt):
    """Those that a gradient comes back along, and the others."""
    flow, still = re.search(r"With a gradient: (.*)\. Without: (.*)\.$", alt).groups()
    return flow.split("; "), still.split("; ")


def parts_of(at):
    """The table of parts: by row, a mark a method."""
    rows = re.findall(r"<tr>(.*?)</tr>", at.get("html")[0].proto.body)
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in rows]
    assert cells[0] == ["", *TITLES, "DSSL"]
    return {label: dict(zip(cells[0][1:], marks, strict=True)) for label, *marks in cells[1:]}


# ---------------------------------------------------------------- the methods


def test_the_table_of_parts_is_what_the_classes_have(open_siblings):
    shown = parts_of(open_siblings())
    x1, x2 = torch.rand(2, 4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    for title, method in zip(TITLES, ("simsiam", "byol", "barlow_twins", "vicreg"), strict=True):
        config = methods.method_class(method).config_class(**SMALL)
        model = methods.build(method, config)
        _loss, outputs = model.views_loss(x1, x2)
        momentum = hasattr(config, "momentum")
        has = {
            "negative examples": False,
            "momentum target": momentum,
            "predictor": hasattr(model, "predictor"),
            "stop-gradient": not outputs.z1.requires_grad,
            "variance term": hasattr(config, "variance"),
            "decorrelation": hasattr(config, "covariance") or hasattr(config, "redundancy"),
            "shared weights": not momentum,
        }
        assert {part: marks[title] == "✓" for part, marks in shown.items()} == has
    assert [t for t in TITLES if shown["variance term"][t] == "(✓)"] == ["Barlow Twins"]
    assert all(marks["DSSL"] == marks["SimSiam"] for marks in shown.values())


def methods_in_order():
    return "simsiam", "byol", "barlow_twins", "vicreg", "dssl"


def test_every_method_has_its_own_loss_and_diagram(open_siblings):
    seen, at = set(), open_siblings(question="7")
    for title, method in zip((*TITLES, "DSSL"), methods_in_order(), strict=True):
        choose(at, method=method)
        alt = alt_of(at, "siblings_diagram")
        assert f"Diagram of {title}." in alt
        seen.add((at.latex[0].value, alt.replace(title, "")))
    assert len({latex for latex, _ in seen}) == len({alt for _, alt in seen}) == 5


def test_the_run_without_the_part_is_told_by_its_figures(open_siblings, records):
    at = open_siblings(method="VICReg")
    assert not like(findings.WITHOUT).search(said(at))
    words = said(answered(at, "siblings_keeps_vicreg", "variance"))
    figures = records["vicreg-no-variance"].figures
    knn, rank = figures["test_knn_accuracy"], figures["test_rank_z"]
    without = findings.WITHOUT.format(
        part=siblings.REMOVED["variance"], figures=findings.FIGURES_OF
    )
    both = {
        "knn": f"{percent(knn[0], 1)} → {percent(knn[-1], 1)}",
        "rank": f"{rank[0]:.1f} → {rank[-1]:.1f}",
    }
    assert like(without, **both).search(words)
    assert findings.NONE_WITHOUT.format(part=siblings.REMOVED["decorrelation"]) in words


@pytest.mark.parametrize(
    ("method", "part"),
    [("BYOL", "predictor"), ("Barlow Twins", "decorrelation")],
)
def test_a_method_whose_part_no_run_lacks_says_so(open_siblings, method, part):
    at = open_siblings(method=method)
    assert not like(findings.NONE_WITHOUT).search(said(at))
    key = f"siblings_keeps_{method.lower().replace(' ', '_')}"
    words = said(answered(at, key, "Unknown"))
    assert findings.NONE_WITHOUT.format(part=siblings.REMOVED[part]) in words


@pytest.mark.parametrize(
    ("figures", "verdict"),
    [
        ({"test_std_z": [0.3, 0.01], "test_rank_z": [6.0, 1.0]}, "needed"),
        ({"test_std_z": [0.3, 0.3], "test_rank_z": [6.0, 1.0]}, "learns in part"),
        ({"test_std_z": [0.3, 0.3], "test_rank_z": [6.0, 6.0]}, "not needed"),
    ],
)
def test_what_a_run_without_a_part_shows_follows_its_figures(
    open_siblings, rewritten, figures, verdict
):
    start = {"test_std_z": 0.3, "test_rank_z": 6.0, "test_knn_accuracy": 0.1}
    rewritten("no-stop-gradient", before=start, test_knn_accuracy=[0.3, 0.9], **figures)
    words = said(answered(open_siblings(), "siblings_keeps_simsiam", "stop"))
    without = like("- " + findings.WITHOUT, part=siblings.REMOVED["stop"])
    line = next(line for line in words.splitlines() if without.match(line))
    assert line.endswith(findings.SHOWS[verdict])


def test_parts_whose_runs_collapse_are_the_right_answer(records):
    def ends(std, rank):
        figures = {"test_std_z": [0.3, std, std], "test_rank_z": [6.0, rank, rank]}
        made = {name: np.array(values) for name, values in figures.items()}
        record = records["no-stop-gradient"]
        return replace(record, figures={**record.figures, **made})

    lost, kept = ends(0.01, 1.0), ends(0.3, 6.0)
    of, needed = "simsiam", siblings.necessary_parts
    assert needed(of, {"no-stop-gradient": lost, "no-predictor": lost}) == {"stop", "predictor"}
    assert needed(of, {"no-stop-gradient": lost, "no-predictor": kept}) == {"stop"}
    assert needed(of, {"no-stop-gradient": lost}) == set()  # of one part nothing is known

    def of_byol(record):
        return replace(records["byol"], figures=record.figures)

    of = "byol"
    assert needed(of, {"byol-no-predictor": of_byol(lost)}) == {"stop", "predictor"}
    assert needed(of, {"byol-no-predictor": of_byol(kept)}) == needed(of, {}) == set()
    # DSSL has SimSiam's parts, and runs of SimSiam say nothing of it.
    assert needed("dssl", {"no-stop-gradient": lost, "no-predictor": lost}) == set()


def test_no_answer_is_said_to_be_right_where_a_run_is_missing(open_siblings):
    at = answered(open_siblings(method="VICReg"), "siblings_keeps_vicreg", "decorrelation")
    assert findings.NONE_WITHOUT.format(part=siblings.REMOVED["decorrelation"]) in said(at)
    assert "Right" not in said(at)
    assert not at.success


def test_what_does_not_hang_on_runs_has_its_right_answer(open_siblings):
    for code, right in (("6", "directed"), ("7", "variance"), ("8", "stop"), ("9", "goal")):
        key = f"siblings_answer_{code}"
        at = answered(open_siblings(question=code), key, right)
        assert [one.value for one in at.success] == [f"Right: {QUESTIONS[code].options[right]}"]
    at = answered(open_siblings(question="5c"), "siblings_answer_5c", "alike")
    assert not at.success


# ---------------------------------------------------------------- diagrams


def test_diagrams_of_runs_colour_what_has_a_gradient(open_siblings):
    ends, at = {}, open_siblings()
    for question, recipe in (("9", "baseline"), ("9", "no-stop-gradient"), ("8", "byol")):
        alt = alt_of(choose(at, question=question, wiring=recipe), "siblings_run_diagram")
        assert f"Diagram of {runs.LOOKS[recipe].name}." in alt
        flow, still = arrows(alt)
        ends[recipe] = [arrow for arrow in flow if arrow.startswith(("z₂", "p₁"))]
        assert len(flow) + len(still) == 12
        assert all(arrow.split(" → ")[0] not in ("x₁", "x₂", "picture x") for arrow in flow)
    assert ends["baseline"] == ["p₁ → −cos(p₁, z₂)"]
    assert ends["no-stop-gradient"] == ["p₁ → −cos(p₁, z₂)", "z₂ → −cos(p₁, z₂)"]
    assert ends["byol"] == ["p₁ → 2 − 2 cos(p₁, z₂)"]


def texts(at, key):
    layout = figures_of(at)[key]["layout"]
    return [note["text"] for note in layout["annotations"] if note["text"]]


def test_diagrams_name_what_each_run_has(open_siblings):
    wanted = {
        ("9", "baseline"): ({"stop-gradient", "same weights", "predictor"}, {"copy"}),
        ("9", "fixed-predictor"): ({"predictor, fixed", "stop-gradient"}, {"predictor"}),
        ("9", "no-stop-gradient"): ({"predictor"}, {"stop-gradient"}),
        ("8", "byol"): ({"target encoder", "m = 0.99"}, {"same weights", "stop-gradient"}),
        ("8", "byol-no-momentum"): ({"copy"}, {"m = 0.99"}),
        ("7", "vicreg"): ({"v(z₁) + c(z₁)", "v(z₂) + c(z₂)"}, {"p₁"}),
        ("7", "vicreg-no-variance"): ({"c(z₁)", "c(z₂)", "s(z₁, z₂)"}, {"v(z₁) + c(z₁)"}),
        ("6", "heavy"): ({"x₁, heavy", "x₂, heavy"}, {"x₁"}),
        ("6", "heavy-dssl"): ({"x₁′, harder", "−cos(p₁′, z₁)", "z₁"}, {"z₂"}),
        ("5c", "barlow"): ({"C", "same weights"}, {"predictor"}),
    }
    at, now = open_siblings(), "9"
    for (question, recipe), (there, absent) in wanted.items():
        new = {} if question == now else {"question": question}
        shown = set(texts(choose(at, **new, wiring=recipe), "siblings_run_diagram"))
        now = question
        assert there <= shown, recipe
        assert not absent & shown, recipe


def test_only_parts_that_learn_are_framed_in_green(open_siblings):
    counts, at = {}, open_siblings()
    for recipe in ("baseline", "fixed-predictor", "no-stop-gradient"):
        choose(at, wiring=recipe)
        shapes = figures_of(at)["siblings_run_diagram"]["layout"]["shapes"]
        boxes = [shape for shape in shapes if shape["type"] == "rect"]
        counts[recipe] = sum(box["line"]["color"] == "#009E73" for box in boxes)
    assert counts == {"baseline": 3, "fixed-predictor": 2, "no-stop-gradient": 5}


# ---------------------------------------------------------------- questions and figures


def test_every_question_shows_its_own_runs_and_names_those_that_are_missing(open_siblings):
    wanted = {
        "5c": ("baseline", "batch-4096", "barlow", "barlow-batch-4096"),
        "6": ("baseline", "heavy", "heavy-dssl"),
        "7": ("vicreg", "vicreg-no-variance", "barlow"),
        "8": ("baseline", "byol", "byol-no-momentum", "no-stop-gradient"),
        "9": ("baseline", "fixed-predictor", "no-stop-gradient"),
    }
    asked, at = set(), open_siblings(question=QUESTIONS["5c"].label)
    for code, recipes in wanted.items():
        choose(at, question=code)
        names = [runs.LOOKS[recipe].name for recipe in recipes]
        assert sorted(at.dataframe[0].value["run"]) == sorted(names)
        assert bool(like(findings.NOT_HERE).search(said(at))) == (code in ("5c", "7", "9"))
        asked.add(tuple(element.value for element in at.markdown if "**" in element.value)[:9])
    assert len(asked) == len(wanted)
    absent = "; ".join(runs.LOOKS[recipe].name for recipe in ("no-predictor", "neither"))
    assert findings.NOT_HERE.format(runs=absent) in said(at)


def test_each_figure_draws_what_the_runs_measured(open_siblings, records):
    record = records["byol"]
    root = np.sqrt(record.dim)
    at = open_siblings(question="8", figure=siblings.FIGURES["rank_z"])
    assert "siblings_rank_z" in figures_of(at)
    for figure, (column, factor) in {
        "knn": ("test_knn_accuracy", 1),
        "rank_z": ("test_rank_z", 1),
        "rank_h": ("test_rank_h", 1),
        "spread": ("test_std_z", root),
    }.items():
        drawn = curves(choose(at, figure=figure), f"siblings_{figure}")
        np.testing.assert_allclose(drawn["BYOL"], factor * record.figures[column], rtol=1e-6)


def test_losses_of_different_methods_never_share_an_axis(open_siblings, records):
    at = open_siblings(question="8", figure=siblings.FIGURES["loss"])
    ours, theirs = (curves(at, f"siblings_loss_{place}") for place in range(2))
    assert all(name.startswith("BYOL") for name in theirs)
    assert not any(name.startswith("BYOL") for name in ours)
    assert "siblings_loss_2" not in figures_of(at)
    assert siblings.DIFFERENT_LOSSES in said(at)
    alone = choose(at, question="9")
    assert "siblings_loss_1" not in figures_of(alone)
    assert siblings.DIFFERENT_LOSSES not in said(alone)


def test_one_method_with_other_weights_is_another_loss(open_siblings):
    at = open_siblings(question="7", figure=siblings.FIGURES["loss"])
    for place, recipe in enumerate(("vicreg", "vicreg-no-variance")):
        assert list(curves(at, f"siblings_loss_{place}")) == [runs.LOOKS[recipe].name]


def test_the_table_holds_what_the_bundles_say(open_siblings, records):
    at = open_siblings(question="8")
    table = at.dataframe[0].value.set_index("run")
    for recipe in ("baseline", "byol"):
        record, row = records[recipe], table.loc[runs.LOOKS[recipe].name]
        figures = record.figures
        assert row[siblings.KNN_AT_THE_END] == percent(
            record.bundle.metrics["test"]["knn_accuracy"], 1
        )
        assert row["linear probe"] == percent(record.bundle.metrics["test"]["linear_accuracy"], 1)
        before, after = (f"{figures['test_rank_z'][at]:.1f}" for at in (0, -1))
        assert row["rank of z"] == f"{before} → {after}"
        spread = figures["test_std_z"][-1] * np.sqrt(SMALL["dim"])
        assert row["std(z) √d"] == f"{spread:.2f}"
        assert record.bundle.digest in said(at)


# ---------------------------------------------------------------- what the runs say


def answer_to(at, code):
    """What the page says once its visitor has answered."""
    assert siblings.THESE_RUNS_SAY not in said(at)
    assert "**Why**" not in said(at)
    return said(answered(at, f"siblings_answer_{code}", "Unknown"))


def test_a_difference_is_one_only_beyond_chance(open_siblings, rewritten):
    """36 pictures: two standard errors of two shares of 1/2 are 0.236."""
    rewritten("baseline", end=(0.5, 0.5))
    rewritten("byol", end=(0.72, 0.5))
    rewritten("byol-no-momentum", end=(0.1, 0.1))
    rewritten("no-stop-gradient", end=(0.5, 0.9))
    words = answer_to(open_siblings(question="8"), "8")
    names = {name: f"**{runs.LOOKS[name].name}**" for name in ("baseline", "byol")}
    still = f"**{runs.LOOKS['byol-no-momentum'].name}**"

    def compared(found, a, b, **values):
        return like(evidence.COMPARED[found], a=a, b=b, **values).search(words)

    assert compared("alike", names["byol"], names["baseline"], x="72.0%")
    assert compared("below", still, names["baseline"], x="10.0%", y="50.0%")
    assert compared("above", names["byol"], still, x="72.0%")
    rewritten("byol", end=(0.76, 0.5))
    words = answer_to(open_siblings(question="8"), "8")
    assert compared("knn alone", names["byol"], names["baseline"], x="76.0%")


def test_who_collapsed_and_who_learnt_is_said_by_name(open_siblings, rewritten):
    start = {"test_std_z": 0.3, "test_rank_z": 6.0, "test_knn_accuracy": 0.2}
    healthy = {"test_std_z": [0.3, 0.3], "test_rank_z": [6.0, 6.0]}
    rewritten("baseline", before=start, test_knn_accuracy=[0.3, 0.6], **healthy)
    rewritten(
        "no-stop-gradient",
        before=start,
        test_knn_accuracy=[0.3, 0.2],
        test_std_z=[0.3, 0.05],
        test_rank_z=[6.0, 1.0],
    )
    rewritten(
        "fixed-predictor",
        before=start,
        test_knn_accuracy=[0.3, 0.6],
        test_std_z=[0.3, 0.3],
        test_rank_z=[6.0, 1.0],
    )
    at = open_siblings()
    words = answer_to(at, "9")
    states = {
        "collapsed": "no-stop-gradient",
        "partly": "fixed-predictor",
        "spread": "baseline",
    }
    for code, recipe in states.items():
        assert findings.WHO_COLLAPSED[code].format(runs=runs.LOOKS[recipe].name) in words
    none = runs.LOOKS["no-stop-gradient"].name
    assert findings.WHO_HAS_NOT_LEARNT["not above"].format(runs=none) in words
    table = at.dataframe[0].value.set_index("run")
    assert table.loc["no stop-gradient", "state"] == "collapsed"
    assert table.loc["SimSiam (baseline)", "state"] == "spread out"


def test_nobody_is_named_where_all_have_learnt(open_siblings, rewritten):
    for recipe in ("baseline", "fixed-predictor", "no-stop-gradient"):
        rewritten(recipe, before={"test_knn_accuracy": 0.1}, test_knn_accuracy=[0.3, 0.9])
    words = answer_to(open_siblings(), "9")
    of_chance = (*findings.WHO_HAS_NOT_LEARNT.values(), *findings.ENDS.values())
    assert not like(*of_chance).search(words)


@pytest.mark.parametrize(("barlow", "verdict"), [(0.52, "alike"), (0.1, "differ")])
def test_both_methods_react_alike_or_not(open_siblings, rewritten, barlow, verdict):
    rewritten("baseline", end=(0.4, 0.4))
    rewritten("batch-4096", end=(0.65, 0.65))
    rewritten("barlow", end=(0.5, 0.5))
    rate = {"learning_rate": 0.05}
    rewritten("barlow-batch-4096", end=(barlow, barlow), training=rate)
    words = answer_to(open_siblings(question="5c"), "5c")
    moved = f"{100 * (barlow - 0.5):+.1f}".replace("-", "\N{MINUS SIGN}")
    reaction = questions.REACTION.format(
        change="batch 8 → 32",
        updates="8 / 2",
        a=questions.MOVES.format(knn="+25.0", probe="+25.0"),
        b=questions.MOVES.format(knn=moved, probe=moved),
    )
    assert f"{reaction} {questions.REACTIONS[verdict]}" in words


def test_a_learning_rate_of_its_own_leaves_no_verdict(open_siblings, rewritten):
    rewritten("barlow-batch-4096", end=(0.1, 0.1), training={"learning_rate": 0.0125})
    words = answer_to(open_siblings(question="5c"), "5c")
    assert questions.OTHER_RATE.format(new="0.0125", old="0.05") in words
    assert questions.REACTIONS["differ"] not in words


def test_one_method_alone_is_compared_with_itself(open_siblings, at_hand, monkeypatch, tmp_path):
    only(at_hand, tmp_path / "few", monkeypatch, "baseline", "batch-4096", "barlow")
    words = answer_to(open_siblings(question="5c"), "5c")
    assert re.search(r"The run with \*\*batch of 4096\*\*.* kNN accuracy", words)
    assert re.search(r"\*\*Barlow Twins\*\*.* kNN accuracy", words)
    assert not like(questions.REACTION).search(words)


def test_updates_are_whole_batches(open_siblings):
    """32 pictures: 4 batches of 8 an epoch, 1 of 32, for 2 epochs."""
    at = open_siblings(question="5c")
    counts = at.dataframe[0].value.set_index("run")["updates"]
    assert counts["SimSiam (baseline)"] == "8"
    assert counts["batch of 4096"] == "2"
    words = answer_to(open_siblings(question="8"), "8")
    assert questions.MEMORY.format(m="0.99", memory="100", all="8") in words


def test_forward_passes_are_counted_as_the_networks_take_them(open_siblings):
    for method, (learns, follows) in PASSES.items():
        model = methods.build(method, methods.method_class(method).config_class(**SMALL))
        seen = {True: 0, False: 0}

        def count(module, _inputs, outputs, seen=seen):
            seen[outputs.requires_grad] += 1

        for name in ("backbone", "target_backbone"):
            if hasattr(model, name):
                getattr(model, name).register_forward_hook(count)
        pictures = torch.rand(4, 4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
        model.views_loss(*pictures[: 4 if method == "dssl" else 2])
        assert (seen[True], seen[False]) == (learns, follows), method
    words = answer_to(open_siblings(question="8"), "8")
    assert questions.TARGET_COSTS.format(simsiam=2, byol=4, follows=2) in words


def test_byol_without_momentum_is_followed_along_simsiam(open_siblings, records, rewritten):
    names = ("byol-no-momentum", "baseline")
    trainings = [records[name].bundle.config["training"] for name in names]
    first, second = (one["learning_rate"] * one["batch_size"] / 256 for one in trainings)
    for recipe, knn in (("baseline", [0.31, 0.4]), ("byol-no-momentum", [0.36, 0.38])):
        rewritten(recipe, before={"test_knn_accuracy": 0.3}, test_knn_accuracy=knn)
    words = answer_to(open_siblings(question="8"), "8")
    byol, simsiam = (f"{one:.6f}".rstrip("0") for one in (first, second))
    assert questions.SAME_STEPS.format(points="5.0", byol=byol, simsiam=simsiam) in words


def test_the_predictor_keeps_the_rate_of_its_batch(open_siblings):
    """0.05 for a batch of 256, so 0.05 * 8 / 256."""
    words = answer_to(open_siblings(), "9")
    assert questions.KEEPS_ITS_RATE.format(rate=f"{0.05 * 8 / 256:.6f}") in words


@pytest.mark.parametrize(("fallen_to", "unstable"), [(0.01, True), (0.38, False)])
def test_unstable_runs_are_told_by_their_largest_fall(
    open_siblings, rewritten, fallen_to, unstable
):
    rewritten("baseline", before={"test_knn_accuracy": 0.3}, test_knn_accuracy=[0.4, 0.5])
    rewritten("heavy", before={"test_knn_accuracy": 0.3}, test_knn_accuracy=[0.4, fallen_to])
    rewritten("heavy-dssl", before={"test_knn_accuracy": 0.3}, test_knn_accuracy=[0.25, 0.4])
    words = answer_to(open_siblings(question="6"), "6")
    fallen = [
        "SimSiam (baseline) 0.0",
        f"heavy augmentation {100 * (0.4 - fallen_to):.1f}",
        "heavy augmentation, DSSL 5.0",
    ]
    assert questions.LARGEST_FALL.format(runs="; ".join(fallen)) in words
    assert (questions.UNSTABLE in words) is unstable
    assert (questions.NO_INSTABILITY in words) is not unstable


def test_a_fall_has_the_error_of_four_shares(records):
    """Two falls, each a difference of two: just beyond two errors of four shares, and just within."""

    def unstable(accuracy):
        heavy = replace(records["heavy"], figures={"test_knn_accuracy": np.array(accuracy)})
        words = questions.unstable(baseline, heavy, [baseline, heavy])
        return questions.UNSTABLE in words

    baseline = replace(
        records["baseline"], figures={"test_knn_accuracy": np.array([0.3, 0.5, 0.5])}
    )
    count, low = baseline.queries, 0.5
    for _round in range(50):  # the baseline never falls: its smallest change is from 0.5 to 0.5
        shares = [0.5, 0.5, 0.5, low]
        low = 0.5 - 2 * sum(share * (1 - share) / count for share in shares) ** 0.5
    assert 0 < low < 0.5
    assert unstable([0.3, 0.5, low - 0.005])
    assert not unstable([0.3, 0.5, low + 0.005])


def test_augmentation_is_told_as_the_run_was_configured(open_siblings, records):
    words = answer_to(open_siblings(question="6"), "6")
    settings = records["heavy"].bundle.config["training"]
    standard, harder = settings["views"], settings["harder"]
    shares = {name: f"{standard[name]:.0%}" for name in ("crop", "jitter", "grey")}
    assert like(questions.VIEWS, **shares).search(words)
    harder = {"rotation": f"{harder['rotation']:.0f}", "jigsaw": f"{harder['jigsaw']:.0%}"}
    assert like(questions.HARDER_VIEWS, **harder).search(words)


def test_vicreg_is_told_by_variance_and_spread(open_siblings, rewritten):
    rewritten(
        "vicreg",
        before={"test_variance_z": 5.0, "test_std_z": 0.25},
        test_variance_z=[7.0, 123.4],
        test_std_z=[0.3, 0.35],
    )
    rewritten(
        "vicreg-no-variance",
        before={"test_variance_z": 5.0, "test_std_z": 0.25},
        test_variance_z=[1.0, 2e-6],
        test_std_z=[0.3, 0.0],
    )
    words = answer_to(open_siblings(question="7"), "7")
    without = runs.LOOKS["vicreg-no-variance"].name
    both = f"VICReg 5.00 → 123; {without} 5.00 → 2.0\u00a0×\u00a010⁻⁶"
    assert questions.VARIANCE_AT_BOTH_ENDS.format(runs=both) in words
    root = np.sqrt(SMALL["dim"])
    whole = f"VICReg {0.25 * root:.3f} → {0.35 * root:.3f}; {without}"
    assert questions.SPREAD_AT_BOTH_ENDS.format(runs=whole).removesuffix(".") in words


# ---------------------------------------------------------------- what is not there


def test_without_runs_the_diagrams_are_still_there(open_siblings, monkeypatch, tmp_path):
    monkeypatch.setenv("ATELIER_CHECKPOINTS", str(tmp_path))
    at = open_siblings(method="BYOL")
    assert "Diagram of BYOL." in alt_of(at, "siblings_diagram")
    assert parts_of(at)
    assert not at.dataframe
    assert at.error


def only(source, folder, monkeypatch, *recipes):
    """The same checkpoints with some of their runs."""
    shutil.copytree(source, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    names = [f"run-{recipe}" for recipe in recipes]
    manifest["bundles"] = [one for one in manifest["bundles"] if one["name"] in names]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    monkeypatch.setenv("ATELIER_CHECKPOINTS", str(folder))


def test_a_question_without_any_of_its_runs_says_so(open_siblings, at_hand, monkeypatch, tmp_path):
    only(at_hand, tmp_path / "one", monkeypatch, "baseline")
    at = open_siblings(question="7")
    assert siblings.NONE_HERE in said(at)
    assert not at.dataframe
    assert choose(at, question="8").dataframe


@pytest.mark.parametrize("number", ["3.5 c", "3.6", "3.7", "3.8", "3.9"])
def test_an_item_of_the_assignment_opens_its_question(open_page, number):
    (item,) = [one for items in site.ASSIGNMENT.values() for one in items if one.number == number]
    at = open_page(item.page.name, **item.query)
    code = item.query["siblings_question"]
    assert at.button_group(key="siblings_question").value == code
    assert at.dataframe
    assert "**Why**" in answer_to(at, code)


def order_of(at):
    """Where on the page the question and the method stand, first to last."""
    keys = [group.key for group in at.button_group]
    return [key for key in keys if key in ("siblings_question", "siblings_method")]


@pytest.mark.parametrize(
    ("number", "method"),
    [("3.5 c", "barlow_twins"), ("3.6", "dssl"), ("3.7", "vicreg"), ("3.8", "byol")],
)
def test_an_item_begins_with_its_question_and_draws_its_method(open_page, number, method):
    (item,) = [one for items in site.ASSIGNMENT.values() for one in items if one.number == number]
    at = open_page(item.page.name, **item.query)
    assert order_of(at) == ["siblings_question", "siblings_method"]
    assert at.button_group(key="siblings_method").value == method
    choose(at, question="9")
    assert order_of(at) == ["siblings_question", "siblings_method"]
    assert "9" in at.query_params["siblings_question"]


def test_the_page_by_itself_begins_with_the_methods(open_siblings):
    at = open_siblings()
    assert order_of(at) == ["siblings_method", "siblings_question"]
    assert order_of(choose(at, question="7")) == ["siblings_method", "siblings_question"]


def test_byol_is_drawn_next_to_simsiam(open_siblings):
    assert "siblings_diagram_next" not in figures_of(open_siblings())
    at = open_siblings(method="byol")
    assert "Diagram of BYOL." in alt_of(at, "siblings_diagram")
    assert "Diagram of SimSiam." in alt_of(at, "siblings_diagram_next")


def how_it_works(at):
    return {box.proto.expanded for box in at.expander if box.label == "How it works"}


def test_what_answers_a_question_is_folded_until_it_is_answered(open_siblings):
    at = open_siblings(question="7")
    assert how_it_works(at) == {False}
    assert "state" not in at.dataframe[0].value.columns
    assert siblings.TOLD_LATER in said(at)
    at = answered(at, "siblings_answer_7", "variance")
    assert "state" in at.dataframe[0].value.columns
    assert how_it_works(at) == {False}  # what keeps SimSiam from collapsing is asked, too
    at.session_state["siblings_answer_7"] = False  # closed
    assert "state" in checked(at.run()).dataframe[0].value.columns
    at = answered(at, "siblings_keeps_simsiam", "Unknown")
    assert how_it_works(at) == {True}


def test_a_set_without_the_runs_of_a_question_says_which_has_them(open_page, monkeypatch):
    monkeypatch.setenv("ATELIER_CHECKPOINTS", str(Path(__file__).parents[3] / "checkpoints"))
    at = open_page(PAGE, siblings_question="7", siblings_set="w64-n50000-e34-68e9")
    sets = "width 8, 10,000 pictures, 20 epochs"
    assert siblings.IN_OTHER_SETS.format(sets=sets) in said(at)


def test_dssl_is_said_to_take_twice_the_passes(open_siblings):
    words = answer_to(open_siblings(question="6"), "6")
    assert questions.DSSL_PASSES.format(dssl=4, simsiam=2) in words

"""The sheet as a notebook: valid, understood by nbgrader, and drawn by matplotlib alone as on the page."""

import ast
import base64
import csv
import io
import json
import re
import sys
import warnings
from dataclasses import replace

import jsonschema
import numpy as np
import pytest

from pages.teach.sheet import Answer, Data, Sheet, add, figure_json
from pages.teach.sheet_notebook import grade_id, literal, quoted, to_notebook
from tests.pages.teach.sheets import ROWS, curves, figures, png, sheet

REASON = "the outside reference (tests/requirements.txt)"
nbformat = pytest.importorskip("nbformat", reason=REASON)
matplotlib = pytest.importorskip("matplotlib", reason=REASON)
matplotlib.use("Agg")

from matplotlib import pyplot  # noqa: E402

NBGRADER = {
    "type": "object",
    "properties": {
        "schema_version": {"const": 3},
        "grade": {"type": "boolean"},
        "locked": {"type": "boolean"},
        "solution": {"type": "boolean"},
        "task": {"type": "boolean"},
        "grade_id": {"type": "string", "pattern": r"^[a-zA-Z0-9_\-]*$"},
        "points": {"type": "number", "minimum": 0},
    },
    "required": ["schema_version", "grade", "locked", "solution"],
    "additionalProperties": False,
}
"""What nbgrader documents of a cell's metadata, version 3, of the keys that no command of its own adds."""


def cells(of, kind=None):
    held = json.loads(to_notebook(of))["cells"]
    return [cell for cell in held if kind in (None, cell["cell_type"])]


@pytest.fixture(autouse=True)
def no_figures_left():
    yield
    pyplot.close("all")


def run(of):
    """Executes the code cells one after the other, as a reader would; returns the names they leave."""
    names = {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message="FigureCanvasAgg is non-interactive")
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        for cell in cells(of, "code"):
            exec(compile(cell["source"], cell["id"], "exec"), names)
        for number in pyplot.get_fignums():
            pyplot.figure(number).canvas.draw()
    return names


def full():
    now = sheet()
    for name, figure in figures().items():
        now = add(now, replace(now.items[0], title=name, figure=figure_json(figure)))
    return now


# ---------------------------------------------------------------- the file


@pytest.mark.parametrize("of", [Sheet(), sheet(), full()], ids=["empty", "sheet", "full"])
def test_the_notebook_is_valid(of):
    notebook = nbformat.reads(to_notebook(of).decode(), as_version=4)
    nbformat.validate(notebook, relax_add_props=False)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)


def test_graded_cells_are_as_nbgrader_asks():
    twice = add(sheet(), sheet().items[0])
    graded = [cell for cell in cells(twice) if "nbgrader" in cell["metadata"]]
    for cell in graded:
        meta = cell["metadata"]["nbgrader"]
        jsonschema.validate(meta, NBGRADER)
        # Of a Markdown cell that is marked nbgrader asks that it is a solution too.
        assert (cell["cell_type"], meta["grade"], meta["solution"]) == ("markdown", True, True)
    found = [cell["metadata"]["nbgrader"] for cell in graded]
    assert [one["grade_id"] for one in found] == ["3-4", "3-9", "3-4-2"]
    assert [one["points"] for one in found] == [8, 4.5, 8]


def test_two_questions_never_share_an_identifier():
    taken = set()
    assert [grade_id(one, taken) for one in ("3.4", "3-4", "3.4", "3-4-2")] == [
        *("3-4", "3-4-2", "3-4-3", "3-4-2-2"),
    ]


def test_the_question_and_the_students_words_stand_before_the_data():
    ids = [cell["id"] for cell in cells(sheet())]
    assert ids == [
        *("title", "setup", "figure-1", "answer-1", "data-1", "plot-1"),
        *("figure-2", "picture-2", "data-2", "figure-3", "words-3", "data-3", "plot-3"),
        *("figure-4", "answer-4"),
    ]
    by_id = {cell["id"]: cell["source"] for cell in cells(sheet())}
    assert "Which one would you keep?" in by_id["figure-1"]
    assert "The loss falls,  \nand the network" in by_id["answer-1"]


def test_a_picture_is_inside():
    [cell] = [cell for cell in cells(sheet()) if "attachments" in cell]
    assert base64.b64decode(cell["attachments"]["picture.png"]["image/png"]) == png()
    assert "(attachment:picture.png)" in cell["source"]


def test_links_lead_back_only_where_the_address_is_known():
    link = sheet().items[0].link
    with_base = to_notebook(sheet(), "fr", "https://atelier.example").decode()
    assert f"(<https://atelier.example/{link}>)" in with_base
    assert "http" not in to_notebook(sheet()).decode()


def test_code_needs_matplotlib_and_the_standard_library_alone():
    for cell in cells(full(), "code"):
        for node in ast.walk(ast.parse(cell["source"])):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                root = name.split(".")[0]
                assert root == "matplotlib" or root in sys.stdlib_module_names


# ---------------------------------------------------------------- run


def test_the_data_are_those_that_were_kept():
    names = run(sheet())
    wanted = [{key: str(value) for key, value in row.items()} for row in ROWS]
    assert names["data_1"] == names["data_2"] == names["data_3"] == wanted


def test_every_kind_of_figure_is_drawn():
    run(full())
    # One of the sheet's own figures, one of rows alone, and the others.
    assert len(pyplot.get_fignums()) == 2 + len(figures())
    for number in pyplot.get_fignums():
        assert any(ax.has_data() for ax in pyplot.figure(number).axes)


def axes_of(figure):
    run(Sheet(items=(replace(sheet().items[0], figure=figure_json(figure)),)))
    return pyplot.gcf().axes


def test_curves_hold_the_numbers_of_the_page():
    [ax] = axes_of(curves())
    for line, trace in zip(ax.lines, curves().data, strict=False):
        assert line.get_xdata() == pytest.approx(trace.x)
        assert line.get_ydata() == pytest.approx(trace.y)
        assert (line.get_label(), line.get_color().upper()) == (trace.name, trace.line.color)
    assert [ax.get_xlabel(), ax.get_ylabel()] == ["epoch", "kNN accuracy"]
    assert ax.lines[2].get_ydata() == pytest.approx([0.1, 0.1])
    pyplot.gcf().canvas.draw()
    assert any(label.get_text().endswith("%") for label in ax.get_yticklabels())


def test_bars_have_the_lengths_of_the_page():
    [ax] = axes_of(figures()["bars"])
    assert [bar.get_height() for bar in ax.patches] == pytest.approx([1, 2, 3] * 2)
    assert [label.get_text() for label in ax.get_xticklabels()] == list("abc")
    [ax] = axes_of(figures()["lying"])
    assert [bar.get_width() for bar in ax.patches] == pytest.approx([0.3, 0.7])
    assert ax.yaxis_inverted()
    [ax] = axes_of(figures()["stacked"])
    assert [(bar.get_x(), bar.get_width()) for bar in ax.patches] == [(0, 3), (3, 2)]


def test_a_heat_map_has_the_values_of_the_page():
    ax = axes_of(figures()["heat"])[0]
    held = figures()["heat"].data[0].z
    drawn = np.asarray(ax.collections[0].get_array()).reshape(held.shape)
    assert drawn == pytest.approx(held, rel=1e-6)
    assert len(pyplot.gcf().axes) == 2  # with its scale


def test_logarithmic_axes_are_logarithmic():
    [ax] = axes_of(figures()["logs"])
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")


def test_panels_stand_side_by_side():
    left, right = axes_of(figures()["cloud"])
    assert left.get_position().x1 < right.get_position().x0
    for ax, trace in zip((left, right), figures()["cloud"].data, strict=True):
        wanted = np.column_stack([trace.x, trace.y])
        assert np.asarray(ax.collections[0].get_offsets()) == pytest.approx(wanted, rel=1e-6)


def test_rows_alone_are_drawn_by_group():
    run(Sheet(items=(sheet().items[2],)))
    [ax] = pyplot.gcf().axes
    assert [line.get_label() for line in ax.lines] == ["baseline", "no-stop-gradient"]
    assert ax.lines[1].get_ydata() == pytest.approx([0.21, 0.19, 0.168])


# ---------------------------------------------------------------- words are data

ODD = '"""); import os  # \\ \' $x$ {1} ![a](http://evil.example) <img src=x> `c` *b* _u_ | ~ \n# h\n- l\n2. x'


def test_words_never_become_code():
    figure = curves().update_xaxes(title=ODD.replace("<", "&lt;"))
    figure.data[0].name = ODD.replace("<", "&lt;")
    odd = replace(
        sheet().items[0],
        **dict.fromkeys(("caption", "alt", "words"), ODD),
        title=ODD,
        settings=((ODD, ODD),),
        answer=Answer("3.4", ODD, "b", ODD),
        data=Data((ODD, "n"), ((ODD, 1), (ODD, 2))),
        figure=figure_json(figure),
    )
    of = Sheet(ODD, (odd, replace(odd, figure="", answer=None)))
    names = run(of)
    assert "os" not in names
    assert names["data_1"][0][ODD] == ODD
    texts = [text.get_text() for ax in pyplot.figure(1).axes for text in ax.findobj(type(ax.title))]
    assert any('"""); import os' in text for text in texts)
    for cell in cells(of, "markdown"):
        bare = re.sub(r"\\.", "", cell["source"])
        assert "<img" not in bare
        assert not re.search(r"!\[[^\]]*\]\((?!attachment:)", bare)


@pytest.mark.parametrize("text", ["", "a\n", 'x""""', 'ends in "', "\\", '\\"""\\', "é\t'\n\n"])
def test_quoted_text_is_read_back_by_python(text):
    assert ast.literal_eval(quoted(text)) == text


def test_markdown_that_is_meant_as_text_is_held():
    assert literal("# a\n1. b\n- c") == "\\# a  \n1\\. b  \n\\- c"
    assert literal("kNN is 28.3 (%)") == "kNN is 28.3 (%)"
    assert literal("a_b <c> $d$") == r"a\_b \<c\> \$d\$"


def test_numbers_inside_are_csv():
    source = next(cell["source"] for cell in cells(sheet()) if cell["id"] == "plot-1")
    text = ast.parse(source).body[0].value.args[0].value
    table = list(csv.DictReader(io.StringIO(text)))
    assert [float(row["y"]) for row in table] == pytest.approx([row["accuracy"] for row in ROWS])

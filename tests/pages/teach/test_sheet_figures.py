"""Figures without Plotly: what is drawn lies where the numbers say, and a hostile figure draws nothing ill."""

import itertools
import json
import math
import random
import re
from xml.etree import ElementTree

import numpy as np
import plotly.graph_objects as go
import pytest
from plotly.colors import sample_colorscale

from pages.teach import sheet_plot, sheet_svg
from pages.teach.sheet import figure_json
from tests.pages.teach.sheets import curves, figures

SVG = "{http://www.w3.org/2000/svg}"


def read(figure):
    return sheet_plot.read(figure_json(figure))


def drawn(figure, language="en"):
    """The SVG as a tree; a parser of XML is stricter than a browser."""
    return ElementTree.fromstring(sheet_svg.draw(read(figure), "what it shows", language))


def panels(tree):
    """What is drawn in each panel: its paths and rectangles."""
    return [inner for inner in tree.iter(f"{SVG}svg") if inner is not tree]


def points(path):
    pairs = re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", path.get("d"))
    return np.array(pairs, dtype=float)


def words(tree):
    return [text.text for text in tree.iter(f"{SVG}text")]


def linear(values, pixels, *, upwards=False):
    """Whether pixels are a linear function of values, to the two decimals that are written."""
    slope, start = np.polyfit(values, pixels, 1)
    return (
        np.allclose(slope * np.array(values) + start, pixels, atol=0.02) and (slope < 0) == upwards
    )


@pytest.mark.parametrize("kind", figures())
def test_every_kind_of_figure_is_drawn(kind):
    tree = drawn(figures()[kind])
    assert tree.get("aria-label") == "what it shows"
    assert len(panels(tree)) == (2 if kind == "cloud" else 1)
    assert all(len(panel) for panel in panels(tree))
    _x, _y, width, height = map(float, tree.get("viewBox").split())
    for text in tree.iter(f"{SVG}text"):
        assert 0 <= float(text.get("x")) <= width
        assert 0 <= float(text.get("y")) <= height


def test_a_curve_lies_where_its_numbers_say():
    tree = drawn(curves())
    lines = [path for path in panels(tree)[0] if path.get("stroke-linejoin")]
    for line, trace in zip(lines, curves().data, strict=True):
        assert line.get("stroke").upper() == trace.line.color
        found = points(line)
        assert linear(trace.x, found[:, 0])
        assert linear(trace.y, found[:, 1], upwards=True)


def test_a_line_across_stands_at_its_value():
    tree = drawn(curves())
    paths = [path for path in panels(tree)[0] if path.tag == f"{SVG}path"]
    curve = points(next(path for path in paths if path.get("stroke-linejoin")))
    across = points(paths[-1])
    slope, start = np.polyfit(curves().data[0].y, curve[:, 1], 1)
    assert across[:, 1] == pytest.approx([0.1 * slope + start] * 2, abs=0.05)
    bottom = float(panels(tree)[0].get("y")) + float(panels(tree)[0].get("height"))
    assert across[0, 1] < bottom  # within the panel, though all curves lie higher


def test_logarithmic_axes_are_linear_in_the_logarithm():
    figure = figures()["logs"]
    found = points(panels(drawn(figure))[0][0])
    assert linear(np.log10(figure.data[0].x), found[:, 0])
    assert linear(np.log10(figure.data[0].y), found[:, 1], upwards=True)
    assert {"10⁻⁶", "1"} <= set(words(drawn(figure)))


def test_bars_are_as_long_as_their_values_and_stand_next_to_one_another():
    rectangles = [one for one in panels(drawn(figures()["bars"]))[0] if one.tag == f"{SVG}rect"]
    heights = np.array([float(one.get("height")) for one in rectangles])
    assert heights / heights[0] == pytest.approx(np.array([1, 2, 3, 1, 2, 3]), rel=1e-3)
    spans = sorted((float(o.get("x")), float(o.get("width"))) for o in rectangles)
    assert all(a + w <= b + 0.02 for (a, w), (b, _w) in itertools.pairwise(spans))


def test_bars_without_places_are_counted():
    assert read(go.Figure(go.Bar(y=[3, 4]))).series[0].x == (0, 1)
    assert read(go.Figure(go.Bar(x=[3, 4], orientation="h"))).series[0].y == (0, 1)


def test_lying_bars_run_backwards_where_the_axis_does():
    tree = drawn(figures()["lying"])
    first, second = panels(tree)[0]
    assert float(first.get("y")) < float(second.get("y"))
    assert float(second.get("width")) / float(first.get("width")) == pytest.approx(7 / 3, rel=1e-3)
    assert {"cat", "a truck", "0%", "100%"} <= set(words(tree))


def test_stacked_bars_begin_where_the_one_below_ends():
    first, second = panels(drawn(figures()["stacked"]))[0]
    assert float(first.get("x")) + float(first.get("width")) == pytest.approx(
        float(second.get("x")), abs=0.02
    )
    assert float(second.get("width")) / float(first.get("width")) == pytest.approx(2 / 3, rel=1e-3)


def test_bars_above_and_below_zero_are_stacked_apart():
    bars = [go.Bar(x=["a"], y=[y]) for y in (2, -1, 3, -4)]
    plot = read(go.Figure(bars).update_layout(barmode="relative"))
    assert [(one.base[0], one.y[0]) for one in plot.series] == [(0, 2), (0, -1), (2, 5), (-1, -5)]


@pytest.mark.parametrize("scale", ["Viridis", "PuOr", [[0, "#000000"], [1, "rgb(200,100,0)"]]])
def test_a_heat_map_has_the_colours_of_its_scale(scale):
    z = np.linspace(-3, 5, 12).reshape(3, 4)
    series = read(go.Figure(go.Heatmap(z=z, colorscale=scale))).series[0]
    shares = (z.ravel() + 3) / 8
    wanted = sample_colorscale(scale, shares)
    for mine, theirs in zip(series.colours, wanted, strict=True):
        levels = [int(mine[at : at + 2], 16) for at in (1, 3, 5)]
        assert levels == pytest.approx([float(v) for v in re.findall(r"[\d.]+", theirs)], abs=1)
    assert (series.scale.low, series.scale.high) == (-3, 5)


def test_what_a_cell_says_stands_in_it():
    assert sorted(words(drawn(figures()["confusion"]))).count("1") >= 2


def test_packed_numbers_are_those_that_were_packed():
    values = np.random.default_rng(0).normal(size=50)
    for kind in ("f8", "f4", "i2", "u1"):
        packed = (values * 20 + 100).astype(kind)
        assert read(go.Figure(go.Scatter(y=packed))).series[0].y == tuple(packed.astype(float))


def test_a_gap_in_the_numbers_is_a_gap_in_the_line():
    path = panels(drawn(go.Figure(go.Scatter(y=[1, 2, None, 3, 4]))))[0][0].get("d")
    assert re.sub(r"[^ML]", "", path) == "MLML"


@pytest.mark.parametrize("count", [3, 19, 20, 40])
def test_few_points_are_marked_as_plotly_does(count):
    series = read(go.Figure(go.Scatter(y=list(range(count))))).series[0]
    assert (series.line, series.markers) == (True, count < 20)


def test_one_unit_is_as_long_both_ways_where_the_figure_asks():
    figure = go.Figure(go.Scatter(x=[0, 1, 1], y=[0, 0, 1]))
    figure.update_yaxes(scaleanchor="x")
    a, b, c = points(panels(drawn(figure))[0][0])
    assert abs(b - a)[0] == pytest.approx(abs(c - b)[1], abs=0.03)


def test_an_axis_that_runs_backwards_names_its_places_too():
    figure = go.Figure(go.Scatter(x=[0, 10], y=[0, 1], name=""))
    forth = set(words(drawn(figure)))
    assert set(words(drawn(figure.update_xaxes(autorange="reversed")))) == forth
    assert {"0", "10"} < forth


def test_numbers_are_written_as_the_language_does():
    figure = go.Figure(go.Scatter(x=[0, 1], y=[0, 0.5])).update_yaxes(tickformat=".0%")
    assert {"0.2", "20%"} <= set(words(drawn(figure)))
    assert {"0,2", "20\N{NARROW NO-BREAK SPACE}%"} <= set(words(drawn(figure, "fr")))


def test_words_are_shown_and_never_read():
    odd = '5 < 6 & 7 > "3" \'</svg><script>alert(1)</script>'
    figure = curves().update_layout(title={"text": odd.replace("&", "&amp;").replace("<", "&lt;")})
    tree = drawn(figure)
    assert odd in words(tree)
    assert not list(tree.iter(f"{SVG}script"))


@pytest.mark.parametrize(
    "written",
    ["#0072B2", "#0072b2ff", "rgb(0, 114, 178)", "rgba(0,114,178,1)", "rgba(0,114,178,0.18)"],
)
def test_a_colour_is_the_same_however_it_is_written(written):
    plot = read(go.Figure(go.Scatter(y=[1, 2], line_color=written)))
    assert plot.series[0].colours == ("#0072b2",)
    assert plot.series[0].opacity == (0.18 if "0.18" in written else 1)


HOSTILE = [
    None,
    True,
    -1,
    0,
    1e308,
    -1e-320,
    "",
    "x",
    '"/><script>alert(1)</script>',
    "url(http://evil.example/x)",
    "1e400",
    [],
    [[]],
    {},
    [None] * 3,
    ["a", 1, None],
    {"bdata": "AAAA", "dtype": "f8"},
    {"bdata": "AAAAAAAAAAA=", "dtype": "f8", "shape": "999999,9999"},
    {"dtype": "O8", "bdata": "AAAA"},
    [1e-300, 1e300],
    [0, 0],
    {"color": '"><x', "width": 1e9, "dash": '"x', "size": [1e9], "colorscale": [[0, "x"], [2]]},
]


def places(value, path=()):
    """The paths of all values in the JSON of a figure."""
    yield path
    if isinstance(value, dict | list):
        keys = value if isinstance(value, dict) else range(min(len(value), 2))
        for key in keys:
            yield from places(value[key], (*path, key))


def put(value, path, new):
    for key in path[:-1]:
        value = value[key]
    value[path[-1]] = new


def test_a_hostile_figure_gives_none_or_a_picture_without_harm():
    rng = random.Random(2)
    texts = {kind: figure_json(figure) for kind, figure in figures().items()}
    keys = ["barmode", "title", "height", "shapes", "annotations", "xaxis", "yaxis", "legend"]
    seen = 0
    for text in texts.values():
        paths = [path for path in places(json.loads(text)) if path]
        paths += [("layout", key) for key in keys]
        paths += [("data", 0, key) for key in ("x", "y", "z", "marker", "line", "error_y", "type")]
        paths += [
            ("layout", axis, key) for axis in ("xaxis",) for key in ("range", "type", "domain")
        ]
        for path in rng.sample(paths, min(18, len(paths))):
            for new in rng.sample(HOSTILE, 6):
                figure = json.loads(text)
                figure["layout"].setdefault("xaxis", {})
                put(figure, path, new)
                plot = sheet_plot.read(json.dumps(figure))
                if plot is None:
                    continue
                seen += 1
                tree = ElementTree.fromstring(sheet_svg.draw(plot, "alt"))
                for one in tree.iter():
                    assert one.tag.removeprefix(SVG) in ("svg", "rect", "path", "text", "circle")
                    assert not any(
                        "nan" in v or "inf" in v for k, v in one.items() if k != "aria-label"
                    )
                    looks = [one.get(name, "none") for name in ("fill", "stroke")]
                    assert all(re.fullmatch(r"#[0-9a-fA-F]{6}|none|white", look) for look in looks)
    assert seen > 300


@pytest.mark.parametrize(
    "text",
    [
        '{"data": []}',
        '{"data": [{"type": "choropleth", "geojson": "http://evil.example"}]}',
        '{"data": [{"type": "scatter3d", "x": [1]}]}',
        '{"data": [{"y": ' + "[" * 5000 + "]" * 5000 + "}]}",
        json.dumps({"data": [{"y": [1, 2]}] * 201}),
        json.dumps({"data": [{"y": list(range(60_001))}]}),
        json.dumps({"data": [{"type": "bar", "y": list(range(20_001))}]}),
        json.dumps({"data": [{"type": "heatmap", "z": [[0] * 201] * 100}]}),
        json.dumps({"data": [{"type": "heatmap", "z": [[0, 1]], "colorscale": "none"}]}),
        json.dumps({"data": [{"type": "heatmap", "z": [[1, 2], [1]]}]}),
    ],
)
def test_what_is_not_read_is_not_drawn(text):
    assert sheet_plot.read(text) is None


def test_pictures_and_addresses_of_a_figure_are_left_out():
    figure = curves()
    figure.add_layout_image(source="http://evil.example/spy.png", x=0, y=1, sizex=1, sizey=1)
    figure.layout.title.text = '<a href="http://evil.example">see</a> <b>this</b>'
    svg = sheet_svg.draw(read(figure), "alt")
    assert "evil" not in svg
    assert "see this" in words(ElementTree.fromstring(svg))


def test_an_axis_never_ends_where_it_begins():
    for y in ([0, 0], [5, 5], [1e-30, 1e-30], [-3, -3]):
        axis = read(go.Figure(go.Scatter(y=y))).panels[0].y
        assert axis.high > axis.low
        assert math.isfinite(axis.high - axis.low)

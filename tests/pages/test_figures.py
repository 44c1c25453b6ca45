"""Pictures: how they travel; tables of them, in one piece where narrow, in parts where wide."""

import base64
import csv
import io
import json
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import plotly.graph_objects as go
import pytest
from PIL import Image
from plotly.subplots import make_subplots
from streamlit.testing.v1 import AppTest

from core.pictures.images import enlarge, grid
from pages.shared import figures, house_style, text
from pages.shared.colours import LABEL_ON_DARK
from pages.shared.figures import MARK
from tests.pages.opening import LONGEST, PAGES, opened

ROOT = Path(__file__).parents[2]
ALT = "Pictures by level"


def page():
    import numpy as np
    import streamlit as st

    from pages.shared import figures

    columns, divided = int(st.query_params["columns"]), st.query_params.get("divided")
    pictures = np.arange(3 * columns, dtype=np.uint8).reshape(3, columns, 1, 1, 1) * 5
    st.session_state["whole"] = figures.matrix(
        np.broadcast_to(pictures, (3, columns, 32, 32, 3)),
        ["original", "noised", "restored"],
        [str(100 * (place + 1)) for place in range(columns)],
        "levels",
        alt="Pictures by level",
        divided=None if divided is None else int(divided),
    )


@dataclass(frozen=True)
class Drawing:
    """A table or a strip as a browser gets it: its pictures, not enlarged, its words and its lines."""

    size: tuple[int, int]
    images: list[tuple[np.ndarray, dict]]
    words: list[str]
    lines: list[dict]
    svg: str

    @classmethod
    def of(cls, address):
        head, written = address.split(",", 1)
        assert head == "data:image/svg+xml"
        svg = unquote(written)
        root = ElementTree.fromstring(svg)
        found = {kind: root.findall(f"{{http://www.w3.org/2000/svg}}{kind}") for kind in KINDS}
        images = [(picture_in(one.get("href"))[0], one.attrib) for one in found["image"]]
        words = [one.text for one in found["text"]]
        size = (int(root.get("width")), int(root.get("height")))
        return cls(size, images, words, [one.attrib for one in found["rect"]], svg)

    @property
    def levels(self):
        """The grey levels of its tiles, in rows."""
        ((picture, _place),) = self.images
        return picture[::33, ::33, 0].tolist()


KINDS = ("image", "text", "rect")


@pytest.fixture
def table(monkeypatch):
    """The parts of a table as (alt, drawing), and the whole of it as it is saved."""
    shown = []

    def image(_self, made, *, alt, width):
        shown.append((alt, Drawing.of(made)))

    def run(columns, divided=None):
        import streamlit as st
        from streamlit.delta_generator import DeltaGenerator

        shown.clear()
        monkeypatch.setattr(DeltaGenerator, "image", image)
        monkeypatch.setattr(st, "image", lambda made, **kwargs: image(None, made, **kwargs))
        at = AppTest.from_function(page, default_timeout=LONGEST)
        at.query_params["columns"] = str(columns)
        if divided is not None:
            at.query_params["divided"] = str(divided)
        at.run()
        assert not at.exception
        return list(shown), at.session_state["whole"]

    return run


ROWS = ["original", "noised", "restored"]


def expected(columns, start, end):
    return [[5 * (row * columns + at) for at in range(start, end)] for row in range(3)]


def marked(picture):
    return (picture[..., :3] == MARK).all(axis=2).any()


def colours(picture):
    """The grey levels that the table is made of: 0, 5, 10 and so on."""
    return {value for value in range(0, 250, 5) if (picture == value).all(axis=2).sum() > 5000}


def test_a_narrow_table_is_shown_in_one_piece(table):
    ((alt, drawing),), whole = table(6)
    assert alt == ALT
    assert drawing.size == whole.shape[1::-1]
    assert drawing.levels == expected(6, 0, 6)
    assert drawing.words == [*(str(100 * (place + 1)) for place in range(6)), *ROWS]
    assert colours(whole) == set(range(0, 5 * 18, 5))


@pytest.mark.parametrize(("columns", "ends"), [(8, [4, 8]), (12, [6, 12]), (13, [5, 9, 13])])
def test_a_wide_table_is_shown_in_parts_of_one_size(table, columns, ends):
    parts, whole = table(columns)
    starts = [0, *ends[:-1]]
    assert [alt for alt, _ in parts] == [
        f"{ALT} ({100 * (start + 1)} – {100 * end})"
        for start, end in zip(starts, ends, strict=True)
    ]
    assert len({drawing.size for _, drawing in parts}) == 1
    for (_, drawing), start, end in zip(parts, starts, ends, strict=True):
        assert drawing.levels == expected(columns, start, end)
        assert drawing.words == [*(str(100 * (at + 1)) for at in range(start, end)), *ROWS]
        assert not drawing.lines
    assert colours(whole) == {5 * place for place in range(3 * columns)}


@pytest.mark.parametrize(
    ("divided", "where"), [(0, 0), (1, 0), (5, 0), (6, 0), (7, 1), (11, 1), (12, 1)]
)
def test_the_line_is_drawn_in_one_part(table, divided, where):
    parts, whole = table(12, divided)
    assert [len(drawing.lines) for _, drawing in parts] == [where == 0, where == 1]
    assert marked(whole)
    drawing = parts[where][1]
    (line,) = drawing.lines
    assert line["fill"] == to_hex(MARK)
    across = float(line["x"]) + float(line["width"]) / 2
    assert across == pytest.approx(drawing.size[0] - (6 - (divided - 6 * where)) * 132, abs=8)
    assert float(line["height"]) == drawing.size[1]


def to_hex(colour):
    return "#" + "".join(f"{int(part):02X}" for part in colour)


def test_labels_have_the_colour_of_the_theme_and_no_ground_of_their_own(table):
    strip, _made = sent(
        lambda figures: figures.strip(noise(7), list("abcdef<"), "made", alt="Seven", columns=3)
    )
    drawings = [Drawing.of(strip[0].url), *(drawing for _, drawing in table(8)[0])]
    for drawing in drawings:
        assert "fill: #333333" in drawing.svg
        dark = drawing.svg.split("@media (prefers-color-scheme: dark)")[1]
        assert f"fill: {LABEL_ON_DARK}" in dark
        for picture, _place in drawing.images:
            gaps = np.ones(picture.shape[:2], dtype=bool)
            for top in range(0, picture.shape[0], 33):
                for left in range(0, picture.shape[1], 33):
                    gaps[top : top + 32, left : left + 32] = False
            assert not gaps.any() or (picture[gaps][:, 3] == 0).all()  # the page shows through
    assert drawings[0].words == list("abcdef<")
    assert [picture.shape[1] for picture, _place in drawings[0].images] == [98, 98, 32]
    theme = tomllib.loads((ROOT / ".streamlit/config.toml").read_text())["theme"]
    assert theme["dark"]["textColor"] == LABEL_ON_DARK


# ---------------------------------------------------------------- how pictures travel


def noise(count, seed=0):
    """Pictures of which none can be told in fewer bytes."""
    return np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


def pictures_page():
    import streamlit as st

    from pages.shared import figures

    made = st.session_state["made"](figures)
    st.session_state["returned"] = made


def sent(draw):
    """What ``draw`` of the figures sends to a browser, image by image, and what it returns."""
    at = AppTest.from_function(pictures_page, default_timeout=LONGEST)
    at.session_state["made"] = draw
    at.run()
    assert not at.exception
    return [image for element in at.image for image in element.proto.imgs], at.session_state[
        "returned"
    ]


def picture_in(address):
    """Pixels and file format of a picture that travels in its address."""
    kind, encoded = address.split(";base64,")
    opened_ = Image.open(io.BytesIO(base64.b64decode(encoded)))
    assert kind == f"data:image/{opened_.format.lower()}"
    return np.asarray(opened_), opened_.format


def test_every_pixel_of_a_sheet_travels_once_and_unchanged():
    pictures = noise(10)
    (image,), made = sent(
        lambda figures: figures.sheet(pictures, "made", columns=4, alt="Ten pictures", factor=8)
    )
    small, _format = picture_in(image.url)
    seen = (
        small[..., 3] == 255
    )  # between the pictures, and where there is none, the page shows through
    assert seen.sum() == 10 * 32 * 32
    np.testing.assert_array_equal(small[seen][:, :3], grid(pictures, 4, gap=1)[seen])
    np.testing.assert_array_equal(made, grid(enlarge(pictures, 8), 4, gap=8))
    assert image.alt == "Ten pictures"


def test_the_marked_picture_of_a_sheet_is_framed_and_left_as_it_was():
    pictures = noise(3)
    before = pictures.copy()
    (image,), made = sent(
        lambda figures: figures.sheet(pictures, "made", columns=3, alt="Three", marked=1)
    )
    np.testing.assert_array_equal(pictures, before)
    for shown, scale in ((picture_in(image.url)[0], 1), (made, 4)):
        first, framed, last = (
            shown[:, 33 * at * scale : (33 * at + 32) * scale] for at in range(3)
        )
        edge = np.ones(framed.shape[:2], dtype=bool)
        edge[scale:-scale, scale:-scale] = False
        assert (framed[edge][:, :3] == MARK).all()
        np.testing.assert_array_equal(framed[~edge][:, :3], enlarge(before[1], scale)[~edge])
        assert not marked(first) | marked(last)


def test_pictures_of_a_row_do_not_touch_and_keep_their_words():
    pictures = noise(2)
    tiles = [(pictures[0], "**one**", "The first"), (pictures[1], "two", "The second")]
    images, _nothing = sent(lambda figures: figures.row(tiles, "made", width=400))
    assert [(image.caption, image.alt) for image in images] == [
        ("**one**", "The first"),
        ("two", "The second"),
    ]
    for image, picture in zip(images, pictures, strict=True):
        wide, _format = picture_in(image.url)
        assert wide.shape == (32, 34, 4)
        np.testing.assert_array_equal(wide[:, :32, :3], picture)
        assert (wide[:, :32, 3] == 255).all()
        assert (wide[:, 32:, 3] == 0).all()


@pytest.mark.parametrize("count", [2, 8, 9, 60])
def test_a_frame_of_live_work_is_small_whatever_it_shows(count):
    """Two thirds of a byte a pixel and channel, where pure noise has a whole one."""
    (image,), said = sent(
        lambda figures: figures.live_sheet(noise(count), columns=12, alt="Now", width=400)
    )
    assert said == len(image.url)
    exact = count <= figures.EXACT
    assert said < count * 32 * 32 * 3 * (1.5 if exact else 0.67)
    shown, _format = picture_in(image.url)
    right = grid(noise(count), 12, gap=1)
    assert shown.shape[:2] == right.shape[:2]
    seen = shown[..., 3] == 255 if exact else np.ones(shown.shape[:2], dtype=bool)
    off = np.sqrt(np.square(shown[seen][:, :3].astype(float) - right[seen]).mean())
    assert off == 0 if exact else off < 24


def test_frames_of_pictures_that_noise_leaves_look_as_they_are():
    """Of what is nearly a picture JPEG changes little, and no colour."""
    shades = np.linspace(0, 200, 32)[:, None, None] + np.array([0, 25, 50])
    smooth = np.broadcast_to(shades, (20, 32, 32, 3)).astype(np.uint8)
    (image,), _said = sent(
        lambda figures: figures.live_sheet(smooth, columns=5, alt="Now", width=400)
    )
    shown, format_ = picture_in(image.url)
    assert format_ == "JPEG"
    inside = shown[8:24, 8:24].astype(float) - smooth[0, 8:24, 8:24]
    assert np.abs(inside).mean() < 3


def test_a_drawing_travels_as_it_is_written():
    svg = '<svg xmlns="http://www.w3.org/2000/svg"><text fill="#aa3377">100 % · 1\u202f000</text></svg>'
    address = figures.vector(svg)
    assert address.isascii()
    assert not set(address) & set("#")
    head, written = address.split(",", 1)
    assert head == "data:image/svg+xml"
    assert unquote(written) == svg
    assert not address.startswith(("data:image/webp", "data:image/jpeg"))


def test_what_travels_in_an_address_is_enlarged_without_smoothing():
    for kind in ("webp", "jpeg"):
        assert f'img[src^="data:image/{kind}"]' in figures.SHARP
    assert "pixelated" in figures.SHARP
    assert figures.SHARP in next(element.proto.body for element in opened("home").get("html"))


# ---------------------------------------------------------------- tables of words and numbers


def cut_page():
    from pages.shared.figures import Column, table

    states = ["spread out"] * 6 + ["partly collapsed, and so on"] * 2
    columns = [Column("state", "state"), Column("run", "run"), Column("count", "a long title")]
    rows = [
        {"state": one, "run": "a run", "count": 10 ** (place == 3)}
        for place, one in enumerate(states)
    ]
    table(rows, columns, "t")
    table(rows[-5:], columns, "few")


def test_a_cell_that_the_grid_would_leave_out_of_its_measure_has_its_room():
    at = AppTest.from_function(cut_page, default_timeout=LONGEST)
    at.run()
    many, few = (json.loads(shown.proto.columns) for shown in at.dataframe)
    assert many.pop("_index") == few.pop("_index") == {"hidden": True}
    assert many == {"state": {"width": 8 * 27 + 16}, "a long title": {"width": 8 * 12 + 16}}
    assert few == {}  # all are measured


def table_page():
    from pages.shared import figures
    from pages.shared.figures import Column, digits
    from pages.shared.text import percent

    rows = [
        {"name": "a", "frechet": 2880.125, "share": 0.25, "seconds": None},
        {"name": "b", "frechet": -0.5, "share": 1.0, "seconds": 2.0},
    ]
    columns = [
        Column("name", "Nom"),
        Column("frechet", "Distance", digits(1)),
        Column("share", "Part", percent),
        Column("seconds", "Secondes", digits(2)),
    ]
    figures.table(rows, columns, "numbers")


def test_a_table_is_shown_in_the_visitors_language():
    at = AppTest.from_function(table_page, default_timeout=LONGEST)
    at.session_state["language"] = "fr"
    shown = at.run().dataframe[0].value
    assert not at.exception
    assert list(shown.columns) == ["Nom", "Distance", "Part", "Secondes"]
    assert shown["Distance"].tolist() == ["2\N{NARROW NO-BREAK SPACE}880,1", "\N{MINUS SIGN}0,5"]
    assert shown["Part"].tolist() == [
        "25\N{NARROW NO-BREAK SPACE}%",
        "100\N{NARROW NO-BREAK SPACE}%",
    ]
    assert shown["Secondes"].tolist() == ["–", "2,00"]


def test_saved_rows_are_raw_and_may_lack_a_value():
    rows = [{"a": 1.5, "b": None}, {"a": -0.25, "c": "x"}]
    assert figures.csv_bytes(rows).decode() == "a,b,c\n1.5,,\n-0.25,,x\n"
    assert figures.csv_bytes([]) == b"\n"


WITHOUT_DATA = {"overview", "my_sheet", "mark_sheets"}
"""Pages that have no figure of their own."""


@pytest.mark.parametrize("page", PAGES)
def test_the_data_of_a_page_is_the_same_in_either_language(monkeypatch, page):
    """What is given to a download: keys in English, numbers as numbers."""
    saved = {}

    def caught(language):
        def downloads(key, *, rows=None, **_others):
            if rows is not None:
                saved.setdefault(key, {})[language] = figures.csv_bytes(rows())

        monkeypatch.setattr(figures, "downloads", downloads)
        opened(page, lang=language)

    caught("en")
    caught("fr")
    assert bool(saved) is (page not in WITHOUT_DATA)
    for key, files in saved.items():
        english, french = (list(csv.reader(io.StringIO(files[c].decode()))) for c in ("en", "fr"))
        assert english[0] == french[0], key
        cells = [cell for row in french[1:] for cell in row]
        localised = [cell for cell in cells if IN_FRENCH.fullmatch(cell) and not cell.isascii()]
        assert localised == [], key
        assert not [cell for cell in cells if re.fullmatch(r"\d+,\d+", cell)], key


IN_FRENCH = re.compile(
    "\N{MINUS SIGN}?[\\d\N{NARROW NO-BREAK SPACE}]+(,\\d+)?(\N{NARROW NO-BREAK SPACE}%)?"
)
"""A number as a French page writes it."""


# ---------------------------------------------------------------- names that look like markup


def words_in(value):
    """Every string of a nested value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from words_in(one)
    elif isinstance(value, list | tuple | np.ndarray):
        for one in value:
            yield from words_in(one)


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ('with "quotes" & <b>', 'with "quotes" &amp; &lt;b>'),
        ("<i>cats</i>", "&lt;i>cats&lt;/i>"),
        ("a &lt; b", "a &amp;lt; b"),
        ("<a href='x'>dogs</a>", "&lt;a href='x'>dogs&lt;/a>"),
        ("two<br>lines", "two<br>lines"),
        ("plain", "plain"),
    ],
)
def test_a_class_stands_in_a_chart_as_it_is_written(name, written):
    """Wherever a chart may have it: Plotly reads words as markup."""
    figure = make_subplots(2, 1, subplot_titles=[name, "other"])
    figure.add_trace(go.Heatmap(z=np.eye(2), x=[name, "other"], y=np.array([name, "other"])))
    template = "%{x}<extra></extra>"
    figure.add_trace(
        go.Scatter(
            x=[1, 2],
            y=[3, 4],
            name=name,
            text=[name, ""],
            customdata=[name, ""],
            hovertemplate=template,
        )
    )
    figure.update_xaxes(title=name, ticktext=[name], tickvals=[1])
    figure.update_layout(title=name, legend_title=name)
    count = sum(words == name for words in words_in(figure.to_dict()))
    assert count >= 9
    after = figure.to_dict()
    figures.escape_words(after)
    words = list(words_in(after))
    assert words.count(written) == count
    assert template in words
    assert after["data"][1]["x"] == [1, 2]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("letter", "axis", "most", "ticks"),
    [
        ("y", {}, 0.74, ["0", "20", "40", "60"]),
        ("y", {"range": [-0.03, 1.03]}, 0.5, ["0", "20", "40", "60", "80", "100"]),
        ("x", {"range": [0, 1.08], "dtick": 0.5}, 0.2, ["0", "50", "100"]),
        ("x", {}, 0.043, ["0", "2", "4"]),
        ("y", {}, float("nan"), ["0"]),
    ],
)
def test_ticks_in_percent_have_a_space_before_the_sign_in_french(
    monkeypatch, letter, axis, most, ticks, packed
):
    values = [0.0, most]
    trace = {letter: np.array(values) if packed else values, "xy".replace(letter, ""): [1, 2]}
    figure = go.Figure(go.Scatter(**trace))
    figure.update_layout(**{f"{letter}axis": {"tickformat": ".0%", **axis}})
    for language, wanted in (("fr", [f"{tick}\u202f%" for tick in ticks]), ("en", None)):
        monkeypatch.setattr(house_style, "language", lambda language=language: language)
        monkeypatch.setattr(text, "language", lambda language=language: language)
        shown = figures.in_house_style(figure, 300).to_dict()["layout"]
        found = shown[f"{letter}axis"].get("ticktext")
        assert (None if found is None else list(found)) == wanted


@pytest.mark.parametrize(
    ("kind", "ticks"),
    [(go.Scatter, ["35", "36", "37", "38", "39"]), (go.Bar, ["0", "10", "20", "30"])],
)
def test_ticks_in_percent_lie_where_the_axis_of_plotly_begins(monkeypatch, kind, ticks):
    figure = go.Figure(kind(x=[1, 2], y=[0.35, 0.39]))
    figure.update_yaxes(tickformat=".0%")
    for module in (house_style, text):
        monkeypatch.setattr(module, "language", lambda: "fr")
    shown = figures.in_house_style(figure, 300).to_dict()["layout"]["yaxis"]
    assert list(shown["ticktext"]) == [f"{tick}\u202f%" for tick in ticks]


def test_thousands_on_an_axis_are_written_as_in_the_text():
    figure = go.Figure(go.Scatter(x=[0, 1000], y=[1, 2]))
    layout = figures.in_house_style(figure, 300).to_dict()["layout"]
    assert layout["xaxis"]["separatethousands"]
    assert layout["yaxis"]["separatethousands"]


def two_sheets():
    import numpy as np
    import streamlit as st

    from pages.shared import figures, text

    st.session_state[text.LED] = "sheet", 1
    for level in (0, 255):
        figures.sheet(
            np.full((1, 32, 32, 3), level, np.uint8), "sheet", columns=1, alt=f"level {level}"
        )


def test_a_link_leads_to_the_first_of_several_sheets_of_one_key():
    at = AppTest.from_function(two_sheets, default_timeout=LONGEST).run()
    assert not at.exception
    assert len(at.image) == 2


def test_plotly_never_meets_a_pandas_that_is_being_imported():
    """Another thread may import it while a chart is made: it comes with what makes charts."""
    code = "import sys, pages.shared.figures; assert 'pandas' in sys.modules"
    root = Path(__file__).parents[2]
    found = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr

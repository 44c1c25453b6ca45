"""A sheet as a Jupyter notebook that needs matplotlib and nothing else.

The file is JSON of nbformat 4.5. Of each kept figure it has the question, the student's own text, the numbers
as CSV, and a cell that draws them, to go on from. A cell that holds an answer carries the metadata of nbgrader,
schema version 3, which is that of its releases: https://nbgrader.readthedocs.io/en/stable/contributor_guide/metadata.html
"""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from collections.abc import Iterator

from pages.shared.text import N_, in_language, literal
from pages.teach import sheet_plot
from pages.teach.sheet import Answer, Cell, Data, Sheet, SheetItem
from pages.teach.sheet_plot import Axis, Mark, Plot, Series

NBGRADER = 3
DASHES = {"dash": "--", "dot": ":", "dashdot": "-.", "longdash": "--", "longdashdot": "-."}
GROUPS = 12

SETUP = '''\
import csv
import io

import matplotlib.pyplot as plt
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.ticker import PercentFormatter


def rows(text):
    """The rows of a table: one dictionary a row, every value as text."""
    return list(csv.DictReader(io.StringIO(text)))


def number(text):
    """A value as a number; NaN where the field is empty."""
    return float(text) if text else float("nan")


def points(text):
    """Numbers of a figure by series: a dictionary of columns for each."""
    found = {}
    for row in rows(text):
        series = found.setdefault(int(row.pop("series")), {name: [] for name in row})
        for name, value in row.items():
            series[name].append(value if name == "colour" else number(value))
    return found
'''

Json = dict[str, object]


def to_notebook(sheet: Sheet, language: str = "en", base: str = "") -> bytes:
    """The sheet as an ``.ipynb`` file; ``base`` is the address of the app for the links back."""
    cells = [_markdown("title", _title(sheet, language)), _code("setup", SETUP)]
    taken: set[str] = set()
    for place, kept in enumerate(sheet.items, 1):
        cells += _item(kept, place, language, base, taken)
    notebook = {
        "cells": cells,
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(notebook, ensure_ascii=False, indent=1).encode()


def _title(sheet: Sheet, language: str) -> str:
    title = f"# {in_language(N_('My sheet'), language)}"
    return f"{title}\n\n{literal(sheet.name)}" if sheet.name else title


# ---------------------------------------------------------------- cells


def _markdown(name: str, source: str, **more: object) -> Json:
    return {"cell_type": "markdown", "id": name, "metadata": {}, "source": source, **more}


def _code(name: str, source: str) -> Json:
    return {
        "cell_type": "code",
        "execution_count": None,
        "id": name,
        "metadata": {},
        "outputs": [],
        "source": source.rstrip("\n"),
    }


def _item(kept: SheetItem, place: int, language: str, base: str, taken: set[str]) -> Iterator[Json]:
    yield _markdown(f"figure-{place}", _about(kept, place, language, base))
    if kept.picture and not kept.figure:
        coded = base64.b64encode(kept.picture).decode()
        source = f"![{literal(kept.alt or kept.title)}](attachment:picture.png)".replace(
            "  \n", " "
        )
        yield _markdown(
            f"picture-{place}", source, attachments={"picture.png": {"image/png": coded}}
        )
    if kept.answer:
        yield _answer(kept.answer, kept.words, place, language, taken)
    elif kept.words:
        yield _markdown(f"words-{place}", literal(kept.words))
    if kept.data.rows:
        yield _code(f"data-{place}", f"data_{place} = rows({quoted(kept.data.csv())})")
    plot = sheet_plot.read(kept.figure) if kept.figure else None
    if plot:
        yield _code(f"plot-{place}", "\n".join(_figure_source(plot, place)))
    elif not kept.picture and (lines := _chart(kept.data, place)):
        yield _code(f"plot-{place}", "\n".join(lines))


def _about(kept: SheetItem, place: int, language: str, base: str) -> str:
    """Title, caption, settings, the way back, and the question."""
    parts = [f"## {place}. {literal(kept.title)}".replace("  \n", " "), literal(kept.caption)]
    parts.append("\n".join(f"- {literal(name)}: {literal(value)}" for name, value in kept.settings))
    words = in_language(N_("Open this view"), language)
    root = f"{base.rstrip('/')}/" if base else ""
    parts.append(
        f"[{words}](<{root}{kept.link}>)" if base else f"`{kept.link}`" if kept.link else ""
    )
    parts.append(kept.when.isoformat())
    if kept.answer:
        parts.append(f"**{literal(kept.answer.question)}** {literal(kept.answer.asked)}")
    return "\n\n".join(part for part in parts if part)


def _answer(answer: Answer, words: str, place: int, language: str, taken: set[str]) -> Json:
    """The cell that is marked: what was chosen and the student's own words."""
    given = literal(answer.chosen or answer.option)
    label = in_language(N_("Answer"), language)
    said = [f"**{label}**: {given}" if given else "", literal(words)]
    cell = _markdown(f"answer-{place}", "\n\n".join(part for part in said if part))
    cell["metadata"] = {
        "nbgrader": {
            "schema_version": NBGRADER,
            "grade": True,
            "solution": True,
            "locked": False,
            "task": False,
            "grade_id": grade_id(answer.question, taken),
            "points": answer.points,
        }
    }
    return cell


def grade_id(question: str, taken: set[str]) -> str:
    """The identifier of a question as nbgrader allows one, ``3.4`` as ``3-4``; each once."""
    wanted = name = re.sub(r"[^A-Za-z0-9_-]", "-", question)
    count = 1
    while name in taken:
        count += 1
        name = f"{wanted}-{count}"
    taken.add(name)
    return name


def quoted(text: str) -> str:
    """Text as Python source of several lines."""
    held = re.sub(
        r'"{3,}|"+\Z', lambda found: found[0].replace('"', '\\"'), text.replace("\\", "\\\\")
    )
    return f'"""\\\n{held}"""'


# ---------------------------------------------------------------- drawing a figure


def _figure_source(plot: Plot, place: int) -> Iterator[str]:
    """Source that draws the figure from numbers that stand in it."""
    yield f"points_{place} = points({quoted(_points(plot))})"
    height = round(plot.height / 95, 1)
    yield f"figure = plt.figure(figsize=(8, {height}))"
    if plot.title:
        yield f"figure.suptitle({_label(plot.title)})"
    for number_, panel in enumerate(plot.panels):
        left, bottom = (0.1 + 0.87 * panel.x.domain[0], 0.15 + 0.75 * panel.y.domain[0])
        wide = 0.87 * (panel.x.domain[1] - panel.x.domain[0])
        high = 0.75 * (panel.y.domain[1] - panel.y.domain[0])
        yield f"ax = figure.add_axes(({left:.3f}, {bottom:.3f}, {wide:.3f}, {high:.3f}))"
        own = [(i, one) for i, one in enumerate(plot.series) if one.panel == number_]
        for index, one in own:
            yield from _series(one, f"points_{place}[{index}]")
        for mark in plot.marks:
            if mark.panel == number_:
                yield from _mark(mark)
        yield from _axis(panel.x, "x")
        yield from _axis(panel.y, "y")
        if len([one for _index, one in own if one.legend]) > 1:
            yield 'ax.legend(fontsize="small")'
    for note in plot.notes:
        yield (
            f"figure.text({0.1 + 0.87 * note.x:.3f}, {0.15 + 0.75 * note.y + 0.02:.3f}, "
            f'{_label(note.words)}, ha="center")'
        )
    yield "plt.show()"


def _points(plot: Plot) -> str:
    """All numbers of a figure as CSV, a row a point; columns that no series needs are left out."""
    table = [row for index, one in enumerate(plot.series) for row in _rows_of(one, index) if one.x]
    names = list(dict.fromkeys(name for row in table for name in row)) or ["series", "x", "y"]
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue()


def _rows_of(one: Series, index: int) -> Iterator[dict[str, object]]:
    columns: dict[str, tuple] = {"x": one.x, "y": one.y}
    if one.kind == "bars":
        columns |= {"base": one.base, "width": one.widths}
    if one.kind == "cells":
        columns |= {"value": one.values}
    if one.error:
        columns |= {"below": one.error[0], "above": one.error[1]}
    if one.kind != "cells" and len(one.colours) == len(one.x) > 1:
        columns |= {"colour": one.colours}
    for values in zip(*columns.values(), strict=True):
        found = dict(zip(columns, values, strict=True))
        yield {"series": index} | {name: _field(value) for name, value in found.items()}


def _field(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return "" if value != value else f"{value:.7g}"


def _label(words: str) -> str:
    """Words as a Python string that matplotlib shows letter for letter."""
    return repr(words.replace("$", r"\$"))


def _series(one: Series, points: str) -> Iterator[str]:
    yield f"p = {points}"
    many = len(one.colours) == len(one.x) > 1
    paint = 'p["colour"]' if many and one.kind != "cells" else repr(one.colours[0])
    label = f", label={_label(one.name)}" if one.legend else ""
    alpha = f", alpha={one.opacity:.2f}" if one.opacity < 1 else ""
    if one.kind == "bars":
        yield from _bars(one, paint, label + alpha)
    elif one.kind == "cells":
        yield from _cells(one)
    elif one.fill:
        yield f'ax.fill(p["x"], p["y"], color={paint}, linewidth=0{alpha}{label})'
    else:
        if one.line:
            dash = DASHES.get(one.dash, "-")
            yield (
                f'ax.plot(p["x"], p["y"], color={one.colours[0]!r}, linestyle={dash!r}, '
                f"linewidth={0.7 * one.width:.1f}{alpha}{label})"
            )
        if one.markers:
            label = "" if one.line else label
            name = "c" if many else "color"
            area = f"{0.5 * one.size**2:.1f}"
            yield f'ax.scatter(p["x"], p["y"], s={area}, {name}={paint}, linewidths=0{alpha}{label})'
    if one.error:
        name = "xerr" if one.across else "yerr"
        yield (
            f'ax.errorbar(p["x"], p["y"], {name}=[p["below"], p["above"]], '
            'fmt="none", ecolor="dimgrey", elinewidth=1)'
        )


def _bars(one: Series, paint: str, more: str) -> Iterator[str]:
    ends, along = ("x", "y") if one.across else ("y", "x")
    yield f'lengths = [end - base for end, base in zip(p["{ends}"], p["base"])]'
    call, begin, side = ("barh", "left", "height") if one.across else ("bar", "bottom", "width")
    yield f'ax.{call}(p["{along}"], lengths, {side}=p["width"], {begin}=p["base"], color={paint}{more})'


def _cells(one: Series) -> Iterator[str]:
    scale = one.scale
    yield 'columns, lines = (sorted(set(p[name])) for name in ("x", "y"))'
    yield 'held = dict(zip(zip(p["x"], p["y"]), p["value"]))'
    yield 'table = [[held.get((x, y), float("nan")) for x in columns] for y in lines]'
    for name, step in (("columns", one.widths[0]), ("lines", one.base[0])):
        half = f"{step / 2:.6g}"
        yield f"{name} = [{name}[0] - {half}, *(place + {half} for place in {name})]"
    yield f'colours = LinearSegmentedColormap.from_list("scale", {list(scale.colours)!r})'
    ends = f"vmin={scale.low:.6g}, vmax={scale.high:.6g}"
    yield f"mesh = ax.pcolormesh(columns, lines, table, cmap=colours, {ends})"
    if scale.shown:
        yield f"figure.colorbar(mesh, ax=ax, label={_label(scale.title)})"
    for x, y, words in zip(one.x, one.y, one.texts, strict=False):
        yield f'ax.text({x:.6g}, {y:.6g}, {_label(words)}, ha="center", va="center", color="grey")'


def _mark(mark: Mark) -> Iterator[str]:
    look = f"color={mark.colour!r}, alpha={mark.opacity:.2f}"
    dashed = f"{look}, linestyle={DASHES.get(mark.dash, '-')!r}"
    if any(value != value for ends in (mark.x, mark.y) for value in ends or ()):
        return
    if mark.filled and mark.x and mark.y:
        (x0, x1), (y0, y1) = mark.x, mark.y
        sides = f"{x1 - x0:.6g}, {y1 - y0:.6g}"
        yield f"ax.add_patch(plt.Rectangle(({x0:.6g}, {y0:.6g}), {sides}, linewidth=0, {look}))"
    elif mark.filled and (ends := mark.x or mark.y):
        call = "axvspan" if mark.x else "axhspan"
        yield f"ax.{call}({ends[0]:.6g}, {ends[1]:.6g}, linewidth=0, {look})"
    elif mark.x and mark.y:
        (x0, x1), (y0, y1) = mark.x, mark.y
        yield f"ax.plot([{x0:.6g}, {x1:.6g}], [{y0:.6g}, {y1:.6g}], {dashed})"
    elif not mark.filled and (ends := mark.x or mark.y):
        call = "axvline" if mark.x else "axhline"
        yield f"ax.{call}({ends[0]:.6g}, {dashed})"


def _axis(axis: Axis, name: str) -> Iterator[str]:
    if axis.log:
        yield f'ax.set_{name}scale("log")'
    if axis.ticks:
        places = [float(f"{place:.6g}") for place, _words in axis.ticks]
        words = ", ".join(_label(words) for _place, words in axis.ticks)
        yield f"ax.set_{name}ticks({places!r}, [{words}])"
    elif axis.percent:
        yield f"ax.{name}axis.set_major_formatter(PercentFormatter(1))"
    if axis.same:
        yield 'ax.set_aspect("equal", adjustable="box")'
    yield f"ax.set_{name}lim({axis.low:.6g}, {axis.high:.6g})"
    if axis.title:
        yield f"ax.set_{name}label({_label(axis.title)})"


# ---------------------------------------------------------------- drawing rows alone


def _chart(data: Data, place: int) -> list[str]:
    """Source that draws rows whose figure is not there: the first number across, the second upwards, a
    curve for each word of the first column that has few. Nothing where there are no two numbers.
    """
    numbers = [at for at in range(len(data.columns)) if all(_is_number(r[at]) for r in data.rows)]
    if len(numbers) < 2 or not data.rows:
        return []
    x, y = (data.columns[at] for at in numbers[:2])
    named = [
        name
        for at, name in enumerate(data.columns)
        if len({row[at] for row in data.rows}) <= GROUPS
        and all(isinstance(row[at], str) for row in data.rows)
    ]
    lines = ["figure, ax = plt.subplots(figsize=(8, 4))"]
    group = f"row[{named[0]!r}]" if named else "''"
    lines += [
        f"for name in dict.fromkeys({group} for row in data_{place}):",
        f"    own = [row for row in data_{place} if {group} == name]",
        f"    x, y = ([number(row[key]) for row in own] for key in ({x!r}, {y!r}))",
        '    ax.plot(x, y, marker="o", label=name.replace("$", r"\\$"))',
        f"ax.set_xlabel({_label(x)})",
        f"ax.set_ylabel({_label(y)})",
    ]
    if named:
        lines.append("ax.legend()")
    return [*lines, "plt.show()"]


def _is_number(cell: Cell) -> bool:
    return cell is None or (isinstance(cell, int | float) and not isinstance(cell, bool))

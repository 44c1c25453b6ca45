"""Numbers in the texts of a lesson, filled from the bundles: better weights never make a text wrong.

A number is written in braces: the name of a bundle, or the recipe of an embedded SimSiam run, then where the
number stands in the bundle's files, with dots between::

    {vae-svhn.metrics.test.kl}                     21.5
    {vae-svhn.metrics.test.mse:.4f}                0.0196      four digits after the point
    {vae-svhn.metrics.readouts.products:.0%}       73%         a share as a percentage
    {ddpm-svhn-500.metrics.schedule.alpha_bar_end:.1e}         6.4 × 10⁻³
    {vae-svhn.history.5.test_kl}                   the row of epoch 5; ``first`` and ``last`` are rows, too
    {ddpm-svhn-1000.metrics.judged.t_star.digit.quartiles.1}   the second entry of a list
    {baseline.knn}                                 one of the short names below

A key is looked up in plain data and nowhere else: no attribute can be reached, and only numbers come out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from core.bundles.bundle import Bundle
from core.errors import AtelierError
from pages.shared import library
from pages.shared.text import language, number, percent, scientific
from pages.teach import marks
from pages.teach.fields import NUMBER, Place, harmless
from pages.teach.lesson import Lesson, Words, texts

RUNS = "simsiam-cifar10-{}"
"""The bundle of a recipe."""
SHORT: Mapping[str, tuple[str, str]] = {
    "knn": ("history.last.test_knn_accuracy", ".1%"),
    "knn_before": ("metrics.before.test_knn_accuracy", ".1%"),
    "knn_all": ("metrics.test.knn_accuracy", ".1%"),
    "probe": ("metrics.test.linear_accuracy", ".1%"),
    "loss": ("history.last.train_loss", ".2f"),
    "rank": ("history.last.test_rank_z", ".1f"),
    "rank_before": ("metrics.before.test_rank_z", ".1f"),
}
"""Short names of a run's numbers, and how they are written. ``knn`` is the end of the curve on the page,
``knn_all`` over all test pictures."""


@dataclass(frozen=True)
class Figures:
    """What a bundle says in numbers."""

    config: Mapping[str, object]
    metrics: Mapping[str, object]
    history: Sequence[Mapping[str, object]]


Resolver = Callable[[str], Figures | None]
"""The numbers of a bundle or of a recipe; None where there is none of that name."""


def of_library(name: str) -> Figures | None:
    """The numbers of an embedded bundle, or of the embedded run of a recipe."""
    known = {entry.name for entry in library.own_manifest().entries}
    found = next((one for one in (name, RUNS.format(name)) if one in known), None)
    return None if found is None else figures_of(library.bundle(found))


def figures_of(bundle: Bundle) -> Figures:
    """The numbers of a bundle."""
    return Figures(bundle.config, bundle.metrics, bundle.history)


def value_at(found: Figures, path: str) -> float | None:
    """The number at a path of plain keys; None where there is no finite number."""
    first, *keys = path.split(".")
    at: object = {"config": found.config, "metrics": found.metrics}.get(first)
    if first == "history" and keys:
        at, keys = _row(found.history, keys[0]), keys[1:]
    for key in keys:
        if isinstance(at, Mapping):
            at = at.get(key)
        elif isinstance(at, Sequence) and not isinstance(at, str):
            place = int(key) if re.fullmatch("[0-9]{1,4}", key) else len(at)
            at = at[place] if place < len(at) else None
        else:
            return None
    finite = type(at) in (int, float) and math.isfinite(at)
    return at if finite else None


def _row(history: Sequence[Mapping[str, object]], key: str) -> Mapping[str, object] | None:
    """The row of an epoch, or the first or last one."""
    if key in ("first", "last"):
        return history[0 if key == "first" else -1] if history else None
    return next((row for row in history if str(row.get("epoch")) == key), None)


def format_number(value: float, form: str) -> str:
    """A number in the visitor's language; ``form`` is as .2f, .1% or .1e, or empty."""
    if not form:
        return number(value, 0 if isinstance(value, int) else 1)
    ways = {"f": number, "%": percent, "e": scientific}
    return ways[form[-1]](value, int(form[1:-1]))


def filled(text: str, resolve: Resolver = of_library) -> str:
    """The text with its numbers; raises ``AtelierError`` for one that no bundle has."""

    def one(match: re.Match) -> str:
        said, digits, kind = match.groups()
        name, path = said.split(".", 1)
        form = f".{digits}{kind}" if kind else ""
        if path in SHORT:
            path, usual = SHORT[path]
            form = form or usual
        found = resolve(name)
        value = None if found is None else value_at(found, path)
        if value is None:
            raise AtelierError(
                "lesson-number", "no model here has the number “{name}”.", name=harmless(said, 120)
            )
        return format_number(value, form)

    return NUMBER.sub(one, text)


def fill(words: Words, place: Place, resolve: Resolver = of_library) -> str:
    """A text of a lesson in the visitor's language, with its numbers; an error names its place."""
    try:
        return filled(words.in_language(language()), resolve)
    except AtelierError as error:
        raise place.wrong(error) from None


def check_numbers(lesson: Lesson, resolve: Resolver = of_library) -> None:
    """Raises ``AtelierError`` for the first number, in either language, that no bundle has."""
    for place, words in texts(lesson):
        for text in (words.en, words.fr):
            try:
                filled(text, resolve)
            except AtelierError as error:
                raise place.wrong(error) from None


def title_of(lesson: Lesson) -> str:
    """A lesson's title in the visitor's language, without marks; its name where no model has a number of it."""
    try:
        return marks.plain(fill(lesson.title, Place(None, "title")))
    except AtelierError:
        return lesson.id

"""A lesson on paper, as one HTML file that asks for nothing and prints: worksheet and guide for the teacher.

The worksheet is written from what a student may read. Answers, reasons and the figures that come with an
answer are not hidden in it: they are not there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from urllib.parse import urlencode

from core.errors import AtelierError
from pages.shared import text
from pages.shared.text import N_, in_language
from pages.teach import marks, numbers, shelf
from pages.teach.fields import NUMBER, Place
from pages.teach.lesson import Ask, Lesson, Step, Words
from pages.teach.numbers import Resolver
from pages.teach.sheet_html import BASE, Made, document

MINUTES = N_("Minutes of the lesson")
LONGEST_SHOWN = 160
"""Characters of an address that is printed; a longer one is only followed."""
FEWEST_LINES, MOST_LINES, MOST_REASON = 3, 14, 5
"""Ruled lines for an answer, and for the reason of one that is ticked."""
NARROW = "\N{NARROW NO-BREAK SPACE}"

_STYLE = """
@page { margin: 14mm 16mm;
  @bottom-right { content: counter(page) " / " counter(pages); font: 9pt sans-serif; } }
h2 { align-items: baseline; display: flex; gap: 1rem; justify-content: space-between; margin: 0 0 0.25rem; }
h2 span { color: #5A6570; font-size: 0.9rem; font-weight: 400; white-space: nowrap; }
section { border-top: 1.5px solid #5A6570; margin-top: 1rem; padding-top: 0.6rem; }
section:has(.run) { break-inside: auto; }
p, dl, .options, .likely { margin: 0.3rem 0; }
.blank { border-bottom: 1px solid #7A7A7A; display: inline-block; min-width: 16rem; }
.blank.short { min-width: 3rem; }
.name { display: flex; flex-wrap: wrap; gap: 0.5rem 2rem; }
.name .blank { min-width: 14rem; }
.name .short { min-width: 8rem; }
.small { color: #5A6570; font-size: 0.85rem; margin: 0.1rem 0; }
.asked { break-after: avoid; }
.asked code { white-space: nowrap; }
.options { list-style: none; padding: 0; }
.options li { break-inside: avoid; margin: 0.25rem 0; padding-left: 2rem; text-indent: -2rem; }
.box { border: 1.5px solid #333333; display: inline-block; height: 0.9rem; margin-right: 0.6rem;
  vertical-align: -0.1rem; width: 0.9rem; }
.line { border-bottom: 1px solid #B9C4CC; height: 8mm; }
.total { font-weight: 600; text-align: right; }
.key { font-weight: 600; }
.likely { padding-left: 1.2rem; }
.run tr { break-inside: avoid; }
code { font-size: 0.9em; overflow-wrap: anywhere; }
td.time { white-space: nowrap; }
@media print {
  body { font-size: 10.5pt; line-height: 1.4; }
}
"""


def paper(
    lesson: Lesson,
    language: str,
    base: str = "",
    *,
    name: str = "",
    resolve: Resolver = numbers.of_library,
) -> str:
    """The worksheet of a lesson in a language: what students read, and room for what they write.

    ``base``: address of the app, which links lead to; where there is none they stand as text. ``name``: the
    lesson as an address says it, where that is not its id. Raises ``AtelierError`` with one sentence for a
    page that the app has not and a number that no bundle has.
    """
    writer = _Writer(lesson, language, base, name or lesson.id, resolve)
    return writer.file(N_("Worksheet"), [writer.begin(), *writer.sheets(), writer.end()])


def guide(
    lesson: Lesson,
    language: str,
    base: str = "",
    *,
    name: str = "",
    resolve: Resolver = numbers.of_library,
) -> str:
    """The teacher's guide: the clock, what is shown and moved, right answers and why, likely wrong ones.

    The rest is as for ``paper``.
    """
    writer = _Writer(lesson, language, base, name or lesson.id, resolve)
    return writer.file(N_("Guide for teachers"), [writer.run_sheet(), *writer.guides()])


def lines_for(ask: Ask) -> int:
    """How many ruled lines the answer to a question gets."""
    if ask.options:
        return min(MOST_REASON, max(2, 1 + ask.points // 2))
    return min(MOST_LINES, max(FEWEST_LINES, 2 + ask.points))


def points_of(lesson: Lesson) -> int:
    """The points of all questions."""
    return sum(step.ask.points for step in lesson.steps if step.ask)


def clock(minutes: int) -> str:
    """Minutes from the beginning, as hours and minutes: 75 is 1:15."""
    return f"{minutes // 60}:{minutes % 60:02d}"


def begins(lesson: Lesson) -> list[int]:
    """Minutes before each step, and at the end of the last."""
    found = [0]
    for step in lesson.steps:
        found.append(found[-1] + step.minutes)
    return found


# ---------------------------------------------------------------- the writer


@dataclass(frozen=True)
class _Writer:
    """Every method gives HTML whose words are escaped."""

    lesson: Lesson
    language: str
    base: str
    name: str
    resolve: Resolver

    def __post_init__(self) -> None:
        if not BASE.fullmatch(self.base):
            raise ValueError(f"not an address of an app: {self.base}")

    def file(self, kind: str, sections: Sequence[str]) -> str:
        below = [
            self.of(kind),
            self.of(N_("{count} min")).format(count=self.lesson.planned_minutes),
            self.of(N_("{count} points")).format(count=points_of(self.lesson)),
        ]
        title = marks.plain(self.text(self.lesson.title, Place(None, "title")))
        made = [Made(section) for section in sections]
        return document(title, self.language, made, below=" · ".join(below), style=_STYLE)

    def of(self, message: str) -> str:
        """A sentence of the app in the language of the paper; not escaped."""
        return in_language(message, self.language)

    def text(self, words: Words, place: Place) -> str:
        """A text of the lesson with its numbers; not escaped."""

        def one(found: str) -> str:
            return rewritten(numbers.filled(found, self.resolve), self.language)

        try:
            return NUMBER.sub(lambda match: one(match[0]), words.in_language(self.language))
        except AtelierError as error:
            raise place.wrong(error) from None

    def html(self, words: Words, place: Place) -> str:
        return marks.html(self.text(words, place))

    # ------------------------------------------------------------ parts of both

    def heading(self, number: int, meta: Sequence[str]) -> str:
        """Number and page of a step, and next to it ``meta``, which is HTML."""
        title = escape(self.of(shelf.page_of(self.lesson, number).title))
        return f"<h2>{number}. {title} <span>{' · '.join(meta)}</span></h2>"

    def labelled_paragraph(self, label: str, html: str, kind: str = "") -> str:
        """A paragraph of a name, which may have marks, and ``html``, which is HTML."""
        colon = f"{NARROW}:" if self.language == "fr" else ":"
        shown = f' class="{kind}"' if kind else ""
        return f"<p{shown}>{marks.html(self.of(label))}{colon} {html}</p>"

    def link(self, number: int, look: str, words: str) -> str:
        """A link to a step, by its address where that is short enough to be typed."""
        query = urlencode({"lesson": self.name, "step": number, "as": look}, safe=":")
        root = f"{self.base.rstrip('/')}/" if self.base else ""
        address = escape(f"{root}{self.lesson.steps[number - 1].page}?{query}")
        if not self.base:
            return address
        shown = address if len(address) <= LONGEST_SHOWN else escape(self.of(words))
        return f'<a href="{address}" rel="noreferrer">{shown}</a>'

    def minutes(self, step: Step) -> str:
        return escape(self.of(N_("{count} min")).format(count=step.minutes))

    def settings(self, step: Step) -> str:
        said = [f"{key} = {', '.join(values)}" for key, values in step.set]
        return self.codes(said) if said else escape(self.of(N_("as the page begins")))

    def codes(self, names: Sequence[str]) -> str:
        return ", ".join(f"<code>{escape(one)}</code>" for one in names)

    def options(self, ask: Ask, place: Place, mark: Callable[[str, str], str]) -> str:
        """The options with their letters; ``mark`` makes an entry of id and HTML."""
        entries = [
            mark(
                one.id, f"{_letter(index)}. {self.html(one.words, place.inner(f'options.{index}'))}"
            )
            for index, one in enumerate(ask.options, 1)
        ]
        return f'<ul class="options">{"".join(entries)}</ul>' if entries else ""

    # ------------------------------------------------------------ worksheet

    def begin(self) -> str:
        blanks = [(N_("Name"), "blank"), (N_("Date"), "blank short")]
        parts = [f'{escape(self.of(one))} <span class="{kind}"></span>' for one, kind in blanks]
        return f'<p class="name">{"".join(f"<span>{part}</span>" for part in parts)}</p>'

    def end(self) -> str:
        return self.labelled_paragraph(N_("Total"), _out_of(points_of(self.lesson)), "total")

    def sheets(self) -> Iterator[str]:
        points = self.of(N_("Points"))
        for number, step in enumerate(self.lesson.steps, 1):
            place = Place(number, "")
            meta = [self.minutes(step)]
            if step.ask:
                meta.append(f"{escape(points)} {_out_of(step.ask.points)}")
            yield "".join(
                [
                    self.heading(number, meta),
                    f"<p>{self.html(step.say, place.inner('say'))}</p>",
                    self.labelled_paragraph(
                        N_("Link"), self.link(number, "desk", N_("Open this step")), "small"
                    ),
                    self.labelled_paragraph(
                        N_("Figure that you used"), '<span class="blank"></span>'
                    ),
                    *self.to_answer(step.ask, place.inner("ask")),
                ]
            )

    def to_answer(self, ask: Ask | None, place: Place) -> Iterator[str]:
        if ask is None:
            return
        box, because = '<span class="box"></span>', self.of(N_("because"))
        yield self.question(ask, place)
        yield self.options(ask, place, lambda _id, html: f"<li>{box}{html}</li>")
        if ask.options:
            yield f'<p class="small">{escape(because)}</p>'
        yield '<div class="line"></div>' * lines_for(ask)

    def question(self, ask: Ask, place: Place) -> str:
        asked = self.html(ask.question, place.inner("question"))
        return f'<p class="asked">{asked} <code>{escape(ask.id)}</code></p>'

    # ------------------------------------------------------------ guide

    def run_sheet(self) -> str:
        """The whole lesson at a glance."""
        begin, rows = begins(self.lesson), []
        for number, step in enumerate(self.lesson.steps, 1):
            title = self.of(shelf.page_of(self.lesson, number).title)
            asked = step.ask.id if step.ask else ""
            rows.append(
                f'<tr><td class="time">{_span(begin, number)}</td><td>{number}. {escape(title)}</td>'
                f"<td>{escape(asked)}</td><td>{step.ask.points if step.ask else ''}</td></tr>"
            )
        heads = (N_("Clock"), N_("Step of the lesson"), N_("Question"), N_("Points"))
        head = "".join(f"<th>{escape(self.of(one))}</th>" for one in heads)
        parts = [
            f'<div class="table"><table class="run"><tr>{head}</tr>{"".join(rows)}</table></div>'
        ]
        if self.lesson.minutes != self.lesson.planned_minutes:
            parts.append(self.labelled_paragraph(MINUTES, escape(str(self.lesson.minutes))))
        if self.lesson.needs:
            parts.append(
                self.labelled_paragraph(
                    N_("Models that it needs"), self.codes(self.lesson.needs), "small"
                )
            )
        return "".join(parts)

    def guides(self) -> Iterator[str]:
        begin = begins(self.lesson)
        for number, step in enumerate(self.lesson.steps, 1):
            place = Place(number, "")
            meta = [_span(begin, number), self.minutes(step)]
            yield "".join(
                [
                    self.heading(number, meta),
                    self.facts(number, step),
                    f"<p>{self.html(step.say, place.inner('say'))}</p>",
                    *self.answer(step.ask, place.inner("ask")),
                ]
            )

    def facts(self, number: int, step: Step) -> str:
        all_ = escape(self.of(N_("all of the page")))
        found = [
            (N_("Shown"), all_ if step.figures is None else self.codes(step.figures) or "–"),
            (N_("To move"), all_ if step.keep is None else self.codes(step.keep) or "–"),
            (N_("Settings"), self.settings(step)),
            (N_("Stage"), self.link(number, "stage", N_("Open this step on the stage"))),
            (N_("Desk"), self.link(number, "desk", N_("Open this step"))),
        ]
        pairs = "".join(f"<dt>{escape(self.of(one))}</dt><dd>{html}</dd>" for one, html in found)
        return f"<dl>{pairs}</dl>"

    def answer(self, ask: Ask | None, place: Place) -> Iterator[str]:
        if ask is None:
            return
        right = escape(self.of(N_("the right answer")))

        def entry(name: str, html: str) -> str:
            known = name == ask.right
            return f'<li class="key">✓ {html} ({right})</li>' if known else f"<li>{html}</li>"

        yield self.question(ask, place)
        yield self.labelled_paragraph(N_("Points"), str(ask.points), "small")
        yield self.options(ask, place, entry)
        if ask.why:
            yield self.labelled_paragraph(N_("**Why**"), self.html(ask.why, place.inner("why")))
        if ask.likely:
            yield self.labelled_paragraph(N_("**Likely wrong answers**"), "")
            yield f'<ul class="likely">{"".join(self.likely(ask, place))}</ul>'
        if ask.reveal:
            yield self.labelled_paragraph(
                N_("**With the answer it shows**"), self.codes(ask.reveal)
            )

    def likely(self, ask: Ask, place: Place) -> Iterator[str]:
        letters = {one.id: f"{_letter(index)}. " for index, one in enumerate(ask.options, 1)}
        for index, one in enumerate(ask.likely, 1):
            words = self.html(one.words, place.inner(f"likely.{index}"))
            yield f"<li>{letters.get(one.option, '')}{words}</li>"


def _letter(index: int) -> str:
    return chr(ord("A") + index - 1)


def _span(begin: Sequence[int], number: int) -> str:
    return f"{clock(begin[number - 1])}–{clock(begin[number])}"


def _out_of(points: int) -> str:
    return f'<span class="blank short"></span> / {points}'


def rewritten(number: str, language: str) -> str:
    """A number, written as the visitor's language does, as the language of the paper writes it."""
    if language == text.language():
        return number
    if language == "fr":
        swapped = number.replace(",", NARROW).replace(".", ",")
        return swapped.replace("%", f"{NARROW}%")
    return number.replace(f"{NARROW}%", "%").replace(",", ".").replace(NARROW, ",")

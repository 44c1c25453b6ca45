"""Controls: every one has a key, which begins with its page's prefix and is its name in the address.

A link restores what its sender saw. What a visitor sets is set here alone: a page calls one of these
functions, never a widget of Streamlit.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, TypeVar

import numpy as np
import streamlit as st

from pages.shared import library, links, once, preferred, shape
from pages.shared.text import LANGUAGE, LANGUAGES, N_, _, language, number

LANGUAGE_WIDGET, LANGUAGE_PARAMETER = "language_widget", "lang"
MAX_SEED = 9999
LONGEST_WORDS = 2000
"""Characters of what a visitor writes."""
UNKNOWN = "Unknown"
I_DO_NOT_KNOW = N_("I do not know")
"""The answer of whoever does not know. No option of a lesson is called so: those have small letters."""


# ---------------------------------------------------------------- language


def choose_language() -> None:
    """The switch in the sidebar; the choice lives in the visit and, unless it is the browser's own
    language, in the address.

    A widget forgets its value when another page is opened, so it is only a mirror of a plain key of
    the visit.
    """
    if LANGUAGE not in st.session_state:
        wanted = next(iter(links.values(LANGUAGE_PARAMETER)), None)
        st.session_state[LANGUAGE] = wanted if wanted in LANGUAGES else _language_of_browser()
    once.forget(LANGUAGE)
    st.session_state[LANGUAGE_WIDGET] = st.session_state[LANGUAGE]
    st.segmented_control(
        "Language · Langue",
        list(LANGUAGES),
        required=True,
        format_func=LANGUAGES.get,
        key=LANGUAGE_WIDGET,
        on_change=lambda: st.session_state.update(
            {LANGUAGE: st.session_state[LANGUAGE_WIDGET] or language()}
        ),
        width="stretch",
    )
    # Unasked, it would be a second entry in the browser's history of the page just opened.
    if links.values(LANGUAGE_PARAMETER) or language() != _language_of_browser():
        links.write(LANGUAGE_PARAMETER, [language()])


def _language_of_browser() -> str:
    browser = (st.context.locale or "en")[:2]
    return browser if browser in LANGUAGES else "en"


# ---------------------------------------------------------------- choices


Code = TypeVar("Code", bound=str)
Number = TypeVar("Number", int, float)


def _words(options: Mapping[str, str]) -> Callable[[str], str]:
    """What the visitor reads of each option: in the language of this run, whenever it is asked."""
    words = {code: _(word) for code, word in options.items()}
    return lambda code: words.get(code, code)


def choice(
    label: str,
    options: Mapping[Code, str],
    key: str,
    *,
    default: Code | None = None,
    help: str | None = None,
    said: bool = False,
) -> Code:
    """One of a few options, as buttons; ``options`` maps codes to English words.

    ``said``: the address says the default, too, as another machine may have another one.
    """
    default = default or next(iter(options))
    links.restore(key, label, options, default)
    with shape.control(key, label):
        chosen = st.segmented_control(
            label,
            list(options),
            required=True,
            format_func=_words(options),
            key=key,
            help=help,
            wrap=True,
        )
    links.keep(key, options, chosen, None if said else default)
    return chosen


def option(
    label: str,
    options: Mapping[Code, str],
    key: str,
    *,
    default: Code | None = None,
    optional: bool = False,
    help: str | None = None,
    width: int | Literal["stretch"] = "stretch",
) -> Code | None:
    """One of many options, in a list to open; ``options`` maps codes to English words.

    ``optional``: none of them, too, which is then the default.
    """
    default = default if optional else default or next(iter(options))
    links.restore(key, label, options, default)
    with shape.control(key, label):
        chosen = st.selectbox(
            label,
            list(options),
            None if optional else 0,
            format_func=_words(options),
            key=key,
            help=help,
            width=width,
            placeholder=_("none"),
        )
    links.keep(key, options, chosen, default)
    return chosen


def several(
    label: str,
    options: Mapping[Code, str],
    key: str,
    default: Sequence[Code],
    *,
    said: bool = False,
) -> list[Code]:
    """Some of many options, in their order; ``options`` maps codes to English words.

    ``said``: the address says the default, too.
    """
    links.restore(key, label, options, list(default))
    with shape.control(key, label):
        chosen = st.multiselect(
            label, list(options), format_func=_words(options), key=key, wrap=True
        )
    links.keep(key, options, chosen, None if said else default)
    return [code for code in options if code in chosen]


def shortcut(
    label: str,
    options: Mapping[Code, str],
    now: Code,
    key: str,
    taken: Callable[[Code], None],
) -> None:
    """Settings of other controls under one name, in a list to open: ``taken`` is told the visitor's choice.

    It shows ``now``. No link carries it, as one carries what it sets.
    """
    st.session_state[key] = now
    with shape.control(key, label):
        st.selectbox(
            label,
            list(options),
            format_func=_words(options),
            key=key,
            on_change=lambda: taken(st.session_state[key]),
        )


def own_answer(label: str, options: Mapping[Code, str], key: str) -> Code | None:
    """What a visitor answers to a question, None before; "I do not know" is an answer, too.

    No link carries it.
    """
    offered = {**options, UNKNOWN: I_DO_NOT_KNOW}
    return st.segmented_control(
        label, list(offered), format_func=_words(offered), key=key, wrap=True
    )


@contextmanager
def popover(
    label: str, *, icon: str | None = ":material/tune:"
) -> Iterator[st.delta_generator.DeltaGenerator]:
    """Controls behind a button; for more of them later, ``with links.tell_values_again(), place``."""
    with st.popover(label, icon=icon) as place, links.tell_values_again():
        yield place


def act(label: str, key: str, *, of: Sequence[str] = (), **look: Any) -> bool:
    """A button that begins something; ``look`` as ``st.button`` takes it. Whether it was pressed just now.

    ``of``: figures that come only once it is pressed.
    """
    with shape.control(key, label, of):
        return st.button(label, key=key, **look)


def same(words: Iterable[object]) -> dict[str, str]:
    """Options that are their own codes: digits, layers, columns."""
    return {str(word): str(word) for word in words}


# ---------------------------------------------------------------- numbers, switches, text


def _within(low: float, high: float, kind: type[int | float]) -> Callable[[str], bool]:
    def fits(value: str) -> bool:
        try:
            return low <= kind(value) <= high
        except ValueError:
            return False

    return fits


def _last(read: Callable[[str], object]) -> Callable[[list[str]], object]:
    """The value that a link says last."""
    return lambda said: read(said[-1])


def _ends(said: list[str]) -> tuple[int, int]:
    """Both ends of a span, whichever of them a link says first."""
    numbers = [int(one) for one in said]
    return min(numbers), max(numbers)


def whole(
    label: str,
    low: int,
    high: int,
    default: int,
    key: str,
    *,
    step: int = 1,
    help: str | None = None,
) -> int:
    """A whole number on a slider."""
    links.check(key, label, _within(low, high, int), default, _last(int))
    with shape.control(key, label):
        value = st.slider(label, low, high, default, step, key=key, help=help, bind="query-params")
    links.answer(key, value)
    return int(value)


def real(
    label: str,
    low: float,
    high: float,
    default: float,
    key: str,
    *,
    step: float = 0.05,
    help: str | None = None,
) -> float:
    """A number on a slider."""
    links.check(key, label, _within(low, high, float), default, _last(float))
    with shape.control(key, label):
        value = st.slider(
            label,
            low,
            high,
            default,
            step,
            format="localized",
            key=key,
            help=help,
            bind="query-params",
        )
    links.answer(key, value)
    return float(value)


def span(label: str, low: int, high: int, default: tuple[int, int], key: str) -> tuple[int, int]:
    """From one whole number to another, on one slider."""
    links.check(key, label, _within(low, high, int), default, _ends)
    with shape.control(key, label):
        first, last = st.slider(label, low, high, default, key=key, bind="query-params")
    links.answer(key, f"{first} – {last}", [str(first), str(last)])
    return int(first), int(last)


def stop(
    label: str,
    stops: Sequence[Number],
    default: Number,
    key: str,
    *,
    help: str | None = None,
) -> Number:
    """One of a few numbers, on a slider that rests on them alone."""
    known = {str(one): one for one in stops}
    links.check(key, label, known.__contains__, default, _last(known.get))
    with shape.control(key, label):
        value = st.select_slider(label, stops, default, key=key, help=help, bind="query-params")
    links.answer(key, value)
    return value


def count(
    label: str,
    low: int,
    high: int,
    default: int,
    key: str,
    *,
    help: str | None = None,
    width: int | Literal["stretch"] = "stretch",
) -> int:
    """A whole number in a field."""
    links.check(key, label, _within(low, high, int), default, _last(int))
    # Streamlit turns what the address says into a whole number, and fails at an infinite one.
    whole = all(math.isfinite(links.number_in_address(said)) for said in links.values(key))
    with shape.control(key, label):
        value = st.number_input(
            label,
            low,
            high,
            default,
            key=key,
            help=help,
            width=width,
            bind="query-params" if whole else None,
        )
    links.answer(key, value)
    return int(value)


def switch(label: str, key: str, *, default: bool = False, help: str | None = None) -> bool:
    """On or off."""
    known = {"true": True, "false": False}
    links.check(key, label, known.__contains__, default, _last(known.get))
    with shape.control(key, label):
        value = st.toggle(label, default, key=key, help=help, bind="query-params")
    links.answer(key, value)
    return value


def line(
    label: str, default: str, key: str, *, longest: int, width: int, fits: Callable[[str], bool]
) -> str:
    """A few characters in a field; a link whose characters do not ``fits`` gets the default."""
    links.restore_text(key, label, lambda said: len(said) <= longest and fits(said), default)
    with shape.control(key, label):
        value = st.text_input(label, max_chars=longest, key=key, width=width)
    links.keep_text(key, value, default)
    return value


ICON_ALONE = "icon_alone_"
"""Before the key of a container whose buttons show their icons; their words are for who does not see them."""
WORDS_UNSEEN = f"""<style>
[class*=st-key-{ICON_ALONE}] button [data-testid=stMarkdownContainer] {{
  position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%);
}}
</style>"""


def seed(key: str) -> int:
    """A visible seed with a button that draws another one."""
    with (
        shape.control(key, _("Seed")),
        st.container(horizontal=True, vertical_alignment="bottom"),
    ):
        value = count(
            _("Seed"),
            0,
            MAX_SEED,
            0,
            key,
            help=_("Same seed, same random numbers, same pictures."),
            width=170,
        )
        with st.container(key=f"{ICON_ALONE}{key}", width="content"):
            st.button(
                _("Another seed"),
                icon=":material/casino:",
                help=_("Another seed"),
                key=f"{key}_again",
                on_click=_draw_seed,
                args=(key,),
            )
    return value


def _draw_seed(key: str) -> None:
    st.session_state[key] = int(np.random.default_rng().integers(MAX_SEED + 1))


def again(label: str, key: str) -> None:
    """A button that draws another seed for the control ``seed`` of this key."""
    with shape.control(f"{key}_draw", label):
        st.button(
            label,
            key=f"{key}_draw",
            icon=":material/casino:",
            type="primary",
            on_click=_draw_seed,
            args=(key,),
        )


# ---------------------------------------------------------------- models


def in_numbers(title: str) -> list[tuple[str, int]]:
    """What sorts titles as one counts: T = 500 before T = 1000."""
    return [(words, int(count or 0)) for words, count in re.findall(r"(\D*)(\d*)", title)]


def bundle_name(family: str, key: str) -> str:
    """The bundle to look at: the only one, or a choice where there are several, in the order of the
    numbers in their titles; first what the visitor chose for all pages, else the manifest's first.

    Raises ``AtelierError`` where there is none.
    """
    entries = library.require_bundles(family)
    first = entries[0].name
    entries = sorted(entries, key=lambda entry: in_numbers(entry.title))
    titles = {entry.name: entry.title for entry in entries}
    if len(titles) == 1:
        return first
    wanted = preferred.begin_with(family, key, list(titles))
    return option(_("Model"), titles, key, default=wanted or first)


# ---------------------------------------------------------------- what no link carries


def words_field(
    label: str,
    held: str,
    key: str,
    taken: Callable[[str], None],
    *,
    longest: int,
    long: bool = False,
    placeholder: str = "",
) -> None:
    """A field for words that are kept elsewhere: it shows ``held``, and ``taken`` is told what the visitor
    writes. No link carries them.
    """
    if (
        st.session_state.get(key) != held
    ):  # set to what it is, it would take away what is being typed
        st.session_state[key] = held
    field = st.text_area if long else st.text_input
    field(
        label,
        key=key,
        max_chars=longest,
        placeholder=placeholder,
        on_change=lambda: taken(st.session_state[key]),
    )


def pick(label: str, options: Mapping[Code, str], key: str) -> Code | None:
    """One of many options, which are words as they stand, in a list to open: the first one at first, None
    where there are none. No link carries it.
    """
    if st.session_state.get(key) not in options:
        st.session_state[key] = next(iter(options), None)
    return st.selectbox(
        label, list(options), format_func=lambda code: options.get(code, code), key=key
    )


def own_words(
    label: str, key: str, *, long: bool = False, longest: int = LONGEST_WORDS, height: int = 120
) -> str:
    """What a visitor writes, in one line or in several; no link carries it."""
    if long:
        return st.text_area(label, key=key, max_chars=longest, height=height)
    return st.text_input(label, key=key, max_chars=longest)


def code(label: str, key: str, *, longest: int) -> str:
    """A few characters that no link carries."""
    return st.text_input(label, key=key, max_chars=longest, width=200)


def secret(label: str, key: str, taken: Callable[[], None]) -> None:
    """A field for words that nobody is to read over one's shoulder; ``taken`` is called with each of them in
    ``st.session_state[key]``. No link carries them.
    """
    st.text_input(
        label, key=key, type="password", max_chars=LONGEST_WORDS, width=320, on_change=taken
    )


def some(label: str, names: Mapping[Code, str], key: str, nothing: str) -> list[Code]:
    """Some of many names; no link carries which. ``nothing`` is read where it is none of them."""
    return st.multiselect(label, list(names), format_func=names.get, key=key, placeholder=nothing)


def one(label: str, names: Mapping[Code, str], key: str, nothing: str) -> Code | None:
    """One of some names, or none; no link carries it. ``nothing`` is read where it is none of them."""
    return st.selectbox(
        label, list(names), None, format_func=names.get, key=key, placeholder=nothing
    )


def mark(label: str, key: str, *, help: str | None = None) -> bool:
    """Yes or no, of which no link says anything."""
    return st.checkbox(label, key=key, help=help)


def minutes(label: str, most: int, default: int, key: str) -> int:
    """Minutes in a field; no link carries them."""
    return int(st.number_input(label, 1, most, default, key=key, width=160))


def file(label: str, kinds: Sequence[str], key: str, most: int, **look: Any) -> Any:
    """A field for a file of at most ``most`` MiB, or for several; ``kinds``: how its name may end."""
    if language() != "en":
        said = _("{size} MB per file at most · {kinds}").format(
            size=number(most, 0), kinds=", ".join(one.upper() for one in kinds)
        )
        st.html(_over_english(key, _("Choose a file"), said))
    return st.file_uploader(label, type=list(kinds), key=key, max_upload_size=most, **look)


def _over_english(key: str, button: str, below: str) -> str:
    """A style that writes over what Streamlit says in English in a field for files."""
    rules = []
    parts = {
        "stFileUploaderDropzone] button p": (button, "1rem"),
        "stFileUploaderDropzoneInstructions] span": (below, "0.875rem"),
    }
    for part, (words, size) in parts.items():
        at = f".st-key-{key} [data-testid={part}"
        text = words.replace("\\", "").replace('"', "”").replace("<", "")
        rules += [f"{at} {{ font-size: 0; }}"]
        rules += [f'{at}::after {{ content: "{text}"; font-size: {size}; }}']
    return f"<style>{' '.join(rules)}</style>"

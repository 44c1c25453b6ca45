"""Words: two languages, page heads, the three depths of an explanation, errors, numbers.

Every visible sentence is written in English inside ``_("…")`` (or ``N_`` where it is translated
later) and has its French in ``locale/fr/LC_MESSAGES/atelier.po``.
"""

from __future__ import annotations

import gettext
import inspect
import logging
import re
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from pathlib import Path

import streamlit as st

from core.errors import AtelierError
from pages.shared import once, shape
from pages.shared.colours import SYMBOL_COLOURS

DOMAIN = "atelier"
LOGGER = logging.getLogger("latent_atelier")
LOCALES = Path(__file__).parent / "locale"
LANGUAGES = {"en": "English", "fr": "Français"}
LANGUAGE = "language"

SYMBOL_LATEX = {"x": "x", "x_hat": r"\hat x", "z": "z", "eps": r"\varepsilon", "x_t": "x_t"}


# ---------------------------------------------------------------- language


@lru_cache(maxsize=len(LANGUAGES))
def _catalogue(language: str) -> gettext.NullTranslations:
    return gettext.translation(DOMAIN, LOCALES, languages=[language], fallback=language == "en")


def language() -> str:
    """The visitor's language: ``en`` or ``fr``."""
    return once.ask(LANGUAGE, lambda: st.session_state.get(LANGUAGE, "en"))


def _(message: str) -> str:
    """The sentence in the visitor's language."""
    return in_language(message, language())


def in_language(message: str, code: str) -> str:
    """The sentence in a named language."""
    return _catalogue(code).gettext(message) if message else ""


def N_(message: str) -> str:
    """Marks a sentence for translation that ``_`` is given later."""
    return message


# ---------------------------------------------------------------- numbers and symbols


def number(value: float, digits: int = 1) -> str:
    """A number as the visitor's language writes it: 2,880.1 or 2 880,1."""
    text = f"{value:,.{digits}f}".replace("-", "\N{MINUS SIGN}")
    if language() == "fr":
        text = text.replace(",", "\N{NARROW NO-BREAK SPACE}").replace(".", ",")
    return text


SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def scientific(value: float, digits: int = 1) -> str:
    """A number of any size as the visitor's language writes it: 9.8 × 10⁻⁴ or 9,8 × 10⁻⁴; 0 is 0."""
    if not value:
        return "0"
    factor, power = f"{value:.{digits}e}".split("e")
    raised = str(int(power)).translate(SUPERSCRIPT)
    space = "\N{NO-BREAK SPACE}"
    return f"{number(float(factor), digits)}{space}×{space}10{raised}"


def coloured(symbol: str, latex: str | None = None) -> str:
    """A symbol in its colour, as LaTeX; ``latex`` writes it another way, as in z_1."""
    return rf"\textcolor{{{SYMBOL_COLOURS[symbol]}}}{{{latex or SYMBOL_LATEX[symbol]}}}"


def percent(share: float, digits: int = 0) -> str:
    """A share as a percentage: 74% or, in French, 74 %."""
    return number(100 * share, digits) + (
        "\N{NARROW NO-BREAK SPACE}%" if language() == "fr" else "%"
    )


def megabytes(size: int) -> str:
    """A size in bytes as mebibytes: 2.8 MiB or 2,8 Mio."""
    return _("{size} MiB").format(size=number(size / 2**20))


# ---------------------------------------------------------------- Markdown

MARKED = re.compile(r"([\\`*_\[\]<>|~$&])")
HEADED = re.compile(r"^(\s*)([#+\-=])", re.MULTILINE)
LISTED = re.compile(r"^(\s*)([0-9]+)(?=[.)])", re.MULTILINE)


def literal(words: str) -> str:
    """Words as Markdown that shows them letter for letter."""
    marked = LISTED.sub(r"\1\2\\", HEADED.sub(r"\1\\\2", MARKED.sub(r"\\\1", words)))
    return marked.replace("\n", "  \n")


# ---------------------------------------------------------------- a page


def head(title: str, claim: str) -> None:
    """The page's title and the one sentence that it lets its visitor check."""
    st.title(title, anchor=False)
    st.markdown(claim)


STAYS, LED = "stays", "led"
"""In the visit: the page it is on, and the pages that it has been to before; the part that a link led to."""


def turn_to(page: str, view: str = "") -> None:
    """To be called with the page that is about to be shown, and the part of it that a link leads to.

    The address says that part for as long as the page is shown, and one arrives there once.
    """
    now, before = st.session_state.get(STAYS, (page, frozenset()))
    st.session_state[STAYS] = page, (before if now == page else before | {now})
    led, number = st.session_state.get(LED, ("", 0))
    if now != page or led != view:
        st.session_state[LED] = view, number + bool(view)


def link_target() -> tuple[str, int]:
    """The part of this page that a link has led to, empty for none: the key of a figure, or ``code_`` and the
    name of a function; and how many links of this visit have led to a part of a page.
    """
    return st.session_state.get(LED, ("", 0))


def here() -> str:
    """The last part of the address of the page that is shown; empty before there is one."""
    return st.session_state.get(STAYS, ("", frozenset()))[0]


def mechanism(words: str, *, folded: bool = False) -> None:
    """The second depth: how it works, in words; open on the first visit to a page, later opened in place.

    ``folded``: on the first visit, too, as where the words answer what the page has asked and its visitor has
    not answered yet.
    """
    if not shape.tells("why"):
        return
    now, before = st.session_state.get(STAYS, ("", frozenset()))
    opened = now not in before and not folded
    with st.expander(_("How it works"), opened, icon=":material/settings:"):
        st.markdown(words)


def formula(latex: Sequence[str], words: str, *functions: Callable) -> None:
    """The third depth: the formula, and the very functions that computed the figure."""
    if not shape.tells("code"):
        return
    view, _number = link_target()
    opened = view in {f"code_{function.__name__}" for function in functions}
    with st.expander(_("Formula and code"), opened, icon=":material/function:"):
        for line in latex:
            st.latex(line)
        if words:
            st.markdown(words)
        for function in functions:
            name = f"code_{function.__name__}"
            first = name not in shape.run().code  # two formulas of a page may show one function
            shape.run().code.add(name)
            with st.container(key=name if first else None):
                st.caption(f"`{function.__module__}.{function.__qualname__}`")
                st.code(_source(function), language="python")


@lru_cache(maxsize=256)  # Python reads and parses the whole module of a function to find it
def _source(function: Callable) -> str:
    return textwrap.dedent(inspect.getsource(function))


# ---------------------------------------------------------------- errors


def sentence(error: AtelierError) -> str:
    """An error of ``core`` in the visitor's language."""
    values = {
        key: sentence(value) if isinstance(value, AtelierError) else value
        for key, value in error.values.items()
    }
    return _(error.template).format(**values)


def report_failure(error: Exception) -> bool:
    """What a visitor reads when a page fails unexpectedly; the log has the traceback."""
    LOGGER.exception("a page failed", exc_info=error)
    st.error(
        _("This page failed unexpectedly ({kind}). Reload it, or go on with another page.").format(
            kind=type(error).__name__
        ),
        icon=":material/error:",
    )
    return True


@contextmanager
def plain_errors(*, here: bool = False) -> Iterator[None]:
    """Shows what went wrong in one sentence and lets the rest of the page go on.

    ``here``: where it happens, as around a page; on a page it is shown even where that part is left out.
    """
    try:
        yield
    except AtelierError as error:
        with nullcontext() if here else shape.notice():
            st.error(sentence(error), icon=":material/error:")

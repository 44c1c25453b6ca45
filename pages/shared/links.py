"""The address of what is shown: a code for every control, the same in every language.

Streamlit binds numbers, switches and text to the address by itself (``bind="query-params"``). Of a choice
it would write the words that the visitor reads, and refuse its code: so the codes of choices are read and
written here, and nothing else in the project touches ``st.query_params``. Links made when the address
still carried words, in either language, are read as well.

What a link asks for and this page cannot show is said in one line above the page, for as long as the page
shows something else in its place.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from urllib.parse import urlencode

import streamlit as st
from streamlit.navigation.page import StreamlitPage
from streamlit.runtime.scriptrunner import get_script_run_ctx

from pages.shared.text import LANGUAGES, N_, _, in_language, language

VISIT = "links"
REFUSED = N_("The link asks for `{wanted}` at “{label}”; this page shows “{shown}” instead.")
ARRIVED = "links_arrived"
"""In the visit: the page of the last whole run, and what its address asked for."""
USUAL = "_usual"
"""After the key of a control, in the visit: its default in the run before."""
RUN = "run"
"""In the address: whoever sent it saw the result of long work."""
TO = "to"
"""In the address: the part of the page that a link leads to."""
LONGEST = 40
"""Characters of a value from a link that are shown to the visitor."""
MOST_SAID = 3
FRAME = frozenset(
    (
        "lang",
        "lesson",
        "step",
        "as",
        "room",
        "host",
        "keep",
        "figures",
        "hide",
        "at",
        "to",
        "bundle",
        "model",
    )
)
"""Parameters that belong to no page: the frame around it reads them."""
OF_A_LESSON = frozenset(("lesson", "step", "as", "room", "host"))
"""Those that say where a visitor is in a lesson, one of them the secret of whoever leads it."""


@dataclass
class Refusal:
    """A value of a link that a control does not take, and what the control shows instead."""

    label: str
    wanted: str
    shown: object = None
    answered: bool = False


@dataclass
class Visit:
    """What is known of one visitor's address.

    ``began``: of each kind of long work the first request, if a link asked for its result.
    ``shown``: parameters of the controls of this run of the page; ``before``: of the last run that came to
    its end.
    ``written``: parameters that this module wrote, and so has to take away when their control is gone.
    ``stands``: what the controls of this run of the page stand at, as an address says it.
    ``following``: what this run's controls are set to, in place of what they stand at and of the address;
    ``set_now``: those of them that are.
    """

    began: dict[str, Hashable] = field(default_factory=dict)
    shown: set[str] = field(default_factory=set)
    before: set[str] = field(default_factory=set)
    written: set[str] = field(default_factory=set)
    refused: dict[str, Refusal] = field(default_factory=dict)
    following: Mapping[str, Sequence[str]] | None = None
    set_now: set[str] = field(default_factory=set)
    stands: dict[str, list[str]] = field(default_factory=dict)


def _visit() -> Visit:
    return st.session_state.setdefault(VISIT, Visit())


# ---------------------------------------------------------------- the address itself


def values(parameter: str) -> list[str]:
    """What the address says of a parameter, or a step that is followed; empty where it says nothing."""
    followed = _visit().following
    if followed is not None and parameter not in FRAME:
        return list(followed.get(parameter, ()))
    return st.query_params.get_all(parameter)


def follow(query: Mapping[str, Sequence[str]], *, anew: bool) -> None:
    """Sets the controls of this run of the page as ``query`` says, all others to their defaults.

    ``anew``: the visit begins here, and what its address says goes ahead of ``query``.
    """
    said = st.query_params
    own = {name: said.get_all(name) for name in said if name not in FRAME} if anew else {}
    visit = _visit()
    visit.following = {**query, **own}
    visit.set_now.clear()
    visit.refused.clear()
    visit.began.clear()


def _stands(key: str) -> bool:
    """Whether a control has a value of the visit, which goes ahead of what a link says.

    A control is set to what a step says once: where a run of the page is cut off by a visitor's hand, the next
    one takes what the hand did.
    """
    visit = _visit()
    return key in st.session_state and (visit.following is None or key in visit.set_now)


def codes_to_restore(key: str) -> list[str]:
    """What a control of several codes is about to be restored to: the visitor's own, or the link's."""
    return list(st.session_state[key]) if _stands(key) else values(key)


def stands() -> dict[str, list[str]]:
    """What every control of the page stands at, as an address says it; that of a default, too."""
    return {key: said for key, said in _visit().stands.items() if key not in FRAME}


def parameters() -> dict[str, list[str]]:
    """All that the address says."""
    return {name: st.query_params.get_all(name) for name in st.query_params}


def address(names: Collection[str] = ()) -> str:
    """What the address says, encoded as it stands there, but for the lesson and its secrets.

    ``names``: controls that a step of a lesson has set; what they stand at is said where the address does not.
    """
    told, state = parameters(), st.session_state
    pairs = [(name, one) for name, of in told.items() if name not in OF_A_LESSON for one in of]
    for name in names:
        if name in state and name not in told:
            held = state[name]
            several = held if isinstance(held, list | tuple) else [held]
            pairs += [(name, _in_address(one)) for one in several]
    return urlencode(pairs)


def _in_address(value: object) -> str:
    """The value of a control as an address says it."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def speaks_of(parameters: Collection[str]) -> bool:
    """Whether the address says anything of one of these parameters."""
    return any(values(parameter) for parameter in parameters)


def write(parameter: str, wanted: Sequence[str]) -> None:
    """Makes the address say ``wanted`` of a parameter; nothing at all where that is empty."""
    if st.query_params.get_all(parameter) == list(wanted):
        return
    if wanted:
        st.query_params[parameter] = list(wanted)
    else:
        del st.query_params[parameter]


def write_all(wanted: Mapping[str, Sequence[str]]) -> None:
    """The same for several parameters at once, which is one entry in the browser's history."""
    now = st.query_params
    others = {key: list(said) for key, said in wanted.items() if now.get_all(key) != list(said)}
    if others:
        st.query_params.update(others)


# ---------------------------------------------------------------- a run of the page


def begin() -> None:
    """To be called before the page is run: no control has been shown yet."""
    _visit().shown.clear()
    _visit().stands.clear()


def settle(place: st.delta_generator.DeltaGenerator) -> None:
    """To be called when the page was run: forgets the codes of controls that are gone, and says at
    ``place`` what the link asked for in vain.
    """
    visit = _visit()
    visit.following = None
    visit.set_now.clear()
    visit.before = set(visit.shown)
    for parameter in visit.written - visit.shown:
        write(parameter, [])
    visit.written &= visit.shown
    refused = [one for key, one in visit.refused.items() if key in visit.shown]
    if refused:
        said = "  \n".join(_sentence(one) for one in refused[:MOST_SAID])
        place.info(said, icon=":material/link_off:")


def _sentence(refusal: Refusal) -> str:
    wanted = refusal.wanted[:LONGEST].replace("`", "'").replace("\n", " ") or " "
    return _(REFUSED).format(wanted=wanted, label=refusal.label, shown=refusal.shown)


def answer(key: str, shown: object, said: Sequence[str] | None = None) -> None:
    """To be called by every control with what it shows, in words or as a number; ``said``: as an address says
    it, where that is something else.
    """
    visit = _visit()
    visit.shown.add(key)
    visit.set_now.add(key)
    visit.stands[key] = [_in_address(shown)] if said is None else list(said)
    refusal = visit.refused.get(key)
    if refusal is None:
        return
    if not refusal.answered:
        refusal.answered, refusal.shown = True, shown
    elif refusal.shown != shown:  # the visitor moved on
        del visit.refused[key]


# ---------------------------------------------------------------- results of long work


def wants_result(kind: str, request: Hashable) -> bool:
    """Whether the link asks for the result of long work of a kind, and this is the work that it means."""
    wanted = values(RUN) == ["1"]
    first = _visit().began.setdefault(kind, request if wanted else None)
    return wanted and first == request


def keep_result(shown: bool) -> None:
    """Makes the address say that a result is shown, or that none is."""
    visit = _visit()
    visit.shown.add(RUN)
    visit.written.add(RUN)
    write(RUN, ["1"] if shown else [])


# ---------------------------------------------------------------- controls that Streamlit binds


def check(
    key: str,
    label: str,
    fits: Callable[[str], bool],
    default: object = None,
    read: Callable[[list[str]], object] | None = None,
) -> None:
    """To be called before a bound control: notes a value of the link that it will not take.

    Where a step is followed the control is given the value of that, by ``read``, or its ``default``: Streamlit
    looks at the address for the first run of a visit alone.
    """
    if _stands(key):
        return
    wrong = [value for value in values(key) if not fits(value)]
    if wrong:
        _visit().refused[key] = Refusal(label, wrong[0])
    if read and _visit().following is not None:
        st.session_state[key] = default if wrong or not values(key) else read(values(key))


# ---------------------------------------------------------------- choices

_telling_again: ContextVar[bool] = ContextVar("telling_again", default=False)


@contextmanager
def tell_values_again() -> Iterator[None]:
    """Around controls that a browser draws only once something is opened.

    Streamlit tells a browser the value of a control with the run that sets it. What a popover holds is drawn
    when it is opened, perhaps runs later, and would then be empty: so every run tells it again.
    """
    before = _telling_again.set(True)
    try:
        yield
    finally:
        _telling_again.reset(before)


def restore(
    key: str,
    label: str,
    options: Mapping[str, str],
    default: str | Sequence[str] | None,
) -> None:
    """To be called before a control of codes: gives it the value of the link, or the default.

    ``options`` maps codes to English words. ``default`` is a sequence for a control of several codes.
    A value that is no longer among the options gives way to the default.
    """
    state, several = st.session_state, not (default is None or isinstance(default, str))
    if not _stands(key):
        asked = values(key)
        codes, wrong = _codes_of(asked, options)
        if several:  # an empty value says: none of them
            wrong = [value for value in wrong if value]
        if wrong:
            _visit().refused[key] = Refusal(label, wrong[0])
        if several:
            state[key] = codes if codes or (asked and not wrong) else list(default)
        else:
            state[key] = codes[-1] if codes else default
    else:
        held = state[key]
        known = [code for code in held if code in options] if several else held
        if several and len(known) < len(held):
            state[key] = known or list(default)
        elif not several and held not in options and held != default:
            state[key] = default
        elif _telling_again.get() or state.get(f"{key}_language") != language():
            # The browser holds the words of the other language, or has never drawn the control: of both, the
            # value itself outlives what it was told before.
            state[key] = held
    state[f"{key}_language"] = language()


# ---------------------------------------------------------------- numbers of controls in the browser


def _followed(key: str) -> bool:
    """Whether a link within the visit leads to this control, which has a value from earlier pages.

    While a control is shown its value goes ahead of the address, which is written after it.
    """
    visit = _visit()
    known = visit.before | visit.shown
    return visit.following is None and bool(values(key)) and key not in known


def restore_number(
    key: str, label: str, stops: Collection[int], default: int, *, follows: bool = False
) -> int:
    """The value of a control that Streamlit cannot bind: of the visit, of the link, or the default.

    ``follows``: a value that was the default of the run before becomes that of this one.

    It lives in ``st.session_state[key]``. A value of the visit that is no longer among ``stops`` gives way to
    the nearest one. A value of the link that was none of them is taken as soon as it is one.
    """
    state, refused = st.session_state, _visit().refused
    usual, state[f"{key}{USUAL}"] = state.get(f"{key}{USUAL}", default), default
    if follows and state.get(key) == usual:
        state[key] = default
    if key in state and (_followed(key) or not _stands(key)):
        del state[key]
    again = next(
        (stop for stop in stops if key in refused and str(stop) == refused[key].wanted), None
    )
    if key in state and again is not None:
        state[key] = again
        del refused[key]
    if key not in state:
        known = {str(stop): stop for stop in stops}
        wrong = [value for value in values(key) if value not in known]
        if wrong:
            refused[key] = Refusal(label, wrong[0])
        found = [known[value] for value in values(key) if value in known]
        state[key] = found[-1] if found else default
    elif state[key] not in stops:
        held = state[key]
        state[key] = min(stops, key=lambda stop: abs(stop - held))
    return state[key]


def restore_real(key: str, label: str, low: float, high: float, default: float) -> float:
    """The same for any number from ``low`` to ``high``."""
    state = st.session_state
    if key in state and (_followed(key) or not _stands(key)):
        del state[key]
    if key not in state:
        asked = [(value, _real(value)) for value in values(key)]
        wrong = [value for value, number in asked if not low <= number <= high]
        if wrong:
            _visit().refused[key] = Refusal(label, wrong[0])
        found = [number for _value, number in asked if low <= number <= high]
        state[key] = found[-1] if found else default
    elif not low <= state[key] <= high:
        state[key] = default
    return state[key]


def restore_text(key: str, label: str, fits: Callable[[str], bool], default: str) -> None:
    """The same for a few characters: those of a link stand where they ``fits``."""
    if _stands(key) and not _followed(key):
        return
    asked = values(key)
    wrong = [value for value in asked if not fits(value)]
    if wrong:
        _visit().refused[key] = Refusal(label, wrong[0])
    st.session_state[key] = asked[-1] if asked and not wrong else default


def keep_text(key: str, value: str, default: str) -> None:
    """To be called after such a control: makes the address say its value, unless it is the default."""
    answer(key, value)
    visit = _visit()
    if key not in visit.refused:
        visit.written.add(key)
        write(key, [] if value == default else [value])


def _real(value: str) -> float:
    """The number that a link says; NaN, which lies nowhere, where it says none."""
    try:
        return float(value)
    except ValueError:
        return math.nan


def keep_number(key: str, value: float, default: float) -> None:
    """To be called after such a control: makes the address say its value, unless it is the default."""
    keep_numbers({key: (value, default)})


def keep_numbers(shown: Mapping[str, tuple[float, float]]) -> None:
    """The same for several such controls: value and default by key."""
    visit, wanted = _visit(), {}
    for key, (value, default) in shown.items():
        answer(key, value)
        if key not in visit.refused:
            visit.written.add(key)
            wanted[key] = [] if value == default else [f"{value:.10g}"]
    write_all(wanted)


def number_in_address(value: str) -> float:
    """The number that a link says; 0 where it says none."""
    number = _real(value)
    return 0.0 if math.isnan(number) else number


def _codes_of(asked: Sequence[str], options: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Codes that a link names, and what else it says."""
    words = {
        in_language(word, spoken): code for spoken in LANGUAGES for code, word in options.items()
    }
    known = words | {code: code for code in options}
    codes = [known[value] for value in asked if value in known]
    return codes, [value for value in asked if value not in known]


def keep(
    key: str,
    options: Mapping[str, str],
    chosen: str | Collection[str] | None,
    default: str | Collection[str] | None,
) -> None:
    """To be called after a control of codes: makes the address say what it shows.

    The default is not said, and there is none where ``default`` is None; a code that the page cannot show
    stays in the address, for whoever opens it where it can be shown.
    """
    several = not (chosen is None or isinstance(chosen, str))
    codes = [code for code in options if code in chosen] if several else [chosen or ""]
    words = ", ".join(_(options[code]) for code in codes if code in options)
    # Of several, none is a choice, too; of one, it is what the control begins with.
    answer(key, words, codes or [""] if several else [code for code in codes if code])
    visit = _visit()
    if key in visit.refused:
        return
    usual = [default or ""]
    if several and default is not None:
        usual = [code for code in options if code in default]
    visit.written.add(key)
    write(key, [] if codes == usual else codes or [""])


# ---------------------------------------------------------------- the page that a visit is on


def note_arrival(page: StreamlitPage) -> None:
    """To be called with the page that a whole run is about to show."""
    context = get_script_run_ctx(suppress_warning=True)
    if context is not None:
        asked = {name: st.query_params.get_all(name) for name in st.query_params}
        st.session_state[ARRIVED] = context.page_script_hash, page, asked


def leads_to() -> str:
    """The part of the page that the address leads to, empty for its top."""
    wanted = st.query_params.get_all(TO)
    return wanted[-1] if wanted else ""


def stay() -> None:
    """To be called where a figure in the browser may have asked for a run of its part of the page.

    Who turns to another page while a figure answers sends two requests: for the new page, and for a part of
    the old one. Streamlit's client takes the answer to the second for a change back to the old page, and
    empties the screen. So the page of the last whole run is run once more.
    """
    context = get_script_run_ctx(suppress_warning=True)
    if context is None or not context.fragment_ids_this_run or ARRIVED not in st.session_state:
        return
    last, page, asked = st.session_state[ARRIVED]
    if context.page_script_hash != last:
        st.switch_page(page, query_params=asked)

"""A page as Streamlit's own client holds it: messages in, elements and widgets out.

What the server sends is a tree that messages build and change; what it is sent are the values of all
widgets. ``Page`` keeps both, as the JavaScript client of Streamlit 1.67 does: messages that it may keep are
kept and named by their hash, elements that a run did not send again leave with its end, and a value belongs
to the widget until the server or the visitor sets another one.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode

from google.protobuf.message import Message
from streamlit.proto.Alert_pb2 import Alert
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ClientState_pb2 import ContextInfo
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.NumberInput_pb2 import NumberInput
from streamlit.proto.Slider_pb2 import Slider
from streamlit.proto.WidgetStates_pb2 import WidgetState

MAIN = 0
"""The first place of what stands in the middle of the page; the sidebar's is 1."""
WIDGET = re.compile(r"\$\$ID-[0-9a-f]+-(.*)", re.DOTALL)
"""The id of a widget, which ends in its key."""
CONTROLS = {"latent_atelier_timeline"}
"""Components that are no figures."""
FIGURES = ("imgs", "bidi_component", "plotly_chart")
SET = (
    "slider",
    "selectbox",
    "button_group",
    "number_input",
    "checkbox",
    "multiselect",
    "text_input",
    "radio",
)
"""Widgets that hold a value from the first."""
UNKEPT = 2
"""After how many runs a kept message that nobody needed is forgotten, unless the server says otherwise."""
Path = tuple[int, ...]


def key_of(widget: str) -> str:
    """The key in the id of a widget; empty where it has none, which Streamlit writes as None."""
    found = WIDGET.fullmatch(widget)
    return found[1] if found and found[1] != "None" else ""


@dataclass
class Node:
    """One place of the page: an element or a block, of which run and fragment."""

    kind: str
    message: Message
    run: str
    fragment: str = ""

    @property
    def is_block(self) -> bool:
        return self.kind == "block"

    @property
    def key(self) -> str:
        return key_of(getattr(self.message, "id", ""))


@dataclass
class Page:
    """What one visitor's tab holds. ``errors``: what the page has said went wrong, and when it did not
    answer as the protocol has it.
    """

    url: str = ""
    nodes: dict[Path, Node] = field(default_factory=dict)
    states: dict[str, WidgetState] = field(default_factory=dict)
    query: str = ""
    page_hash: str = ""
    page_name: str = ""
    session: str = ""
    run: str = ""
    fragments: tuple[str, ...] = ()
    errors: list[str] = field(default_factory=list)
    _kept: dict[str, tuple[ForwardMsg, int]] = field(default_factory=dict)
    _runs: int = 0
    _most_age: int = UNKEPT

    # ------------------------------------------------------------ what the server says

    def take(self, message: ForwardMsg) -> Node | None:
        """Takes one message; returns the element that it put on the page, if it did."""
        kind = message.WhichOneof("type")
        if kind == "delta":
            if message.metadata.cacheable and message.hash:
                self._kept[message.hash] = (message, self._runs)
            return self._place(message.delta, tuple(message.metadata.delta_path))
        if kind == "ref_hash":
            if message.ref_hash not in self._kept:
                self.errors.append("the server named a message that it never sent")
                return None
            kept = self._kept[message.ref_hash][0]
            self._kept[message.ref_hash] = (kept, self._runs)
            return self._place(kept.delta, tuple(message.metadata.delta_path))
        if kind == "new_session":
            self._begin(message)
        elif kind == "navigation":
            self.page_hash = message.navigation.page_script_hash
        elif kind == "page_info_changed":
            self.query = message.page_info_changed.query_string
        elif kind == "script_finished":
            self._finish(message)
        elif kind == "page_not_found":
            self.errors.append(f"no page {message.page_not_found.page_name}")
        elif kind == "session_event" and message.session_event.HasField(
            "script_compilation_exception"
        ):
            self.errors.append(said(message.session_event.script_compilation_exception))
        return None

    def _begin(self, message: ForwardMsg) -> None:
        new = message.new_session
        self.run = message.metadata.run.script_run_id
        self.fragments = tuple(message.metadata.run.fragment_ids)
        if not self.fragments:
            self.page_hash = new.page_script_hash
            self._most_age = new.config.max_cached_message_age
        if new.initialize.session_id:
            self.session = new.initialize.session_id

    def _place(self, delta: Message, path: Path) -> Node | None:
        kind = delta.WhichOneof("type")
        if kind == "new_transient":  # a spinner above an element, which stays
            return None
        block = kind == "add_block"
        before = self.nodes.get(path)
        if not (block and before and before.is_block):
            for other in [one for one in self.nodes if one[: len(path)] == path]:
                del self.nodes[other]
        if block:
            node = Node("block", delta.add_block, self.run, delta.fragment_id)
            self.nodes[path] = node
            return None
        element = delta.new_element
        kind = element.WhichOneof("type") or "empty"
        node = Node(kind, getattr(element, kind), self.run, delta.fragment_id)
        self.nodes[path] = node
        if kind == "exception" or (kind == "alert" and node.message.format == Alert.ERROR):
            self.errors.append(said(node.message))
        if kind in SET and (node.message.set_value or node.message.id not in self.states):
            self.states[node.message.id] = state_of(node)
        return node

    def _finish(self, message: ForwardMsg) -> None:
        status = message.script_finished
        if status == ForwardMsg.FINISHED_EARLY_FOR_RERUN:
            return
        if status == ForwardMsg.FINISHED_WITH_COMPILE_ERROR:
            self.errors.append("the page could not be compiled")
            return
        for path, node in list(self.nodes.items()):
            in_run = not self.fragments or node.fragment in self.fragments
            if in_run and node.run != self.run:
                del self.nodes[path]
        active = {getattr(node.message, "id", "") for node in self.nodes.values()}
        self.states = {of: state for of, state in self.states.items() if of in active}
        self._runs += 1
        for digest, (kept, last) in list(self._kept.items()):
            in_run = not self.fragments or kept.delta.fragment_id in self.fragments
            if in_run and self._runs - last > self._most_age:
                del self._kept[digest]

    # ------------------------------------------------------------ what the page holds

    def elements(self, *, main: bool = False) -> Iterator[tuple[Path, Node]]:
        """All elements in their order; ``main``: only those in the middle of the page."""
        for path in sorted(self.nodes):
            node = self.nodes[path]
            if not node.is_block and not (main and path[0] != MAIN):
                yield path, node

    def widgets(self) -> dict[str, Node]:
        """Widgets by their keys."""
        return {node.key: node for _path, node in self.elements() if node.key}

    def widget(self, key: str) -> Node:
        """The widget of a key. Raises ``KeyError`` where the page has none."""
        return self.widgets()[key]

    def shown(self) -> dict[Path, object]:
        """What a visitor sees in the middle of the page, apart from where the controls stand."""
        return {
            path: (node.kind, node.message.SerializeToString(deterministic=True))
            for path, node in self.elements(main=True)
            if node.kind not in (*SET, "button", "download_button", "empty", "file_uploader")
        }

    def text(self) -> str:
        """All that stands on the page in words."""
        nodes = [node for _path, node in self.elements()]
        return "\n".join(node.message.body for node in nodes if hasattr(node.message, "body"))

    # ------------------------------------------------------------ what the visitor says

    def set(self, key: str, value: Any) -> None:
        """Sets a widget, as a hand would."""
        node = self.widget(key)
        state = state_of(node, value)
        self.states[state.id] = state
        self._bind(node, state)

    def _bind(self, node: Node, state: WidgetState) -> None:
        """The client itself writes a widget that is bound to the address into it."""
        bound = getattr(node.message, "query_param_key", "")
        if not bound:
            return
        said = parse_qs(self.query, keep_blank_values=True)
        said.pop(bound, None)
        if values_of(state) != values_of(state_of(fresh(node))):
            said[bound] = values_of(state)
        self.query = urlencode(said, doseq=True)

    def asks(self, *, trigger: str = "", fragment: str = "") -> BackMsg:
        """The message that runs the page, or a fragment, with all values; ``trigger``: the key of a button."""
        asked = BackMsg()
        rerun = asked.rerun_script
        rerun.query_string = self.query
        rerun.page_script_hash = self.page_hash
        rerun.page_name = "" if self.page_hash else self.page_name
        rerun.fragment_id = fragment
        rerun.widget_states.widgets.extend(self.states.values())
        if trigger:
            pressed = WidgetState(id=self.widget(trigger).message.id, trigger_value=True)
            rerun.widget_states.widgets.append(pressed)
        rerun.cached_message_hashes.extend(self._kept)
        rerun.context_info.CopyFrom(
            ContextInfo(
                timezone="Europe/Paris",
                timezone_offset=-60,
                locale="en-GB",
                url=self.url,
                is_embedded=False,
                color_scheme="light",
            )
        )
        return asked


def said(message: Message) -> str:
    """An exception or an alert in one line."""
    words = getattr(message, "body", "") or f"{message.type}: {message.message}"
    return " ".join(words.split())


# ---------------------------------------------------------------- values of widgets


def fresh(node: Node) -> Node:
    """The widget as if nobody had set it."""
    message = type(node.message)()
    message.CopyFrom(node.message)
    message.set_value = False
    return Node(node.kind, message, node.run, node.fragment)


def state_of(node: Node, value: Any = None) -> WidgetState:
    """The state of a widget: with ``value``, or else as the server says.

    A choice is named by its words; several by a list of them. What a component is sent is its ``value``.
    Raises ``ValueError`` for an element that holds none.
    """
    widget, kind = node.message, node.kind
    state = WidgetState(id=widget.id)
    given = value is None and getattr(widget, "set_value", False)
    if kind == "slider" and widget.type == Slider.SELECT_SLIDER:
        words = widget.raw_value if given else [widget.options[int(at)] for at in widget.default]
        state.string_array_value.data.extend(words if value is None else _list(value))
    elif kind == "slider":
        numbers = widget.value if given else widget.default
        state.double_array_value.data.extend(numbers if value is None else _list(value))
    elif kind == "button_group":
        words = widget.raw_values if given else [content(widget, at) for at in widget.default]
        state.string_array_value.data.extend(words if value is None else _list(value))
    elif kind == "multiselect":
        words = widget.raw_values if given else [widget.options[at] for at in widget.default]
        state.string_array_value.data.extend(words if value is None else _list(value))
    elif kind in ("selectbox", "radio"):
        word = _word(widget, given) if value is None else value
        if word is not None:
            state.string_value = word
    elif kind == "number_input":
        number = (widget.value if given else widget.default) if value is None else value
        if widget.data_type == NumberInput.INT:
            state.int_value = int(number)
        else:
            state.double_value = number
    elif kind == "checkbox":
        state.bool_value = (widget.value if given else widget.default) if value is None else value
    elif kind == "text_input":
        state.string_value = (widget.value if given else widget.default) if value is None else value
    elif kind == "bidi_component" and value is not None:
        state.json_value = json.dumps({"value": value})
    else:
        raise ValueError(f"{kind} {node.key!r} takes no value")
    return state


def _list(value: Any) -> list:
    return list(value) if isinstance(value, list | tuple) else [value]


def _word(widget: Message, given: bool) -> str | None:
    if given:
        return widget.raw_value if widget.HasField("raw_value") else None
    return widget.options[widget.default] if widget.HasField("default") else None


def content(group: Message, at: int) -> str:
    """The words of one button of a group, as its client sends them."""
    one = group.options[at]
    return " ".join(filter(None, [one.content_icon, one.content]))


def values_of(state: WidgetState) -> list[str]:
    """A state as the address says it."""
    kind = state.WhichOneof("value")
    value = getattr(state, kind) if kind else ""
    parts = list(value.data) if kind and kind.endswith("array_value") else [value]
    return [_said(part) for part in parts]


def _said(part: object) -> str:
    if isinstance(part, bool):
        return str(part).lower()
    return f"{part:.10g}" if isinstance(part, float) else str(part)


def another(node: Node, state: WidgetState | None, turn: int, now: int) -> Any:
    """Another value of a control than it has, a different one with every ``turn``.

    ``now``: milliseconds, which a timeline sends with its value. Raises ``ValueError`` for a control that
    this does not know how to move.
    """
    widget = node.message
    if node.kind == "bidi_component":
        data = json.loads(widget.json)
        if "stops" not in data:
            raise ValueError(f"component {node.key!r} is no timeline")
        return [_turned(data["stops"], data["value"], turn), now]
    held = values_of(state) if state else []
    if node.kind == "slider" and widget.type == Slider.SELECT_SLIDER:
        return _turned(list(widget.options), held[0], turn)
    if node.kind == "slider":
        count = round((widget.max - widget.min) / widget.step) + 1
        numbers = [widget.min + at * widget.step for at in range(count)]
        return _turned(numbers, state.double_array_value.data[0], turn)
    if node.kind in ("selectbox", "radio"):
        return _turned(list(widget.options), held[0], turn)
    if node.kind == "button_group":
        words = [content(widget, at) for at in range(len(widget.options))]
        return _turned(words, held[0] if held else "", turn)
    if node.kind == "checkbox":
        return not state.bool_value
    if node.kind == "number_input":
        value = state.int_value if widget.data_type == NumberInput.INT else state.double_value
        return value + 1 if not widget.has_max or value + 1 <= widget.max else widget.min
    raise ValueError(f"{node.kind} {node.key!r} cannot be moved")


STRIDE = 7
"""How far a hand jumps, in stops: a number that few timelines have as a factor."""


def _turned(options: Sequence[Any], now: Any, turn: int) -> Any:
    others = [option for option in options if option != now]
    if not others:
        raise ValueError("there is nothing else to choose")
    return others[STRIDE * turn % len(others)]


# ---------------------------------------------------------------- figures


def is_figure(path: Path, node: Node) -> bool:
    """Whether this is a picture, a film or a chart in the middle of the page."""
    return (
        path[0] == MAIN
        and node.kind in FIGURES
        and getattr(node.message, "component_name", "") not in CONTROLS
    )


def addresses(node: Node) -> list[str]:
    """What a browser has to fetch before it can show an element; pictures may travel inside it."""
    if node.kind == "imgs":
        return [one.url for one in node.message.imgs if not one.url.startswith("data:")]
    if node.kind == "bidi_component" and node.message.WhichOneof("data") == "json":
        return list(dict.fromkeys(_addresses(json.loads(node.message.json))))
    return []


def _addresses(data: object) -> Iterator[str]:
    if isinstance(data, str) and re.match(r"(/[\w-]+)*/browser/[0-9a-f]{16,}/", data):
        yield data
    elif isinstance(data, Mapping):
        for value in data.values():
            yield from _addresses(value)
    elif isinstance(data, list):
        for value in data:
            yield from _addresses(value)


# ---------------------------------------------------------------- figures of a measurement


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` of them do not exceed."""
    if not values:
        raise ValueError("no values")
    if not 0 < share <= 1:
        raise ValueError(f"share must be in (0, 1], got {share}")
    ordered = sorted(values)
    return ordered[math.ceil(len(ordered) * share - 1e-9) - 1]

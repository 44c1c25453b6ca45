"""A copy of the visit's sheet in the tab's own storage: a reload finds it there, and nobody else does."""

from __future__ import annotations

from collections.abc import Callable

from pages.browser import from_tab
from pages.browser.component import Component

_STORE = Component("sheet_store")


def show(
    key: str,
    visit: str,
    taken: Callable[[], None],
    *,
    ask: bool = False,
    version: int = 0,
    sheet: str | None = None,
    most: int = 0,
) -> None:
    """Mounts it; it draws nothing. ``visit`` names the visit that it speaks with, which every answer repeats.

    An answer for which the page need not run comes by ``from_tab``: that the tab holds nothing, or has stored
    what it was given. If the visit does not take it there, it comes as the others do.

    ``ask``: what does the tab hold? The answer is ``["none", visit]``, ``["held", visit, text]`` with at most
    ``most + 1`` characters, or ``["forbidden", visit]``. Otherwise ``sheet`` is to be held in place of what is
    there, where it is empty nothing is, and None leaves the storage alone. The answer is
    ``["stored", visit, version]``, or ``full`` or ``forbidden`` in place of ``stored``. The fourth entry of
    every answer is a random token of the tab, which outlives a reload: 32 hexadecimal digits, or ``""`` where
    the browser refuses its storage. ``taken`` is called when an answer is in ``st.session_state[key].value``.
    """
    _STORE(
        key,
        {
            "visit": visit,
            "address": from_tab.address(visit),
            "ask": ask,
            "version": version,
            "sheet": sheet,
            "most": most,
        },
        taken,
    )

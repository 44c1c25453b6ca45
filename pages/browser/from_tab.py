"""What a tab tells the server without a run of the page.

A component that sends a value has the page run, or the part of it that it stands in. Streamlit's browser sends
what several of them have changed in one message, which names one part: a click of that moment would run that
part alone, and its own part would not be drawn. What a tab says without being asked, and what changes nothing
on the page, comes by a request of its own.
"""

from __future__ import annotations

import json
from typing import Protocol
from weakref import WeakValueDictionary

from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response

from pages.browser import serving

MOST_BYTES = 1000
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class Listener(Protocol):
    """A visit that tabs speak to."""

    def hear_without_a_run(self, said: object) -> bool:
        """Takes what a tab says, any JSON value, in any thread; False where the page has to run for it."""


LISTENERS: WeakValueDictionary[str, Listener] = WeakValueDictionary()
"""By a token that nobody can guess; a visit that has ended is none any more."""


def address(token: str) -> str:
    """Where a tab speaks to the visit of that token, by POST."""
    return f"{serving.base()}/tab/{token}"


async def answer(request: Request) -> Response:
    """204 where the visit has taken what the body says, 202 where the page has to run for it, 404 where there
    is no such visit, 413 and 400 where the body is too long or no JSON."""
    listener = LISTENERS.get(request.path_params["token"])
    body = b""
    try:
        async for part in request.stream():
            body += part
            if len(body) > MOST_BYTES:
                return PlainTextResponse("Too long.", status_code=413, headers=HEADERS)
    except ClientDisconnect:  # nobody reads the answer, and it is no error of the server
        return PlainTextResponse("Cut short.", status_code=400, headers=HEADERS)
    if listener is None:
        return PlainTextResponse("No such visit.", status_code=404, headers=HEADERS)
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return PlainTextResponse("No JSON.", status_code=400, headers=HEADERS)
    taken = listener.hear_without_a_run(said)
    return Response(status_code=204 if taken else 202, headers=HEADERS)

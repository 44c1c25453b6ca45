"""One visitor of a Streamlit app without a browser: the same requests, the same messages, no drawing.

``Visitor`` fetches what the first page of the client names, opens the websocket, runs pages, and fetches every
picture, module and film that the page then shows; what has an address of its own content is fetched once, as
a browser would. Not fetched: the parts of Streamlit's client that it loads for single kinds of elements.
"""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import parse_qs, urljoin, urlparse

import aiohttp
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from tests.benchmarks.deltas import Node, Page, Path, addresses, another, is_figure

AT_ONCE = 6
"""Connections of one browser to one server."""
LONGEST = 180.0
"""Seconds after which an answer is given up."""
LOST = 30.0
"""Seconds without an answer after which a visitor who has come back asks once more."""
NAMED = re.compile(r"(?:src|href)=\"\./(static/[^\"]+\.(?:js|css|woff2))\"")
IMPORTED = re.compile(r"(?:from|import)\s*\(?\s*[\"'](\./[^\"']+\.js)[\"']")
NEVER_CHANGES = ("/browser/", "/static/")
"""Parts of addresses that hold a hash of their content, and are sent to be kept."""
NO_TOKEN = "PLACEHOLDER_AUTH_TOKEN"
"""What Streamlit's client says where it has no token."""


Outcome = TypeVar("Outcome")


class Failed(Exception):
    """The server did not answer as it should."""


@dataclass
class Answer:
    """What one request of a visitor brought: seconds from sending it.

    ``first``: to the first figure that was not there before, with all that it needs; None where there was none.
    ``run``: to the end of the run of the page. ``done``: to the end of it, with all that it shows.
    ``changed``: whether the middle of the page shows anything else. ``errors``: what went wrong.
    ``asked``: how many times the visitor asked until an answer came.
    """

    first: float | None = None
    run: float = 0.0
    done: float = 0.0
    changed: bool = False
    errors: list[str] = field(default_factory=list)
    asked: int = 1
    messages: int = 0
    sent: int = 0
    """Bytes that came through the websocket."""


class Browser:
    """What the tabs of one browser share: connections, cookies, and what they need not fetch again."""

    def __init__(self) -> None:
        jar = aiohttp.CookieJar(unsafe=True)  # of a server without a name, too
        connections = aiohttp.TCPConnector(limit=AT_ONCE)
        self.http = aiohttp.ClientSession(connector=connections, cookie_jar=jar)
        self.sockets = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), cookie_jar=jar
        )
        self.kept: set[str] = set()

    async def close(self) -> None:
        await self.sockets.close()
        await self.http.close()


def done(visit: Coroutine[Any, Any, Outcome]) -> Outcome:
    """What comes of a visit, in a thread of its own: tests in a browser leave their loop in the main one."""
    with ThreadPoolExecutor(1) as alone:
        return alone.submit(asyncio.run, visit).result()


class Visitor:
    """``base``: the app's address. ``browser``: where this is a tab of a browser that is open already."""

    def __init__(self, base: str, browser: Browser | None = None) -> None:
        self.base, self.browser = base.rstrip("/"), browser
        self.page = Page()
        self.turn = 0
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._reading: asyncio.Task | None = None
        self._fetches: dict[str, asyncio.Task] = {}
        self._showing: list[asyncio.Task] = []
        self._finished: asyncio.Future | None = None
        self._answer, self._began, self._asked_at = Answer(), False, 0.0
        self._known: set[bytes] = set()

    # ------------------------------------------------------------ coming and going

    async def open(self, path: str, query: str = "") -> Answer:
        """Opens a page in a new tab of this browser, from its address to the last picture."""
        await self.close()
        begun = time.perf_counter()
        self.browser = self.browser or Browser()
        self._expect(begun)
        address = f"{self.base}/{path}" + (f"?{query}" if query else "")
        self.page = Page(url=address, query=query, page_name=path)
        await self._load_client(address)
        await self._connect()
        return await self._ask(self.page.asks(), begun)

    async def _load_client(self, address: str) -> None:
        """What a browser loads before it opens the websocket."""
        document = (await self.fetch(address)).decode()
        for name in NAMED.findall(document):
            self._fetch(f"{self.base}/{name}")
        named = [self._fetches[f"{self.base}/{name}"] for name in NAMED.findall(document)]
        await asyncio.gather(*named)
        await asyncio.gather(
            *(self.fetch(f"{self.base}/_stcore/{name}") for name in ("health", "host-config"))
        )

    async def _connect(self, session: str = "") -> None:
        jar = self.browser.http.cookie_jar
        token = next((c.value for c in jar if c.key == "_streamlit_xsrf"), "")
        parts = urlparse(self.base)
        try:
            self._socket = await self.browser.sockets.ws_connect(
                f"{self.base}/_stcore/stream",
                protocols=["streamlit", token or NO_TOKEN, *filter(None, [session])],
                origin=f"{parts.scheme}://{parts.netloc}",
                compress=15,
                max_msg_size=0,
            )
        except aiohttp.ClientError as error:
            raise Failed(f"no connection to {self.base}: {error}") from error
        self._reading = asyncio.create_task(self._read(self._socket))

    async def reconnect(self) -> Answer:
        """Loses the connection and comes back to the same session, as a laptop that slept does.

        Streamlit 1.67 may lose the answer to the first question: the loop that sends messages goes round a list
        of sessions with the connections that they had when it began (``Runtime._loop_coroutine``), so what a
        run says to a visitor who has just come back goes to the connection before. A person sees the page as it
        was and presses again; this visitor asks once more after ``LOST`` seconds.

        Raises ``Failed`` where the server gave it another session.
        """
        before = self.page.session
        await self._hang_up()
        begun = time.perf_counter()
        self._expect(begun)
        await self._connect(before)
        answer = await self._ask(self.page.asks(), begun, LOST)
        if self.page.session != before:
            raise Failed("the server has forgotten this visitor's session")
        return answer

    async def _hang_up(self) -> None:
        if self._socket is not None:
            await self._socket.close()
            self._socket = None
        if self._reading is not None:
            self._reading.cancel()
            with suppress(asyncio.CancelledError):
                await self._reading
            self._reading = None

    async def close(self) -> None:
        """Closes the tab; the browser keeps what it has fetched."""
        for task in (*self._showing, *self._fetches.values()):
            task.cancel()
        await asyncio.gather(*self._showing, *self._fetches.values(), return_exceptions=True)
        self._showing, self._fetches = [], {}
        await self._hang_up()

    async def leave(self) -> None:
        """Closes the browser."""
        await self.close()
        if self.browser is not None:
            await self.browser.close()
            self.browser = None

    def tab(self) -> Visitor:
        """Another tab of the same browser, to be closed before that."""
        self.browser = self.browser or Browser()
        return Visitor(self.base, self.browser)

    # ------------------------------------------------------------ what a hand does

    async def move(self, key: str, value: Any = None) -> Answer:
        """Moves a control, to another value than it has where none is given; runs the page, or its fragment."""
        node = self._control(key)
        if value is None:
            self.turn += 1
            state, now = self.page.states.get(node.message.id), time.time_ns() // 10**6
            try:
                value = another(node, state, self.turn, now)
            except ValueError as error:
                raise Failed(f"{self.page.url}: {error}") from error
        begun = time.perf_counter()
        self._expect(begun)
        self.page.set(key, value)
        answer = await self._ask(self.page.asks(fragment=node.fragment), begun)
        if not answer.changed:
            answer.errors.append(f"moving {key} changed nothing that the page shows")
        return answer

    async def click(self, key: str) -> Answer:
        """Presses a button."""
        node = self._control(key)
        begun = time.perf_counter()
        self._expect(begun)
        return await self._ask(self.page.asks(trigger=key, fragment=node.fragment), begun)

    async def again(self, fragment: str = "") -> Answer:
        """Runs the page once more, or a fragment of it, as the client does by itself every few seconds."""
        begun = time.perf_counter()
        self._expect(begun)
        return await self._ask(self.page.asks(fragment=fragment), begun)

    def _control(self, key: str) -> Node:
        try:
            return self.page.widget(key)
        except KeyError:
            known = ", ".join(sorted(self.page.widgets()))
            raise Failed(f"{self.page.url} has no {key}, but {known or 'nothing'}") from None

    def holds(self) -> Mapping[str, list[str]]:
        """What the address says."""
        return parse_qs(self.page.query)

    # ------------------------------------------------------------ asking and being answered

    def _expect(self, begun: float) -> None:
        self._answer, self._began, self._asked_at = Answer(), False, begun
        self._finished = asyncio.get_running_loop().create_future()

    async def _ask(self, asked: BackMsg, begun: float, lost: float = math.inf) -> Answer:
        """Sends a message that runs the page, and waits for the end of that run and for its pictures. After
        ``lost`` seconds without that end it is sent once more.
        """
        answer, page = self._answer, self.page
        before, page.errors = page.shown(), []
        self._known = {
            node.message.SerializeToString(deterministic=True)
            for path, node in page.elements(main=True)
            if is_figure(path, node)
        }
        try:
            try:
                await self._run_ends(asked, min(lost, LONGEST))
            except TimeoutError:
                if lost >= LONGEST:
                    raise
                answer.asked += 1
                await self._run_ends(asked, LONGEST)
            answer.run = time.perf_counter() - begun
            await asyncio.wait_for(self._all_shown(), LONGEST)
        except TimeoutError:
            raise Failed(f"no answer from {page.url} within {LONGEST:.0f} s") from None
        answer.done = time.perf_counter() - begun
        answer.changed = page.shown() != before
        answer.errors += page.errors
        return answer

    async def _run_ends(self, asked: BackMsg, most: float) -> None:
        """Sends a message; raises ``TimeoutError`` where the run that it asks for has no end by then."""
        await self._socket.send_bytes(asked.SerializeToString())
        await asyncio.wait_for(asyncio.shield(self._finished), most)

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        outcome: Exception = Failed(f"the server hung up on {self.page.url}")
        try:
            async for frame in socket:
                if frame.type != aiohttp.WSMsgType.BINARY:
                    break
                self._take(frame.data)
        except Exception as error:  # or whoever asked would wait for an answer until it is given up
            outcome = error
        if not self._finished.done():
            self._finished.set_exception(outcome)

    def _take(self, data: bytes) -> None:
        message = ForwardMsg.FromString(data)
        self._answer.messages += 1
        self._answer.sent += len(data)
        node = self.page.take(message)
        kind = message.WhichOneof("type")
        if kind == "new_session":
            self._began = True
        elif node is not None:
            self._show(tuple(message.metadata.delta_path), node)
        elif kind == "script_finished" and self._ends(message):
            self._finished.set_result(None)

    def _ends(self, message: ForwardMsg) -> bool:
        """Whether a run ends with this message that began after the visitor asked."""
        early = message.script_finished == ForwardMsg.FINISHED_EARLY_FOR_RERUN
        return self._began and not early and not self._finished.done()

    # ------------------------------------------------------------ pictures

    def _show(self, path: Path, node: Node) -> None:
        """Begins to fetch what an element needs."""
        self._showing.append(asyncio.create_task(self._shown(path, node, self._answer)))

    async def _shown(self, path: Path, node: Node, answer: Answer) -> None:
        wanted = [urljoin(f"{self.base}/", address) for address in addresses(node)]
        await asyncio.gather(*map(self._fetch, wanted))
        new = (
            is_figure(path, node)
            and node.message.SerializeToString(deterministic=True) not in self._known
        )
        if new and answer.first is None:
            answer.first = time.perf_counter() - self._asked_at

    async def _all_shown(self) -> None:
        while self._showing:
            waiting, self._showing = self._showing, []
            for outcome in await asyncio.gather(*waiting, return_exceptions=True):
                if isinstance(outcome, Failed):
                    if self._still_shown(str(outcome)):
                        self._answer.errors.append(str(outcome))
                elif isinstance(outcome, BaseException):
                    raise outcome

    def _still_shown(self, complaint: str) -> bool:
        """Whether the page still shows what could not be fetched: the server forgets a picture with the
        run that showed it.
        """
        wanted = (one for _path, node in self.page.elements() for one in addresses(node))
        return any(address in complaint for address in wanted)

    def _fetch(self, address: str) -> asyncio.Task:
        known = self._fetches.get(address)
        if known is None or (known.done() and (known.cancelled() or known.exception())):
            self._fetches[address] = asyncio.create_task(self._keep(address))
        return self._fetches[address]

    async def _keep(self, address: str) -> None:
        """Fetches what an address holds, and the modules that a module imports, unless the browser has it."""
        kept = self.browser.kept
        if address in kept:
            return
        body = await self.fetch(address)
        if "/browser/" in address and address.endswith(".js"):
            names = IMPORTED.findall(body.decode())
            await asyncio.gather(*(self._fetch(urljoin(address, name)) for name in names))
        if any(part in address for part in NEVER_CHANGES):
            kept.add(address)

    async def fetch(self, address: str) -> bytes:
        """What an address answers. Raises ``Failed`` where that is anything but 200."""
        try:
            try:
                return await self._get(address)
            except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError):
                # The server closed a connection just as it was used again: browsers take another one.
                return await self._get(address)
        except aiohttp.ClientError as error:
            raise Failed(f"{type(error).__name__} for {address}") from error

    async def _get(self, address: str) -> bytes:
        async with self.browser.http.get(address) as response:
            body = await response.read()
            if response.status != 200:
                raise Failed(f"{response.status} for {address}")
            return body

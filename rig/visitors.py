"""Visitors of a site, who account for every request they send: sent = answered + failed."""

from __future__ import annotations

import collections
import http.client
import json
import select
import threading
import time
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from websockets.sync.client import ClientConnection, connect

LISTEN = 8000
"""The port that the proxies of a rig listen on."""
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
PATIENCE = 10
"""Seconds that a visitor waits for an answer."""
WEBSOCKET = "/ws"
"""The path at which an app takes websockets."""


def version_in(body: bytes) -> str:
    """The version that a page tells, or "-"."""
    try:
        return str(json.loads(body)["version"])
    except (ValueError, KeyError, TypeError):
        return "-"


def ask(address: str, path: str = "/healthz", port: int = LISTEN) -> str:
    """The version that an address answers, or "-"; raises OSError for no answer and for an error."""
    with DIRECT.open(f"http://{address}:{port}{path}", timeout=PATIENCE) as answer:
        return version_in(answer.read())


class Naive:
    """A client that keeps its connection and does not look whether it was closed before it writes."""

    def __init__(self) -> None:
        self.connections: dict[tuple[str, int], http.client.HTTPConnection] = {}

    def __call__(self, address: str, path: str, port: int) -> str:
        """The version that it is told; raises OSError or HTTPException for anything but a good answer."""
        kept = self.connections.setdefault((address, port), http.client.HTTPConnection(address, port, timeout=PATIENCE))
        try:
            kept.request("GET", path)
            answer = kept.getresponse()
            body = answer.read()
        except BaseException:
            kept.close()
            raise
        if answer.status != 200:
            raise OSError(f"HTTP {answer.status}: {body[:100]!r}")
        return version_in(body)


class Careful(Naive):
    """A client that keeps its connection, and takes a new one where that was closed meanwhile."""

    def __call__(self, address: str, path: str, port: int) -> str:
        """As that of Naive."""
        kept = self.connections.get((address, port))
        if kept and kept.sock and select.select([kept.sock], [], [], 0)[0]:
            kept.close()
        return super().__call__(address, path, port)


class Websocket:
    """A client that asks over a websocket, and takes a new one after ``MESSAGES``."""

    MESSAGES = 5

    def __init__(self) -> None:
        self.closing = ExitStack()
        self.opened: ClientConnection | None = None
        self.begun = 0.0
        self.messages = 0

    def __call__(self, address: str, path: str, port: int) -> str:
        """The version that it is told; raises OSError or WebSocketException for no answer."""
        if not self.opened:
            to = f"ws://{address}:{port}{WEBSOCKET}"
            self.begun, self.messages = time.monotonic(), 0
            self.opened = self.closing.enter_context(connect(to, open_timeout=PATIENCE, proxy=None))
        self.messages += 1
        try:
            self.opened.send("which version?")
            answer = self.opened.recv(timeout=PATIENCE)
        except BaseException:
            self.close()
            raise
        if self.messages == self.MESSAGES:
            self.close()
        return version_in(answer if isinstance(answer, bytes) else answer.encode())

    def close(self) -> None:
        """Say goodbye."""
        self.closing.close()
        self.opened = None


def newcomer(address: str, path: str, port: int) -> str:
    """A client that makes a connection for each request."""
    return ask(address, path, port)


KINDS: dict[str, Callable[[], Callable[[str, str, int], str]]] = {
    "new": lambda: newcomer,
    "naive": Naive,
    "careful": Careful,
    "websocket": Websocket,
}


@dataclass
class Visitors:
    """Requests in a row through each address, by each kind of client, and what became of every one.

    ``answers`` holds (moment of sending, address, version) of each good answer, where a message over a websocket has
    the moment before that was opened; ``failed`` the same with what went wrong, and when that was asked.
    """

    addresses: Sequence[str]
    path: str = "/healthz"
    kinds: Sequence[str] = ("new",)
    port: int = LISTEN
    pause: float = 0.01
    sent: int = 0
    answers: list[tuple[float, str, str]] = field(default_factory=list)
    failed: list[tuple[float, str, str]] = field(default_factory=list)

    def __enter__(self) -> Visitors:
        self._end, self._lock = threading.Event(), threading.Lock()
        places = [(address, kind, KINDS[kind]()) for address in self.addresses for kind in self.kinds]
        self._threads = [threading.Thread(target=self._visit, args=place) for place in places]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()
        assert self.sent == len(self.answers) + len(self.failed), "a request is not accounted for"

    def _visit(self, address: str, kind: str, client: Callable[[str, str, int], str]) -> None:
        while not self._end.wait(self.pause):
            with self._lock:
                self.sent += 1
            begun = time.monotonic()
            try:
                version = client(address, self.path, self.port)
            except Exception as error:  # whatever it is, the visitor did not get the page
                self.failed.append((begun, address, f"{kind}: {type(error).__name__}: {error}"))
            else:
                # a websocket stays with the slot that it was opened to
                sent = min(begun, client.begun) if isinstance(client, Websocket) else begun
                self.answers.append((sent, address, version))

    def since(self, moment: float) -> collections.Counter[str]:
        """The versions of the answers to requests sent after a moment (time.monotonic)."""
        return collections.Counter(version for at, _, version in self.answers if at > moment)

"""A lock that is held: its channels to the lock hosts, over which the journal is written and signs of life are sent."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from releaselib.config.inventory import Host
from releaselib.decide.journal import Event, written
from releaselib.errors import CommandFailed, ReleaseError
from releaselib.hosts.connection import Running
from releaselib.progress import patience

PULSE = 3.0
"""Seconds between two signs of life of the holder."""
ENDING = 10
"""Seconds for which the end of what holds the lock is waited for; it ends with the connection at the latest."""
LOST = (OSError, ValueError, ReleaseError)
"""What is raised when the other end of a channel is gone, or closed."""
Wrong = tuple[Callable[[Host, str], CommandFailed], Host, str]
"""What went wrong, where, and why."""


class Lock:
    """The lock of a stage while it is held, on every lock host; ``fence`` is its number."""

    def __init__(self, held: Mapping[Host, Running], found: Mapping[Host, dict[str, Any]]) -> None:
        self._held = dict(held)
        self._sent, self._heard = Counter[Host](), Counter[Host]()
        self._sending = threading.Lock()
        self._wrong: Wrong | None = None
        self.fence = max(one["fence"] for one in found.values()) + 1
        self.frozen = next((one["frozen"] for one in found.values() if one["frozen"]), "")

    def write(self, event: Event, *, wait: bool = True) -> None:
        """Append an event to the journal on every lock host. Raises CommandFailed when the lock is lost.

        Without ``wait`` it is on its way, in front of every later one, of which the first that waits hears of it.
        """
        self.tell(f"write {written(event)}", wait=wait)

    def tell(self, words: str, hosts: Iterable[Host] = (), *, wait: bool = True) -> None:
        """Have something done by what holds the lock on every lock host (see lock.py); all are told at once."""
        with self._sending:
            for host in hosts or self._held:
                self._send(host, words)
            sent = dict(self._sent)
        # Signs of life go on meanwhile: a host that is slow must not cost the others the lock.
        for host in self._held if wait else ():
            self._receive(host, sent.get(host, 0))
        if self._wrong:
            told, host, why = self._wrong
            raise told(host, why)

    def _send(self, host: Host, words: str) -> None:
        try:
            if not self._wrong:
                self._held[host].send(words)
                self._sent[host] += 1
        except LOST as error:
            self._wrong = is_lost, host, str(error)

    def _receive(self, host: Host, sent: int) -> None:
        """Hear the answers to so many lines; only whoever writes does, never a sign of life."""
        try:
            with patience(lambda: f"{host.name} has not written the journal yet"):
                while self._heard[host] < sent and not self._wrong:
                    answer = self._held[host].receive()
                    self._heard[host] += 1
                    if not answer:
                        self._wrong = is_lost, host, last_lines(self._held[host])
                    elif answer != "done":
                        self._wrong = not_written, host, answer
        except LOST as error:
            self._wrong = is_lost, host, str(error)

    @contextmanager
    def alive(self) -> Iterator[None]:
        """Send signs of life for the length of the block."""
        over = threading.Event()

        def pulse() -> None:
            with suppress(ReleaseError):  # the next event tells
                while not over.wait(PULSE):
                    self.tell("pulse", wait=False)

        thread = threading.Thread(target=pulse, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()

    def release(self) -> None:
        """Give it up."""
        end_all(self._held.values())


def is_lost(host: Host, why: str) -> CommandFailed:
    """The error for a host that does not hold the lock any more. Pure."""
    return CommandFailed(
        f"{host.name}: the journal cannot be written, so the lock is not held: whoever takes it now is safe from "
        "this command",
        cause=why,
        next_step="fab status",
    )


def not_written(host: Host, why: str) -> CommandFailed:
    """The error for a host that holds the lock, and cannot write there. Pure."""
    what = f"{host.name}: the journal cannot be written there"
    return CommandFailed(what, cause=why, next_step="df there, and mend what it says; fab status")


def end_all(held: Iterable[Running]) -> None:
    """Close the channels, and wait for the end of what holds the lock there; of what hangs not for ever."""
    ending = [threading.Thread(target=last_lines, args=[one], daemon=True) for one in held]
    for one in ending:
        one.start()
    end = time.monotonic() + ENDING
    for one in ending:
        one.join(max(0, end - time.monotonic()))


def last_lines(running: Running) -> str:
    """What it said last, or how it was lost."""
    try:
        return running.finish().last_lines
    except LOST as error:
        return str(error)

"""A lock that is held: its channels to the lock hosts, over which the journal is written and signs of life are sent."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from releaselib.config.inventory import Host
from releaselib.decide.journal import Event, written
from releaselib.errors import CommandFailed, ReleaseError
from releaselib.hosts.connection import Running
from releaselib.progress import patience

PULSE = 3.0
"""Seconds between two signs of life of the holder."""
ENDING = 10
"""Seconds for which the end of what holds the lock is waited for; without signs of life it ends by itself."""
LOST = (OSError, ValueError, ReleaseError)
"""What is raised when the other end of a channel is gone, or closed."""
Wrong = tuple[Callable[[Host, str], CommandFailed], str]
"""What went wrong on a host, and why."""


class Lock:
    """The lock of a stage on those lock hosts where it was taken; ``found`` is what was found there.

    ``fence`` is its number, once it is held on all of them. From the first host on signs of life are sent, until it
    is given up: a host that is slow or gone must not cost the others the lock while a command goes on.
    """

    def __init__(self) -> None:
        self.fence = 0
        self.found: dict[Host, dict[str, Any]] = {}
        self._held: dict[Host, Running] = {}
        self._sending: dict[Host, threading.Lock] = {}
        self._sent, self._heard = Counter[Host](), Counter[Host]()
        self._wrong: dict[Host, Wrong] = {}
        self._over = threading.Event()

    @property
    def frozen(self) -> str:
        """Who froze the stage, when and why, as JSON; empty when nobody did."""
        return next((str(one["frozen"]) for one in self.found.values() if one["frozen"]), "")

    def add(self, host: Host, running: Running, found: dict[str, Any]) -> None:
        """It is held on this host, too, which hears signs of life from now on."""
        self._sending[host] = threading.Lock()
        self._held[host], self.found[host] = running, found
        threading.Thread(target=self._live, args=[host], daemon=True).start()

    def write(self, event: Event, *, wait: bool = True) -> None:
        """Append an event to the journal on every lock host. Raises CommandFailed when the lock is lost.

        Without ``wait`` it is on its way, in front of every later one, of which the first that waits hears of it.
        """
        self.tell(f"write {written(event)}", wait=wait)

    def tell(self, words: str, hosts: Iterable[Host] = (), *, wait: bool = True) -> None:
        """Have something done by what holds the lock on every lock host (see lock.py), at the same time."""
        for host in hosts or self._held:
            self._say(host, words)
        for host in self._held if wait else ():
            self._receive(host, self._sent[host])
        self._require()

    def close(self, last: Event) -> None:
        """Append the last event, and give the lock up with it: one round trip for both. Raises CommandFailed."""
        self._over.set()
        self.write(last, wait=False)
        ended, self._held = self._held, {}
        side_by_side(self._hear_the_rest, ended.items())
        self._require()

    def _require(self) -> None:
        for host, (told, why) in self._wrong.items():
            raise told(host, why)

    def _say(self, host: Host, words: str) -> None:
        with patience(lambda: f"{host.name}: what holds the lock there takes nothing"), self._sending[host]:
            self._send(host, words)

    def _live(self, host: Host) -> None:
        """Send signs of life to a host; each has a thread, so that one that takes nothing costs no other one theirs."""
        while not self._over.wait(PULSE):
            with self._sending[host]:
                if not self._over.is_set():  # behind the last event nobody takes anything any more
                    self._send(host, "pulse")

    def _send(self, host: Host, words: str) -> None:
        try:
            if host not in self._wrong:
                self._held[host].send(words)
                self._sent[host] += 1
        except LOST as error:
            self._wrong[host] = is_lost, str(error)

    def _receive(self, host: Host, sent: int) -> None:
        """Hear the answers to so many lines; only whoever writes does, never a sign of life."""
        try:
            with patience(lambda: f"{host.name}: what holds the lock there has not answered yet"):
                while self._heard[host] < sent and host not in self._wrong:
                    answer = self._held[host].receive()
                    self._heard[host] += 1
                    if not answer:
                        self._wrong[host] = is_lost, last_lines(self._held[host])
                    elif answer != "done":
                        self._wrong[host] = not_written, answer
        except LOST as error:
            self._wrong[host] = is_lost, str(error)

    def _hear_the_rest(self, host: Host, running: Running) -> None:
        try:
            with patience(lambda: f"{host.name}: what holds the lock there has not answered yet"):
                done = running.finish()
        except LOST as error:
            self._wrong[host] = is_lost, str(error)
            return
        answers = done.stdout.splitlines()
        if others := [answer for answer in answers if answer != "done"]:
            self._wrong[host] = not_written, others[0]
        elif self._heard[host] + len(answers) < self._sent[host]:
            self._wrong[host] = is_lost, done.last_lines

    def release(self) -> None:
        """Give it up, and wait for the end of what holds it there; of what hangs not for ever."""
        self._over.set()
        side_by_side(last_lines, [(one,) for one in self._held.values()], ENDING)


def is_lost(host: Host, why: str) -> CommandFailed:
    """The error for a host that does not hold the lock any more. Pure."""
    return CommandFailed(
        f"{host.name}: what holds the lock there does not answer, so it counts as lost: whoever takes it now is safe "
        "from this command",
        cause=why,
        next_step="fab status",
    )


def not_written(host: Host, why: str) -> CommandFailed:
    """The error for a host that holds the lock, and cannot write there. Pure."""
    what = f"{host.name}: the journal cannot be written there, or what else is kept beside the lock"
    return CommandFailed(what, cause=why, next_step="df there, and mend what it says; fab status")


def side_by_side(act: Callable[..., object], words: Iterable[tuple[Any, ...]], seconds: float | None = None) -> None:
    """Call it with each of these words at the same time, and wait for all, or for so many seconds."""
    threads = [threading.Thread(target=act, args=one, daemon=True) for one in words]
    for thread in threads:
        thread.start()
    end = time.monotonic() + (seconds or 0)
    for thread in threads:
        thread.join(None if seconds is None else max(0, end - time.monotonic()))


def last_lines(running: Running) -> str:
    """What it said last, or how it was lost."""
    try:
        return running.finish().last_lines
    except LOST as error:
        return str(error)

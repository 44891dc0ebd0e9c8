"""Progress of an action: everything reports to one place, and whoever wants to know listens there.

A listener is a function that takes one event. What is printed to stderr is the first of them::

    progress.listeners.append(lambda event: print(event))
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Literal

from releaselib.output import harmless


@dataclass(frozen=True)
class Event:
    """Something that happened: to a phase or on a host (``name``), or words for people.

    ``seconds`` are what it took, when it has ended; ``words`` of a host that has ended are its error.
    """

    kind: Literal["phase begun", "phase ended", "host begun", "host ended", "words"]
    name: str = ""
    words: str = ""
    seconds: float = 0.0


_quiet = False


def set_quiet(quiet: bool) -> None:
    """Print nothing for the rest of this process, or print again."""
    global _quiet
    _quiet = quiet


def printed(event: Event) -> None:
    """Print what a person wants to see of an event to stderr: phases as they begin, and words."""
    line = {"phase begun": f"[{event.name}]", "words": event.words}.get(event.kind, "")
    if line and not _quiet:
        with suppress(OSError):  # the terminal may be gone
            print(harmless(line), file=sys.stderr, flush=True)  # noqa: T201


listeners: list[Callable[[Event], None]] = [printed]


def report(event: Event) -> None:
    """Tell an event to every listener, in the thread in which it happened."""
    for listener in listeners:
        listener(event)


def say(words: str) -> None:
    """Report words for people."""
    report(Event("words", words=words))


SILENCE = 2.0
"""Seconds after which a person wants to know what is waited for."""


@contextmanager
def patience(words: Callable[[], str]) -> Iterator[None]:
    """For the length of the block say what is waited for, first after SILENCE and then ever more rarely."""
    over = threading.Event()

    def tell() -> None:
        seconds = SILENCE
        while not over.wait(seconds):
            say(words())
            seconds *= 2

    threading.Thread(target=tell, daemon=True).start()
    try:
        yield
    finally:
        over.set()


class Clock:
    """Seconds a phase, in the order in which the phases ran."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._phase, self._since = "", 0.0

    def named(self, words: str) -> str:
        """These words with the running phase in front, unless it stands there."""
        return words if words.startswith(self._phase) else f"{self._phase}: {words}"

    def phase(self, name: str) -> None:
        """End the running phase and begin the next; the empty name only ends it."""
        now = time.monotonic()
        if self._phase:
            spent = now - self._since
            self.seconds[self._phase] = round(self.seconds.get(self._phase, 0.0) + spent, 2)
            report(Event("phase ended", self._phase, seconds=spent))
        if name:
            report(Event("phase begun", name))
        self._phase, self._since = name, now

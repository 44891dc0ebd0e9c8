"""What a connection to a host can do, whoever makes it: ssh.py over the network, here.py on this machine."""

from collections.abc import Sequence
from typing import Protocol

from releaselib.config.inventory import Host
from releaselib.config.stage import Stage
from releaselib.errors import CommandFailed
from releaselib.process import Output

TIMED_OUT = 124
"""The exit code of a command that was given up, as timeout(1) has it."""

KEPT = 4_000_000
"""Bytes of each stream of a command that are kept."""


class Kept:
    """The end of a stream as text: of more than KEPT bytes the beginning is dropped, and that is said."""

    def __init__(self, data: bytes | bytearray = b"") -> None:
        self._end, self._dropped = bytearray(), 0
        self.add(data)

    def add(self, data: bytes | bytearray) -> None:
        """Take what comes next."""
        self._end += data
        over = max(0, len(self._end) - KEPT)
        self._dropped += over
        del self._end[:over]

    def __str__(self) -> str:
        words = f"({self._dropped} bytes before this were dropped)\n" if self._dropped else ""
        return words + self._end.decode("utf-8", "replace")


class Unreachable(CommandFailed):
    """No usable connection to a host: down, refused, wrong key, no login."""


class Distrusted(Unreachable):
    """The host key is not known here, or not the known one."""


class Running(Protocol):
    """A command that has been started: lines in, lines out, and its end."""

    def send(self, line: str) -> None:
        """Write one line to its standard input. Raises Unreachable when nobody is there to read it."""

    def receive(self) -> str:
        """Its next line of standard output; empty when it has ended."""

    def finish(self) -> Output:
        """Close its standard input and wait for its end."""


class Remote(Protocol):
    """A host of a stage that can be worked on; ``fence`` is the number of the lock that is held."""

    host: Host
    stage: Stage
    fence: int

    def run(self, argv: Sequence[str], text: str = "", *, seconds: float = 0) -> Output:
        """Run a command to its end, with ``text`` on its standard input.

        It is given up, as exit code TIMED_OUT, after ``command_timeout`` of the stage and ``seconds`` more.
        """

    def start(self, argv: Sequence[str]) -> Running:
        """Start a command and go on."""

    def terminal(self, argv: Sequence[str]) -> int:
        """Run a command with the terminal that this program has; its exit code."""

    def close(self) -> None:
        """Give the connection back."""

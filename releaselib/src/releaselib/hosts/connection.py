"""What a connection to a host can do, and how it fails, whoever makes it.

ssh.py and openssh.py do over the network, here.py on this machine.
"""

import random
import time
from collections.abc import Sequence
from typing import Protocol

from releaselib.config.inventory import Host
from releaselib.config.stage import Stage
from releaselib.errors import CommandFailed
from releaselib.process import Output

TIMED_OUT = 124
"""The exit code of a command that was given up, as timeout(1) has it."""

CONNECT_TRIES = 3
"""Only the connect itself is tried again: a busy sshd turns some away (MaxStartups)."""

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


def lost(host: Host, words: str) -> Unreachable:
    """The error for a connection that has ended by itself."""
    return Unreachable(
        f"{host.name}: the connection was lost: {words}", next_step="fab status, then run the command again"
    )


def no_session(host: Host, words: str) -> Unreachable:
    """The error for a host whose sshd opens no further session on a connection (sshd_config(5), MaxSessions)."""
    return Unreachable(
        f"{host.name}: it opens no further session: {words}",
        next_step=f"raise MaxSessions in the sshd_config of {host.name}: a release needs four; then run it again",
    )


def refused(at: str, login: tuple[str, str, int], words: str) -> Unreachable:
    """The error for a login, as user, address and port, that a host does not let in."""
    user, address, port = login
    return Unreachable(f"{at}: login as {user} was refused: {words}", next_step=f"ssh -p {port} {user}@{address}")


def unreached(host: Host, stage: Stage, at: str, words: str) -> Unreachable:
    """The error for a host to which there is no connection."""
    user = host.user or stage.user
    login = f"{user}@{host.address}" if user else host.address
    return Unreachable(f"{at}: cannot be reached: {words}", next_step=f"ssh -p {host.port} {login}")


def behind(host: Host, hop: str) -> str:
    """How a host is called that a jump over another one does not get to."""
    return f"{host.name}: {hop}, which it is behind"


def pause() -> None:
    """Spread out the next try to connect."""
    time.sleep(random.uniform(0.1, 0.5))  # noqa: S311  no secret


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

"""The lock of a stage, which cannot outlive its holder, and through it the journal is written.

A held channel to each lock host runs ``flock``; when the holder dies, the channel closes and the lock
is free. What the holder writes goes to the journal there, line by line, each acknowledged.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from releaselib.config.inventory import Host
from releaselib.config.tables import Stage
from releaselib.decide.journal import Began, Event, History, written
from releaselib.errors import CommandFailed, Locked, ReleaseError
from releaselib.hosts.connection import Remote, Running
from releaselib.hosts.fleet import Fleet
from releaselib.hosts.scripts import call, start

HELD = 75


class Journal:
    """The journal of a stage while its lock is held; one JSON object a line, on every lock host."""

    def __init__(self, held: Sequence[tuple[Host, Running]]) -> None:
        self._held = held

    def write(self, event: Event) -> None:
        """Append an event on every lock host and wait until it is written. Raises CommandFailed."""
        line = written(event)
        for host, running in self._held:
            if not _acknowledged(running, line):
                raise CommandFailed(
                    f"{host.name}: the journal cannot be written, so the lock is not held",
                    cause=_last_lines(running),
                    next_step="fab status",
                )


def _acknowledged(running: Running, line: str) -> bool:
    try:
        running.send(line)
        return running.receive() == "written"
    except (OSError, ValueError, ReleaseError):  # its end is gone, or closed
        return False


def _last_lines(running: Running) -> str:
    try:
        return running.finish().last_lines
    except (OSError, ValueError, ReleaseError) as error:
        return str(error)


@contextmanager
def hold(fleet: Fleet) -> Iterator[Journal]:
    """Hold the lock of the stage for the length of a ``with`` block.

    Raises Locked with who holds it, since when and for what.
    """
    held: list[tuple[Host, Running]] = []
    try:
        for host in fleet.stage.lock_hosts:
            held.append((host, _take(fleet.remote(host))))
        yield Journal(held)
    finally:
        for _, running in held:
            _last_lines(running)  # its end may be gone


def _take(remote: Remote) -> Running:
    running = start(remote, "lock.sh")
    first = running.receive()
    if first == "locked":
        return running
    done = running.finish()
    if done.code == HELD:
        raise taken(remote.stage, History.of([first, *done.stdout.split("\n")], locked=True))
    raise CommandFailed(
        f"{remote.host.name}: the stage cannot be locked",
        cause=done.last_lines,
        next_step="can the stage's user write to its prefix there?",
    )


def taken(stage: Stage, history: History) -> Locked:
    """The error for a stage that somebody holds, with that history. Pure."""
    return Locked(
        f"stage {stage.name} is locked by {holder(history.last_began)}",
        next_step="wait for its end; fab lock.show tells when it is free",
    )


def holder(began: Began | None) -> str:
    """Who, since when and for what, from the event with which the holder began. Pure."""
    if not began:
        return "somebody who has not said more yet"
    version = began.release.version if began.release else ""
    return f"{began.who} since {began.when}: {began.action} {version}".rstrip()


def read_journal(fleet: Fleet, lines: int) -> History:
    """The last lines of the journal of the first lock host. Raises CommandFailed."""
    remote = fleet.remote(fleet.stage.lock_hosts[0])
    *events, state = call(remote, "lock_journal.sh", lines=lines).rstrip().split("\n")
    return History.of(events, state == "locked")

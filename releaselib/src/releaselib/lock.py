"""The lock of a stage, which cannot outlive its holder, and through it the journal is written.

A held channel to each lock host runs ``flock``; when the holder dies, the channel closes and the lock
is free. What the holder writes goes to the journal there, line by line, each acknowledged.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from releaselib.errors import CommandFailed, Locked, ReleaseError
from releaselib.fleet import Fleet, Remote, Running
from releaselib.hosts import Host
from releaselib.settings import Stage
from releaselib.shell import script

HELD = 75


class Journal:
    """The journal of a stage while its lock is held; one JSON object a line, on every lock host."""

    def __init__(self, held: Sequence[tuple[Host, Running]]) -> None:
        self._held = held

    def write(self, event: str, **words: Any) -> None:
        """Append one event on every lock host and wait until it is written. Raises CommandFailed."""
        line = json.dumps({"event": event, **words})
        for host, running in self._held:
            if not _written(running, line):
                raise CommandFailed(
                    f"{host.name}: the journal cannot be written, so the lock is not held",
                    cause=_last_words(running),
                    next_step="fab status",
                )


def _written(running: Running, line: str) -> bool:
    try:
        running.send(line)
        return running.receive() == "written"
    except (OSError, ValueError, ReleaseError):  # its end is gone, or closed
        return False


def _last_words(running: Running) -> str:
    try:
        return running.finish().words
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
            held.append((host, _take(fleet.remote(host), fleet.stage)))
        yield Journal(held)
    finally:
        for _, running in held:
            _last_words(running)  # its end may be gone


def _take(remote: Remote, stage: Stage) -> Running:
    running = remote.start(script("lock.sh", stage.prefix))
    if running.receive() == "locked":
        return running
    done = running.finish()
    if done.code == HELD:
        raise taken(stage, _event(done.stderr))
    raise CommandFailed(
        f"{remote.host.name}: the stage cannot be locked",
        cause=done.words,
        next_step="can the stage's user write to its prefix there?",
    )


def taken(stage: Stage, began: dict[str, Any] | None) -> Locked:
    """The error for a stage that somebody holds, who began with that event. Pure."""
    return Locked(
        f"stage {stage.name} is locked by {holder(began)}",
        next_step="wait for its end; fab lock.show tells when it is free",
    )


def _event(text: str) -> dict[str, Any] | None:
    try:
        return dict(json.loads(text.strip().splitlines()[-1]))
    except (ValueError, IndexError):
        return None


def holder(began: dict[str, Any] | None) -> str:
    """Who, since when and for what, from the event with which the holder began. Pure."""
    if not began:
        return "somebody who has not said more yet"
    return f"{began['who']} since {began['when']}: {began['action']} {began['release']['version']}"

"""The lock of a stage, which cannot outlive its holder, and through it the journal is written.

A held channel to each lock host runs ``flock``; when the holder dies, the channel closes and the lock
is free. What the holder writes goes to the journal there, line by line, each acknowledged.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from releaselib.errors import CommandFailed, Locked
from releaselib.fleet import Fleet, Remote, Running
from releaselib.hosts import Host
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
            running.send(line)
            if running.receive() != "written":
                raise CommandFailed(
                    f"{host.name}: the journal cannot be written, so the lock is not held",
                    cause=running.finish().words,
                    next_step="fab status",
                )


@contextmanager
def hold(fleet: Fleet) -> Iterator[Journal]:
    """Hold the lock of the stage for the length of a ``with`` block.

    Raises Locked with who holds it, since when and for what.
    """
    held: list[tuple[Host, Running]] = []
    try:
        for host in fleet.stage.lock_hosts:
            held.append((host, _take(fleet.remote(host), fleet.stage.prefix, fleet.stage.name)))
        yield Journal(held)
    finally:
        for _, running in held:
            running.finish()


def _take(remote: Remote, prefix: str, stage: str) -> Running:
    running = remote.start(script("lock.sh", prefix))
    if running.receive() == "locked":
        return running
    done = running.finish()
    if done.code == HELD:
        raise Locked(
            f"stage {stage} is locked by {holder(_event(done.stderr))}",
            next_step="wait for its end; fab lock.show tells when it is free",
        )
    raise CommandFailed(
        f"{remote.host.name}: the stage cannot be locked",
        cause=done.words,
        next_step="can the stage's user write to its prefix there?",
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

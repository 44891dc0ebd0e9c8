"""What happened on a stage, read back: JSON lines on its lock hosts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from releaselib.fleet import Fleet, call


@dataclass(frozen=True)
class History:
    """The events of a stage, oldest first, and whether somebody holds its lock now."""

    events: list[dict[str, Any]]
    locked: bool


def read(fleet: Fleet, lines: int = 400) -> History:
    """The last lines of the journal of the first lock host. Raises CommandFailed."""
    remote = fleet.remote(fleet.stage.lock_hosts[0])
    return parse(call(remote, "journal.sh", fleet.stage.prefix, lines))


def parse(text: str) -> History:
    """The text of `journal.sh` -> events; a line cut off by a crash is passed over. Pure."""
    *lines, state = text.splitlines() or ["free"]
    events = []
    for line in lines:
        try:
            events.append(dict(json.loads(line)))
        except (ValueError, TypeError):
            continue
    return History(events, state == "locked")


def last_began(history: History) -> dict[str, Any] | None:
    """The event that began the last action. Pure."""
    return next((event for event in reversed(history.events) if event["event"] == "began"), None)


def unfinished(history: History) -> dict[str, Any] | None:
    """The event that began an action which neither ended nor failed, unless it is still at work. Pure."""
    began = None
    for event in history.events:
        if event["event"] == "began":
            began = event
        elif event["event"] in ("done", "failed"):
            began = None
    return None if history.locked else began


def wheels_of(history: History, version: str) -> dict[str, str]:
    """The wheels (name -> version) with which a version was staged last, or none. Pure."""
    for event in reversed(history.events):
        if event["event"] == "staged" and event["release"]["version"] == version:
            return dict(event["release"]["wheels"])
    return {}

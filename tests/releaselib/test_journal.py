"""What happened on a stage is read back, whatever a crash has left of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from releaselib.fleet import Fleet
from releaselib.journal import History, last_began, parse, read, unfinished, wheels_of

BEGAN = {"event": "began", "action": "release", "release": {"version": "2.0"}}
STAGED = {"event": "staged", "release": {"version": "2.0", "wheels": {"shop": "2.0", "tornado": "6.5"}}}
AGAIN = {"event": "staged", "release": {"version": "2.0", "wheels": {"shop": "2.0", "tornado": "6.6"}}}
OTHER = {"event": "staged", "release": {"version": "1.0", "wheels": {"shop": "1.0"}}}
STRANGE = {"event": "failed", "error": "größe\u2028☃"}
SWITCHING, DONE, FAILED = {"event": "switching"}, {"event": "done"}, {"event": "failed"}


def lines(*events: dict[str, Any] | str) -> str:
    return "".join((e if isinstance(e, str) else json.dumps(e)) + "\n" for e in events)


PARSED: dict[str, tuple[str, list[dict[str, Any]], bool]] = {
    "free": (lines(BEGAN, DONE, "free"), [BEGAN, DONE], False),
    "locked": (lines(BEGAN, "locked"), [BEGAN], True),
    "before the first action": ("free\n", [], False),
    "no answer": ("", [], False),
    "a line that a crash cut off": (lines(BEGAN, '{"event": "do', DONE, "free"), [BEGAN, DONE], False),
    "blocks that were never written": (lines(BEGAN, "\0\0\0", DONE, "free"), [BEGAN, DONE], False),
    "a line that is no event": (lines("7", BEGAN, "free"), [BEGAN], False),
    "words of other places": (lines(STRANGE, "free"), [STRANGE], False),
}


@pytest.mark.parametrize(("text", "events", "locked"), PARSED.values(), ids=PARSED)
def test_events_are_read_line_by_line(text: str, events: list[dict[str, Any]], locked: bool) -> None:
    assert parse(text) == History(events, locked)


UNFINISHED: dict[str, tuple[list[dict[str, Any]], bool, dict[str, Any] | None]] = {
    "nothing": ([], False, None),
    "done": ([BEGAN, STAGED, DONE], False, None),
    "failed": ([BEGAN, FAILED], False, None),
    "cut off": ([BEGAN, STAGED, SWITCHING], False, BEGAN),
    "cut off after one that was done": (
        [BEGAN, DONE, {**BEGAN, "action": "rollback"}],
        False,
        {**BEGAN, "action": "rollback"},
    ),
    "still at work": ([BEGAN, STAGED], True, None),
    "begun again": ([BEGAN, BEGAN, DONE], False, None),
}


@pytest.mark.parametrize(("events", "locked", "began"), UNFINISHED.values(), ids=UNFINISHED)
def test_an_action_that_neither_ended_nor_failed_is_unfinished_unless_it_is_at_work(
    events: list[dict[str, Any]], locked: bool, began: dict[str, Any] | None
) -> None:
    assert unfinished(History(events, locked)) == began


def test_the_last_beginning_tells_who_is_at_work() -> None:
    rollback = {**BEGAN, "action": "rollback"}
    assert last_began(History([BEGAN, DONE, rollback, STAGED], True)) == rollback
    assert last_began(History([DONE], False)) is None


def test_a_version_is_staged_again_with_the_wheels_of_its_last_time() -> None:
    history = History([STAGED, OTHER, AGAIN, DONE], False)
    assert wheels_of(history, "2.0") == {"shop": "2.0", "tornado": "6.6"}
    assert wheels_of(history, "3.0") == {}


def test_the_last_lines_are_read_from_the_host(here: Fleet) -> None:
    assert read(here) == History([], False)
    journal = Path(here.stage.prefix) / "journal.jsonl"
    journal.parent.mkdir(parents=True)
    journal.write_text(lines(BEGAN, STAGED, DONE))
    assert read(here, 2) == History([STAGED, DONE], False)


def test_a_last_line_without_its_end_is_read_too(here: Fleet) -> None:
    journal = Path(here.stage.prefix) / "journal.jsonl"
    journal.parent.mkdir(parents=True)
    journal.write_text(lines(BEGAN, DONE).rstrip())
    assert read(here) == History([BEGAN, DONE], False)

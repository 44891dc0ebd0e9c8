"""What happened on a stage is read back, whatever a crash has left of it."""

from __future__ import annotations

import json
import re
from dataclasses import fields, replace
from typing import Any

import pytest

import real
from releaselib.decide.journal import (
    KINDS,
    Began,
    Event,
    Failed,
    History,
    Ran,
    Report,
    Staged,
    Switched,
    Switching,
    read,
    written,
)

TWO = real.release("2.0", 2, staged=4, wheels={"shop": "2.0", "tornado": "6.5"})
BEGAN = Began("release", "maria@desk", "today", "b", "a", TWO)
STAGED = Staged("b", ["h1"], TWO)
AGAIN = Staged("b", ["h1"], replace(TWO, wheels={"shop": "2.0", "tornado": "6.6"}))
OTHER = Staged("a", ["h1"], real.release("1.0", 1, wheels={"shop": "1.0"}))
STRANGE = Failed("release", "größe\u2028☃")
RAN = Ran("migrate", ["h1"], TWO)
EVERY: tuple[Event, ...] = (BEGAN, STAGED, RAN, Switching("b", "a"), Switched("b", "a"), STRANGE, Report("release"))
DONE, FAILED, SWITCHING = Report("release"), Failed("release", "no"), Switching("b")


@pytest.mark.parametrize("event", EVERY, ids=[event.event for event in EVERY])
def test_an_event_is_read_as_it_was_written(event: Event) -> None:
    line = written(event)
    assert "\n" not in line
    assert read(line) == event
    assert type(read(line)) is type(event)


def test_every_kind_of_event_was_tried() -> None:
    assert {event.event for event in EVERY} == set(KINDS)


def test_the_schema_in_the_docs_names_every_event_with_every_key() -> None:
    docs = (real.ROOT / "docs/journal.md").read_text().partition("| --- |")[2]
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|$", docs, re.M)
    told = {event: re.findall(r"`(\w+)`", keys) for event, keys in rows}
    assert told == {name: [one.name for one in fields(kind) if one.init] for name, kind in KINDS.items()}


UNREADABLE = {
    "a line that a crash cut off": '{"event": "do',
    "blocks that were never written": "\0\0\0",
    "a number": "7",
    "nothing": "",
    "an event that only a newer library knows": '{"event": "danced", "who": "maria"}',
    "no event": '{"who": "maria"}',
}


@pytest.mark.parametrize("line", UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_read_is_passed_over(line: str) -> None:
    assert History.of([written(BEGAN), line, written(DONE)]).events == (BEGAN, DONE)


def test_keys_of_another_library_are_passed_over_and_those_it_lacks_are_empty() -> None:
    line = {"event": "began", "action": "release", "colour": "green", "release": {"project": "s", "version": "1"}}
    found = read(json.dumps(line))
    assert isinstance(found, Began)
    assert (found.what, found.who) == ("release 1", "")


CUT_OFF: dict[str, tuple[tuple[Event, ...], Began | None]] = {
    "nothing": ((), None),
    "done": ((BEGAN, STAGED, DONE), None),
    "failed": ((BEGAN, FAILED), None),
    "cut off": ((BEGAN, STAGED, SWITCHING), BEGAN),
    "cut off after one that was done": ((BEGAN, DONE, Began("rollback")), Began("rollback")),
    "begun again": ((BEGAN, BEGAN, DONE), None),
}


@pytest.mark.parametrize(("events", "began"), CUT_OFF.values(), ids=CUT_OFF)
def test_an_action_that_neither_ended_nor_failed_was_cut_off(events: tuple[Event, ...], began: Began | None) -> None:
    assert History(events).cut_off == began


def test_a_version_is_staged_again_as_it_was_the_last_time() -> None:
    history = History((STAGED, OTHER, AGAIN, DONE))
    assert history.release("2.0") == AGAIN.release
    assert history.release("3.0") is None


def test_the_number_of_the_last_staging_is_known_also_when_it_failed() -> None:
    assert History((BEGAN, FAILED)).staged == 4
    assert History((Began("release", release=real.release("1.0", 7)),)).staged == 7, "of an older library"
    assert History().staged == 0


SWITCHED = Switched("b", "a")


def episode(version: str, serial: int, *ends: Event, slot: str = "b") -> tuple[Event, ...]:
    """What is written when a release is made, or tried."""
    return (Began("release", slot=slot, live="a", release=real.release(version, serial)), SWITCHING, *ends)


EARLIER: dict[str, tuple[tuple[Event, ...], str]] = {
    "the newest that visitors had": ((*episode("1.0", 1, SWITCHED), *episode("2.0", 2, SWITCHED)), "2.0"),
    "not one that failed": ((*episode("1.0", 1, SWITCHED), *episode("2.0", 2, FAILED)), "1.0"),
    "not one that was taken back": ((*episode("1.0", 1, SWITCHED), *episode("2.0", 2, SWITCHED, Switched("a"))), "1.0"),
    "not one that came later": ((*episode("1.0", 1, SWITCHED), *episode("4.0", 4, SWITCHED)), "1.0"),
    "one that was gone back to": ((*episode("2.0", 2, SWITCHED), *episode("1.0", 1, SWITCHED)), "2.0"),
    "nothing": (episode("3.0", 3, SWITCHED), ""),
}


@pytest.mark.parametrize(("events", "version"), EARLIER.values(), ids=EARLIER)
def test_it_is_known_what_was_live_before_a_release(events: tuple[Event, ...], version: str) -> None:
    assert History(events).before(3) == version


RUNS: dict[str, tuple[tuple[str, Any], set[str]]] = {
    "that command of that release": (("migrate", TWO), {"h1", "h2"}),
    "staged again": (("migrate", replace(TWO, staged=9, serial=7)), {"h1", "h2"}),
    "another command": (("collect", TWO), set()),
    "another release": (("migrate", real.release("3.0", 2)), set()),
}


@pytest.mark.parametrize(("asked", "hosts"), RUNS.values(), ids=RUNS)
def test_it_is_known_where_a_command_has_run_for_a_release(asked: tuple[str, Any], hosts: set[str]) -> None:
    assert History((STAGED, RAN, Ran("migrate", ["h2"], TWO), DONE)).ran(*asked) == hosts

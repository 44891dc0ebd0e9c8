"""Which slot an action is about follows from what was seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import real
from releaselib.config.stage import Stage
from releaselib.decide.journal import Began, History
from releaselib.decide.release import Release
from releaselib.decide.slots import idle_slot, rollback_slot
from releaselib.errors import ConfigError, Refused

ROOT = Path("/shop")
A1, B2, C3, C4 = (real.release(f"{n}.0", n) for n in range(1, 5))


def stage(slots: str = "ab", **keys: Any) -> Stage:
    return real.stage(ROOT, **{"app": ["app1", "app2"], "proxy": ["proxy1"], "slots": list(slots), **keys})


IDLE = {
    "before the first switch": ("ab", "", "", "a"),
    "after a": ("ab", "a", "", "b"),
    "after the last comes the first": ("ab", "b", "", "a"),
    "three in a circle": ("abc", "b", "", "c"),
    "a live slot that the stage has no more": ("ab", "c", "", "a"),
    "the one asked for": ("abc", "a", "c", "c"),
    "slots in the order of the stage": ("cab", "c", "", "a"),
}


@pytest.mark.parametrize(("slots", "live", "asked", "idle"), IDLE.values(), ids=IDLE)
def test_a_release_is_staged_in_the_slot_after_the_live_one(slots: str, live: str, asked: str, idle: str) -> None:
    assert idle_slot(stage(slots), live, asked) == idle


def test_a_slot_that_the_stage_has_not_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        idle_slot(stage(), "a", "x")
    assert caught.value.exit_code == 2
    assert caught.value.what == "stage test has no slot 'x'"
    assert caught.value.next_step == "use one of: a, b"


def test_the_live_slot_is_never_staged_in() -> None:
    with pytest.raises(Refused) as caught:
        idle_slot(stage(), "a", "a")
    assert caught.value.exit_code == 3
    assert caught.value.what == "slot a is live; visitors are served from it"


ROLLBACK = {
    "to the other of two": ({"a": A1, "b": B2}, ["b 2.0"], "", "a"),
    "to the last but one of three": ({"a": A1, "b": B2, "c": C3}, ["c 3.0"], "", "b"),
    "over an empty slot": ({"a": A1, "b": None, "c": C3}, ["c 3.0"], "", "a"),
    "not forward again": ({"a": A1, "b": B2, "c": C3}, ["b 2.0"], "", "a"),
    "to a version": ({"a": A1, "b": B2, "c": C3}, ["c 3.0"], "1.0", "a"),
    "to a version that is newer": ({"a": A1, "b": B2}, ["a 1.0"], "2.0", "b"),
    "to a version that is nowhere": ({"a": A1, "b": B2}, ["b 2.0"], "0.9", ""),
    "to the version that is live": ({"a": A1, "b": B2}, ["b 2.0"], "2.0", ""),
    "to the newer of two slots with one version": (
        {"a": real.release("1.0", 1), "b": real.release("1.0", 2), "c": C3},
        ["c 3.0"],
        "1.0",
        "b",
    ),
    "by the count, not by the version": (
        {"a": real.release("9.0", 1), "b": real.release("1.0", 2)},
        ["b 1.0"],
        "",
        "a",
    ),
    "to the older while the proxies disagree": ({"a": A1, "b": B2}, ["b 2.0", "a 1.0"], "", "a"),
    "when a new proxy serves nothing yet": ({"a": A1, "b": B2}, ["b 2.0", ""], "", "a"),
    "of workers to the one before the newest": ({"a": A1, "b": B2}, [], "", "a"),
    "further back after one that was staged again": (
        {"a": replace(A1, staged=4), "b": B2, "c": C3},
        ["b 2.0"],
        "",
        "a",
    ),
}


@pytest.mark.parametrize(("slots", "proxies", "version", "to"), ROLLBACK.values(), ids=ROLLBACK)
def test_a_rollback_leads_to_the_release_before_the_live_one(
    slots: dict[str, Release | None], proxies: list[str], version: str, to: str
) -> None:
    assert rollback_slot(real.seen(slots, proxies=proxies), stage("abc"), version) == to


CUT_OFF = {
    "in its build: its slot holds what it held": ("c", C3, "a"),
    "while it was staged": ("c", None, "b"),
    "when it was staged": ("c", C4, "b"),
}


@pytest.mark.parametrize(("slot", "held", "to"), CUT_OFF.values(), ids=CUT_OFF)
def test_a_rollback_takes_back_a_release_that_was_cut_off_once_something_was_changed(
    slot: str, held: Release | None, to: str
) -> None:
    began = Began("release", "somebody", "now", slot, "b", C4)
    view = real.seen({"a": A1, "b": B2, slot: held}, proxies=["b 2.0"], history=History((began,)))
    assert rollback_slot(view, stage("abc")) == to


NOWHERE = {
    "a second time": ({"a": A1, "b": B2}, ["a 1.0"], "(1.0); beside it there is 2.0"),
    "a third time": ({"a": A1, "b": B2, "c": C3}, ["a 1.0"], "(1.0); beside it there is 2.0, 3.0"),
    "after the first release": ({"a": A1, "b": None}, ["a 1.0"], "(1.0); beside it there is nothing"),
    "after one that was staged again": (
        {"a": replace(A1, staged=4), "b": B2},
        ["a 1.0"],
        "(1.0); beside it there is 2.0",
    ),
    "before it": ({"a": None, "b": None}, [""], "(-); beside it there is nothing"),
}


@pytest.mark.parametrize(("slots", "proxies", "words"), NOWHERE.values(), ids=NOWHERE)
def test_a_rollback_without_an_older_release_is_refused(
    slots: dict[str, Release | None], proxies: list[str], words: str
) -> None:
    with pytest.raises(Refused) as caught:
        rollback_slot(real.seen(slots, proxies=proxies), stage("abc"))
    assert caught.value.exit_code == 3
    assert caught.value.what == f"rollback: no slot holds a release older than the live one {words}"
    assert caught.value.next_step.startswith("fab rollback --version V stages an older version again")

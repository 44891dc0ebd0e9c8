"""What will be done follows from what was seen; nothing is changed to find it out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import real
from releaselib.errors import ConfigError, Refused
from releaselib.plan import Plan, idle_slot, make, rollback_slot, stops
from releaselib.settings import Stage
from releaselib.view import Release

ROOT = Path("/shop")
A1, B2, C3 = real.release("1.0", 1), real.release("2.0", 2), real.release("3.0", 3)


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
def test_a_release_is_staged_in_the_slot_after_the_live_one(
    slots: str, live: str, asked: str, idle: str
) -> None:
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
}


@pytest.mark.parametrize(("slots", "proxies", "version", "to"), ROLLBACK.values(), ids=ROLLBACK)
def test_a_rollback_leads_to_the_release_before_the_live_one(
    slots: dict[str, Release | None], proxies: list[str], version: str, to: str
) -> None:
    assert rollback_slot(real.seen(slots, proxies=proxies), stage("abc"), version) == to


NOWHERE = {
    "a second time": ({"a": A1, "b": B2}, ["a 1.0"], "(1.0); beside it there is 2.0"),
    "a third time": ({"a": A1, "b": B2, "c": C3}, ["a 1.0"], "(1.0); beside it there is 2.0, 3.0"),
    "after the first release": ({"a": A1, "b": None}, ["a 1.0"], "(1.0); beside it there is nothing"),
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


RELEASE = ("build", "publish", "lock", "stage", "switch", "prove", "record")
STEPS = {
    "release": ("release", {}, "a", RELEASE),
    "the first release": ("release", {}, "", RELEASE),
    "deploy": ("deploy", {}, "a", ("lock", "stage", "record")),
    "quickdeploy": ("quickdeploy", {}, "a", ("build", "publish", "lock", "stage", "record")),
    "switch": ("switch", {}, "a", ("lock", "health", "switch", "prove", "record")),
    "rollback": ("rollback", {}, "a", ("lock", "health", "switch", "prove", "record")),
    "release without a warm slot": ("release", {"keep_warm": False}, "a", (*RELEASE[:-1], "stop", "record")),
    "the first release without a warm slot": ("release", {"keep_warm": False}, "", RELEASE),
    "rollback without a warm slot": (
        "rollback",
        {"keep_warm": False},
        "a",
        ("lock", "health", "switch", "prove", "stop", "record"),
    ),
    "deploy without a warm slot": ("deploy", {"keep_warm": False}, "a", ("lock", "stage", "record")),
    "release of workers": (
        "release",
        {"proxy": []},
        "a",
        ("build", "publish", "lock", "stage", "stop", "record"),
    ),
    "rollback of workers": ("rollback", {"proxy": []}, "a", ("lock", "health", "stop", "record")),
}


@pytest.mark.parametrize(("action", "keys", "live", "phases"), STEPS.values(), ids=STEPS)
def test_an_action_has_its_steps(
    action: str, keys: dict[str, Any], live: str, phases: tuple[str, ...]
) -> None:
    assert tuple(step.phase for step in planned(action, stage(**keys), live).steps) == phases


def planned(action: str, where: Stage, live: str = "a") -> Plan:
    slots = {"a": A1 if live else None, "b": None}
    view = real.seen(slots, proxies=[f"{live} 1.0" if live else ""] if where.proxy else [])
    return make(action, where, view, real.release("2.0", 2, commit="0123456789abcdef"), "b")


def test_a_plan_says_what_is_done_where() -> None:
    plan = planned("release", stage(index={"upload_url": "http://index/"}, keep_warm=False))
    assert [(step.phase, step.hosts, step.what) for step in plan.steps] == [
        ("build", (), "build 2.0 from 0123456789ab in a clean clone"),
        ("publish", (), "upload to http://index/, read back, tag"),
        ("lock", (), "lock the stage and open its journal"),
        ("stage", ("app1", "app2"), "install 2.0 in slot b, start it, wait until every process is healthy"),
        ("switch", ("proxy1",), "point nginx from slot a to slot b, ask it which release it serves"),
        ("prove", ("proxy1",), "sample every proxy, wait for old workers"),
        ("stop", ("app1", "app2"), "stop the processes of slot a"),
        ("record", (), "write the outcome to the journal"),
    ]
    assert (plan.stage, plan.slot, plan.live, plan.live_version) == ("test", "b", "a", "1.0")


def test_a_plan_can_be_for_some_hosts_only() -> None:
    where = stage()
    plan = make("deploy", where, real.seen({"a": A1, "b": None}), B2, "b", app=where.app[:1])
    assert [step.hosts for step in plan.steps if step.phase == "stage"] == [("app1",)]


STOPS = {
    "kept warm": ({}, "a", "b", False),
    "not kept warm": ({"keep_warm": False}, "a", "b", True),
    "nothing was live": ({"keep_warm": False}, "", "a", False),
    "the same slot": ({"keep_warm": False}, "a", "a", False),
    "workers": ({"proxy": []}, "a", "b", True),
}


@pytest.mark.parametrize(("keys", "live", "slot", "stopped"), STOPS.values(), ids=STOPS)
def test_the_old_slot_is_stopped_unless_it_is_kept_warm(
    keys: dict[str, Any], live: str, slot: str, stopped: bool
) -> None:
    assert stops(stage(**keys), live, slot) is stopped

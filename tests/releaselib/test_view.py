"""What the hosts of a stage tell together: which slot is live, which are warm, and where they disagree."""

from __future__ import annotations

from dataclasses import replace

import pytest

import real
from releaselib.config.inventory import Host
from releaselib.decide.journal import Began, Event, History, Report, Staged, Switched
from releaselib.decide.release import Release, release_of
from releaselib.decide.view import AppSeen, SlotSeen, View

A1, B2 = real.release("1.0", 1), real.release("2.0", 2)

LIVE = {
    "one proxy": (["a 1.0"], "a", "1.0", False),
    "two that agree": (["a 1.0", "a 1.0"], "a", "1.0", False),
    "two that do not": (["a 1.0", "b 2.0"], "", "", True),
    "two slots with one version": (["a 1.0", "b 1.0"], "", "", True),
    "one slot with two versions": (["a 1.0", "a 2.0"], "a", "1.0", True),
    "one that serves nothing yet": (["a 1.0", ""], "", "", True),
    "none that serves anything": (["", ""], "", "", False),
}


@pytest.mark.parametrize(("proxies", "live", "version", "split"), LIVE.values(), ids=LIVE)
def test_a_slot_is_live_when_all_proxies_say_so(
    proxies: list[str], live: str, version: str, split: bool
) -> None:
    view = real.seen({"a": A1, "b": B2}, proxies=proxies)
    assert view.live == live
    assert bool(view.split) == split
    if not split:
        assert view.version == version


def test_proxies_that_disagree_are_told_line_by_line() -> None:
    view = real.seen({"a": A1, "b": B2}, proxies=["a 1.0", "b 2.0", ""])
    assert view.split.splitlines() == ["proxy1: a 1.0", "proxy2: b 2.0", "proxy3: -"]


BOTH: dict[str, Release | None] = {"a": A1, "b": B2}
TO_A, TO_B = Switched(slot="a"), Switched(slot="b")
WORKERS: dict[str, tuple[dict[str, Release | None], str, tuple[Event, ...], str, str]] = {
    "what the last switch led to": (BOTH, "", (TO_B, TO_A), "a", "1.0"),
    "not what was only staged": (
        BOTH,
        "",
        (TO_A, Staged("b", [], B2), Report("deploy", slot="b")),
        "a",
        "1.0",
    ),
    "what a release of an older library led to": (BOTH, "", (Report("release", slot="a"),), "a", "1.0"),
    "also while it is stopped": (BOTH, "b", (TO_B,), "b", "2.0"),
    "without a journal the newest that runs": (BOTH, "", (), "b", "2.0"),
    "without a journal not one that is stopped": (BOTH, "b", (), "a", "1.0"),
    "nothing while all are stopped": (BOTH, "ab", (), "", ""),
    "nothing before the first": ({"a": None, "b": None}, "", (), "", ""),
}


@pytest.mark.parametrize(("slots", "stopped", "events", "live", "version"), WORKERS.values(), ids=WORKERS)
def test_of_workers_the_slot_of_the_last_switch_is_live(
    slots: dict[str, Release | None], stopped: str, events: tuple[Event, ...], live: str, version: str
) -> None:
    view = real.seen(slots, proxies=[], stopped=stopped, history=History(events))
    assert (view.live, view.version) == (live, version)


def test_of_two_releases_in_one_slot_the_one_that_was_staged_last_counts() -> None:
    """Also when that is an older release, which was staged again."""
    apps = {"again": replace(A1, staged=3), "left-out": B2}
    view = View(
        {
            Host(address=name): AppSeen("3.11", "x86_64", {"b": SlotSeen(one, True, True)})
            for name, one in apps.items()
        },
        {},
    )
    assert view.release("b") == apps["again"]
    assert [host.name for host in view.holders("b")] == ["again"]
    assert view.staged == 3


MOVED: dict[str, tuple[list[str], tuple[Event, ...], bool]] = {
    "nothing": (["a 1.0"], (Began("release", when="1"),), False),
    "another slot": (["b 2.0"], (Began("release", when="1"),), True),
    "another action was begun": (["a 1.0"], (Began("release", when="1"), Began("release", when="2")), True),
    "of workers, too": ([], (Began("release", when="1"), Report("release"), Began("deploy", when="2")), True),
}


@pytest.mark.parametrize(("proxies", "events", "moved"), MOVED.values(), ids=MOVED)
def test_it_is_seen_that_somebody_was_at_work(
    proxies: list[str], events: tuple[Event, ...], moved: bool
) -> None:
    before = real.seen(
        BOTH, proxies=["a 1.0"] if proxies else [], history=History((Began("release", when="1"),))
    )
    assert real.seen(BOTH, proxies=proxies, history=History(events)).moved(before) is moved


def test_a_slot_is_warm_only_where_its_newest_release_is_complete_and_runs() -> None:
    apps = {
        "whole": SlotSeen(B2, True, True),
        "stopped": SlotSeen(B2, False, True),
        "half": SlotSeen(B2, True, False),
        "old": SlotSeen(A1, True, True),
        "empty": SlotSeen(None, False, False),
    }
    view = View({Host(address=name): AppSeen("3.11", "x86_64", {"b": one}) for name, one in apps.items()}, {})
    assert view.release("b") == B2
    assert [host.name for host in view.holders("b")] == ["whole", "stopped"]
    assert [host.name for host in view.running("b")] == ["whole"]
    assert view.staged == 2


def test_before_the_first_release_there_is_nothing_to_hold() -> None:
    view = real.seen({"a": None, "b": None})
    assert (view.release("a"), view.holders("a"), view.staged) == (None, [], 0)


def test_a_release_of_a_newer_library_can_be_read() -> None:
    table = {"project": "my-shop", "version": "1.0", "serial": 4, "colour": "green"}
    assert release_of(table) == Release("my-shop", "1.0", serial=4)
    assert release_of(None) is None

"""What the hosts of a stage tell together: which slot is live, which are warm, and where they disagree."""

from __future__ import annotations

import pytest

import real
from releaselib.hosts import Host
from releaselib.view import App, Release, Slot, View, release_of

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
    assert view.split.splitlines() == ["proxy1: a 1.0", "proxy2: b 2.0", "proxy3: - "]


WORKERS = {
    "the newest that runs": ({"a": A1, "b": B2}, "", "b", "2.0"),
    "not one that is stopped": ({"a": A1, "b": B2}, "b", "a", "1.0"),
    "nothing while all are stopped": ({"a": A1, "b": B2}, "ab", "", ""),
    "nothing before the first": ({"a": None, "b": None}, "", "", ""),
}


@pytest.mark.parametrize(("slots", "stopped", "live", "version"), WORKERS.values(), ids=WORKERS)
def test_of_workers_the_newest_slot_that_runs_is_live(
    slots: dict[str, Release | None], stopped: str, live: str, version: str
) -> None:
    view = real.seen(slots, proxies=[], stopped=stopped)
    assert (view.live, view.version) == (live, version)


def test_a_slot_is_warm_only_where_its_newest_release_is_complete_and_runs() -> None:
    apps = {
        "whole": Slot(B2, True, True),
        "stopped": Slot(B2, False, True),
        "half": Slot(B2, True, False),
        "old": Slot(A1, True, True),
        "empty": Slot(None, False, False),
    }
    view = View({Host(address=name): App("3.11", "x86_64", {"b": one}) for name, one in apps.items()}, {})
    assert view.release("b") == B2
    assert [host.name for host in view.holders("b")] == ["whole", "stopped"]
    assert [host.name for host in view.running("b")] == ["whole"]
    assert view.serial() == 2


def test_before_the_first_release_there_is_nothing_to_hold() -> None:
    view = real.seen({"a": None, "b": None})
    assert (view.release("a"), view.holders("a"), view.serial()) == (None, [], 0)


def test_a_release_of_a_newer_library_can_be_read() -> None:
    table = {"project": "my-shop", "version": "1.0", "serial": 4, "colour": "green"}
    assert release_of(table) == Release("my-shop", "1.0", serial=4)
    assert release_of(None) is None

"""Every result has words for people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import real
from releaselib import words
from releaselib.build import Built
from releaselib.index import File
from releaselib.plan import make
from releaselib.status import Status, described
from releaselib.steps import Report

SECONDS = {"check": 0.25, "stage": 1.5}


def report(action: str, **others: Any) -> Report:
    return Report(action, "live", "2.0", "b", "a 1.0", ["h1", "h2"], SECONDS, **others)


RESULTS: dict[str, tuple[Any, str]] = {
    "a release": (
        report("release", requests=120, failed=0),
        (
            "release: 2.0 is live on live (slot b, 2 hosts; before: a 1.0)\n"
            "sampled: 120 requests, 0 failed\n"
            "seconds: 1.8 (check 0.2, stage 1.5)"
        ),
    ),
    "a release with a page to open": (
        report("release", url="http://127.0.0.1:8890"),
        (
            "release: 2.0 is live on live (slot b, 2 hosts; before: a 1.0)\n"
            "sampled: 0 requests, 0 failed\n"
            "seconds: 1.8 (check 0.2, stage 1.5)\n"
            "open: http://127.0.0.1:8890"
        ),
    ),
    "a deploy": (
        report("deploy"),
        "deploy: 2.0 in slot b on 2 hosts of live\nseconds: 1.8 (check 0.2, stage 1.5)",
    ),
    "a build": (Built("2.0", "abc", {"/out/x.whl": "aa", "/out/x.tar.gz": "bb"}), "aa  x.whl\nbb  x.tar.gz"),
    "files of the index": (
        [File("x.whl", "2.0", "http://index/x.whl", "aa"), File("y.whl", "1.0", "", "bb")],
        "aa  x.whl\nbb  y.whl",
    ),
    "names": (["shop", "uv"], "shop\nuv"),
    "an empty list": ([], "nothing"),
    "answers of hosts": ({"h1": "RUNNING", "h2": "done"}, "h1: RUNNING\nh2: done"),
    "text": ("2026.11.23.1", "2026.11.23.1"),
    "a beginning": (
        {
            "event": "began",
            "action": "release",
            "when": "2026-11-23T10:00:00Z",
            "release": {"version": "2.0"},
        },
        "2026-11-23T10:00:00Z  began       release 2.0",
    ),
    "an end": (
        {"event": "done", "when": "2026-11-23T10:01:00Z", "action": "rollback", "version": "1.0"},
        "2026-11-23T10:01:00Z  done        rollback 1.0",
    ),
    "a failure": (
        {"event": "failed", "action": "release", "error": "h1: no route"},
        "                      failed      release h1: no route",
    ),
    "an event with little to tell": ({"event": "switched"}, "                      switched"),
}


@pytest.mark.parametrize(("value", "text"), RESULTS.values(), ids=RESULTS)
def test_a_result_is_told_in_words(value: Any, text: str) -> None:
    assert words.of(value) == text


def test_a_plan_tells_every_step_its_hosts_and_its_files_and_that_nothing_was_done() -> None:
    stage = real.stage(Path("/shop"), app=[f"h{n}" for n in range(1, 6)], proxy=["p1", "p2"])
    view = real.seen({"a": real.release("1.0"), "b": None}, proxies=["a 1.0", "a 1.0"])
    plan = make("deploy", stage, view, real.release("2.0", 2), "b", files={"site.conf": "", "a.conf": ""})
    assert words.of(plan).splitlines() == [
        "deploy 2.0 to test: slot a -> b",
        "phase   where          what",
        "lock                   lock the stage and open its journal",
        "stage   h1 ... h5 (5)  install 2.0 in slot b, start it, wait until every process is healthy",
        "record                 write the outcome to the journal",
        "files on the hosts: a.conf, site.conf",
        "nothing was done",
    ]


def test_a_status_tells_every_slot_of_every_host_and_what_to_look_at() -> None:
    stage = real.stage(Path("/shop"), app=["app1"], proxy=["proxy1"], slots=["a", "b", "c"])
    one = real.release("1.0", 1, released="2026-11-22T10:00:00Z")
    two = real.release("2.0", 2, released="2026-11-23T10:00:00Z")
    view = real.seen({"a": one, "b": two, "c": None}, proxies=["b 2.0"])
    text = words.of(described(stage, view, ["app1: port 8820 is in use"], "http://127.0.0.1"))
    lines = text.splitlines()
    assert lines[:6] == [
        "test: 2.0 is live (slot b)",
        "host    slot   version  state   released",
        "app1    a      1.0      warm    2026-11-22T10:00:00Z",
        "app1    b      2.0      live    2026-11-23T10:00:00Z",
        "app1    c      -        empty",
        "proxy1  nginx  2.0      slot b",
    ]
    assert "slot a: 1.0 on 1 of 1 hosts" in lines[6]
    assert lines[7] == "look at: app1: port 8820 is in use"


def test_a_status_tells_that_the_proxies_disagree_and_what_has_stopped() -> None:
    stage = real.stage(Path("/shop"), app=["app1"], proxy=["proxy1", "proxy2"])
    slots = {"a": real.release("1.0", 1), "b": real.release("2.0", 2)}
    found = described(stage, real.seen(slots, proxies=["a 1.0", "b 2.0"], stopped="a"), [], "")
    assert found.rows[0] == ("app1", "a", "1.0", "idle, stopped", "")
    assert (found.live, found.version) == ("", "")
    assert found.notes == ["the proxies do not agree; fab switch --slot SLOT puts all on one"]


def test_a_status_before_the_first_release_is_told_too() -> None:
    assert words.of(Status("live", "", "", "", [], [])) == "live: - is live (slot -)"

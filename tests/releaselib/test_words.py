"""Every result has words for people."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import real
from releaselib.actions.status import Status, described
from releaselib.config.inventory import Host
from releaselib.decide.files import File
from releaselib.decide.journal import Began, Failed, Report, Switched
from releaselib.decide.plan import PHASES, Aim, make
from releaselib.decide.seen import Lost
from releaselib.output import as_text
from releaselib.wheels.build import Built

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
    "a deploy": (report("deploy"), "deploy: 2.0 in slot b on 2 hosts of live\nseconds: 1.8 (check 0.2, stage 1.5)"),
    "a build": (Built("2.0", "abc", {"/out/x.whl": "aa", "/out/x.tar.gz": "bb"}), "aa  x.whl\nbb  x.tar.gz"),
    "files of the index": (
        [File("x.whl", "2.0", "http://index/x.whl", "aa"), File("y.whl", "1.0", "", "bb")],
        "aa  x.whl\nbb  y.whl",
    ),
    "names": (["shop", "uv"], "shop\nuv"),
    "an empty list": ([], "nothing"),
    "answers of hosts": ({"h1": "RUNNING", "h2": "done"}, "h1: RUNNING\nh2: done"),
    "text": ("2026.11.23.1", "2026.11.23.1"),
    "a history": (
        [
            Began("release", when="2026-11-23T10:00:00Z", release=real.release("2.0")),
            Switched("b", "a"),
            Failed("release", "h1: no route"),
            Report("rollback", version="1.0", when="2026-11-23T10:01:00Z"),
        ],
        (
            "2026-11-23T10:00:00Z  began       release 2.0\n"
            "                      switched    to slot b\n"
            "                      failed      release h1: no route\n"
            "2026-11-23T10:01:00Z  done        rollback 1.0"
        ),
    ),
}


@pytest.mark.parametrize(("value", "text"), RESULTS.values(), ids=RESULTS)
def test_a_result_is_told_in_words(value: Any, text: str) -> None:
    assert as_text(value) == text


def test_a_plan_tells_every_step_its_hosts_and_its_files_and_that_nothing_was_done() -> None:
    stage = real.stage(Path("/shop"), app=[f"h{n}" for n in range(1, 6)], proxy=["p1", "p2"])
    view = real.seen({"a": real.release("1.0"), "b": None}, proxies=["a 1.0", "a 1.0"])
    aim = Aim("deploy", PHASES["deploy"], real.release("2.0", 2), "b", stage.app)
    plan = replace(make(stage, view, aim), files={"site.conf": "", "a.conf": ""})
    assert as_text(plan).splitlines() == [
        "deploy 2.0 to test: slot a -> b",
        "phase  where          what",
        "stage  h1 ... h5 (5)  install 2.0 in slot b, start it, wait until every process is healthy",
        "files on the hosts: a.conf, site.conf",
        "nothing was done",
    ]


def test_a_status_tells_every_slot_of_every_host_and_what_to_look_at() -> None:
    stage = real.stage(Path("/shop"), app=["app1"], proxy=["proxy1"], slots=["a", "b", "c"])
    one = real.release("1.0", 1, released="2026-11-22T10:00:00Z")
    two = real.release("2.0", 2, released="2026-11-23T10:00:00Z")
    view = real.seen({"a": one, "b": two, "c": None}, proxies=["b 2.0"])
    view = replace(view, lost={Host(address="app2"): Lost("app2: no route")})
    text = as_text(described(stage, view))
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
    assert lines[7] == "look at: app2: no route"


def test_a_status_tells_once_what_fell_on_many_hosts() -> None:
    stage = real.stage(Path("/shop"), app=["app1", "app2", "app3"], proxy=["proxy1"])
    seen = real.seen({"a": real.release("1.0", 1), "b": None}, hosts=3, proxies=["a 1.0"])
    so, then = "supervisor says FATAL so", "supervisor says BACKOFF then"
    fallen = {"app1": {"worker": so}, "app2": {"worker": so, "mail": then}, "app3": {"supervisord": "does not answer"}}
    apps = {
        host: replace(one, slots=one.slots | {"a": replace(one.slots["a"], down=fallen[host.name])})
        for host, one in seen.app.items()
    }
    told = as_text(described(stage, replace(seen, app=apps))).splitlines()
    logs = "fab host.logs --stage test --slot a"
    assert [line for line in told if line.startswith("look at: ")] == [
        f"look at: worker (slot a) on app1, app2: supervisor says FATAL so: {logs}",
        f"look at: mail (slot a) on app2: supervisor says BACKOFF then: {logs}",
        f"look at: supervisord (slot a) on app3: does not answer: {logs}",
    ]


def test_a_status_tells_that_the_proxies_disagree_and_what_has_stopped() -> None:
    stage = real.stage(Path("/shop"), app=["app1"], proxy=["proxy1", "proxy2"])
    slots = {"a": real.release("1.0", 1), "b": real.release("2.0", 2)}
    found = described(stage, real.seen(slots, proxies=["a 1.0", "b 2.0"], stopped="a"))
    assert found.rows[0] == ("app1", "a", "1.0", "idle, stopped", "")
    assert (found.live, found.version) == ("", "")
    assert found.notes == ["the proxies do not agree: fab switch --stage test --slot SLOT puts all on one"]


def test_a_status_before_the_first_release_is_told_too() -> None:
    assert as_text(Status("live", "", "", "", [], [])) == "live: - is live (slot -)"

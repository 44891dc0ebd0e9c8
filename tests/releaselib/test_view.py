"""What the hosts of a stage tell together: which slot is live, which are warm, and where they disagree."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

import real
from releaselib.actions.slots import require_yes
from releaselib.config.inventory import Host
from releaselib.decide.journal import Event, History, Report, Staged, Switched
from releaselib.decide.release import Release, release_of
from releaselib.decide.seen import AppSeen, ProxySeen, Served, SlotSeen
from releaselib.decide.view import View
from releaselib.errors import Refused

A1, B2 = real.release("1.0", 1), real.release("2.0", 2)

LIVE = {
    "one proxy": (["a 1.0"], (), "a", "1.0", False),
    "two that agree": (["a 1.0", "a 1.0"], (), "a", "1.0", False),
    "two that do not": (["a 1.0", "b 2.0"], (), "", "", True),
    "one that is new and serves nothing yet": (["a 1.0", ""], (), "a", "1.0", False),
    "none that serves anything": (["", ""], (), "", "", False),
    "none that serves anything, but the journal knows": (["", ""], (Switched("b"),), "b", "2.0", False),
    "what the proxies say and not the journal": (["a 1.0"], (Switched("b"),), "a", "1.0", False),
}


@pytest.mark.parametrize(("proxies", "events", "live", "version", "split"), LIVE.values(), ids=LIVE)
def test_a_slot_is_live_when_all_proxies_that_serve_say_so(
    proxies: list[str], events: tuple[Event, ...], live: str, version: str, split: bool
) -> None:
    view = real.seen({"a": A1, "b": B2}, proxies=proxies, history=History(events))
    assert (view.live, view.version) == (live, version)
    assert bool(view.split) == split


def test_what_the_proxies_know_of_a_slot_is_enough_without_the_app_hosts() -> None:
    view = replace(real.seen({"a": A1, "b": B2}, proxies=["b 2.0", "b 2.0"]), app={})
    assert (view.release("a"), view.version) == (A1, "2.0")
    assert list(view.known) == ["a", "b"]
    assert view.served("c") is None


def test_what_visitors_get_is_what_the_proxies_serve_though_a_host_holds_something_newer_there() -> None:
    """It was deployed to one host, and then gone back without that one."""
    view = real.seen({"a": A1}, proxies=["a 1.0"], hosts=2)
    first, second = view.app
    newer = replace(view.app[second], slots={"a": SlotSeen(replace(B2, staged=9), True, True)})
    view = replace(view, app={first: view.app[first], second: newer})
    assert (view.version, view.release("a"), view.running("a")) == ("1.0", A1, [first])
    assert view.left_out(view.app) == [second]
    switched = replace(view, proxy={host: replace(one, slot="b") for host, one in view.proxy.items()})
    assert switched.release("a") == A1, "a switch back would serve that"
    fewer = {host: replace(one, slots={"a": Served(A1, (first.name,))}) for host, one in switched.proxy.items()}
    both = replace(real.seen({"a": A1}, hosts=2), proxy=fewer)
    assert (both.running("a"), both.warm("a")) == ([first, second], [first]), "no visitor would be sent to the other"
    staged = replace(view, proxy={host: replace(one, slot="b", slots={}) for host, one in view.proxy.items()})
    assert staged.release("a") == replace(B2, staged=9), "it was made for that, and no proxy knows of it yet"


OUT: dict[str, tuple[tuple[str, ...], list[str]]] = {
    "nobody": (("app1", "app2", "app3"), []),
    "one that failed, or is new": (("app1", "app3"), ["app2"]),
    "unknown with a stage of old": ((), []),
}


@pytest.mark.parametrize(("names", "left_out"), OUT.values(), ids=OUT)
def test_a_host_is_left_out_when_no_proxy_sends_visitors_there(names: tuple[str, ...], left_out: list[str]) -> None:
    view = real.seen({"a": A1}, proxies=["a 1.0"], hosts=3)
    proxies = {host: replace(seen, slots={"a": Served(A1, names, ())}) for host, seen in view.proxy.items()}
    view = replace(view, proxy=proxies)
    assert [host.name for host in view.left_out(view.app)] == left_out


SERVERS = ("10.0.0.1:80", "10.0.0.2:80", "10.0.0.1:81")
AMONG = {
    "all": (["10.0.0.[1:2]"], ("10.0.0.1", "10.0.0.2"), SERVERS),
    "one was taken out, whatever its ports are now": (["10.0.0.2"], ("10.0.0.2",), ("10.0.0.2:80",)),
    "one has another ssh port now": (
        ["10.0.0.1:2222", "10.0.0.2"],
        ("10.0.0.2",),
        ("10.0.0.1:80", "10.0.0.2:80", "10.0.0.1:81"),
    ),
    "none": (["10.0.0.9"], (), ()),
}


@pytest.mark.parametrize(("app", "hosts", "servers"), AMONG.values(), ids=AMONG)
def test_what_is_known_of_a_slot_is_pruned_by_the_addresses_of_its_hosts(
    app: list[str], hosts: tuple[str, ...], servers: tuple[str, ...]
) -> None:
    served = Served(A1, ("10.0.0.1", "10.0.0.2"), SERVERS)
    assert served.among(real.stage(Path("/shop"), app=app, proxy=["p1"]).app) == Served(A1, hosts, servers)


def test_a_live_slot_that_is_in_release_toml_no_more_is_still_served_from_its_hosts() -> None:
    view = real.seen({"a": A1}, proxies=["c 2.0"], hosts=2)
    proxies = {host: replace(seen, slots={"c": Served(B2, ("app1",), ())}) for host, seen in view.proxy.items()}
    view = replace(view, proxy=proxies)
    assert (view.version, view.holders("c")) == ("2.0", [])
    assert [host.name for host in view.left_out(view.app)] == ["app2"]


def test_a_worker_is_left_out_when_it_does_not_work_though_others_do() -> None:
    view = real.seen({"a": A1, "b": None}, proxies=[], hosts=2)
    one, two = view.app
    idle = replace(view.app[two], slots={"a": SlotSeen(None, False, False), "b": SlotSeen(None, False, False)})
    assert replace(view, app={one: view.app[one], two: idle}).left_out(view.app) == [two]


SERVING = {
    "they agree": (["a 1.0", "a 1.0"], "", ["a"]),
    "they disagree": (["a 1.0", "b 2.0"], "", ["a", "b"]),
    "a canary has its share": (["a 1.0", "a 1.0"], "b", ["a", "b"]),
    "nothing": (["", ""], "", []),
}


@pytest.mark.parametrize(("proxies", "canary", "slots"), SERVING.values(), ids=SERVING)
def test_every_slot_that_any_proxy_sends_visitors_to_is_serving(
    proxies: list[str], canary: str, slots: list[str]
) -> None:
    view = real.seen({"a": A1, "b": B2}, proxies=proxies)
    view = replace(view, proxy={host: replace(one, canary=canary) for host, one in view.proxy.items()})
    assert view.serving == slots
    stage = real.stage(Path("/shop"), app=["app1"], proxy=["proxy1", "proxy2"])
    with pytest.raises(Refused) if slots else nullcontext():
        require_yes(stage, view, "nginx.stop", yes=False)


def test_proxies_that_disagree_are_told_line_by_line() -> None:
    view = real.seen({"a": A1, "b": B2}, proxies=["a 1.0", "b 2.0", ""])
    assert view.split.splitlines() == ["proxy1: a 1.0", "proxy2: b 2.0", "proxy3: -"]


BOTH: dict[str, Release | None] = {"a": A1, "b": B2}
TO_A, TO_B = Switched(slot="a"), Switched(slot="b")
WORKERS: dict[str, tuple[dict[str, Release | None], str, tuple[Event, ...], str, str]] = {
    "what the last switch led to": (BOTH, "", (TO_B, TO_A), "a", "1.0"),
    "not what was only staged": (BOTH, "", (TO_A, Staged("b", [], B2), Report("deploy", slot="b")), "a", "1.0"),
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
        {Host(address=name): AppSeen("3.11", "x86_64", {"b": SlotSeen(one, True, True)}) for name, one in apps.items()},
        {},
    )
    assert view.release("b") == apps["again"]
    assert [host.name for host in view.holders("b")] == ["again"]
    assert view.staged == 3


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


SEEN = {
    "link": "b",
    "answer": "b 2.0 7 my-shop test",
    "conf": "abc",
    "loaded": "abc",
    "program": "/usr/sbin/nginx",
    "sudo": "",
    "canary": "",
    "maintenance": "",
    "certificate": {},
    "listeners": {"80": "nginx: master"},
    "slots": {"b": {"release": {"project": "my-shop", "version": "2.0"}, "hosts": ["h1"], "servers": ["h1:8810"]}},
    "old": {"slot": "", "version": "", "servers": []},
}


def test_a_proxy_is_read_from_its_facts() -> None:
    seen = ProxySeen.of(SEEN)
    assert (seen.slot, seen.version, seen.serves, seen.works) == ("b", "2.0", "b 2.0", True)
    assert seen.slots["b"] == Served(Release("my-shop", "2.0"), ("h1",), ("h1:8810",))
    assert seen.listeners == {80: "nginx: master"}


IDLE = {
    "nginx is off": {"loaded": "", "answer": ""},
    "another configuration is loaded": {"loaded": "xyz"},
    "another slot is served": {"answer": "a 1.0 6 my-shop test"},
}


@pytest.mark.parametrize("facts", IDLE.values(), ids=IDLE)
def test_a_proxy_does_not_work_when_its_nginx_does_not_say_so(facts: dict[str, str]) -> None:
    seen = ProxySeen.of(SEEN | facts)
    assert (seen.slot, seen.works) == ("b", False)


def test_a_proxy_that_was_switched_by_reloads_is_known_by_its_file() -> None:
    old = {"slot": "a", "version": "1.0", "servers": ["h1:8800"]}
    seen = ProxySeen.of(SEEN | {"link": "", "conf": "", "loaded": "", "slots": {}, "old": old})
    assert (seen.slot, seen.version, seen.linked) == ("a", "1.0", False)
    assert seen.slots == {"a": Served(Release("", "1.0"), (), ("h1:8800",))}

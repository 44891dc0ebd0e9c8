"""Everything that stands against a release follows from what was seen, host by host."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import real
from releaselib.config.inventory import Host
from releaselib.decide.budget import Budget
from releaselib.decide.problems import UNSEEN, of_app, of_proxy, problems, require_agreement, require_proxies
from releaselib.decide.seen import AppSeen, Listener, Lost, ProxySeen
from releaselib.decide.view import View
from releaselib.errors import HostsFailed, Refused

PORT = Listener(8800, "a", "7", "python shop.py", False)
APP_PROBLEMS: dict[str, tuple[list[Listener], list[str]]] = {
    "nothing": ([], []),
    "a port of our own": ([replace(PORT, ours=True)], []),
    "a port of another": ([PORT], ["port 8800 (slot a) is in use by python shop.py (pid 7)"]),
    "a port of somebody unknown": (
        [replace(PORT, pid="", command="")],
        ["port 8800 (slot a) is in use by a process of another user (pid unknown)"],
    ),
    "every port": (
        [PORT, replace(PORT, port=8811, slot="b")],
        [
            "port 8800 (slot a) is in use by python shop.py (pid 7)",
            "port 8811 (slot b) is in use by python shop.py (pid 7)",
        ],
    ),
}


@pytest.mark.parametrize(("ports", "words"), APP_PROBLEMS.values(), ids=APP_PROBLEMS)
def test_a_port_that_somebody_else_holds_is_told_with_who(ports: list[Listener], words: list[str]) -> None:
    assert of_app(AppSeen("3.11.2", "x86_64", {}, tuple(ports))) == words


NEW = ProxySeen(program="/usr/sbin/nginx", linked=False, listeners={8080: "", 8892: ""})
ANOTHER = "port 8892 answers for stage live of other-shop: give one of them another port_base"
PROXY_PROBLEMS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "nothing on a new host": ({}, []),
    "nothing when nginx listens": ({"listeners": {8080: "nginx: master", 8892: "nginx: master"}}, []),
    "nothing when it serves": ({"answer": "a 1.0 7 my-shop test"}, []),
    "no nginx": ({"program": ""}, ["nginx is not installed: apt-get install nginx-light"]),
    "another server": ({"listeners": {8080: "apache2 -k start"}}, ["port 8080 is in use by apache2 -k start"]),
    "another server where nginx is to be asked": ({"listeners": {8892: "nc -l"}}, ["port 8892 is in use by nc -l"]),
    "another server that only has the name": (
        {"listeners": {8080: "python /home/nginx/shop.py"}},
        ["port 8080 is in use by python /home/nginx/shop.py"],
    ),
    "a certificate that has ended": (
        {"certificate": {"days": -3, "names": ["shop.example"], "wrong": ""}},
        ["its certificate has ended 3 days ago"],
    ),
    "another server with such a name": ({"listeners": {8080: "nginxd"}}, ["port 8080 is in use by nginxd"]),
    "another project that has the same ports": ({"answer": "a 1.0 7 other-shop live"}, [ANOTHER]),
    "all at once": (
        {"program": "", "listeners": {8080: "apache2"}, "answer": "a 1.0 7 other-shop live"},
        ["nginx is not installed: apt-get install nginx-light", "port 8080 is in use by apache2", ANOTHER],
    ),
}


@pytest.mark.parametrize(("seen", "words"), PROXY_PROBLEMS.values(), ids=PROXY_PROBLEMS)
def test_what_stands_against_a_switch_is_told(seen: dict[str, Any], words: list[str]) -> None:
    assert of_proxy(replace(NEW, **seen), real.stage(Path("/shop"), listen="8080")) == words


@pytest.mark.parametrize(("sudo", "number"), [(True, 0), (False, 1)])
def test_a_listener_that_hides_is_the_nginx_of_the_system_only_for_a_user_with_sudo(sudo: bool, number: int) -> None:
    stage = real.stage(Path("/shop"), listen="8080").model_copy(update={"sudo": sudo})
    assert len(of_proxy(replace(NEW, listeners={8080: UNSEEN}), stage)) == number


def test_problems_are_told_host_by_host() -> None:
    app, proxy = Host(address="h1"), Host(address="p1")
    view = View({app: AppSeen("3.11.2", "x86_64", {}, (PORT,))}, {proxy: replace(NEW, program="")})
    assert problems(view, real.stage(Path("/shop"))) == [
        "h1: port 8800 (slot a) is in use by python shop.py (pid 7)",
        "p1: nginx is not installed: apt-get install nginx-light",
    ]


def test_hosts_that_are_not_alike_are_told() -> None:
    kinds = {"h1": ("3.11.2", "x86_64"), "h2": ("3.11.9", "x86_64"), "h3": ("3.12.1", "x86_64")}
    view = View({Host(address=name): AppSeen(*kind, {}) for name, kind in kinds.items()}, {})
    assert problems(view, real.stage(Path("/shop"))) == [
        "h1, h2: Python 3.11 on x86_64",
        "h3: Python 3.12 on x86_64",
        "the app hosts differ, so the same wheels cannot run on all: set python of the stage",
    ]


def test_proxies_that_disagree_are_refused_with_what_each_serves() -> None:
    slots = {"a": real.release("1.0", 1), "b": real.release("2.0", 2)}
    require_agreement(real.seen(slots, proxies=["a 1.0", "a 1.0"]))
    with pytest.raises(Refused) as caught:
        require_agreement(real.seen(slots, proxies=["a 1.0", "b 2.0"]))
    assert caught.value.exit_code == 3
    assert caught.value.what == "the proxies do not agree which slot is live; nothing was changed"
    assert caught.value.cause == "proxy1: a 1.0\nproxy2: b 2.0"
    assert "fab switch --slot SLOT puts all on one" in caught.value.next_step


def test_a_proxy_that_is_lost_stands_against_everything() -> None:
    stage = real.stage(Path("/shop"), app=["h1"], proxy=["p1", "p2"])
    require_proxies(View({}, {}, {stage.app[0]: Lost("h1: no route")}), stage)
    with pytest.raises(Refused) as caught:
        require_proxies(View({}, {}, {stage.app[0]: Lost("h1: x"), stage.proxy[1]: Lost("p2: no route")}), stage)
    assert caught.value.what.startswith("a proxy cannot be reached, and a switch is all proxies or none")
    assert caught.value.cause == "p2: no route"
    assert "turn it off, so that it sends visitors nowhere, and only then take it out" in caught.value.next_step


H1, H2, H3 = (Host(address=f"h{n}") for n in (1, 2, 13))
SHARES = {
    "a number": (2, 120, 2),
    "a percentage": ("10%", 120, 12),
    "one that is rounded down": ("10%", 19, 1),
    "of few": ("10%", 5, 0),
    "never all": (5, 3, 2),
    "not even by percent": ("100%", 3, 2),
}


@pytest.mark.parametrize(("said", "hosts", "allowed"), SHARES.values(), ids=SHARES)
def test_a_budget_is_a_number_or_a_share_but_never_all(said: int | str, hosts: int, allowed: int) -> None:
    assert Budget(said, hosts).allowed == allowed


def test_a_release_that_works_on_no_host_is_never_within_the_budget() -> None:
    with pytest.raises(HostsFailed):
        Budget(2, 2).require({H1: "h1: no route", H2: "h2: no route"})


MANY: dict[Host, object] = {Host(address=f"h{n}"): "no route" for n in range(1, 13)}
ADVISED = {
    "some failed": (dict.fromkeys((H1, H2), "no route"), "; or go on without them: add h1,h2 to --exclude"),
    "many failed": (MANY, "; or go on without them: add their names to --exclude"),
    "all failed": (MANY | {H3: "no route"}, "fab status shows them"),
}


@pytest.mark.parametrize(("failed", "advice"), ADVISED.values(), ids=ADVISED)
def test_going_on_without_those_that_failed_is_advised_where_any_are_left(
    failed: dict[Host, object], advice: str
) -> None:
    with pytest.raises(HostsFailed) as caught:
        Budget(0, 13).require(failed)
    assert caught.value.next_step.endswith(advice)


WITHIN: dict[str, tuple[int, dict[Host, object], list[str]]] = {
    "none failed": (0, {}, []),
    "as many as may": (1, {H1: "h1: no route"}, ["left out of the switch: h1: no route"]),
}


@pytest.mark.parametrize(("allowed", "failed", "words"), WITHIN.values(), ids=WITHIN)
def test_hosts_that_may_fail_are_left_out(allowed: int, failed: dict[Host, object], words: list[str]) -> None:
    assert Budget(allowed, 5).require(failed) == words


@pytest.mark.parametrize("kind", [HostsFailed, Refused])
def test_more_hosts_than_may_fail_are_an_error_that_names_all(kind: type[HostsFailed | Refused]) -> None:
    with pytest.raises(kind) as caught:
        Budget(1, 5).require({H1: "h1: no route", H2: HostsFailed("h2: disk full")}, kind)
    assert caught.value.what == (
        "2 of 5 hosts failed (max_failures = 1); nothing was switched, visitors are served as before"
    )
    assert caught.value.cause == "h1: no route\nh2: disk full"

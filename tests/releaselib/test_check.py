"""Everything that stands against a release is seen on every host before anything is done."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import pytest

import real
from releaselib import config, source
from releaselib.check import (
    UNSEEN,
    app_of,
    app_problems,
    facts,
    host_header,
    look,
    proxy_of,
    proxy_problems,
    require_agreement,
    require_proxies,
    site,
    wanted,
)
from releaselib.errors import CommandFailed, Refused
from releaselib.fleet import Fleet
from releaselib.view import App, Proxy, Slot, View
from releaselib.work import Work, check

PORT = {"port": 8800, "slot": "a", "pid": "7", "command": "python shop.py", "ours": False}
APP_PROBLEMS: dict[str, tuple[list[dict[str, Any]], str, list[str]]] = {
    "nothing": ([], "", []),
    "a port of our own": ([{**PORT, "ours": True}], "", []),
    "a port of another": ([PORT], "", ["port 8800 (slot a) is in use by python shop.py (pid 7)"]),
    "a port of somebody unknown": (
        [{**PORT, "pid": "", "command": ""}],
        "",
        ["port 8800 (slot a) is in use by a process of another user (pid unknown)"],
    ),
    "a port of a slot that is not asked for": ([PORT], "b", []),
    "every port": (
        [PORT, {**PORT, "port": 8811, "slot": "b"}],
        "",
        [
            "port 8800 (slot a) is in use by python shop.py (pid 7)",
            "port 8811 (slot b) is in use by python shop.py (pid 7)",
        ],
    ),
}


@pytest.mark.parametrize(("ports", "idle", "words"), APP_PROBLEMS.values(), ids=APP_PROBLEMS)
def test_a_port_that_somebody_else_holds_is_told_with_who(
    ports: list[dict[str, Any]], idle: str, words: list[str]
) -> None:
    assert app_problems({"ports": ports}, idle) == words


PROXY = {"nginx": "/usr/sbin/nginx", "listener": "", "serving": "", "site": False}
NOT_SERVED = (
    "nginx does not say which release it serves: fab nginx.setup; if that does not help, another "
    "site answers first (server_name of the stage, /etc/nginx/sites-enabled/default)"
)
PROXY_PROBLEMS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "nothing on a new host": ({}, []),
    "nothing when it serves": ({"listener": "nginx: master", "serving": "a 1.0", "site": True}, []),
    "nothing when it serves as another user": ({"listener": "somebody", "serving": "-", "site": True}, []),
    "no nginx": ({"nginx": ""}, ["nginx is not installed: apt-get install nginx-light"]),
    "another server": ({"listener": "apache2 -k start"}, ["port 8080 is in use by apache2 -k start"]),
    "another server that only has the name": (
        {"listener": "python /home/nginx/shop.py", "site": True},
        ["port 8080 is in use by python /home/nginx/shop.py"],
    ),
    "another server with such a name": ({"listener": "nginxd"}, ["port 8080 is in use by nginxd"]),
    "a site that is not served": ({"listener": "nginx: master", "site": True}, [NOT_SERVED]),
    "a site of another kind": ({"listener": "nginx: master"}, []),
    "all at once": (
        {"nginx": "", "listener": "apache2"},
        ["nginx is not installed: apt-get install nginx-light", "port 8080 is in use by apache2"],
    ),
}


@pytest.mark.parametrize(("seen", "words"), PROXY_PROBLEMS.values(), ids=PROXY_PROBLEMS)
def test_what_stands_against_a_switch_is_told(seen: dict[str, Any], words: list[str]) -> None:
    assert proxy_problems(PROXY | seen, real.stage(Path("/shop"), listen="8080")) == words


@pytest.mark.parametrize(("sudo", "problems"), [(True, 0), (False, 1)])
def test_a_listener_that_hides_is_the_nginx_of_the_system_only_for_a_user_with_sudo(
    sudo: bool, problems: int
) -> None:
    seen = PROXY | {"listener": UNSEEN}
    stage = real.stage(Path("/shop"), listen="8080").model_copy(update={"sudo": sudo})
    assert len(proxy_problems(seen, stage)) == problems


SERVING = {
    "a release": ("a 2026.11.23.1", "# a 2026.11.23.1", Proxy("a", "2026.11.23.1", True, 2, "a")),
    "nothing yet": ("-", "# -", Proxy("", "", True, 2, "")),
    "no answer": ("", "", Proxy("", "", True, 2, "")),
    "no answer, but a file": ("", "# b 1.0", Proxy("", "", True, 2, "b")),
}


@pytest.mark.parametrize(("serving", "file", "proxy"), SERVING.values(), ids=SERVING)
def test_nginx_tells_slot_and_version(serving: str, file: str, proxy: Proxy) -> None:
    assert proxy_of({"serving": serving, "file": file, "site": True, "draining": 2}) == proxy


def test_an_app_host_tells_what_is_in_its_slots() -> None:
    table = {
        "python": "3.11.2",
        "machine": "x86_64",
        "slots": {
            "a": {"release": {"project": "my-shop", "version": "1.0"}, "pid": "77", "healthy": True},
            "b": {"release": None, "pid": "", "healthy": False},
        },
    }
    slots = {"a": Slot(real.release("1.0", 0), True, True), "b": Slot(None, False, False)}
    assert app_of(table) == App("3.11.2", "x86_64", slots)


def test_a_host_is_asked_for_what_its_role_needs() -> None:
    stage = real.stage(
        Path("/shop"), listen="127.0.0.1:8080", server_name="shop.example www.example", processes=1
    )
    app, proxy = wanted(stage, "my-shop", "app"), wanted(stage, "my-shop", "proxy")
    assert (app["ports"], app["probe"]) == ({"a": [8800], "b": [8810]}, "")
    assert (proxy["ports"], proxy["probe"]) == ({}, "http://127.0.0.1:8080")
    assert proxy["host"] == "shop.example"
    assert host_header(real.stage(Path("/shop"))) == "localhost"


def test_the_site_lies_where_nginx_reads_it() -> None:
    assert site(real.stage(Path("/shop"), nginx="own"), "my-shop") == "/shop/run/nginx/site.conf"
    assert site(real.stage(Path("/shop"), nginx="system"), "my-shop") == "/etc/nginx/conf.d/my-shop.conf"


def test_this_machine_is_seen_as_it_is(here: Fleet) -> None:
    view, problems = look(here, real.PROJECT)
    assert problems == []
    assert view.lost == {}
    (app,), (proxy,) = view.app.values(), view.proxy.values()
    assert (app.python.split(".")[0], app.machine) == ("3", platform.machine())
    assert app.slots == {"a": Slot(None, False, False), "b": Slot(None, False, False)}
    assert (proxy.slot, proxy.version, proxy.set_up) == ("", "", False)
    assert not view.locked
    assert not Path(here.stage.prefix).exists(), "a look changes nothing"


def test_ports_in_use_are_seen_with_pid_and_command(here: Fleet) -> None:
    stage = here.stage
    with real.Web({}, port=stage.settings.ports("b")[1]), real.Web({}, port=stage.listen_port()):
        _, problems = look(here, real.PROJECT)
    command = Path("/proc/self/cmdline").read_text().replace("\0", " ").strip()
    words = f"is in use by {command}"
    assert problems == [
        f"local: port {stage.settings.ports('b')[1]} (slot b) {words} (pid {os.getpid()})",
        f"local: port {stage.listen_port()} {words}",
    ]


@pytest.mark.parametrize("page", ["<html>welcome", "a 1.0 x", ""])
def test_a_page_of_somebody_else_is_not_taken_for_a_release(here: Fleet, page: str) -> None:
    with real.Web({"/-/release": (200, page)}, port=here.stage.listen_port()):
        view, problems = look(here, real.PROJECT)
    assert [proxy.slot for proxy in view.proxy.values()] == [""]
    assert len(problems) == 1


def test_what_a_proxy_says_is_asked_with_the_name_of_the_site(short: Path) -> None:
    stage = real.stage(short, listen=str(real.free_port()), server_name="shop.example")
    with real.Web({"/-/release": (200, "b 2.0\n")}, port=stage.listen_port()) as web:
        view, problems = look(Fleet(stage), real.PROJECT)
    assert (view.live, view.version, problems) == ("b", "2.0", [])
    assert web.seen == [("/-/release", "shop.example")]


def test_a_host_without_the_python_that_is_asked_for_is_lost_and_named(tmp_path: Path) -> None:
    stage = real.stage(tmp_path, python="9.9")
    view, problems = look(Fleet(stage), real.PROJECT)
    assert problems == []
    (words,) = view.lost.values()
    assert words == (
        "local: there is no such Python on this host\n    no Python 9.9 on this host\n"
        "next: apt-get install python3 there, or set python of the stage"
    )
    with pytest.raises(CommandFailed):
        facts(Fleet(stage).remote(stage.app[0]), stage, real.PROJECT, "app")


def test_hosts_that_are_not_alike_are_told(here: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = real.stage(Path("/shop"), app=["h1", "h2", "h3"], proxy=[])
    kinds = {"h1": ("3.11.2", "x86_64"), "h2": ("3.11.9", "x86_64"), "h3": ("3.12.1", "x86_64")}

    def seen(remote: Any, stage: Any, project: str, role: str) -> dict[str, Any]:
        python, machine = kinds[remote.host.name]
        return {"python": python, "machine": machine, "slots": {}, "ports": [], "locked": False}

    fleet = Fleet(stage)
    for host in stage.app:
        fleet._remotes[host] = type("Named", (), {"host": host})()
    monkeypatch.setattr("releaselib.check.facts", seen)
    _, problems = look(fleet, real.PROJECT)
    assert problems == [
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
    require_proxies(View({}, {}, {stage.app[0]: "h1: no route"}), stage)
    with pytest.raises(Refused) as caught:
        require_proxies(View({}, {}, {stage.app[0]: "h1: x", stage.proxy[1]: "p2: no route"}), stage)
    assert caught.value.what.startswith("a proxy cannot be reached, and a switch is all proxies or none")
    assert caught.value.cause == "p2: no route"
    assert caught.value.next_step == "fab status; mend the proxy or take it out of release.toml"


def test_everything_that_stands_against_a_release_is_told_at_once(
    repository: real.Repository, short: Path
) -> None:
    repository.write({"new.txt": ""})
    url = "http://127.0.0.1:9/simple/"
    stage = real.stage(short, index={"url": url}, port_base=real.free_port(20), listen=str(real.free_port()))
    work = Work(config.Project(root=repository.folder, name=real.PROJECT), stage, Fleet(stage))
    with real.Web({}, port=stage.settings.ports("a")[0]), pytest.raises(Refused) as caught:
        check(work, lambda: source.look(repository.folder))
    assert caught.value.exit_code == 3
    assert caught.value.what == "3 things stand against it; nothing was changed"
    for words in (
        "not committed: new.txt: git commit, or git stash",
        f"the index {url} cannot be reached",
        f"local: port {stage.settings.ports('a')[0]} (slot a) is in use by ",
    ):
        assert words in caught.value.cause
    assert caught.value.next_step == "mend these, then run it again"
    assert not Path(stage.prefix).exists()

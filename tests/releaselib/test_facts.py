"""Every host is looked at before anything is done, and the look changes nothing."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest

import real
from releaselib import config
from releaselib.actions.check import checked
from releaselib.actions.session import Session
from releaselib.decide.journal import Began, written
from releaselib.decide.problems import problems
from releaselib.decide.view import Lost, SlotSeen
from releaselib.errors import CommandFailed, Locked, Refused
from releaselib.hosts.facts import LINES, facts, look, wanted
from releaselib.hosts.fleet import Fleet
from releaselib.hosts.lock import hold
from releaselib.wheels import source


def test_a_host_is_asked_for_what_its_role_needs() -> None:
    stage = real.stage(
        Path("/shop"),
        app=["h1"],
        proxy=["p1"],
        listen="127.0.0.1:8080",
        server_name="shop.example",
        processes=1,
    )
    app, proxy = wanted(stage, stage.app[0], "app"), wanted(stage, stage.proxy[0], "proxy")
    assert (app["ports"], app["probe"], app["journal"]) == ({"a": [8800], "b": [8810]}, "", 0)
    assert (proxy["ports"], proxy["probe"], proxy["journal"]) == ({}, "http://127.0.0.1:8080", LINES)
    assert proxy["host"] == "shop.example"


def test_this_machine_is_seen_as_it_is(here: Fleet) -> None:
    view = look(here, here.stage.app)
    assert problems(view, here.stage) == []
    assert view.lost == {}
    (app,), (proxy,) = view.app.values(), view.proxy.values()
    assert (app.python.split(".")[0], app.machine) == ("3", platform.machine())
    assert app.slots == {"a": SlotSeen(None, False, False), "b": SlotSeen(None, False, False)}
    assert (proxy.slot, proxy.version, proxy.site, proxy.file) == ("", "", False, "")
    assert not view.history.locked
    assert not Path(here.stage.prefix).exists(), "a look changes nothing"


def test_the_journal_and_the_lock_are_seen_too(here: Fleet) -> None:
    with hold(here) as journal:
        journal.write(Began("release"))
        history = look(here, ()).history
    assert (history.events, history.locked) == ((Began("release"),), True)


def test_ports_in_use_are_seen_with_pid_and_command(here: Fleet) -> None:
    stage = here.stage
    with real.Web({}, port=stage.ports("b")[1]), real.Web({}, port=stage.listen_port):
        view = look(here, stage.app)
    command = Path("/proc/self/cmdline").read_text().replace("\0", " ").strip()
    words = f"is in use by {command}"
    assert problems(view, stage) == [
        f"local: port {stage.ports('b')[1]} (slot b) {words} (pid {os.getpid()})",
        f"local: port {stage.listen_port} {words}",
    ]


@pytest.mark.parametrize("page", ["<html>welcome", "a 1.0 x", ""])
def test_a_page_of_somebody_else_is_not_taken_for_a_release(here: Fleet, page: str) -> None:
    with real.Web({"/-/release": (200, page)}, port=here.stage.listen_port):
        view = look(here, here.stage.app)
    assert [(proxy.slot, proxy.answers) for proxy in view.proxy.values()] == [("", False)]
    assert len(problems(view, here.stage)) == 1


SERVING = {"a release": ("b 2.0+fix", "b", "2.0+fix", "b 2.0+fix"), "nothing yet": ("-", "", "", "-")}


@pytest.mark.parametrize(("page", "slot", "version", "serves"), SERVING.values(), ids=SERVING)
def test_what_a_proxy_serves_is_asked_with_the_name_of_the_site(
    short: Path, page: str, slot: str, version: str, serves: str
) -> None:
    stage = real.stage(short, listen=str(real.free_port()), server_name="shop.example www.example")
    with real.Web({"/-/release": (200, f"{page}\n")}, port=stage.listen_port) as web:
        view = look(Fleet(stage), stage.app)
    (proxy,) = view.proxy.values()
    assert (view.live, view.version, proxy.serves, proxy.answers) == (slot, version, serves, True)
    assert problems(view, stage) == []
    assert web.seen == [("/-/release", "shop.example")]


def test_the_slot_that_the_file_means_is_seen_while_nginx_is_off(short: Path) -> None:
    stage = real.stage(short, listen=str(real.free_port()))
    upstream = Path(stage.paths.upstream)
    upstream.parent.mkdir(parents=True)
    for line, slot in (("# b 1.0", "b"), ("# -", "")):
        upstream.write_text(f"{line}\nupstream x {{\n")
        (proxy,) = look(Fleet(stage), ()).proxy.values()
        assert (proxy.slot, proxy.file, proxy.answers) == ("", slot, False)


def test_a_host_without_the_python_that_is_asked_for_is_lost_and_named(tmp_path: Path) -> None:
    stage = real.stage(tmp_path, python="9.9")
    view = look(Fleet(stage), stage.app)
    assert problems(view, stage) == []
    (lost,) = view.lost.values()
    assert lost == Lost(
        "local: there is no such Python on this host\n    no Python 9.9 on this host\n"
        "next: apt-get install python3 there, or set python of the stage",
        unready=True,
    )
    with pytest.raises(CommandFailed):
        facts(Fleet(stage).remote(stage.app[0]), "app")


# --- the check before an action


@pytest.fixture
def at(here: Fleet, repository: real.Repository) -> Session:
    return Session(config.Project(root=repository.folder, name=real.PROJECT), here.stage, here)


def test_everything_that_stands_against_a_release_is_told_at_once(
    repository: real.Repository, short: Path
) -> None:
    repository.write({"new.txt": ""})
    url = "http://127.0.0.1:9/simple/"
    stage = real.stage(short, index={"url": url}, port_base=real.free_port(20), listen=str(real.free_port()))
    at = Session(config.Project(root=repository.folder, name=real.PROJECT), stage, Fleet(stage))
    with real.Web({}, port=stage.ports("a")[0]), pytest.raises(Refused) as caught:
        checked(at, stage.app, lambda: source.find(repository.folder))
    assert caught.value.exit_code == 3
    assert caught.value.what == "3 things stand against it; nothing was changed"
    for words in (
        "not committed: new.txt: git commit, or git stash",
        f"the index {url} cannot be reached",
        f"local: port {stage.ports('a')[0]} (slot a) is in use by ",
    ):
        assert words in caught.value.cause
    assert caught.value.next_step == "mend these, then run it again"
    assert not Path(stage.prefix).exists()


def test_an_action_is_refused_while_somebody_is_at_work(at: Session) -> None:
    with hold(at.fleet) as journal:
        journal.write(Began("release", "maria@desk", "today"))
        with pytest.raises(Locked, match="stage test is locked by maria@desk since today: release"):
            checked(at, at.stage.app, needs_index=False)


def test_hosts_that_were_not_asked_for_do_not_stop_an_action(tmp_path: Path) -> None:
    stage = real.stage(tmp_path, app=["127.0.0.1", "h2"], proxy=[], connect_timeout=1)
    at = Session(config.Project(root=tmp_path, name=real.PROJECT), stage, Fleet(stage))
    view, _ = checked(at, (), needs_index=False)
    assert view.lost == {}


# --- and under the lock


def test_under_the_lock_it_is_seen_again_what_the_proxies_serve(at: Session) -> None:
    seen, _ = checked(at, at.stage.app, needs_index=False)
    with at.locked(seen) as (view, journal):
        assert view.app == seen.app
        assert view.history.locked
        journal.write(Began("release"))
    assert look(at.fleet, ()).history.events == (Began("release"),)


@pytest.mark.parametrize("role", ["proxy", "app"])
def test_nothing_is_done_when_somebody_was_at_work_since_it_was_looked_at(
    tmp_path: Path, short: Path, role: str
) -> None:
    """Also on a stage of workers, where no proxy tells: the journal does."""
    stage = real.stage(short, proxy=["local"] if role == "proxy" else [], listen=str(real.free_port()))
    at = Session(config.Project(root=tmp_path, name=real.PROJECT), stage, Fleet(stage))
    seen, _ = checked(at, at.stage.app, needs_index=False)
    Path(stage.paths.journal).parent.mkdir(parents=True)
    Path(stage.paths.journal).write_text(f"{written(Began('release', 'maria@desk', 'just now'))}\n")
    with pytest.raises(Refused) as caught, at.locked(seen):
        pytest.fail("it was begun")
    assert caught.value.what == (
        "somebody was at work on the stage since it was looked at; nothing was changed"
    )
    assert caught.value.next_step == "fab history, then run the command again"

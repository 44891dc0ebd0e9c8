"""Every host is looked at before anything is done, and the look changes nothing."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict
from pathlib import Path

import pytest

import real
from releaselib import config
from releaselib.actions.check import checked
from releaselib.actions.session import Session
from releaselib.config.stage import Stage
from releaselib.decide.journal import Began
from releaselib.decide.problems import problems
from releaselib.decide.seen import Lost, SlotSeen
from releaselib.errors import CommandFailed, Refused
from releaselib.hosts.facts import LINES, facts, look, wanted
from releaselib.hosts.fleet import Fleet
from releaselib.hosts.lock import hold
from releaselib.wheels import source


def test_a_host_is_asked_for_what_its_role_needs() -> None:
    stage = real.stage(
        Path("/shop"), app=["h1"], proxy=["p1"], listen="127.0.0.1:8080", server_name="shop.example", processes=1
    )
    app, proxy = wanted(stage, stage.app[0], "app"), wanted(stage, stage.proxy[0], "proxy")
    assert (app["ports"], app["probe"], app["journal"]) == ({"a": [8800], "b": [8810]}, "", 0)
    assert (proxy["ports"], proxy["probe"], proxy["journal"]) == ({}, "http://127.0.0.1:8892", LINES)
    assert proxy["listen"] == [8080, 8892]


def test_this_machine_is_seen_as_it_is(here: Fleet) -> None:
    view = look(here, here.stage.app)
    assert problems(view, here.stage) == []
    assert view.lost == {}
    (app,), (proxy,) = view.app.values(), view.proxy.values()
    assert (app.python.split(".")[0], app.machine) == ("3", platform.machine())
    assert app.slots == {"a": SlotSeen(None, False, False), "b": SlotSeen(None, False, False)}
    assert (proxy.slot, proxy.version, proxy.conf, proxy.linked) == ("", "", "", False)
    assert view.history.holder == ""
    assert not Path(here.stage.prefix).exists(), "a look changes nothing"


def test_the_journal_and_the_lock_are_seen_too(here: Fleet) -> None:
    with hold(here, "maria") as journal:
        journal.write(Began("release"))
        history = look(here, ()).history
    assert (history.events, history.holder) == ((Began("release"),), "maria")


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


def laid_down(stage: Stage, live: str = "b") -> None:
    """What `nginx_configure.sh` and a switch leave on a proxy."""
    known = {"a": real.release("1.0", 1), "b": real.release("2.0", 2)}
    for slot, release in known.items():
        folder = Path(stage.paths.served) / slot
        folder.mkdir(parents=True)
        (folder / slot).touch()
        table = {"release": asdict(release), "hosts": ["h1"], "servers": ["h1:8800"]}
        (folder / "release.json").write_text(json.dumps(table))
    Path(stage.paths.live).symlink_to(f"slots/{live}")
    Path(stage.paths.conf).symlink_to("confs/abc")


def test_what_visitors_get_is_seen_from_the_link_whether_or_not_nginx_runs(short: Path) -> None:
    stage = real.stage(short, port_base=real.free_port(100))
    laid_down(stage)
    pages = {"/-/release": (200, "b 2.0 2 my-shop test\n"), "/-/config": (200, "abc\n")}
    with real.Web(pages, port=stage.probe_port):
        (works,) = look(Fleet(stage), ()).proxy.values()
    (off,) = look(Fleet(stage), ()).proxy.values()
    for proxy, runs in ((works, True), (off, False)):
        assert (proxy.slot, proxy.version, proxy.works) == ("b", "2.0", runs)
        assert {slot: one.release.version for slot, one in proxy.slots.items()} == {"a": "1.0", "b": "2.0"}


def test_a_slot_that_was_retired_or_cut_off_by_a_crash_is_not_known(short: Path) -> None:
    stage = real.stage(short, port_base=real.free_port(100))
    laid_down(stage)
    (Path(stage.paths.served) / "a/a").unlink()
    (Path(stage.paths.served) / "b/release.json").write_text('{"release": {"proj')
    (proxy,) = look(Fleet(stage), ()).proxy.values()
    assert (proxy.slots, proxy.slot, proxy.version) == ({}, "b", "")


def test_the_slot_of_a_stage_that_was_switched_by_reloads_is_seen_from_its_file(short: Path) -> None:
    stage = real.stage(short, port_base=real.free_port(100))
    upstream = Path(stage.paths.old_upstream)
    upstream.parent.mkdir(parents=True)
    for line, slot, version in (("# b 1.0", "b", "1.0"), ("# -", "", "")):
        upstream.write_text(f"{line}\nupstream x {{\n    server h1:8810;\n    server h2:8810;\n}}\n")
        (proxy,) = look(Fleet(stage), ()).proxy.values()
        assert (proxy.slot, proxy.version, proxy.linked) == (slot, version, False)
        assert [one.servers for one in proxy.slots.values()] == ([("h1:8810", "h2:8810")] if slot else [])


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


def test_everything_that_stands_against_a_release_is_told_at_once(repository: real.Repository, short: Path) -> None:
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


def test_hosts_that_were_not_asked_for_do_not_stop_an_action(tmp_path: Path) -> None:
    stage = real.stage(tmp_path, app=["127.0.0.1", "h2"], proxy=[], connect_timeout=1)
    at = Session(config.Project(root=tmp_path, name=real.PROJECT), stage, Fleet(stage))
    view, _ = checked(at, (), needs_index=False)
    assert view.lost == {}

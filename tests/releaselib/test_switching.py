"""What proxies are told before a switch, and when one goes wrong; here they are a note of what each was told."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import real
from releaselib import config
from releaselib.actions import check, planning, programs, switching
from releaselib.actions.check import Seen
from releaselib.actions.planning import planned
from releaselib.actions.run import Run
from releaselib.actions.session import Session
from releaselib.config.inventory import Host
from releaselib.config.tables import Forge
from releaselib.decide.journal import Began, History, Switching
from releaselib.decide.plan import SWITCH, Aim, make
from releaselib.decide.release import Wanted
from releaselib.decide.seen import Served
from releaselib.decide.watch import Traffic
from releaselib.errors import CommandFailed, HostsFailed, Refused
from releaselib.hosts import nginx, slot
from releaselib.hosts.connection import Remote, Unreachable
from releaselib.hosts.fleet import Fleet
from releaselib.wheels.source import Source

BEFORE = {
    "all served the old one": (["a 1.0", "a 1.0"], "", ["a", "a"]),
    "one served the new one already, and the switch went on": (["b 2.0", "a 1.0"], "a", ["a", "a"]),
    "they did not agree, and one slot was asked for": (["b 2.0", "a 1.0"], "", ["b", "a"]),
    "one is new and served nothing": (["a 1.0", ""], "", ["a", ""]),
}


@pytest.mark.parametrize(("proxies", "live", "back"), BEFORE.values(), ids=BEFORE)
def test_after_a_switch_that_failed_everybody_gets_what_was_there_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxies: list[str], live: str, back: list[str]
) -> None:
    told: dict[str, str] = {}

    class Noted:
        """A connection to nobody."""

        def __init__(self, host: Any) -> None:
            self.host = host

    def note(remote: Remote, slot: str, serves: str) -> None:
        told[remote.host.name] = slot

    monkeypatch.setattr(Fleet, "remote", lambda self, host: Noted(host))
    monkeypatch.setattr(nginx, "switch", note)
    stage = real.stage(tmp_path, app=["app1"], proxy=["proxy1", "proxy2"])
    view = real.seen({"a": real.release("1.0"), "b": real.release("2.0", 2)}, proxies=proxies)
    plan = make(stage, view, Aim("release", SWITCH, real.release("2.0", 2), "b", stage.app, live))
    at = Session(config.Project(root=tmp_path, name=real.PROJECT), stage, Fleet(stage))
    lock: Any = None
    assert switching._back(Run(at, plan, view, lock, tmp_path)) == []
    assert list(dict(sorted(told.items())).values()) == back


@pytest.mark.parametrize("version", ["", "1.0", "v1.0"], ids=["to the one before", "by its version", "as a tag has it"])
@pytest.mark.parametrize("fence", [0, 7], ids=["only planned", "with the lock"])
def test_a_plan_to_go_back_changes_nothing_and_is_the_one_that_is_carried_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fence: int, version: str
) -> None:
    """A script that may have nginx loaded needs the lock, and is refused to whoever has none."""
    told: list[int] = []
    monkeypatch.setattr(Fleet, "remote", lambda self, host: self)
    monkeypatch.setattr(nginx, "ready", lambda remote, asked: told.append(remote.fence))
    stage = real.stage(tmp_path, app=["app1"], proxy=["proxy1"])
    view = real.seen({"a": real.release("1.0"), "b": real.release("2.0", 2)}, proxies=["b 2.0"])
    at = Session(config.Project(root=tmp_path, name=real.PROJECT), stage, Fleet(stage))
    at.fleet.fence = fence
    plan = planned(Seen(at, "rollback", Wanted(version=version), view))
    assert (plan.slot, [phase.name for phase in plan.phases]) == ("a", ["switch", "prove"])
    assert told == [fence] * bool(fence)


def test_a_slot_that_only_excluded_hosts_have_is_not_warm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Fleet, "remote", lambda self, host: self)
    monkeypatch.setattr(nginx, "ready", lambda remote, asked: None)
    stage = real.stage(tmp_path, app=["app1", "app2"], proxy=["proxy1"])
    view = real.seen({"a": real.release("1.0"), "b": real.release("2.0", 2)}, proxies=["b 2.0"])
    monkeypatch.setattr(type(view), "served", lambda self, slot: Served(real.release("1.0"), ("app2",), ("app2:1",)))
    at = Session(config.Project(root=tmp_path, name=real.PROJECT), stage, Fleet(stage))
    at.fleet.fence = 7
    assert planning._warm(Seen(at, "rollback", Wanted(), view), "a")
    assert planning._warm(Seen(at, "rollback", Wanted(exclude="app2"), view), "a") is None


@pytest.mark.parametrize("action", ["release", "quickdeploy"])
def test_only_what_makes_a_page_on_the_forge_needs_a_token_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    monkeypatch.delenv("GITLAB_TOKEN", raising=False)
    monkeypatch.setattr(check, "checked", lambda *asked: (real.seen({}), None))
    stage = real.stage(tmp_path, app=["app1"], proxy=["proxy1"])
    project = config.Project(root=tmp_path, name=real.PROJECT, forge=Forge(kind="gitlab", release=True))
    at = Session(project, stage, Fleet(stage))
    with pytest.raises(Refused, match="no token for GitLab") if action == "release" else nullcontext():
        check.checked_for(at, action, Wanted())


PROGRAMS = {"tidy": {"command": "x", "live_only": True}, "clock": {"command": "x", "one_host": True}}
GONE, BROKEN = Unreachable("app2: cannot be reached"), CommandFailed("app2: it does not end")
TAKES_OVER = {
    "one that is excluded or failed is off": (1, GONE, False),
    "one that is excluded does not end the old ones": (1, BROKEN, True),
    "one that is to have them is off": (2, GONE, True),
}


@pytest.mark.parametrize(("staged", "error", "fails"), TAKES_OVER.values(), ids=TAKES_OVER)
def test_what_runs_in_the_live_slot_only_takes_over_without_a_host_that_is_off(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    staged: int,
    error: CommandFailed,
    fails: bool,
) -> None:
    """But what only one host may have is started nowhere, as it may run there."""
    started: dict[str, list[str]] = {}

    def make_way(remote: Remote, slot_: str) -> list[str]:
        if remote.host.name == "app2":
            raise error
        return ["tidy-0"]

    monkeypatch.setattr(Fleet, "remote", lambda self, host: SimpleNamespace(host=host))
    monkeypatch.setattr(slot, "make_way", make_way)
    monkeypatch.setattr(slot, "go_live", lambda remote, slot_, names: started.update({remote.host.name: names}))
    monkeypatch.setattr(slot, "well", lambda remote, slot_, waiting: None)
    stage = real.stage(tmp_path, app=["app1", "app2"], proxy=["proxy1"], programs=PROGRAMS)
    at = Session(config.Project(root=tmp_path, name=real.PROJECT), stage, Fleet(stage))
    with pytest.raises(HostsFailed, match="tidy, clock did not take over on 1 of 2") if fails else nullcontext():
        assert programs.hand_over(at, "b", stage.app, stage.app[:staged]) == ["clock"]
    assert started["app1"] == ["tidy-0"]
    told = capsys.readouterr().err
    words = "app2: cannot be reached; if it is at work, tidy, clock may run there in the old slot"
    assert (words in told) != fails
    assert "clock was not started: it may run on a host that cannot be reached" in told


def test_a_warm_slot_is_asked_without_excluded_hosts_and_as_much_may_fail_as_may_at_any_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: dict[str, Any] = {}
    monkeypatch.setattr(Fleet, "remote", lambda self, host: SimpleNamespace(host=host))
    monkeypatch.setattr(nginx, "configure", lambda remote, conf, known, **others: told.update(others, known=known))
    stage = real.stage(tmp_path, app=["10.0.0.[1:3]"], proxy=["proxy1"], max_failures=1, processes=2)
    names = tuple(host.name for host in stage.app)
    before = Served(real.release("1.0"), names, tuple(f"{name}:7000" for name in names))  # of another port_base
    view = real.seen({"a": real.release("1.0"), "b": real.release("2.0", 2)}, proxies=["b 2.0"])
    view = replace(view, proxy={host: replace(one, slots={"a": before}) for host, one in view.proxy.items()})
    plan = make(stage, view, Aim("rollback", SWITCH, real.release("1.0"), "a", stage.app[:2]))
    project = config.Project(root=tmp_path, name=real.PROJECT)
    monkeypatch.setattr(config.Project, "template", lambda self, name: real.template("nginx.conf.j2"))
    lock: Any = None
    run = Run(Session(project, stage, Fleet(stage)), plan, view, lock, tmp_path)
    switching._take_warm(run)
    assert told["known"]["a"].servers == ("10.0.0.1:7000", "10.0.0.2:7000")
    assert (told["health"]["targets"], told["health"]["allowed"]) == (["10.0.0.1:7000", "10.0.0.2:7000"], 2)
    assert [host.name for host in run.hosts] == ["10.0.0.1", "10.0.0.2"]


def test_a_proxy_that_was_made_anew_learns_the_slot_that_the_others_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Host] = []
    monkeypatch.setattr(Fleet, "remote", lambda self, host: SimpleNamespace(host=host))
    monkeypatch.setattr(nginx, "configure", lambda remote, *words, **others: told.append(remote.host))
    monkeypatch.setattr(config.Project, "template", lambda self, name: real.template("nginx.conf.j2"))
    stage = real.stage(tmp_path, app=["app1"], proxy=["proxy1", "proxy2"])
    view = real.seen({"a": real.release("1.0"), "b": real.release("2.0", 2)}, proxies=["b 2.0", ""])
    view = replace(view, proxy=dict(zip(stage.proxy, view.proxy.values(), strict=True)))
    known: dict[str, Served] = {"b": Served(real.release("2.0", 2), ("app1",), ("app1:7000",))}
    anew = zip(view.proxy.items(), (known, {}), strict=True)
    view = replace(view, proxy={host: replace(one, slots=slots) for (host, one), slots in anew})
    plan = make(stage, view, Aim("release", SWITCH, real.release("2.0", 2), "b", stage.app))
    lock: Any = None
    at = Session(config.Project(root=tmp_path, name=real.PROJECT), stage, Fleet(stage))
    switching._take_warm(Run(at, plan, view, lock, tmp_path))
    assert set(told) == set(stage.proxy)


def test_a_release_that_goes_on_is_for_the_hosts_that_are_not_excluded(tmp_path: Path) -> None:
    stage = real.stage(tmp_path, app=["app1", "app2"], proxy=["proxy1"])
    new = replace(real.release("2.0", 2), commit="c0ffee", profile=stage.profile)
    history = History((Began("release", "li", "now", "b", "a", new), Switching("b", "a")))
    view = real.seen({"a": real.release("1.0"), "b": new}, proxies=["b 2.0"], hosts=2, history=history)
    at = Session(config.Project(root=tmp_path, name=real.PROJECT), stage, Fleet(stage))
    source = Source("main", "c0ffee", 0, {})
    aim = planning._of_commit(Seen(at, "release", Wanted(exclude="app2"), view, source))
    assert (aim.phases[0], aim.slot, [host.name for host in aim.app]) == ("switch", "b", ["app1"])


@pytest.mark.parametrize(("action", "watched"), [("release", ["read", "start"]), ("rollback", [])])
def test_what_nobody_judges_is_not_written_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, action: str, watched: list[str]
) -> None:
    """The phase `watch` ends it, and a rollback has none: the log would grow until the next release."""
    told: list[str] = []
    monkeypatch.setattr(Fleet, "remote", lambda self, host: self)
    monkeypatch.setattr(nginx, "switch", lambda remote, slot, serves: None)

    def watch(remote: Remote, what: str) -> dict[str, Traffic]:
        told.append(what)
        return {}

    monkeypatch.setattr(nginx, "watch", watch)
    monkeypatch.setattr(switching, "_sample", lambda run: None)
    stage = real.stage(tmp_path, app=["app1"], proxy=["proxy1"], auto_rollback=True)
    view = real.seen({"a": real.release("1.0"), "b": real.release("2.0", 2)}, proxies=["b 2.0"])
    plan = make(stage, view, Aim(action, SWITCH, real.release("1.0"), "a", stage.app))
    at = Session(config.Project(root=tmp_path, name=real.PROJECT), stage, Fleet(stage))
    journal: Any = SimpleNamespace(write=lambda event, wait: None)
    switching.switch(Run(at, plan, view, journal, tmp_path))
    assert told == watched


def test_a_canary_cannot_go_on_with_a_switch_of_which_some_visitors_know(tmp_path: Path) -> None:
    stage = real.stage(tmp_path, app=["app1"], proxy=["proxy1", "proxy2"], canary=1)
    new = replace(real.release("2.0", 2), commit="c0ffee", profile=stage.profile)
    history = History((Began("release", "li", "now", "b", "a", new), Switching("b", "a")))
    view = real.seen({"a": real.release("1.0"), "b": new}, proxies=["a 1.0", "b 2.0"], history=history)
    at = Session(config.Project(root=tmp_path, name=real.PROJECT), stage, Fleet(stage))
    with pytest.raises(Refused, match="was cut off in its switch: some visitors get it already"):
        planning._of_commit(Seen(at, "release", Wanted(canary_only=True), view, Source("main", "c0ffee", 0, {})))


def test_what_runs_in_the_live_slot_only_comes_back_also_on_hosts_that_were_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: dict[str, list[str]] = {}
    monkeypatch.setattr(Fleet, "remote", lambda self, host: SimpleNamespace(host=host))
    monkeypatch.setattr(slot, "make_way", lambda remote, slot_: ["tidy-0"])
    monkeypatch.setattr(slot, "go_live", lambda remote, slot_, names: started.update({remote.host.name: names}))
    monkeypatch.setattr(slot, "well", lambda remote, slot_, waiting: None)
    stage = real.stage(tmp_path, app=["app1", "app2"], proxy=["proxy1"], programs={"tidy": PROGRAMS["tidy"]})
    view = real.seen({"a": real.release("1.0"), "b": real.release("2.0", 2)}, proxies=["a 1.0"], hosts=2)
    view = replace(view, app=dict(zip(stage.app, view.app.values(), strict=True)))
    plan = make(stage, view, Aim("release", SWITCH, real.release("2.0", 2), "b", stage.app[:1]))
    journal: Any = SimpleNamespace(write=lambda event, wait: None)
    at = Session(config.Project(root=tmp_path, name=real.PROJECT), stage, Fleet(stage))
    monkeypatch.setattr(Session, "look", lambda self: view)
    seen = replace(
        view, app={host: one for host, one in view.app.items() if host in stage.app[:1]}
    )  # the other was not
    programs.hand_back(Run(at, plan, seen, journal, tmp_path, hosts=list(stage.app[:1])))
    assert started == {"app1": ["tidy-0"], "app2": ["tidy-0"]}


def test_a_switch_that_goes_on_tells_only_of_hosts_that_are_served_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Fleet, "remote", lambda self, host: self)
    monkeypatch.setattr(nginx, "switch", lambda remote, slot, serves: None)
    monkeypatch.setattr(switching, "_sample", lambda run: None)
    stage = real.stage(tmp_path, app=["app1", "app2"], proxy=["proxy1"])
    view = real.seen({"a": real.release("1.0"), "b": real.release("2.0", 2)}, proxies=["b 2.0"])  # app2 was left out
    plan = make(stage, view, Aim("release", SWITCH, real.release("2.0", 2), "b", stage.app, "a"))
    at = Session(config.Project(root=tmp_path, name=real.PROJECT), stage, Fleet(stage))
    journal: Any = SimpleNamespace(write=lambda event, wait: None)
    run = Run(at, plan, view, journal, tmp_path)
    switching.switch(run)
    assert [host.name for host in run.hosts] == ["app1"]

"""What proxies are told before a switch, and when one goes wrong; here they are a note of what each was told."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import real
from releaselib import config
from releaselib.actions import planning, switching
from releaselib.actions.planning import Seen, planned
from releaselib.actions.run import Run
from releaselib.actions.session import Session
from releaselib.config.tables import Forge
from releaselib.decide.plan import SWITCH, Aim, make
from releaselib.decide.release import Wanted
from releaselib.decide.seen import Served
from releaselib.errors import Refused
from releaselib.hosts import nginx
from releaselib.hosts.connection import Remote
from releaselib.hosts.fleet import Fleet

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
    monkeypatch.setattr(planning, "checked", lambda *asked: (real.seen({}), None))
    stage = real.stage(tmp_path, app=["app1"], proxy=["proxy1"])
    project = config.Project(root=tmp_path, name=real.PROJECT, forge=Forge(kind="gitlab", release=True))
    at = Session(project, stage, Fleet(stage))
    with pytest.raises(Refused, match="no token for GitLab") if action == "release" else nullcontext():
        planning.checked_for(at, action, Wanted())


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

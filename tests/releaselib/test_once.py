"""Commands that run once for a release: on which hosts, and what is known of that afterwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import real
from releaselib.actions import once
from releaselib.actions.run import Run
from releaselib.config.inventory import Host
from releaselib.decide.journal import Event, History, Ran
from releaselib.decide.plan import AGAIN, PHASES, Aim, make
from releaselib.decide.seen import ProxySeen
from releaselib.decide.view import View
from releaselib.errors import CommandFailed, HostsFailed
from releaselib.hosts import lock
from releaselib.hosts.fleet import Results
from releaselib.wheels.build import Built

A1, B2 = real.release("1.0", 1), replace(real.release("2.0", 2), staged=2)


@dataclass
class Hosts:
    """Hosts on some of which commands fail; ``acted`` are those that were told anything, ``recorded`` the journal."""

    fails: Sequence[str]
    acted: list[str] = field(default_factory=list)
    recorded: list[Event] = field(default_factory=list)

    def each(self, hosts: Sequence[Host], act: Callable[..., object]) -> Results[str]:
        self.acted += [host.name for host in hosts]
        bad = [host for host in hosts if host.name in self.fails]
        return Results({h: "" for h in hosts if h not in bad}, {h: CommandFailed(f"{h.name}: no") for h in bad})

    def write(self, event: Event, wait: bool) -> None:
        self.recorded.append(event)


def a_run(
    command: dict[str, Any], live: Sequence[str] = ("a", "a"), fails: Sequence[str] = (), action: str = "release"
) -> tuple[Run, Hosts]:
    """A release of what was built just now; or, as a rollback, of what was staged before."""
    stage = real.stage(
        Path("/shop"), app=["app1", "app2"], proxy=["proxy1", "proxy2"], slots=["a", "b"], run={"job": command}
    )
    view = View({}, {host: ProxySeen(slot=slot) for host, slot in zip(stage.proxy, live, strict=True)})
    again = action == "rollback"
    release = replace(A1, staged=99) if again else B2
    plan = make(stage, view, Aim(action, AGAIN if again else PHASES[action], release, "b", stage.app))
    there = Hosts(fails)
    at: Any = SimpleNamespace(stage=stage, fleet=there)
    lock_: Any = there
    built = None if again else Built(release.version, "", {})
    return Run(at, plan, view, lock_, Path("/shop"), built=built, hosts=list(stage.app)), there


def test_where_it_succeeded_it_does_not_run_again_though_it_failed_elsewhere() -> None:
    run, there = a_run({"command": "job", "on": "all"}, fails=["app2"])
    with pytest.raises(HostsFailed):
        once.run(run, "before_switch")
    assert [one.hosts for one in there.recorded if isinstance(one, Ran)] == [["app1"]]


@pytest.mark.parametrize(
    ("live", "words"),
    [(("a", "b"), "visitors get one of two releases: fab status"), (("", ""), "visitors get nothing")],
    ids=["the proxies disagree", "nothing is live"],
)
def test_what_visitors_get_meanwhile_is_told(live: tuple[str, str], words: str) -> None:
    run, _ = a_run({"command": "job"}, live=live, fails=["app1"], action="switch")
    with pytest.raises(HostsFailed, match=words):
        once.run(run, "before_switch")


def test_what_ran_for_a_release_long_ago_does_not_run_when_it_is_staged_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look at the hosts tells the last events of the journal only."""
    run, there = a_run({"command": "job", "when": "before_start"}, action="rollback")
    whole = History((Ran("job", ["app1"], A1),))
    monkeypatch.setattr(lock, "read_journal", lambda fleet: whole)
    once.run(run, "before_start")
    assert (there.acted, there.recorded) == ([], [])


@pytest.mark.parametrize(("action", "fails"), [("release", True), ("deploy", True), ("rollback", False)])
def test_what_does_not_run_after_the_switch_need_not_be_there(action: str, fails: bool) -> None:
    run, _ = a_run({"command": "job", "when": "after_switch"}, fails=["app1"], action=action)
    with pytest.raises(HostsFailed, match="what is to run after the switch") if fails else nullcontext():
        once.require_programs(run)

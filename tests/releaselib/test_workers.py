"""Workers take over on a host: what else works there stops; here the host is a note of what it was told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import real
from releaselib import config, hooks
from releaselib.actions import phases, runner
from releaselib.actions.run import Run
from releaselib.actions.session import Session
from releaselib.decide.plan import PHASES, Aim, make
from releaselib.errors import HookFailed
from releaselib.hosts import health, slot
from releaselib.hosts.fleet import Fleet


class Journal:
    """A lock that is held and forgets what it is told."""

    def write(self, event: object, wait: bool) -> None:
        """Take an event."""


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the host is told, in order."""
    found: list[str] = []
    monkeypatch.setattr(slot, "act", lambda _, *words: found.append(" ".join(words)))
    monkeypatch.setattr(health, "check", lambda _, *words: found.append(f"health {words[0]} {words[1]}"))
    return found


def run_of(folder: Path, action: str, live: str, **keys: Any) -> Run:
    stage = real.stage(folder, proxy=[], slots=["a", "b", "c"], **keys)
    release = real.release("2.0", 2)
    plan = make(stage, real.seen({"a": None}, proxies=[]), Aim(action, PHASES[action], release, "b", stage.app, live))
    at = Session(config.Project(root=folder, name=real.PROJECT), stage, Fleet(stage))
    journal: Any = Journal()
    return Run(at, plan, real.seen({"a": None}, proxies=[]), journal, folder, hosts=list(stage.app))


JOINING = {
    "side by side": (True, ["shutdown a c"]),
    "never side by side": (False, ["shutdown a c", "start b", "health b 30"]),
}


@pytest.mark.parametrize(("overlap", "expected"), JOINING.values(), ids=JOINING)
def test_on_a_host_that_joins_the_live_workers_work_alone(
    tmp_path: Path, told: list[str], overlap: bool, expected: list[str]
) -> None:
    run = run_of(tmp_path, "join", "b", overlap=overlap)
    assert [phase.hosts for phase in run.plan.phases] == [("local",)] * 2
    phases.ACTS["join"](run)
    assert told == expected


def test_a_hook_that_fails_after_the_hand_over_says_that_the_new_release_works(
    tmp_path: Path, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def announce(plan: object) -> None:
        raise RuntimeError("nobody listens")

    run = run_of(tmp_path, "switch", "a")
    monkeypatch.setattr(hooks, "_hooks", {"post_switch": [announce]})
    monkeypatch.setitem(phases.ACTS, "health", lambda run: None)
    with pytest.raises(HookFailed, match=r"; visitors get 2\.0"):
        runner.do(run)
    assert told == ["shutdown a c"]


def test_what_fails_before_the_hand_over_leaves_no_new_worker_at_work(
    tmp_path: Path, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Run) -> None:
        raise KeyboardInterrupt

    run = run_of(tmp_path, "switch", "a")
    monkeypatch.setitem(phases.ACTS, "health", fail)
    with pytest.raises(KeyboardInterrupt):
        runner.do(run)
    assert told == ["shutdown b"]

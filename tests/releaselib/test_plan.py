"""What will be done follows from what was seen; nothing is changed to find it out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import real
from releaselib.actions.phases import ACTS
from releaselib.config.stage import Stage
from releaselib.decide.plan import AGAIN, PHASES, SWITCH, WORDS, Aim, Plan, make

ROOT = Path("/shop")
A1, B2 = real.release("1.0", 1), real.release("2.0", 2)


def stage(slots: str = "ab", **keys: Any) -> Stage:
    return real.stage(ROOT, **{"app": ["app1", "app2"], "proxy": ["proxy1"], "slots": list(slots), **keys})


RELEASE = ("build", "publish", "stage", "switch", "prove")
STEPS: dict[str, tuple[tuple[str, ...], dict[str, Any], str, tuple[str, ...]]] = {
    "release": (PHASES["release"], {}, "a", RELEASE),
    "the first release": (PHASES["release"], {}, "", RELEASE),
    "deploy": (PHASES["deploy"], {}, "a", ("stage",)),
    "quickdeploy": (PHASES["quickdeploy"], {}, "a", ("build", "publish", "stage")),
    "switch": (PHASES["switch"], {}, "a", ("health", "switch", "prove")),
    "rollback": (PHASES["rollback"], {}, "a", ("health", "switch", "prove")),
    "rollback to what is in no slot": (AGAIN, {}, "a", ("stage", "switch", "prove")),
    "release without a warm slot": (PHASES["release"], {"keep_warm": False}, "a", (*RELEASE, "stop")),
    "the first release without a warm slot": (PHASES["release"], {"keep_warm": False}, "", RELEASE),
    "rollback without a warm slot": (
        PHASES["rollback"],
        {"keep_warm": False},
        "a",
        ("health", "switch", "prove", "stop"),
    ),
    "deploy without a warm slot": (PHASES["deploy"], {"keep_warm": False}, "a", ("stage",)),
    "release with a canary": (PHASES["release"], {"canary": 1}, "a", (*RELEASE[:3], "canary", *RELEASE[3:])),
    "release that goes back by itself": (PHASES["release"], {"auto_rollback": True}, "a", (*RELEASE, "watch")),
    "the first release that could go back": (PHASES["release"], {"auto_rollback": True}, "", RELEASE),
    "rollback to what is warm": (SWITCH, {}, "a", ("switch", "prove")),
    "release of workers": (PHASES["release"], {"proxy": []}, "a", ("build", "publish", "stage", "switch")),
    "rollback of workers": (PHASES["rollback"], {"proxy": []}, "a", ("health", "switch")),
}


@pytest.mark.parametrize(("named", "keys", "live", "phases"), STEPS.values(), ids=STEPS)
def test_a_plan_has_the_phases_that_apply(
    named: tuple[str, ...], keys: dict[str, Any], live: str, phases: tuple[str, ...]
) -> None:
    assert tuple(phase.name for phase in planned(stage(**keys), named, live).phases) == phases


def planned(where: Stage, phases: tuple[str, ...], live: str = "a") -> Plan:
    slots = {"a": A1 if live else None, "b": None}
    view = real.seen(slots, proxies=[f"{live} 1.0" if live else ""] if where.proxy else [])
    release = real.release("2.0", 2, commit="0123456789abcdef")
    return make(where, view, Aim("release", phases, release, "b", where.app))


def test_a_plan_says_what_is_done_where() -> None:
    plan = planned(stage(index={"upload_url": "http://index/"}, keep_warm=False), PHASES["release"])
    assert [(phase.name, phase.hosts, phase.what) for phase in plan.phases] == [
        ("build", (), "build 2.0 from 0123456789ab in a clean clone"),
        ("publish", (), "upload to http://index/, read back, tag"),
        ("stage", ("app1", "app2"), "install 2.0 in slot b, start it, wait until every process is healthy"),
        ("switch", ("proxy1",), "point every proxy from slot a to slot b, ask nginx which release it serves"),
        ("prove", ("proxy1",), "sample every proxy, as visitors do"),
        ("stop", ("app1", "app2"), "stop the processes of slot a"),
    ]
    assert (plan.stage, plan.slot, plan.live, plan.live_version) == ("test", "b", "a", "1.0")


@pytest.mark.parametrize("phases", [PHASES["rollback"], AGAIN], ids=["warm", "cold"])
def test_a_rollback_is_not_judged_by_the_errors_of_what_it_leads_away_from(phases: tuple[str, ...]) -> None:
    where = stage(auto_rollback=True)
    assert "watch" in [phase.name for phase in planned(where, PHASES["release"]).phases]
    assert "watch" not in [phase.name for phase in planned(where, phases).phases]


def test_of_workers_the_switch_is_on_the_app_hosts_and_says_so() -> None:
    switch = planned(stage(proxy=[]), PHASES["switch"]).phases[-1]
    assert (switch.hosts, switch.what) == (("app1", "app2"), "stop the processes of slot a, which slot b replaces")


@pytest.mark.parametrize(("action", "typed"), [("release", "release"), ("join", "deploy --missing")])
def test_a_plan_tells_what_to_type_for_it_again(action: str, typed: str) -> None:
    stage = real.stage(Path("/shop"))
    plan = make(stage, real.seen({"a": None}), Aim(action, PHASES[action], real.release("2.0"), "a", stage.app))
    assert plan.command == f"fab {typed}"


def test_a_plan_can_be_for_some_hosts_only() -> None:
    where = stage()
    view = real.seen({"a": A1, "b": None})
    plan = make(where, view, Aim("deploy", PHASES["deploy"], B2, "b", where.app[:1]))
    assert [phase.hosts for phase in plan.phases] == [("app1",)]


def test_every_phase_has_words_an_act_and_a_place() -> None:
    every = {phase for phases in PHASES.values() for phase in phases}
    assert every == ACTS.keys() == WORDS.keys()

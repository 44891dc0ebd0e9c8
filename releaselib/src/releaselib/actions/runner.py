"""The one runner: carries out any plan, phase by phase, with its clock, hooks, journal and failure."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from releaselib import hooks
from releaselib.actions import early, workers
from releaselib.actions.check import checked_for, looked_at
from releaselib.actions.machines import Hosts
from releaselib.actions.phases import ACTS
from releaselib.actions.planning import planned
from releaselib.actions.run import Run
from releaselib.actions.session import now, session, who
from releaselib.actions.slots import beside_live
from releaselib.actions.switching import stop_watching
from releaselib.config import Project
from releaselib.decide.journal import Began, Failed, Report
from releaselib.decide.plan import Plan
from releaselib.decide.release import Wanted
from releaselib.decide.settings import blanked
from releaselib.errors import CommandFailed, HookFailed, HostsFailed, ReleaseError
from releaselib.hosts.connection import Unreachable
from releaselib.progress import say

BEFORE = {"build": ("pre_build",), "stage": ("pre_deploy",)}
AFTER = {"healthy": ("validate", "post_deploy"), "health": ("validate",), "switch": ("post_switch",)}
"""The hooks that stand around a phase; the slot is healthy when it is staged, or started after what runs before."""


def carry_out(project: Project, stage: str, action: str, wanted: Wanted) -> Report:
    """Lock, check, plan, and carry the plan out: what depends on others is decided while the lock is held.

    Raises ReleaseError.
    """
    with ExitStack() as stack:
        at = stack.enter_context(session(project, stage))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        at.fleet.connect_ahead([*at.stage.proxy, *looked_at(at.stage, action, wanted)])
        build = stack.enter_context(early.begun(at, action, wanted, folder / "early"))
        try:
            lock = stack.enter_context(at.locked(f"{action} {wanted.version}".strip(), wait=wanted.wait))
        except Unreachable:
            checked_for(at, action, wanted)  # which tells that too, with everything else
            raise
        seen = checked_for(at, action, wanted)
        return do(Run(at, planned(seen), seen.view, lock, folder, seen.source, build))


def do(run: Run) -> Report:
    """Every phase of a plan, in order."""
    names = [phase.name for phase in run.plan.phases]
    started = "before_start" if {"stage", "before_start"} <= set(names) else "stage"
    with _told(run):
        for phase in run.plan.phases:
            run.at.clock.phase(phase.name)
            _hooks(run, BEFORE.get(phase.name, ()))
            ACTS[phase.name](run)
            _hooks(run, AFTER.get(phase.name, ()))
            if phase.name == started:
                _hooks(run, AFTER["healthy"])
        run.at.clock.phase("")
        report = run.report()
        run.record(report)
    return report


def _hooks(run: Run, names: tuple[str, ...]) -> None:
    for name in names:
        hooks.run(name, run.plan, hosts=Hosts(run.at.fleet, run.plan.app))


def only_planned(project: Project, stage: str, action: str, wanted: Wanted) -> Plan:
    """What :func:`carry_out` would do now; nothing is done."""
    with session(project, stage, start=False) as at:
        seen = checked_for(at, action, wanted)
        plan = planned(seen)
        stages = any(phase.name == "stage" for phase in plan.phases)
        return replace(plan, settings=beside_live(at, seen.view) if stages and at.settings else {})


@contextmanager
def _told(run: Run) -> Iterator[None]:
    """Tell the journal how it began, and the journal and the hooks how it failed."""
    plan = run.plan
    run.record(Began(plan.action, who(), now(), plan.slot, plan.live, plan.release))
    try:
        yield
    except BaseException as error:
        if isinstance(error, HostsFailed) and run.switched:
            error.exit_code = CommandFailed.exit_code  # that of HostsFailed says that no switch was made
        if isinstance(error, ReleaseError):
            told = run.at.__dict__.get("settings", ())  # where they were gathered
            error.what, error.cause = (blanked(text, told) for text in (error.what, error.cause))
        if isinstance(error, HookFailed):
            error.what += f"; visitors get {run.visitors_get}"
        for sampler in run.samplers.values():
            with suppress(ReleaseError, OSError, ValueError):
                sampler.finish()
        stop_watching(run)
        workers.end_new(run)
        with suppress(ReleaseError):  # the host of the journal may be the one that failed
            words = error.what if isinstance(error, ReleaseError) else str(error)
            run.record(Failed(plan.action, words.partition("\n")[0] or type(error).__name__))
        try:
            hooks.run("on_failure", plan, error, hosts=Hosts(run.at.fleet, plan.app))
        except (Exception, KeyboardInterrupt) as second:  # it must not hide the first
            say(str(second) or type(second).__name__)
        raise

"""The switch of a stage without proxies: its workers hand over, on all hosts or on none."""

from releaselib.actions.run import Run
from releaselib.actions.session import unbroken
from releaselib.decide.journal import Switched, Switching
from releaselib.decide.seen import UNSET
from releaselib.errors import CommandFailed, HostsFailed
from releaselib.hosts import slot
from releaselib.hosts.connection import Remote
from releaselib.progress import say


def _take_over(run: Run, remote: Remote, *old: str) -> None:
    """Stop the workers of these slots on a host; where they may not work side by side, start the new ones then."""
    slot.act(remote, "shutdown", *old)
    if not run.beside:
        run.start(remote)


def join(run: Run) -> None:
    """Let the live release work alone on the hosts on which it was staged now. Raises HostsFailed."""
    old = [name for name in run.at.stage.slots if name != run.plan.slot]
    results = run.at.fleet.each(run.hosts, lambda remote: _take_over(run, remote, *old))
    results.require("hosts failed: the live release does not work there alone")


def end_new(run: Run) -> None:
    """After a failure: have no new worker at work beside the old ones. What cannot be stopped is told."""
    plan = run.plan
    if plan.proxy or run.switched or plan.slot == plan.live:
        return
    with unbroken():
        failures = run.at.fleet.each(plan.app, lambda remote: slot.act(remote, "shutdown", plan.slot)).failures
    say(f"the new workers (slot {plan.slot}) were stopped on {len(plan.app) - len(failures)} of {len(plan.app)} hosts")
    for error in failures.values():
        say(f"still at work beside the old ones: {error}")


def hand_over(run: Run) -> None:
    """Let the new workers take over from the old ones, on all hosts on which they are staged or on none."""
    plan, each = run.plan, run.at.fleet.each
    old = [plan.live] if plan.live and plan.live != plan.slot else []
    others = [name for name in run.at.stage.slots if name != plan.slot]  # what was cut off may be at work in any
    run.record(Switching(plan.slot, plan.live))  # what waits for a lock host can be interrupted
    with unbroken():
        failures = each(run.hosts, lambda remote: _take_over(run, remote, *others)).failures
        if not failures:
            run.switched = True
            run.record(Switched(plan.slot, plan.live))
            return

        def back(remote: Remote) -> None:
            slot.act(remote, "shutdown", plan.slot)
            if old:
                slot.act(remote, "start", *old)

        stuck = [f"cannot be taken back: {error}" for error in each(run.hosts, back).failures.values()]
    state = (
        f"in doubt: {len(stuck)} of {len(run.hosts)} hosts"
        if stuck
        else f"the old workers (slot {plan.live or UNSET}) work again"
    )
    raise (CommandFailed if stuck else HostsFailed)(
        f"the new workers did not take over on {len(failures)} of {len(run.hosts)} hosts; {state}",
        cause="\n".join([*map(str, failures.values()), *stuck]),
        next_step=f"fab status --stage {plan.stage}",
    )

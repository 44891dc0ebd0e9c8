"""The switch of a stage without proxies: its workers hand over, on all hosts or on none."""

from releaselib.actions.run import Run
from releaselib.actions.session import unbroken
from releaselib.decide.journal import Switched, Switching
from releaselib.decide.view import UNSET
from releaselib.errors import HostsFailed
from releaselib.hosts import health, slot
from releaselib.hosts.connection import Remote


def hand_over(run: Run) -> None:
    """Let the new workers take over from the old ones, on all hosts on which they are staged or on none."""
    plan, stage, each = run.plan, run.at.stage, run.at.fleet.each
    old = plan.live if plan.live != plan.slot else ""

    def take_over(remote: Remote) -> None:
        if old:
            slot.act(remote, "shutdown", old)
        if not stage.overlap:
            slot.act(remote, "start", plan.slot)
            health.check(remote, plan.slot, plan.release.version, stage.health_timeout)

    with unbroken():
        run.record(Switching(plan.slot, plan.live))
        failures = each(run.hosts, take_over).failures
        if not failures:
            run.record(Switched(plan.slot, plan.live))
            return

        def back(remote: Remote) -> None:
            slot.act(remote, "shutdown", plan.slot)
            if old:
                slot.act(remote, "start", old)

        stuck = [f"cannot be taken back: {error}" for error in each(run.hosts, back).failures.values()]
    state = (
        f"in doubt: {len(stuck)} of {len(run.hosts)} hosts"
        if stuck
        else f"the old workers (slot {old or UNSET}) work again"
    )
    raise HostsFailed(
        f"the new workers did not take over on {len(failures)} of {len(run.hosts)} hosts; {state}",
        cause="\n".join([*map(str, failures.values()), *stuck]),
        next_step=f"fab status --stage {plan.stage}",
    )

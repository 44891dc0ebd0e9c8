"""The canary: some hosts have their share of visitors first, and all go or all come back."""

import time

from releaselib.actions import switching
from releaselib.actions.run import Run
from releaselib.actions.session import unbroken
from releaselib.decide.watch import unseen, worse
from releaselib.errors import CommandFailed, HostsFailed, ReleaseError
from releaselib.hosts import nginx, site
from releaselib.progress import say


def canary(run: Run) -> None:
    """Let some hosts have their share of visitors first; when it is worse for these, all come back."""
    plan, stage, each = run.plan, run.at.stage, run.at.fleet.each
    switching.prepare(run)
    if not plan.live:
        say("no release is live yet, so there is nothing to compare a canary with")
        return
    switching.traffic(run, "", "start")
    try:
        each(plan.proxy, lambda remote: nginx.canary(remote, plan.slot)).require("proxies failed: canary")
        bad, numbers = _compared(run)
    except BaseException as error:
        stuck, state = _no_canary(run)
        if not isinstance(error, ReleaseError):
            say(state)
            raise
        error.what += f"; {state}"
        if stuck:
            raise CommandFailed(error.what, cause=error.cause, next_step=error.next_step) from None
        raise
    if not bad:
        say(numbers)
        return
    stuck, state = _no_canary(run)
    raise (CommandFailed if stuck else HostsFailed)(
        f"{plan.release.version} is worse for visitors than the old release; {state}",
        cause="\n".join([*bad, numbers]),
        next_step=f"fab host.logs --stage {stage.name} --slot {plan.slot}",
    )


def _compared(run: Run) -> tuple[list[str], str]:
    """Why the canary is worse for visitors than the old release, watched for a while, and the numbers of both."""
    plan, stage = run.plan, run.at.stage
    first = site.canary_hosts(stage, switching.served_by(run, plan.slot, plan.release, run.hosts))
    say(f"canary: {', '.join(host.name for host in first)} get their share of visitors for {stage.canary_seconds} s")
    bad: list[str] = []
    end = time.monotonic() + stage.canary_seconds
    while not bad and time.monotonic() < end:
        time.sleep(min(1.0, stage.canary_seconds))
        new, old = switching.traffic(run, plan.slot, "read", canary=True), switching.traffic(run, plan.live, "read")
        bad = worse(new, old, stage.max_errors)
    switching.stop_watching(run)
    return bad or unseen(new, old, site.canary_share(stage)), f"canary: {new}\nold release: {old}"


def _no_canary(run: Run) -> tuple[int, str]:
    """Let no visitor get the canary any more; on how many proxies that is in doubt, and what visitors get, in words."""
    with unbroken():
        stuck = run.at.fleet.each(run.plan.proxy, lambda remote: nginx.canary(remote, "")).failures
    state = switching.now_get(run.plan, stuck, "all visitors get the old release again")
    return len(stuck), "; ".join([state, *map(str, stuck.values())])

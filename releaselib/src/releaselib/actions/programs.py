"""What runs in the live slot only: it ends everywhere, and then starts where it belongs."""

from collections.abc import Sequence
from contextlib import suppress

from releaselib.actions.run import Run
from releaselib.actions.session import Session, session, unbroken
from releaselib.config import Project
from releaselib.config.inventory import Host, select
from releaselib.decide.problems import require_agreement
from releaselib.decide.programs import places
from releaselib.errors import HostsFailed, Refused, ReleaseError
from releaselib.hosts import slot
from releaselib.hosts.connection import Remote, Unreachable
from releaselib.progress import say


def take_over(run: Run) -> None:
    """Hand these programs over to the plan's slot, on every host of the stage that was not lost. Raises HostsFailed."""
    asked = [host for host in run.at.stage.app if host not in run.view.lost]
    hand_over(run.at, run.plan.slot, asked, run.hosts, first=not run.plan.live)


def hand_over(
    at: Session, slot_: str, asked: Sequence[Host], hosts: Sequence[Host], *, first: bool = False, to: str = ""
) -> list[str]:
    """End them in every other slot of the hosts that are asked, then start them in this one, on ``hosts``.

    What may have only one host starts on ``to``, else where it was. Of the others one that cannot be reached is
    told, and is no failure. Returns what was started nowhere, as it may run on such a host. Raises HostsFailed, once
    all was tried.
    """

    def start(remote: Remote) -> None:
        slot.go_live(remote, slot_, where.on[remote.host])
        if where.on[remote.host]:
            slot.well(remote, slot_, waiting=True)

    with unbroken():
        ended = at.fleet.each(asked, lambda remote: slot.make_way(remote, slot_))
        where = places(at.stage, hosts, ended.succeeded, first=first, to=to)
        losing = [host for host, names in where.on.items() if set(ended.succeeded.get(host, ())) - set(names)]
        gaining = [host for host in where.on if host not in losing]
        # In this order: what one host has is never on two.
        results = [at.fleet.each(some, start) for some in (losing, gaining)]
    off = {host: one for host, one in ended.failures.items() if host not in hosts and isinstance(one, Unreachable)}
    failures = {**ended.failures, **results[0].failures, **results[1].failures}
    failures = {host: one for host, one in failures.items() if host not in off}
    names = ", ".join(at.stage.waiting)
    again = f"fab scheduler.move --stage {at.stage.name}"
    for host, error in off.items():
        if mine := ", ".join(name for name in at.stage.waiting if name in at.stage.programs_on(host)):
            say(f"{error.what}; if it is at work, {mine} may run there in the old slot until: {again}")
    for name in where.unknown:
        say(f"{name} was not started: it may run on a host that cannot be reached; once that is off: {again} --to HOST")
    if failures:
        raise HostsFailed(
            f"{names} did not take over on {len(failures)} of {len(asked)} hosts",
            cause="\n".join(map(str, failures.values())),
            next_step=again,
        )
    return where.unknown


def hand_back(run: Run) -> None:
    """Have them run again in the slot that was live before, on the hosts that have it, whether or not staged now."""
    with suppress(ReleaseError):  # the error that led here is told
        hand_over(run.at, run.plan.live, run.at.stage.app, run.at.look().running(run.plan.live))


def move_programs(project: Project, stage: str, *, to: str = "") -> str:
    """Have what runs in the live slot only run where it belongs: what one host has on the host ``to``, if it can.

    The lock is held. Raises Refused, HostsFailed, also for what may run on a host that cannot be reached.
    """
    with session(project, stage, start=False) as at, at.locked("scheduler.move"):
        if not at.stage.waiting:
            raise Refused(f"stage {stage} has no program that runs in the live slot only", next_step="fab status")
        view = at.look()
        require_agreement(view)
        if not view.live:
            raise Refused("nothing is live yet", next_step="fab release")
        to = select(at.stage.app, to)[0].name if to else ""
        hosts = view.running(view.live)
        unknown = hand_over(at, view.live, [host for host in at.stage.app if host not in view.lost], hosts, to=to)
        if unknown:
            raise HostsFailed(
                f"{', '.join(unknown)} was not started anywhere: it may run on a host that cannot be reached",
                cause="\n".join(one.words for one in view.lost.values()),
                next_step="once that host is off: fab scheduler.move --to HOST",
            )
        return f"{', '.join(at.stage.waiting)} run in slot {view.live}"

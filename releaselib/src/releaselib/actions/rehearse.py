"""Rehearsals, which change nothing on hosts: whatever would stop a release, and how long a rollback would take."""

from releaselib import index
from releaselib.actions.check import attempt, checked_for, raise_all
from releaselib.actions.planning import planned
from releaselib.actions.session import session
from releaselib.actions.status import notes
from releaselib.actions.wheels import require_dependencies
from releaselib.config import Project
from releaselib.config.stage import Stage
from releaselib.decide.release import Wanted
from releaselib.decide.view import View
from releaselib.errors import ReleaseError
from releaselib.hosts import lock


def doctor(project: Project, stage: str, ref: str, exclude: str = "") -> str:
    """Everything that would stop a release, at once. Raises what a release would raise."""
    with session(project, stage) as at:
        seen = checked_for(at, "release", Wanted(ref=ref, exclude=exclude))
        view, found = seen.view, list[ReleaseError]()
        if view.history.holder:
            found.append(lock.taken(at.stage, view.history.holder))
        if view.frozen:
            found.append(lock.frozen_by(at.stage, view.frozen))
        attempt(found, lambda: planned(seen))
        attempt(found, lambda: index.of(at.stage.index).check_password())
        attempt(found, lambda: require_dependencies(at, view, seen.source.commit if seen.source else ""))
        raise_all(found)
        hosts = f"{len(view.app)} app hosts, {len(view.proxy)} proxies"
        days = [seen.certificate["days"] for seen in view.proxy.values() if seen.certificate]
        good = f"\nthe certificate is good for {min(days)} days" if days else ""
        more = good + "".join(f"\nlook at: {note}" for note in notes(view, at.stage))
        return f"nothing stands against a release to {stage} ({hosts}){_boot(at.stage, view)}{more}"


def _boot(stage: Stage, view: View) -> str:
    """What starts the app hosts' slots again after a restart of the machine, in words."""
    if stage.local or not stage.boot or not view.live:
        return ""
    kinds = {seen.boot: [h.name for h, one in view.app.items() if one.boot == seen.boot] for seen in view.app.values()}
    none = kinds.pop("", [])
    told = "".join(
        f"\nafter a restart of {len(names)} app hosts {kind} starts them again" for kind, names in kinds.items()
    )
    return told + f"\nafter a restart nothing starts on {', '.join(none)}: there is neither systemd nor cron" * bool(
        none
    )


def drill(project: Project, stage: str, exclude: str = "") -> str:
    """Rehearse a rollback: everything but the renaming of the link; says how long it would take. Raises Refused."""
    with session(project, stage) as at, at.locked("drill"):
        seen = checked_for(at, "rollback", Wanted(exclude=exclude))
        plan = planned(seen)
        at.clock.phase("")
        so_far, last = sum(at.clock.seconds.values()), seen.view.history.switch_seconds
        if plan.phases[0].name != "switch":
            names = ", ".join(phase.name for phase in plan.phases)
            return f"a rollback to {plan.release.version} (slot {plan.slot}) is not warm: it would need {names}"
        took = f"{so_far:.1f} s until here, and {last:.1f} s for the switch and its proof, as the last time"
        known = seen.view.known[plan.slot].hosts
        left = [host.name for host in at.stage.app if host.name in known and host not in plan.app]
        first = f"; before it nginx is reloaded without {', '.join(left)}, which was not tried" if left else ""
        ready = f"is ready on {len(plan.proxy)} proxies: {took}{first}"
        return f"a rollback to {plan.release.version} (slot {plan.slot}) {ready}"

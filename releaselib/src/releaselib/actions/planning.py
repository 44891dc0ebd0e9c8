"""From what is asked and what was seen to a plan: one function an action."""

from collections.abc import Callable
from dataclasses import replace

from releaselib.actions import repository, wheels
from releaselib.actions.check import checked
from releaselib.actions.session import Session, now, who
from releaselib.config.inventory import Host, select
from releaselib.decide.plan import AGAIN, MAKE, PHASES, Aim, Plan, make
from releaselib.decide.problems import require_agreement
from releaselib.decide.release import Release, Wanted
from releaselib.decide.slots import idle_slot, known_slot, rollback_slot
from releaselib.decide.view import View
from releaselib.errors import Refused
from releaselib.hosts import nginx, supervisor
from releaselib.progress import say
from releaselib.wheels import source
from releaselib.wheels.source import Source


def checked_for(at: Session, action: str, wanted: Wanted) -> tuple[View, Source | None]:
    """The check before an action, of what that needs: see :func:`releaselib.actions.check.checked`."""
    hosts = select(at.stage.app, wanted.hosts)
    if "build" not in PHASES[action]:
        return checked(at, hosts, needs_index="stage" in PHASES[action])
    if not at.stage.local:
        repository.require_token(at.project)
    return checked(at, hosts, lambda: source.find(at.project.root, wanted.ref))


def planned(at: Session, action: str, wanted: Wanted, view: View, found: Source | None) -> Plan:
    """The plan of an action, with every file that goes to the hosts. Raises Refused and ConfigError."""
    aim = _of_commit(at, action, wanted, view, found) if found else AIMS[action](at, wanted, view)
    template = at.project.template(supervisor.TEMPLATE)
    files = {"supervisord.conf": supervisor.configuration(template, at.stage, aim.release, aim.slot)}
    if at.stage.proxy:
        files["site.conf"] = nginx.site(at.project.template(nginx.TEMPLATE), at.stage)
    return replace(make(at.stage, view, aim), files=files)


def _of_commit(at: Session, action: str, wanted: Wanted, view: View, found: Source) -> Aim:
    """A commit becomes a version, in an idle slot."""
    require_agreement(view)
    version = wheels.version_of(at.project, at.stage.index, found, wanted)
    phases = PHASES[action]
    if wheels.is_published(at.project, at.stage.index, found, version):
        say(f"{version} is published already, built from this commit: taken from the index")
        phases = tuple(phase for phase in phases if phase not in MAKE)
    return Aim(action, phases, _new(at, wanted, view, version, found.commit), *_idle(at, wanted, view))


def _of_version(at: Session, wanted: Wanted, view: View) -> Aim:
    """A published version, in an idle slot."""
    require_agreement(view)
    version = wheels.published(at.project, at.stage.index, wanted.version)
    before = view.history.release(version)
    commit = before.commit if before else wheels.commit_of(at.project, version)
    release = _new(at, wanted, view, version, commit)
    return Aim("deploy", PHASES["deploy"], release, *_idle(at, wanted, view))


def _idle(at: Session, wanted: Wanted, view: View) -> tuple[str, tuple[Host, ...]]:
    return idle_slot(at.stage, view.live, wanted.slot), select(at.stage.app, wanted.hosts)


def _new(at: Session, wanted: Wanted, view: View, version: str, commit: str) -> Release:
    number, profile = view.staged + 1, wanted.profile or at.stage.profile
    return Release(at.project.name, version, commit, number, number, now(), who(), profile)


def _to_slot(at: Session, wanted: Wanted, view: View) -> Aim:
    """What a slot holds; by default the one after the live slot."""
    to = known_slot(at.stage, wanted.slot or idle_slot(at.stage, view.live))
    release = view.release(to)
    if not release:
        raise Refused(f"slot {to} is empty; there is nothing to switch to", next_step="fab status")
    return Aim("switch", PHASES["switch"], release, to, at.stage.app)


def _back(at: Session, wanted: Wanted, view: View) -> Aim:
    """The release before the live one, or a version; staged again where no slot holds it on enough hosts.

    It is the same release then, with its old serial number: going back once more leads further back.
    """
    slot = rollback_slot(view, at.stage, wanted.version)
    release = view.release(slot)
    if release and len(view.holders(slot)) >= len(at.stage.app) - at.stage.max_failures:
        return Aim("rollback", PHASES["rollback"], release, slot, at.stage.app)
    if not release:
        wheels.published(at.project, at.stage.index, wanted.version)
        release = wheels.released_before(at.fleet, wanted.version)
    say(f"{release.version} is not warm; it is staged again")
    again = replace(release, staged=view.staged + 1)
    return Aim("rollback", AGAIN, again, slot or idle_slot(at.stage, view.live), at.stage.app)


AIMS: dict[str, Callable[[Session, Wanted, View], Aim]] = {
    "deploy": _of_version,
    "switch": _to_slot,
    "rollback": _back,
}

"""From what is asked and what was seen to a plan: one function an action."""

import textwrap
from collections.abc import Callable
from dataclasses import replace

from releaselib.actions import wheels
from releaselib.actions.check import Seen, meant
from releaselib.actions.session import now, who
from releaselib.config.inventory import Host
from releaselib.decide import versions
from releaselib.decide.budget import Budget
from releaselib.decide.journal import Began
from releaselib.decide.plan import AFTER, AGAIN, COLD, PHASES, Aim, Plan, make
from releaselib.decide.problems import require_agreement
from releaselib.decide.release import Release
from releaselib.decide.slots import idle_slot, known_slot, rollback_slot
from releaselib.errors import ConfigError, Refused
from releaselib.hosts import health, nginx, site, supervisor
from releaselib.progress import say


def planned(seen: Seen) -> Plan:
    """The plan of an action, with every file that goes to the hosts. Raises Refused and ConfigError."""
    at, aim = seen.at, AIMS[seen.action](seen)
    files = {}
    if "stage" in aim.phases:
        _ = at.settings  # what is missing is told before anything is built
        files = supervisor.files(at.stage, aim.release, aim.slot, at.project.template)
    if at.stage.proxy and (aim.phases[0] != "switch"):
        files["site.conf"] = site.text(at.project.template(site.TEMPLATE), at.stage)
    return replace(make(at.stage, seen.view, aim), files=files)


def _of_commit(seen: Seen) -> Aim:
    """A commit becomes a version, in an idle slot; what was cut off before goes on."""
    assert seen.source  # noqa: S101  it was checked with its commit
    at, wanted, view, found = seen.at, seen.wanted, seen.view, seen.source
    before = _cut_off(seen, found.commit)
    if before and before.release and before.slot in {one.slot for one in view.proxy.values()}:
        if wanted.canary_only:
            raise Refused(
                f"{before.what} was cut off in its switch: some visitors get it already",
                next_step="fab release goes on with it, fab rollback takes it back",
            )
        say(f"going on with {before.what}, which some visitors get already")
        phases = tuple(name for name in PHASES[seen.action] if name in AFTER)
        hosts = meant(at.stage, "switch", wanted)
        return Aim(seen.action, phases, before.release, before.slot, hosts, live=before.live)
    require_agreement(view)
    if before and before.release:
        say(f"going on with {before.what}")
        release = replace(before.release, staged=_number(seen))
    else:
        version = wheels.version_of(at.project, at.stage.index, found, wanted)
        release = _new(seen, version, found.commit)
    phases = PHASES[seen.action]
    if wheels.is_published(at.project, at.stage.index, found, release.version):
        say(f"{release.version} is published already, built from this commit: taken from the index")
        phases = tuple(phase for phase in phases if phase != "build")
    if wanted.canary_only:
        if not at.stage.canary:
            raise ConfigError(f"stage {at.stage.name} has no canary", next_step="set canary = 1 in release.toml")
        phases = phases[: phases.index("canary") + 1]
    return Aim("canary" if wanted.canary_only else seen.action, phases, release, *_idle(seen))


def _cut_off(seen: Seen, commit: str) -> Began | None:
    """The last action, when it was the same one and did not come to its end."""
    before, wanted = seen.view.history.open, seen.wanted
    if not before or not before.release or before.action != seen.action:
        return None
    release, profile = before.release, wanted.profile or seen.at.stage.profile
    same = (release.commit, release.profile) == (commit, profile)
    return before if same and versions.is_meant(release.version, wanted.version, wanted.name) else None


def _of_version(seen: Seen) -> Aim:
    """A published version, in an idle slot."""
    at, view = seen.at, seen.view
    require_agreement(view)
    version = wheels.published(at.project, at.stage.index, seen.wanted.version)
    before = view.history.release(version)
    commit = before.commit if before else wheels.commit_of(at.project, version)
    return Aim(seen.action, PHASES[seen.action], _new(seen, version, commit), *_idle(seen))


def _idle(seen: Seen) -> tuple[str, tuple[Host, ...]]:
    return idle_slot(seen.at.stage, seen.view.live, seen.wanted.slot), seen.hosts


def _new(seen: Seen, version: str, commit: str) -> Release:
    number = _number(seen)
    profile = seen.wanted.profile or seen.at.stage.profile
    return Release(seen.at.project.name, version, commit, number, number, now(), who(), profile)


def _number(seen: Seen) -> int:
    """The number of this staging, higher than any there was, also where the hosts of the lock were made anew."""
    return max(seen.at.fleet.fence, seen.view.staged + 1)


def _to_slot(seen: Seen) -> Aim:
    """What a slot holds; by default the one after the live slot."""
    stage, wanted = seen.at.stage, seen.wanted
    if not wanted.slot and not seen.view.live:
        raise Refused(
            "it is not clear which slot is live, so not either which one is meant",
            cause=seen.view.split,
            next_step=f"fab status --stage {stage.name}, then fab switch --stage {stage.name} --slot SLOT",
        )
    to = known_slot(stage, wanted.slot or idle_slot(stage, seen.view.live))
    if warm := _warm(seen, to):
        return warm
    return _held(seen, to)


def _back(seen: Seen) -> Aim:
    """The release that was live before, or a version; staged again where no slot holds it on enough hosts.

    It is the same release then, with its old serial number: going back once more leads further back. What is
    warm needs neither the index nor the app hosts, only the proxies.
    """
    at, asked = seen.at, str(versions.parse(seen.wanted.version)) if seen.wanted.version else ""
    slot = _older(seen, asked)
    if slot and (warm := _warm(seen, slot)):
        return warm
    view = seen.all()
    try:
        slot = rollback_slot(view, at.stage, asked)
    except Refused:  # what was warm is gone: a release that failed was staged in its slot
        slot, asked = "", wheels.version_before(at.fleet, view.release(view.live))
        if not asked:
            raise
    budget = Budget(at.stage.max_failures, len(seen.hosts))
    if slot and len(seen.hosts) - len(view.holders(slot)) <= budget.allowed:
        return _held(seen, slot)
    release = view.release(slot) if slot else None
    if not release:
        wheels.published(at.project, at.stage.index, asked)
        release = wheels.released_before(at.fleet, asked)
    say(f"{release.version} is not warm; it is staged again")
    again = replace(release, staged=_number(seen))
    return Aim(seen.action, AGAIN, again, slot or idle_slot(at.stage, view.live), seen.hosts)


def _older(seen: Seen, asked: str) -> str:
    """The slot to go back to, as far as the proxies know of one."""
    try:
        return rollback_slot(seen.view, seen.at.stage, asked)
    except Refused:  # the app hosts may know more
        return ""


def _warm(seen: Seen, slot: str) -> Aim | None:
    """The aim of a switch to a slot that every proxy knows and sees healthy now; it needs no app host.

    They are asked while the lock is held: a plan that is only printed takes their word for it.
    """
    at, served = seen.at, seen.view.known_to_all(slot)
    if served and seen.wanted.exclude:  # else also from hosts that release.toml has no more
        served = served.among(seen.hosts)
    if not served or not served.hosts:
        return None
    asked = health.of_warm(at.stage, served)
    results = at.fleet.each(at.stage.proxy if at.fleet.fence else (), lambda remote: nginx.ready(remote, asked))
    for error in results.failures.values():
        cause = f": {textwrap.shorten(error.cause, 300)}" if error.cause else ""
        say(f"slot {slot} is not warm: {error.what}{cause}")
    if results.failures:
        return None
    phases = tuple(name for name in PHASES[seen.action] if name not in COLD)
    return Aim(seen.action, phases, served.release, slot, seen.hosts)


def _joining(seen: Seen) -> Aim:
    """The live release comes to the hosts from which visitors are not served, in the live slot there."""
    at, view = seen.at, seen.view
    require_agreement(view)
    release = view.release(view.live)
    if not release:
        raise Refused("nothing is live yet that could be brought to a host", next_step="fab release")
    missing = view.left_out(seen.hosts)
    if not missing:
        raise Refused("no host is left out", next_step=f"fab status --stage {at.stage.name}")
    return Aim(seen.action, PHASES[seen.action], replace(release, staged=_number(seen)), view.live, tuple(missing))


def _syncing(seen: Seen) -> Aim:
    """The proxies serve from what they did, without the hosts that are in release.toml no more."""
    require_agreement(seen.view)
    served = seen.view.served(seen.view.live)
    if not served:
        raise Refused("nothing is live yet", next_step="fab release")
    return Aim(seen.action, PHASES[seen.action], served.release, seen.view.live, ())


def _held(seen: Seen, slot: str) -> Aim:
    """The aim of a switch to what the app hosts hold in a slot, started where it does not run."""
    release = seen.all().release(slot)
    if not release:
        raise Refused(f"slot {slot} is empty; there is nothing to switch to", next_step="fab status")
    return Aim(seen.action, PHASES[seen.action], release, slot, seen.hosts)


AIMS: dict[str, Callable[[Seen], Aim]] = {
    "release": _of_commit,
    "quickdeploy": _of_commit,
    "deploy": _of_version,
    "switch": _to_slot,
    "rollback": _back,
    "join": _joining,
    "sync": _syncing,
}

"""Looks at a stage that change nothing: status, history, lock."""

import json
from dataclasses import dataclass, field

from releaselib.actions.session import now, session, who
from releaselib.config import Project
from releaselib.config.stage import Stage
from releaselib.decide.journal import Event
from releaselib.decide.problems import problems
from releaselib.decide.programs import astray, down
from releaselib.decide.seen import UNSET, SlotSeen
from releaselib.decide.slots import rollback_slot
from releaselib.decide.view import View
from releaselib.errors import ConfigError, Refused
from releaselib.hosts import lock
from releaselib.output import table

SOON = 21
"""Days before its end from which a certificate is told of."""


@dataclass(frozen=True)
class Status:
    """A stage as it is: the live slot, a row a host, what is warm, and what needs a look."""

    stage: str
    live: str
    version: str
    url: str
    rows: list[tuple[str, str, str, str, str]]
    warm: list[str]
    notes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        head = f"{self.stage}: {self.version or UNSET} is live (slot {self.live or UNSET})"
        rows = table(("host", "slot", "version", "state", "released"), self.rows)
        warm, notes = [f"warm: {one}" for one in self.warm], [f"look at: {one}" for one in self.notes]
        return "\n".join(line for line in (head, rows, *warm, *notes) if line)


def status(project: Project, stage: str) -> Status:
    """See every host; never fails because of a host, but tells it."""
    with session(project, stage, start=False) as at:
        return described(at.stage, at.look())


def described(stage: Stage, view: View) -> Status:
    """A view as rows for people: host, slot, version, state, since. Pure."""
    out = view.left_out(stage.app)
    rows = [
        (
            host.name,
            name,
            one.release.version if one.release else UNSET,
            state,
            one.release.released if one.release else "",
        )
        for host, seen in view.app.items()
        for name, one in seen.slots.items()
        for state in [_state(view, name, one, host in out)]
    ]
    rows += [
        (
            host.name,
            "nginx",
            seen.version or UNSET,
            f"slot {seen.slot or UNSET}{'' if seen.works else ', not served'}",
            "",
        )
        for host, seen in view.proxy.items()
    ]
    warm = [
        f"slot {name}: {found.version} on {len(hosts)} of {len(stage.app)} hosts"
        for name in stage.slots
        if name != view.live and (found := view.release(name)) and (hosts := view.warm(name))
    ]
    try:
        back = rollback_slot(view, stage)
        warm = [f"{words}: fab rollback leads there" if words.startswith(f"slot {back}:") else words for words in warm]
    except Refused:  # there is nothing to go back to
        pass
    return Status(stage.name, view.live, view.version, stage.address, rows, warm, notes(view, stage))


def _state(view: View, name: str, one: SlotSeen, left_out: bool) -> str:
    if not one.release:
        return "empty"
    state = "live" if name == view.live else "warm" if one.healthy and one.running else "idle"
    state = "left out" if left_out and name == view.live else state
    return state if one.running else f"{state}, stopped"


def notes(view: View, stage: Stage) -> list[str]:
    """What needs a look, in words. Pure."""
    this = f"--stage {stage.name}"
    notes = [*problems(view, stage), *(lost.words for lost in view.lost.values())]
    if view.history.holder:
        notes.append(lock.taken(stage, view.history.holder).what)
    elif began := view.history.cut_off:
        way_back = f", or fab rollback {this}" if view.half_done else ""
        notes.append(f"{began.what} by {began.who} ({began.when}) was cut off: run it again{way_back}")
    if view.frozen:
        notes.append(lock.frozen_by(stage, view.frozen).what)
    if view.split:
        notes.append(f"the proxies do not agree: fab switch {this} --slot SLOT puts all on one")
    notes += _of_proxies(view, this)
    out = [host.name for host in view.left_out(stage.app) if view.behind or host not in view.lost]
    if gone := [name for name in out if name in view.behind]:
        notes.append(f"{view.version} does not run there: {', '.join(gone)}: fab deploy --missing {this}")
    if out := [name for name in out if name not in view.behind]:
        notes.append(f"left out, no visitor gets there: {', '.join(out)}: fab deploy --missing {this}")
    notes += [f"{words}: fab scheduler.move {this}" for words in astray(stage, view)]
    notes += [f"{words}: fab host.logs {this} --slot {slot}" for slot, words in down(view)]
    served, names = view.served(view.live), {host.name for host in stage.app}
    if served and (gone := [name for name in served.hosts if name not in names]):
        notes.append(f"visitors get to hosts that are not in release.toml: {', '.join(gone)}: fab nginx.sync {this}")
    return notes


def _of_proxies(view: View, this: str) -> list[str]:
    notes = [
        f"{host.name}: nginx {'does not run' if not seen.loaded else 'does not serve that'}: fab nginx.setup {this}"
        for host, seen in view.proxy.items()
        if view.live and not seen.works and seen.linked
    ]
    notes += [
        f"{host.name}: its certificate ends in {seen.certificate['days']} days"
        for host, seen in view.proxy.items()
        if 0 <= seen.certificate.get("days", SOON) < SOON
    ]
    notes += [
        f"{host.name}: everybody gets the maintenance page: fab maintenance.off {this}"
        for host, seen in view.proxy.items()
        if seen.maintenance
    ]
    notes += [
        f"slot {slot} has the canary's share of visitors: fab switch {this} --slot {slot}, or fab rollback {this}"
        for slot in sorted({seen.canary for seen in view.proxy.values()} - {""})
    ]
    return notes


def history(project: Project, stage: str, number: int) -> list[Event]:
    """The last events of the stage's journal. Raises ConfigError unless ``number`` is 1 or more."""
    if number < 1:
        raise ConfigError(f"--number {number} would show nothing", next_step="fab history --number 20")
    with session(project, stage, start=False) as at:
        return list(lock.read_journal(at.fleet, number).events)


def lock_state(project: Project, stage: str) -> str:
    """Whether somebody holds the lock of a stage, or has frozen it: who, since when and for what."""
    with session(project, stage, start=False) as at:
        view = at.look(at.stage.lock_hosts if not at.stage.proxy else ())
        if view.frozen:
            return lock.frozen_by(at.stage, view.frozen).what
        holder = view.history.holder
        return lock.taken(at.stage, holder).what if holder else f"{stage} is not locked"


def freeze(project: Project, stage: str, why: str) -> str:
    """Nobody releases to the stage until it is thawed; the empty text thaws it. Raises ConfigError, Locked."""
    with (
        session(project, stage, start=False) as at,
        at.locked("lock.hold" if why else "lock.release", frozen=True) as held,
    ):
        told = json.dumps({"who": who(), "when": now(), "why": " ".join(why.split())})
        held.tell(f"freeze {told}" if why else "thaw")
    return f"{stage} is frozen: {why}" if why else f"{stage} is open for releases"

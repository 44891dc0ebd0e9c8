"""Looks at a stage that change nothing: status, history, lock, doctor."""

from dataclasses import dataclass, field

from releaselib import index
from releaselib.actions.check import checked
from releaselib.actions.session import session
from releaselib.config import Project
from releaselib.config.tables import Stage
from releaselib.decide.journal import Event
from releaselib.decide.problems import problems, require_agreement
from releaselib.decide.view import UNSET, SlotSeen, View
from releaselib.errors import ConfigError
from releaselib.hosts import lock
from releaselib.output import table
from releaselib.wheels import source


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
    rows = [
        (host.name, name, one.release.version if one.release else UNSET, _state(view, name, one), _since(one))
        for host, seen in view.app.items()
        for name, one in seen.slots.items()
    ]
    rows += [
        (host.name, "nginx", seen.version or UNSET, f"slot {seen.slot or UNSET}", "")
        for host, seen in view.proxy.items()
    ]
    warm = [
        f"slot {name}: {found.version} on {len(view.running(name))} of {len(stage.app)} hosts"
        for name in stage.slots
        if name != view.live and (found := view.release(name)) and view.running(name)
    ]
    return Status(stage.name, view.live, view.version, stage.loopback, rows, warm, _notes(view, stage))


def _state(view: View, name: str, one: SlotSeen) -> str:
    if not one.release:
        return "empty"
    state = "live" if name == view.live else "warm" if one.healthy and one.running else "idle"
    return state if one.running else f"{state}, stopped"


def _since(one: SlotSeen) -> str:
    return one.release.released if one.release else ""


def _notes(view: View, stage: Stage) -> list[str]:
    """What needs a look."""
    notes = [*problems(view, stage), *(lost.words for lost in view.lost.values())]
    if view.history.locked:
        notes.append("the stage is locked: somebody is at work on it")
    if began := view.history.unfinished:
        version = began.release.version if began.release else ""
        notes.append(
            f"{began.action} {version} by {began.who} ({began.when}) was cut off; "
            "run it again, or fab rollback"
        )
    if view.split:
        notes.append("the proxies do not agree; fab switch --slot SLOT puts all on one")
    return notes


def history(project: Project, stage: str, number: int) -> list[Event]:
    """The last events of the stage's journal. Raises ConfigError unless ``number`` is 1 or more."""
    if number < 1:
        raise ConfigError(f"--number {number} would show nothing", next_step="fab history --number 20")
    with session(project, stage, start=False) as at:
        return list(lock.read_journal(at.fleet, number).events)


def doctor(project: Project, stage: str, ref: str) -> str:
    """Everything that would stop a release, at once. Raises what a release would raise."""
    with session(project, stage) as at:
        view, _ = checked(at, at.stage.app, lambda: source.find(project.root, ref))
        require_agreement(view)
        index.of(at.stage.index).password()
        seen = f"{len(view.app)} app hosts, {len(view.proxy)} proxies"
        return f"nothing stands against a release to {stage} ({seen})"


def lock_state(project: Project, stage: str) -> str:
    """Whether somebody holds the lock of a stage: who, since when and for what."""
    with session(project, stage, start=False) as at:
        found = lock.read_journal(at.fleet, 50)
        if not found.locked:
            return f"{stage} is not locked"
        return f"{stage} is locked by {lock.holder(found.last_began)}"

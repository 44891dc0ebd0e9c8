"""The journal of a stage: its events as types, one writer and one reader, and what follows from them.

An event is a line of JSON (docs/journal.md). A line that cannot be read, or is of a kind that only a
newer library knows, is passed over.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from typing import get_args

from releaselib.decide.release import Release, release_of

SWITCHES = ("release", "rollback", "switch")
"""The actions after which visitors get another release."""


@dataclass(frozen=True)
class Began:
    """An action has begun; the lock is held."""

    action: str = ""
    who: str = ""
    when: str = ""
    slot: str = ""
    live: str = ""
    release: Release | None = None
    event: str = field(default="began", init=False)

    @property
    def what(self) -> str:
        """The action and its version."""
        return f"{self.action} {self.release.version if self.release else ''}".rstrip()

    @property
    def line(self) -> str:
        """The event in one line."""
        return in_line(self.when, self.event, self.what)


@dataclass(frozen=True)
class Staged:
    """A release is complete and healthy in a slot of these hosts."""

    slot: str = ""
    hosts: list[str] = field(default_factory=list)
    release: Release | None = None
    event: str = field(default="staged", init=False)

    @property
    def line(self) -> str:
        """The event in one line."""
        return in_line("", self.event, f"{self.release.version if self.release else ''} in slot {self.slot}")


@dataclass(frozen=True)
class Ran:
    """A command that runs once for a release has run on these hosts."""

    name: str = ""
    hosts: list[str] = field(default_factory=list)
    release: Release | None = None
    event: str = field(default="ran", init=False)

    @property
    def line(self) -> str:
        """The event in one line."""
        return in_line("", self.event, f"{self.name} for {self.release.version if self.release else ''}")


@dataclass(frozen=True)
class Switching:
    """From here on visitors may get the other slot."""

    slot: str = ""
    live: str = ""
    event: str = field(default="switching", init=False)

    @property
    def line(self) -> str:
        """The event in one line."""
        return in_line("", self.event, f"to slot {self.slot}")


@dataclass(frozen=True)
class Switched(Switching):
    """All visitors get it."""

    event: str = field(default="switched", init=False)


@dataclass(frozen=True)
class Failed:
    """The action ended with an error."""

    action: str = ""
    error: str = ""
    event: str = field(default="failed", init=False)

    @property
    def line(self) -> str:
        """The event in one line."""
        return in_line("", self.event, f"{self.action} {self.error.partition(chr(10))[0]}")


@dataclass(frozen=True)
class Report:
    """The action ended well: what is where, seconds a phase, and the requests sampled at the proxies."""

    action: str = ""
    stage: str = ""
    version: str = ""
    slot: str = ""
    before: str = ""
    hosts: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    requests: int = 0
    failed: int = 0
    url: str = ""
    when: str = ""
    event: str = field(default="done", init=False)

    @property
    def line(self) -> str:
        """The event in one line."""
        return in_line(self.when, self.event, f"{self.action} {self.version}")

    def __str__(self) -> str:
        phases = ", ".join(f"{name} {seconds:.1f}" for name, seconds in self.seconds.items())
        told = [f"{self.action}: {self.version} in slot {self.slot} on {len(self.hosts)} hosts of {self.stage}"]
        if self.action in SWITCHES:
            where = f"slot {self.slot}, {len(self.hosts)} hosts; before: {self.before or '-'}"
            told = [f"{self.action}: {self.version} is live on {self.stage} ({where})"]
            told.append(f"sampled: {self.requests} requests, {self.failed} failed")
        told.append(f"seconds: {sum(self.seconds.values()):.1f} ({phases})")
        return "\n".join(told + [f"open: {self.url}"] * bool(self.url))


Event = Began | Staged | Ran | Switching | Switched | Failed | Report
KINDS: dict[str, type[Event]] = {kind.event: kind for kind in get_args(Event)}


def _key(release: Release) -> tuple[str, str]:
    return release.version, release.commit


def in_line(when: str, event: str, what: str) -> str:
    """What every event says of itself in one line."""
    return f"{when:20}  {event:10}  {what}".rstrip()


def written(event: Event) -> str:
    """An event as a line of the journal."""
    return json.dumps(asdict(event))


def read(text: str) -> Event | None:
    """A line of the journal as an event."""
    try:
        table = dict(json.loads(text))
        kind = KINDS[table.pop("event")]
    except (ValueError, TypeError, KeyError):
        return None
    said = {one.name: table[one.name] for one in fields(kind) if one.init and one.name in table}
    return kind(**said | ({"release": release_of(said["release"])} if "release" in said else {}))


@dataclass(frozen=True)
class History:
    """The events of a stage, oldest first, and who holds its lock now, since when and for what, if anybody."""

    events: tuple[Event, ...] = ()
    holder: str = ""

    @classmethod
    def of(cls, lines: Iterable[str], holder: str = "") -> "History":
        """The history that these lines tell."""
        return cls(tuple(event for text in lines if (event := read(text))), holder)

    @property
    def open(self) -> Began | None:
        """The event that began the last action, unless that was done: it was cut off, failed or is at work."""
        last = next((e for e in reversed(self.events) if isinstance(e, Began | Report)), None)
        return last if isinstance(last, Began) else None

    @property
    def cut_off(self) -> Began | None:
        """The event that began an action which neither ended nor failed: it is at work, or was cut off."""
        last = next((e for e in reversed(self.events) if isinstance(e, Began | Report | Failed)), None)
        return last if isinstance(last, Began) else None

    @property
    def live(self) -> str:
        """The slot that the last switch led to, or the empty text."""
        for event in reversed(self.events):
            if isinstance(event, Switched) or (isinstance(event, Report) and event.action in SWITCHES):
                return event.slot
        return ""

    @property
    def switch_seconds(self) -> float:
        """How long the last switch and its proof took."""
        done = next((e for e in reversed(self.events) if isinstance(e, Report) and "switch" in e.seconds), None)
        return done.seconds["switch"] + done.seconds.get("prove", 0.0) if done else 0.0

    def release(self, version: str) -> Release | None:
        """The release with which that version was staged last, its wheels included."""
        found = (event.release for event in reversed(self.events) if isinstance(event, Staged))
        return next((release for release in found if release and release.version == version), None)

    def before(self, serial: int) -> str:
        """The version that visitors had, or that workers ran, before the release of that number; or the empty text."""
        had: dict[int, str] = {}
        began = Began()
        for event in self.events:
            if isinstance(event, Began):
                began = event
            elif isinstance(event, Switched) and began.release and event.slot == began.slot:
                had[began.release.serial] = began.release.version
            elif isinstance(event, Switched) and began.release:  # it was taken back
                had.pop(began.release.serial, None)
        return max(((number, version) for number, version in had.items() if number < serial), default=(0, ""))[1]

    def ran(self, name: str, release: Release) -> set[str]:
        """The hosts on which the command of that name has run for the release, whichever time it was staged."""
        found = [one for one in self.events if isinstance(one, Ran) and one.name == name and one.release]
        same = [one for one in found if one.release and _key(one.release) == _key(release)]
        return {host for one in same for host in one.hosts}

    @property
    def staged(self) -> int:
        """The highest number of a staging that was begun."""
        found = (event.release for event in self.events if isinstance(event, Began))
        return max((release.turn[0] for release in found if release), default=0)

"""What was seen of a stage, as values: slots, hosts, and the whole as a View."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from releaselib.config.inventory import Host
from releaselib.decide.journal import History
from releaselib.decide.release import Release, release_of

UNSET = "-"
"""What nginx says it serves before the first switch."""


@dataclass(frozen=True)
class SlotSeen:
    """A slot on one host: what is in it, whether its supervisord runs, whether it became healthy."""

    release: Release | None
    running: bool
    healthy: bool


@dataclass(frozen=True)
class Listener:
    """Who listens on a port of a slot: pid and command, as far as they can be seen; ours: the slot itself."""

    port: int
    slot: str
    pid: str
    command: str
    ours: bool


@dataclass(frozen=True)
class AppSeen:
    """What was seen on an app host."""

    python: str
    machine: str
    slots: dict[str, SlotSeen]
    ports: tuple[Listener, ...] = ()

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> "AppSeen":
        """The same from the form that `facts.py` prints."""
        slots = {
            name: SlotSeen(release_of(one["release"]), one["running"], one["healthy"])
            for name, one in table["slots"].items()
        }
        ports = tuple(Listener(**port) for port in table["ports"])
        return cls(table["python"], table["machine"], slots, ports)


@dataclass(frozen=True)
class ProxySeen:
    """What was seen on a proxy: the slot and version that nginx says it serves, if any.

    ``file`` is the slot that its upstream file means, also while nginx does not run. ``answers``: nginx says
    what it serves, be it nothing yet; ``listener`` is the command of whoever has its port.
    """

    slot: str
    version: str
    site: bool
    draining: int = 0
    file: str = ""
    program: str = ""
    listener: str = ""
    answers: bool = True

    @property
    def serves(self) -> str:
        """What it serves, in the words of its nginx."""
        return f"{self.slot} {self.version}" if self.slot else UNSET


@dataclass(frozen=True)
class Lost:
    """Why a host could not be looked at.

    ``unready``: it was reached, but somebody has to mend it: no Python, a host key that is not the known one.
    """

    words: str
    unready: bool = False


@dataclass(frozen=True)
class View:
    """The hosts of a stage as they were seen at one moment, and what its journal tells."""

    app: dict[Host, AppSeen]
    proxy: dict[Host, ProxySeen]
    lost: dict[Host, Lost] = field(default_factory=dict)
    history: History = field(default_factory=History)
    workers: bool = False

    @property
    def any_app(self) -> "AppSeen":
        """One of the app hosts that were seen."""
        return next(iter(self.app.values()))

    @property
    def live(self) -> str:
        """The live slot; the empty text before the first switch and while the proxies disagree.

        A stage of workers has no proxy to ask: its journal tells, and where that is silent the newest slot
        that runs.
        """
        if self.workers:
            return self.history.live or self._newest_running()
        slots = {seen.slot for seen in self.proxy.values()}
        return slots.pop() if len(slots) == 1 else ""

    def _newest_running(self) -> str:
        found = [
            (one.release.serial, name)
            for seen in self.app.values()
            for name, one in seen.slots.items()
            if one.release and one.running and one.healthy
        ]
        return max(found, default=(0, ""))[1]

    @property
    def split(self) -> str:
        """What each proxy serves, when they do not agree; else the empty text."""
        lines = [f"{host.name}: {seen.serves}" for host, seen in self.proxy.items()]
        return "\n".join(lines) if len({seen.serves for seen in self.proxy.values()}) > 1 else ""

    @property
    def version(self) -> str:
        """The version that visitors get, or that workers run; or the empty text."""
        if self.workers:
            found = self.release(self.live)
            return found.version if found else ""
        return next((seen.version for seen in self.proxy.values() if self.live), "")

    def release(self, slot: str) -> Release | None:
        """The release that the slot was made for last, on any app host."""
        found = [seen.slots[slot].release for seen in self.app.values() if slot in seen.slots]
        return max((release for release in found if release), key=lambda r: r.turn, default=None)

    def holders(self, slot: str) -> list[Host]:
        """The app hosts on which that release is complete in the slot, running or not."""
        wanted, seen = self.release(slot), self.app.items()
        return [
            h for h, one in seen if wanted and one.slots[slot].release == wanted and one.slots[slot].healthy
        ]

    def running(self, slot: str) -> list[Host]:
        """Those of them on which it also runs: the slot is warm there."""
        return [host for host in self.holders(slot) if self.app[host].slots[slot].running]

    @property
    def staged(self) -> int:
        """The highest number of a staging that any host or the journal tells."""
        found = [one.release.turn[0] for a in self.app.values() for one in a.slots.values() if one.release]
        return max([*found, self.history.staged])

    def moved(self, before: "View") -> bool:
        """Whether somebody has begun an action, or switched, since that earlier view."""
        served = [{host: seen.slot for host, seen in view.proxy.items()} for view in (self, before)]
        return served[0] != served[1] or self.history.last_began != before.history.last_began

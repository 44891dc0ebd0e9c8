"""The hosts of a stage as they were seen, together, as one value."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from releaselib.config.inventory import Host
from releaselib.decide.journal import SWITCHES, Began, History
from releaselib.decide.release import Release
from releaselib.decide.seen import AppSeen, Lost, ProxySeen, Served


@dataclass(frozen=True)
class View:
    """The hosts of a stage as they were seen at one moment, and what its journal tells.

    ``frozen`` is who froze the stage, when and why, as JSON.
    """

    app: dict[Host, AppSeen]
    proxy: dict[Host, ProxySeen]
    lost: dict[Host, Lost] = field(default_factory=dict)
    history: History = field(default_factory=History)
    frozen: str = ""
    workers: bool = False

    @property
    def any_app(self) -> "AppSeen":
        """The app host with the oldest Python of those that were seen: what suits that suits all."""
        return min(self.app.values(), key=lambda seen: [int(part) for part in re.findall(r"\d+", seen.python)[:3]])

    @property
    def live(self) -> str:
        """The live slot; the empty text before the first switch and while the proxies disagree.

        It is what the proxies' links say, whether or not their nginx runs; a proxy that is new says nothing.
        Where none says anything, as on a stage of workers, the last switch in the journal tells; and for
        workers, where that is silent, the newest slot that runs.
        """
        slots = {seen.slot for seen in self.proxy.values() if seen.slot}
        if slots:
            return slots.pop() if len(slots) == 1 else ""
        return self.history.live or (self._newest_running() if self.workers else "")

    def _newest_running(self) -> str:
        found = [
            (one.release.serial, name)
            for seen in self.app.values()
            for name, one in seen.slots.items()
            if one.release and one.running and one.healthy
        ]
        return max(found, default=(0, ""))[1]

    @property
    def half_done(self) -> Began | None:
        """The switch that was cut off when something was changed already: one whose slot holds what it held is not."""
        began = self.history.cut_off
        if not began or began.action not in SWITCHES:
            return None
        held = self.release(began.slot)
        return None if held and began.release and held.turn < began.release.turn else began

    @property
    def split(self) -> str:
        """What each proxy serves, when they do not agree; else the empty text."""
        lines = [f"{host.name}: {seen.serves}" for host, seen in self.proxy.items()]
        slots = {seen.slot for seen in self.proxy.values() if seen.slot}
        return "\n".join(lines) if len(slots) > 1 else ""

    @property
    def version(self) -> str:
        """The version that visitors get, or that workers run; or the empty text."""
        found = self.release(self.live)
        return found.version if found else ""

    @property
    def serving(self) -> list[str]:
        """The slots that visitors are sent to by any proxy, the canary's too, or in which workers work."""
        seen = {slot for one in self.proxy.values() for slot in (one.slot, one.canary)}
        return sorted({*seen, self.live} - {""})

    def served(self, slot: str) -> Served | None:
        """What the proxies know of a slot; where they differ, what it was made for last."""
        found = [seen.slots[slot] for seen in self.proxy.values() if slot in seen.slots]
        return max(found, key=lambda one: one.release.turn, default=None)

    def known_to_all(self, slot: str) -> Served | None:
        """The same, of a slot that every proxy knows."""
        return self.served(slot) if all(slot in seen.slots for seen in self.proxy.values()) else None

    @property
    def known(self) -> dict[str, Served]:
        """The same of every slot that any proxy knows."""
        slots = sorted({slot for seen in self.proxy.values() for slot in seen.slots})
        return {slot: found for slot in slots if (found := self.served(slot))}

    def release(self, slot: str) -> Release | None:
        """What the proxies know the slot by, which is what a switch to it would serve, or does.

        One of the hosts may hold another release there, which was excluded. Where not all proxies know the slot, as
        while it is staged, it is what it was made for last, on any app host.
        """
        found = [seen.slots[slot].release for seen in self.app.values() if slot in seen.slots]
        newest = max((release for release in found if release), key=lambda r: r.turn, default=None)
        known = self.served(slot) if slot == self.live else self.known_to_all(slot)
        if known and known.release.project:
            return known.release
        served = self.served(slot)
        return newest or (served.release if served else None)

    @property
    def behind(self) -> set[str]:
        """The names of the hosts from which any proxy serves the live slot; none on a stage without proxies."""
        return {name for seen in self.proxy.values() if (s := seen.slots.get(self.live)) for name in s.hosts}

    def left_out(self, hosts: Iterable[Host]) -> list[Host]:
        """Those of the app hosts without the live release: no visitor is sent there, or it does not run there.

        What was not seen counts as running: of a host that is lost, or in a slot that release.toml has no more.
        """
        behind, running = self.behind, self.running(self.live) if self.live else []
        if behind:
            idle = [host for host, one in self.app.items() if self.live in one.slots and host not in running]
            return [host for host in hosts if host.name not in behind or host in idle]
        return [host for host in hosts if host not in running] if self.workers and running else []

    def holders(self, slot: str) -> list[Host]:
        """The app hosts on which that release is complete in the slot, running or not."""
        wanted = self.release(slot)
        slots = {host: one.slots[slot] for host, one in self.app.items() if slot in one.slots}
        return [host for host, one in slots.items() if wanted and one.release == wanted and one.healthy]

    def running(self, slot: str) -> list[Host]:
        """Those of them on which it also runs: the slot is warm there."""
        return [host for host in self.holders(slot) if self.app[host].slots[slot].running]

    def warm(self, slot: str) -> list[Host]:
        """Those of them that a switch would send visitors to: all, as long as not every proxy knows the slot."""
        known = self.known_to_all(slot)
        return [host for host in self.running(slot) if not known or not known.hosts or host.name in known.hosts]

    @property
    def staged(self) -> int:
        """The highest number of a staging that any host or the journal tells."""
        found = [one.release.turn[0] for a in self.app.values() for one in a.slots.values() if one.release]
        known = [one.release.turn[0] for one in self.known.values()]
        return max([*found, *known, self.history.staged])

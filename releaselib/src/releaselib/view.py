"""What was seen of a stage, as values: releases, slots, hosts, and the whole as a View. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from releaselib.hosts import Host

UNSET = "-"
"""What nginx says it serves before the first switch."""


@dataclass(frozen=True)
class Release:
    """One version of the project as it stands in a slot.

    ``serial`` counts the releases of a stage, so that no clock decides which one came before;
    ``released`` (ISO 8601, UTC) and ``who`` are for people; ``wheels`` maps name to version.
    """

    project: str
    version: str
    commit: str = ""
    serial: int = 0
    released: str = ""
    who: str = ""
    profile: str = ""
    wheels: dict[str, str] = field(default_factory=dict)


def release_of(table: Mapping[str, Any] | None) -> Release | None:
    """A Release from its JSON form; keys of a newer library are passed over."""
    if not table:
        return None
    known = {f.name for f in fields(Release)}
    return Release(**{key: value for key, value in table.items() if key in known})


@dataclass(frozen=True)
class Slot:
    """A slot on one host: what is in it, whether its supervisord runs, whether it became healthy."""

    release: Release | None
    running: bool
    healthy: bool


@dataclass(frozen=True)
class App:
    """What was seen on an app host."""

    python: str
    machine: str
    slots: dict[str, Slot]


@dataclass(frozen=True)
class Proxy:
    """What was seen on a proxy: the slot and version that nginx says it serves, if any.

    ``file`` is the slot that its upstream file means, also while nginx does not run.
    """

    slot: str
    version: str
    set_up: bool
    draining: int = 0
    file: str = ""


@dataclass(frozen=True)
class View:
    """The hosts of a stage as they were seen, and the problems that were met, host by host.

    ``unready`` are those of the lost that somebody has to mend, though they could be reached: no
    Python, a host key that is not the known one. ``locked`` tells that somebody is at work.
    """

    app: dict[Host, App]
    proxy: dict[Host, Proxy]
    lost: dict[Host, str] = field(default_factory=dict)
    workers: bool = False
    unready: frozenset[Host] = frozenset()
    locked: bool = False

    @property
    def any_app(self) -> App:
        """One of the app hosts that were seen."""
        return next(iter(self.app.values()))

    @property
    def live(self) -> str:
        """The live slot; the empty text before the first switch and while the proxies disagree.

        On a stage of workers, which has no proxy to ask, it is the newest slot that runs.
        """
        if self.workers:
            return self._newest_running()
        slots = {seen.slot for seen in self.proxy.values()}
        return slots.pop() if len(slots) == 1 else ""

    def _newest_running(self) -> str:
        names = {
            name
            for app in self.app.values()
            for name, slot in app.slots.items()
            if slot.running and slot.healthy
        }
        found = [(release.serial, name) for name in names if (release := self.release(name))]
        return max(found, default=(0, ""))[1]

    @property
    def split(self) -> str:
        """What each proxy serves, when they do not agree; else the empty text."""
        served = {f"{seen.slot} {seen.version}".strip() for seen in self.proxy.values()}
        lines = [f"{host.name}: {seen.slot or UNSET} {seen.version}" for host, seen in self.proxy.items()]
        return "\n".join(lines) if len(served) > 1 else ""

    @property
    def version(self) -> str:
        """The version that visitors get, or that workers run; or the empty text."""
        if self.workers:
            found = self.release(self.live)
            return found.version if found else ""
        return next((seen.version for seen in self.proxy.values() if self.live), "")

    def release(self, slot: str) -> Release | None:
        """The newest release that any app host has in that slot."""
        found = [s.slots[slot].release for s in self.app.values() if slot in s.slots]
        return max((r for r in found if r), key=lambda r: r.serial, default=None)

    def holders(self, slot: str) -> list[Host]:
        """The app hosts on which that release is complete in the slot, running or not."""
        wanted = self.release(slot)
        return [
            host
            for host, seen in self.app.items()
            if wanted and seen.slots[slot].release == wanted and seen.slots[slot].healthy
        ]

    def running(self, slot: str) -> list[Host]:
        """Those of them on which it also runs: the slot is warm there."""
        return [host for host in self.holders(slot) if self.app[host].slots[slot].running]

    def serial(self) -> int:
        """The highest serial number of any release on any host."""
        return max(
            (s.release.serial for app in self.app.values() for s in app.slots.values() if s.release),
            default=0,
        )

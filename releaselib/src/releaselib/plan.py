"""What will be done, as a value: decided from what was seen, before anything is changed. Pure.

A :class:`Plan` is made of a :class:`releaselib.view.View` and then carried out, printed (``--plan``)
or written to the journal.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from releaselib.errors import ConfigError, Refused
from releaselib.hosts import Host
from releaselib.settings import Stage
from releaselib.view import UNSET, Release, View


def idle_slot(stage: Stage, live: str, asked: str = "") -> str:
    """The slot to stage in: the one after the live slot, or the one asked for.

    Raises ConfigError for a slot that the stage does not have, Refused for the live one.
    """
    slots = stage.settings.slots
    if asked and asked not in slots:
        raise ConfigError(
            f"stage {stage.name} has no slot {asked!r}", next_step=f"use one of: {', '.join(slots)}"
        )
    if asked and asked == live:
        raise Refused(
            f"slot {asked} is live; visitors are served from it",
            next_step="use another slot, or none to let the release choose",
        )
    return asked or (slots[(slots.index(live) + 1) % len(slots)] if live in slots else slots[0])


def rollback_slot(view: View, stage: Stage, version: str = "") -> str:
    """The slot to go back to, or the empty text when the wanted version is in none.

    Without a version it is the release that came before the live one; raises Refused when there is
    none, so that a second rollback does not lead forward again. While the proxies disagree, the newest
    release that one of them serves counts as the live one.
    """
    served = {view.live} if view.live else {seen.slot for seen in view.proxy.values()}
    live = max((r for s in served if (r := view.release(s))), key=lambda r: r.serial, default=None)
    idle = [
        (r.serial, slot, r)
        for slot in stage.settings.slots
        if slot != view.live and (r := view.release(slot))
    ]
    if version:
        return max(((n, slot) for n, slot, r in idle if r.version == version), default=(0, ""))[1]
    older = [(n, slot) for n, slot, r in idle if live is None or n < live.serial]
    if not older:
        newer = ", ".join(r.version for _, _, r in idle) or "nothing"
        raise Refused(
            f"rollback: no slot holds a release older than the live one ({view.version or UNSET}); "
            f"beside it there is {newer}",
            next_step="fab rollback --version V stages an older version again; fab history lists them",
        )
    return max(older)[1]


@dataclass(frozen=True)
class Step:
    """One phase of a plan: its name, the hosts it works on, and what it does in words."""

    phase: str
    hosts: tuple[str, ...]
    what: str


@dataclass(frozen=True)
class Plan:
    """A release, deploy, switch or rollback before it is carried out.

    ``files`` maps the name of a file on the hosts to its text.
    """

    action: str
    stage: str
    release: Release
    slot: str
    live: str
    live_version: str
    app: tuple[Host, ...]
    proxy: tuple[Host, ...]
    steps: tuple[Step, ...]
    files: dict[str, str] = field(default_factory=dict)


WORDS = {
    "build": "build {version} from {commit} in a clean clone",
    "publish": "upload to {index}, read back, tag",
    "lock": "lock the stage and open its journal",
    "stage": "install {version} in slot {slot}, start it, wait until every process is healthy",
    "health": "start slot {slot} where it does not run, ask every process for its health",
    "switch": "point nginx from slot {live} to slot {slot}, ask it which release it serves",
    "prove": "sample every proxy, wait for old workers",
    "stop": "stop the processes of slot {live}",
    "record": "write the outcome to the journal",
}
PHASES = {
    "release": ("build", "publish", "lock", "stage", "switch", "prove", "stop", "record"),
    "deploy": ("lock", "stage", "record"),
    "quickdeploy": ("build", "publish", "lock", "stage", "record"),
    "switch": ("lock", "health", "switch", "prove", "stop", "record"),
    "rollback": ("lock", "health", "switch", "prove", "stop", "record"),
}
ON = {"stage": "app", "health": "app", "stop": "app", "switch": "proxy", "prove": "proxy"}


def make(
    action: str,
    stage: Stage,
    view: View,
    release: Release,
    slot: str,
    *,
    app: tuple[Host, ...] = (),
    files: dict[str, str] | None = None,
) -> Plan:
    """The plan of an action: which steps, on which hosts, from which slot to which."""
    hosts = {"app": app or stage.app, "proxy": stage.proxy}
    words = {
        "version": release.version,
        "commit": release.commit[:12],
        "index": stage.index.upload_url,
        "slot": slot,
        "live": view.live or UNSET,
    }
    steps = tuple(
        Step(
            phase, tuple(host.name for host in hosts.get(ON.get(phase, ""), ())), WORDS[phase].format(**words)
        )
        for phase in PHASES[action]
        if _applies(phase, stage, view.live, slot)
    )
    return Plan(
        action,
        stage.name,
        release,
        slot,
        view.live,
        view.version,
        hosts["app"],
        hosts["proxy"],
        steps,
        files or {},
    )


def _applies(phase: str, stage: Stage, live: str, slot: str) -> bool:
    """Proxies are switched where there are some; an old slot is stopped if it is not kept warm."""
    if phase == "stop":
        return stops(stage, live, slot)
    return bool(stage.proxy) or ON.get(phase) != "proxy"


def stops(stage: Stage, live: str, slot: str) -> bool:
    """Whether the old slot is stopped at the end: always for workers, which have no visitors to keep."""
    return bool(live) and live != slot and not (stage.keep_warm and stage.proxy)

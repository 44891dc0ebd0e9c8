"""Which slot an action is about: the idle one, the one to go back to."""

from releaselib.config.stage import Stage
from releaselib.decide.seen import UNSET
from releaselib.decide.view import View
from releaselib.errors import ConfigError, Refused


def known_slot(stage: Stage, name: str) -> str:
    """The slot itself. Raises ConfigError when the stage has none of that name."""
    if name not in stage.slots:
        raise ConfigError(
            f"stage {stage.name} has no slot {name or UNSET!r}", next_step=f"use one of: {', '.join(stage.slots)}"
        )
    return name


def idle_slot(stage: Stage, live: str, asked: str = "") -> str:
    """The slot to stage in: the one after the live slot, or the one asked for.

    Raises ConfigError for a slot that the stage does not have, Refused for the live one.
    """
    if asked and known_slot(stage, asked) == live:
        raise Refused(
            f"slot {asked} is live; visitors are served from it",
            next_step="use another slot, or none to let the release choose",
        )
    slots = stage.slots
    return asked or (slots[(slots.index(live) + 1) % len(slots)] if live in slots else slots[0])


def rollback_slot(view: View, stage: Stage, version: str = "") -> str:
    """The slot to go back to, or the empty text when the wanted version is in none.

    Without a version it is the release that came before the live one; raises Refused when there is
    none, so that a second rollback does not lead forward again. While the proxies disagree, the newest
    release that one of them serves counts as the live one. A switch that was cut off, and a canary, are taken back.
    """
    if not version and (slot := _cut_off(view)) and view.release(slot):
        return slot
    served = {view.live} if view.live else {seen.slot for seen in view.proxy.values()}
    live = max((r for s in served if (r := view.release(s))), key=lambda r: r.serial, default=None)
    idle = [(r.serial, slot, r) for slot in stage.slots if slot != view.live and (r := view.release(slot))]
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


def _cut_off(view: View) -> str:
    """The slot that visitors had before a switch that was cut off, or have beside the canary; a rollback's goes on."""
    if began := view.half_done:
        return began.slot if began.action == "rollback" else began.live
    return view.live if any(seen.canary for seen in view.proxy.values()) else ""

"""Single acts on the slots of a stage: validate, supervise, remove."""

import functools
import secrets
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from releaselib.actions.session import Session, session
from releaselib.config import Project
from releaselib.config.inventory import Host, select
from releaselib.config.stage import Stage
from releaselib.config.tables import OwnIndex
from releaselib.decide.problems import require_proxies
from releaselib.decide.release import NOTHING, Wanted
from releaselib.decide.seen import UNSET
from releaselib.decide.settings import Shown, compared, on_host
from releaselib.decide.slots import known_slot
from releaselib.decide.view import View
from releaselib.errors import CommandFailed, Refused
from releaselib.hosts import health, nginx, slot
from releaselib.hosts.connection import Remote
from releaselib.index import pypiserver
from releaselib.progress import say


def validate(project: Project, stage: str, wanted: Wanted = NOTHING) -> str:
    """Ask every process of a slot (the live one by default), on every host. Raises HostsFailed."""
    with session(project, stage, start=False) as at:
        view = at.look()
        chosen = known_slot(at.stage, wanted.slot or view.live)
        found = view.release(chosen)
        if not found:
            raise Refused(f"slot {chosen} is empty", next_step="fab status")
        hosts, holders = select(at.stage.app, wanted.hosts), view.holders(chosen)

        def ask(remote: Remote) -> str:
            if remote.host not in holders:
                raise CommandFailed(f"{remote.host.name}: slot {chosen} does not hold {found.version} there")
            health.check(remote, chosen)
            return "healthy"

        at.fleet.each(hosts, ask).named("hosts failed: validate")
        where = f"{len(hosts)} hosts, {at.stage.processes} processes each"
        return f"slot {chosen} ({found.version}) is healthy on {where}"


def supervise(
    project: Project, stage: str, action: str, wanted: Wanted = NOTHING, *, yes: bool = False
) -> dict[str, str]:
    """One of `slot.ACTIONS` on a slot (the live one by default) of every host, under the lock; host -> answer.

    What visitors are served from is stopped only with ``yes``. Raises Refused, HostsFailed.
    """
    with (
        session(project, stage, start=False) as at,
        at.locked(f"supervisor.{action}") if action != "status" else nullcontext(),
    ):
        view = at.look(() if at.stage.proxy else None)
        chosen = known_slot(at.stage, wanted.slot or view.live)
        if action in STOPS and chosen in view.serving:
            require_yes(at.stage, view, f"supervisor.{action}", yes)
        results = at.fleet.each(
            select(at.stage.app, wanted.hosts), lambda remote: slot.act(remote, action, chosen).strip()
        )
        return results.named(f"hosts failed: supervisor.{action}")


STOPS = ("stop", "shutdown", "restart", "reload")
"""Of `slot.ACTIONS` those after which nobody is served, be it for a moment only."""


def remove(
    project: Project, stage: str, wanted: Wanted = NOTHING, *, everything: bool = False, yes: bool = False
) -> str:
    """Stop and remove a slot under the lock; the live one only with everything else of the stage, and ``yes``.

    ``everything`` is all slots and, unless only some hosts are meant, the stage's own nginx and index. Raises
    Refused, HostsFailed.
    """
    with session(project, stage, start=False) as at:
        chosen = at.stage.slots if everything else (known_slot(at.stage, wanted.slot),)
        hosts, whole = select(at.stage.app, wanted.hosts), everything and not wanted.hosts
        with at.locked("slot.remove"):
            if whole:
                require_yes(at.stage, at.look(()), "slot.remove --all", yes)
            else:
                view = at.look(()) if at.stage.proxy else at.look()
                require_proxies(view, at.stage)
                if everything:
                    _require_left_out(view, hosts)
                else:
                    _require_idle(view, chosen)
                for name in (name for name in chosen if name not in view.serving):
                    at.fleet.each(at.stage.proxy, functools.partial(nginx.retire, slot=name)).require(
                        "proxies failed: slot.remove"
                    )
            if whole and at.stage.nginx == "own":
                at.fleet.each(at.stage.proxy, lambda remote: nginx.control(remote, "stop")).require(
                    "proxies failed: nginx.stop"
                )
            at.fleet.each(hosts, lambda remote: slot.act(remote, "remove", *chosen)).require(
                "hosts failed: slot.remove"
            )
        own = at.stage.index
        if whole and isinstance(own, OwnIndex) and pypiserver.stop(Path(own.folder)):
            say("index stopped")
        return f"removed: slot {', '.join(chosen)} on {len(hosts)} hosts"


def require_yes(stage: Stage, view: View, command: str, yes: bool) -> None:
    """Raise Refused for what ends the service of a stage on real hosts, unless that was said to be meant."""
    if view.serving and not stage.local and not yes:
        slots = f"slots {', '.join(view.serving)} serve"
        if len(view.serving) == 1:
            slots = f"slot {view.live} ({view.version or UNSET}) serves"
        raise Refused(
            f"{slots} the visitors of {stage.name}; {command} would end that",
            next_step=f"fab {command} --stage {stage.name} --yes, if nobody is to be served; fab maintenance.on tells "
            "them why",
        )


def _require_left_out(view: View, hosts: Sequence[Host]) -> None:
    """Raise Refused where visitors are sent to one of these hosts, or the live workers work there."""
    served = [one.slots[name] for one in view.proxy.values() for name in view.serving if name in one.slots]
    names = {name for one in served for name in one.hosts}
    if busy := [host.name for host in hosts if host.name in names or host in view.running(view.live)]:
        raise Refused(
            f"visitors are served from {', '.join(busy)}",
            next_step="take them out of release.toml, then fab nginx.sync (docs/hosts.md); or without --hosts, for all",
        )


def _require_idle(view: View, chosen: tuple[str, ...]) -> None:
    """Raise Refused unless no proxy sends visitors to these slots, nor will when its nginx starts again."""
    if live := [name for name in chosen if name in view.serving]:
        raise Refused(f"slot {live[0]} is live; visitors are served from it", next_step="fab switch first")


def settings(project: Project, stage: str) -> list[Shown]:
    """Name, source, and "same", "differs", "new" or "gone" beside the live slot, of each setting; never a value."""
    with session(project, stage, start=False) as at:
        sources = {one.name: one.source for one in at.settings}
        return [Shown(name, sources.get(name, ""), how) for name, how in beside_live(at, at.look()).items()]


def beside_live(at: Session, view: View) -> dict[str, str]:
    """How each setting stands beside what one host has in the live slot: by keyed hashes, no value leaves it."""
    holders = view.holders(view.live) if view.live else []
    key, env = secrets.token_hex(), holders[0].env if holders else {}
    mine = slot.keyed({one.name: one.value for one in on_host(at.settings, env, at.stage.paths.slot(view.live))}, key)
    return compared(mine, slot.settings(at.fleet.remote(holders[0]), view.live, key) if holders else {})

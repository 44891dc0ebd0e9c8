"""nginx on the proxies: its configuration is laid down and loaded there, and switched.

A switch is the renaming of one link. nginx is reloaded before a switch, and only when its hosts, ports or site have
changed.
"""

from collections.abc import Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import Any

from releaselib.decide.seen import Served
from releaselib.decide.watch import Traffic
from releaselib.hosts import site
from releaselib.hosts.connection import Remote
from releaselib.hosts.scripts import asked, call


def configure(
    remote: Remote,
    conf: site.Configuration,
    known: Mapping[str, Served],
    *,
    adopt: str = "",
    boot: Mapping[str, str] = MappingProxyType({}),
    health: Mapping[str, Any] | None = None,
) -> None:
    """Have a configuration loaded, and what is known of each slot laid down; nothing is switched.

    nginx is reloaded when it has not loaded it yet. With ``health`` this proxy must see all behind it healthy first.
    ``adopt`` is the live slot of a proxy that has no link yet, ``boot`` what starts an own nginx after a restart.
    Raises CommandFailed with nginx's own words; then the old configuration is back in place.
    """
    stage = remote.stage
    given = {
        "health": health or {},
        "conf": conf.files,
        "slots": {slot: {"line": site.line(stage, slot, one), **asdict(one)} for slot, one in known.items()},
        "nothing.html": site.page("Nothing is released here yet", f"{stage.project} has no live release."),
        "nginx.conf": site.own(stage),
        **boot,
    }
    values: dict[str, Any] = {
        "digest": conf.digest,
        "adopt": adopt,
        "probe": stage.loopback,
        "names": stage.server_name,
    }
    hint = "visitors get the release that they got before; mend what it says, then run it again"
    call(remote, "nginx_configure.sh", **values, given=given, next_step=hint)


def ready(remote: Remote, health: Mapping[str, Any]) -> None:
    """Have what lies there loaded, and see the processes healthy that are asked: nothing else is needed to switch.

    nginx is reloaded only when it runs with something else, or not at all. Raises CommandFailed.
    """
    given = {"health": health, "conf": {}, "slots": {}, "nothing.html": "", "nginx.conf": ""}
    values: dict[str, Any] = {"digest": "", "adopt": "", "probe": remote.stage.loopback, "names": ""}
    call(remote, "nginx_configure.sh", **values, given=given, next_step="fab status")


def switch(remote: Remote, slot: str, serves: str) -> None:
    """Let visitors get that slot (none, for the empty text), and ask nginx for it. Raises CommandFailed."""
    values: dict[str, Any] = {"slot": slot, "serves": serves, "probe": remote.stage.loopback}
    call(remote, "nginx_switch.sh", **values, next_step="fab status")


def retire(remote: Remote, slot: str) -> int:
    """Wait until no request is open to a slot, then forget it, so that nobody switches to it.

    Returns how many were still open after ``drain_timeout`` seconds. Raises CommandFailed for the live slot.
    """
    return _open(remote, slot, "yes")


def open_requests(remote: Remote, slot: str) -> int:
    """Wait until no request is open to a slot; how many are, after ``drain_timeout`` seconds."""
    return _open(remote, slot, "no")


def _open(remote: Remote, slot: str, retire: str) -> int:
    limit = remote.stage.drain_timeout
    return int(asked(remote, "nginx_open.sh", slot=slot, limit=limit, retire=retire, seconds=limit))


def canary(remote: Remote, slot: str) -> None:
    """Let a share of visitors get the canary hosts of a slot; none, for the empty text. Raises CommandFailed."""
    call(remote, "nginx_canary.sh", slot=slot, next_step="fab status")


def watch(remote: Remote, action: str) -> dict[str, Traffic]:
    """``start``, ``read`` or ``stop`` to have nginx write down how requests go; upstream -> traffic since start."""
    told = asked(remote, "nginx_watch.sh", action=action, next_step="fab status")
    return {name: Traffic(*counts) for name, counts in told.items()}


def maintenance(remote: Remote, text: str) -> None:
    """Answer everybody with 503 and a page that says ``text``; the empty text ends that. Raises CommandFailed."""
    given = {"maintenance.html": site.page("Maintenance", text)} if text else {}
    hint = f"fab nginx.setup --stage {remote.stage.name}"
    call(remote, "nginx_maintenance.sh", action="on" if text else "off", given=given, next_step=hint)


def control(remote: Remote, action: str) -> str:
    """``test``, ``start``, ``reload`` or ``stop``. Raises CommandFailed with nginx's own words."""
    return call(remote, "nginx_control.sh", action=action, next_step=f"fab nginx.{action}")

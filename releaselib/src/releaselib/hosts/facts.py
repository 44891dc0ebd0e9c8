"""The look at hosts before anything is done; it changes nothing."""

import json
from collections.abc import Sequence
from typing import Any

from releaselib.config.inventory import Host
from releaselib.config.stage import Stage
from releaselib.decide.journal import History
from releaselib.decide.seen import AppSeen, Lost, ProxySeen
from releaselib.decide.view import View
from releaselib.errors import ReleaseError
from releaselib.hosts.connection import Distrusted, Remote, Unreachable
from releaselib.hosts.fleet import Fleet
from releaselib.hosts.scripts import asked

LINES = 200
"""How much of the journal is seen with each look: what happened lately."""


def wanted(stage: Stage, host: Host, *roles: str) -> dict[str, Any]:
    """What `facts.py` is to look at on a host of these roles. Pure."""
    return {
        "paths": stage.paths.variables,
        "ports": {slot: stage.all_ports(slot) for slot in stage.slots} if "app" in roles else {},
        "probe": stage.loopback if "proxy" in roles else "",
        "listen": [stage.listen_port, stage.probe_port],
        "sudo": stage.sudo,
        "tls": [stage.tls.certificate, stage.tls.key] if stage.tls and stage.secure and "proxy" in roles else [],
        "journal": LINES if host in stage.lock_hosts else 0,
    }


def facts(remote: Remote, *roles: str) -> dict[str, Any]:
    """What one host holds now as app or proxy, in the form that `facts.py` prints. Raises CommandFailed."""
    hint = "apt-get install python3 there, or set python of the stage"
    what = json.dumps(wanted(remote.stage, remote.host, *roles))
    return dict(asked(remote, "facts.sh", wanted=what, next_step=hint))


def look(fleet: Fleet, app: Sequence[Host]) -> View:
    """See these app hosts and every proxy, and what the journal tells.

    A host that cannot be looked at is in ``view.lost`` with its reason. One that has seen a higher number of the lock
    than that which is held (of hosts of the lock that were made anew) has it raised. Raises CommandFailed when that
    was lost.
    """
    stage = fleet.stage
    roles = {"app": set(app), "proxy": set(stage.proxy)}

    def see(remote: Remote) -> dict[str, Any]:
        return facts(remote, *(role for role, hosts in roles.items() if remote.host in hosts))

    results = fleet.each(list(dict.fromkeys((*stage.proxy, *app))), see)
    seen, tables = results.succeeded, list(results.succeeded.values())
    fleet.outnumber(max((int(table["fence"]) for table in tables), default=0))
    longest = max(tables, key=lambda table: int(table["lines"]), default={"journal": ()})
    return View(
        {host: AppSeen.of(seen[host]) for host in app if host in seen},
        {host: ProxySeen.of(seen[host]["proxy"]) for host in stage.proxy if host in seen},
        {host: _lost(error) for host, error in results.failures.items()},
        History.of(longest["journal"], next((table["locked"] for table in tables if table["locked"]), "")),
        next((table["frozen"] for table in tables if table["frozen"]), ""),
        not stage.proxy,
    )


def _lost(error: ReleaseError) -> Lost:
    return Lost(str(error), isinstance(error, Distrusted) or not isinstance(error, Unreachable))

"""The look at hosts before anything is done; it changes nothing."""

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


def wanted(stage: Stage, host: Host, role: str) -> dict[str, Any]:
    """What `facts.py` is to look at on a host of that role. Pure."""
    return {
        "paths": stage.paths.variables,
        "ports": {slot: stage.all_ports(slot) for slot in stage.slots} if role == "app" else {},
        "probe": stage.loopback if role == "proxy" else "",
        "listen": [stage.listen_port, stage.probe_port],
        "sudo": stage.sudo,
        "journal": LINES if host in stage.lock_hosts else 0,
    }


def facts(remote: Remote, role: str) -> dict[str, Any]:
    """What one host holds now, in the form that `facts.py` prints. Raises CommandFailed."""
    given = wanted(remote.stage, remote.host, role)
    hint = "apt-get install python3 there, or set python of the stage"
    return dict(asked(remote, "facts.sh", given=given, next_step=hint))


def look(fleet: Fleet, app: Sequence[Host]) -> View:
    """See these app hosts, then every proxy, and what the journal tells.

    A host that cannot be looked at is in ``view.lost`` with its reason.
    """
    stage = fleet.stage
    apps = fleet.each(app, lambda remote: facts(remote, "app"))
    proxies = fleet.each(stage.proxy, lambda remote: facts(remote, "proxy"))
    tables = [*proxies.succeeded.values(), *apps.succeeded.values()]
    longest = max(tables, key=lambda table: int(table["lines"]), default={"journal": ()})
    return View(
        {host: AppSeen.of(table) for host, table in apps.succeeded.items()},
        {host: ProxySeen.of(table["proxy"]) for host, table in proxies.succeeded.items()},
        {host: _lost(error) for host, error in (apps.failures | proxies.failures).items()},
        History.of(longest["journal"], next((table["locked"] for table in tables if table["locked"]), "")),
        next((table["frozen"] for table in tables if table["frozen"]), ""),
        not stage.proxy,
    )


def _lost(error: ReleaseError) -> Lost:
    return Lost(str(error), isinstance(error, Distrusted) or not isinstance(error, Unreachable))

"""Asking processes for their health: on their own host, or from a proxy."""

from collections.abc import Sequence
from typing import Any

from releaselib.config.inventory import Host
from releaselib.config.stage import Stage
from releaselib.decide.budget import Budget
from releaselib.decide.programs import processes
from releaselib.decide.seen import Served
from releaselib.errors import CommandFailed
from releaselib.hosts.connection import Remote
from releaselib.hosts.scripts import asked


def question(stage: Stage, targets: Sequence[str], version: str, *, timeout: int = 0) -> dict[str, Any]:
    """What `health.py` is to ask: these processes (address:port), for this version. Pure."""
    return {
        "targets": list(targets),
        "path": stage.health,
        "headers": _headers(stage) | stage.health_headers,
        "status": stage.health_status,
        "body": stage.health_body,
        "version": version if stage.health_version else "",
        "timeout": timeout,
        "allowed": 0,
        "wake": "",
    }


def of_warm(stage: Stage, served: Served) -> dict[str, Any]:
    """What a proxy is to ask of a slot that was healthy before: as much as the failure budget says may fail. Pure."""
    allowed = Budget(stage.max_failures, len(served.hosts)).allowed * stage.processes
    return question(stage, served.servers, served.release.version, timeout=2) | {"allowed": allowed}


def _headers(stage: Stage) -> dict[str, str]:
    """What nginx tells a process of a visitor's request, too."""
    site = {"Host": stage.site_name} if stage.site_name else {}
    return site | ({"X-Forwarded-Proto": "https"} if stage.secure else {})


def own(stage: Stage, slot: str, host: Host) -> list[str]:
    """The processes of a slot as their own host reaches them, those of a program with the path that it has. Pure."""
    paths = {name: one.health for name, one in stage.programs_on(host).items() if one.health.startswith("/")}
    beside = [f"127.0.0.1:{port}{path}" for name, path in paths.items() for port in stage.ports_of(name, slot)]
    return [*(f"127.0.0.1:{port}" for port in stage.ports(slot)), *beside]


def at_start(stage: Stage, slot: str, version: str, host: Host) -> dict[str, Any]:
    """What is asked while a slot starts: its supervisord is woken, and may say that it is in vain. Pure."""
    asked = question(stage, own(stage, slot, host), version, timeout=stage.health_timeout)
    programs = stage.programs_on(host).items()
    beside = [p for name, one in programs if not (one.health or one.waits) for p in processes(name, one.processes)]
    elsewhere = [p for name, one in programs if one.waits for p in processes(name, one.processes)]
    return asked | {"wake": stage.paths.socket(slot), "programs": beside, "elsewhere": elsewhere}


def check(remote: Remote, slot: str, timeout: int = 0) -> None:
    """Ask every process of a slot on its own host, for ``timeout`` seconds, as when it was staged.

    Raises CommandFailed.
    """
    failing = dict(asked(remote, "health.sh", slot=slot, limit=timeout, seconds=timeout))
    if failing:
        raise CommandFailed(
            f"{remote.host.name}: slot {slot} is not healthy",
            cause="\n".join(f"{target}: {words}" for target, words in failing.items()),
            next_step=f"fab supervisor.status --stage {remote.stage.name} --slot {slot}",
        )

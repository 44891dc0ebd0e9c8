"""Asking every process of a slot for its health: on its own host, or from a proxy."""

from collections.abc import Sequence
from typing import Any

from releaselib.config.tables import Stage
from releaselib.hosts.connection import Remote
from releaselib.hosts.scripts import call
from releaselib.process import quoted


def question(
    stage: Stage, slot: str, version: str, *, hosts: Sequence[str] = ("127.0.0.1",), timeout: int = 0
) -> dict[str, Any]:
    """What `health.py` is to ask: every process of the slot, for this version. Pure."""
    return {
        "targets": [f"{host}:{port}" for host in hosts for port in stage.ports(slot)],
        "path": stage.health,
        "version": version if stage.health_version else "",
        "timeout": timeout,
        "dead": [],
        "wake": "",
    }


def at_start(stage: Stage, slot: str, version: str) -> dict[str, Any]:
    """The same while the slot starts: its supervisord is woken, and may say that waiting is in vain. Pure."""
    folder = stage.paths.slot(slot)
    control = quoted([f"{folder}/tools/bin/supervisorctl", "-c", f"{folder}/supervisord.conf", "status"])
    watched = {"dead": ["sh", "-c", f"{control} | grep -q FATAL"], "wake": stage.paths.socket(slot)}
    return question(stage, slot, version, timeout=stage.health_timeout) | watched


def check(remote: Remote, slot: str, version: str, timeout: int = 0) -> None:
    """Ask every process of a slot on its own host, for ``timeout`` seconds. Raises CommandFailed."""
    asked = question(remote.stage, slot, version, timeout=timeout)
    call(remote, "health.sh", given=asked, seconds=timeout, next_step="fab supervisor.status")

"""A slot on a host: its files, staging a release in it, and what can be done with it later."""

from __future__ import annotations

import json
import os
from typing import Any

from releaselib import output, shell
from releaselib.errors import ConfigError
from releaselib.fleet import Remote, call
from releaselib.index import File
from releaselib.settings import Stage
from releaselib.view import Release

WHY = {
    69: "there is no such Python on this host",
    70: "the slot's folder cannot be written",
    71: "the tools cannot be installed",
    72: "the release cannot be installed",
    73: "supervisord does not start",
    74: "not every process became healthy",
    75: "another release is at work on this host",
}
SOCKET = "run/supervisor.sock"
LONGEST = 99
"""Bytes of that socket's path: 107 fit (unix(7)), and supervisord puts its pid behind it for a moment."""
ACTIONS = ("status", "start", "stop", "restart", "reload", "shutdown", "remove")


def values(stage: Stage, release: Release, slot: str, *, package: str) -> dict[str, Any]:
    """What the project's supervisord template can use. Pure. Raises ConfigError for too long a prefix."""
    folder = f"{stage.prefix}/slots/{slot}"
    if len(os.fsencode(f"{folder}/{SOCKET}")) > LONGEST:
        raise ConfigError(
            f"stages.{stage.name}.prefix: supervisord can make no socket in so long a path: {stage.prefix}",
            next_step=f"set a prefix of {LONGEST - len(f'/slots/{slot}/{SOCKET}')} bytes or less",
        )
    return {
        "project": release.project,
        "package": package,
        "slot": slot,
        "profile": release.profile,
        "run_root": folder,
        "venv_dir": f"{folder}/venv",
        "port": stage.settings.ports(slot)[0],
        "process_count": stage.settings.processes,
        "bind": stage.bind,
        "username": stage.user,
        "version": release.version,
        "commit": release.commit,
        "released": release.released,
    }


def health(
    stage: Stage,
    slot: str,
    version: str,
    *,
    hosts: tuple[str, ...] = ("127.0.0.1",),
    timeout: int | None = None,
    watch: bool = False,
) -> dict[str, Any]:
    """What `health.py` is to ask: every process of the slot, for this version. Pure."""
    folder = f"{stage.prefix}/slots/{slot}"
    control = (
        f"{shell.quoted([f'{folder}/tools/bin/supervisorctl', '-c', f'{folder}/supervisord.conf'])} status"
    )
    settings = stage.settings
    return {
        "targets": [f"{host}:{port}" for host in hosts for port in settings.ports(slot)],
        "path": settings.health,
        "version": version if settings.health_version else "",
        "timeout": settings.health_timeout if timeout is None else timeout,
        "dead": ["sh", "-c", f"{control} | grep -q FATAL"] if watch else [],
        "wake": f"{folder}/{SOCKET}" if watch else "",
    }


def files(
    stage: Stage, release: Release, slot: str, *, supervisord: str, requirements: str, tools: str
) -> dict[str, str]:
    """Every file of a slot that comes from here, by its name. Pure."""
    return {
        "supervisord.conf": supervisord,
        "requirements.txt": requirements,
        "tools.txt": tools,
        "release.json": output.as_json(release),
        "fetch.py": shell.text("fetch.py"),
        "health.py": shell.text("health.py"),
        "health.json": json.dumps(health(stage, slot, release.version, watch=True)),
    }


def stage_release(remote: Remote, stage: Stage, slot: str, content: dict[str, str], uv: File | None) -> None:
    """Install, start and health-check a release in an idle slot of one host; visitors notice nothing.

    Raises CommandFailed with the phase and the last lines of whatever failed.
    """
    call(
        remote,
        "stage.sh",
        stage.prefix,
        slot,
        stage.python,
        stage.index.url,
        uv.url if uv else "",
        uv.sha256 if uv else "",
        files=content,
        why=WHY,
        next_step=f"fab host.logs --hosts {remote.host.name} --slot {slot} shows more; then release again",
    )


def check_health(remote: Remote, stage: Stage, slot: str, version: str, timeout: int = 0) -> None:
    """Ask every process of a slot on its own host, for ``timeout`` seconds. Raises CommandFailed."""
    wanted = json.dumps(health(stage, slot, version, timeout=timeout))
    call(
        remote,
        "health.sh",
        stage.python,
        files={"health.py": shell.text("health.py"), "health.json": wanted},
        why={1: f"slot {slot} is not healthy"},
        next_step="fab supervisor.status",
    )


def act(remote: Remote, stage: Stage, action: str, *slots: str) -> str:
    """One of ACTIONS on slots of one host; returns supervisorctl's own words. Raises CommandFailed."""
    return call(remote, "slot.sh", stage.prefix, action, *slots, next_step="fab status")

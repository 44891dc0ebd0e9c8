"""A slot on a host: its files, staging a release in it, and what can be done with it later."""

import json
from typing import Any

from releaselib import output
from releaselib.decide.files import File
from releaselib.decide.release import Release
from releaselib.hosts.connection import Remote
from releaselib.hosts.scripts import call

ACTIONS = ("status", "start", "stop", "restart", "reload", "shutdown", "remove")


def files(
    release: Release, supervisord: str, pins: tuple[str, str], health: dict[str, Any]
) -> dict[str, str]:
    """Every file of a slot that comes from here, by its name; ``pins`` are of release and tools. Pure."""
    return {
        "supervisord.conf": supervisord,
        "requirements.txt": pins[0],
        "tools.txt": pins[1],
        "release.json": output.as_json(release),
        "health.json": json.dumps(health),
    }


def stage_release(remote: Remote, slot: str, content: dict[str, str], uv: File | None) -> None:
    """Install, start and health-check a release in an idle slot of one host; visitors notice nothing.

    Raises CommandFailed with the phase and the last lines of whatever failed.
    """
    call(
        remote,
        "slot_stage.sh",
        slot=slot,
        index=remote.stage.index.url,
        uv_url=uv.url if uv else "",
        uv_sha256=uv.sha256 if uv else "",
        given=content,
        seconds=remote.stage.health_timeout,
        next_step=f"fab host.logs --hosts {remote.host.name} --slot {slot} shows more; then release again",
    )


def act(remote: Remote, action: str, *slots: str) -> str:
    """One of ACTIONS on slots of one host; returns supervisorctl's own words. Raises CommandFailed."""
    return call(remote, "slot_act.sh", action=action, chosen=" ".join(slots), next_step="fab status")

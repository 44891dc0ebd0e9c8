"""A slot on a host: its files, staging a release in it, and what can be done with it later."""

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from releaselib import output
from releaselib.decide.files import File
from releaselib.decide.release import Release
from releaselib.errors import CommandFailed
from releaselib.hosts.connection import Remote, Running
from releaselib.hosts.scripts import asked, call, script, start, text
from releaselib.process import tail
from releaselib.progress import say

UNCOUNTED = ("release.json", "boot.sh", "boot.service", "netrc")
ACTIONS = ("status", "start", "stop", "restart", "reload", "shutdown", "remove")


def files(release: Release, supervisord: str, pins: tuple[str, str], health: dict[str, Any]) -> dict[str, Any]:
    """Every file of a slot that comes from here, by its name; ``pins`` are of release and tools. Pure."""
    return {
        **({"schedule.py": text("slot_schedule.py")} if "/schedule.py" in supervisord else {}),
        "supervisord.conf": supervisord,
        "requirements.txt": pins[0],
        "tools.txt": pins[1],
        "release.json": output.as_json(release),
        "health.json": json.dumps(health),
    }


NETRC = "netrc"
"""With what the index is read, while a slot is made."""


def digest(content: dict[str, Any]) -> str:
    """What tells one filling of a slot from another: all but who released it, and the host's. Pure."""
    whole = "\0".join(f"{name}\0{text}" for name, text in content.items() if name not in UNCOUNTED)
    return hashlib.sha256(whole.encode()).hexdigest()


def stage_release(remote: Remote, slot: str, content: dict[str, Any], uv: File | None, *, start: bool = True) -> str:
    """Install, start and health-check a release in an idle slot of one host; visitors notice nothing.

    Without ``start`` it is complete then, but does not run. Returns "kept" for a slot that held exactly this, else
    "built". Raises CommandFailed with the phase and the last lines of whatever failed.
    """
    return call(
        remote,
        "slot_stage.sh",
        slot=slot,
        digest=digest(content),
        index=remote.stage.index.url,
        egress=remote.stage.http_proxy,
        start="yes" if start else "no",
        uv_url=uv.url if uv else "",
        uv_sha256=uv.sha256 if uv else "",
        given=content | {NETRC: remote.stage.index.netrc},
        seconds=remote.stage.health_timeout + remote.stage.stop_seconds,
        next_step=f"fab host.logs --stage {remote.stage.name} --hosts {remote.host.name} --slot {slot}",
    ).strip()


def settings(remote: Remote, slot: str, key: str) -> dict[str, str]:
    """A keyed hash of each setting that a slot has on one host: see :func:`keyed`. Raises CommandFailed."""
    return dict(asked(remote, "slot_settings.sh", slot=slot, given={"key": key}, next_step="fab status"))


def keyed(values: Mapping[str, str], key: str) -> dict[str, str]:
    """HMAC-SHA256 of each value, in hex, so that two can be compared where neither is known. Pure."""
    return {name: hmac.new(key.encode(), value.encode(), "sha256").hexdigest() for name, value in values.items()}


def command(
    remote: Remote, slot: str, line: str, *, timeout: int, name: str, tell: Callable[[str], None] | None = None
) -> str:
    """Run a shell line in a slot as its processes run; what it prints is told as it comes, and returned.

    In place of a secret's value stands ``***``. ``name`` is that of the log in the slot which keeps it. Raises
    CommandFailed with its last lines.
    """
    tell = tell or (lambda words: say(f"{remote.host.name}: {words}"))
    running, said = start(remote, "slot_run.sh", slot=slot), []
    wanted = {"command": line, "timeout": timeout, "name": name, "secrets": remote.stage.secrets}
    running.send(json.dumps(wanted))
    while told := running.receive():
        if told.startswith("> "):
            said.append(told[2:])
            tell(told[2:])
    done = running.finish()
    if done.code:
        raise CommandFailed(
            f"{remote.host.name}: {line} failed ({done.last_lines})",
            cause=tail("\n".join(said)),
            next_step=f"fab host.logs --slot {slot} --hosts {remote.host.name}",
        )
    return "\n".join(said)


def well(remote: Remote, slot: str, *, waiting: bool = False) -> None:
    """Run the command that tells the health of each program there, until it does. Raises CommandFailed."""
    for name, one in remote.stage.programs_on(remote.host).items():
        if one.health and not one.health.startswith("/") and one.waits == waiting:
            line = f"until {{ {one.health}\n}}; do sleep 1; done"
            command(remote, slot, line, timeout=remote.stage.health_timeout, name=f"health-{name}")


def console(remote: Remote, slot: str, line: str) -> int:
    """Hand this terminal to a program in a slot, with the environment of its processes; its exit code."""
    return remote.terminal(script(remote.stage, "slot_console.sh", slot=slot, command=line))


def follow(remote: Remote, slot: str, lines: int, pattern: str) -> Running:
    """Start to print the logs of a slot as they grow; see slot_follow.sh."""
    return start(remote, "slot_follow.sh", slot=slot, lines=lines, pattern=pattern)


def act(remote: Remote, action: str, *slots: str) -> str:
    """One of ACTIONS on slots of one host; returns supervisorctl's own words. Raises CommandFailed."""
    limit = remote.stage.stop_seconds
    return call(remote, "slot_act.sh", action=action, chosen=" ".join(slots), seconds=limit, next_step="fab status")


def make_way(remote: Remote, slot: str) -> list[str]:
    """End what runs in the live slot only, in every other one than this; the processes that ran on that host."""
    return _live(remote, "yield", slot, ()).split()


def go_live(remote: Remote, slot: str, names: Sequence[str]) -> None:
    """Have these processes, of those that run in the live slot only, run in it. Raises CommandFailed."""
    _live(remote, "start", slot, names)


def _live(remote: Remote, action: str, slot: str, names: Sequence[str]) -> str:
    limit = remote.stage.stop_seconds
    words = {"action": action, "slot": slot, "names": " ".join(names)}
    return call(remote, "slot_live.sh", **words, seconds=limit, next_step="fab status")

"""The supervisord configuration of a slot: rendered here (pure), judged by supervisord there."""

import os
import re
import shlex
from collections.abc import Callable
from typing import Any

from releaselib.config.inventory import Host
from releaselib.config.programs import Program
from releaselib.config.stage import Stage
from releaselib.decide.release import Release
from releaselib.errors import ConfigError
from releaselib.render import render

TEMPLATE = "release.d/supervisord.conf.j2"
LONGEST = 99
"""Bytes of its socket's path: 107 fit (unix(7)), and supervisord puts its pid behind it for a moment."""


def files(stage: Stage, release: Release, slot: str, read: Callable[[str], str]) -> dict[str, str]:
    """What is rendered for a release in a slot: its supervisord.conf, and the stage's files below ``files/``.

    ``read`` gives the text of a template. Raises ConfigError.
    """
    known = values(stage, release, slot)
    placed = {f"files/{name}": render(read(one.template), known, one.template) for name, one in stage.files.items()}
    return {"supervisord.conf": configuration(read(TEMPLATE), stage, release, slot)} | placed


def configuration(template: str, stage: Stage, release: Release, slot: str, host: Host | None = None) -> str:
    """The text of supervisord.conf for a release in a slot, with the programs of one host or of all. Pure.

    Raises ConfigError.
    """
    if stage.programs and not re.search(r"\bin programs\b", template):
        raise ConfigError(
            f"{TEMPLATE} has no loop over programs: it is of an older template",
            next_step="fab template.update brings the new one (docs/programs.md shows what it must have)",
        )
    chosen = stage.programs if host is None else stage.programs_on(host)
    described = [program(stage, slot, name, one) for name, one in chosen.items()]
    return render(template, values(stage, release, slot) | {"programs": described}, TEMPLATE, escaped)


def program(stage: Stage, slot: str, name: str, one: Program) -> dict[str, Any]:
    """What the project's template can use of a program: its name, the command of each process, how it ends. Pure."""
    folder, ports = stage.paths.slot(slot), stage.ports_of(name, slot)
    if one.schedule:
        python = f"{folder}/tools/bin/python"
        commands = [shlex.join([python, f"{folder}/schedule.py", one.schedule, one.command])]
    else:
        commands = []
        for number in range(one.processes):
            filled = {"port": ports[number] if ports else "", "bind": stage.bind, "slot_dir": folder, "number": number}
            commands.append("env " + re.sub(r"\{(\w+)\}", lambda m: str(filled.get(m[1], m[0])), one.command))  # noqa: B023
    return {
        "name": name,
        "commands": commands,
        "autostart": "false" if one.waits else "true",
        "stop_seconds": one.stop_seconds,
    }


def values(stage: Stage, release: Release, slot: str) -> dict[str, Any]:
    """What the project's template can use. Pure. Raises ConfigError for too long a prefix."""
    folder, socket = stage.paths.slot(slot), stage.paths.socket(slot)
    if len(os.fsencode(socket)) > LONGEST:
        longest = LONGEST - len(socket.removeprefix(stage.prefix))
        raise ConfigError(
            f"stages.{stage.name}.prefix: supervisord can make no socket in so long a path: {stage.prefix}",
            next_step=f"set a prefix of {longest} bytes or less",
        )
    return {
        "project": release.project,
        "package": release.project.replace("-", "_"),
        "slot": slot,
        "profile": release.profile,
        "run_root": folder,
        "venv_dir": f"{folder}/venv",
        "port": stage.ports(slot)[0],
        "process_count": stage.processes,
        "bind": stage.bind,
        "username": stage.user,
        "version": release.version,
        "commit": release.commit,
        "released": release.released,
    }


def escaped(value: Any) -> Any:
    """A value as supervisord's configuration wants it: ``%`` doubled.

    Raises ConfigError for a newline, `` ;`` or `` #``, which would begin another line or a comment.
    """
    if not isinstance(value, str):
        return value
    if re.search(r"[\n\r]|\s[;#]", value):
        raise ConfigError(
            f"{TEMPLATE}: the value {value!r} has a newline, ' ;' or ' #' in it",
            next_step="change the value; supervisord would read it as something else",
        )
    return value.replace("%", "%%")

"""The supervisord configuration of a slot: rendered here (pure), judged by supervisord there."""

import os
import re
from typing import Any

from releaselib.config.stage import Stage
from releaselib.decide.release import Release
from releaselib.errors import ConfigError
from releaselib.render import render

TEMPLATE = "release.d/supervisord.conf.j2"
LONGEST = 99
"""Bytes of its socket's path: 107 fit (unix(7)), and supervisord puts its pid behind it for a moment."""


def configuration(template: str, stage: Stage, release: Release, slot: str) -> str:
    """The text of supervisord.conf for a release in a slot. Pure. Raises ConfigError."""
    return render(template, values(stage, release, slot), TEMPLATE, escaped)


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

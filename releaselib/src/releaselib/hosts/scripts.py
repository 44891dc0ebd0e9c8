"""The scripts that run on hosts: how one is sent, and what its exit code means.

They are POSIX sh, with ``common.sh`` in front, and Python of the standard library where JSON, HTTP or /proc
is asked for. No file has to be on the host before: a script is one quoted argument of ``sh -euc``. Values
are variables of the same names, quoted; a Python program is a variable too (``health.py`` as
``$health_py``), and its input is standard input.
"""

import functools
import json
import re
import shlex
from importlib import resources
from typing import Any

from releaselib.config.stage import Stage
from releaselib.errors import CommandFailed
from releaselib.hosts.connection import TIMED_OUT, Remote, Running
from releaselib.process import tail

CODES = {
    66: "the slot is empty",
    67: "the slot is stopped",
    68: "nginx is not installed",
    69: "there is no such Python on this host",
    70: "its files cannot be written",
    71: "the tools cannot be installed",
    72: "the release cannot be installed",
    73: "supervisord does not start",
    74: "not every process became healthy",
    75: "somebody else is at work on this host",
    76: "nginx does not accept the configuration; the old one is back in place",
    77: "nginx does not answer as it should",
    79: "visitors are served from that slot",
    81: "somebody else is at work on the stage now; nothing was changed here",
    80: "the slot was not made ready on this proxy; nothing was switched",
    82: "the command failed",
    83: "it has no such folder of static files",
    78: "this proxy does not see every process healthy; nothing was switched",
    84: "a port of the slot is taken",
    TIMED_OUT: "it was given up; there it may go on to its own end",
}
"""Exit code of any script -> what it means."""
NEXT = {
    70: "make room there, or have the user that logs in write there, then run it again",
    **dict.fromkeys((71, 72), "mend what it says, then run it again; whether the index answers, fab doctor tells"),
    84: "end what listens there, then run it again",
}
"""Exit code -> what to do, whatever was asked for."""


@functools.cache
def text(name: str) -> str:
    """A file of ``remote/`` as text."""
    return (resources.files("releaselib.hosts") / "remote" / name).read_text("utf-8")


@functools.cache
def program(name: str) -> str:
    """A Python program of ``remote/``; what it imports from others there stands in it, once."""
    imported, put = re.compile(r"^from (common_\w+) import .*$", re.MULTILINE), set[str]()

    def whole(of: str) -> str:
        if of in put:
            return ""
        put.add(of)
        return imported.sub(lambda found: whole(found[1]), text(f"{of}.py"))

    return whole(name)


def script(stage: Stage, name: str, fence: int = 0, **values: object) -> tuple[str, ...]:
    """The command that runs ``remote/NAME`` with these values, the stage's paths and its programs. Pure."""
    body = text("common.sh") + text(name)
    programs = {f"{found}_py": program(found) for found in re.findall(r"\$(\w+)_py\b", body)}
    settings = {
        "python": stage.python,
        "nginx_of": stage.nginx,
        "sudo": "yes" if stage.sudo else "no",
        "local_stage": "yes" if stage.local else "no",
        "fence": fence,
    }
    variables = stage.paths.variables | settings | programs | values
    head = "".join(f"{key}={shlex.quote(str(value))}\n" for key, value in variables.items())
    return ("sh", "-euc", head + body, name)


def call(
    remote: Remote, name: str, *, given: Any = None, next_step: str = "", seconds: float = 0, **values: Any
) -> str:
    """Run ``remote/NAME`` on a host and return its standard output; ``given``, as JSON, is its input.

    Over a distance an input costs a round trip more, which the values do not. But these can be seen in the list of
    processes, and the system limits their length (execve(2), MAX_ARG_STRLEN): what is secret or long goes as input.
    ``seconds`` is what it may take beyond the stage's command_timeout. Raises CommandFailed with host, what
    failed (CODES) and the last lines.
    """
    argv = script(remote.stage, name, remote.fence, **values)
    done = remote.run(argv, "" if given is None else json.dumps(given), seconds=seconds)
    if done.code:
        words = CODES.get(done.code, f"{name} failed (exit code {done.code})")
        raise CommandFailed(
            f"{remote.host.name}: {words}", cause=done.last_lines, next_step=NEXT.get(done.code, next_step)
        )
    return done.stdout


def asked(remote: Remote, name: str, **how: Any) -> Any:
    """The same, of a script that prints JSON. Raises CommandFailed also when something else stands there."""
    text = call(remote, name, **how)
    try:
        return json.loads(text)
    except ValueError:
        raise CommandFailed(
            f"{remote.host.name}: {name} was not all that printed there",
            cause=tail(text),
            next_step="have a login without a terminal print nothing there: look at ~/.bashrc and ~/.profile",
        ) from None


def start(remote: Remote, name: str, **values: object) -> Running:
    """Start ``remote/NAME`` on a host and go on."""
    return remote.start(script(remote.stage, name, remote.fence, **values))

"""Commands as values, run here or rendered for a host.

A command is a tuple of arguments; :func:`quoted` is the only place where one becomes a line of
shell. The scripts that run on hosts live in ``remote/``: POSIX sh with values as ``"$1"`` only, and
Python of the standard library where HTTP or /proc is asked for.
"""

from __future__ import annotations

import functools
import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from releaselib.errors import CommandFailed, ReleaseError

TAIL = 20
"""How many last lines of a failing tool an error shows."""


@dataclass(frozen=True)
class Output:
    """What a finished command left: its exit code and both streams as text."""

    code: int
    stdout: str
    stderr: str

    @property
    def words(self) -> str:
        """The last lines of stderr, or of stdout where there are none."""
        return tail(self.stderr) or tail(self.stdout)


def tail(text: str, lines: int = TAIL) -> str:
    """The last ``lines`` lines of a text that are not blank."""
    return "\n".join([line.rstrip() for line in text.splitlines() if line.strip()][-lines:])


def quoted(argv: Sequence[str]) -> str:
    """One line of POSIX shell that gives exactly these arguments."""
    return shlex.join(argv)


def script(name: str, *args: object) -> tuple[str, ...]:
    """The command that runs ``remote/NAME`` with these arguments by ``sh``.

    ``remote/common.sh`` goes in front of each script; no file has to be on the host before.
    """
    return ("sh", "-euc", text("common.sh") + text(name), name, *(str(arg) for arg in args))


@functools.cache
def text(name: str) -> str:
    """A file of ``remote/`` as text."""
    return (resources.files("releaselib") / "remote" / name).read_text("utf-8")


def run(
    argv: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    error: type[ReleaseError] = CommandFailed,
    what: str = "",
    next_step: str = "",
    ok: Sequence[int] = (0,),
) -> Output:
    """Run a command on this machine and return its output.

    ``env`` is added to the environment and is the place for secrets. An exit code outside ``ok``
    raises ``error`` with ``what`` and the tool's own last lines.
    """
    try:
        done = subprocess.run(
            list(argv),
            cwd=cwd,
            env={**os.environ, **(env or {})},
            text=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        raise error(
            f"{argv[0]} is not installed on this machine",
            next_step=next_step or f"install {argv[0]} and run the command again",
        ) from None
    output = Output(done.returncode, done.stdout, done.stderr)
    if output.code not in ok:
        raise error(
            what or f"{Path(argv[0]).name} failed (exit code {output.code})",
            cause=output.words,
            next_step=next_step,
        )
    return output


def isolated(environment: Mapping[str, str], *prefixes: str) -> dict[str, str]:
    """An environment without what could point pip or uv at another index than the one given."""
    return {key: value for key, value in environment.items() if not key.startswith(prefixes)}

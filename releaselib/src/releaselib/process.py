"""Commands as values: a tuple of arguments, run on this machine or made into a line of shell for a host."""

import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
    def last_lines(self) -> str:
        """The last lines of stderr, or of stdout where there are none."""
        return tail(self.stderr) or tail(self.stdout)


def tail(text: str, lines: int = TAIL) -> str:
    """The last ``lines`` lines of a text that are not blank."""
    return "\n".join([line.rstrip() for line in text.splitlines() if line.strip()][-lines:])


def quoted(argv: Sequence[str]) -> str:
    """One line of POSIX shell that gives exactly these arguments."""
    return shlex.join(argv)


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
            cause=output.last_lines,
            next_step=next_step,
        )
    return output


def isolated(environment: Mapping[str, str], *prefixes: str) -> dict[str, str]:
    """An environment without what could point pip or uv at another index than the one given."""
    return {key: value for key, value in environment.items() if not key.startswith(prefixes)}

"""Commands as values: a tuple of arguments, run on this machine or made into a line of shell for a host."""

import os
import re
import shlex
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from releaselib.errors import CommandFailed, ReleaseError
from releaselib.progress import patience

TAIL = 20
"""How many last lines of a failing tool an error shows."""
LIMIT = 1800
"""Seconds after which a tool on this machine is given up: longer than any build that anybody waits for."""
NEEDED = re.compile(
    "(?!UV_PUBLISH_)(PATH|HOME|USER|LOGNAME|SHELL|LANG|LC_.*|TZ|TMPDIR|TERM|PYTHON.*|VIRTUAL_ENV|PIP_.*|UV_.*|XDG_.*|NO_PROXY|.*_PROXY"
    "|SSL_CERT_.*|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE|CC|CXX|CPP|LD|AR|.*FLAGS|PKG_CONFIG.*|CARGO_HOME|RUSTUP_HOME|LD_LIBRARY_PATH)",
    re.IGNORECASE,
)
"""The variables that a build needs, with those by which pip and uv get to their index. What else there is (passwords,
tokens, an ssh agent) is no business of its."""


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


class Stopper:
    """What ends commands, with all that they have started, from another thread than those that wait for them."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._running: list[subprocess.Popen[str]] = []
        self.over = False

    def hold(self, running: subprocess.Popen[str]) -> None:
        """Hold a command that leads a session of its own; at once it is ended where it comes too late."""
        with self._turn:
            self._running.append(running)
        if self.over:
            self.stop()

    def stop(self) -> None:
        """End the commands, and each that would be started later."""
        with self._turn:
            self.over = True
            for running in self._running:
                if running.returncode is None:
                    with suppress(ProcessLookupError):
                        os.killpg(running.pid, signal.SIGKILL)


def run(
    argv: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    inherited: Mapping[str, str] | None = None,
    seconds: float = LIMIT,
    error: type[ReleaseError] = CommandFailed,
    what: str = "",
    next_step: str = "",
    ok: Sequence[int] = (0,),
    stopper: Stopper | None = None,
) -> Output:
    """Run a command on this machine and return its output.

    ``env`` is added to the environment (``inherited``, by default all of it) and is the place for secrets. An
    exit code outside ``ok`` raises ``error`` with ``what`` and the tool's own last lines, and so does no end after
    ``seconds``. A ``stopper`` can end it from elsewhere.
    """
    before = os.environ if inherited is None else inherited
    try:
        with patience(lambda: f"{_name(argv)} is at work"):
            output = _finished(argv, cwd, {**before, **(env or {})}, seconds, stopper)
    except FileNotFoundError:
        raise error(
            f"{argv[0]} is not installed on this machine",
            next_step=next_step or f"install {argv[0]} and run the command again",
        ) from None
    except OSError as refused:
        raise error(f"{argv[0]} cannot be run: {refused.strerror}", next_step=next_step or f"ls -l {argv[0]}") from None
    except subprocess.TimeoutExpired as late:
        streams = [one.encode() if isinstance(one, str) else one for one in (late.stdout, late.stderr) if one]
        said = b"\n".join(streams).decode("utf-8", "replace")
        name = _name(argv)
        words = f"{what}: {name} has no end" if what else f"{name} has no end"
        raise error(f"{words} after {seconds:g} s", cause=tail(said), next_step=next_step) from None
    if output.code not in ok:
        raise error(
            what or f"{Path(argv[0]).name} failed (exit code {output.code})",
            cause=output.last_lines,
            next_step=next_step,
        )
    return output


def _finished(
    argv: Sequence[str], cwd: Path | None, env: Mapping[str, str], seconds: float, stopper: Stopper | None
) -> Output:
    pipe, none = subprocess.PIPE, subprocess.DEVNULL
    with subprocess.Popen(
        list(argv),
        cwd=cwd,
        env=env,
        stdin=none,
        stdout=pipe,
        stderr=pipe,
        encoding="utf-8",
        errors="replace",
        start_new_session=bool(stopper),
    ) as running:
        if stopper:
            stopper.hold(running)
        try:
            out, err = running.communicate(timeout=seconds)
        except BaseException:
            if stopper:
                stopper.stop()
            else:
                running.kill()
            raise
        return Output(running.returncode, out, err)


def _name(argv: Sequence[str]) -> str:
    """What people call a command: of a module of Python that is its name, not python."""
    return argv[2].rpartition(".")[2] if tuple(argv[1:2]) == ("-m",) else Path(argv[0]).name


def for_builds(environment: Mapping[str, str]) -> dict[str, str]:
    """What a build inherits of an environment: what it needs, and no other secret. Pure."""
    return {name: value for name, value in environment.items() if NEEDED.fullmatch(name)}


def named(environment: Mapping[str, str], prefix: str) -> dict[str, str]:
    """The variables whose names begin so. Pure."""
    return {name: value for name, value in environment.items() if name.startswith(prefix)}


def isolated(environment: Mapping[str, str], *prefixes: str) -> dict[str, str]:
    """An environment without what could point pip or uv at another index than the one given."""
    return {key: value for key, value in environment.items() if not key.startswith(prefixes)}

"""This machine as a host, without ssh."""

import os
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress

from releaselib.config.inventory import LOCAL, Host
from releaselib.config.stage import Stage
from releaselib.hosts.connection import TIMED_OUT, Kept, Running, Unreachable
from releaselib.process import Output

TIDY = 5
"""Seconds that a command has to end in when it is told to."""


class Here:
    """The machine that the command runs on.

    What it is told runs in sessions of their own: ctrl-c is for `fab`, and not for a switch that it has begun.
    """

    def __init__(self, host: Host, stage: Stage) -> None:
        self.host, self.stage, self.fence = host, stage, 0
        self._at_work: list[subprocess.Popen[bytes]] = []

    def run(self, argv: Sequence[str], text: str = "", *, seconds: float = 0) -> Output:
        """Run a command to its end."""
        limit = self.stage.command_timeout + seconds
        pipe = subprocess.PIPE
        with subprocess.Popen(
            list(argv), cwd="/", stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
        ) as process:
            self._at_work.append(process)
            try:
                out, err = process.communicate(text.encode(), limit)
            except subprocess.TimeoutExpired:
                _end(process)
                return Output(TIMED_OUT, "", f"no end after {limit:g} s")
            except BaseException:
                _end(process)
                raise
            finally:
                self._at_work.remove(process)
        return Output(process.returncode, str(Kept(out)), str(Kept(err)))

    def start(self, argv: Sequence[str]) -> Running:
        """Start a command and go on."""
        return Process(argv)

    def terminal(self, argv: Sequence[str]) -> int:
        """Run a command with the terminal that this program has; what is typed there is for the command."""
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            return subprocess.run(list(argv), cwd="/", check=False, preexec_fn=_listens).returncode
        finally:
            signal.signal(signal.SIGINT, before)

    def close(self) -> None:
        """End what is at work, with all that it has started and that is no daemon."""
        for process in list(self._at_work):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a command with all that it has started: after a while, in which it may tidy up, by force."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(TIDY)
        os.killpg(process.pid, signal.SIGKILL)


def _listens() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Process:
    """A command at work on this machine; ``name`` is the host that it works for."""

    def __init__(self, argv: Sequence[str], name: str = LOCAL) -> None:
        self._name = name
        self._err = tempfile.TemporaryFile()  # noqa: SIM115  closed at its end; much there must not block the command
        self.process = subprocess.Popen(
            list(argv), cwd="/", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._err, start_new_session=True
        )

    def send(self, line: str) -> None:
        assert self.process.stdin  # noqa: S101  made with a pipe
        try:
            self.process.stdin.write(f"{line}\n".encode())
            self.process.stdin.flush()
        except (OSError, ValueError) as error:  # it has ended, or was told to
            raise Unreachable(f"{self._name}: the command has ended: {error}", next_step="fab status") from None

    def receive(self) -> str:
        assert self.process.stdout  # noqa: S101  made with a pipe
        return self.process.stdout.readline().decode("utf-8", "replace").rstrip("\n")

    def finish(self) -> Output:
        assert self.process.stdin and self.process.stdout  # noqa: S101, PT018  made with pipes
        with self._err, self.process.stdout:
            with suppress(BrokenPipeError):  # it has ended; what it said counts
                self.process.stdin.close()
            out, code = self.process.stdout.read(), self.process.wait()
            self._err.seek(0)
            return Output(code, str(Kept(out)), str(Kept(self._err.read())))

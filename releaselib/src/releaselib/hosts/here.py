"""This machine as a host, without ssh."""

import subprocess
from collections.abc import Sequence
from contextlib import suppress

from releaselib.config.inventory import Host
from releaselib.config.stage import Stage
from releaselib.hosts.connection import TIMED_OUT, Running
from releaselib.process import Output


class Here:
    """The machine that the command runs on."""

    def __init__(self, host: Host, stage: Stage) -> None:
        self.host, self.stage, self.fence = host, stage, 0

    def run(self, argv: Sequence[str], text: str = "", *, seconds: float = 0) -> Output:
        """Run a command to its end."""
        limit = self.stage.command_timeout + seconds
        try:
            done = subprocess.run(
                list(argv), input=text, text=True, cwd="/", capture_output=True, timeout=limit, check=False
            )
        except subprocess.TimeoutExpired:
            return Output(TIMED_OUT, "", f"no end after {limit:g} s")
        return Output(done.returncode, done.stdout, done.stderr)

    def start(self, argv: Sequence[str]) -> Running:
        """Start a command and go on."""
        pipe = subprocess.PIPE
        return _Process(subprocess.Popen(list(argv), text=True, cwd="/", stdin=pipe, stdout=pipe, stderr=pipe))

    def close(self) -> None:
        """Nothing to give back."""


class _Process:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def send(self, line: str) -> None:
        assert self.process.stdin  # noqa: S101  made with a pipe
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def receive(self) -> str:
        assert self.process.stdout  # noqa: S101  made with a pipe
        return self.process.stdout.readline().rstrip("\n")

    def finish(self) -> Output:
        with suppress(BrokenPipeError):  # it has ended; what it said counts
            out, err = self.process.communicate()
            return Output(self.process.returncode, out, err)
        return Output(self.process.wait(), "", "")

"""Hosts at work: one connection each, bounded fan-out, one typed result a host.

A remote is a host with its connection (:class:`releaselib.ssh.Ssh`) or this machine (:class:`Here`);
both run a command to its end, or start one and talk with it over its streams.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from releaselib.errors import CommandFailed, ReleaseError
from releaselib.hosts import Host
from releaselib.settings import Stage
from releaselib.shell import Output, script
from releaselib.ssh import Ssh

T = TypeVar("T")


class Running(Protocol):
    """A command that has been started: lines in, lines out, and its end."""

    def send(self, line: str) -> None:
        """Write one line to its standard input."""

    def receive(self) -> str:
        """Its next line of standard output; empty when it has ended."""

    def finish(self) -> Output:
        """Close its standard input and wait for its end."""


class Remote(Protocol):
    """A host that can be worked on."""

    host: Host

    def run(self, argv: Sequence[str], *, files: dict[str, str] | None = None) -> Output:
        """Run a command to its end; ``files`` (name -> text) go to its standard input as JSON."""

    def start(self, argv: Sequence[str]) -> Running:
        """Start a command and go on."""

    def close(self) -> None:
        """Give the connection back."""


class Here:
    """This machine as a host, without ssh."""

    def __init__(self, host: Host, stage: Stage) -> None:
        self.host = host
        self.timeout = stage.command_timeout

    def run(self, argv: Sequence[str], *, files: dict[str, str] | None = None) -> Output:
        """Run a command to its end."""
        try:
            done = subprocess.run(
                list(argv),
                input=json.dumps(files or {}),
                text=True,
                cwd="/",
                capture_output=True,
                timeout=self.timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Output(124, "", f"no end after {self.timeout} s")
        return Output(done.returncode, done.stdout, done.stderr)

    def start(self, argv: Sequence[str]) -> Running:
        """Start a command and go on."""
        return _Process(
            subprocess.Popen(
                list(argv),
                text=True,
                cwd="/",
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        )

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
        out, err = self.process.communicate()
        return Output(self.process.returncode, out, err)


@dataclass(frozen=True)
class Result(Generic[T]):
    """What came out on one host: a value, or the error instead."""

    host: Host
    value: T | None
    error: ReleaseError | None = None

    def get(self) -> T:
        """The value; raises the error where there is one."""
        if self.error:
            raise self.error
        return self.value  # type: ignore[return-value]


class Fleet:
    """The hosts of a stage, each connected once, when it is first needed."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self._remotes: dict[Host, Remote] = {}

    def remote(self, host: Host) -> Remote:
        """The one connection to a host; raises Unreachable."""
        if host not in self._remotes:
            self._remotes[host] = (Here if host.local else Ssh)(host, self.stage)
        return self._remotes[host]

    def each(self, hosts: Sequence[Host], work: Callable[[Remote], T]) -> list[Result[T]]:
        """Do the work on every host, at most ``parallel`` at once; errors become results.

        An interrupt (ctrl-c) ends it at once: nobody waits for what still runs on the hosts.
        """

        def one(host: Host) -> Result[T]:
            try:
                return Result(host, work(self.remote(host)))
            except ReleaseError as error:
                return Result(host, None, error)

        with ThreadPoolExecutor(max(1, min(self.stage.parallel, len(hosts)))) as pool:
            try:
                return list(pool.map(one, hosts))
            except KeyboardInterrupt:
                pool.shutdown(wait=False, cancel_futures=True)
                self.close()  # which ends the waiting of those at work
                raise

    def close(self) -> None:
        """Close every connection."""
        for remote in list(self._remotes.values()):  # after ctrl-c some may still be connecting
            remote.close()


@contextmanager
def connected(stage: Stage) -> Iterator[Fleet]:
    """The hosts of a stage for the length of a ``with`` block."""
    fleet = Fleet(stage)
    try:
        yield fleet
    finally:
        fleet.close()


def call(
    remote: Remote,
    name: str,
    *args: object,
    files: dict[str, str] | None = None,
    why: dict[int, str] | None = None,
    next_step: str = "",
) -> str:
    """Run ``remote/NAME`` on a host and return its standard output.

    Raises CommandFailed with host, what failed (``why``: exit code -> words) and the last lines.
    """
    done = remote.run(script(name, *args), files=files)
    if done.code:
        words = (why or {}).get(done.code, f"{name} failed (exit code {done.code})")
        raise CommandFailed(f"{remote.host.name}: {words}", cause=done.words, next_step=next_step)
    return done.stdout

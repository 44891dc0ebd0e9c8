"""Hosts at work: one ssh connection each, bounded fan-out, one typed result a host.

A remote is a host with its connection (:class:`Ssh`) or this machine (:class:`Here`); both run a
command to its end, or start one and talk with it over its streams.
"""

from __future__ import annotations

import getpass
import json
import random
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from releaselib.config import Stage
from releaselib.errors import CommandFailed, ReleaseError
from releaselib.hosts import Host
from releaselib.shell import Output, quoted, script

if TYPE_CHECKING:
    import fabric
    import paramiko

T = TypeVar("T")
CONNECT_TRIES = 3


class Unreachable(CommandFailed):
    """No usable connection to a host: down, refused, wrong key, no login."""


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


class Ssh:
    """A host over one ssh connection, opened at once; raises Unreachable with the cause."""

    def __init__(self, host: Host, stage: Stage) -> None:
        self.host = host
        self.timeout = stage.command_timeout
        self.connection = _connect(host, stage)

    def run(self, argv: Sequence[str], *, files: dict[str, str] | None = None) -> Output:
        """Run a command to its end; a lost connection raises Unreachable."""
        try:
            running = self.start(argv)
            running.stdin.write(json.dumps(files or {}))
            return running.finish()
        except (OSError, EOFError, _ssh_errors()) as error:
            raise Unreachable(
                f"{self.host.name}: the connection was lost: {error or 'timed out'}",
                next_step="fab status, then run the command again",
            ) from None

    def start(self, argv: Sequence[str]) -> _Channel:
        """Start a command and go on."""
        streams = self.connection.client.exec_command(quoted(argv), timeout=self.timeout)
        return _Channel(*streams)

    def close(self) -> None:
        """Close the connection."""
        with suppress(Exception):
            self.connection.close()


class _Channel:
    def __init__(self, stdin: IO[str], stdout: Any, stderr: Any) -> None:
        self.stdin, self.stdout, self.stderr = stdin, stdout, stderr

    def send(self, line: str) -> None:
        self.stdin.write(line + "\n")
        self.stdin.flush()

    def receive(self) -> str:
        return str(self.stdout.readline()).rstrip("\n")

    def finish(self) -> Output:
        self.stdin.close()
        self.stdout.channel.shutdown_write()
        out = self.stdout.read().decode("utf-8", "replace")
        err = self.stderr.read().decode("utf-8", "replace")
        return Output(self.stdout.channel.recv_exit_status(), out, err)


def _ssh_errors() -> type[Exception]:
    import paramiko

    return paramiko.SSHException


def _connect(host: Host, stage: Stage) -> fabric.Connection:
    """Connect with host keys checked; only the connect itself is tried again (sshd MaxStartups)."""
    import fabric
    import paramiko

    for left in reversed(range(CONNECT_TRIES)):
        connection = fabric.Connection(
            host.address,
            user=host.user or None,
            port=host.port,
            connect_timeout=stage.connect_timeout,
            connect_kwargs={},
        )
        client: paramiko.SSHClient = connection.client
        client.load_system_host_keys()
        if stage.known_hosts:
            client.load_host_keys(stage.known_hosts)
        client.set_missing_host_key_policy(_refuse_unknown())
        try:
            connection.open()
            connection.transport.set_keepalive(15)
            return connection
        except Unreachable:
            raise
        except paramiko.BadHostKeyException as error:
            raise _changed_key(host, error) from None
        except paramiko.AuthenticationException as error:
            user = connection.user or getpass.getuser()
            raise Unreachable(
                f"{host.name}: login as {user} was refused: {error}",
                next_step=f"ssh -p {host.port} {user}@{host.address}",
            ) from None
        except (OSError, EOFError, paramiko.SSHException) as error:
            if not left:
                raise Unreachable(
                    f"{host.name}: cannot be reached: {error or type(error).__name__}",
                    next_step=f"ssh -p {host.port} {host.address}",
                ) from None
            time.sleep(random.uniform(0.1, 0.5))  # noqa: S311  spreads out the next try
    raise AssertionError("the last try returns or raises")


def _refuse_unknown() -> paramiko.MissingHostKeyPolicy:
    import paramiko

    class Refuse(paramiko.MissingHostKeyPolicy):  # type: ignore[misc]
        def missing_host_key(self, client: Any, hostname: str, key: Any) -> None:
            raise Unreachable(
                f"{hostname}: its host key is not known here: {key.get_name()} {key.fingerprint}",
                next_step="compare the fingerprint with the host's own (ssh-keygen -lf "
                "/etc/ssh/ssh_host_*_key.pub there), then add it to known_hosts: "
                "ssh-keyscan HOST >> ~/.ssh/known_hosts",
            )

    return Refuse()


def _changed_key(host: Host, error: Any) -> Unreachable:
    return Unreachable(
        f"{host.name}: its host key has changed",
        cause=f"expected {error.expected_key.get_name()} {error.expected_key.fingerprint}\n"
        f"got      {error.key.get_name()} {error.key.fingerprint}",
        next_step=f"if the host was made anew: ssh-keygen -R '{host.name}', then add the new key",
    )


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
        """Do the work on every host, at most ``parallel`` at once; errors become results."""

        def one(host: Host) -> Result[T]:
            try:
                return Result(host, work(self.remote(host)))
            except ReleaseError as error:
                return Result(host, None, error)

        with ThreadPoolExecutor(max(1, min(self.stage.parallel, len(hosts)))) as pool:
            return list(pool.map(one, hosts))

    def close(self) -> None:
        """Close every connection."""
        for remote in self._remotes.values():
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

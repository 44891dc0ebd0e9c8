"""A host over ssh: one connection, host keys checked, by Fabric and Paramiko.

Both are imported when the first connection is made: they cost half a second.
"""

from __future__ import annotations

import getpass
import json
import random
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Any

from releaselib.errors import CommandFailed
from releaselib.hosts import Host
from releaselib.settings import Stage
from releaselib.shell import Output, quoted

if TYPE_CHECKING:
    import fabric
    import paramiko

CONNECT_TRIES = 3
KEEPALIVE = 15
"""Seconds after which a connection on which nothing happens is tried."""
SILENCE = 30
"""Seconds after which a host that acknowledges nothing is lost (tcp(7), TCP_USER_TIMEOUT)."""


class Unreachable(CommandFailed):
    """No usable connection to a host: down, refused, wrong key, no login."""


class Distrusted(Unreachable):
    """The host key is not known here, or not the known one."""


class Ssh:
    """A host over one ssh connection, opened at once; raises Unreachable with the cause."""

    def __init__(self, host: Host, stage: Stage) -> None:
        self.host = host
        self.timeout = stage.command_timeout
        self.connection = _connect(host, stage)

    def run(self, argv: Sequence[str], *, files: dict[str, str] | None = None) -> Output:
        """Run a command to its end; a lost connection raises Unreachable."""
        running = self.start(argv)
        running.write(json.dumps(files or {}))
        return running.finish()

    def start(self, argv: Sequence[str]) -> _Channel:
        """Start a command and go on; a lost connection raises Unreachable, here and later."""
        with _connected(self.host):
            streams = self.connection.client.exec_command(quoted(argv), timeout=self.timeout)
        return _Channel(self.host, *streams)

    def close(self) -> None:
        """Close the connection."""
        with suppress(Exception):
            self.connection.close()


class _Channel:
    def __init__(self, host: Host, stdin: IO[str], stdout: Any, stderr: Any) -> None:
        self.host, self.stdin, self.stdout, self.stderr = host, stdin, stdout, stderr

    def write(self, text: str) -> None:
        with _connected(self.host):
            self.stdin.write(text)
            self.stdin.flush()

    def send(self, line: str) -> None:
        self.write(line + "\n")

    def receive(self) -> str:
        with _connected(self.host):
            return str(self.stdout.readline()).rstrip("\n")

    def finish(self) -> Output:
        with _connected(self.host):
            self.stdin.close()
            self.stdout.channel.shutdown_write()
            out = self.stdout.read().decode("utf-8", "replace")
            err = self.stderr.read().decode("utf-8", "replace")
            code = self.stdout.channel.recv_exit_status()
            if code < 0:
                raise EOFError("the command's end was not heard")
            return Output(code, out, err)


@contextmanager
def _connected(host: Host) -> Iterator[None]:
    import paramiko

    try:
        yield
    except (OSError, EOFError, paramiko.SSHException) as error:
        raise Unreachable(
            f"{host.name}: the connection was lost: {error or 'timed out'}",
            next_step="fab status, then run the command again",
        ) from None


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
            _notice_silence(connection.transport)
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
            if not left or isinstance(error, TimeoutError):  # one that says nothing is not asked again
                raise Unreachable(
                    f"{host.name}: cannot be reached: {error or type(error).__name__}",
                    next_step=f"ssh -p {host.port} {host.address}",
                ) from None
            time.sleep(random.uniform(0.1, 0.5))  # noqa: S311  spreads out the next try
    raise AssertionError("the last try returns or raises")


def _notice_silence(transport: paramiko.Transport) -> None:
    transport.set_keepalive(KEEPALIVE)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
        transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENCE * 1000)


def _refuse_unknown() -> paramiko.MissingHostKeyPolicy:
    import paramiko

    class Refuse(paramiko.MissingHostKeyPolicy):  # type: ignore[misc]
        def missing_host_key(self, client: Any, hostname: str, key: Any) -> None:
            raise Distrusted(
                f"{hostname}: its host key is not known here: {key.get_name()} {key.fingerprint}",
                next_step="compare the fingerprint with the host's own (ssh-keygen -lf "
                "/etc/ssh/ssh_host_*_key.pub there), then add it to known_hosts: "
                "ssh-keyscan HOST >> ~/.ssh/known_hosts",
            )

    return Refuse()


def _changed_key(host: Host, error: Any) -> Distrusted:
    return Distrusted(
        f"{host.name}: its host key has changed",
        cause=f"expected {error.expected_key.get_name()} {error.expected_key.fingerprint}\n"
        f"got      {error.key.get_name()} {error.key.fingerprint}",
        next_step=f"if the host was made anew: ssh-keygen -R '{host.name}', then add the new key",
    )

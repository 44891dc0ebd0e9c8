"""A host over ssh: one connection, host keys checked, by Fabric and Paramiko.

Both are imported when the first connection is made: they cost half a second.
"""

from __future__ import annotations

import getpass
import random
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from releaselib.config.inventory import Host
from releaselib.config.stage import Stage
from releaselib.hosts import known_hosts
from releaselib.hosts.connection import TIMED_OUT, Distrusted, Unreachable
from releaselib.process import Output, quoted

if TYPE_CHECKING:
    import fabric
    import paramiko

SSH_PORT = 22
CONNECT_TRIES = 3
KEEPALIVE = 15
"""Seconds after which a connection on which nothing happens is tried."""
SILENCE = 30
"""Seconds after which a host that acknowledges nothing is lost (tcp(7), TCP_USER_TIMEOUT)."""
KEPT = 4_000_000
"""Bytes of each stream of a command that are kept; of more the beginning is dropped."""


class Ssh:
    """A host over one ssh connection, opened at once; raises Unreachable with the cause."""

    def __init__(self, host: Host, stage: Stage) -> None:
        self.host, self.stage, self.fence = host, stage, 0
        self.connection = _connect(host, stage)

    def run(self, argv: Sequence[str], text: str = "", *, seconds: float = 0) -> Output:
        """Run a command to its end; a lost connection raises Unreachable."""
        running = self.start(argv)
        limit = self.stage.command_timeout + seconds
        alarm = threading.Timer(limit, running.give_up)
        alarm.daemon = True
        alarm.start()
        try:
            running.channel.settimeout(None)
            running.write(text)
            return running.finish()
        except Unreachable:
            if running.given_up:
                return Output(TIMED_OUT, "", f"no end after {limit:g} s")
            raise
        finally:
            alarm.cancel()

    def start(self, argv: Sequence[str]) -> _Channel:
        """Start a command and go on; a lost connection raises Unreachable, here and later."""
        with _connected(self.host):
            channel = self.connection.transport.open_session(timeout=self.stage.connect_timeout)
            channel.settimeout(self.stage.command_timeout)
            channel.exec_command(quoted(argv))
            return _Channel(self.host, channel)

    def close(self) -> None:
        """Close the connection."""
        with suppress(Exception):
            self.connection.close()


class _Channel:
    """A command at work; its stderr is read beside, so that neither stream can block the other."""

    def __init__(self, host: Host, channel: Any) -> None:
        self.host, self.channel = host, channel
        self.given_up = False
        self._out, self._err = bytearray(), bytearray()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        with suppress(OSError, EOFError):
            while data := self.channel.recv_stderr(65536):
                self._err = (self._err + data)[-KEPT:]

    def give_up(self) -> None:
        """End the waiting; the command itself may go on until its own end."""
        self.given_up = True
        self.channel.close()

    def write(self, text: str) -> None:
        """Write to its standard input; a command that does not want it all is told by its own end."""
        with suppress(OSError):
            self.channel.sendall(text.encode())

    def send(self, line: str) -> None:
        with _connected(self.host):
            self.channel.sendall(f"{line}\n".encode())

    def receive(self) -> str:
        with _connected(self.host):
            while b"\n" not in self._out and (data := self.channel.recv(65536)):
                self._out += data
        line, _, self._out = self._out.partition(b"\n")
        return line.decode("utf-8", "replace")

    def finish(self) -> Output:
        with _connected(self.host):
            self.channel.shutdown_write()
            while data := self.channel.recv(65536):
                self._out = (self._out + data)[-KEPT:]
            self._listener.join()
            code = self.channel.recv_exit_status()
            if code < 0:
                raise EOFError("the command's end was not heard")
        return Output(code, self._out.decode("utf-8", "replace"), self._err.decode("utf-8", "replace"))


@contextmanager
def _connected(host: Host) -> Iterator[None]:
    import paramiko

    try:
        yield
    except (OSError, EOFError, paramiko.SSHException) as error:
        raise Unreachable(
            f"{host.name}: the connection was lost: {error or type(error).__name__}",
            next_step="fab status, then run the command again",
        ) from None


def _connect(host: Host, stage: Stage) -> fabric.Connection:
    """Connect with host keys checked; only the connect itself is tried again (sshd MaxStartups)."""
    import paramiko

    user = host.user or stage.user
    for left in reversed(range(CONNECT_TRIES)):
        connection = _prepared(host, user, stage)
        try:
            connection.open()
            _notice_silence(connection.transport)
            return connection
        except Unreachable:
            raise
        except paramiko.BadHostKeyException as error:
            raise _changed_key(error) from None
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


def _prepared(host: Host, user: str, stage: Stage) -> fabric.Connection:
    """A connection that is not open yet, and will take no key but a known one."""
    import fabric

    connection = fabric.Connection(
        host.address, user=user or None, port=host.port, connect_timeout=stage.connect_timeout, connect_kwargs={}
    )
    hop: fabric.Connection | None = connection
    while isinstance(hop, fabric.Connection):  # the host, and each that ~/.ssh/config has to jump over (ProxyJump)
        _check_keys(hop.client, hop.host, hop.port, stage)
        hop = hop.gateway
    return connection


def _check_keys(client: paramiko.SSHClient, host: str, port: int, stage: Stage) -> None:
    """Let it take no host key but a known one. Raises ConfigError for files that cannot be understood."""
    files = known_hosts.known(stage.known_hosts)
    name = host if port == SSH_PORT else f"[{host}]:{port}"  # as OpenSSH writes it
    revoked = set().union(*(file.revoked for file in files))
    for file in files:
        for kind, key in (file.keys.lookup(name) or {}).items():
            if key.asbytes() not in revoked:
                client.get_host_keys().add(name, kind, key)
    client.set_missing_host_key_policy(_refuse_unknown(host, port, revoked, any(file.authorities for file in files)))


def _notice_silence(transport: paramiko.Transport) -> None:
    transport.set_keepalive(KEEPALIVE)
    # Of a host behind another one the socket is a channel of that one's connection.
    if hasattr(socket, "TCP_USER_TIMEOUT") and isinstance(transport.sock, socket.socket):  # Linux
        transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENCE * 1000)


def _refuse_unknown(host: str, port: int, revoked: set[bytes], authorities: bool) -> paramiko.MissingHostKeyPolicy:
    import paramiko

    asked = f"-p {port} {host}" if port != SSH_PORT else host

    class Refuse(paramiko.MissingHostKeyPolicy):  # type: ignore[misc]
        def missing_host_key(self, client: Any, hostname: str, key: Any) -> None:
            if key.asbytes() in revoked:
                raise Distrusted(
                    f"{hostname}: its host key is revoked: {key.get_name()} {key.fingerprint}",
                    next_step="give the host a new key; whoever has this one can pretend to be it",
                )
            raise Distrusted(
                f"{hostname}: its host key is not known here: {key.get_name()} {key.fingerprint}",
                cause="known_hosts trusts a @cert-authority, which is not understood here" if authorities else "",
                next_step="compare the fingerprint with the host's own (ssh-keygen -lf "
                "/etc/ssh/ssh_host_*_key.pub there), then add it to known_hosts: "
                f"ssh-keyscan {asked} >> ~/.ssh/known_hosts",
            )

    return Refuse()


def _changed_key(error: Any) -> Distrusted:
    return Distrusted(
        f"{error.hostname}: its host key has changed",
        cause=f"expected {error.expected_key.get_name()} {error.expected_key.fingerprint}\n"
        f"got      {error.key.get_name()} {error.key.fingerprint}",
        next_step=f"if the host was made anew: ssh-keygen -R '{error.hostname}', then add the new key",
    )

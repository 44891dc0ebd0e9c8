"""A host over ssh: one connection, host keys checked, by Fabric and Paramiko.

Both are imported when the first connection is made: they cost half a second.
"""

from __future__ import annotations

import getpass
import logging
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from releaselib.config.inventory import Host
from releaselib.config.stage import Stage
from releaselib.hosts import known_hosts, terminal
from releaselib.hosts.connection import (
    CONNECT_TRIES,
    TIMED_OUT,
    Kept,
    Unreachable,
    behind,
    lost,
    no_session,
    pause,
    refused,
    unreached,
)
from releaselib.hosts.sessions import Sessions
from releaselib.process import Output, quoted

if TYPE_CHECKING:
    import fabric
    import paramiko

logging.getLogger("paramiko").addHandler(logging.NullHandler())
"""Without one Python prints what Paramiko has to say, beside the error that tells it."""
KEEPALIVE = 15
"""Seconds after which a connection on which nothing happens is tried."""
IDLE = 5
"""Seconds for which the thread of a connection sleeps while nothing comes; Paramiko's own are 0.1."""
SILENCE = 30
"""Seconds after which a host that acknowledges nothing is lost (tcp(7), TCP_USER_TIMEOUT)."""

DRAINED = ("sh", "-c", '"$@"; code=$?; cat >/dev/null; exit "$code"', "sh")
"""In front of a command: has all of its input read. What comes for one that has ended ends the whole connection."""


class Ssh:
    """A host over one ssh connection, opened at once; raises Unreachable with the cause."""

    def __init__(self, host: Host, stage: Stage) -> None:
        self.host, self.stage, self.fence = host, stage, 0
        self.hops = _connect(host, stage)
        self._sessions = Sessions(self.hops[0].transport, stage.connect_timeout)

    def run(self, argv: Sequence[str], text: str = "", *, seconds: float = 0) -> Output:
        """Run a command to its end; a lost connection raises Unreachable."""
        running = self.start((*DRAINED, *argv))
        limit = self.stage.command_timeout + seconds
        alarm = threading.Timer(limit, running.give_up)
        alarm.daemon = True
        alarm.start()
        try:
            running.channel.settimeout(None)
            return running.finish(text)
        except Unreachable:
            if running.given_up:
                return Output(TIMED_OUT, "", f"no end after {limit:g} s")
            raise
        finally:
            alarm.cancel()

    def start(self, argv: Sequence[str]) -> _Channel:
        """Start a command and go on; a lost connection raises Unreachable, here and later."""
        with _connected(self.host):
            channel = self._sessions.start(quoted(argv))
            channel.settimeout(self.stage.command_timeout)
            return _Channel(self.host, channel)

    def terminal(self, argv: Sequence[str]) -> int:
        """Run a command with the terminal that this program has; ctrl-c and its size go there, too."""
        with _connected(self.host):
            return terminal.hand_over(self._sessions.take(), quoted(argv))

    def close(self) -> None:
        """Close the connection."""
        _close(self.hops)


class _Channel:
    """A command at work; its stderr is read beside, so that neither stream can block the other."""

    def __init__(self, host: Host, channel: Any) -> None:
        self.host, self.channel = host, channel
        self.given_up = False
        self._out, self._err = bytearray(), Kept()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        while True:
            try:
                data = self.channel.recv_stderr(65536)
            except TimeoutError:  # it is silent for long; the end of a command is not for this thread to see
                continue
            except (OSError, EOFError):
                return
            if not data:
                return
            self._err.add(data)

    def give_up(self) -> None:
        """End the waiting; the command itself may go on until its own end."""
        self.given_up = True
        with suppress(OSError, EOFError):
            self.channel.close()

    def send(self, line: str) -> None:
        with _connected(self.host):
            self.channel.sendall(f"{line}\n".encode())

    def receive(self) -> str:
        with _connected(self.host):
            while b"\n" not in self._out and (data := self.channel.recv(65536)):
                self._out += data
        line, _, self._out = self._out.partition(b"\n")
        return line.decode("utf-8", "replace")

    def finish(self, text: str = "") -> Output:
        with _connected(self.host):
            threading.Thread(target=self._write, args=[text], daemon=True).start()
            out = Kept(self._out)
            while data := self.channel.recv(65536):
                out.add(data)
            self._listener.join()
            code = self.channel.recv_exit_status()
            if code < 0:
                raise EOFError("the command's end was not heard")
        return Output(code, str(out), str(self._err))

    def _write(self, text: str) -> None:
        """Write the rest of its input, beside the reading; a command that does not want it is told by its own end."""
        with suppress(OSError, EOFError):
            self.channel.sendall(text.encode())
            self.channel.shutdown_write()


@contextmanager
def _connected(host: Host) -> Iterator[None]:
    import paramiko

    try:
        yield
    except paramiko.ChannelException as error:
        raise no_session(host, _words(error)) from None
    except (OSError, EOFError, paramiko.SSHException) as error:
        raise lost(host, _words(error)) from None


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


def _connect(host: Host, stage: Stage) -> list[fabric.Connection]:
    """Connect with host keys checked, hop by hop; only the connect itself is tried again (sshd MaxStartups)."""
    import paramiko

    for left in reversed(range(CONNECT_TRIES)):
        hops: list[fabric.Connection] = []
        at = host.name
        try:
            hops = _hops(host, stage)
            for hop in reversed(hops):
                at = host.name if hop is hops[0] else behind(host, hop.host)
                hop.open()
                _make_cheap(hop.transport)
            return hops
        except Exception as error:
            _close(hops)
            if isinstance(error, paramiko.AuthenticationException):
                raise refused(at, (hop.user or getpass.getuser(), hop.host, hop.port), _words(error)) from None
            if not isinstance(error, (OSError, EOFError, paramiko.SSHException)):
                raise
            if not left or isinstance(error, TimeoutError):  # one that says nothing is not asked again
                raise unreached(host, stage, at, _words(error)) from None
            pause()
    raise AssertionError("the last try returns or raises")


def _hops(host: Host, stage: Stage) -> list[fabric.Connection]:
    """The host, and behind it each that ~/.ssh/config has to jump over (ProxyJump), not open yet.

    Raises Unreachable for what Fabric does not jump over as OpenSSH does.
    """
    import fabric

    known = known_hosts.known(stage.known_hosts)
    user = host.user or stage.user or None
    try:
        hop = fabric.Connection(host.address, user=user, port=host.port)
    except RecursionError:
        raise _cannot_jump(host, "leads in a circle") from None
    hops = []
    while isinstance(hop, fabric.Connection):
        jumps = hop.ssh_config.get("proxyjump", "")
        if "," in jumps:
            raise _cannot_jump(host, f"{jumps}: Fabric takes more than one host in another order")
        if jumps == "none":
            hop.gateway = None
        hop.connect_timeout = stage.connect_timeout
        known_hosts.require(hop.client, hop.connect_kwargs, hop.host, hop.port, known)
        hops.append(hop)
        hop = hop.gateway
    return hops


def _cannot_jump(host: Host, why: str) -> Unreachable:
    return Unreachable(
        f"{host.name}: ProxyJump of ~/.ssh/config {why}",
        next_step='set connector = "openssh" for the stage; or name one host in each ProxyJump, '
        "and give that host a ProxyJump of its own",
    )


def _close(hops: Sequence[fabric.Connection]) -> None:
    for hop in hops:
        with suppress(Exception):  # of one that was never open
            hop.client.get_transport().sock.shutdown(socket.SHUT_RDWR)  # which wakes its thread
        hop.client.close()


def _make_cheap(transport: paramiko.Transport) -> None:
    """Let its thread sleep while nothing happens, but notice when nothing is acknowledged any more.

    Nothing that is sent waits for an acknowledgement (tcp(7), TCP_NODELAY): some systems take 0.04 seconds for one.
    """
    transport.set_keepalive(KEEPALIVE)
    transport.sock.settimeout(IDLE)
    # Of a host behind another one the socket is a channel of that one's connection.
    if not isinstance(transport.sock, socket.socket):
        return
    transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
        transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENCE * 1000)

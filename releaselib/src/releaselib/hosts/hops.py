"""How a host is connected to by Fabric and Paramiko: over those it is behind, each with its key checked.

Both are imported when the first connection is made: they cost half a second.
"""

from __future__ import annotations

import functools
import getpass
import logging
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from releaselib.config.inventory import Host
from releaselib.config.stage import Stage
from releaselib.hosts import known_hosts
from releaselib.hosts.connection import CONNECT_TRIES, Unreachable, behind, pause, refused, unreached

if TYPE_CHECKING:
    import fabric
    import paramiko

logging.getLogger("paramiko").addHandler(logging.NullHandler())
"""Without one Python prints what Paramiko has to say, beside the error that tells it."""
SSH_CONFIG = ("~/.ssh/config", "/etc/ssh/ssh_config")
READING = threading.Lock()
KEEPALIVE = 15
"""Seconds after which a connection on which nothing happens is tried."""
IDLE = 5
"""Seconds for which the thread of a connection sleeps while nothing comes; Paramiko's own are 0.1."""
SILENCE = 30
"""Seconds after which a host that acknowledges nothing is lost (tcp(7), TCP_USER_TIMEOUT)."""


def words(error: Exception) -> str:
    """What an exception says, or what it is."""
    return str(error) or type(error).__name__


def connect(host: Host, stage: Stage) -> list[fabric.Connection]:
    """The connection to a host, and behind it those that it goes over, hop by hop with host keys checked.

    Only the connect itself is tried again (sshd_config(5), MaxStartups). Raises Unreachable with the cause.
    """
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
            close(hops)
            if isinstance(error, paramiko.AuthenticationException):
                raise refused(at, (hop.user or getpass.getuser(), hop.host, hop.port), words(error)) from None
            if not isinstance(error, (OSError, EOFError, paramiko.SSHException)):
                raise
            if not left or isinstance(error, TimeoutError):  # one that says nothing is not asked again
                raise unreached(host, stage, at, words(error)) from None
            pause()
    raise AssertionError("the last try returns or raises")


def _hops(host: Host, stage: Stage) -> list[fabric.Connection]:
    """The host, and behind it each that ~/.ssh/config has to jump over (ProxyJump), not open yet.

    Raises Unreachable for what Fabric does not jump over as OpenSSH does.
    """
    import fabric

    known = known_hosts.known(stage.known_hosts)
    user = host.user or stage.user or None
    config = fabric.Config(ssh_config=_ssh_config())
    try:
        hop = fabric.Connection(host.address, user=user, port=host.port, config=config)
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


def _ssh_config() -> paramiko.SSHConfig:
    """What the files of ssh say that Fabric reads; those of many hosts are read once, unless they change."""
    files = [Path(name).expanduser() for name in SSH_CONFIG]
    with READING:
        return _read(tuple((file, known_hosts.changed(file)) for file in files))


@functools.cache
def _read(files: tuple[tuple[Path, int | None], ...]) -> paramiko.SSHConfig:
    import fabric

    del files
    return fabric.Config().base_ssh_config


def _cannot_jump(host: Host, why: str) -> Unreachable:
    return Unreachable(
        f"{host.name}: ProxyJump of ~/.ssh/config {why}",
        next_step='set connector = "openssh" for the stage; or name one host in each ProxyJump, '
        "and give that host a ProxyJump of its own",
    )


def close(hops: Sequence[fabric.Connection]) -> None:
    """Close the connections, also those that were never open."""
    for hop in hops:
        with suppress(Exception):  # of one that was never open
            hop.client.get_transport().sock.shutdown(socket.SHUT_RDWR)  # which wakes its thread
        hop.client.close()


def _make_cheap(transport: paramiko.Transport) -> None:
    """Let its thread sleep while nothing happens, but notice when nothing is acknowledged any more."""
    transport.set_keepalive(KEEPALIVE)
    transport.sock.settimeout(IDLE)
    if isinstance(transport.sock, socket.socket) and hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; see eager.py
        transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENCE * 1000)

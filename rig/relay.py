"""A relay in front of the sshd of hosts, as if they were far away; what goes through is counted.

    with Relay([app, proxy], there_and_back=0.05) as relay:
        relay.names                     # for release.toml: ["10.77.7.2:2222", "10.77.7.3:2222"]
        relay.connections[0].changes    # of the first connection that came

It listens on a second port of each host, so that a host has one address for ssh and for its visitors, and the
same host key. Data that comes is passed on half of `there_and_back` later, in either direction; the handshake of
TCP takes as long as it would. Nothing limits the rate, and there is no slow start: a large file costs no more.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from rig.ground import NETNS, RigError
from rig.hosts import Host

PORT = 2222
CLONE_NEWNET = 0x40000000


@dataclass
class Connection:
    """What went through one connection.

    A change of direction is data that goes the other way than the data before it, as the one sees it who
    connected: what it sends when it leaves it, what it gets when it arrives there. So a question and its answer are
    two, and what is sent while nothing came meanwhile is one, in however many pieces.
    """

    host: str
    changes: int = 0
    sent: int = 0
    received: int = 0
    _last: str = field(default="", repr=False)

    def count(self, way: str, size: int) -> None:
        """Some bytes, `sent` or `received`."""
        self.changes += bool(self._last) and way != self._last
        self._last = way
        setattr(self, way, getattr(self, way) + size)


class Relay:
    """In front of these hosts: a context manager. `there_and_back` may be changed for connections to come."""

    def __init__(self, hosts: Sequence[Host], known_hosts: Path, there_and_back: float = 0.0) -> None:
        """Write the hosts' own keys into `known_hosts`, for the port where the relay listens."""
        self.hosts, self.known_hosts, self.there_and_back = hosts, known_hosts, there_and_back
        self.connections: list[Connection] = []
        self.names = [f"{host.address}:{PORT}" for host in hosts]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Relay:
        with self.known_hosts.open("a") as file:
            file.writelines(f"[{host.address}]:{PORT} {host.host_key}\n" for host in self.hosts)
        self._thread.start()
        for host in self.hosts:
            with ThreadPoolExecutor(1) as thread:  # of its own, for it stays in the host's network
                listening = thread.submit(_listening, host).result()
            asyncio.run_coroutine_threadsafe(self._listen(host, listening), self._loop).result()
        return self

    def __exit__(self, *exception: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def taken(self) -> list[Connection]:
        """The connections since the last time that this was asked."""
        taken, self.connections = self.connections, []
        return taken

    async def _listen(self, host: Host, listening: socket.socket) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(OSError, asyncio.CancelledError):  # the end of a host, or of this relay
                await self._serve(host, reader, writer)
            writer.close()

        await asyncio.start_server(serve, sock=listening)

    async def _serve(self, host: Host, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on in both directions until both have ended.

        This connection was accepted at once. Over a distance the client would send its first words after one way
        there and back, and they would be with the host half a way later, when this one connects to it.
        """
        half = self.there_and_back / 2
        seen = Connection(host.name)
        self.connections.append(seen)
        await asyncio.sleep(3 * half)
        from_host, to_host = await asyncio.open_connection(host.address, host.port)
        first = await reader.read(65536)
        seen.count("sent", len(first))
        to_host.write(first)
        try:
            await asyncio.gather(
                self._pass(reader, to_host, half, leaves=lambda size: seen.count("sent", size)),
                self._pass(from_host, writer, half, arrives=lambda size: seen.count("received", size)),
            )
        finally:
            to_host.close()

    async def _pass(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        seconds: float,
        leaves: Callable[[int], None] = lambda _: None,
        arrives: Callable[[int], None] = lambda _: None,
    ) -> None:
        """One direction, until its end has arrived, too."""

        def arrive(data: bytes) -> None:
            arrives(len(data))
            writer.write(data)

        try:
            while data := await reader.read(65536):
                leaves(len(data))
                if seconds:
                    self._loop.call_later(seconds, arrive, data)
                else:
                    arrive(data)
        finally:
            await asyncio.sleep(seconds)
            with suppress(OSError):
                writer.write_eof()

    async def _end(self) -> None:
        """End what is under way, so that no task is left when the loop stops."""
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _listening(host: Host) -> socket.socket:
    """A socket in the network of a host; the thread that calls this stays there."""
    space = os.open(NETNS / host.netns, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(space, CLONE_NEWNET):
            raise RigError(f"{host.name}: {os.strerror(ctypes.get_errno())}")
    finally:
        os.close(space)
    return socket.create_server((host.address, PORT), backlog=128)

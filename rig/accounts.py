"""What programs ran on hosts, and their CPU seconds: what the kernel tells of each that ends (taskstats).

    with Accounts([app, proxy]) as accounts:
        ...
    accounts.of(app)    # {"python3": Used(started=3, cpu=0.14), "fork of sh": ...}

Needs root, and Linux with CONFIG_TASKSTATS (every distribution's). The seconds are those that the scheduler knows
when a process ends: it updates them whenever the process waits, and 250 times a second, so up to 4 ms are missing a
process, and what it costs to take its memory apart.
"""

from __future__ import annotations

import os
import re
import socket
import struct
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rig.ground import RigError
from rig.hosts import Host

NETLINK_GENERIC, ERROR, CONTROL, GET_FAMILY, FAMILY_ID, FAMILY_NAME = 16, 2, 16, 3, 1, 2
GET, REGISTER, OF_THREAD, STATS = 1, 3, 4, 3
REQUEST, ACKNOWLEDGE = 1, 4
SO_RCVBUFFORCE = 33
FORKED = 1
"""Of struct taskstats: the flag of a process that did not execute a program; in /proc/PID/stat it is another one."""
FORKED_ALIVE = 0x40
DIGEST = re.compile("-[0-9a-f]{12}$")
"""What is no part of a name: `uv-d7f459fe4fd2`, as a host has it, is uv."""
QUIET = 0.3
"""Seconds without an end after which nothing more is expected."""


@dataclass(frozen=True)
class Task:
    """A thread: its process and that one's parent, as this machine numbers them."""

    thread: int
    process: int
    parent: int
    name: str
    forked: bool
    cpu: float


@dataclass(frozen=True)
class Used:
    """Of all processes of one name: how many were started, by exec, and the CPU seconds."""

    started: int = 0
    cpu: float = 0.0


class Accounts:
    """What runs on these hosts from here to the end of the block: a context manager."""

    def __init__(self, hosts: Sequence[Host]) -> None:
        self.roots = {host._init: host for host in hosts}
        self._ended: list[Task] = []
        self._used: dict[Host, dict[str, Used]] = {host: {} for host in hosts}

    def __enter__(self) -> Accounts:
        self._socket, self._family = _registered()
        threading.Thread(target=self._listen, daemon=True).start()
        self._await_quiet()  # what was just closed is not part of it
        self._before = {task.thread: task for task in _alive()}
        self._ended.clear()
        return self

    def __exit__(self, *exception: object) -> None:
        """Wait for the ends of connections that were just closed; then add up."""
        self._await_quiet()
        after = list(_alive())
        self._socket.close()
        self._add_up(after)

    def of(self, host: Host) -> dict[str, Used]:
        """What ran on a host, by the name of the program, which is told apart from mere forks of it."""
        return self._used[host]

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                self._ended += _tasks(self._socket.recv(1 << 20), self._family)

    def _await_quiet(self) -> None:
        for _ in range(10):  # never so on a machine that does much else
            count = len(self._ended)
            time.sleep(QUIET)
            if count == len(self._ended):
                return

    def _add_up(self, after: Sequence[Task]) -> None:
        tasks = [*self._ended, *after]
        processes = {task.process: task for task in tasks if task.thread == task.process}
        before = dict(self._before)
        for task in tasks:
            was = before.pop(task.thread, None)  # at its first end: a number may mean another thread afterwards
            process = task if task.thread == task.process else processes.get(task.process)
            if process and (host := self._host(process, processes)):
                self._add(host, task, process, was)

    def _host(self, process: Task | None, processes: Mapping[int, Task]) -> Host | None:
        """The host that a process was on: that of its parent, or of the parent's."""
        for _ in range(100):  # a number may mean another process by now, and lead in a circle
            if not process or process.process in self.roots:
                return self.roots[process.process] if process else None
            process = processes.get(process.parent)
        return None

    def _add(self, host: Host, task: Task, process: Task, before: Task | None) -> None:
        """Add a thread, with what it did since it was there before, to what runs under the name of its process."""
        name = DIGEST.sub("", process.name)
        name = f"fork of {name}" if process.forked else name
        old = self._used[host].get(name, Used())
        cpu = old.cpu + task.cpu - (before.cpu if before else 0)
        self._used[host][name] = Used(old.started + (task is process and not before), cpu)


def supported() -> str:
    """Say why this machine's kernel does not tell; empty when it does."""
    try:
        _registered()[0].close()
    except (OSError, RigError) as error:
        return f"the kernel does not tell what ended (taskstats): {error}"
    return ""


def _registered() -> tuple[socket.socket, int]:
    """A socket that is told of every thread that ends on any CPU, and the kind of its messages."""
    told = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC)
    told.bind((0, 0))
    told.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 26)
    answer = _asked(told, CONTROL, GET_FAMILY, FAMILY_NAME, b"TASKSTATS\0", REQUEST)
    (family,) = struct.unpack("=H", dict(_attributes(answer[4:]))[FAMILY_ID])
    cpus = f"0-{(os.cpu_count() or 1) - 1}\0".encode()
    _asked(told, family, GET, REGISTER, cpus, REQUEST | ACKNOWLEDGE)
    return told, family


def _asked(told: socket.socket, kind: int, command: int, attribute: int, value: bytes, flags: int) -> bytes:
    """Ask the kernel; its answer. Raises OSError where it refuses."""
    body = struct.pack("=BBHHH", command, 1, 0, len(value) + 4, attribute) + value + b"\0" * (-len(value) % 4)
    told.send(struct.pack("=IHHII", len(body) + 16, kind, flags, 0, 0) + body)
    while True:  # whoever is registered may be told of an end before
        for got, payload in _messages(told.recv(65536)):
            if got == ERROR and (code := struct.unpack_from("=i", payload)[0]):
                raise OSError(-code, os.strerror(-code))
            if got == ERROR or got == kind == CONTROL:
                return payload


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= 16:
        size, kind = struct.unpack_from("=IH", data)
        yield kind, data[16:size]
        data = data[(size + 3) & ~3 :]


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= 4:
        size, kind = struct.unpack_from("=HH", data)
        yield kind, data[4:size]
        data = data[(size + 3) & ~3 :]


def _tasks(data: bytes, family: int) -> Iterator[Task]:
    """The threads that ended, by the offsets of struct taskstats in <linux/taskstats.h>."""
    for kind, payload in _messages(data):
        for what, nested in _attributes(payload[4:]) if kind == family else ():
            if what == OF_THREAD:
                stats = dict(_attributes(nested))[STATS]
                thread, parent = struct.unpack_from("=II", stats, 128)
                (process,) = struct.unpack_from("=I", stats, 368)
                (nanoseconds,) = struct.unpack_from("=Q", stats, 72)
                name = stats[80:112].split(b"\0")[0].decode(errors="replace")
                yield Task(thread, process, parent, name, bool(stats[8] & FORKED), nanoseconds / 1e9)


def _alive() -> Iterator[Task]:
    """The threads that there are."""
    for folder in Path("/proc").glob("[0-9]*/task/[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile
            name, _, rest = (folder / "stat").read_text().partition("(")[2].rpartition(")")
            words = rest.split()
            nanoseconds = int((folder / "schedstat").read_text().split()[0])
            forked = bool(int(words[6]) & FORKED_ALIVE)
            yield Task(int(folder.name), int(folder.parts[2]), int(words[1]), name, forked, nanoseconds / 1e9)

"""What a rig takes from this machine, and gives back: names, namespaces, links, processes.

A rig is called by a prefix and a number, say `fl7`. It owns the number by a locked file in
`REGISTRY`, and by its name its bridge `fl7` and network 10.77.7.0/24, its links `fl7.*` and its
namespaces `fl7-*`. A watcher waits for the same lock: however the owner ends, SIGKILL included,
all of that ends too. Where the watcher was killed as well, `sweep()` cleans up, or by hand

    python rig/ground.py

This file needs nothing but the standard library, and runs as a program.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import IO

REGISTRY = Path("/run/fleet-rig")
NETNS = Path("/run/netns")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
TOOLS = (*("cp", "flock", "ip", "mount", "nsenter", "umount", "unshare"), *("sshd", "ssh", "ssh-keygen", "ssh-keyscan"))
KINDS = ("--mount", "--pid", "--uts", "--fork", "--kill-child", "--mount-proc")
PROBE = """
ip link add probe0 type bridge
ip link add probe1 type veth peer name probe2
mount -t tmpfs probe /mnt
hostname probe
"""


class RigError(Exception):
    """The rig, or a command on one of its hosts, did not do what was asked."""


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 15) -> None:
    """Return as soon as `condition()` holds; raise RigError when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise RigError(f"waited {seconds:g} s for: {what}")
        time.sleep(0.005)


@cache
def supported() -> str:
    """Say why no hosts can be made on this machine; empty when they can."""
    if sys.platform != "linux":
        return "hosts need the namespaces of Linux"
    if os.geteuid() != 0:
        return "hosts in network namespaces need root"
    if missing := [tool for tool in TOOLS if not shutil.which(tool, path=PATH)]:
        return f"not installed: {', '.join(missing)}"
    try:
        call("unshare", "--net", *KINDS, "sh", "-euc", PROBE)
    except RigError as error:
        return f"namespaces cannot be made here: {error}"
    return ""


def call(*command: str, stdin: str = "") -> str:
    """Run a tool of this machine; RigError with its own words when it fails."""
    done = subprocess.run(command, input=stdin, capture_output=True, text=True)
    if done.returncode:
        raise RigError(f"{' '.join(command[:2])}: {done.stderr.strip()}")
    return done.stdout


def ip(*commands: str, netns: str = "") -> None:
    """Run `ip` commands as one batch, here or in a namespace."""
    where = ["-netns", netns] if netns else []
    call("ip", *where, "-force", "-batch", "-", stdin="\n".join(commands))


def make_room(neighbours: int) -> None:
    """Let this machine know the addresses of so many neighbours: the kernel counts those of all namespaces (arp(7)).

    It stays so; what there is more room for already is left as it is.
    """
    with suppress(OSError):  # of a container that may not, or sees no such file: it matters for a hundred hosts
        for number, times in ((1, 1), (2, 2), (3, 4)):  # of gc_thresh3 there are no more
            limit = Path(f"/proc/sys/net/ipv4/neigh/default/gc_thresh{number}")
            if int(limit.read_text()) < neighbours * times:
                limit.write_text(str(neighbours * times))


def network(name: str) -> str:
    """Give the first three numbers of the addresses of the rig called `name`."""
    return "10.77." + name.lstrip("abcdefghijklmnopqrstuvwxyz")


@contextmanager
def claimed(prefix: str) -> Iterator[str]:
    """Own the name of a rig until the end of the block, or of the process."""
    REGISTRY.mkdir(mode=0o700, exist_ok=True)
    for number in range(1, 255):
        name = f"{prefix}{number}"
        with (REGISTRY / str(number)).open("a+") as file:
            if not _locked(file):
                continue
            _wipe_owner(file)
            if _in_use(name):
                continue
            file.truncate(0)
            file.write(name)
            file.flush()
            yield name
            return
    raise RigError("10.77.1.0/24 to 10.77.254.0/24 are all in use")


@contextmanager
def watched(name: str) -> Iterator[None]:
    """Have the rig wiped by another process as soon as this one, which has the lock, is dead."""
    lock = REGISTRY / network(name).rpartition(".")[2]
    wiping = [sys.executable, "-I", str(Path(__file__).absolute()), name]
    null = subprocess.DEVNULL
    watcher = subprocess.Popen(["flock", lock, *wiping], stdin=null, stdout=null, start_new_session=True)
    yield
    # Not in a `finally`: where the owner could not wipe its rig, the watcher still does.
    watcher.kill()
    watcher.wait()


def sweep() -> list[str]:
    """Remove what rigs left whose owner is dead; return the names of what was removed."""
    removed = []
    for path in REGISTRY.glob("*"):
        with path.open("r+") as file:
            if _locked(file):
                removed += _wipe_owner(file)
    return removed


def wipe(name: str) -> list[str]:
    """End the processes and remove the namespaces, links and mounts of the rig called `name`."""
    spaces = [path.name for path in NETNS.glob(f"{name}-*")]
    kill(spaces)
    links = [link for link in _links() if re.fullmatch(rf"{name}(\.\d+)?", link)]
    ip(*(f"link del {link}" for link in links), *(f"netns del {space}" for space in spaces))
    for mount in (mounts := _mounts(name)):
        call("umount", "--lazy", mount)
    return [*spaces, *links, *mounts]


def kill(spaces: Iterable[str]) -> None:
    """Kill every process in these network namespaces; return when none is left."""
    inodes = {_inode(NETNS / space) for space in spaces} - {0}

    def none_left() -> bool:
        alive = [path for path in Path("/proc").glob("[0-9]*") if _inode(path / "ns/net") in inodes]
        for path in alive:
            with suppress(ProcessLookupError):
                os.kill(int(path.name), signal.SIGKILL)
        return not alive

    wait_for(none_left, "the processes of a host to end")


def _wipe_owner(file: IO[str]) -> list[str]:
    file.seek(0)
    name = file.read()
    return wipe(name) if name else []


def _locked(file: IO[str]) -> bool:
    """Lock the file, if nobody else has it."""
    with suppress(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def _in_use(name: str) -> bool:
    """Tell whether this machine has an address in the rig's network for another reason."""
    return f" {network(name)}." in call("ip", "-oneline", "-4", "addr", "show")


def _inode(path: Path) -> int:
    """Give the number of a namespace; 0 when it is gone meanwhile."""
    with suppress(OSError):
        return path.stat().st_ino
    return 0


def _links() -> list[str]:
    return [link["ifname"] for link in json.loads(call("ip", "-json", "link", "show"))]


def _mounts(name: str) -> list[str]:
    """Give the places where disks of the rig's hosts are mounted."""
    lines = Path("/proc/self/mounts").read_text().splitlines()
    places = [line.split()[1] for line in lines if line.startswith(f"{name}-")]
    return [place.replace("\\040", " ") for place in places]


if __name__ == "__main__":
    gone = wipe(sys.argv[1]) if sys.argv[1:] else sweep()
    sys.stdout.write("".join(f"removed {name}\n" for name in gone))

"""Real hosts on this machine, for tests, the demo and benchmarks (Linux, as root).

    with Fleet(Path("/tmp/rig")) as fleet:
        app, proxy = fleet.add("app1"), fleet.add("proxy1")
        app.run("hostname")                                                     # inside the host
        subprocess.run(["ssh", app.address, "true"], env=fleet.environment())   # from outside
        app.cut()                                                               # pull its cable

A host is a network namespace on the rig's bridge. Its processes, mounts and hostname are its own;
process 1 is a real sshd. It sees this machine's programs read-only, and files of its own over the
paths in `image.PRIVATE`. It reaches the other hosts and the gateway, and nothing else.
All of it ends with the fleet, however that ends: see ground.py. The files in its folder stay.

    this machine               | host app1
    fl7 (bridge) 10.77.7.1     |
     `-- fl7.2 ================|== eth0 10.77.7.2, sshd on port 22
"""

from __future__ import annotations

import getpass
import os
import re
import signal
import socket
import subprocess
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from rig.ground import (
    KINDS,
    NETNS,
    PATH,
    RigError,
    call,
    claimed,
    ip,
    kill,
    make_room,
    network,
    supported,
    sweep,
    wait_for,
    watched,
    wipe,
)
from rig.image import HOST_KEY, PRIVATE, make_home, make_host, make_image, make_key

__all__ = ["Fleet", "Host", "RigError", "supported", "sweep", "wait_for"]

FAKETIME = next((str(path) for path in Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), "")
INSIDE = {"PATH": PATH, "HOME": "/root"}

# The folder is entered first, so that it is found even where a mount has covered its path.
BOOT = """
cd "$1"; name=$2; shift 2
for path; do mount --no-canonicalize --bind "./$path" "/$path"; done
mount -t tmpfs -o mode=755 run /run
mkdir /run/sshd
mount -o remount,bind,ro /
hostname "$name"
if command -v cron >/dev/null; then cron; fi
exec "$(command -v sshd)" -D -e
"""


@dataclass(eq=False)
class Host:
    """One host of a Fleet: made by `Fleet.add`, gone with the fleet."""

    name: str
    address: str
    root: Path  # backs the host's files: root / "srv" here is /srv there
    netns: str
    link: str
    disk: str = ""
    port: int = 22
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def host_key(self) -> str:
        """The public host key as known_hosts has it: `ssh-ed25519 AAAA...`."""
        return (self.root / f"{HOST_KEY}.pub").read_text().strip()

    @property
    def log(self) -> Path:
        """What the host's sshd said."""
        return self.root.with_name(f"{self.name}.log")

    @property
    def is_on(self) -> bool:
        """Whether the host has power (also when it is cut off)."""
        return self.process is not None and self.process.poll() is None

    def run(self, command: str, *, check: bool = True, seconds: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a shell command in the host as root, without ssh: to look, and to do damage."""
        namespaces = ["--mount", "--uts", "--net", "--pid"]
        done = subprocess.run(
            ["nsenter", f"--target={self._init}", *namespaces, "sh", "-c", command],
            env=INSIDE,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
        )
        if check and done.returncode:
            raise RigError(f"{self.name}: `{command}`: exit {done.returncode}: {done.stderr}")
        return done

    def cut(self) -> None:
        """Pull the network cable: connections freeze, new ones get no answer."""
        ip(f"link set {self.link} down")

    def heal(self) -> None:
        """Plug the cable in again."""
        ip(f"link set {self.link} up")
        if self.is_on:
            self.await_network()

    def power_off(self) -> None:
        """End every process of the host at once, as a power cut does; its files stay."""
        kill([self.netns])
        if self.process:
            self.process.wait()

    def power_on(self) -> None:
        """Start the host again, with its files and an empty /run; return when sshd listens."""
        self.start()
        self.await_boot()

    def fill_disk(self, leave: int = 0) -> None:
        """Leave that many bytes on the host's disk, which it got by `Fleet.add(..., disk=size)`."""
        usage = os.statvfs(self.root)
        used = (usage.f_blocks - usage.f_bfree) * usage.f_frsize
        self._resize_disk(str(used + leave))

    def free_disk(self) -> None:
        """Give the disk its own size again."""
        self._resize_disk(self.disk)

    def change_host_key(self) -> None:
        """Take another host key, as a forged or reinstalled host; known_hosts keeps the old one."""
        make_key(self.root / HOST_KEY)
        if self.is_on:
            os.kill(self._init, signal.SIGHUP)
            wait_for(self._shows_its_key, f"{self.name} to show its new host key")

    def set_clock(self, offset: str) -> None:
        """Let everything that is started over ssh from now on see another time, as "+1y"; "" for the right one."""
        file = self.root / "etc/ssh/sshd_config"
        kept = [line for line in file.read_text().splitlines() if not line.startswith("SetEnv")]
        faked = f"LD_PRELOAD={FAKETIME} FAKETIME={offset} DONT_FAKE_MONOTONIC=1" if offset else ""
        file.write_text("\n".join([*kept, f"SetEnv PATH={PATH} {faked}", ""]))
        before = self.log.read_text().count("Server listening")
        os.kill(self._init, signal.SIGHUP)
        wait_for(lambda: self.log.read_text().count("Server listening") > before, f"{self.name} to read its files")

    def start(self) -> None:
        """Start process 1 and return at once, so that many hosts can boot side by side."""
        if self.is_on:
            raise RigError(f"{self.name} is on already")
        private = [path for path in PRIVATE if Path("/", path).exists()]
        boot = ["sh", "-euc", BOOT, "boot", str(self.root), self.name, *private]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                ["nsenter", f"--net={NETNS / self.netns}", "unshare", *KINDS, *boot],
                env=INSIDE,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def await_boot(self) -> None:
        """Wait for sshd's pid file: it listens by then, whether or not the cable is in."""
        wait_for(lambda: self._listens() or not self.is_on, f"{self.name} to boot")
        if not self.is_on:
            raise RigError(f"{self.name} does not boot: {self.log.read_text()[-500:]}")

    def await_network(self) -> None:
        """Wait until this machine can connect to the host's sshd."""
        wait_for(self._answers, f"{self.name} to answer on {self.address}:{self.port}")

    @property
    def _init(self) -> int:
        """Process 1 of the host, as this machine numbers it."""
        if self.process is None or not self.is_on:
            raise RigError(f"{self.name} is off")
        pid = self.process.pid
        return int(Path(f"/proc/{pid}/task/{pid}/children").read_text())

    def _listens(self) -> bool:
        with suppress(OSError, ValueError, RigError):
            return Path(f"/proc/{self._init}/root/run/sshd.pid").read_text() == "1\n"
        return False

    def _answers(self) -> bool:
        with suppress(OSError), socket.create_connection((self.address, self.port), timeout=1):
            return True
        return False

    def _shows_its_key(self) -> bool:
        scan = ["ssh-keyscan", "-T", "1", "-t", "ed25519", self.address]
        return self.host_key in subprocess.run(scan, capture_output=True, text=True).stdout

    def _resize_disk(self, size: str) -> None:
        if not self.disk:
            raise RigError(f"{self.name} has no disk of its own: add(..., disk='64m')")
        call("mount", "-o", f"remount,size={size}", str(self.root))


class Fleet:
    """Hosts on a network of their own: a context manager."""

    def __init__(self, folder: Path, prefix: str = "fl") -> None:
        """Use `folder` for all files, and `prefix` (1 to 5 letters) for names in the kernel."""
        if not re.fullmatch("[a-z]{1,5}", prefix):
            raise RigError(f"prefix {prefix!r}: want 1 to 5 small letters")
        self.folder = folder.absolute()
        self.prefix = prefix
        self.hosts: dict[str, Host] = {}
        self.home = self.folder / "home"
        self.identity = self.home / ".ssh/id_ed25519"
        self.known_hosts = self.home / ".ssh/known_hosts"
        self.ssh_config = self.home / ".ssh/config"
        self._image = self.folder / "image"

    def __enter__(self) -> Fleet:
        if reason := supported():
            raise RigError(reason)
        make_home(self.home)
        make_image(self._image, self.identity.with_suffix(".pub"))
        with ExitStack() as undo:
            self.name = undo.enter_context(claimed(self.prefix))
            undo.enter_context(watched(self.name))
            undo.callback(self._end)
            ip(
                f"link add {self.name} type bridge",
                f"addr add {self.gateway_address}/24 dev {self.name}",
                f"link set {self.name} up",
            )
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._undo.close()

    @property
    def gateway_address(self) -> str:
        """This machine's address on the network: what listens there, all hosts reach."""
        return f"{network(self.name)}.1"

    def environment(self) -> dict[str, str]:
        """Give this process's environment, with a HOME whose keys and known_hosts fit all hosts.

        Paramiko and Fabric go by HOME. OpenSSH goes by the password file: so PATH begins with an
        `ssh`, `scp` and `sftp` that are told where the configuration is. USER is what each login sets; where it is
        not set, Paramiko reads the password file once for each block of that configuration.
        """
        ours = {
            "HOME": str(self.home),
            "USER": getpass.getuser(),
            "PATH": f"{self.home}/bin:{os.environ.get('PATH', PATH)}",
        }
        return {k: v for k, v in os.environ.items() if k != "SSH_AUTH_SOCK"} | ours

    def add(self, name: str, disk: str = "") -> Host:
        """Make a host and boot it.

        With `disk`, a size as "64m", its files are on a disk of their own, which can be filled; they
        are in memory then, and the only ones that do not outlive the fleet.
        """
        return self._boot([self._make(name, disk)])[0]

    def add_many(self, count: int, role: str, disk: str = "") -> list[Host]:
        """Make `count` more hosts side by side: app1, app2... for the role `app`."""
        taken = sum(name.rstrip("0123456789") == role for name in self.hosts)
        return self._boot([self._make(f"{role}{taken + 1 + i}", disk) for i in range(count)])

    def _make(self, name: str, disk: str) -> Host:
        """Make a host that is off: its files, its cable, and its line in ssh's files."""
        number = len(self.hosts) + 2
        if not re.fullmatch("[a-z][a-z0-9-]*", name) or name in self.hosts or number > 254:
            raise RigError(f"no host can be called {name!r} here: taken, no name, or no room")
        host = Host(
            name,
            address=f"{network(self.name)}.{number}",
            root=self.folder / "hosts" / name,
            netns=f"{self.name}-{name}",
            link=f"{self.name}.{number}",
            disk=disk,
        )
        self.hosts[name] = host
        host.root.mkdir(parents=True)
        if disk:
            call("mount", "-t", "tmpfs", "-o", f"size={disk}", host.netns, str(host.root))
        make_host(self._image, host.root, name)
        self._plug_in(host)
        with self.known_hosts.open("a") as file:
            file.write(f"{name},{host.address} {host.host_key}\n")
        with self.ssh_config.open("a") as file:
            file.write(f"Host {name}\n    HostName {host.address}\n")
        return host

    def _plug_in(self, host: Host) -> None:
        ip(
            f"netns add {host.netns}",
            f"link add {host.link} type veth peer name eth0 netns {host.netns}",
            f"link set {host.link} master {self.name} up",
        )
        ip("link set lo up", f"addr add {host.address}/24 dev eth0", "link set eth0 up", netns=host.netns)

    def _boot(self, hosts: list[Host]) -> list[Host]:
        make_room(10 * len(self.hosts))  # each knows the gateway and both proxies, and these know each
        for host in hosts:
            host.start()
        for host in hosts:
            host.await_boot()
            host.await_network()
        return hosts

    def _end(self) -> None:
        started = [host.process for host in self.hosts.values() if host.process]
        for process in started:
            process.kill()
        wipe(self.name)
        for process in started:
            process.wait()

"""A real sshd at a high port of this machine, and a HOME from which one logs in there."""

from __future__ import annotations

import getpass
import socket
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import real

CONFIG = """\
Port {port}
ListenAddress {address}
PidFile none
AuthorizedKeysFile {home}/.ssh/id_ed25519.pub
PasswordAuthentication no
KbdInteractiveAuthentication no
StrictModes no
UsePAM no
MaxStartups 1000
"""


class Sshd:
    """It runs for the length of a ``with`` block, with a host key of each kind; ``log`` is what it said.

    ``settings`` are lines of sshd_config(5) that count before the usual ones.
    """

    def __init__(
        self,
        folder: Path,
        home: Path,
        address: str = "127.0.0.1",
        kinds: Sequence[str] = ("ed25519",),
        settings: str = "",
    ) -> None:
        self.folder, self.address, self.port = folder, address, real.free_port()
        self.name, self.log = f"[{address}]:{self.port}", folder / "log"
        folder.mkdir()
        keys = "".join(f"HostKey {self._make(kind)}\n" for kind in kinds)
        (folder / "config").write_text(settings + CONFIG.format(port=self.port, address=address, home=home) + keys)

    def _make(self, kind: str) -> Path:
        return make_key(self.folder / f"key_{kind}", kind)

    def key(self, kind: str = "ed25519") -> str:
        """A host key of its, as it stands in known_hosts."""
        return " ".join((self.folder / f"key_{kind}.pub").read_text().split()[:2])

    def known(self, kind: str = "ed25519") -> str:
        """A line of known_hosts."""
        return f"{self.name} {self.key(kind)}\n"

    def __enter__(self) -> Sshd:
        Path("/run/sshd").mkdir(exist_ok=True)  # where sshd as root is separated
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(["/usr/sbin/sshd", "-D", "-e", "-f", self.folder / "config"], stderr=log)
        while self.process.poll() is None:
            with suppress(OSError), socket.create_connection((self.address, self.port)):
                return self
        raise AssertionError(self.log.read_text())

    def __exit__(self, *error: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Listen no more."""
        self.process.terminate()
        self.process.wait()

    def restart(self, settings: str) -> None:
        """The same with more settings."""
        self.stop()
        with (self.folder / "config").open("a") as file:
            file.write(settings)
        self.__enter__()


def make_key(file: Path, kind: str = "ed25519") -> Path:
    """A new pair of keys."""
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "", "-f", str(file)], check=True)
    return file


def make_home(home: Path) -> Path:
    """A HOME with a key that every :class:`Sshd` lets in, and an empty known_hosts."""
    (home / ".ssh").mkdir(parents=True)
    make_key(home / ".ssh/id_ed25519")
    (home / ".ssh/known_hosts").touch()
    (home / ".ssh/config").write_text(
        f'Host *\n    User {getpass.getuser()}\n    IdentityFile "{home}/.ssh/id_ed25519"\n'
    )
    return home

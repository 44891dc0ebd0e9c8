"""Files of known host keys (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT): each line is understood, or refused in words."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from releaselib.errors import ConfigError

if TYPE_CHECKING:
    import paramiko

SYSTEM = ("/etc/ssh/ssh_known_hosts", "~/.ssh/known_hosts")


@dataclass(frozen=True)
class KnownHosts:
    """The keys of a file, those that are revoked, and whether it trusts certificates, which are not understood."""

    keys: paramiko.HostKeys
    revoked: set[bytes] = field(default_factory=set)
    authorities: bool = False


def known(more: str = "") -> list[KnownHosts]:
    """What the system's files, the user's and one more say. Raises ConfigError for a line that makes no sense."""
    files = [Path(name).expanduser() for name in (*SYSTEM, more) if name]
    return [_read(file, file.stat().st_mtime_ns) for file in files if file.exists()]


@functools.cache
def _read(file: Path, changed: int) -> KnownHosts:
    import paramiko

    del changed  # a file that has changed is read again
    keys, revoked, authorities = paramiko.HostKeys(), set(), False
    for number, raw in enumerate(file.read_bytes().splitlines(), 1):
        marker, _, rest = raw.strip().partition(b" ") if raw.startswith(b"@") else (b"", b"", raw.strip())
        if not rest or rest.startswith(b"#"):
            continue
        if marker == b"@cert-authority":
            authorities = True
            continue
        try:
            entry = _entry(rest.decode())
        except (ValueError, paramiko.SSHException, paramiko.hostkeys.InvalidHostKey):
            raise ConfigError(
                f"{file}, line {number}, is no host key: {raw[:60].decode('utf-8', 'replace')}",
                next_step=f"correct that line, or remove it: sed -i {number}d {file}",
            ) from None
        if entry and marker == b"@revoked":
            revoked.add(entry.key.asbytes())
        elif entry:
            keys._entries.append(entry)  # as HostKeys.load does; its add() keeps one key of a kind for a host
    return KnownHosts(keys, revoked, authorities)


def _entry(line: str) -> paramiko.hostkeys.HostKeyEntry | None:
    """One line; None for a kind of key that paramiko does not know. Raises ValueError for too few words."""
    import paramiko

    words = line.split()
    if len(words) < 3:
        raise ValueError(line)
    return paramiko.hostkeys.HostKeyEntry.from_line(" ".join(words))

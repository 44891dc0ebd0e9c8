"""Known host keys: each line of their files (sshd(8)) is understood or refused in words; and keys are judged."""

from __future__ import annotations

import functools
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from releaselib.errors import ConfigError
from releaselib.hosts.connection import Distrusted

if TYPE_CHECKING:
    import paramiko

USER = "~/.ssh/known_hosts"
SYSTEM = ("/etc/ssh/ssh_known_hosts", USER)
MARKERS = {b"", b"@revoked", b"@cert-authority"}
SSH_PORT = 22


@dataclass(frozen=True)
class Entry:
    """A line of a file: the hosts that it is of, as patterns, and their key."""

    file: Path
    hosts: tuple[str, ...]
    key: paramiko.PKey
    revoked: bool = False

    def of(self, name: str) -> bool:
        """Whether the host of that name is meant."""
        meant = [pattern for pattern in self.hosts if _matches(pattern.removeprefix("!"), name)]
        return bool(meant) and not any(pattern.startswith("!") for pattern in meant)


def _matches(pattern: str, name: str) -> bool:
    import paramiko

    if pattern.startswith("|"):
        return bool(paramiko.HostKeys.hash_host(name, pattern) == pattern)
    if not set(pattern) & set("*?"):
        return pattern.lower() == name.lower()
    return bool(re.fullmatch(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), name, re.IGNORECASE))


@dataclass(frozen=True)
class KnownHosts:
    """What the files say, and whether they trust certificates, which are not understood; ``add`` takes new keys."""

    entries: Sequence[Entry]
    authorities: bool
    add: str

    def of(self, name: str) -> list[Entry]:
        """The entries of a host, by its name as the files have it: ``[host]:port`` beside the usual port."""
        maybe = (*self._named.get(name.lower(), ()), *self._named.get("", ()))
        return [entry for entry in maybe if not entry.revoked and entry.of(name)]

    @functools.cached_property
    def _named(self) -> dict[str, list[Entry]]:
        """Name -> entries, those with patterns or hashes under none: each of many hosts asks for its own."""
        found: dict[str, list[Entry]] = {}
        for entry in self.entries:
            plain = not set("".join(entry.hosts)) & set("*?!|")
            for name in entry.hosts if plain else [""]:
                found.setdefault(name.lower(), []).append(entry)
        return found

    def judge(self, name: str, key: paramiko.PKey) -> None:
        """Raise Distrusted for a key of a host that is not known, not the known one, or revoked."""
        shown = f"{key.get_name()} {key.fingerprint}"
        if any(entry.revoked and entry.key == key for entry in self.entries):
            raise revoked(name, shown)
        known = self.of(name)
        if any(entry.key == key for entry in known):
            return
        if known:
            raise self.changed(name, shown)
        cause = 'known_hosts trusts a @cert-authority, which is not understood here, but by connector = "openssh"'
        raise self.unknown(name, shown, cause if self.authorities else "")

    def changed(self, name: str, shown: str) -> Distrusted:
        """The error for a host that has another key than the known one: ``shown``, its kind and fingerprint."""
        known = self.of(name)
        files = list(dict.fromkeys(shlex.quote(str(entry.file)) for entry in known)) or [self.add]
        forget = " && ".join(f"ssh-keygen -R '{name}' -f {file}" for file in files)
        expected = [f"expected {entry.key.get_name()} {entry.key.fingerprint}" for entry in known]
        return Distrusted(
            f"{name}: its host key has changed",
            cause="\n".join([*expected, f"got      {shown}"]),
            next_step=f"if the host was made anew: {forget} && {_scan(name)} >> {files[0]}, "
            "and compare the fingerprint",
        )

    def unknown(self, name: str, shown: str, cause: str = "") -> Distrusted:
        """The error for a host of which no key is known."""
        return Distrusted(
            f"{name}: its host key is not known here: {shown}",
            cause=cause,
            next_step="compare the fingerprint with the host's own (ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub there), "
            f"then add it to known_hosts: {_scan(name)} >> {self.add}",
        )


def revoked(name: str, shown: str) -> Distrusted:
    """The error for a host with a key that nobody may trust any more."""
    return Distrusted(
        f"{name}: its host key is revoked: {shown}",
        next_step="give the host a new key; whoever has this one can pretend to be it",
    )


def _scan(name: str) -> str:
    address, _, port = name.removeprefix("[").partition("]:")
    return f"ssh-keyscan {f'-p {port} ' * bool(port)}{address}"


def known(more: str = "") -> KnownHosts:
    """What the system's files, the user's and one more say. Raises ConfigError for a line that makes no sense."""
    files = [Path(name).expanduser() for name in (*SYSTEM, more) if name]
    return _known(tuple((file, changed(file)) for file in files), more)


def changed(file: Path) -> int | None:
    """When a file was changed last, in nanoseconds; none for one that is not there. Raises ConfigError."""
    try:
        return file.stat().st_mtime_ns
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}", next_step=f"ls -ld {file}") from None


@functools.cache
def _known(files: tuple[tuple[Path, int | None], ...], more: str) -> KnownHosts:
    """The same, of files that were changed at these moments: those of many hosts are read once."""
    read = [_read(file) for file, moment in files if moment is not None]
    return KnownHosts(
        [entry for entries, _ in read for entry in entries],
        any(trusts for _, trusts in read),
        shlex.quote(more) if more else USER,
    )


def require(client: paramiko.SSHClient, options: dict[str, Any], host: str, port: int, hosts: KnownHosts) -> None:
    """Let a client take no key of a host but a known one, and ask for those kinds first, as OpenSSH does.

    ``options`` are those of its connect.
    """
    import paramiko

    from releaselib.hosts.eager import Eager

    name = host if port == SSH_PORT else f"[{host}]:{port}"  # as OpenSSH writes it
    kinds = [entry.key.get_name() for entry in hosts.of(name)]

    class Judge(paramiko.MissingHostKeyPolicy):  # type: ignore[misc]
        def missing_host_key(self, client: Any, hostname: str, key: Any) -> None:
            del client, hostname
            hosts.judge(name, key)

    def transport(*args: Any, **more: Any) -> paramiko.Transport:
        made = Eager(*args, **more)
        security = made.get_security_options()
        security.key_types = sorted(security.key_types, key=lambda kind: not _signed_by(kind, kinds))
        return made

    client.set_missing_host_key_policy(Judge())
    options["transport_factory"] = transport


def _signed_by(algorithm: str, kinds: Sequence[str]) -> bool:
    """Whether a key of these kinds makes such signatures; those of RSA have names of their own (RFC 8332)."""
    return ("ssh-rsa" if algorithm.startswith("rsa-sha2-") else algorithm) in kinds


def _read(file: Path) -> tuple[list[Entry], bool]:
    """The entries of a file, and whether it trusts certificates. Raises ConfigError."""
    import paramiko

    try:
        lines = file.read_bytes().splitlines()
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}", next_step=f"ls -l {file}") from None
    entries, authorities = [], False
    for number, raw in enumerate(lines, 1):
        marker, *words = raw.split() if raw.lstrip().startswith(b"@") else (b"", *raw.split())
        if not marker and (not words or words[0].startswith(b"#")):
            continue
        try:
            if marker not in MARKERS or len(words) < 3:
                raise ValueError(raw)
            found = paramiko.hostkeys.HostKeyEntry.from_line(b" ".join(words[:3]).decode())
            entry = Entry(file, tuple(found.hostnames), found.key, marker == b"@revoked") if found else None
            if entry:
                entry.of("")  # a hash that is none is told now
        except (ValueError, LookupError, AssertionError, paramiko.SSHException, paramiko.hostkeys.InvalidHostKey):
            raise ConfigError(
                f"{file}, line {number}, is no host key: {raw[:60].decode('utf-8', 'replace')}",
                next_step=f"correct that line, or remove it: sed -i {number}d {shlex.quote(str(file))}",
            ) from None
        if marker == b"@cert-authority":
            authorities = True
        elif entry:  # else a kind of key that paramiko does not know
            entries.append(entry)
    return entries, authorities

"""Hosts as values: what release.toml says under ``app`` and ``proxy``, expanded."""

import difflib
import fnmatch
import json
import re
import shlex
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo

from releaselib.config.table import Name
from releaselib.errors import ConfigError

LOCAL = "local"
RANGE = re.compile(r"\[(\d+):(\d+)\]")


class Host(BaseModel):
    """One machine of a stage; the address ``local`` is this machine, reached without ssh."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    address: str = Field(pattern=r"^[A-Za-z0-9_.:%\[\]-]+$")
    port: int = Field(default=22, ge=1, le=65535)
    user: str = ""
    env: dict[Name, str] = Field(default_factory=dict)

    def __hash__(self) -> int:
        return hash((self.address, self.port, self.user))

    @property
    def name(self) -> str:
        """How the host is called in messages and in ``--hosts``."""
        return self.address if self.port == 22 else f"{self.address}:{self.port}"

    @property
    def local(self) -> bool:
        """Whether this is the machine that the command runs on."""
        return self.address == LOCAL

    @property
    def visitors(self) -> str:
        """The address that a proxy sends visitors to, as it stands before a port."""
        if self.local:
            return "127.0.0.1"
        return f"[{self.address}]" if ":" in self.address else self.address


def nearest(word: str, right: Iterable[str]) -> str:
    """`; did you mean ...?` for a misspelt word, or nothing."""
    close = difflib.get_close_matches(word, list(right), 1)
    return f"; did you mean {close[0]!r}?" if close else ""


def addresses(pattern: str) -> list[str]:
    """Expand the ranges of a pattern: ``10.0.[1:2].[8:9]`` gives four addresses."""
    match = RANGE.search(pattern)
    if not match:
        return [pattern]
    first, last = int(match[1]), int(match[2])
    width = len(match[1]) if match[1].startswith("0") else 0
    rest = addresses(pattern[match.end() :])
    return [f"{pattern[: match.start()]}{n:0{width}}{end}" for n in range(first, last + 1) for end in rest]


def _listed(value: Any, info: ValidationInfo) -> Any:
    """The entries as a tuple of tables; a program of the project is asked for them."""
    if isinstance(value, dict) and set(value) == {"command"}:
        value = _asked(value["command"], (info.context or {}).get("root", Path()))
    if not isinstance(value, list | tuple):
        raise ValueError('must be a list of hosts or { command = "..." }')
    return tuple(_table(entry) if isinstance(entry, str) else entry for entry in value)


def _table(entry: str) -> dict[str, Any]:
    """An address as a table: ``host:2222`` has a port; of IPv6 every colon is its own."""
    address, _, port = entry.rpartition(":")
    with_port = port.isdigit() and RANGE.sub("", entry).count(":") == 1
    return {"address": address, "port": int(port)} if with_port else {"address": entry}


def _asked(command: Any, root: Path) -> list[Any]:
    """Hosts from a program of the project: one a line, or a JSON list."""
    try:
        done = subprocess.run(shlex.split(command), cwd=root, capture_output=True, text=True, timeout=60, check=True)
        text = done.stdout.strip()
        return list(json.loads(text)) if text.startswith("[") else text.split()
    except (OSError, subprocess.SubprocessError, ValueError, AttributeError) as error:
        words = getattr(error, "stderr", "") or str(error)
        raise ValueError(f"the command {command} failed: {words.strip()}") from None


def _expanded(entries: tuple[Host, ...]) -> tuple[Host, ...]:
    hosts = [one.model_copy(update={"address": a}) for one in entries for a in addresses(one.address)]
    odd = [one.address for one in entries if not addresses(one.address)]  # [9:2] means nobody
    odd += [host.address for host in hosts if set(host.address) & set("[]") or host.address.count(":") == 1]
    if odd:
        raise ValueError(f"is no address and no range like 10.0.0.[1:20]: {', '.join(odd)}")
    names = [host.name for host in hosts]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"lists {', '.join(twice)} twice")
    return tuple(hosts)


Hosts = Annotated[tuple[Host, ...], BeforeValidator(_listed), AfterValidator(_expanded)]
"""Hosts of one role: addresses, ranges (``10.0.0.[1:100]``), tables, or a program's answer."""


def select(hosts: Sequence[Host], names: str, exclude: str = "") -> tuple[Host, ...]:
    """The hosts that a comma separated list of names or globs means, all for an empty one, but those excluded.

    Raises ConfigError for a name that matches no host, and when none is left.
    """
    wanted, unwanted = ([one.strip() for one in said.split(",") if one.strip()] for said in (names, exclude))
    missing = [name for name in wanted + unwanted if not any(fnmatch.fnmatch(host.name, name) for host in hosts)]
    if missing:
        raise ConfigError(
            f"no such host in this stage: {', '.join(missing)}",
            next_step="use one of: " + ", ".join(host.name for host in hosts),
        )
    left = [host for host in hosts if not wanted or any(fnmatch.fnmatch(host.name, one) for one in wanted)]
    left = [host for host in left if not any(fnmatch.fnmatch(host.name, one) for one in unwanted)]
    if hosts and not left:
        raise ConfigError("no host is left", next_step="name fewer with --exclude")
    return tuple(left)

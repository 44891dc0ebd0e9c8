"""What was seen of one host, as values: its slots and ports, or what its nginx serves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from releaselib.config.inventory import Host
from releaselib.decide.release import Release, release_of

UNSET = "-"
"""What nginx says it serves before the first switch."""


@dataclass(frozen=True)
class SlotSeen:
    """A slot on one host: what is in it, whether its supervisord runs, whether it became healthy.

    ``live`` are the processes that are to run there and in no other slot; ``down`` is what its supervisor says of
    those that it has given up or tries again, or that it does not answer.
    """

    release: Release | None
    running: bool
    healthy: bool
    live: tuple[str, ...] = ()
    down: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Listener:
    """Who listens on a port of a slot: pid and command, as far as they can be seen; ours: the slot itself."""

    port: int
    slot: str
    pid: str
    command: str
    ours: bool


@dataclass(frozen=True)
class AppSeen:
    """What was seen on an app host.

    ``boot`` is what starts its slots again after a restart: systemd, cron; ``venv`` whether its Python makes
    virtualenvs.
    """

    python: str
    machine: str
    slots: dict[str, SlotSeen]
    ports: tuple[Listener, ...] = ()
    boot: str = ""
    venv: bool = True

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> "AppSeen":
        """The same from the form that `facts.py` prints."""
        slots = {
            name: SlotSeen(release_of(one["release"]), one["running"], one["healthy"], tuple(one["live"]), one["down"])
            for name, one in table["slots"].items()
        }
        ports = tuple(Listener(**port) for port in table["ports"])
        return cls(table["python"], table["machine"], slots, ports, table["boot"], table["venv"])


@dataclass(frozen=True)
class Served:
    """What a proxy knows of a slot: its release, the hosts (names) that hold it, and their processes."""

    release: Release
    hosts: tuple[str, ...] = ()
    servers: tuple[str, ...] = ()

    def among(self, hosts: Sequence[Host]) -> "Served":
        """The same without the hosts that are not of these, by their addresses: they may have got another name."""
        addresses = {host.visitors for host in hosts}
        servers = tuple(server for server in self.servers if server.rpartition(":")[0] in addresses)
        return replace(self, hosts=tuple(host.name for host in hosts if host.name in self.hosts), servers=servers)


@dataclass(frozen=True)
class ProxySeen:
    """What was seen on a proxy.

    ``slot`` and ``version`` are what visitors get, or would if nginx ran: the link tells, or the file of a
    stage that was switched by reloads. ``answer`` is nginx's own word, ``loaded`` the configuration that it
    has and ``conf`` the one that lies there; ``slots`` is what is known of each slot, ``listeners`` who has a
    port (its command), ``maintenance`` the page that everybody gets instead, ``canary`` the slot that a share of
    visitors gets. ``certificate`` has its ``names``, the ``days`` for which it is good, and what is ``wrong``.
    ``sudo`` is why that does not work, where it is needed.
    """

    slot: str = ""
    version: str = ""
    answer: str = ""
    conf: str = ""
    loaded: str = ""
    program: str = ""
    sudo: str = ""
    maintenance: str = ""
    canary: str = ""
    certificate: dict[str, Any] = field(default_factory=dict)
    linked: bool = True
    slots: dict[str, Served] = field(default_factory=dict)
    listeners: dict[int, str] = field(default_factory=dict)

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> "ProxySeen":
        """The same from the form that `facts.py` prints."""
        old, link = table["old"], table["link"]
        slots = {
            name: Served(release, tuple(one["hosts"]), tuple(one["servers"]))
            for name, one in table["slots"].items()
            if (release := release_of(one["release"]))
        }
        if not link and old["slot"]:  # what it is switched from is known by its processes alone
            slots[old["slot"]] = Served(Release("", old["version"]), (), tuple(old["servers"]))
        slot = link or old["slot"]
        same = ("answer", "conf", "loaded", "program", "sudo", "maintenance", "canary", "certificate")
        return cls(
            slot=slot,
            version=slots[slot].release.version if slot in slots else "",
            linked=bool(link),
            slots=slots,
            listeners={int(port): command for port, command in table["listeners"].items()},
            **{key: table[key] for key in same},
        )

    @property
    def serves(self) -> str:
        """What it serves, in words."""
        return f"{self.slot} {self.version}" if self.slot else UNSET

    @property
    def works(self) -> bool:
        """Whether its nginx says that it serves that slot, with the configuration that lies there."""
        return self.loaded == self.conf and self.answer.partition(" ")[0] == self.slot


@dataclass(frozen=True)
class Lost:
    """Why a host could not be looked at.

    ``unready``: it was reached, but somebody has to mend it: no Python, a host key that is not the known one.
    """

    words: str
    unready: bool = False

"""A stage with all that follows from its table: names, ports, paths, addresses."""

from collections.abc import Sequence
from itertools import combinations

from releaselib.config.inventory import Host, select
from releaselib.config.paths import Paths
from releaselib.config.programs import Program
from releaselib.config.tables import Index, OwnIndex, StageTable

PORTS = 100
"""The ports of a stage on a host: those of its slots, nginx, index and probe, from port_base on."""


def conflicts(stages: Sequence["Stage"]) -> list[str]:
    """What two stages of a project would take from each other on a host of both. Pure."""
    found = []
    for one, other in combinations(stages, 2):
        both = sorted({h.name for h in (*one.app, *one.proxy)} & {h.name for h in (*other.app, *other.proxy)})
        if not both:
            continue
        where = f"stages.{other.name}: {', '.join(both[:3])} {'is' if len(both) == 1 else 'are'} of {one.name}, too"
        if one.prefix == other.prefix:
            found.append(f"{where}: give one of them another prefix than {one.prefix}")
        if abs(one.port_base - other.port_base) < PORTS:
            found.append(f"{where}: set port_base {one.port_base + PORTS} or more")
        proxies = {h.name for h in one.proxy} & {h.name for h in other.proxy}
        if proxies and one.nginx == other.nginx == "system":
            found.append(f'{where}: one nginx takes one stage of a project: set nginx = "own" for one of them')
    return found


def _listen(table: StageTable) -> str:
    """What nginx's listen says: with a certificate visitors come by TLS and HTTP/2."""
    secure = bool(table.tls and table.tls.certificate)
    port = {"system": "443" if secure else "80", "own": str(table.port_base + 90)}[table.nginx]
    listen = table.listen or port
    return f"{listen} ssl http2" if secure and " ssl" not in listen else listen


class Stage(StageTable):
    """A stage with its name, its project's, and everything that follows from other keys filled in."""

    name: str
    project: str
    index: Index

    @classmethod
    def of(cls, table: StageTable, name: str, project: str, index: Index) -> "Stage":
        """The stage of a table; ``index`` is the project's."""
        prefix, port = table.prefix or f"/srv/{project}", table.port_base
        own = OwnIndex.at(port + 91, f"{prefix}/index") if isinstance(table.index, OwnIndex) else None
        everywhere = "127.0.0.1" if table.app[0].local else "0.0.0.0"  # noqa: S104  proxies are other hosts
        logs = f"{prefix}/nginx" if table.nginx == "own" else "/var/log/nginx"
        follows = {
            "prefix": prefix,
            "profile": table.profile or name,
            "bind": table.bind or everywhere,
            "listen": _listen(table),
            "index": own or table.index or index,
            "access_log": table.access_log or f'"{logs}/access.log"',
        }
        said = {key: getattr(table, key) for key in StageTable.model_fields}
        return cls.model_construct(**said | follows, name=name, project=project)

    @property
    def local(self) -> bool:
        """Whether the stage is this very machine, without ssh."""
        return self.app[0].local

    def programs_on(self, host: Host) -> dict[str, Program]:
        """The programs that a host has beside the processes that visitors are sent to, by their names."""
        return {name: one for name, one in self.programs.items() if host in select(self.app, ",".join(one.hosts))}

    @property
    def waiting(self) -> dict[str, Program]:
        """The programs that start with the switch only."""
        return {name: one for name, one in self.programs.items() if one.waits}

    @property
    def stop_seconds(self) -> int:
        """What the slowest program may take to end."""
        return max((one.stop_seconds for one in self.programs.values()), default=0)

    @property
    def lock_hosts(self) -> tuple[Host, ...]:
        """Where the lock and the journal live: every proxy, or three app hosts without one.

        Whatever their order in release.toml, and with one more or less of them, two who take the lock meet.
        """
        return tuple(sorted(self.proxy or self.app, key=lambda host: host.name)[: None if self.proxy else 3])

    @property
    def paths(self) -> Paths:
        """Where everything lies on its hosts."""
        own = f"{self.prefix}/nginx/nginx.conf"
        entry = own if self.nginx == "own" else f"/etc/nginx/conf.d/{self.project}.conf"
        return Paths(self.prefix, entry, f"/etc/systemd/system/releaselib-{self.project}-{self.name}.service")

    @property
    def listen_port(self) -> int:
        """The port at which visitors come."""
        return int(self.listen.split()[0].rpartition(":")[2])

    @property
    def probe_port(self) -> int:
        """The port at which a proxy can be asked from its own loopback, whatever visitors come by."""
        return self.port_base + 92

    @property
    def loopback(self) -> str:
        """Where a proxy is asked from its own loopback."""
        return f"http://127.0.0.1:{self.probe_port}"

    @property
    def watched(self) -> bool:
        """Whether the proxies are to write down how requests go, when somebody watches."""
        return bool(self.canary) or self.auto_rollback

    @property
    def address(self) -> str:
        """Where visitors come, on this machine; empty for a stage on others, or of workers."""
        scheme = "https" if self.secure else "http"
        return f"{scheme}://127.0.0.1:{self.listen_port}" if self.local and self.proxy else ""

    @property
    def secure(self) -> bool:
        """Whether visitors come by https."""
        return bool(self.tls and self.tls.certificate)

    @property
    def host_header(self) -> str:
        """The Host header with which a proxy is asked for this project."""
        return self.site_name or "localhost"

    @property
    def site_name(self) -> str:
        """A name that visitors may use, of ``server_name`` as nginx has it; empty when that tells none."""
        names = [one.lstrip(".").replace("*", "www") for one in self.server_name.split() if one[0] not in "_~"]
        return names[0] if names else ""

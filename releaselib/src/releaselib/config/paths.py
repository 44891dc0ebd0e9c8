"""Every path on a host, in one place: the scripts get them as variables of the same names."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Paths:
    """Where things of a project lie on its hosts, all but the site of the system's nginx below ``prefix``."""

    prefix: str
    site: str

    def __getattr__(self, name: str) -> str:
        try:
            return self.variables[name]
        except KeyError:
            raise AttributeError(f"there is no path called {name}") from None

    @property
    def variables(self) -> dict[str, str]:
        """Name -> path, for the scripts that run on hosts; each is an attribute here, too."""
        prefix = self.prefix
        return {
            "prefix": prefix,
            "site": self.site,
            "slots": f"{prefix}/slots",
            "tools": f"{prefix}/tools",
            "cache": f"{prefix}/cache",
            "journal": f"{prefix}/journal.jsonl",
            "stage_lock": f"{prefix}/stage.lock",
            "host_lock": f"{prefix}/host.lock",
            "nginx": f"{prefix}/nginx",
            "upstream": f"{prefix}/nginx/upstream.conf",
        }

    def slot(self, name: str) -> str:
        """The folder of a slot."""
        return f"{self.slots}/{name}"

    def socket(self, slot: str) -> str:
        """The socket of a slot's supervisord."""
        return f"{self.slot(slot)}/run/supervisor.sock"

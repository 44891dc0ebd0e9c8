"""Every path on a host, in one place: the scripts get them as variables of the same names."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Paths:
    """Where things of a project lie on its hosts, all but the entry of the system's nginx below ``prefix``."""

    prefix: str
    entry: str
    unit: str

    def __getattr__(self, name: str) -> str:
        try:
            return self.variables[name]
        except KeyError:
            raise AttributeError(f"there is no path called {name}") from None

    @property
    def variables(self) -> dict[str, str]:
        """Name -> path, for the scripts that run on hosts; each is an attribute here, too."""
        prefix, nginx = self.prefix, f"{self.prefix}/nginx"
        return {
            "prefix": prefix,
            "slots": f"{prefix}/slots",
            "tools": f"{prefix}/tools",
            "cache": f"{prefix}/cache",
            "journal": f"{prefix}/journal.jsonl",
            "stage_lock": f"{prefix}/stage.lock",
            "host_lock": f"{prefix}/host.lock",
            "fence_file": f"{prefix}/fence",
            "frozen": f"{prefix}/frozen.json",
            "boot": f"{prefix}/boot.sh",
            "boot_unit": self.unit,
            "entry": self.entry,  # what nginx itself includes
            "nginx": nginx,
            "confs": f"{nginx}/confs",  # a folder for each configuration, by its digest
            "conf": f"{nginx}/conf",  # a link to the one in use
            "served": f"{nginx}/slots",  # what a proxy knows of each slot
            "live": f"{nginx}/live",  # a link to the one that visitors get
            "canary": f"{nginx}/canary",  # a link to the one that a share of visitors gets
            "pages": f"{nginx}/pages",
            "static": f"{nginx}/static",  # static files of releases
            "watching": f"{nginx}/watching",
            "watch_log": f"{nginx}/watch.log",
            "old_upstream": f"{nginx}/upstream.conf",  # of a stage that was switched by reloads
        }

    def slot(self, name: str) -> str:
        """The folder of a slot."""
        return f"{self.slots}/{name}"

    def socket(self, slot: str) -> str:
        """The socket of a slot's supervisord."""
        return f"{self.slot(slot)}/run/supervisor.sock"

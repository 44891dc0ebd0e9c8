"""The failure budget: how many app hosts may fail and are then left out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from releaselib.config.inventory import Host
from releaselib.errors import HostsFailed, ReleaseError, several

NAMED = 10
"""So many hosts are named in what is to be typed next."""


def share(said: int | str, hosts: int) -> int:
    """How many of so many hosts a number or a percentage ("10%") means, rounded down."""
    return int(said.rstrip("%")) * hosts // 100 if isinstance(said, str) else said


@dataclass(frozen=True)
class Budget:
    """``said`` (a number or a percentage) of ``hosts`` app hosts may fail; one at least must not."""

    said: int | str
    hosts: int

    @property
    def allowed(self) -> int:
        """How many may fail."""
        return max(0, min(share(self.said, self.hosts), self.hosts - 1))

    def require(self, failed: Mapping[Host, object], error: Callable[..., ReleaseError] = HostsFailed) -> list[str]:
        """The words of those that are left out; ``failed`` maps a host to what went wrong there.

        Raises HostsFailed (or ``error``) when more failed than may.
        """
        if len(failed) > self.allowed:
            names = ",".join(host.name for host in failed) if len(failed) <= NAMED else "their names"
            without = f"; or go on without them: add {names} to --exclude" if len(failed) < self.hosts else ""
            raise error(
                f"{len(failed)} of {self.hosts} hosts failed (max_failures = {self.said}); "
                "nothing was switched, visitors are served as before",
                cause=several({host.name: words for host, words in failed.items()}),
                next_step="mend them, then run it again; fab status shows them" + without,
            )
        return [f"left out of the switch: {words}" for words in failed.values()]

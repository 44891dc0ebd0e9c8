"""The failure budget: how many app hosts may fail and are then left out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from releaselib.config.inventory import Host
from releaselib.errors import HostsFailed, ReleaseError, several


@dataclass(frozen=True)
class Budget:
    """``allowed`` of ``hosts`` app hosts may fail."""

    allowed: int
    hosts: int

    def require(
        self, failed: Mapping[Host, object], error: Callable[..., ReleaseError] = HostsFailed
    ) -> list[str]:
        """The words of those that are left out; ``failed`` maps a host to what went wrong there.

        Raises HostsFailed (or ``error``) when more failed than may.
        """
        if len(failed) > self.allowed:
            raise error(
                f"{len(failed)} of {self.hosts} hosts failed (max_failures = {self.allowed}); "
                "nothing was switched, visitors are served as before",
                cause=several(str(words) for words in failed.values()),
                next_step="mend the hosts, then run it again; fab status shows them",
            )
        return [f"left out of the switch: {words}" for words in failed.values()]

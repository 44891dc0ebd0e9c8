"""What was sampled at a proxy around a switch, and whether it proves that visitors noticed nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Samples:
    """What one proxy answered: version -> number during and after the switch; words of failures.

    ``ailing`` are failures up to the switch of an old release that failed before it already: not the switch's.
    """

    during: Mapping[str, int]
    after: Mapping[str, int]
    failed: tuple[str, ...]
    ailing: tuple[str, ...] = ()

    @property
    def all_new(self) -> "Samples":
        """The same where no old release was sampled, on which a failure could be put."""
        return replace(self, failed=(*self.ailing, *self.failed), ailing=())

    @property
    def requests(self) -> int:
        """How many requests were sent."""
        return sum(self.during.values()) + sum(self.after.values()) + len(self.failed) + len(self.ailing)


def doubts(samples: Samples, version: str) -> list[str]:
    """Why these samples do not prove that all visitors get that version; nothing when they do.

    Answers that tell no version are taken at nginx's own word, which was asked for before.
    """
    found = [f"failed: {words}" for words in sorted(set(samples.failed))[:5]]
    found += [
        f"{number} answers from {other} after the switch"
        for other, number in samples.after.items()
        if other not in (version, "-")
    ]
    if not sum(samples.after.values()):
        found.append("no answer after the switch")
    return found

"""What the proxies saw of two slots, and whether the new one is worse for visitors than the old one."""

from collections.abc import Iterable
from dataclasses import dataclass

FEWEST = 3
"""Errors below which nothing is concluded: one visitor's bad luck is no share of anything."""
ENOUGH = 20
"""Answers of both slots that a comparison of their times needs."""
SLOWER = 2.0
"""How many times as long the slow answers (95th percentile) of the new slot may take, and a tenth of a second."""


@dataclass(frozen=True)
class Traffic:
    """Answers of a slot: how many, how many of them 5xx, seconds that 95 of 100 took at most."""

    requests: int = 0
    errors: int = 0
    slow: float = 0.0

    @property
    def share(self) -> float:
        """The share of errors."""
        return self.errors / self.requests if self.requests else 0.0

    def __str__(self) -> str:
        return f"{self.requests} requests, {self.errors} of them 5xx ({self.share:.1%}), 95% within {self.slow:.2f} s"


def together(several: Iterable[Traffic]) -> Traffic:
    """The traffic of all proxies as one; the slowest proxy counts."""
    seen = list(several)
    return Traffic(
        sum(one.requests for one in seen), sum(one.errors for one in seen), max((one.slow for one in seen), default=0.0)
    )


def failing(new: Traffic, old: Traffic, bound: str) -> list[str]:
    """Why the new slot fails more visitors than the old one; nothing when it does not.

    ``bound`` is the share of errors that is too much ("1%"), where the old slot had fewer.
    """
    limit = float(bound.rstrip("%")) / 100
    if new.errors >= FEWEST and new.share > limit and new.share > old.share:
        return [f"{new.share:.1%} of the answers are 5xx (bound: {bound}, old release: {old.share:.1%})"]
    return []


def worse(new: Traffic, old: Traffic, bound: str) -> list[str]:
    """The same, and why it is slower: for slots that served visitors in the same time."""
    found = failing(new, old, bound)
    if min(new.requests, old.requests) >= ENOUGH and new.slow > SLOWER * old.slow + 0.1:
        found.append(f"95% of the answers take up to {new.slow:.2f} s (old release: {old.slow:.2f} s)")
    return found


def unseen(new: Traffic, old: Traffic, share: float) -> list[str]:
    """Why nothing follows from what was seen: no visitor got the new slot, though ``share`` percent should have."""
    if not new.requests and old.requests * share / 100 >= ENOUGH:
        return [f"no visitor got it, though {share:g}% should have"]
    return []

"""A release as a value, and what a user can ask for of one."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(frozen=True)
class Release:
    """One version of the project as it stands in a slot.

    ``serial`` counts the releases of a stage, so that no clock decides which one came before; one that is
    staged again keeps its own. ``staged`` counts every staging, so of two releases in one slot the one with
    the higher number is what the slot was made for last; staged anew it is still the same release.
    ``released`` (ISO 8601, UTC) and ``who`` are for people; ``wheels`` maps name to version.
    """

    project: str
    version: str
    commit: str = ""
    serial: int = 0
    staged: int = field(default=0, compare=False)
    released: str = ""
    who: str = ""
    profile: str = ""
    wheels: dict[str, str] = field(default_factory=dict)

    @property
    def turn(self) -> tuple[int, int]:
        """What orders the releases that one slot has held; slots of old have no number of their staging."""
        return (self.staged or self.serial, self.serial)


def release_of(table: Mapping[str, Any] | None) -> Release | None:
    """A Release from its JSON form; keys of a newer library are passed over."""
    if not table:
        return None
    known = {f.name for f in fields(Release)}
    return Release(**{key: value for key, value in table.items() if key in known})


@dataclass(frozen=True)
class Wanted:
    """What a user asks for; whatever is empty is decided by the action.

    ``version`` is PEP 440, ``name`` a label for the version like fixbug, ``ref`` a branch, tag or commit,
    ``slot`` a letter, ``profile`` a word for the supervisord template, ``hosts`` names or globs with commas
    between, of which ``exclude`` takes some out; ``wait`` is for how many seconds
    somebody else's lock is waited for; ``canary_only`` ends a release with its canary.
    """

    version: str = ""
    name: str = ""
    ref: str = ""
    slot: str = ""
    profile: str = ""
    hosts: str = ""
    exclude: str = ""
    wait: int = 0
    canary_only: bool = False


NOTHING = Wanted()
"""All is decided by the action."""

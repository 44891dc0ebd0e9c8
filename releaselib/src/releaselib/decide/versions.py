"""The next version of a project, from the ones there are. Pure.

Versions are PEP 440. The default scheme is ``YEAR.MONTH.DAY.N``: N counts up within the day.
"""

import datetime
import re
from collections.abc import Iterable

from packaging.version import InvalidVersion, Version

from releaselib.errors import ConfigError, Refused

LABEL = re.compile(r"[a-z0-9]+([._-][a-z0-9]+)*", re.IGNORECASE)


def parse(text: str) -> Version:
    """A PEP 440 version. Raises ConfigError for anything else."""
    try:
        return Version(text)
    except InvalidVersion:
        raise ConfigError(
            f"{text!r} is no version (PEP 440)", next_step="give one like 2026.11.23.1 or 1.4.2"
        ) from None


def known(texts: Iterable[str]) -> list[Version]:
    """The texts that are versions, lowest first; other words (tags of another kind) are left out."""
    found = []
    for text in texts:
        try:
            found.append(Version(text))
        except InvalidVersion:
            continue
    return sorted(found)


def latest(texts: Iterable[str]) -> str:
    """The highest version, or the empty text where there is none."""
    versions = known(texts)
    return str(versions[-1]) if versions else ""


def following(texts: Iterable[str], today: datetime.date, name: str = "") -> str:
    """The next ``YEAR.MONTH.DAY.N``, higher than every one there is, with ``+name`` if given.

    A clock that runs behind does not make a version that is lower than an existing one: then the
    day of the highest one is used on. Raises ConfigError for a name that cannot be a local version.
    """
    if name and not LABEL.fullmatch(name):
        raise ConfigError(
            f"{name!r} cannot stand in a version: letters, digits, dots (PEP 440)", next_step="use a name like fixbug"
        )
    day = (today.year, today.month, today.day)
    calendar = [v.release for v in known(texts) if len(v.release) == 4]
    last = max(calendar, default=(*day, 0))
    number = 1
    if last[:3] >= day:
        day, number = (last[0], last[1], last[2]), last[3] + 1
    text = ".".join(map(str, (*day, number)))
    return str(Version(f"{text}+{name}" if name else text))


def is_meant(version: str, asked: str, name: str) -> bool:
    """Whether a version is the one asked for, or any of that name; however the wish is written (PEP 440)."""
    wish = parse(f"{asked or 0}+{name}" if name else asked or "0")
    return version == str(wish) if asked else Version(version).local == wish.local


def chosen(*, asked: str, name: str, static: str, existing: Iterable[str], today: datetime.date) -> str:
    """The version of a release: the project's static one, the one asked for, or the next.

    Raises Refused when a static version and the wish differ.
    """
    if static:
        wish = str(parse(asked)) if asked else str(parse(static))
        if wish != str(parse(static)) or name:
            raise Refused(
                f"pyproject.toml has the static version {static}; "
                f"{asked or '+' + name} cannot be stamped into the build",
                next_step="change [project] version in pyproject.toml and commit it",
            )
        return wish
    if asked:
        return str(parse(f"{asked}+{name}" if name else asked))
    return following(existing, today, name)

"""The package index: one small protocol, one module a kind of index; knows nothing of builds and hosts.

A new kind of index: a module beside these with a class that has these methods, and its line in :func:`of`.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from releaselib.config.tables import Index, OwnIndex
from releaselib.decide.files import File


class PackageIndex(Protocol):
    """An index that hosts install from and releases are published to."""

    def files(self, project: str) -> list[File]:
        """The files that it holds of a project; none when it does not know it. Raises IndexFailed."""

    def read(self, file: File) -> bytes:
        """The bytes of a file. Raises requests.RequestException."""

    def upload(self, paths: Iterable[Path]) -> None:
        """Upload files. Raises IndexFailed with the tool's own words, Refused without a password."""

    def ping(self, project: str) -> None:
        """Ask it for one project, which it may not know. Raises IndexFailed when it does not answer."""

    def ensure(self) -> bool:
        """Have it running; True when it was started now."""

    def projects(self) -> list[str]:
        """The names of all projects on it. Raises IndexFailed."""

    def check_password(self) -> None:
        """Raise IndexFailed when user and password for uploads are refused."""

    def password(self) -> str:
        """The password for uploads. Raises Refused when there is none."""


def of(table: Index) -> PackageIndex:
    """The index that a table of release.toml means."""
    from releaselib.index.own import Own
    from releaselib.index.simple import Simple

    return Own(table) if isinstance(table, OwnIndex) else Simple(table)

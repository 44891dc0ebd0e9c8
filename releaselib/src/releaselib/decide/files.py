"""Files of a package index, and which of them is meant."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePath

from packaging.utils import InvalidWheelFilename, parse_sdist_filename, parse_wheel_filename
from packaging.version import Version

from releaselib.errors import Refused


@dataclass(frozen=True)
class File:
    """A file that an index holds; ``sha256`` is empty where the index tells none."""

    name: str
    version: str
    url: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.sha256}  {self.name}"


def version_of(filename: str) -> Version:
    """The version that the name of a wheel or an sdist tells. Raises ValueError for any other name."""
    if filename.endswith(".whl"):
        return parse_wheel_filename(filename)[1]
    return parse_sdist_filename(filename)[1]


def wheels_of(held: Iterable[File], version: str) -> list[File]:
    """The wheels of a version."""
    return [file for file in held if file.version == version and file.name.endswith(".whl")]


def uv_wheel(held: Iterable[File], machine: str) -> File | None:
    """The newest wheel of uv for Linux hosts of a machine type, or None: then hosts use pip."""
    found = []
    for file in held:
        try:
            version, tags = parse_wheel_filename(file.name)[1], parse_wheel_filename(file.name)[3]
        except InvalidWheelFilename:
            continue
        if any("manylinux" in tag.platform and tag.platform.endswith(machine) for tag in tags):
            found.append((version, file))
    return max(found, key=lambda pair: pair[0])[1] if found else None


def missing(built: Mapping[str, str], held: Iterable[File]) -> list[str]:
    """The built files (path -> sha256) that the index does not hold yet: their paths.

    Raises Refused when it holds a file of that name with other bytes. Where it tells no hash, the bytes
    themselves are compared when they are read back.
    """
    there = {file.name: file.sha256 for file in held}
    other = [
        PurePath(path).name for path, digest in built.items() if (there.get(PurePath(path).name) or digest) != digest
    ]
    if other:
        raise Refused(
            f"publish: the index has other bytes as {', '.join(other)}",
            next_step="release another version; a published file never changes",
        )
    return [path for path in built if PurePath(path).name not in there]

"""The static files of a release: which there are, and in what portions they travel."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from releaselib.errors import CommandFailed

PORTION = 8_000_000
"""Bytes of files that are sent at once; a greater file goes alone."""


class Static(NamedTuple):
    """One file: its SHA-256, and its size in bytes."""

    digest: str
    size: int


Files = Mapping[str, Static]
"""Static files by their path below the folder."""


def of_host(host: str, told: Mapping[str, Sequence[object]]) -> dict[str, Static]:
    """What a host tells of its files, {path: [SHA-256, bytes]}. Pure.

    Raises CommandFailed for a path or a digest that would lead out of their folder on another host.
    """
    bad = [path for path in told if ".." in PurePosixPath(path).parts or path.startswith("/") or "\n" in path]
    if bad := bad + [str(digest) for digest, _ in told.values() if not re.fullmatch("[0-9a-f]{64}", str(digest))]:
        raise CommandFailed(f"{host}: no path for a static file: {bad[0]!r}", next_step="look at that host")
    return {path: Static(str(digest), int(str(size))) for path, (digest, size) in told.items()}


def portions(files: Files, lacking: Iterable[str]) -> Iterator[list[str]]:
    """The digests that are lacking, as many at once as shall be sent at once. Pure."""
    sizes = {one.digest: one.size for one in files.values()}
    portion: list[str] = []
    for digest in sorted(set(lacking)):
        if portion and sum(sizes[one] for one in portion) + sizes[digest] > PORTION:
            yield portion
            portion = []
        portion.append(digest)
    if portion:
        yield portion

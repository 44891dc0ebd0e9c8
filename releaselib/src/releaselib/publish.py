"""Built files -> the index, read back and compared."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import requests

from releaselib import index as index_
from releaselib.errors import IndexFailed, Refused
from releaselib.index import File
from releaselib.settings import Index


def missing(built: Mapping[str, str], held: list[File]) -> list[Path]:
    """The built files (path -> sha256) that the index does not hold yet. Pure.

    Raises Refused when it holds a file of that name with other bytes.
    """
    there = {file.name: file.sha256 for file in held}
    other = [
        Path(path).name for path, digest in built.items() if there.get(Path(path).name, digest) != digest
    ]
    if other:
        raise Refused(
            f"publish: the index has other bytes as {', '.join(other)}",
            next_step="release another version; a published file never changes",
        )
    return [Path(path) for path in built if Path(path).name not in there]


def publish(index: Index, project: str, built: Mapping[str, str]) -> list[str]:
    """Upload what the index does not hold yet, then read back and compare every file.

    Returns the names of the uploaded files. Raises Refused and IndexFailed.
    """
    todo = missing(built, index_.files(index, project))
    index_.upload(index, todo)
    held = {file.name: file for file in index_.files(index, project)}
    for path, digest in built.items():
        compare(held.get(Path(path).name), Path(path).name, digest)
    return [path.name for path in todo]


def compare(file: File | None, name: str, digest: str) -> None:
    """Read a file of the index back. Raises IndexFailed unless it has the expected sha256.

    An upload to a full disk leaves a truncated file that the index lists with the hash of the
    truncated bytes, so the bytes themselves are what counts.
    """
    try:
        found = "nothing" if file is None else _digest(file.url)
    except requests.RequestException as error:
        found = f"no answer ({error})"
    if found != digest:
        raise IndexFailed(
            f"publish: {name} came back from the index as {found}, sent was {digest}",
            next_step="look at the index's disk, remove that file there, publish again",
        )


def _digest(url: str) -> str:
    answer = requests.get(url, timeout=index_.TIMEOUT)
    answer.raise_for_status()
    return hashlib.sha256(answer.content).hexdigest()

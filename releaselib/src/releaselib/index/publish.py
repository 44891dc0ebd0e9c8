"""Built files -> the index, read back and compared."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from releaselib.decide.files import File, missing
from releaselib.errors import IndexFailed
from releaselib.index import PackageIndex


def publish(index: PackageIndex, project: str, built: Mapping[str, str]) -> list[str]:
    """Upload what the index does not hold yet, then read back and compare every file (path -> sha256).

    Returns the names of the uploaded files. Raises Refused and IndexFailed.
    """
    todo = [Path(path) for path in missing(built, index.files(project))]
    try:
        index.upload(todo)
    except IndexFailed:  # it may be that somebody else was faster: then the index says so in its own way
        if missing(built, index.files(project)):
            raise
    held = {file.name: file for file in index.files(project)}
    for path, digest in built.items():
        compare(index, held.get(Path(path).name), Path(path).name, digest)
    return [path.name for path in todo]


def upload_new(index: PackageIndex, paths: list[Path]) -> list[str]:
    """Upload the wheels whose names the index does not hold yet; their names."""
    new = [path for path in paths if path.name not in _names(index, path.name.partition("-")[0])]
    index.upload(new)
    return [path.name for path in new]


def _names(index: PackageIndex, project: str) -> set[str]:
    return {file.name for file in index.files(project)}


def compare(index: PackageIndex, file: File | None, name: str, digest: str) -> None:
    """Read a file of the index back. Raises IndexFailed unless it has the expected sha256.

    An upload to a full disk leaves a truncated file that the index lists with the hash of the
    truncated bytes, so the bytes themselves are what counts.
    """
    import requests

    try:
        found = "nothing" if file is None else hashlib.sha256(index.read(file)).hexdigest()
    except requests.RequestException as error:
        found = f"no answer ({error})"
    if found != digest:
        raise IndexFailed(
            f"publish: {name} came back from the index as {found}, sent was {digest}",
            next_step="look at the index's disk, remove that file there, publish again",
        )


def fetch(index: PackageIndex, file: File) -> bytes:
    """The bytes of a file of the index. Raises IndexFailed unless they are those that it tells."""
    import requests

    try:
        content = index.read(file)
    except requests.RequestException as error:
        raise IndexFailed(f"{file.name} cannot be read", cause=str(error), next_step=f"curl -O {file.url}") from None
    if file.sha256 and hashlib.sha256(content).hexdigest() != file.sha256:
        raise IndexFailed(f"{file.name} is not what the index says", next_step="look at the index's disk")
    return content

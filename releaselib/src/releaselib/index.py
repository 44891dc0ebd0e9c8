"""The package index (PEP 503): what it holds, uploads, and the password for them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import requests
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from releaselib import shell
from releaselib.errors import IndexFailed, Refused
from releaselib.settings import Index

if TYPE_CHECKING:
    from pypi_simple import DistributionPackage

PASSWORD = "RELEASELIB_INDEX_PASSWORD"  # noqa: S105  the name of the variable
TIMEOUT = 20


@dataclass(frozen=True)
class File:
    """A file that the index holds."""

    name: str
    version: str
    url: str
    sha256: str


def require(index: Index) -> Index:
    """The index itself. Raises Refused when release.toml names none."""
    if not index.url:
        raise Refused("release.toml has no [index] url", next_step="fab index.serve makes one for the team")
    return index


def files(index: Index, project: str) -> list[File]:
    """The files that the index holds of a project; none when it does not know it.

    Raises IndexFailed when the index does not answer.
    """
    from pypi_simple import NoSuchProjectError, PyPISimple, UnparsableFilenameError

    try:
        with PyPISimple(endpoint=require(index).url) as client:
            page = client.get_project_page(project, timeout=TIMEOUT)
    except NoSuchProjectError:
        return []
    except (requests.RequestException, UnparsableFilenameError, ValueError) as error:
        raise IndexFailed(
            f"the index {index.url} does not answer as one", cause=str(error), next_step=f"curl {index.url}"
        ) from None
    return [_file(package) for package in page.packages]


def _file(package: DistributionPackage) -> File:
    digest = (package.digests or {}).get("sha256", "")
    return File(package.filename, package.version or "", package.url, digest)


def projects(index: Index) -> list[str]:
    """The names of all projects on the index. Raises IndexFailed."""
    from pypi_simple import PyPISimple

    try:
        with PyPISimple(endpoint=require(index).url) as client:
            return sorted(client.get_index_page(timeout=TIMEOUT).projects)
    except (requests.RequestException, ValueError) as error:
        raise IndexFailed(
            f"the index {index.url} cannot be reached",
            cause=str(error),
            next_step=f"curl {index.url}; fab index.serve starts one",
        ) from None


def uv_wheel(held: Iterable[File], machine: str) -> File | None:
    """The newest wheel of uv for Linux hosts of a machine type, or None: then hosts use pip. Pure."""
    found = []
    for file in held:
        try:
            version, tags = parse_wheel_filename(file.name)[1], parse_wheel_filename(file.name)[3]
        except InvalidWheelFilename:
            continue
        if any("manylinux" in tag.platform and tag.platform.endswith(machine) for tag in tags):
            found.append((version, file))
    return max(found, key=lambda pair: pair[0])[1] if found else None


def password(index: Index) -> str:
    """The upload password, from the environment or the project's own index. Raises Refused."""
    if index.password_file and index.password_file.exists():
        return index.password_file.read_text("utf-8").strip()
    if not os.environ.get(PASSWORD):
        raise Refused(
            f"no password for {index.upload_url}",
            next_step=f"export {PASSWORD}=... (user: {index.username or 'none set'})",
        )
    return os.environ[PASSWORD]


def upload(index: Index, paths: Iterable[Path]) -> None:
    """Upload files with twine; the password travels in the environment only.

    Raises IndexFailed with twine's own words.
    """
    names = [str(path) for path in paths]
    if not names:
        return
    argv = (
        sys.executable,
        "-m",
        "twine",
        "--no-color",
        "upload",
        "--non-interactive",
        "--disable-progress-bar",
        "--repository-url",
        require(index).upload_url,
        "--username",
        index.username,
        *names,
    )
    shell.run(
        argv,
        env={"TWINE_PASSWORD": password(index), "COLUMNS": "200"},
        error=IndexFailed,
        what=f"the index {index.upload_url} refused the upload",
        next_step=f"check [index] username ({index.username}) and {PASSWORD}, then run the command again",
    )

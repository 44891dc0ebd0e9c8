"""A package index over HTTP (PEP 503), uploads by twine: the team's pypiserver, or any other."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from packaging.utils import canonicalize_name

from releaselib import process
from releaselib.config.tables import Index
from releaselib.decide.files import File, version_of
from releaselib.errors import IndexFailed, Refused
from releaselib.progress import patience

if TYPE_CHECKING:
    import requests
    from mousebender.simple import ProjectFileDetails

PASSWORD = "RELEASELIB_INDEX_PASSWORD"  # noqa: S105  the name of the variable
TIMEOUT = 20
"""Seconds in which an index must say something; how long all of an answer takes is told, not limited."""


class Simple:
    """An index that answers at a URL, whoever runs it."""

    def __init__(self, table: Index) -> None:
        self.table = table

    @property
    def url(self) -> str:
        """Where it is read. Raises Refused when release.toml names none."""
        if not self.table.url:
            what = "release.toml has no [index] url"
            raise Refused(what, next_step="fab index.serve makes one for the team")
        return self.table.url

    @property
    def upload_url(self) -> str:
        """Where it takes uploads. Raises Refused when release.toml names no place: twine would take its own default."""
        if not self.table.upload_url:
            what = "release.toml has no [index] upload_url, so nothing can be uploaded"
            raise Refused(what, next_step=f'add it, of a pypiserver: upload_url = "{self.url.removesuffix("simple/")}"')
        return self.table.upload_url

    def ensure(self) -> bool:
        """Nothing to start: somebody else runs it."""
        return False

    def files(self, project: str) -> list[File]:
        """The files that the index holds of a project; none when it does not know it."""
        from mousebender.simple import parse_project_details

        with self._in_words():
            answer = self._page(f"{canonicalize_name(project)}/")
            if answer.status_code == 404:
                return []
            answer.raise_for_status()
            details = parse_project_details(answer.text, _kind(answer), project)
            return [_file(file, answer.url) for file in details["files"]]

    def ping(self, project: str) -> None:
        """Ask for one project: the page of all names can be huge, or missing."""
        self.files(project)

    def projects(self) -> list[str]:
        """The names of all projects on the index. Raises IndexFailed."""
        from mousebender.simple import parse_project_index

        with self._in_words():
            answer = self._page("")
            answer.raise_for_status()
            details = parse_project_index(answer.text, _kind(answer))
            return sorted(project["name"] for project in details["projects"])

    def _page(self, path: str) -> requests.Response:
        """A page of the index, as JSON or as HTML."""
        from mousebender.simple import ACCEPT_SUPPORTED

        return self._get(f"{self.url.rstrip('/')}/{path}", ACCEPT_SUPPORTED)

    def _get(self, url: str, accept: str = "*/*") -> requests.Response:
        import requests

        with patience(lambda: f"waiting for the index: {url}"):
            return requests.get(url, headers={"Accept": accept}, timeout=TIMEOUT, auth=self.table.login)

    def read(self, file: File) -> bytes:
        """The bytes of a file. Raises what requests raises."""
        answer = self._get(file.url)
        answer.raise_for_status()
        return bytes(answer.content)

    def upload(self, paths: Iterable[Path]) -> None:
        """Upload files with twine; the password travels in the environment only."""
        names = [str(path) for path in paths]
        if not names:
            return
        twine = (sys.executable, "-m", "twine", "--no-color", "upload")
        options = ("--non-interactive", "--disable-progress-bar")
        where = ("--repository-url", self.upload_url, "--username", self.table.username)
        try:
            process.run(
                (*twine, *options, *where, *names),
                env={"TWINE_PASSWORD": self.password(), "COLUMNS": "200"},
                error=IndexFailed,
                what=f"the index {self.upload_url} did not take the upload",
                next_step="look at the index's log and disk, then run the command again",
            )
        except IndexFailed as error:
            if re.search(r"\b40[13]\b", error.cause):
                error.what = f"the index {self.upload_url} refused the upload"
                error.next_step = f"check [index] username ({self.table.username}) and {PASSWORD}, then run it again"
            raise

    def check_password(self) -> None:
        """Raise IndexFailed when the index refuses user and password; an upload of nothing tells."""
        import requests

        with self._in_words():
            auth = (self.table.username, self.password())
            answer = requests.post(self.upload_url, data={":action": "check"}, auth=auth, timeout=TIMEOUT)
        if answer.status_code in (401, 403):
            raise IndexFailed(
                f"the index {self.upload_url} refuses the password of {self.table.username}",
                next_step=f"export {PASSWORD}=..., or correct [index] username in release.toml",
            )

    def password(self) -> str:
        """The upload password, from the environment. Raises Refused without one."""
        if not os.environ.get(PASSWORD):
            raise Refused(
                f"no password for {self.upload_url}",
                next_step=f"export {PASSWORD}=... (user: {self.table.username or 'none set'})",
            )
        return os.environ[PASSWORD]

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        import requests
        from mousebender.simple import UnsupportedAPIVersion, UnsupportedMIMEType

        url = self.url
        try:
            yield
        except (
            requests.RequestException,
            UnsupportedAPIVersion,
            UnsupportedMIMEType,
            LookupError,
            ValueError,
        ) as error:
            words = "does not answer as one"
            if isinstance(error, requests.ConnectionError):
                words = "cannot be reached"
            if isinstance(error, requests.ReadTimeout) or "Read timed out" in str(error):  # in the middle of an answer
                words = f"said nothing for {TIMEOUT} s"
            raise IndexFailed(
                f"the index {url} {words}", cause=str(error), next_step=f"curl {url}; fab index.serve starts one"
            ) from None


def _kind(answer: requests.Response) -> str:
    """The media type of an answer, without its parameters."""
    return answer.headers["Content-Type"].partition(";")[0]


def _file(found: ProjectFileDetails, page: str) -> File:
    """A file as a page tells it, whose links may be relative; what is no wheel and no sdist has no version."""
    name = found["filename"]
    try:
        version = str(version_of(name))
    except ValueError:
        version = ""
    return File(name, version, urljoin(page, found["url"]), found["hashes"].get("sha256", ""))

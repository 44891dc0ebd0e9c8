"""An index of the project's own (``index = "local"``): a pypiserver on this machine, started when needed."""

from pathlib import Path
from urllib.parse import urlsplit

from releaselib.config.tables import OwnIndex
from releaselib.decide.files import File
from releaselib.index import pypiserver
from releaselib.index.simple import Simple


class Own(Simple):
    """That index, which holds nothing while it does not run."""

    table: OwnIndex

    @property
    def server(self) -> pypiserver.Server:
        """The server behind it."""
        address = urlsplit(self.table.url)
        return pypiserver.Server(Path(self.table.folder), address.hostname or "", address.port or 0)

    def ensure(self) -> bool:
        """Start it unless it answers already."""
        return pypiserver.ensure(self.server, self.table.username)

    def files(self, project: str) -> list[File]:
        """The files of a project; none before it was started."""
        return super().files(project) if pypiserver.serves(self.server) else []

    def password(self) -> str:
        """The upload password, which was made with the index."""
        return pypiserver.password_file(self.server.folder).read_text("utf-8").strip()

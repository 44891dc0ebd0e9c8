"""Static files: read from a slot on an app host, laid down on the proxies, where nginx serves them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from releaselib.decide.static import Files, of_host
from releaselib.errors import CommandFailed, ReleaseError
from releaselib.hosts.connection import Remote, Running
from releaselib.hosts.scripts import CODES, asked, start


@dataclass(frozen=True)
class Source:
    """The static files of a slot on one app host, and their contents for whoever asks."""

    files: Files
    remote: Remote
    running: Running

    def contents(self, digests: Sequence[str]) -> dict[str, str]:
        """The files of these digests in base64, by their digest. Raises CommandFailed."""
        paths = {one.digest: path for path, one in self.files.items()}
        found = {}
        for digest in digests:
            self.running.send(paths[digest])
            line = self.running.receive()
            if not line.startswith("+"):
                raise _failed(self.remote, self.running)
            found[digest] = line[1:]
        return found


@contextmanager
def opened(remote: Remote, slot: str, folder: str) -> Iterator[Source]:
    """The static files of a slot on a host, for the length of a ``with`` block. Raises CommandFailed."""
    running = start(remote, "static_read.sh", slot=slot, folder=folder)
    line = running.receive()
    if not line.startswith("{"):
        raise _failed(remote, running)
    try:
        yield Source(of_host(remote.host.name, json.loads(line)), remote, running)
    finally:
        with suppress(ReleaseError, ValueError):  # it has failed, and was told
            running.finish()


def _failed(remote: Remote, running: Running) -> CommandFailed:
    done = running.finish()
    words = CODES.get(done.code, f"its static files cannot be read (exit code {done.code})")
    return CommandFailed(f"{remote.host.name}: {words}", cause=done.last_lines, next_step="fab status")


def lay(remote: Remote, slot: str, files: Files, contents: Mapping[str, str]) -> list[str]:
    """Have a proxy serve these files for a slot, and keep ``contents``; the digests that it lacks.

    As long as it lacks one, visitors get what they got. Raises CommandFailed.
    """
    wanted = remote.stage.static
    assert wanted  # noqa: S101  only a stage with static files has some to lay
    given = {"files": {path: one.digest for path, one in files.items()}, "content": contents}
    return list(asked(remote, "static_lay.sh", slot=slot, url=wanted.url, days=wanted.keep_days, given=given))

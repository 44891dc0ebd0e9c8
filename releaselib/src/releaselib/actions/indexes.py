"""Single acts on the index: bring wheels to it, list it, serve it."""

import os
import platform
import re
import tempfile
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement

from releaselib import index
from releaselib.actions import wheels
from releaselib.actions.bringing import bring
from releaselib.actions.session import session
from releaselib.config import Project
from releaselib.config.app import App
from releaselib.decide.seen import AppSeen
from releaselib.errors import ConfigError, Refused
from releaselib.hosts import facts
from releaselib.index import pypiserver
from releaselib.index.simple import PASSWORD
from releaselib.progress import say
from releaselib.wheels import mirror, resolve, source
from releaselib.wheels.resolve import Target


def sync(project: Project, *, stage: str = "", packages: str = "", python: str = "") -> list[str]:
    """Bring packages, or all that the project and its hosts need, to the stage's index.

    The wheels are those for ``python``, or for what the hosts of the stage are, or for this machine.
    Returns the names of the uploaded files.
    """
    where = wheels.index_of(project, stage, start=True)
    stage = stage or ("local" if "local" in project.stages else "")
    target = Target(python, platform.machine()) if python else _asked(project, stage) if stage else None
    if packages:
        return bring(where, requirements(packages), target, mirror.locked(project.root / project.directory))
    with tempfile.TemporaryDirectory() as folder:
        found = source.find(project.root, "HEAD")
        built = wheels.clean_build(project, found, project.static_version or "0", Path(folder))
        chosen = project.stage(stage) if stage else App()
        needed = mirror.needed(built.wheel, chosen.requires, target.markers if target else None)
        lock = wheels.lock_at(project, found.commit)
        return bring(where, [*needed, *resolve.tools(chosen), "uv"], target, lock)


def requirements(packages: str) -> list[str]:
    """A list with commas between; those within one, as in a>=1,<2 or a[b,c], part nothing. Raises ConfigError. Pure."""
    some = re.split(r"\s*,\s*(?=[A-Za-z0-9])(?![^\[]*\])", packages.strip(" ,"))
    try:
        return [str(Requirement(one)) for one in some]
    except InvalidRequirement as error:
        words = str(error).partition("\n")[0]
        raise ConfigError(f"--packages {packages}: {words}", next_step="name them like django==5.2,tornado") from None


def _asked(project: Project, stage: str) -> Target:
    """What the app hosts are: some are asked, the first one that answers counts. Raises CommandFailed."""
    with session(project, stage, start=False) as at:
        results = at.fleet.each(at.stage.app[:3], lambda remote: facts.facts(remote, "app"))
        answered = [*results.succeeded.values()]
        if not answered:
            raise next(iter(results.failures.values()))
        return Target.of(AppSeen.of(answered[0]))


def list_index(project: Project, stage: str, packages: str) -> list[Any]:
    """The names on the index, or every file of the packages asked for."""
    where = index.of(wheels.index_of(project, stage, start=True))
    if not packages:
        return list(where.projects())
    return [file for name in packages.split(",") for file in where.files(name)]


def serve_index(folder: str, host: str, port: int, username: str) -> None:
    """Run a pypiserver in place of this process. Raises Refused without a password for uploads."""
    password = os.environ.get(PASSWORD, "")
    if not password:
        raise Refused(
            f"{PASSWORD} is not set: it becomes the upload password of {username}",
            next_step=f"export {PASSWORD}=$(openssl rand -hex 16)",
        )
    server = pypiserver.Server(Path(folder).resolve(), host, port)
    say(f"serving {server.folder} at {server.url}simple/; stop it with ctrl-c")
    pypiserver.serve(server, username, password)

"""A team's world on this machine: hosts, an index that they reach, and a project."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from releaselib.index import pypiserver
from releaselib.index.simple import PASSWORD
from rig.hosts import Fleet, Host
from rig.visitors import LISTEN

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent


LOGGED = "--access-logfile access --access-logformat '%(h)s %(m)s %({content-length}o)s %(U)s'"
"""For the gunicorn that serves the index: who got how many bytes of what. Its own count leaves out whole files."""


@dataclass(frozen=True)
class Request:
    """What somebody asked the index for, and the bytes of the answer without its headers."""

    address: str
    size: int
    path: str


@dataclass
class World:
    """A fleet with an index at its gateway."""

    fleet: Fleet
    server: pypiserver.Server

    @property
    def env(self) -> dict[str, str]:
        """What a member of the team has in the environment: ssh keys and the upload password."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if name.startswith(("PIP_", "UV_", "SSL_", "REQUESTS_")) or "CERT" in name
        }
        return (
            kept
            | self.fleet.environment()
            | {
                "PATH": f"{BIN}:{os.environ['PATH']}",
                "LANG": "C.UTF-8",
                PASSWORD: (self.server.folder / "password").read_text().strip(),
                "GIT_AUTHOR_NAME": "Tester",
                "GIT_AUTHOR_EMAIL": "tester@example.com",
                "GIT_COMMITTER_NAME": "Tester",
                "GIT_COMMITTER_EMAIL": "tester@example.com",
            }
        )

    def run(self, *argv: str, cwd: Path, check: bool = True, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a program as that member of the team; with ``check`` a failure shows all it said."""
        done = subprocess.run(
            argv, cwd=cwd, env=self.env | env, stdin=subprocess.DEVNULL, text=True, capture_output=True, check=False
        )
        assert not check or done.returncode == 0, f"{argv} exited {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def requests(self) -> list[Request]:
        """What the index was asked for, oldest first."""
        lines = (self.server.folder / "access").read_text().splitlines()
        words = (line.split(" ", 3) for line in lines)
        return [
            Request(address, int(size) if size.isdigit() and method != "HEAD" else 0, path)
            for address, method, size, path in words
        ]

    def stage(
        self, app: Sequence[Host | str], proxy: Sequence[Host | str], name: str = "test", **settings: object
    ) -> str:
        """A stage of release.toml on these hosts, or on what stands for them there."""
        lines = {
            "app": [getattr(host, "address", host) for host in app],
            "proxy": [getattr(host, "address", host) for host in proxy],
            "user": "root",
            "nginx": "own",
            "listen": str(LISTEN),
            "health_timeout": 20,
            "drain_timeout": 10,
            "python": "/usr/bin/python3",
            **settings,
        }
        table = {
            "index.url": f"{self.server.url}simple/",
            "index.upload_url": self.server.url,
            "index.username": "releaser",
        }
        return "\n".join(
            [f"[stages.{name}]", *(f"{key} = {json.dumps(value)}" for key, value in {**lines, **table}.items()), ""]
        )


@contextmanager
def world(folder: Path, index: Path) -> Iterator[World]:
    """A world in ``folder`` with its packages in ``index``, which may be kept for the next one."""
    with Fleet(folder) as fleet:
        server = pypiserver.Server(index, fleet.gateway_address, 8080)
        os.environ["GUNICORN_CMD_ARGS"] = LOGGED  # what it is started with otherwise is the library's matter
        pypiserver.ensure(server, "releaser")
        try:
            yield World(fleet, server)
        finally:
            pypiserver.stop(index)


@dataclass
class Project:
    """A project of the team."""

    world: World
    folder: Path

    def fab(self, *words: str, check: bool = True, **env: str) -> subprocess.CompletedProcess[str]:
        """Run `fab` in the project."""
        return self.world.run("fab", *words, cwd=self.folder, check=check, **env)

    def git(self, *words: str) -> str:
        """Run git in the project."""
        return self.world.run("git", *words, cwd=self.folder).stdout.strip()

    def configure(self, text: str) -> None:
        """Add a stage to release.toml, in place of one of the same name."""
        file = self.folder / "release.toml"
        head = text.splitlines()[0]
        before = file.read_text().partition(f"\n{head}\n")[0].rstrip()
        file.write_text(f"{before}\n\n{text}")
        self.commit("Configure the stage")

    def commit(self, message: str) -> str:
        """Commit everything, also nothing; the commit."""
        self.git("add", "-A")
        self.git("commit", "--quiet", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")


def bake(world_: World, folder: Path, **answers: str) -> Project:
    """A project baked from this repository by real cookiecutter."""
    words = [f"{key}={value}" for key, value in {"forge": "none", "__port_base": "8800", **answers}.items()]
    folder.mkdir(parents=True, exist_ok=True)
    before = set(folder.iterdir())
    world_.run("cookiecutter", "--no-input", str(ROOT), *words, cwd=folder)
    (made,) = set(folder.iterdir()) - before
    return Project(world_, made)

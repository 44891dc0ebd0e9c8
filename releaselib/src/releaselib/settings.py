"""What release.toml can say, as frozen values: index, app, stage, forge.

Every check that concerns one key stands beside that key; reading the file is :mod:`config`'s.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from releaselib.hosts import Host

SLOTS = "abcdefghi"
PORT_STEP = 10
"""Distance between the first ports of two neighbouring slots, and so the most processes of one."""


class Table(BaseModel):
    """A table of release.toml: frozen, strict, without unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Layout(Table):
    """Where the project is in its repository."""

    directory: str = "."


class Index(Table):
    """The package index (PEP 503) that hosts install from."""

    url: str = ""
    upload_url: str = ""
    username: str = ""
    folder: str = Field(default="", exclude=True)

    @property
    def password_file(self) -> Path | None:
        """Where the project's own index (``index = "local"``) keeps its upload password."""
        return Path(self.folder) / "password" if self.folder else None

    @field_validator("url", "upload_url")
    @classmethod
    def _address(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError(f"is no http or https address: {value}")
        if "@" in value.partition("//")[2].partition("/")[0]:
            raise ValueError(
                "holds a user or password; give username, and the password in the "
                "environment as RELEASELIB_INDEX_PASSWORD"
            )
        return value if not value or value.endswith("/") else value + "/"


class App(Table):
    """What runs in a slot; a stage can override each of these."""

    slots: tuple[str, ...] = Field(default=("a", "b"), strict=False)
    port_base: int = Field(default=8800, ge=1024, le=65300)
    processes: int = Field(default=2, ge=1)
    health: str = "/healthz"
    health_version: bool = True
    health_timeout: int = Field(default=30, ge=1, le=3600)
    requires: tuple[str, ...] = Field(default=(), strict=False)

    @field_validator("slots")
    @classmethod
    def _slots(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(value) < 2 or len(set(value)) != len(value) or not set(value) <= set(SLOTS):
            raise ValueError(f"must be two or more different letters out of {', '.join(SLOTS)}")
        return value

    @field_validator("health")
    @classmethod
    def _health(cls, value: str) -> str:
        if not value.startswith("/"):
            raise ValueError(f"must be a path that starts with a slash, like /healthz: {value}")
        return value

    @field_validator("processes")
    @classmethod
    def _processes(cls, value: int) -> int:
        if value > PORT_STEP:
            raise ValueError(f"slots would share ports: each has {PORT_STEP}, {value} are asked for")
        return value

    def ports(self, slot: str) -> list[int]:
        """The ports of a slot, one a process: slot a has port_base, slot b ten more, and so on."""
        first = self.port_base + PORT_STEP * SLOTS.index(slot)
        return list(range(first, first + self.processes))


class Stage(Table):
    """An environment to release to."""

    name: str
    app: tuple[Host, ...]
    proxy: tuple[Host, ...] = ()
    settings: App = Field(default_factory=App)
    index: Index = Field(default_factory=Index)
    user: str = ""
    prefix: str = ""
    python: str = ""
    profile: str = ""
    bind: str = ""
    nginx: Literal["system", "own"] = "system"
    sudo: bool = False
    listen: str = ""
    server_name: str = Field(default="_", pattern=r"\S")
    known_hosts: str = ""
    parallel: int = Field(default=30, ge=1, le=500)
    max_failures: int = Field(default=0, ge=0)
    keep_warm: bool = True
    connect_timeout: int = Field(default=10, ge=1)
    command_timeout: int = Field(default=300, ge=1)
    drain_timeout: int = Field(default=30, ge=0)

    @field_validator("prefix")
    @classmethod
    def _absolute(cls, value: str) -> str:
        if not value.startswith("/") or re.search(r"[\n%]", value):  # supervisord expands %
            raise ValueError(f"must be an absolute path without %, like /srv/my-shop: {value}")
        return value

    @field_validator("listen")
    @classmethod
    def _listen(cls, value: str) -> str:
        if not re.match(r"(\S+:)?\d+(\s|$)", value):
            raise ValueError(f"must begin with a port or address:port, like 80 or 127.0.0.1:8080: {value}")
        return value

    @field_validator("app", "proxy")
    @classmethod
    def _once(cls, hosts: tuple[Host, ...]) -> tuple[Host, ...]:
        names = [host.name for host in hosts]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"lists {', '.join(twice)} twice")
        return hosts

    @field_validator("app")
    @classmethod
    def _some(cls, hosts: tuple[Host, ...]) -> tuple[Host, ...]:
        if not hosts:
            raise ValueError("is empty; a stage needs one host to release to")
        return hosts

    @model_validator(mode="after")
    def _whole(self) -> Stage:
        roles = {"app": self.app, "proxy": self.proxy}
        mixed = {role for role, hosts in roles.items() if any(host.local for host in hosts)}
        if mixed and not all(host.local for host in (*self.app, *self.proxy)):
            raise ValueError('mixes "local" with hosts over ssh; make two stages of it')
        return self

    @property
    def local(self) -> bool:
        """Whether the stage is this very machine, without ssh."""
        return self.app[0].local

    @property
    def lock_hosts(self) -> tuple[Host, ...]:
        """Where the lock and the journal live: every proxy, or the first app host without one."""
        return self.proxy or self.app[:1]

    def listen_port(self) -> int:
        """The port at which a proxy can be asked from its own loopback."""
        return int(self.listen.split()[0].rpartition(":")[2])


class Forge(Table):
    """Where the project's repository is made and lives."""

    kind: Literal["gitlab", "github"]
    url: str = ""
    namespace: str = ""
    name: str = ""
    visibility: Literal["private", "internal", "public"] = "private"
    release: bool = False

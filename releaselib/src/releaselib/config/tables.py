"""The tables of release.toml as frozen values: index, app, stage, forge.

Every check that concerns one key stands beside that key; reading the file is :mod:`file`'s. A key that
only this program may set stands in a class of its own (:class:`OwnIndex`), out of reach of the file.
"""

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from packaging.requirements import Requirement
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationInfo,
    field_validator,
    model_validator,
)

from releaselib.config.inventory import LOCAL, Hosts

SLOTS = "abcdefghi"
PORT_STEP = 10
"""Distance between the first ports of two neighbouring slots, and so the most processes of one."""


def must(hold: Callable[[Any], object], words: str, kind: Any = AfterValidator) -> Any:
    """A check of a key: where it does not hold, the value is refused with these words."""

    def check(value: Any) -> Any:
        if not hold(value):
            raise ValueError(words.format(value))
        return value

    return kind(check)


class Table(BaseModel):
    """A table of release.toml: frozen, strict, without unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


Header = Annotated[str, must(lambda v: re.fullmatch(r"[A-Za-z0-9-]+", v), "is no name of a header: {}")]
Line = Annotated[str, must(lambda v: v.isprintable() and v.isascii(), "must be one line of ASCII")]


class Layout(Table):
    """Where the project is in its repository."""

    directory: str = "."


Address = Annotated[
    str,
    must(lambda v: not v or v.startswith(("http://", "https://")), "is no http or https address: {}"),
    must(
        lambda v: "@" not in v.partition("//")[2].partition("/")[0],
        "holds a user or password; give username, and the password in the environment as RELEASELIB_INDEX_PASSWORD",
    ),
    AfterValidator(lambda v: f"{v.rstrip('/')}/" if v else v),
]


class Index(Table):
    """The package index (PEP 503) that hosts install from."""

    url: Address = ""
    upload_url: Address = ""
    username: str = ""


class OwnIndex(Index):
    """An index of the project's own (``index = "local"``), kept in a folder of this machine."""

    folder: str = ""

    @classmethod
    def at(cls, port: int, folder: str) -> "OwnIndex":
        """The index that is served at that port of the loopback."""
        url = f"http://127.0.0.1:{port}/"
        return cls(url=f"{url}simple/", upload_url=url, username="releaser", folder=folder)


def _readable(read: Callable[[str], object]) -> Callable[[str], bool]:
    """Whether a text can be read so."""

    def check(text: str) -> bool:
        try:
            read(text)
        except ValueError:
            return False
        return True

    return check


Requirements = Annotated[
    tuple[Annotated[str, must(_readable(Requirement), "is no requirement like gunicorn>=23: {}")], ...],
    Field(strict=False),
]
Name = Annotated[
    str, must(lambda v: re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", v), "is no name of an environment variable: {}")
]


class App(Table):
    """What runs in a slot; a stage can override each of these."""

    slots: Annotated[
        tuple[str, ...],
        Field(strict=False),
        must(
            lambda v: len(v) > 1 and len(set(v)) == len(v) and set(v) <= set(SLOTS),
            f"must be two or more different letters out of {', '.join(SLOTS)}",
        ),
    ] = ("a", "b")
    port_base: int = Field(default=8800, ge=1024, le=65300)
    processes: Annotated[
        int,
        Field(ge=1),
        must(lambda v: v <= PORT_STEP, f"slots would share ports: each has {PORT_STEP}, {{}} are asked for"),
    ] = 2
    health: Annotated[
        str, must(lambda v: v.startswith("/"), "must be a path that starts with a slash, like /healthz: {}")
    ] = "/healthz"
    health_headers: dict[Header, Line] = Field(default_factory=dict)
    health_status: int = Field(default=200, ge=200, le=599)
    health_body: str = ""
    health_version: bool = True
    health_timeout: int = Field(default=30, ge=1, le=3600)
    requires: Requirements = ()
    overlap: bool = True
    env: dict[Name, str] = Field(default_factory=dict)
    secrets: tuple[Name, ...] = Field(default=(), strict=False)
    secrets_command: Annotated[str, must(_readable(shlex.split), "is no command line, a quote is open: {}")] = ""

    def ports(self, slot: str) -> list[int]:
        """The ports of a slot, one a process: slot a has port_base, slot b ten more, and so on."""
        first = self.port_base + PORT_STEP * SLOTS.index(slot)
        return list(range(first, first + self.processes))


def _is_share(value: Any) -> bool:
    if isinstance(value, str):
        return bool(re.fullmatch(r"\d{1,2}%|100%", value))
    return type(value) is int and value >= 0


Share = Annotated[
    int | str,
    must(_is_share, 'must be a number of hosts, or a share of them like "10%": {}', PlainValidator),
    AfterValidator(lambda v: 0 if v in ("0%", "00%") else v),  # so that none is none, and no canary of one host
]


class StageTable(App):
    """What release.toml says of an environment to release to, with what [app] says where it is silent."""

    app: Annotated[Hosts, must(bool, "is empty; a stage needs one host to release to")]
    proxy: Hosts = ()
    index: Index | None = None
    user: str = ""
    prefix: str = ""
    python: str = ""
    profile: str = ""
    bind: str = ""
    nginx: Literal["system", "own"] = "system"
    sudo: bool = False
    listen: Annotated[
        str,
        must(
            lambda v: re.match(r"(\S+:)?\d+(\s|$)", v),
            "must begin with a port or address:port, like 80 or 127.0.0.1:8080: {}",
        ),
    ] = ""
    server_name: str = Field(default="_", pattern=r"\S")
    known_hosts: str = ""
    parallel: int = Field(default=30, ge=1, le=500)
    max_failures: Share = 0
    keep_warm: bool = True
    canary: Share = 0
    canary_seconds: int = Field(default=60, ge=1, le=3600)
    auto_rollback: bool = False
    watch_seconds: int = Field(default=60, ge=1, le=3600)
    max_errors: str = Field(default="1%", pattern=r"^\d{1,2}(\.\d+)?%$")
    access_log: str = ""
    boot: bool = True
    connect_timeout: int = Field(default=10, ge=1)
    command_timeout: int = Field(default=300, ge=1)
    drain_timeout: int = Field(default=30, ge=0)

    @field_validator("index", mode="before")
    @classmethod
    def _own(cls, value: Any) -> Any:
        return OwnIndex() if value == LOCAL else value

    @field_validator("prefix")
    @classmethod
    def _absolute(cls, value: str, info: ValidationInfo) -> str:
        if any(host.local for host in info.data.get("app", ())):
            value = str(_root(info) / value)
        if not value.startswith("/") or re.search(r"[\n%]", value):  # supervisord expands %
            raise ValueError(f"must be an absolute path without %, like /srv/my-shop: {value}")
        return value

    @field_validator("known_hosts")
    @classmethod
    def _in_project(cls, value: str, info: ValidationInfo) -> str:
        return str(_root(info) / value) if value else value

    @model_validator(mode="after")
    def _whole(self) -> "StageTable":
        if len({host.local for host in (*self.app, *self.proxy)}) > 1:
            raise ValueError('mixes "local" with hosts over ssh; make two stages of it')
        return self


def _root(info: ValidationInfo) -> Path:
    return Path((info.context or {}).get("root", "."))


class Forge(Table):
    """Where the project's repository is made and lives."""

    kind: Literal["gitlab", "github"]
    url: str = ""
    namespace: str = ""
    name: str = ""
    visibility: Literal["private", "internal", "public"] = "private"
    release: bool = False


class File(Table):
    """The whole of release.toml."""

    project: Layout = Field(default_factory=Layout)
    index: Index = Field(default_factory=Index)
    app: App = Field(default_factory=App)
    forge: Forge | None = None
    stages: dict[str, StageTable] = Field(default_factory=dict)

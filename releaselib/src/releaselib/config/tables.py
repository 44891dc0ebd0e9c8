"""The tables of release.toml as frozen values: index, stage, forge, and the file as a whole.

Every check that concerns one key stands beside that key; reading the file is :mod:`file`'s. A key that
only this program may set stands in a class of its own (:class:`OwnIndex`), out of reach of the file.
"""

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainValidator,
    ValidationInfo,
    field_validator,
    model_validator,
)

from releaselib.config.app import App
from releaselib.config.inventory import LOCAL, Hosts, select
from releaselib.config.table import Table, must
from releaselib.errors import ConfigError, Refused

READ_PASSWORD = "RELEASELIB_INDEX_READ_PASSWORD"  # noqa: S105  the name of the variable


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
    read_username: Annotated[str, must(lambda v: not re.search(r"\s", v), "has a space in it: {}")] = ""

    @property
    def login(self) -> tuple[str, str] | None:
        """User and password with which it is read; none for one that is open. Raises Refused."""
        password = os.environ.get(READ_PASSWORD, "")
        if self.read_username and not re.fullmatch(r"\S+", password):
            raise Refused(
                f"no password to read {self.url}" + " that has no space in it" * bool(password),
                next_step=f"export {READ_PASSWORD}=... (user: {self.read_username})",
            )
        return (self.read_username, password) if self.read_username else None

    @property
    def netrc(self) -> str:
        """The same as a file that uv, pip and requests read; empty for an index that is open."""
        host = urlsplit(self.url).hostname
        return f"machine {host} login {self.login[0]} password {self.login[1]}\n" if self.login else ""


class OwnIndex(Index):
    """An index of the project's own (``index = "local"``), kept in a folder of this machine."""

    folder: str = ""

    @classmethod
    def at(cls, port: int, folder: str) -> "OwnIndex":
        """The index that is served at that port of the loopback."""
        url = f"http://127.0.0.1:{port}/"
        return cls(url=f"{url}simple/", upload_url=url, username="releaser", folder=folder)


def _is_share(value: Any) -> bool:
    if isinstance(value, str):
        return bool(re.fullmatch(r"\d{1,2}%|100%", value))
    return type(value) is int and value >= 0


Share = Annotated[
    int | str,
    must(_is_share, 'must be a number of hosts, or a share of them like "10%": {}', PlainValidator),
    AfterValidator(lambda v: 0 if v in ("0%", "00%") else v),  # so that none is none, and no canary of one host
]


OnProxy = Annotated[
    str, must(lambda v: not v or re.fullmatch(r"/[^\n\"\\;{}$]+", v), "must be an absolute path on the proxies: {}")
]


class Tls(Table):
    """How visitors come by https: paths on the proxies. Without them only the folder of ACME is served, at first."""

    certificate: OnProxy = ""
    key: OnProxy = ""
    http: Annotated[str, must(lambda v: re.fullmatch(r"((\S+:)?\d+)?", v), "must be a port or address:port: {}")] = "80"
    hsts: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _whole(self) -> "Tls":
        if bool(self.certificate) != bool(self.key):
            raise ValueError("certificate and key go together")
        return self


class Placed(Table):
    """A file of the project that is rendered into the slot: its template, and its mode there."""

    template: Annotated[str, must(str.strip, "is empty")]
    mode: Annotated[str, must(lambda v: re.fullmatch(r"0[0-7]{3}", v), "is no mode like 0600: {}")] = "0600"


FileName = Annotated[
    str,
    must(lambda v: re.fullmatch(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*", v), "is no plain path within files/: {}"),
    must(lambda v: ".." not in v.split("/"), "leads out of files/: {}"),
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
    tls: Tls | None = None
    files: dict[
        FileName, Annotated[Placed, BeforeValidator(lambda v: {"template": v} if isinstance(v, str) else v)]
    ] = Field(default_factory=dict)
    known_hosts: str = ""
    connector: Literal["paramiko", "openssh"] = "paramiko"
    http_proxy: Annotated[
        str, must(lambda v: not v or re.fullmatch(r"https?://[^\s@]+", v), "is no http address without password: {}")
    ] = ""
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
        for name, program in self.programs.items():
            try:
                select(self.app, ",".join(program.hosts))
            except ConfigError as error:
                raise ValueError(f"programs.{name}.hosts: {error.what}") from None
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

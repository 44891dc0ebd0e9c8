"""release.toml, read once into frozen values.

:func:`load` gives a :class:`Project`. Unknown keys, wrong types and bad values are refused, all of
them at once, each with the path of its key. Nothing else in the library reads the file.
"""

from __future__ import annotations

import difflib
import sys
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from releaselib.errors import ConfigError
from releaselib.hosts import LOCAL, Host, expand

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SLOTS = "abcdefghi"
PORT_STEP = 10
"""Distance between the first ports of two neighbouring slots, and so the most processes of one."""


class Table(BaseModel):
    """A table of release.toml: frozen, strict, without unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


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
    server_name: str = "_"
    known_hosts: str = ""
    parallel: int = Field(default=30, ge=1, le=500)
    max_failures: int = Field(default=0, ge=0)
    keep_warm: bool = True
    connect_timeout: int = Field(default=10, ge=1)
    command_timeout: int = Field(default=300, ge=1)
    drain_timeout: int = Field(default=30, ge=0)

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


class Project(Table):
    """A project that can be released: its folder, its name, and what release.toml says."""

    root: Path
    name: str
    directory: str = "."
    static_version: str = ""
    index: Index = Field(default_factory=Index)
    stages: dict[str, Stage] = Field(default_factory=dict)
    forge: Forge | None = None

    def stage(self, name: str) -> Stage:
        """The stage of that name. Raises ConfigError with the nearest right name."""
        if name not in self.stages:
            known = ", ".join(self.stages) or "none"
            raise ConfigError(
                f"no stage {name!r} in release.toml{nearest(name, self.stages)}",
                next_step=f"use one of: {known}",
            )
        return self.stages[name]


def nearest(word: str, right: Any) -> str:
    """`; did you mean ...?` for a misspelt word, or nothing."""
    close = difflib.get_close_matches(word, list(right), 1)
    return f"; did you mean {close[0]!r}?" if close else ""


def load(root: Path | str = ".") -> Project:
    """Read release.toml and pyproject.toml of the project in ``root``.

    Raises ConfigError that lists every problem of both files with the path of its key.
    """
    folder = Path(root).resolve()
    text = _toml(folder / "release.toml")
    directory = text.get("project", {}).get("directory", ".")
    meta = _toml(folder / directory / "pyproject.toml").get("project", {})
    if "name" not in meta:
        raise ConfigError(
            f"{directory}/pyproject.toml has no [project] name (PEP 621)",
            next_step="add it; the wheel and the slot are named after it",
        )
    return parse(text, root=folder, name=meta["name"], static_version=meta.get("version", ""))


def parse(text: dict[str, Any], *, root: Path, name: str, static_version: str = "") -> Project:
    """The pure half of :func:`load`: a table in the form of release.toml -> a Project."""
    problems: list[str] = _unknown(text, ("project", "index", "app", "stages", "forge"), "")
    index = _model(Index, text.get("index", {}), "index", problems) or Index()
    app = text.get("app", {}) if _model(App, text.get("app", {}), "app", problems) else {}
    forge = _model(Forge, {"name": name, **text["forge"]}, "forge", problems) if "forge" in text else None
    stages = {}
    for stage, table in text.get("stages", {}).items():
        found = _stage(stage, table, app, index, root, name, problems)
        if found:
            stages[stage] = found
    if problems:
        raise ConfigError(
            f"{root / 'release.toml'}: {len(problems)} to mend",
            cause="\n".join(problems),
            next_step="correct these keys",
        )
    project = text.get("project", {})
    return Project(
        root=root,
        name=name,
        directory=project.get("directory", "."),
        index=index,
        static_version=static_version,
        stages=stages,
        forge=forge,
    )


def _stage(
    name: str,
    table: dict[str, Any],
    app: dict[str, Any],
    index: Index,
    root: Path,
    project: str,
    problems: list[str],
) -> Stage | None:
    where = f"stages.{name}"
    own = set(Stage.model_fields) - {"name", "settings"}
    unknown = _unknown(table, (*own, *App.model_fields), where)
    problems += unknown
    overrides = {key: table[key] for key in table if key in App.model_fields}
    settings = _model(App, {**app, **overrides}, where, problems)
    values: dict[str, Any] = {key: table[key] for key in table if key in own}
    for role in ("app", "proxy"):
        values[role] = expand(values.get(role, []), f"{where}.{role}", table.get("user", ""), root, problems)
    values |= {"name": name, "settings": settings or App(), "index": index}
    values = _defaults(values, table, root, project, settings or App())
    return _model(Stage, values, where, problems)


def _defaults(
    values: dict[str, Any], table: dict[str, Any], root: Path, project: str, app: App
) -> dict[str, Any]:
    """Fill in what follows from other keys: the block of ports, folders, the project's own index."""
    values.setdefault("prefix", f"/srv/{project}")
    values.setdefault("profile", values["name"])
    local = any(host.local for host in values["app"])
    if local:
        values["prefix"] = str(root / values["prefix"])
    if values.get("known_hosts"):
        values["known_hosts"] = str(root / values["known_hosts"])
    values.setdefault("bind", "127.0.0.1" if local else "0.0.0.0")  # noqa: S104  proxies are other hosts
    values.setdefault(
        "listen", "80" if values.get("nginx", "system") == "system" else str(app.port_base + 90)
    )
    if table.get("index") == LOCAL:
        port = app.port_base + 91
        values["index"] = Index(
            url=f"http://127.0.0.1:{port}/simple/",
            folder=f"{values['prefix']}/index",
            upload_url=f"http://127.0.0.1:{port}/",
            username="releaser",
        )
    elif "index" in table:
        values["index"] = table["index"]
    return values


def _model(model: type[Any], values: Any, where: str, problems: list[str]) -> Any:
    """Make a model, or add what is wrong with each key to the problems."""
    if not isinstance(values, dict):
        problems.append(f"{where}: must be a table")
        return None
    try:
        return model(**values)
    except ValidationError as error:
        problems += [_words(one, where, model) for one in error.errors()]
        return None


def _words(error: Any, where: str, model: type[BaseModel]) -> str:
    path = ".".join([where, *(str(part) for part in error["loc"])])
    if error["type"] == "extra_forbidden":
        return f"{path}: unknown key{nearest(str(error['loc'][-1]), model.model_fields)}"
    message = error["msg"].removeprefix("Value error, ")
    return f"{path}: {message[0].lower()}{message[1:]}"


def _unknown(table: Any, known: Any, where: str) -> list[str]:
    dot = f"{where}." if where else ""
    return [f"{dot}{key}: unknown key{nearest(key, known)}" for key in table if key not in known]


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"{path} is missing", next_step="run this in the folder of a project that has it"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}", next_step="correct it") from None

"""release.toml, read once into frozen values.

:func:`load` gives a :class:`Project`. Unknown keys, wrong types and bad values are refused, all of
them at once, each with the path of its key. Nothing else in the library reads the file.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from releaselib.errors import ConfigError
from releaselib.hosts import LOCAL, Host, expand, nearest
from releaselib.settings import App, Forge, Index, Layout, Stage, Table

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


UNKNOWN = Host(address="unknown")
"""Stands for hosts that could not be read, so that nothing more is said about them."""


class Project(Table):
    """A project that can be released: its folder, its name, and what release.toml says."""

    root: Path
    name: str
    directory: str = "."
    static_version: str = ""
    description: str = ""
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


def load(root: Path | str = ".") -> Project:
    """Read release.toml and pyproject.toml of the project in ``root``.

    Raises ConfigError that lists every problem of both files with the path of its key.
    """
    folder = Path(root).resolve()
    text = _toml(folder / "release.toml")
    layout = _model(Layout, text.get("project", {}), "project", []) or Layout()  # parse tells what is wrong
    meta = _toml(folder / layout.directory / "pyproject.toml").get("project", {})
    if "name" not in meta:
        raise ConfigError(
            f"{layout.directory}/pyproject.toml has no [project] name (PEP 621)",
            next_step="add it; the wheel and the slot are named after it",
        )
    return parse(
        text,
        root=folder,
        name=meta["name"],
        static_version=meta.get("version", ""),
        description=meta.get("description", ""),
    )


def parse(
    text: dict[str, Any], *, root: Path, name: str, static_version: str = "", description: str = ""
) -> Project:
    """The pure half of :func:`load`: a table in the form of release.toml -> a Project."""
    problems: list[str] = _unknown(text, ("project", "index", "app", "stages", "forge"), "")
    layout = _model(Layout, text.get("project", {}), "project", problems) or Layout()
    index = _model(Index, text.get("index", {}), "index", problems) or Index()
    app = text.get("app", {}) if _model(App, text.get("app", {}), "app", problems) else {}
    forge = text.get("forge")
    if forge is not None:
        forge = _model(
            Forge, {"name": name, **forge} if isinstance(forge, dict) else forge, "forge", problems
        )
    stages = {
        stage: _stage(stage, table, app, index, root, name, problems)
        for stage, table in _tables(text, problems).items()
    }
    if problems:
        raise ConfigError(
            f"{root / 'release.toml'}: {len(problems)} to mend",
            cause="\n".join(problems),
            next_step="correct these keys",
        )
    return Project(
        root=root,
        name=name,
        directory=layout.directory,
        index=index,
        static_version=static_version,
        description=description,
        stages=stages,
        forge=forge,
    )


def _tables(text: dict[str, Any], problems: list[str]) -> dict[str, Any]:
    """The tables of the stages; what is none is a problem."""
    stages = text.get("stages", {})
    if not isinstance(stages, dict):
        problems.append("stages: must be a table")
        return {}
    problems += [f"stages.{key}: must be a table" for key, one in stages.items() if not isinstance(one, dict)]
    return {key: one for key, one in stages.items() if isinstance(one, dict)}


def _stage(
    name: str,
    table: dict[str, Any],
    app: dict[str, Any],
    index: Index,
    root: Path,
    project: str,
    problems: list[str],
) -> Stage:
    """A stage; where something is wrong with it, that is in ``problems`` and nobody gets to see it."""
    where = f"stages.{name}"
    own = set(Stage.model_fields) - {"name", "settings"}
    problems += _unknown(table, (*own, *App.model_fields), where)
    overrides = {key: table[key] for key in table if key in App.model_fields}
    settings = _model(App, {**app, **overrides}, where, problems)
    values: dict[str, Any] = {key: table[key] for key in table if key in own}
    user = table["user"] if isinstance(table.get("user"), str) else ""
    for role in ("app", "proxy"):
        before = len(problems)
        values[role] = expand(values.get(role, []), f"{where}.{role}", user, root, problems)
        if len(problems) > before:
            values[role] = (UNKNOWN,)  # what is wrong with the role has been said
    values |= {"name": name, "settings": settings or App(), "index": index}
    values = _defaults(values, table, root, project, settings or App())
    found: Stage = _model(Stage, values, where, problems)
    return found


def _defaults(
    values: dict[str, Any], table: dict[str, Any], root: Path, project: str, app: App
) -> dict[str, Any]:
    """Fill in what follows from other keys: the block of ports, folders, the project's own index."""
    values.setdefault("prefix", f"/srv/{project}")
    values.setdefault("profile", values["name"])
    local = any(host.local for host in values["app"])
    for key in ("prefix",) * local + ("known_hosts",):
        if values.get(key) and isinstance(values[key], str):
            values[key] = str(root / values[key])
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
    for part in error["loc"][:-1]:
        field = model.model_fields.get(part)
        if field and isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            model = field.annotation
    if error["type"] == "extra_forbidden":
        return f"{path}: unknown key{nearest(str(error['loc'][-1]), model.model_fields)}"
    message = error["msg"].removeprefix("Value error, ")
    return f"{path}: {message[0].lower()}{message[1:]}"


def _unknown(table: Any, known: Any, where: str) -> list[str]:
    dot = f"{where}." if where else ""
    return [f"{dot}{key}: unknown key{nearest(key, known)}" for key in table if key not in known]


def _toml(path: Path) -> dict[str, Any]:
    try:
        return dict(tomllib.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        raise ConfigError(
            f"{path} is missing", next_step="run this in the folder of a project that has it"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}", next_step="correct it") from None

"""release.toml, read once into frozen values.

:func:`load` gives a :class:`Project`. Unknown keys, wrong types and bad values are refused, all of
them at once, each with the path of its key. Nothing else in the library reads the file.
"""

from __future__ import annotations

import difflib
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from releaselib.errors import ConfigError
from releaselib.hosts import LOCAL, expand
from releaselib.settings import App, Forge, Index, Stage, Table

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


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
    found: Stage | None = _model(Stage, values, where, problems)
    return found


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
        return dict(tomllib.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        raise ConfigError(
            f"{path} is missing", next_step="run this in the folder of a project that has it"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}", next_step="correct it") from None

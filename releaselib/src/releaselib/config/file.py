"""release.toml, read once into frozen values.

:func:`load` gives a :class:`Project`. Unknown keys, wrong types and bad values are refused, all of
them at once, each with the path of its key. Nothing else in the library reads the file.
"""

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, Field, ValidationError

from releaselib.config.inventory import nearest
from releaselib.config.stage import Stage, conflicts
from releaselib.config.table import Table
from releaselib.config.tables import File, Forge, Index
from releaselib.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

STAMPERS = re.compile(r"setuptools[-_.]scm|hatch[-_.]vcs|vcs[-_.]versioning", re.I)
"""What takes the version of a wheel from the environment, as its release has it."""


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
                f"no stage {name!r} in release.toml{nearest(name, self.stages)}", next_step=f"use one of: {known}"
            )
        return self.stages[name]

    def template(self, name: str) -> str:
        """The text of a template that the project brings along. Raises ConfigError when it is gone."""
        path = self.root / name
        if not path.exists():
            raise ConfigError(f"{path} is missing", next_step="bring it back from git, or from the template")
        return path.read_text("utf-8")


def load(root: Path | str = ".") -> Project:
    """Read release.toml and pyproject.toml of the project in ``root``.

    Raises ConfigError that lists every problem of both files with the path of its key, and for a version that
    nobody could stamp.
    """
    folder = Path(root).resolve()
    text = _toml(folder / "release.toml")
    layout = text.get("project", {})
    directory = layout.get("directory", "") if isinstance(layout, dict) else ""
    directory = directory if isinstance(directory, str) else ""  # parse tells what is wrong with it
    pyproject = _toml(folder / directory / "pyproject.toml")
    meta = pyproject.get("project", {})
    if "name" not in meta:
        raise ConfigError(
            f"{directory or '.'}/pyproject.toml has no [project] name (PEP 621)",
            next_step="add it; the wheel and the slot are named after it",
        )
    if wrong := [key for key in ("name", "version", "description") if not isinstance(meta.get(key, ""), str)]:
        raise ConfigError(
            f"{directory or '.'}/pyproject.toml: project.{wrong[0]} must be a text", next_step='quote it, like "1.0"'
        )
    version, description = meta.get("version", ""), meta.get("description", "")
    if not version and _is_of_setup_py(pyproject):
        raise ConfigError(
            f"{directory or '.'}/pyproject.toml: nothing there gives a wheel the version of its release",
            next_step='a static version in [project]; or dynamic = ["version"] there, setuptools-scm in '
            "[build-system] requires, [tool.setuptools_scm], and no version in setup.py or setup.cfg",
        )
    return parse(text, root=folder, name=meta["name"], static_version=version, description=description)


def _is_of_setup_py(pyproject: dict[str, Any]) -> bool:
    """Whether setuptools builds, and nothing in pyproject.toml says where a version comes from."""
    system = pyproject.get("build-system", {})
    told = pyproject.get("tool", {}).get("setuptools", {}).get("dynamic", {})
    by_setuptools = "setuptools" in system.get("build-backend", "setuptools")
    return (
        by_setuptools and "version" not in told and not STAMPERS.search(" ".join(map(str, system.get("requires", []))))
    )


def parse(text: dict[str, Any], *, root: Path, name: str, static_version: str = "", description: str = "") -> Project:
    """A table in the form of release.toml -> a Project. Pure, but for programs that are asked for hosts."""
    try:
        file = File.model_validate(merged(text), context={"root": root})
    except ValidationError as error:
        lines = [_words(one) for one in error.errors() if not _inherited(one["loc"], text)]
        raise ConfigError(
            f"{root / 'release.toml'}: {len(lines)} to mend", cause="\n".join(lines), next_step="correct these keys"
        ) from None
    stages = {key: Stage.of(table, key, name, file.index) for key, table in file.stages.items()}
    if lines := conflicts(list(stages.values())):
        raise ConfigError(
            f"{root / 'release.toml'}: {len(lines)} to mend", cause="\n".join(lines), next_step="correct these keys"
        )
    return Project(
        root=root,
        name=name,
        directory=file.project.directory,
        index=file.index,
        static_version=static_version,
        description=description,
        stages=stages,
        forge=file.forge and file.forge.model_copy(update={"name": file.forge.name or name}),
    )


def merged(text: dict[str, Any]) -> dict[str, Any]:
    """The same table with [app] in every stage, as far as the stage says nothing else. Pure."""
    app, stages = text.get("app"), text.get("stages")
    if not isinstance(app, dict) or not isinstance(stages, dict):
        return text
    whole = {key: _over(app, one) if isinstance(one, dict) else one for key, one in stages.items()}
    return text | {"stages": whole}


def _over(app: dict[str, Any], stage: dict[str, Any]) -> dict[str, Any]:
    """A stage with what [app] says where it is silent; of env, variable by variable."""
    envs = [table["env"] for table in (app, stage) if isinstance(table.get("env"), dict)]
    return {**app, **stage} | ({"env": {**envs[0], **envs[1]}} if len(envs) == 2 else {})


def _inherited(path: Sequence[int | str], text: dict[str, Any]) -> bool:
    """Whether a problem of a stage is one of [app], and told there."""
    if path[0] != "stages" or len(path) < 3:
        return False
    app = text.get("app")
    return isinstance(app, dict) and path[2] in app and path[2] not in text["stages"][path[1]]


def _words(error: Any) -> str:
    """A problem of pydantic's in our words, with the path of its key."""
    path = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"{path}: unknown key{nearest(str(error['loc'][-1]), _keys(error['loc'][:-1]))}"
    if error["type"] in ("model_type", "dict_type"):
        return f"{path}: must be a table"
    message = error["msg"].removeprefix("Value error, ")
    return f"{path}: {message[0].lower()}{message[1:]}"


def _keys(path: Sequence[int | str]) -> list[str]:
    """The keys of the table at a path; on the way a list or a table of tables stands for each of its own."""
    here: Any = File
    for part in path:
        here = here.model_fields[str(part)].annotation if _is_table(here) else _table_in(here)
        here = _table_in(here) if type(None) in get_args(here) else here
    return list(here.model_fields) if _is_table(here) else []


def _table_in(kind: Any) -> Any:
    return next((one for one in get_args(kind) if _is_table(one)), kind)


def _is_table(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _toml(path: Path) -> dict[str, Any]:
    try:
        return dict(tomllib.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        raise ConfigError(f"{path} is missing", next_step="run this in the folder of a project that has it") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}", next_step="correct it") from None

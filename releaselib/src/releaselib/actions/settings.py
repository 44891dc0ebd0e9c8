"""The settings of a stage, gathered from release.toml and from where its secrets are."""

import io
import os
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

from dotenv import dotenv_values

from releaselib.config.stage import Stage
from releaselib.decide.settings import Setting, found, from_json
from releaselib.errors import ConfigError
from releaselib.process import run, tail

EVERY_CODE = range(256)


def gathered(root: Path, stage: Stage) -> list[Setting]:
    """All settings of a stage. Raises ConfigError that names every secret that is missing or empty."""
    sources = dict(_sources(root, stage)) if stage.secrets else {}
    settings, missing = found(stage.env, stage.secrets, sources)
    if missing:
        raise ConfigError(
            f"stage {stage.name} has no value for {', '.join(missing)}",
            cause="\n".join(f"looked in {words}" for words in sources),
            next_step=f"put them into {_file(root, stage).name} (mode 0600), or into the environment, and run it again",
        )
    return settings


def _sources(root: Path, stage: Stage) -> Iterator[tuple[str, Mapping[str, str]]]:
    yield "the environment", os.environ
    file = _file(root, stage)
    if file.exists():
        _require_private(file)
        yield file.name, _from_dotenv(file.read_text("utf-8"))
    if stage.secrets_command:
        yield "secrets_command", _asked(root, stage)


def _file(root: Path, stage: Stage) -> Path:
    return root / f".env.{stage.name}"


def _require_private(file: Path) -> None:
    """Raise ConfigError for a file of secrets that others may read, or that git would take."""
    if file.stat().st_mode & 0o077:
        raise ConfigError(f"{file.name} can be read by others", next_step=f"chmod 600 {file.name}")
    if run(["git", "check-ignore", "--quiet", file.name], cwd=file.parent, ok=EVERY_CODE).code == 1:
        raise ConfigError(f"{file.name} is not ignored by git", next_step=f"echo {file.name} >> .gitignore")


def _asked(root: Path, stage: Stage) -> Mapping[str, str]:
    """What secrets_command prints; its output is in no error."""
    done = run(shlex.split(stage.secrets_command), cwd=root, ok=EVERY_CODE)
    if done.code:
        raise ConfigError(
            f"stages.{stage.name}.secrets_command failed (exit code {done.code})",
            cause=tail(done.stderr),
            next_step=stage.secrets_command,
        )
    if not done.stdout.lstrip().startswith("{"):
        return _from_dotenv(done.stdout)
    try:
        return from_json(done.stdout)
    except ValueError:
        raise ConfigError(
            f"stages.{stage.name}.secrets_command prints no JSON object of names and values",
            next_step=stage.secrets_command,
        ) from None


def _from_dotenv(text: str) -> dict[str, str]:
    return {name: value or "" for name, value in dotenv_values(stream=io.StringIO(text), interpolate=False).items()}

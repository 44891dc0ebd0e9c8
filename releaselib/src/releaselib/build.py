"""A clean clone -> sdist and wheel with their sha256, by the `build` frontend (PEP 517)."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name, parse_sdist_filename, parse_wheel_filename
from packaging.version import Version

from releaselib import shell
from releaselib.errors import CommandFailed, Refused


@dataclass(frozen=True)
class Built:
    """What a build gave: version, commit, and files (path -> sha256)."""

    version: str
    commit: str
    files: dict[str, str]

    @property
    def paths(self) -> list[Path]:
        """The files, wheel and sdist."""
        return [Path(path) for path in self.files]


def command(folder: Path, out: Path) -> tuple[str, ...]:
    """The command that builds the project in ``folder`` into ``out``."""
    return (sys.executable, "-m", "build", "--installer", "uv", "--outdir", str(out), str(folder))


def environment(name: str, version: str, commit: str, committed: int) -> dict[str, str]:
    """What stamps a build: setuptools-scm's override of version and commit, and the commit's time.

    The time makes the archives of one commit the same bytes each time (SOURCE_DATE_EPOCH).
    """
    dist = canonicalize_name(name).replace("-", "_").upper()
    return {
        f"SETUPTOOLS_SCM_PRETEND_VERSION_FOR_{dist}": version,
        f"SETUPTOOLS_SCM_PRETEND_METADATA_FOR_{dist}": f'{{node="g{commit}"}}',
        "SOURCE_DATE_EPOCH": str(committed),
        "UV_NO_PROGRESS": "1",
    }


def build(folder: Path, out: Path, *, name: str, version: str, commit: str, committed: int) -> Built:
    """Build sdist and wheel of the clean clone in ``folder`` into ``out``.

    ``committed`` is the commit's time in seconds since the epoch. Raises CommandFailed with the
    build's last lines, and Refused when the wheel's version is not the one asked for.
    """
    shell.run(
        command(folder, out),
        env=environment(name, version, commit, committed),
        what=f"build: {name} {version} cannot be built",
        next_step="mend the project; to see it alone: python -m build",
    )
    files = {str(path): sha256(path) for path in sorted(out.iterdir()) if path.suffix in (".whl", ".gz")}
    wrong = [Path(path).name for path in files if version_of(Path(path).name) != Version(version)]
    if wrong:
        raise Refused(
            f"build: asked for version {version}, but got {', '.join(wrong)}",
            next_step='let setuptools-scm stamp it: dynamic = ["version"] in pyproject.toml',
        )
    if not any(path.endswith(".whl") for path in files):
        raise CommandFailed(f"build: {name} {version} gave no wheel", next_step="python -m build")
    return Built(version, commit, files)


def version_of(filename: str) -> Version:
    """The version that the name of a wheel or an sdist tells."""
    if filename.endswith(".whl"):
        return parse_wheel_filename(filename)[1]
    return parse_sdist_filename(filename)[1]


def sha256(path: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()

"""A clean clone -> sdist and wheel with their sha256, by `build` (PEP 517): see build_frontend.py."""

import gzip
import hashlib
import io
import os
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import Version

from releaselib import process
from releaselib.decide.files import version_of
from releaselib.errors import CommandFailed, Refused

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True)
class Built:
    """What a build gave: version, commit, and files (path -> sha256)."""

    version: str
    commit: str
    files: dict[str, str]

    def __str__(self) -> str:
        return "\n".join(f"{digest}  {Path(path).name}" for path, digest in self.files.items())

    @property
    def wheel(self) -> Path:
        """The wheel among them."""
        return next(Path(path) for path in self.files if path.endswith(".whl"))

    @property
    def folder(self) -> Path:
        """Where they lie."""
        return self.wheel.parent


@dataclass(frozen=True)
class Stamp:
    """What a build is stamped with: the project's name, version, commit and its time (seconds since 1970)."""

    name: str
    version: str
    commit: str
    committed: int


def command(folder: Path, out: Path) -> tuple[str, ...]:
    """The command that builds the project in ``folder`` into ``out``."""
    return (sys.executable, "-m", "releaselib.wheels.build_frontend", str(folder), str(out))


def environment(stamp: Stamp) -> dict[str, str]:
    """What stamps a build: setuptools-scm's override of version and commit, and the commit's time.

    The time makes the wheel of one commit the same bytes each time (SOURCE_DATE_EPOCH).
    """
    dist = canonicalize_name(stamp.name).replace("-", "_").upper()
    return {
        f"SETUPTOOLS_SCM_PRETEND_VERSION_FOR_{dist}": stamp.version,
        f"SETUPTOOLS_SCM_PRETEND_METADATA_FOR_{dist}": f'{{node="g{stamp.commit}"}}',
        "SOURCE_DATE_EPOCH": str(stamp.committed),
        "UV_NO_PROGRESS": "1",
    }


def constraints(folder: Path) -> list[str]:
    """What pyproject.toml pins the packages to that build the project.

    It is ``build-constraint-dependencies`` of ``[tool.uv]``, which uv itself goes by.
    """
    file = folder / "pyproject.toml"
    table = tomllib.loads(file.read_text("utf-8")) if file.exists() else {}
    return list(table.get("tool", {}).get("uv", {}).get("build-constraint-dependencies", []))


def build(folder: Path, out: Path, stamp: Stamp, stopper: process.Stopper | None = None) -> Built:
    """Build sdist and wheel of the clean clone in ``folder`` into ``out``, beside what is there.

    Raises CommandFailed with the build's last lines, and Refused when the wheel's version is not the one
    asked for.
    """
    with tempfile.TemporaryDirectory() as scratch, tempfile.TemporaryDirectory(dir=out) as new:
        pins = Path(scratch) / "constraints.txt"
        pins.write_text("\n".join(constraints(folder)), "utf-8")
        process.run(
            command(folder, Path(new)),
            env=environment(stamp) | {"UV_CONSTRAINT": str(pins), "TMPDIR": scratch},  # a killed build leaves it full
            inherited=process.for_builds(os.environ),
            what=f"build: {stamp.name} {stamp.version} cannot be built",
            next_step="mend the project; to see it alone: python -m build",
            stopper=stopper or process.Stopper(),  # it starts others
        )
        made = sorted(path for path in Path(new).iterdir() if path.suffix in (".whl", ".gz"))
        check([path.name for path in made], stamp.name, stamp.version)
        for path in made:
            if path.suffix == ".gz":
                path.write_bytes(steady(path.read_bytes(), stamp.committed))
        paths = [path.replace(out / path.name) for path in made]
    return Built(stamp.version, stamp.commit, {str(path): sha256(path) for path in paths})


def check(made: Sequence[str], name: str, version: str) -> None:
    """Raise Refused unless every file name tells that version, CommandFailed without a wheel. Pure."""
    wrong = [file for file in made if version_of(file) != Version(version)]
    if wrong:
        raise Refused(
            f"build: asked for version {version}, but got {', '.join(wrong)}",
            next_step="take the version out of setup.py and setup.cfg, so that setuptools-scm alone gives it "
            '([project] dynamic = ["version"], [tool.setuptools_scm])',
        )
    if not any(file.endswith(".whl") for file in made):
        raise CommandFailed(f"build: {name} {version} gave no wheel", next_step="python -m build")


def steady(sdist: bytes, time: int) -> bytes:
    """A tar.gz with one time everywhere and nobody's name: of the same files the same bytes. Pure."""
    out = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(sdist)) as old,
        tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as new,
    ):
        for member in old:
            member.mtime, member.uid, member.gid, member.pax_headers = time, 0, 0, {}
            member.uname = member.gname = ""
            new.addfile(member, old.extractfile(member) if member.isfile() else None)
    return gzip.compress(out.getvalue(), mtime=time)


def sha256(path: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()

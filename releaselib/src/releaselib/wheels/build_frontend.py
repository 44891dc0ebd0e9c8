"""``python -m releaselib.wheels.build_frontend FOLDER OUT``: a build by itself, seeing nothing but what it is given.

It makes the sdist, and the wheel out of that, as ``python -m build`` does (PEP 517), in an isolated environment that
nobody had before. That is a copy of one which is kept for a day below ``~/.cache/releaselib``: to install setuptools
anew, and to compile it, takes as long as the build itself. A copy by hard links: whatever replaces files, as installers
do, changes nothing for the next build; what wrote into one would.
"""

import datetime
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from build import BuildBackendException, BuildException, ProjectBuilder
from build.env import IsolatedEnv
from uv import find_uv_bin


class Environment(IsolatedEnv):
    """A virtualenv, as `build` wants to know it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def python_executable(self) -> str:
        """Its Python."""
        return str(self.folder / "bin/python")

    def make_extra_environ(self) -> dict[str, str]:
        """What its programs see, beside all else."""
        return {"PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}", "PYTHONPATH": ""}

    def install(self, requirements: Collection[str], *options: str) -> None:
        """Install requirements in it. Raises CalledProcessError."""
        if requirements:
            _uv("pip", "install", *options, "--python", self.python_executable, *sorted(requirements))


def _uv(*words: str) -> None:
    subprocess.run((find_uv_bin(), "--quiet", *words), check=True)


@contextmanager
def fresh(requirements: Collection[str]) -> Iterator[Environment]:
    """An environment with these requirements, for one build."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "releaselib" / "build"
    cache.mkdir(0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{datetime.date.today()}-", dir=cache) as scratch:
        folder = Path(scratch) / "environment"
        shutil.copytree(_kept(cache, requirements), folder, symlinks=True, copy_function=_linked)
        yield Environment(folder)


def _linked(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # not every file system can
        shutil.copy2(source, target)


def _kept(cache: Path, requirements: Collection[str]) -> Path:
    """The environment of today with these requirements, made where it is missing; those of other days go then."""
    today = datetime.date.today()
    constraints = Path(os.environ.get("UV_CONSTRAINT", os.devnull)).read_text("utf-8")
    places = [item for item in os.environ.items() if item[0].startswith(("UV_", "PIP_")) and item[0] != "UV_CONSTRAINT"]
    known = (sys.version, sys.base_prefix, constraints, *sorted(requirements), *sorted(places))
    kept = cache / f"{today}-{hashlib.sha256(repr(known).encode()).hexdigest()[:16]}"
    if kept.exists():
        return kept
    for old in cache.iterdir():
        if old.name[:10] not in (str(today), str(today - datetime.timedelta(days=1))):  # somebody may be at work in it
            shutil.rmtree(old, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"{today}-", dir=cache) as scratch:
        new = Environment(Path(scratch) / "new")
        _uv("venv", "--relocatable", "--python", sys.executable, str(new.folder))
        new.install(requirements, "--compile-bytecode")
        with suppress(OSError):  # somebody else was faster
            new.folder.rename(kept)
    return kept


def build(folder: Path, out: Path) -> None:
    """Build sdist and wheel into ``out``. Raises CalledProcessError, BuildException and BuildBackendException."""
    requirements = ProjectBuilder(folder).build_system_requires
    with fresh(requirements) as env, tempfile.TemporaryDirectory() as scratch:
        source = ProjectBuilder.from_isolated_env(env, folder)
        env.install(source.get_requires_for_build("sdist"))
        shutil.unpack_archive(source.build("sdist", out), scratch)
        (unpacked,) = Path(scratch).iterdir()
        sdist = ProjectBuilder.from_isolated_env(env, unpacked)
        env.install(sdist.get_requires_for_build("wheel"))
        sdist.build("wheel", out)


if __name__ == "__main__":
    try:
        build(Path(sys.argv[1]), Path(sys.argv[2]))
    except (subprocess.CalledProcessError, BuildException, BuildBackendException) as error:  # uv itself has told why
        sys.exit(f"\n{error}")

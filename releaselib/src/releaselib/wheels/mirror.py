"""The project's dependencies -> wheels, for the team's index.

They come from wherever this machine's pip is configured to look; what has no wheel is built here,
so that hosts need no compiler.
"""

import os
import platform
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.metadata import parse_email
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from uv import find_uv_bin

from releaselib import process
from releaselib.errors import IndexFailed

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

OWN = f"{sys.version_info.major}.{sys.version_info.minor}"
MANYLINUX = ("linux", "manylinux2014", *(f"manylinux_2_{minor}" for minor in range(17, 29)))
"""Linux hosts that are up to date (PEP 600; glibc of RHEL 8 and Debian 10), as uv takes them, too."""


@dataclass(frozen=True)
class Lock:
    """What a project says of the packages it needs.

    ``pins`` are of uv.lock, without the project itself, as constraints; ``hashes`` (file name -> sha256) those of
    the wheels that it names; ``own`` the packages that pyproject.toml gives an index of their own.
    """

    pins: str = ""
    hashes: dict[str, str] = field(default_factory=dict)
    own: list[str] = field(default_factory=list)


def locked(folder: Path) -> Lock:
    """What pyproject.toml and uv.lock in a folder say. Raises CommandFailed for a lock that cannot be read."""
    meta, lock = folder / "pyproject.toml", folder / "uv.lock"
    own = own_names(tomllib.loads(meta.read_text("utf-8"))) if meta.exists() else []
    if not lock.exists():
        return Lock(own=own)
    pins = _pins(folder)  # which refuses what is no lock
    return Lock(pins, recorded(tomllib.loads(lock.read_text("utf-8"))), own)


def _pins(folder: Path) -> str:
    options = "--frozen --no-default-groups --no-emit-project --no-hashes --no-header --no-annotate --quiet"
    argv = (find_uv_bin(), "export", *options.split(), "--project", str(folder))
    return process.run(argv, what="uv.lock cannot be read", next_step="uv lock").stdout


def own_names(pyproject: Mapping[str, Any]) -> list[str]:
    """The packages that pyproject.toml gives an index of their own (``[tool.uv.sources]``). Pure."""
    sources = pyproject.get("tool", {}).get("uv", {}).get("sources", {})
    tables = {name: [one] if isinstance(one, dict) else one for name, one in sources.items()}
    return [canonicalize_name(name) for name, some in tables.items() if any("index" in one for one in some)]


def recorded(lock: Mapping[str, Any]) -> dict[str, str]:
    """The wheels that a uv.lock names: file name -> sha256. Pure."""
    wheels = [wheel for package in lock.get("package", []) for wheel in package.get("wheels", [])]
    return {
        str(one["url"]).rpartition("/")[2]: str(one["hash"]).removeprefix("sha256:")
        for one in wheels
        if "url" in one and "hash" in one
    }


def needed(wheel: Path, extra: Sequence[str] = (), markers: Mapping[str, str] | None = None) -> list[str]:
    """What a built wheel requires (core metadata, Requires-Dist), and the ``extra`` requirements.

    An extra requirement on the project itself, like ``shop[redis]``, gives what that extra needs.
    ``markers`` are those of the hosts (PEP 508) where they differ from this machine's.
    """
    with zipfile.ZipFile(wheel) as archive:
        name = next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        meta = parse_email(archive.read(name))[0]
    wanted = [Requirement(text) for text in extra]
    own = [r for r in wanted if canonicalize_name(r.name) == canonicalize_name(meta["name"])]
    extras = ["", *sorted(e for r in own for e in r.extras)]
    needs = [Requirement(text) for text in meta.get("requires_dist", [])]
    hosts = dict(markers or {})
    chosen = [r for r in needs if not r.marker or any(r.marker.evaluate(hosts | {"extra": e}) for e in extras)]
    for requirement in chosen:
        requirement.marker = None
    return [str(r) for r in (*chosen, *(r for r in wanted if r not in own))]


def command(
    requirements: Sequence[str], out: Path, *, python: str = "", machine: str = "", constraints: Path
) -> tuple[str, ...]:
    """The command that collects wheels into ``out``; for other hosts than this machine only ready-made ones.

    pip asks its own Python whether a dependency is needed (environment markers), also for another one.
    """
    pip = (sys.executable, "-m", "pip")
    options = ("--quiet", "--disable-pip-version-check", "--constraint", str(constraints))
    other = machine and (platform.system(), platform.machine()) != ("Linux", machine)
    tags = tuple(f"--platform={one}_{machine}" for one in MANYLINUX) if other else ()
    if tags or ".".join(python.split(".")[:2]) not in ("", OWN):
        chosen = ("--python-version", python or OWN, *tags, "--only-binary", ":all:")
        return (*pip, "download", *options, *chosen, "--dest", str(out), *requirements)
    return (*pip, "wheel", *options, "--wheel-dir", str(out), *requirements)


def fetch(
    requirements: Sequence[str], out: Path, *, python: str = "", machine: str = "", constraints: str = ""
) -> list[Path]:
    """Fetch wheels of the requirements and of all they need into ``out``; their paths.

    ``python`` (like 3.12) and ``machine`` (like x86_64) are those of the hosts, without them this
    machine's. Raises IndexFailed when a package cannot be fetched.
    """
    with tempfile.TemporaryDirectory() as folder:
        lock = Path(folder) / "lock.txt"
        lock.write_text(constraints, "utf-8")
        process.run(
            command(requirements, out, python=python, machine=machine, constraints=lock),
            inherited=process.for_builds(os.environ),
            error=IndexFailed,
            what=f"index.sync: cannot fetch {', '.join(requirements)} for Python {python or OWN}",
            next_step="check the names and this machine's pip configuration: pip config list",
        )
    return sorted(out.iterdir())

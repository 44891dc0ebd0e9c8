"""One resolution for all hosts: requirements -> exact versions with hashes, from the index alone.

Hosts never resolve by themselves. uv resolves for the Python and the machine type of the hosts,
whatever this machine is.
"""

import os
import platform
import re
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from uv import find_uv_bin

from releaselib import process
from releaselib.config.app import App
from releaselib.config.tables import READ_PASSWORD, Index
from releaselib.decide.seen import AppSeen
from releaselib.errors import IndexFailed, Refused, ReleaseError
from releaselib.process import Output, Stopper


def tools(stage: App) -> tuple[str, ...]:
    """What a host needs beside the release, in a virtualenv of its own. Pure."""
    scheduled = any(one.schedule for one in stage.programs.values())
    return ("supervisor>=4.3", *["cronsim>=2.6"] * scheduled)


PINNED = re.compile(r"^([A-Za-z0-9._-]+)={2,3}([^\s=*,;]+)(?=\s|$)", re.MULTILINE)
MISSING = re.compile(r"(?:Because |and )([A-Za-z0-9._-]+) was not found in the package registry")
CLOSED = re.compile(r"\b(401 Unauthorized|403 Forbidden)")
UNFIT = re.compile(r"(?:no versions? of|only the following versions of|only) ([A-Za-z0-9._-]+)\S* (?:is|are|and)")
WHEELLESS = re.compile(r"\b([A-Za-z0-9._-]+)==\S+ has no wheels")


@dataclass(frozen=True)
class Pinned:
    """What hosts install: the pins of the release and those of the tools, as requirements files."""

    release: str
    tools: str


@dataclass(frozen=True)
class Target:
    """What the hosts are: their Python, like 3.12.4, and machine type, like x86_64."""

    python: str
    machine: str

    @classmethod
    def of(cls, seen: AppSeen) -> "Target":
        """What wheels must be for on a host that was seen."""
        return cls(".".join(re.findall(r"\d+", seen.python)[:3]), seen.machine)

    @property
    def markers(self) -> dict[str, str]:
        """What environment markers (PEP 508) are on such a host, where it may differ from this machine."""
        return {
            "python_version": ".".join(self.python.split(".")[:2]),
            "python_full_version": self.python if self.python.count(".") == 2 else f"{self.python}.0",
            "platform_machine": self.machine,
            "platform_system": "Linux",
            "sys_platform": "linux",
            "os_name": "posix",
        }


def command(requirements: Path, index: Index, target: Target, *, constraints: Path, links: Path) -> tuple[str, ...]:
    """The command that resolves a file of requirements. Pure but for the name of this machine."""
    here = platform.system() == "Linux" and platform.machine() == target.machine
    place = () if here else ("--python-platform", f"{target.machine}-unknown-linux-gnu")
    options = "--no-config --no-header --no-annotate --quiet --generate-hashes --only-binary :all:"
    where = ("--default-index", index.url, "--find-links", str(links), "--constraints", str(constraints))
    # With an interpreter named, which is asked for nothing but itself, uv does not start all that it finds here.
    kind = ("--python", sys.executable, "--python-version", target.python, *place)
    return (find_uv_bin(), "pip", "compile", *options.split(), *where, *kind, str(requirements))


def resolve(
    requirements: Sequence[str],
    index: Index,
    target: Target,
    *,
    constraints: str = "",
    links: Path | None = None,
    stopper: Stopper | None = None,
) -> str:
    """Pins with hashes, in the form of a requirements file (``name===1.0 --hash=sha256:...``).

    ``constraints`` are the lines of the project's lock; ``links`` is a folder with wheels that are
    not on the index yet. Raises Refused that names what the index lacks, IndexFailed when it is silent.
    """
    done = _ask(requirements, index, target, constraints, links, stopper)
    if done.code:
        raise _refusal(done, index)
    return exact(done.stdout)


def exact(pins: str) -> str:
    """The same pins, each of one version alone: ``==1.0`` would take 1.0+fixbug, too (PEP 440). Pure."""
    return PINNED.sub(r"\1===\2", pins)


def lacking(requirements: Sequence[str], index: Index, target: Target, constraints: str = "") -> list[str]:
    """Packages of which the index has none that will do, as far as a resolution came."""
    done = _ask(requirements, index, target, constraints)
    return _named(done, MISSING, UNFIT, WHEELLESS) if done.code else []


def _named(output: Output, *patterns: re.Pattern[str]) -> list[str]:
    """The packages of which uv says one of these; with its marker one reads like ``name{marker}``."""
    words = re.sub(r"\{[^}]*\}", "", " ".join(output.stderr.split()))
    return sorted({name for pattern in patterns for name in pattern.findall(words)})


def _ask(
    requirements: Sequence[str],
    index: Index,
    target: Target,
    constraints: str,
    links: Path | None = None,
    stopper: Stopper | None = None,
) -> Output:
    with tempfile.TemporaryDirectory() as folder:
        wanted, lock, wheels = (Path(folder) / "in.txt", Path(folder) / "lock.txt", Path(folder) / "wheels")
        wanted.write_text(exact("\n".join(requirements)) + "\n", "utf-8")
        lock.write_text(exact(constraints), "utf-8")
        wheels.mkdir()
        netrc = Path(folder) / "netrc"
        netrc.touch(0o600)
        netrc.write_text(index.netrc, "utf-8")
        argv = command(wanted, index, target, constraints=lock, links=links or wheels)
        env = process.isolated(os.environ, "UV_", "PIP_") | {"UV_PYTHON_DOWNLOADS": "never", "NETRC": str(netrc)}
        return process.run(argv, inherited=env, ok=range(256), stopper=stopper)


def _refusal(output: Output, index: Index) -> ReleaseError:
    words = " ".join(output.stderr.split())
    missing, unfit = _named(output, MISSING), _named(output, UNFIT, WHEELLESS)
    what = "the dependencies cannot be resolved"
    if "Failed to fetch" in words:
        return IndexFailed(
            f"resolve: the index {index.url} does not answer", cause=output.last_lines, next_step=f"curl {index.url}"
        )
    if CLOSED.search(words):
        user = index.read_username
        how = f"refuses the password of {user}" if user else "lets nobody read without a password"
        return IndexFailed(
            f"resolve: the index {index.url} {how}",
            cause=output.last_lines,
            next_step=f"set [index] read_username, and export {READ_PASSWORD}=...",
        )
    if missing:
        what = f"the index lacks {', '.join(missing)}"
    elif unfit:
        what = f"the index has no version of {', '.join(unfit)} that will do"
    return Refused(
        f"resolve: {what} ({index.url})",
        cause=output.last_lines,
        next_step="fab index.sync" + (f" --packages {','.join(missing)}" if missing else ""),
    )


def pins(text: str) -> dict[str, str]:
    """Name -> version of a resolution. Pure."""
    return dict(PINNED.findall(text))

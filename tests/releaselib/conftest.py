"""Fixtures that give a test of releaselib real parts: a repository, an index, a machine, an nginx."""

from __future__ import annotations

import os
import shutil
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from uv import find_uv_bin

import real
from releaselib import process, progress
from releaselib.config.app import App
from releaselib.config.tables import Index, OwnIndex
from releaselib.hosts.fleet import Fleet
from releaselib.index import pypiserver
from releaselib.wheels.resolve import tools


@pytest.fixture(autouse=True)
def _loud_again() -> Iterator[None]:
    """A test that silences progress does so for itself only."""
    yield
    progress.set_quiet(False)


@pytest.fixture
def identity(monkeypatch: pytest.MonkeyPatch) -> None:
    """git with a name, and without the settings of whoever runs the tests."""
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "Maria")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "maria@example.com")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


@pytest.fixture
def repository(tmp_path: Path, identity: None) -> real.Repository:
    """A git repository with one commit on main."""
    made = real.Repository(tmp_path / "repository")
    made.commit({"README.md": "A shop.\n"})
    return made


@pytest.fixture
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose name is short enough for a unix socket in it, and has a space."""
    folder = tmp_path_factory.mktemp("x") / "a b"
    folder.mkdir()
    return folder


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    """An index of one's own, served by a real pypiserver, with a few small wheels and uv on it."""
    folder = tmp_path_factory.mktemp("shelf")
    packages = folder / "packages"
    packages.mkdir()
    real.wheel(packages, "shelf-lib", "1.0")
    real.wheel(packages, "shelf-lib", "1.1")
    real.wheel(packages, "shelf-app", "1.0", requires=["shelf-lib>=1"])
    old = real.wheel(packages, "shelf-abi", "1.0")
    old.rename(packages / "shelf_abi-1.0-cp38-cp38-manylinux2014_x86_64.whl")
    real.wheel(packages, "shelf-broken", "1.0", requires=["nowhere-to-be-found>=2", "lost-too"])
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(packages), *tools(App()))
    process.run(pip)
    uv = packages / f"uv-0.0.1-py3-none-manylinux_2_17_{os.uname().machine}.whl"
    with zipfile.ZipFile(uv, "w") as archive:
        archive.write(find_uv_bin(), "uv-0.0.1.data/scripts/uv")
    server = pypiserver.Server(folder, "127.0.0.1", real.free_port())
    pypiserver.ensure(server, "releaser")
    yield OwnIndex.at(server.port, str(server.folder))
    real.end(folder / "pid")


@pytest.fixture
def nginx_program() -> str:
    """nginx itself; where there is none the test is skipped, with CI set it fails."""
    found = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin")
    if not found:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("nginx is not installed")
    return str(found)


@pytest.fixture
def here(short: Path) -> Iterator[Fleet]:
    """The hosts of a stage that is this machine."""
    fleet = Fleet(real.stage(short, port_base=real.free_port(20), listen=str(real.free_port())))
    yield fleet
    fleet.close()

"""A real project that no one here wrote: httpbin gets the release files and is released."""

from __future__ import annotations

import hashlib
import json
import sys
import tarfile
from pathlib import Path

import pytest

from rig.visitors import ask
from rig.world import ROOT, Project, World

pytestmark = pytest.mark.hosts


def unpacked(team: World, folder: Path) -> Path:
    """The sdist of httpbin from the package index, unpacked and put under git."""
    team.run(
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--no-binary",
        ":all:",
        "--dest",
        str(folder),
        "httpbin==0.10.4",
        cwd=folder,
    )
    with tarfile.open(next(folder.glob("httpbin-*.tar.gz"))) as archive:
        archive.extractall(folder, filter="data")
    made = folder / "httpbin-0.10.4"
    made.rename(folder / "httpbin")
    for words in (("init", "--quiet", "-b", "main"), ("add", "-A"), ("commit", "--quiet", "-m", "httpbin")):
        team.run("git", *words, cwd=folder / "httpbin")
    return folder / "httpbin"


def files(folder: Path) -> dict[str, str]:
    """Every file outside .git and its sha256."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and ".git" not in path.parts
    }


def test_httpbin_is_given_the_release_files_and_released_again_and_rolled_back(team: World, tmp_path: Path) -> None:
    folder = unpacked(team, tmp_path)
    before = files(folder)
    team.run(
        "cookiecutter",
        "--no-input",
        "-f",
        "-s",
        "-o",
        "..",
        str(ROOT),
        "project_slug=httpbin",
        "flavour=init",
        "forge=none",
        "__health=/get",
        "__port_base=8800",
        "__requires=gunicorn>=23",
        "command={venv_dir}/bin/gunicorn --bind {bind}:{port} httpbin:app",
        cwd=folder,
    )
    assert {name: digest for name, digest in files(folder).items() if name in before} == before
    app, proxy = team.fleet.add_many(2, "app"), team.fleet.add_many(1, "proxy")
    project = Project(team, folder)
    project.configure(team.stage(app, proxy))
    project.fab("index.sync", "--stage", "test")

    first = project.fab("release", "--stage", "test", "--json")
    assert "the version is static, 0.10.4: taken from pyproject.toml" in first.stderr
    assert ask(proxy[0].address, "/get") == "-"
    project.commit("The release files, again")
    again = project.fab("release", "--stage", "test", "--json", check=False)
    assert again.returncode == 3
    assert "version 0.10.4 has a tag already" in again.stderr
    assert "raise the version in pyproject.toml" in again.stderr

    project.git("reset", "--quiet", "--hard", "0.10.4")
    again = project.fab("release", "--stage", "test", "--json")
    assert "0.10.4 is published already, built from this commit" in again.stderr
    back = project.fab("rollback", "--stage", "test", "--json")
    reports = [json.loads(done.stdout) for done in (first, again, back)]
    assert [report["slot"] for report in reports] == ["a", "b", "a"]
    assert [report["failed"] for report in reports] == [0, 0, 0]
    assert ask(proxy[0].address, "/get") == "-"

"""Flavour init in real projects that no one here wrote: a Flask, a Django and one that is neither."""

from __future__ import annotations

import hashlib
import sys
import tarfile
from pathlib import Path

import pytest

from template.baking import FAB, Oven, Project, commit_all, run

PROJECTS = {"flask": ("httpbin", "0.10.2"), "django": ("django-debug-toolbar", "6.0.0"), "neither": ("pluggy", "1.6.0")}


def digests(folder: Path) -> dict[str, str]:
    """Every file outside .git and its sha256."""
    files = (path for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts)
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def unpacked(name: str, version: str, folder: Path, oven: Oven) -> Project:
    """The sdist out of the package index, under git."""
    pip = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:")
    run(*pip, "--dest", folder, f"{name}=={version}", cwd=folder, env=oven.env)
    (sdist,) = folder.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (made,) = (path for path in folder.iterdir() if path.is_dir())
    run("git", "init", "--quiet", "-b", "main", cwd=made, env=oven.env)
    commit_all(made, f"{name} {version}")
    return Project(made, oven.env)


@pytest.mark.parametrize("name", PROJECTS)
def test_its_files_stay_as_they_were_and_it_can_be_built(quick: Oven, tmp_path: Path, name: str) -> None:
    package, version = PROJECTS[name]
    (tmp_path / "work").mkdir()
    project = unpacked(package, version, tmp_path / "work", quick)
    before = digests(project.folder)
    oven = quick.with_(options=("-f", "-s", "-o", ".."))
    done = oven.try_bake(project.folder, project_slug=project.folder.name, flavour="init", forge="none")
    assert done.code == 0, done.output
    after = digests(project.folder)
    assert {file: after[file] for file in before} == before
    templates = {f"release.d/{name}.conf.j2" for name in ("supervisord", "nginx")}
    added = {"fabfile.py", "release.toml", ".cruft.json"} | templates
    assert set(after) - set(before) == added | ({".gitignore"} - set(before))
    commit_all(project.folder, "Release files")
    built = project.run(FAB, "build", "--version", version, "--out", str(tmp_path / "dist"), check=False)
    assert built.code == 0, built.output
    assert len(list((tmp_path / "dist").glob("*.whl"))) == 1

"""Stage `local` works at once in every project: nothing is configured, and nothing is left running."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

import real
from template.baking import FAB, Oven, Project, commit_all
from template.conftest import ALL, ANSWERS, KITCHENS

APP = """
import os
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    return [b'{"slot": "%s"}' % os.environ["RELEASE_SLOT"].encode()]
"""
PYPROJECT = '[project]\nname = "older"\nversion = "1.0"\n[build-system]\nrequires = ["setuptools>=80"]\n'


def fab(project: Project, *words: str) -> dict[str, Any]:
    """The report of an action."""
    return dict(json.loads(project.run(FAB, *words, "--json", "--quiet").output))


@pytest.fixture
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose name is short enough for a unix socket in it."""
    return tmp_path_factory.mktemp("x")


@pytest.fixture
def ended() -> Iterator[list[Project]]:
    """Projects of which nothing runs at the end of the test, however it went."""
    projects: list[Project] = []
    yield projects
    for project in projects:
        project.run(FAB, "slot.remove", "--all")
        assert not [line for line in real.command_lines() if f"{project.folder}/" in line]
        shutil.rmtree(project.folder)


def seen(report: dict[str, Any], key: str) -> str:
    """What a visitor is answered."""
    return str(requests.get(f"{report['url']}/healthz", timeout=10).json()[key])


@pytest.mark.parametrize("flavour", KITCHENS if ALL else ["fastapi", "worker"])  # the others: tests/fleet
def test_a_project_is_released_again_and_rolled_back_on_its_own_machine(
    quick: Oven, short: Path, ended: list[Project], flavour: str
) -> None:
    port = str(real.free_port(100))
    project = quick.bake(short, flavour=flavour, port_base=port, **{**ANSWERS, **KITCHENS[flavour], "forge": "none"})
    ended.append(project)
    first = fab(project, "release")
    readme = project.folder / "README.md"
    readme.write_text(readme.read_text() + "\nChanged.\n")
    commit_all(project.folder, "Change something")
    second = fab(project, "release")
    assert [first["slot"], second["slot"]] == ["a", "b"]
    if flavour != "worker":
        assert (seen(second, "version"), seen(second, "slot")) == (second["version"], "b")
    back = fab(project, "rollback")
    assert (back["slot"], back["version"]) == ("a", first["version"])
    if flavour != "worker":
        assert (seen(back, "version"), seen(back, "slot")) == (first["version"], "a")
    assert first["version"] in project.run(FAB, "status").output
    assert project.git("status", "--porcelain") == ""


def test_a_path_that_is_too_long_for_supervisord_is_refused_before_anything_is_built(
    quick: Oven, short: Path, ended: list[Project]
) -> None:
    project = quick.bake(short / ("long" * 20), flavour="flask", forge="none")
    ended.append(project)
    done = project.run(FAB, "release", check=False)
    assert done.code == 2
    assert "can make no socket in so long a path" in done.output
    assert "set a prefix of 71 bytes or less" in done.output
    assert project.git("tag") == ""


def test_a_project_that_was_there_before_is_released_on_its_own_machine(
    quick: Oven, short: Path, ended: list[Project]
) -> None:
    project = Project(short / "older", quick.env)
    (project.folder / "older").mkdir(parents=True)
    (project.folder / "older/__init__.py").write_text(APP)
    (project.folder / "pyproject.toml").write_text(PYPROJECT)
    (project.folder / ".gitignore").write_text("*.pyc\n")
    project.git("init", "--quiet", "-b", "main")
    commit_all(project.folder, "Old work")
    options = ("-f", "-s", "-o", "..")
    done = quick.with_(options=options).try_bake(
        project.folder, project_slug="older", flavour="init", port_base=str(real.free_port(100))
    )
    assert done.code == 0, done.output
    commit_all(project.folder, "Add the release files")
    ended.append(project)
    for slot in "ab":
        report = fab(project, "release")
        assert seen(report, "slot") == slot
    assert project.git("status", "--porcelain") == "", "what the stage keeps here is none of git's business"

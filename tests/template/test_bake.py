"""A project of each flavour is ready as it is: committed, tested, linted, typed and buildable."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

from template.baking import Project

Baked = Callable[[str], Project]


def test_the_first_commit_holds_everything(baked: Baked, kind: str) -> None:
    project = baked(kind)
    assert project.git("status", "--porcelain") == ""
    assert project.git("symbolic-ref", "--short", "HEAD") == "main"
    assert project.git("rev-list", "--count", "HEAD") == "1"
    assert set(project.git("ls-files").splitlines()) == project.files()


def test_no_jinja_and_no_empty_folder_is_left(baked: Baked, kind: str) -> None:
    project = baked(kind)
    rendered_later = {"release.d/supervisord.conf.j2", "release.d/nginx.conf.j2", ".cruft.json", "uv.lock"}
    rendered_later |= {"src/my_shop/templates/home.html"}
    workflows = {name for name in project.files() if name.startswith(".github/")}
    for name in project.files() - rendered_later - workflows:
        assert "{{" not in project.text(name), name
        assert "{%" not in project.text(name), name
    for folder in (path for path in project.folder.rglob("*") if path.is_dir()):
        assert ".git" in folder.parts or any(folder.iterdir()), folder


def test_files_end_with_one_line_break_and_no_spaces(baked: Baked, kind: str) -> None:
    project = baked(kind)
    for name in project.files():
        text = project.text(name)
        assert not text or (text.endswith("\n") and not text.endswith("\n\n")), name
        assert not re.search(r"[ \t]+$", text, re.MULTILINE), name
        assert not text.startswith("\n"), name
        assert "\n\n\n\n" not in text, name


def test_its_own_tests_pass(synced: Baked, kind: str) -> None:
    project = synced(kind)
    assert " passed" in project.run(project.tool("pytest"), "-q").output


def test_ruff_has_nothing_to_say(synced: Baked, kind: str) -> None:
    project = synced(kind)
    project.run(project.tool("ruff"), "check")
    project.run(project.tool("ruff"), "format", "--check")


def test_mypy_has_nothing_to_say(synced: Baked, place: Path, kind: str) -> None:
    project = synced(kind)
    project.run(project.tool("mypy"), MYPY_CACHE_DIR=str(place / "mypy-cache"))


def test_the_build_has_the_version_of_the_commit(built: Baked, kind: str) -> None:
    project = built(kind)
    commit = project.git("rev-parse", "HEAD")
    files = {path.name for path in (project.folder / "dist").iterdir()}
    assert len(files) == 2
    for name in files:
        found = re.fullmatch(r"my_shop-0\.1\.dev1\+g([0-9a-f]+)(-py3-none-any\.whl|\.tar\.gz)", name)
        assert found, name
        assert commit.startswith(found[1])
    assert project.git("status", "--porcelain") == ""


def test_nothing_of_another_forge_is_there(baked: Baked, kind: str) -> None:
    files = baked(kind).files()
    forge = json.loads(baked(kind).text(".cruft.json"))["context"]["cookiecutter"]["forge"]
    on_github = {name for name in files if name.startswith(".github/")}
    on_gitlab = files & {".gitlab-ci.yml", "renovate.json"}
    assert bool(on_github) == (forge == "github")
    assert bool(on_gitlab) == (forge == "gitlab")

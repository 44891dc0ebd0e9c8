"""Flavour init adds the release files to a project that exists, and touches nothing else of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from template.baking import Done, Oven, commit_all, run

RELEASE_FILES = {"fabfile.py", "release.toml", "release.d/supervisord.conf.j2", "release.d/nginx.conf.j2"}
OLD = {
    "setup.py": "from setuptools import setup\nsetup(name='old')\n",
    "README.md": "not ours\r\n",
    ".gitignore": "*.pyc\n",
    "release.d/nginx.conf.j2": "# my own\n",
    "src/old/__init__.py": "",
    "tests/test_old.py": "def test_old(): pass\n",
    "docs/index.rst": "Old\n===\n",
    "data.bin": "\x00\x01",
}


@pytest.fixture
def old(tmp_path: Path, quick: Oven) -> Path:
    """An older project under git."""
    folder = tmp_path / "Old_Project-1.0"
    for name, text in OLD.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text.encode())
    run("git", "init", "--quiet", "-b", "trunk", cwd=folder, env=quick.env)
    commit_all(folder, "Old work")
    return folder


def add_release_files(oven: Oven, folder: Path, **answers: str) -> Done:
    """The line of the README, in the project's folder."""
    options = ("-f", "-s", "-o", "..")
    given = {"project_slug": folder.name, "flavour": "init"} | answers
    return oven.with_(options=options).try_bake(folder, **given)


def status(folder: Path, oven: Oven) -> set[str]:
    """What git sees that is not committed."""
    command = ("git", "status", "--porcelain", "--untracked-files=all")
    return set(run(*command, cwd=folder, env=oven.env).output.splitlines())


def test_every_existing_file_is_left_as_it_was(quick: Oven, old: Path) -> None:
    done = add_release_files(quick, old)
    assert done.code == 0, done.output
    for name, text in OLD.items():
        assert (old / name).read_bytes() == text.encode(), name
    new = RELEASE_FILES - set(OLD) | {".cruft.json"}
    assert status(old, quick) == {f"?? {name}" for name in new}


def test_nothing_is_committed_and_the_command_for_it_is_said(quick: Oven, old: Path) -> None:
    done = add_release_files(quick, old)
    assert run("git", "rev-list", "--count", "HEAD", cwd=old, env=quick.env).output == "1\n"
    (line,) = (line for line in done.output.splitlines() if "git add" in line)
    assert all(name in line for name in ("fabfile.py", "release.toml", "release.d/supervisord.conf.j2"))


LACKS = "A release needs pyproject.toml with [project]"


def test_what_a_release_will_need_besides_is_said(quick: Oven, old: Path) -> None:
    assert LACKS in add_release_files(quick, old).output
    (old / "pyproject.toml").write_text('[build-system]\nrequires = []\n\n[project]\nname = "old"\nversion = "1"\n')
    commit_all(old, "All of it")
    assert LACKS not in add_release_files(quick, old).output


def test_no_empty_folder_is_left(quick: Oven, old: Path) -> None:
    before = {path for path in old.rglob("*") if path.is_dir() and ".git" not in path.parts}
    add_release_files(quick, old)
    after = {path for path in old.rglob("*") if path.is_dir() and ".git" not in path.parts}
    assert after == before


def test_a_second_time_changes_nothing(quick: Oven, old: Path) -> None:
    add_release_files(quick, old)
    commit_all(old, "Release files")
    done = add_release_files(quick, old, health="/other")
    assert done.code == 0, done.output
    assert status(old, quick) == set()


@pytest.mark.parametrize("name", ["README.md", "new.txt"])
def test_a_tree_with_changes_is_refused(quick: Oven, old: Path, name: str) -> None:
    (old / name).write_text("changed\n")
    before = status(old, quick)
    done = add_release_files(quick, old)
    assert done.code == 1
    assert "has changes that are not committed" in done.output
    assert name in done.output
    assert status(old, quick) == before


def test_the_answers_are_in_the_files(quick: Oven, old: Path) -> None:
    add_release_files(quick, old, health="/get", requires="gunicorn>=23,<99, gevent")
    text = (old / "release.toml").read_text()
    assert 'health = "/get"' in text
    assert "health_version = false" in text
    assert 'requires = ["gunicorn>=23,<99", "gevent"]' in text


def test_an_older_project_may_be_a_folder_of_a_larger_repository(quick: Oven, tmp_path: Path) -> None:
    folder = tmp_path / "services" / "billing"
    folder.mkdir(parents=True)
    (folder / "app.py").write_text("app = None\n")
    run("git", "init", "--quiet", cwd=tmp_path, env=quick.env)
    commit_all(tmp_path, "All services")
    done = add_release_files(quick, folder)
    assert done.code == 0, done.output
    assert not (folder / ".git").exists()
    assert (folder / "release.toml").exists()


def test_a_new_folder_becomes_a_repository_of_release_files(quick: Oven, tmp_path: Path) -> None:
    project = quick.bake(tmp_path, flavour="init", project_name="New Shop")
    assert project.files() == RELEASE_FILES | {".cruft.json", ".gitignore"}
    assert project.git("status", "--porcelain") == ""


def test_a_folder_without_git_is_not_committed_for_its_owner(quick: Oven, tmp_path: Path) -> None:
    folder = tmp_path / "old"
    folder.mkdir()
    (folder / "secrets.txt").write_text("mine\n")
    done = add_release_files(quick, folder)
    assert done.code == 0, done.output
    assert not (folder / ".git").exists()
    assert "so next: git init -b main && git add --all" in done.output


def test_a_fabfile_that_was_there_is_left_and_spoken_of(quick: Oven, old: Path) -> None:
    (old / "fabfile.py").write_text("# mine\n")
    commit_all(old, "Own tasks")
    done = add_release_files(quick, old)
    assert (old / "fabfile.py").read_text() == "# mine\n"
    assert "fabfile.py was here before" in done.output

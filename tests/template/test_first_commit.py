"""Whatever is missing on the machine, the project stays and becomes a repository with one commit."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from template.baking import Oven, Project, environment, run, uv

UNSHARE = ("unshare", "--net")


def can_cut_the_network() -> bool:
    """Whether a process without a network can be started here."""
    done = subprocess.run([*UNSHARE, "true"], capture_output=True, check=False)
    return done.returncode == 0


def files_of(project: Project) -> dict[str, str]:
    """Every file but the lock and what names the template."""
    names = project.files() - {"uv.lock", ".cruft.json"}
    return {name: project.text(name) for name in names}


def commit_of(project: Project) -> str:
    """Author and subject of the only commit."""
    assert project.git("rev-list", "--count", "HEAD") == "1"
    assert project.git("status", "--porcelain") == ""
    return project.git("log", "-1", "--format=%an <%ae>|%cn <%ce>|%s")


def with_wrapped_git(oven: Oven, folder: Path, script: str, *tools: str) -> Oven:
    """The oven with another git on PATH."""
    env = environment(folder / "home", tools=tools)
    program = folder / "home" / "bin" / "git"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return oven.with_(env=env)


def test_without_a_git_user_the_author_of_the_answers_commits(quick: Oven, tmp_path: Path) -> None:
    project = quick.bake(tmp_path, author="Zoë <Shop>", email="zoe@example.com")
    who = "Zoë Shop <zoe@example.com>"
    assert commit_of(project).startswith(f"{who}|{who}|First commit")
    assert not (Path(quick.env["HOME"]) / ".gitconfig").exists()


def test_without_an_address_it_is_one_that_goes_nowhere(quick: Oven, tmp_path: Path) -> None:
    project = quick.bake(tmp_path, author="Zoë", project_name="My Shop")
    assert commit_of(project).startswith("Zoë <my-shop@localhost>|")


def test_the_git_user_of_the_machine_wins(quick: Oven, tmp_path: Path) -> None:
    env = environment(tmp_path / "home")
    (tmp_path / "home" / ".gitconfig").write_text(
        "[user]\nname = Ann Dev\nemail = ann@example.com\n[commit]\ngpgSign = true\n"
        "[core]\nhooksPath = /nowhere\n[init]\ndefaultBranch = trunk\n"
    )
    project = quick.with_(env=env).bake(tmp_path / "here", author="The team")
    assert commit_of(project).startswith("Ann Dev <ann@example.com>|Ann Dev <ann@example.com>|")
    assert project.git("symbolic-ref", "--short", "HEAD") == "main"


def test_the_git_user_is_proposed_as_author(quick: Oven, tmp_path: Path) -> None:
    env = environment(tmp_path / "home")
    (tmp_path / "home" / ".gitconfig").write_text("[user]\nname = Ann\nemail = a@example.com\n")
    project = quick.with_(env=env).bake(tmp_path / "here")
    assert 'authors = [{ name = "Ann", email = "a@example.com" }]' in project.text("pyproject.toml")


def test_the_commit_is_made_by_gitpython_that_uv_fetched(oven: Oven, tmp_path: Path) -> None:
    git, log = shutil.which("git"), tmp_path / "git.log"
    wrapped = with_wrapped_git(oven, tmp_path, f'echo "$@" >> {log}\nexec {git} "$@"', uv())
    project = wrapped.bake(tmp_path / "here")
    assert commit_of(project)
    calls = log.read_text().splitlines()
    assert not [call for call in calls if call.startswith("commit")]
    assert [call for call in calls if call.startswith("add")]


def test_without_uv_gitpython_is_fetched_by_pip(oven: Oven, place: Path, tmp_path: Path) -> None:
    plain = oven.with_(env=environment(place / "no-uv"))
    project = plain.bake(tmp_path)
    assert commit_of(project)
    assert "uv is not installed" in project.said
    assert "later: uv lock && git add uv.lock" in project.said


@pytest.mark.skipif(not can_cut_the_network(), reason="cannot cut the network (needs unshare --net)")
def test_without_a_network_it_is_the_same_project(quick: Oven, oven: Oven, tmp_path: Path) -> None:
    command = [*UNSHARE, str(oven.cookiecutter), oven.template, "--no-input"]
    folder = tmp_path / "here"
    folder.mkdir()
    env = oven.env | {"UV_CACHE_DIR": str(tmp_path / "empty-cache")}
    done = run(*command, cwd=folder, env=env)
    project = Project(folder / "my-service", env, done.output)
    assert commit_of(project)
    assert "later: uv lock && git add uv.lock" in done.output
    assert files_of(project) == files_of(quick.bake(tmp_path / "online"))


def test_without_git_the_project_is_complete_and_the_way_on_is_said(oven: Oven, tmp_path: Path) -> None:
    env = oven.env | {"PATH": str(tmp_path / "nothing")}
    done = oven.with_(env=env).try_bake(tmp_path / "here")
    assert done.code == 0
    assert "git is not installed" in done.output
    assert "git init -b main && git add --all && git commit -m" in done.output
    assert (tmp_path / "here" / "my-service" / "pyproject.toml").exists()


@pytest.mark.parametrize("script", ["exit 1", "echo 'fatal: no space left' >&2; exit 128", "kill -9 $$"])
def test_a_git_that_fails_costs_the_commit_only(quick: Oven, tmp_path: Path, script: str) -> None:
    done = with_wrapped_git(quick, tmp_path, script).try_bake(tmp_path / "here")
    assert done.code == 0, done.output
    assert "There is no first commit yet" in done.output
    assert "later: git init -b main" in done.output
    assert (tmp_path / "here" / "my-service" / "pyproject.toml").exists()


def test_a_project_inside_another_repository_has_its_own(quick: Oven, tmp_path: Path) -> None:
    run("git", "init", "--quiet", cwd=tmp_path, env=quick.env)
    project = quick.bake(tmp_path / "here")
    assert commit_of(project)
    assert (project.folder / ".git").is_dir()


def test_no_rendered_hook_is_left_behind(quick: Oven, tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    quick.with_(env=quick.env | {"TMPDIR": str(tmp_path / "tmp")}).bake(tmp_path / "here")
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_dead_forge_leaves_a_complete_project_and_the_token_nowhere(place: Path, tmp_path: Path) -> None:
    token = "glpat-Sesame-0123456789"
    env = environment(tmp_path / "home") | {"GITLAB_TOKEN": token}
    oven = Oven(Path(sys.executable).with_name("cookiecutter"), env)
    project = oven.bake(tmp_path / "here", forge_url="http://127.0.0.1:9", namespace="shops")
    assert commit_of(project)
    assert project.said.rstrip().endswith("fab repo.create")
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or token.encode() not in path.read_bytes(), path
    assert token not in project.said


@pytest.mark.parametrize(
    ("answers", "last"),
    [
        ({"forge": "gitlab"}, "on https://gitlab.com and push to it: fab repo.create"),
        ({"forge": "github", "forge_url": "https://git.example.com"}, "on https://git.example.com and"),
        ({"forge": "none"}, "Next: cd my-service, read README.md, fab release"),
        ({"create_repository": "no"}, "Next: cd my-service, read README.md, fab release"),
    ],
)
def test_without_a_token_the_last_line_says_what_is_next(
    quick: Oven, tmp_path: Path, answers: dict[str, str], last: str
) -> None:
    assert last in quick.bake(tmp_path, **answers).said.splitlines()[-1]


def test_the_questions_are_asked_in_words(quick: Oven, tmp_path: Path) -> None:
    done = subprocess.run(
        [quick.cookiecutter, quick.template],
        cwd=tmp_path,
        env=quick.env,
        text=True,
        input="\n" * 30,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    asked = " ".join(done.stdout.split())
    for question in ("What is the project called, in words", "What kind of project", "a Tornado app"):
        assert question in asked
    assert (tmp_path / "my-service" / ".git").is_dir()
    assert json.loads((tmp_path / "my-service" / ".cruft.json").read_text())["commit"]

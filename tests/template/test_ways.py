"""However the template and cookiecutter come to a machine, the same project is made of them."""

from __future__ import annotations

import runpy
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from template.baking import CRUFT, FAB, ROOT, Oven, Project, copy_of_template, environment, make_virtualenv, run, uv
from template.conftest import ALL

OWN = {".cruft.json", "uv.lock"}


@pytest.fixture(scope="module")
def template(place: Path) -> Path:
    """The template in a git repository of its own, with the tag v1."""
    return copy_of_template(place / "essay-template.git")  # cookiecutter knows a git URL by its end


@pytest.fixture(scope="module")
def expected(place: Path, quick: Oven, template: Path) -> dict[str, str]:
    """What must come out every time."""
    return contents(quick.with_(template=str(template)).bake(place / "expected"))


def contents(project: Project) -> dict[str, str]:
    """Every file of a project but its lock and where it came from."""
    return {name: project.text(name) for name in project.files() - OWN}


def zipped(template: Path, folder: Path) -> str:
    """The template as a zip file without history, as a forge offers it."""
    folder.mkdir()
    run(
        "git",
        "archive",
        "--prefix",
        "essay-template/",
        "--output",
        folder / "template.zip",
        "HEAD",
        cwd=template,
        env=environment(folder),
    )
    return str(folder / "template.zip")


@pytest.mark.parametrize(
    ("way", "has_origin"),
    [
        (lambda template, _folder: f"../{template.name}", True),
        (lambda template, _folder: template.as_uri(), True),
        (zipped, False),
    ],
    ids=["relative path", "git URL", "zip"],
)
def test_a_template_is_taken_from(
    place: Path,
    quick: Oven,
    template: Path,
    expected: dict[str, str],
    way: Callable[[Path, Path], str],
    has_origin: bool,
    tmp_path: Path,
) -> None:
    given = quick.with_(template=way(template, tmp_path / "x"), env=environment(tmp_path / "home"))
    project = given.bake(place / tmp_path.name)
    assert contents(project) == expected
    assert project.git("status", "--porcelain") == ""
    assert (".cruft.json" in project.files()) == has_origin


def test_a_tag_is_taken_when_it_is_asked_for(
    quick: Oven, template: Path, expected: dict[str, str], tmp_path: Path
) -> None:
    copy = tmp_path / "template.git"
    shutil.copytree(template, copy)
    change(copy, "Another text.")
    at_tag = quick.with_(template=copy.as_uri(), options=("--checkout", "v1"))
    assert contents(at_tag.bake(tmp_path / "here")) == expected


def test_a_password_in_the_address_of_the_template_is_not_kept() -> None:
    without_password = runpy.run_path(str(ROOT / "hooks" / "finish.py"))["without_password"]
    assert without_password("https://me:secret@example.com/x.git") == "https://example.com/x.git"
    assert without_password("https://example.com/x.git") == "https://example.com/x.git"
    assert without_password("git@example.com:x.git") == "git@example.com:x.git"
    assert without_password("ssh://git@example.com/x.git") == "ssh://git@example.com/x.git"


def change(template: Path, text: str) -> None:
    """Let the template move on: another sentence in the README, and a new file."""
    tree = template / "{{cookiecutter.project_slug}}"
    (readme,) = tree.glob("*README.md*")
    readme.write_text(readme.read_text().replace("## Release it\n", f"{text}\n\n## Release it\n"))
    (tree / "NEWS.md").write_text("# News of {{ cookiecutter.project_slug }}\n")
    add_and_commit(template)


def add_and_commit(folder: Path) -> None:
    """Commit all of a repository."""
    env = environment(folder.with_name(f"{folder.name}-home"))
    who = ("-c", "user.name=A Tester", "-c", "user.email=tester@example.com")
    run("git", "add", "--all", cwd=folder, env=env)
    run("git", *who, "commit", "--quiet", "--message", "Move on", cwd=folder, env=env)


@pytest.fixture
def moving(template: Path, tmp_path: Path) -> Path:
    """A template that will move on."""
    return Path(shutil.copytree(template, tmp_path / "template.git"))


@pytest.mark.parametrize(
    ("flavour", "update"),
    [("tornado", (FAB, "template.update")), ("init", (CRUFT, "update", "--skip-apply-ask"))],
    ids=["fab", "cruft"],
)
def test_a_project_follows_its_template_and_keeps_its_own_changes(
    quick: Oven, moving: Path, tmp_path: Path, flavour: str, update: tuple[str | Path, ...]
) -> None:
    answers = {"project_name": '{{ My }} "Shop"', "project_slug": "my-shop", "flavour": flavour}
    project = quick.with_(template=moving.as_uri()).bake(tmp_path / "here", **answers)
    assert "up to date" in project.run(CRUFT, "check").output

    (project.folder / "release.toml").write_text(project.text("release.toml") + "\n# our own line\n")
    add_and_commit(project.folder)
    change(moving, "Another text.")
    assert project.run(CRUFT, "check", check=False).code == 1
    commits = project.git("rev-list", "--count", "HEAD")
    project.run(*update)
    assert project.text("NEWS.md") == "# News of my-shop\n"
    assert "# our own line" in project.text("release.toml")
    if flavour != "init":
        assert "Another text." in project.text("README.md")
        assert '# {{ My }} "Shop"' in project.text("README.md")
    assert project.git("rev-list", "--count", "HEAD") == commits
    assert not list(project.folder.rglob("*.rej"))
    add_and_commit(project.folder)
    assert "up to date" in project.run(CRUFT, "check").output


def test_a_change_that_does_not_fit_is_named_and_left_beside_the_own_one(
    quick: Oven, moving: Path, tmp_path: Path
) -> None:
    project = quick.with_(template=moving.as_uri()).bake(tmp_path / "here", flavour="flask")
    readme = project.folder / "README.md"
    readme.write_text(readme.read_text().replace("## Release it\n", "## How we release it\n"))
    change(moving, "Another text.")
    refused = project.run(FAB, "template.update", check=False)
    assert refused.code == 3
    assert "not committed: README.md" in refused.output
    add_and_commit(project.folder)
    done = project.run(FAB, "template.update", check=False)
    assert done.code == 5
    assert "do not fit together\n    README.md\n" in done.output
    merged = project.text("README.md")
    assert "<<<<<<<" in merged
    assert "## How we release it" in merged
    assert "Another text." in merged
    assert project.text("NEWS.md") == "# News of my-service\n"


def test_without_knowing_the_template_nothing_is_updated(quick: Oven, template: Path, tmp_path: Path) -> None:
    project = quick.with_(template=template.as_uri()).bake(tmp_path / "here", flavour="flask")
    project.git("rm", "--quiet", ".cruft.json")
    add_and_commit(project.folder)
    done = project.run(FAB, "template.update", check=False)
    assert done.code == 3
    assert "has no .cruft.json" in done.output
    assert "cruft link" in done.output


def test_cruft_itself_makes_the_same_project_and_its_git_is_left_alone(
    quick: Oven, template: Path, expected: dict[str, str], tmp_path: Path
) -> None:
    run(CRUFT, "create", "--no-input", template.as_uri(), cwd=tmp_path, env=quick.env)
    project = Project(tmp_path / "my-service", quick.env)
    assert contents(project) == expected
    assert not (project.folder / ".git").exists()
    assert "up to date" in project.run(CRUFT, "check").output


def by_uv(folder: Path, env: dict[str, str]) -> Path:
    run(uv(), "tool", "install", "--quiet", "--python", sys.executable, "cookiecutter", cwd=folder, env=env)
    return Path(env["HOME"]) / ".local" / "bin"


def by_pip(folder: Path, env: dict[str, str]) -> Path:
    run(sys.executable, "-m", "venv", folder / "venv", cwd=folder, env=env)
    programs = folder / "venv" / "bin"
    run(programs / "python", "-m", "pip", "install", "--quiet", "cookiecutter", cwd=folder, env=env)
    return programs


def by_pipx(folder: Path, env: dict[str, str]) -> Path:
    programs = make_virtualenv(folder / "venv", "pipx", env=env)
    run(programs / "pipx", "install", "--python", sys.executable, "cookiecutter", cwd=folder, env=env)
    return Path(env["HOME"]) / ".local" / "bin"


PAIRS = [(by_uv, True), (by_pip, False), (by_pipx, True)]
EVERY = [(install, has_uv) for install in (by_uv, by_pip, by_pipx) for has_uv in (True, False)]


@pytest.mark.parametrize(("install", "has_uv"), EVERY if ALL else PAIRS)
def test_a_plain_cookiecutter_bakes_whoever_installed_it(
    template: Path,
    expected: dict[str, str],
    tmp_path: Path,
    install: Callable[[Path, dict[str, str]], Path],
    has_uv: bool,
) -> None:
    env = environment(tmp_path / "home", tools=(uv(),) if has_uv else ())
    programs = install(tmp_path, env)
    project = Oven(programs / "cookiecutter", env, str(template)).bake(tmp_path / "here")
    assert contents(project) == expected
    assert project.git("rev-list", "--count", "HEAD") == "1"
    assert ("uv.lock" in project.files()) == has_uv

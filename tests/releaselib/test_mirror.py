"""What the project and its hosts need comes to the index as wheels."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from uv import find_uv_bin

import real
from releaselib import config, index
from releaselib.actions.bringing import bring
from releaselib.actions.indexes import requirements
from releaselib.actions.session import Session
from releaselib.actions.wheels import require_dependencies
from releaselib.config.tables import Index, OwnIndex
from releaselib.errors import CommandFailed, ConfigError, IndexFailed, Refused
from releaselib.hosts.facts import look
from releaselib.hosts.fleet import Fleet
from releaselib.wheels.mirror import OWN, Lock, command, locked, needed, own_names, recorded
from releaselib.wheels.resolve import Target, resolve

NEEDED: dict[str, tuple[list[str], list[str], list[str]]] = {
    "its requirements": (["tornado>=6", "jinja2"], [], ["tornado>=6", "jinja2"]),
    "nothing": ([], [], []),
    "not those of an extra": (["tornado", "redis; extra == 'redis'"], [], ["tornado"]),
    "those of an extra that is asked for": (
        ["tornado", "redis; extra == 'redis'", "pytest; extra == 'test'"],
        ["My_Shop[redis]"],
        ["tornado", "redis"],
    ),
    "not those of another platform": (["pywin32; sys_platform == 'win32'", "uvloop"], [], ["uvloop"]),
    "what the stage asks for besides": (
        ["tornado"],
        ["gunicorn>=25", "psycopg"],
        ["tornado", "gunicorn>=25", "psycopg"],
    ),
}


@pytest.mark.parametrize(("requires", "extra", "found"), NEEDED.values(), ids=NEEDED)
def test_what_a_wheel_needs_is_read_from_its_metadata(
    tmp_path: Path, requires: list[str], extra: list[str], found: list[str]
) -> None:
    assert needed(real.wheel(tmp_path, "my-shop", "1.0", requires=requires), extra) == found


def test_what_a_wheel_needs_is_read_for_the_hosts(tmp_path: Path) -> None:
    wheel = real.wheel(
        tmp_path,
        "my-shop",
        "1.0",
        requires=[
            "old; python_version < '3.9'",
            "new; python_version >= '3.9'",
            "small; platform_machine == 'riscv64' and sys_platform == 'linux'",
        ],
    )
    assert needed(wheel, (), Target("3.8", "riscv64").markers) == ["old", "small"]


def test_a_lock_gives_the_pins_without_the_project_itself(tmp_path: Path) -> None:
    shelf, project = tmp_path / "shelf", tmp_path / "project"
    shelf.mkdir()
    project.mkdir()
    real.wheel(shelf, "left", "1.0", requires=["right"])
    real.wheel(shelf, "right", "2.0")
    real.wheel(shelf, "only-for-tests", "3.0")
    (project / "pyproject.toml").write_text(
        '[project]\nname = "my-shop"\nversion = "1"\nrequires-python = ">=3.10"\ndependencies = ["left"]\n'
        '[dependency-groups]\ndev = ["only-for-tests"]\n'
    )
    lock = (find_uv_bin(), "lock", "--quiet", "--no-config", "--no-index", "--find-links", str(shelf))
    subprocess.run(lock, cwd=project, check=True)
    assert sorted(locked(project).pins.split()) == ["left==1.0", "right==2.0"]


def test_without_a_lock_there_are_no_pins(tmp_path: Path) -> None:
    assert locked(tmp_path) == Lock()


def test_a_lock_that_cannot_be_read_is_told_in_the_words_of_uv(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "my-shop"\nversion = "1"\n')
    (tmp_path / "uv.lock").write_text("<<<<<<< HEAD\n")
    with pytest.raises(CommandFailed) as caught:
        locked(tmp_path)
    assert caught.value.what == "uv.lock cannot be read"
    assert "uv.lock" in caught.value.cause
    assert caught.value.next_step == "uv lock"


@pytest.mark.parametrize("python", ["", OWN])
def test_for_this_python_what_has_no_wheel_is_built_here(python: str) -> None:
    argv = command(["tornado"], Path("/out"), python=python, constraints=Path("/lock"))
    assert argv[:4] == (sys.executable, "-m", "pip", "wheel")
    assert argv[-3:] == ("--wheel-dir", "/out", "tornado")


def test_for_another_python_only_ready_made_wheels_are_fetched() -> None:
    argv = command(["tornado"], Path("/out"), python="3.99", constraints=Path("/lock"))
    assert argv[:4] == (sys.executable, "-m", "pip", "download")
    assert argv[argv.index("--python-version") + 1] == "3.99"
    assert argv[argv.index("--only-binary") + 1] == ":all:"


def test_for_another_machine_the_tags_of_its_wheels_are_said() -> None:
    argv = command(["tornado"], Path("/out"), python=OWN, machine="riscv64", constraints=Path("/lock"))
    assert argv[:4] == (sys.executable, "-m", "pip", "download")
    assert "--platform=manylinux_2_28_riscv64" in argv
    same = command(["tornado"], Path("/out"), machine=platform.machine(), constraints=Path("/lock"))
    assert not [word for word in same if word.startswith("--platform")]


def test_without_a_word_of_other_hosts_the_wheels_are_for_this_machine_whatever_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As for the developers, who install releaselib itself from the index."""
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    assert command(["tornado"], Path("/out"), constraints=Path("/lock"))[3] == "wheel"
    hosts = command(["tornado"], Path("/out"), machine="x86_64", constraints=Path("/lock"))
    assert "--platform=manylinux_2_28_x86_64" in hosts


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All that this machine's pip can get: a folder with wheels."""
    made = tmp_path / "world"
    made.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(made))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return made


def test_packages_come_to_the_index_with_all_they_need_and_only_once(shelf: Index, world: Path) -> None:
    real.wheel(world, "mirrored", "1.0", requires=["mirrored-dep"])
    real.wheel(world, "mirrored-dep", "1.0")
    real.wheel(world, "mirrored-dep", "2.0")
    lock = Lock("mirrored-dep==1.0\n")
    assert bring(shelf, ["mirrored"], None, lock) == [
        "mirrored-1.0-py3-none-any.whl",
        "mirrored_dep-1.0-py3-none-any.whl",
    ]
    assert [file.name for file in index.of(shelf).files("mirrored-dep")] == ["mirrored_dep-1.0-py3-none-any.whl"]
    assert bring(shelf, ["mirrored"], None, lock) == []


def test_what_only_the_hosts_python_needs_is_brought_too(shelf: Index, world: Path) -> None:
    """pip asks the markers of its own Python, whatever Python the wheels are for."""
    real.wheel(world, "for-all", "1.0", requires=["for-old; python_version < '3.9'"])
    real.wheel(world, "for-old", "1.0", requires=["for-older; python_version < '3.9'"])
    real.wheel(world, "for-older", "1.0")
    hosts = Target("3.8", platform.machine())
    assert [name.split("-")[0] for name in bring(shelf, ["for-all"], hosts)] == ["for_all", "for_old", "for_older"]
    assert "for-older===1.0" in resolve(["for-all"], shelf, hosts)
    assert bring(shelf, ["for-all"], hosts) == []


def test_what_is_not_to_be_had_ends_in_the_words_of_pip(shelf: Index, world: Path) -> None:
    real.wheel(world, "in-vain", "1.0", requires=["gone-for-good; python_version < '3.9'"])
    with pytest.raises(IndexFailed, match=r"cannot fetch gone-for-good for Python 3\.8"):
        bring(shelf, ["in-vain"], Target("3.8", platform.machine()))


def test_a_package_that_is_nowhere_is_told_in_the_words_of_pip(shelf: Index, world: Path) -> None:
    with pytest.raises(IndexFailed) as caught:
        bring(shelf, ["nowhere-to-be-found"], None)
    assert caught.value.exit_code == 7
    assert caught.value.what == f"index.sync: cannot fetch nowhere-to-be-found for Python {OWN}"
    assert "No matching distribution found for nowhere-to-be-found" in caught.value.cause
    assert caught.value.next_step.endswith("pip config list")


# --- what is the team's own


def own(shelf: Index, name: str, *, requires: Sequence[str] = ()) -> None:
    """A package that `fab publish` brought to the index: a wheel and an sdist."""
    assert isinstance(shelf, OwnIndex)
    packages = Path(shelf.folder) / "packages"
    real.wheel(packages, name, "1.0", requires=requires)
    (packages / f"{name.replace('-', '_')}-1.0.tar.gz").write_bytes(b"")
    while len(index.of(shelf).files(name)) < 2:  # the server hears of a file that comes by itself a little later
        pass


def test_a_public_package_of_the_name_of_the_teams_own_is_never_taken(shelf: Index, world: Path) -> None:
    """Dependency confusion: somebody else has published a higher version of an internal name."""
    own(shelf, "team-lib", requires=["team-base", "of-others"])
    own(shelf, "team-base")
    real.wheel(world, "of-others", "1.0")
    for name in ("team-lib", "team-base"):
        real.wheel(world, name, "99.0")
    assert bring(shelf, ["team-lib>=1"], None) == ["of_others-1.0-py3-none-any.whl"]
    assert {file.version for file in index.of(shelf).files("team-lib")} == {"1.0"}


def test_what_others_need_of_the_teams_own_is_refused(shelf: Index, world: Path) -> None:
    own(shelf, "team-inner")
    real.wheel(world, "team-inner", "99.0")
    real.wheel(world, "outer", "1.0", requires=["team-inner"])
    with pytest.raises(IndexFailed, match=r"team_inner-99.0-py3-none-any.whl came from elsewhere, but team-inner is"):
        bring(shelf, ["outer"], None)
    assert index.of(shelf).files("outer") == []


def test_what_pyproject_marks_as_the_teams_own_is_asked_for_nowhere_else(shelf: Index, world: Path) -> None:
    real.wheel(world, "marked", "99.0")
    with pytest.raises(IndexFailed, match=r"marked is the team's own, and .* has no wheel of it; nobody else is asked"):
        bring(shelf, ["marked"], None, Lock(own=["marked"]))


def test_what_uv_lock_has_other_bytes_of_is_not_brought(shelf: Index, world: Path) -> None:
    made = real.wheel(world, "changed", "1.0")
    with pytest.raises(IndexFailed, match=r"changed-1.0-py3-none-any.whl is not what uv.lock says"):
        bring(shelf, ["changed"], None, Lock(hashes={made.name: "00"}))
    assert bring(shelf, ["changed"], None, Lock(hashes={made.name: real.sha256(made)})) == [made.name]


def test_the_teams_own_names_are_read_from_pyproject() -> None:
    sources = {"A_b": {"index": "team"}, "c": [{"index": "team"}, {"git": "x"}], "d": {"git": "x"}, "e": {"path": "x"}}
    assert own_names({"tool": {"uv": {"sources": sources}}}) == ["a-b", "c"]
    assert own_names({}) == []


def test_the_hashes_of_wheels_are_read_from_a_lock() -> None:
    wheels = [{"url": "https://i.example/x/a-1-py3-none-any.whl", "hash": "sha256:aa"}, {"path": "b.whl"}]
    assert recorded({"package": [{"name": "a", "wheels": wheels}, {"name": "b"}]}) == {"a-1-py3-none-any.whl": "aa"}


def test_what_uv_lock_pins_and_the_index_lacks_is_named(
    repository: real.Repository, shelf: Index, tmp_path: Path
) -> None:
    """As `fab doctor` looks, before a release is tried."""
    real.wheel(tmp_path, "left-behind", "1.0")
    meta = '[project]\nname = "my-shop"\nversion = "1"\nrequires-python = ">=3.10"\ndependencies = ["left-behind"]\n'
    commit = repository.commit({"pyproject.toml": meta})
    lock = (find_uv_bin(), "lock", "--quiet", "--no-config", "--no-index", "--find-links", str(tmp_path))
    subprocess.run(lock, cwd=repository.folder, check=True)
    locked_commit = repository.commit({"uv.lock": (repository.folder / "uv.lock").read_text()})
    stage = real.stage(tmp_path).model_copy(update={"index": Index(url=shelf.url)})
    at = Session(config.Project(root=repository.folder, name="my-shop"), stage, Fleet(stage))
    view = look(at.fleet, stage.app)
    require_dependencies(at, view, commit)
    with pytest.raises(Refused, match="the index lacks left-behind") as caught:
        require_dependencies(at, view, locked_commit)
    assert caught.value.next_step == "fab index.sync"


LISTED = {
    "one": ("django", ["django"]),
    "two": ("django==5.2, tornado", ["django==5.2", "tornado"]),
    "a range of versions": ("django>=5,<6,tornado", ["django<6,>=5", "tornado"]),
    "extras": ("uvicorn[standard,x],flask", ["uvicorn[standard,x]", "flask"]),
}


@pytest.mark.parametrize(("packages", "wanted"), LISTED.values(), ids=LISTED)
def test_packages_are_told_apart(packages: str, wanted: list[str]) -> None:
    assert requirements(packages) == wanted


def test_what_is_no_package_is_refused_in_words() -> None:
    with pytest.raises(ConfigError, match="--packages a,>>b: "):
        requirements("a,>>b")

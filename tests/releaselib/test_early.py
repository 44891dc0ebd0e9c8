"""A build begins before the hosts are known, and is taken only if it turns out to be the one that is wanted."""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from test_build import BACKEND, PYPROJECT

import real
from releaselib import config, hooks
from releaselib.actions import early
from releaselib.actions.early import Early
from releaselib.actions.session import Session
from releaselib.decide.release import Wanted
from releaselib.errors import CommandFailed
from releaselib.hosts.fleet import Fleet
from releaselib.wheels import source

STAGES = '[stages.local]\napp = ["local"]\n'
ENDLESS = 'open({mark!r}, "w").close(); import time; time.sleep(600)'


def project(repository: real.Repository, wheel: str = "pass") -> config.Project:
    """A project in a repository, whose build runs some Python for the wheel."""
    named = '[project]\nname = "my-shop"\ndynamic = ["version"]\n'
    backend = BACKEND.format(version="", wheel=wheel)
    repository.commit({"pyproject.toml": PYPROJECT + named, "release.toml": STAGES, "backend.py": backend})
    return config.load(repository.folder)


def session(of: config.Project) -> Session:
    stage = of.stage("local")
    return Session(of, stage, Fleet(stage))


def begun(of: config.Project, folder: Path) -> Early:
    return Early(of, of.stage("local"), Wanted(version="2.0"), folder / "early")


def builds_into(folder: Path) -> list[str]:
    """The builds at work that are to give something there; other tests build, too."""
    return [line for line in real.command_lines() if "build_frontend" in line and str(folder) in line]


def await_file(path: Path, while_running: Early) -> None:
    while not path.exists():
        assert not while_running._built.done(), while_running._built.exception()


def test_what_was_built_is_taken_if_it_is_the_version_and_the_commit(
    repository: real.Repository, tmp_path: Path
) -> None:
    shop = project(repository)
    found = source.find(shop.root)
    at_work = begun(shop, tmp_path)
    built = at_work.of(found, "2.0")
    assert built
    assert (built.version, built.commit) == ("2.0", found.commit)
    assert built.wheel.exists()
    assert at_work.of(found, "2.1") is None
    assert at_work.of(replace(found, commit="0" * 40), "2.0") is None
    at_work.end()


def test_why_it_cannot_be_built_is_told_when_it_is_wanted(repository: real.Repository, tmp_path: Path) -> None:
    shop = project(repository, wheel="raise RuntimeError('no such logo')")
    at_work = begun(shop, tmp_path)
    with pytest.raises(CommandFailed, match="cannot be built"):
        at_work.of(source.find(shop.root), "2.0")
    at_work.end()


def test_what_cannot_be_released_is_not_built(repository: real.Repository, tmp_path: Path) -> None:
    shop = project(repository)
    found = source.find(shop.root)
    repository.write({"forgotten.txt": ""})
    at_work = begun(shop, tmp_path)
    assert at_work.of(found, "2.0") is None
    at_work.end()
    assert not (tmp_path / "early").exists()


def test_whoever_needs_it_no_more_ends_all_of_it(repository: real.Repository, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    shop = project(repository, wheel=ENDLESS.format(mark=str(mark)))
    with early.begun(session(shop), "release", Wanted(version="2.0"), tmp_path / "early") as at_work:
        assert at_work
        await_file(mark, at_work)
        assert builds_into(tmp_path)
    assert at_work._built.done()
    assert not builds_into(tmp_path)


WAITING = """
import sys, threading
from releaselib import config
from releaselib.actions.early import Early
from releaselib.decide.release import Wanted
from releaselib.wheels import source

source.find = lambda *_: threading.Event().wait()
shop = config.load(sys.argv[1])
Early(shop, shop.stage("local"), Wanted(), shop.root / "early").end()
"""


def test_a_program_ends_while_what_it_needs_no_more_still_waits(repository: real.Repository) -> None:
    shop = project(repository)
    subprocess.run([sys.executable, "-c", WAITING, str(shop.root)], check=True, timeout=60)


@pytest.mark.parametrize(
    ("action", "names", "builds"),
    [
        ("release", [], True),
        ("quickdeploy", ["pre_deploy"], True),
        ("release", ["pre_build"], False),
        ("deploy", [], False),
    ],
)
def test_what_a_hook_does_before_a_build_is_done_before_it(
    repository: real.Repository,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    action: str,
    names: list[str],
    builds: bool,
) -> None:
    shop = project(repository)
    monkeypatch.setattr(hooks, "_hooks", {name: [print] for name in names})
    with early.begun(session(shop), action, Wanted(version="2.0"), tmp_path / "early") as at_work:
        assert bool(at_work) == builds


def test_nothing_is_cloned_any_more_once_nobody_wants_it(
    repository: real.Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, ended = project(repository), threading.Event()
    found = source.find(shop.root)

    def find(*_: object) -> source.Source:
        assert ended.wait(60)
        return found

    cloned: list[object] = []
    monkeypatch.setattr(source, "find", find)
    monkeypatch.setattr(source, "clone", lambda *words: cloned.append(words))
    at_work = begun(shop, tmp_path)
    at_work.end()
    ended.set()
    assert at_work._chosen.result()[0] == found
    assert at_work._built.cancelled()
    assert not cloned


def test_another_build_is_ended_when_it_turns_out_not_to_be_wanted(repository: real.Repository, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    shop = project(repository, wheel=ENDLESS.format(mark=str(mark)))
    at_work = begun(shop, tmp_path)
    await_file(mark, at_work)
    assert at_work.of(source.find(shop.root), "3.0") is None
    with pytest.raises(CommandFailed):
        at_work._built.result()
    at_work.end()

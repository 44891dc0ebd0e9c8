"""Every feature is a task of `fab`, with help, an example, and an exit code that tells how it went."""

from __future__ import annotations

import functools
import importlib
import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sshd import Sshd, make_home

import real
import releaselib
from releaselib import serve_index
from releaselib.actions.session import Interrupted
from releaselib.errors import (
    CommandFailed,
    ConfigError,
    ForgeFailed,
    HookFailed,
    HostsFailed,
    IndexFailed,
    Locked,
    Refused,
    ReleaseError,
)
from releaselib.tasks import namespace
from releaselib.tasks.task import _show, with_errors

LIBRARY = real.LIBRARY
TASKS: dict[str, Any] = {name: namespace[name] for name in namespace.task_names}


@pytest.mark.parametrize("name", sorted(TASKS))
def test_every_task_has_help_with_an_example_of_itself(name: str) -> None:
    words = inspect.getdoc(TASKS[name].body) or ""
    first, _, rest = words.partition("\n")
    assert first.endswith("."), "the first line is what `fab --list` shows"
    (example,) = re.findall(r"^Example: (.+)$", rest, re.MULTILINE)
    assert re.search(rf"\bfab {re.escape(name)}( |$)", example)


@pytest.mark.parametrize("name", sorted(TASKS))
def test_every_option_has_help_and_every_task_takes_json_and_quiet(name: str) -> None:
    options = {argument.name: argument.help for argument in TASKS[name].get_arguments()}
    assert {option for option, words in options.items() if not words} == set()
    assert {"json", "quiet"} <= set(options)


@pytest.mark.parametrize("name", sorted(TASKS))
def test_every_example_names_options_that_there_are(name: str) -> None:
    (example,) = re.findall(r"Example: (.+)$", inspect.getdoc(TASKS[name].body) or "", re.MULTILINE)
    own = example.partition(f"fab {name}")[2].partition("|")[0].partition("&&")[0]
    assert {argument.name for argument in TASKS[name].get_arguments()} >= {
        option.replace("-", "_") for option in re.findall(r"--([a-z-]+)", own)
    }


MEANT = (
    "release rollback build publish deploy switch validate quickdeploy status plan history doctor "
    "version.next version.latest slot.create slot.remove "
    "supervisor.status supervisor.start supervisor.stop supervisor.restart supervisor.reload "
    "supervisor.shutdown "
    "nginx.setup nginx.test nginx.start nginx.stop nginx.reload "
    "env.show nginx.sync maintenance.on maintenance.off lock.hold lock.release drill "
    "index.serve index.sync index.list lock.show repo.create host.exec host.logs"
)


@pytest.mark.parametrize("name", MEANT.split())
def test_every_command_of_the_design_is_there(name: str) -> None:
    assert name in TASKS


def test_every_name_that_the_library_promises_is_there_and_in_the_documentation() -> None:
    docs = (real.ROOT / "docs/functions.md").read_text("utf-8")
    promised = {name for names in releaselib.PUBLIC.values() for name in names.split()}
    for name in promised:
        assert callable(getattr(releaselib, name))
        assert re.search(rf"`{name}\b", docs), f"{name} is not in docs/functions.md"
    typed = re.findall(r"(\w+) as (\w+)", (LIBRARY / "__init__.py").read_text("utf-8"))
    assert {name for name, again in typed if name == again} == promised
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = releaselib.nothing


def test_every_function_that_the_docs_name_by_its_module_is_there() -> None:
    docs = (real.ROOT / "docs/functions.md").read_text("utf-8")
    named = re.findall(r"`(wheels|index|hosts|decide)\.(\w+)\.(\w+)`", docs)
    assert len(named) > 5
    for folder, module, name in named:
        assert callable(getattr(importlib.import_module(f"releaselib.{folder}.{module}"), name)), name


CODES: dict[type[ReleaseError], int] = {
    ReleaseError: 1,
    ConfigError: 2,
    Refused: 3,
    Locked: 4,
    CommandFailed: 5,
    HostsFailed: 6,
    IndexFailed: 7,
    ForgeFailed: 7,
    HookFailed: 8,
}


def fail(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize(("error", "code"), CODES.items(), ids=[error.__name__ for error in CODES])
def test_an_error_is_told_in_words_and_by_an_exit_code_of_its_own(
    error: type[ReleaseError], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    problem = error("h1: no route", cause="first\nlast", next_step="fab status")
    with pytest.raises(SystemExit) as caught:
        with_errors(functools.partial(fail, problem))
    assert caught.value.code == code
    assert capsys.readouterr() == ("", "error: h1: no route\n    first\n    last\nnext: fab status\n")


def test_what_failed_on_some_hosts_is_told_though_nothing_takes_the_answers_of_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    problem = HostsFailed("1 of 2 hosts failed: run", next_step="fab status")
    problem.answers = {"h1": "up"}
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(SystemExit) as caught:
            with_errors(lambda: _show(functools.partial(fail, problem), as_json=False))
    assert caught.value.code == 6
    assert capsys.readouterr().err == "error: 1 of 2 hosts failed: run\nnext: fab status\n"


def test_what_failed_on_some_hosts_is_told_though_the_reader_of_a_pipe_has_gone() -> None:
    code = (
        "from releaselib.errors import HostsFailed\nfrom releaselib.tasks.task import _show, with_errors\n"
        "def act():\n    error = HostsFailed('1 of 2 hosts failed: run')\n    error.answers = {'h1': 'up'}\n"
        "    raise error\nwith_errors(lambda: _show(act, False))\n"
    )
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, "-c", code], stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert (done.returncode, done.stderr) == (6, "error: 1 of 2 hosts failed: run\n")


def test_an_interrupt_has_words_and_an_exit_code_too(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        with_errors(functools.partial(fail, KeyboardInterrupt()))
    assert caught.value.code == 130
    assert capsys.readouterr() == ("", "interrupted; fab status shows what is where\n")


def test_an_interrupt_names_the_stage_that_was_worked_on(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        with_errors(functools.partial(fail, KeyboardInterrupt()), "production")
    assert capsys.readouterr().err == "interrupted; fab status --stage production shows what is where\n"


def test_a_signal_has_its_own_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        with_errors(functools.partial(fail, Interrupted(15)))
    assert caught.value.code == 143
    assert "interrupted" in capsys.readouterr().err


def test_what_nobody_foresaw_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        with_errors(functools.partial(fail, ZeroDivisionError()))


def test_an_error_is_only_as_long_as_it_has_something_to_say() -> None:
    assert str(Refused("no")) == "no"
    assert str(Refused("no", cause="  \n")) == "no"


# --- the program itself, in a small project


@pytest.fixture
def project(repository: real.Repository) -> Path:
    repository.commit(
        {
            "fabfile.py": "from releaselib.tasks import namespace\n",
            "pyproject.toml": '[project]\nname = "my-shop"\ndynamic = ["version"]\n'
            '[build-system]\nrequires = ["setuptools", "setuptools-scm"]\n',
            "release.toml": '[stages.production]\napp = ["h1"]\nproxy = ["p1"]\n',
            ".gitignore": "__pycache__\n",
        }
    )
    return repository.folder


def fab(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).parent / "fab"
    return subprocess.run([program, *words], cwd=folder, capture_output=True, text=True)


def test_fab_lists_every_task_with_what_it_does(project: Path) -> None:
    done = fab(project, "--list")
    assert done.returncode == 0, done.stderr
    listed = dict(re.findall(r"^  (\S+)(?: +(\S.*))?$", done.stdout, re.MULTILINE))
    assert set(listed) == set(TASKS)
    assert "" not in listed.values()


def test_fab_helps_with_a_task_and_shows_its_example(project: Path) -> None:
    done = fab(project, "--help", "slot.remove")
    assert "Example: fab slot.remove --stage local --all" in done.stdout
    assert "--stage=STRING" in done.stdout
    assert "the stage of release.toml to work on" in done.stdout


@pytest.mark.parametrize("option", ["--version", "--slot", "--profile"])
def test_what_is_missing_is_brought_as_it_is_live_and_not_otherwise(project: Path, option: str) -> None:
    done = fab(project, "deploy", "--missing", "--stage", "production", option, "1.0")
    assert (done.returncode, done.stdout) == (2, "")
    assert "goes with no --version, --slot or --profile" in done.stderr
    assert "next: fab deploy --missing --stage production" in done.stderr


def test_a_result_that_nothing_takes_is_told_as_done(project: Path) -> None:
    program = Path(sys.executable).parent / "fab"
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([program, "version.latest"], cwd=project, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert "all went well, but what is to be told cannot be written to standard output: No space" in done.stderr


def test_an_error_that_nothing_takes_keeps_its_exit_code(project: Path) -> None:
    program = Path(sys.executable).parent / "fab"
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([program, "status", "--stage", "none"], cwd=project, stderr=full)
    assert done.returncode == 2


ANSWERED = {
    "what a command says": (("host.exec", "echo well"), "well"),
    "the ends of logs": (("host.logs", "--slot", "b"), "well"),
    "what runs in a slot": (("supervisor.status", "--slot", "b"), "slot b is stopped"),
}


@pytest.mark.parametrize(("words", "answer"), ANSWERED.values(), ids=ANSWERED)
@pytest.mark.parametrize("how", [(), ("--json", "--quiet")], ids=["text", "json"])
def test_a_host_that_fails_does_not_hide_what_the_others_answer(
    project: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    answer: str,
    how: tuple[str, ...],
) -> None:
    home = make_home(tmp_path / "home")
    monkeypatch.setenv("HOME", str(home))
    slot = tmp_path / "srv/slots/b"
    (slot / "log").mkdir(parents=True)
    (slot / "supervisord.conf").touch()
    (slot / "log/app.log").write_text("well\n")
    with Sshd(tmp_path / "sshd", home) as one:
        (home / ".ssh/known_hosts").write_text(one.known())
        there, gone = (f"{one.address}:{port}" for port in (one.port, real.free_port()))
        (project / "release.toml").write_text(f'[stages.a]\napp = ["{there}", "{gone}"]\nprefix = "{tmp_path}/srv"\n')
        done = fab(project, *words, "--stage", "a", *how)
    assert done.returncode == 6, done.stderr
    assert (json.loads(done.stdout) == {there: answer}) if how else (done.stdout == f"{there}: {answer}\n")
    assert f"1 of 2 hosts failed: {words[0]}\n    {gone}: cannot be reached" in done.stderr


def test_an_unknown_stage_is_refused_in_words(project: Path) -> None:
    done = fab(project, "status", "--stage", "prodution")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        "error: no stage 'prodution' in release.toml; did you mean 'production'?\nnext: use one of: production\n"
    )


def test_a_misspelt_key_is_refused_in_words(project: Path) -> None:
    (project / "release.toml").write_text('[stages.production]\napp = ["h1"]\nparalel = 3\n')
    done = fab(project, "version.next")
    assert done.returncode == 2
    assert done.stderr == (
        f"error: {project}/release.toml: 1 to mend\n"
        "    stages.production.paralel: unknown key; did you mean 'parallel'?\n"
        "next: correct these keys\n"
    )


def test_a_dirty_tree_is_refused_in_words_and_nothing_is_built(project: Path) -> None:
    (project / "new.txt").write_text("")
    done = fab(project, "build")
    assert done.returncode == 3
    assert "not committed: new.txt: git commit, or git stash" in done.stderr
    assert not (project / "dist").exists()


def test_an_index_that_is_down_is_told_in_words(project: Path) -> None:
    (project / "release.toml").write_text('[index]\nurl = "http://127.0.0.1:9/simple/"\n')
    done = fab(project, "index.list")
    assert done.returncode == 7
    assert done.stderr.startswith("error: the index http://127.0.0.1:9/simple/ cannot be reached\n")


def test_the_next_program_can_read_a_result(project: Path) -> None:
    done = fab(project, "version.next", "--name", "fixbug", "--json", "--quiet")
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"\d{4}\.\d+\.\d+\.1\+fixbug", json.loads(done.stdout))
    assert done.stderr == ""


@pytest.mark.parametrize("built", ["", "no JSON", '{"version": "1.0", "more": 1}'])
def test_what_was_not_built_is_refused_in_words(project: Path, built: str) -> None:
    """As at the end of a pipe whose beginning failed."""
    (project / "built.json").write_text(built)
    for words in (("--built", "built.json"), ("--built", "nowhere.json")):
        done = fab(project, "publish", *words)
        assert (done.returncode, done.stderr.count("Traceback")) == (2, 0)
        assert f"error: --built: {words[1]} is not what fab build --json prints" in done.stderr


def test_an_index_without_a_password_is_not_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RELEASELIB_INDEX_PASSWORD", raising=False)
    with pytest.raises(Refused) as caught:
        serve_index(str(tmp_path / "index"), "127.0.0.1", 8080, "releaser")
    assert caught.value.what.startswith("RELEASELIB_INDEX_PASSWORD is not set")
    assert not (tmp_path / "index").exists()

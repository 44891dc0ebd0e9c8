"""A script reaches a host with its values as they are, and its exit code has one meaning for all."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from test_process import HOSTILE

import real
from releaselib.config.stage import Stage
from releaselib.errors import CommandFailed
from releaselib.hosts.connection import TIMED_OUT
from releaselib.hosts.fleet import Fleet
from releaselib.hosts.scripts import CODES, asked, call, script, text
from releaselib.process import Output

SCRIPTS = sorted(path.name for path in (real.LIBRARY / "hosts/remote").glob("*.sh"))


@pytest.fixture
def stage() -> Stage:
    return real.stage(Path("/shop"))


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
def test_every_value_reaches_a_script_as_a_variable_and_not_as_code(stage: Stage, value: str) -> None:
    argv = script(stage, "facts.sh", value=value)
    shown = (*argv[:2], argv[2].partition("\nneed_python\n")[0] + '\nprintf "%s\\0" "$value"', argv[3])
    done = subprocess.run(shown, capture_output=True, check=True)
    assert done.stdout.decode() == f"{value}\0"


def test_a_script_knows_the_paths_and_settings_of_its_stage_and_the_programs_that_it_names() -> None:
    stage = real.stage(Path("/a b"), python="3.12", nginx="own")
    _, _, body, name = script(stage, "facts.sh")
    assert name == "facts.sh"
    for line in ("slots='/a b/run/slots'", "python=3.12", "nginx_of=own", "sudo=no"):
        assert f"\n{line}\n" in f"\n{body}"
    assert "facts_py=" in body
    assert "proof_sample_py=" not in body


def test_a_script_stops_at_its_first_error_and_at_a_name_that_is_not_set(stage: Stage) -> None:
    argv = script(stage, "common.sh")
    for line in ("false; echo on", 'echo "$unset"; echo on'):
        done = subprocess.run((*argv[:2], f"{argv[2]}\n{line}", argv[3]), capture_output=True)
        assert done.returncode != 0
        assert b"on" not in done.stdout


def test_every_exit_code_of_a_script_has_a_meaning_and_none_is_left_over() -> None:
    texts = [text(name) for name in SCRIPTS] + [
        text(name) for name in ("slot_stage.py", "nginx_configure.py", "health.py")
    ]
    used = {int(code) for one in texts for code in re.findall(r"(?:fail|exit)[ (](\d+)", one)}
    assert used - {0, 1, 3} == CODES.keys() - {TIMED_OUT}


def test_a_script_that_fails_is_told_with_host_reason_and_last_lines(tmp_path: Path) -> None:
    fleet = Fleet(real.stage(tmp_path, python="9.9"))
    with pytest.raises(CommandFailed) as caught:
        call(fleet.remote(fleet.stage.app[0]), "facts.sh", next_step="apt-get install it")
    assert str(caught.value) == (
        "local: there is no such Python on this host\n    no Python 9.9 on this host\nnext: apt-get install it"
    )


def test_a_script_that_fails_for_no_known_reason_tells_its_name_and_code(tmp_path: Path) -> None:
    fleet = Fleet(real.stage(tmp_path))
    with pytest.raises(CommandFailed) as caught:
        call(fleet.remote(fleet.stage.app[0]), "slot_act.sh", action="stop", chosen="../../..")
    assert caught.value.what == "local: the slot is empty"
    with pytest.raises(CommandFailed) as caught:
        call(fleet.remote(fleet.stage.app[0]), "nginx_control.sh", action="test", nginx_of="own", prefix="/nowhere")
    assert caught.value.what == "local: nginx_control.sh failed (exit code 1)"


def test_a_login_that_prints_words_of_its_own_is_told_as_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """bash reads ~/.bashrc also for a command over ssh."""
    fleet = Fleet(real.stage(tmp_path))
    remote = fleet.remote(fleet.stage.app[0])
    monkeypatch.setattr(remote, "run", lambda *words, **more: Output(0, "Welcome to h1\n{}\n", ""))
    with pytest.raises(CommandFailed, match="was not all that printed there") as caught:
        asked(remote, "facts.sh")
    assert caught.value.cause == "Welcome to h1\n{}"
    assert "~/.bashrc" in caught.value.next_step

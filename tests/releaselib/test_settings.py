"""Settings and secrets: where they come from, who may read them, and that no error tells one."""

from __future__ import annotations

import subprocess
import traceback
from pathlib import Path
from typing import Any

import pytest

import real
from releaselib.actions.settings import gathered
from releaselib.decide.settings import Setting, Shown, as_file, compared, found, on_host
from releaselib.errors import ConfigError

HOSTILE = 'it\'s $HOME `id` "x" %(y)s\n; é'
SECRET = "s3cret-Zq81"


def test_a_file_of_settings_gives_sh_exactly_the_values() -> None:
    text = as_file([Setting("B", HOSTILE, ""), Setting("A", "", "")])
    assert text.startswith("export A=''\nexport B=")
    done = subprocess.run(["sh", "-euc", f'{text}printf %s "$B"'], capture_output=True, text=True, check=True)
    assert done.stdout == HOSTILE


SOURCES = {"first": {"A": "1", "B": ""}, "second": {"A": "2", "B": "3"}}
FOUND: dict[str, tuple[dict[str, str], tuple[str, ...], list[tuple[str, str, str]], list[str]]] = {
    "the first source that has one counts": ({}, ("A",), [("A", "1", "first")], []),
    "an empty one is none": ({}, ("B",), [("B", "3", "second")], []),
    "what nobody has is missing": ({}, ("C", "A", "D"), [("A", "1", "first")], ["C", "D"]),
    "plain values": ({"X": "", "A": "p"}, (), [("X", "", "release.toml"), ("A", "p", "release.toml")], []),
    "a secret before a plain value": ({"A": "p"}, ("A",), [("A", "1", "first")], []),
}


@pytest.mark.parametrize(("plain", "secrets", "settings", "missing"), FOUND.values(), ids=FOUND)
def test_settings_are_found(
    plain: dict[str, str], secrets: tuple[str, ...], settings: list[tuple[str, str, str]], missing: list[str]
) -> None:
    assert found(plain, secrets, SOURCES) == ([Setting(*one) for one in settings], missing)


def test_a_host_has_settings_of_its_own() -> None:
    told = on_host([Setting("A", "1", "x"), Setting("B", "2", "x")], {"B": "3", "C": "4"}, "/slots/a")
    assert [(one.name, one.value) for one in told] == [("A", "1"), ("B", "3"), ("C", "4")]


def test_a_plain_setting_can_tell_the_folder_of_the_slot_and_a_secret_is_left_as_it_is() -> None:
    told = on_host([Setting("A", "{slot_dir}/x", "release.toml"), Setting("B", "{slot_dir}", ".env.live")], {}, "/s/a")
    assert [one.value for one in told] == ["/s/a/x", "{slot_dir}"]


def test_settings_are_compared_with_those_of_a_slot() -> None:
    words = compared({"A": "1", "B": "2", "C": "3"}, {"A": "1", "B": "x", "D": "4"})
    assert words == {"A": "same", "B": "differs", "C": "new", "D": "gone"}


def test_a_setting_is_shown_in_a_line_without_its_value() -> None:
    assert Shown("KEY", ".env.live", "differs").line == "KEY: differs, from .env.live"
    assert Shown("OLD", "", "gone").line == "OLD: gone"


def test_a_setting_does_not_show_its_value() -> None:
    assert SECRET not in repr(Setting("A", SECRET, "x"))


# --- where they come from


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository that ignores files of secrets."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / ".gitignore").write_text(".env.*\n")
    return tmp_path


def settings(root: Path, **keys: Any) -> dict[str, tuple[str, str]]:
    """Value and source of each setting that stage test has with these keys."""
    return {one.name: (one.value, one.source) for one in gathered(root, real.stage(root, **keys))}


def private(root: Path, text: str) -> Path:
    """The file of secrets of stage test."""
    file = root / ".env.test"
    file.touch(0o600)
    file.write_text(text)
    return file


def test_a_secret_comes_from_the_environment_its_file_or_a_program(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONE", "1")
    private(root, "ONE=no\nTWO='2 $ONE'\n")
    (root / "secrets.json").write_text('{"ONE": "no", "TWO": "no", "THREE": 3}')
    found = settings(root, env={"PLAIN": "p"}, secrets=["ONE", "TWO", "THREE"], secrets_command="cat secrets.json")
    assert found == {
        "ONE": ("1", "the environment"),
        "TWO": ("2 $ONE", ".env.test"),
        "THREE": ("3", "secrets_command"),
        "PLAIN": ("p", "release.toml"),
    }


def test_a_program_may_print_lines(root: Path) -> None:
    assert settings(root, secrets=["A"], secrets_command="printf 'A=1\\nB=2\\n'") == {"A": ("1", "secrets_command")}


def test_without_secrets_nobody_is_asked(root: Path) -> None:
    private(root, "A=1").chmod(0o644)
    assert settings(root, secrets_command="false") == {}


def test_all_that_is_missing_is_told_at_once_with_where_it_was_looked_for(root: Path) -> None:
    private(root, "B=\n")
    with pytest.raises(ConfigError) as caught:
        settings(root, secrets=["A", "B"], secrets_command="echo {}")
    assert caught.value.what == "stage test has no value for A, B"
    assert caught.value.cause.splitlines() == [
        f"looked in {at}" for at in ("the environment", ".env.test", "secrets_command")
    ]
    assert caught.value.next_step.startswith("put them into .env.test (mode 0600)")


BAD: dict[str, tuple[str, str, str]] = {
    "fails": (f"sh -c 'echo {SECRET}; echo locked >&2; exit 3'", "failed (exit code 3)", "locked"),
    "no object": (f"echo '{{\"{SECRET}\"'", "prints no JSON object of names and values", ""),
    "no values": (f'echo \'{{"A": ["{SECRET}"]}}\'', "prints no JSON object of names and values", ""),
}


@pytest.mark.parametrize(("command", "what", "cause"), BAD.values(), ids=BAD)
def test_what_a_program_printed_is_in_no_error(root: Path, command: str, what: str, cause: str) -> None:
    (root / "ask").write_text(f"#!/bin/sh\n{command}\n")
    (root / "ask").chmod(0o755)
    with pytest.raises(ConfigError) as caught:
        settings(root, secrets=["A"], secrets_command="./ask")
    assert caught.value.what == f"stages.test.secrets_command {what}"
    assert caught.value.cause == cause
    assert SECRET not in "".join(traceback.TracebackException.from_exception(caught.value).format())


def test_a_file_of_secrets_that_others_may_read_is_refused(root: Path) -> None:
    private(root, "A=1").chmod(0o640)
    with pytest.raises(ConfigError, match=r"\.env\.test can be read by others") as caught:
        settings(root, secrets=["A"])
    assert caught.value.next_step == "chmod 600 .env.test"


def test_a_file_of_secrets_that_git_would_take_is_refused(root: Path) -> None:
    private(root, "A=1")
    (root / ".gitignore").unlink()
    with pytest.raises(ConfigError, match=r"\.env\.test is not ignored by git"):
        settings(root, secrets=["A"])

"""A command is a value; whatever stands in it reaches the program as it is."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from releaselib.errors import CommandFailed, IndexFailed
from releaselib.process import TAIL, Output, Stopper, for_builds, isolated, quoted, run, tail

HOSTILE = {
    "a space": "a b",
    "nothing": "",
    "single quotes": "it's 'quoted'",
    "double quotes": '"x"',
    "a variable": "$HOME ${HOME}",
    "a command": "$(touch /tmp/owned) `id`",
    "the end of a command": "; rm -rf / #",
    "and, or, pipe": "&& || | &",
    "a glob": "* ? [a-z] ~",
    "a backslash": "\\ \\n \\'",
    "lines": "one\ntwo\n",
    "a tab": "\t",
    "redirections": "> /dev/null < /dev/zero 2>&1",
    "an option": "-rf",
    "braces": "{a,b} {}",
    "an exclamation": "!! !$",
    "words of other places": "größe ☃ 価格",
    "a percent": "%s %% %(x)s",
    "history and comments": "# not a comment",
}


def printed(line: str) -> list[str]:
    """The arguments that a line of shell gives."""
    show = f"{quoted([sys.executable, '-c', SHOW])} {line}"
    done = subprocess.run(["sh", "-c", show], capture_output=True, check=True)
    return done.stdout.decode().split("\0")[:-1]


SHOW = "import sys; sys.stdout.buffer.write(b''.join(a.encode() + b'\\0' for a in sys.argv[1:]))"


def test_every_value_comes_through_a_shell_as_it_is() -> None:
    assert printed(quoted(list(HOSTILE.values()))) == list(HOSTILE.values())


def test_every_value_comes_through_two_shells_as_it_is() -> None:
    inner = quoted([sys.executable, "-c", SHOW, *HOSTILE.values()])
    done = subprocess.run(["sh", "-c", quoted(["sh", "-c", inner])], capture_output=True, check=True)
    assert done.stdout.decode().split("\0")[:-1] == list(HOSTILE.values())


def test_a_command_gives_its_output() -> None:
    assert run(("sh", "-c", "echo out; echo err >&2")) == Output(0, "out\n", "err\n")


def test_a_command_runs_where_and_with_what_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEPT", "kept")
    done = run(("sh", "-c", 'pwd; echo "$KEPT $ADDED"'), cwd=tmp_path, env={"ADDED": "added"})
    assert done.stdout.splitlines() == [str(tmp_path), "kept added"]


def test_a_command_gets_nothing_to_read() -> None:
    assert run(("cat",)).stdout == ""


def test_a_command_that_fails_raises_with_its_own_last_lines() -> None:
    with pytest.raises(IndexFailed) as caught:
        run(
            ("sh", "-c", "echo said; echo no route >&2; exit 3"),
            error=IndexFailed,
            what="the index is down",
            next_step="ping it",
        )
    assert str(caught.value) == "the index is down\n    no route\nnext: ping it"


def test_a_command_without_words_of_its_own_tells_its_exit_code() -> None:
    with pytest.raises(CommandFailed) as caught:
        run(("/bin/sh", "-c", "echo said; exit 3"))
    assert caught.value.what == "sh failed (exit code 3)"
    assert caught.value.cause == "said"


def test_an_exit_code_can_be_all_right() -> None:
    assert run(("sh", "-c", "exit 3"), ok=(0, 3)).code == 3


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(CommandFailed) as caught:
        run(("no-such-program", "--version"))
    assert caught.value.what == "no-such-program is not installed on this machine"
    assert caught.value.next_step == "install no-such-program and run the command again"


def test_a_program_that_cannot_be_run_is_named_with_the_cause(tmp_path: Path) -> None:
    script = tmp_path / "secrets"
    script.write_text("echo A=1\n")
    for mode, words in ((0o644, "Permission denied"), (0o755, "Exec format error")):
        script.chmod(mode)
        with pytest.raises(CommandFailed) as caught:
            run((str(script),))
        assert caught.value.what == f"{script} cannot be run: {words}"


def test_output_that_is_not_utf_8_is_output_all_the_same() -> None:
    assert run(("printf", r"gr\374n")).stdout == "gr\ufffdn"


TAILS = {
    "the last lines": ("\n".join(map(str, range(50))), "\n".join(map(str, range(50 - TAIL, 50)))),
    "no blank ones": ("one\n\n  \n two  \n\n", "one\n two"),
    "nothing": ("", ""),
}


@pytest.mark.parametrize(("words", "end"), TAILS.values(), ids=TAILS)
def test_of_a_log_the_last_lines_count(words: str, end: str) -> None:
    assert tail(words) == end


def test_an_isolated_environment_lacks_what_starts_like_that() -> None:
    there = {"PIP_INDEX_URL": "x", "UV_INDEX": "x", "HOME": "/root", "PIPELINE": "1"}
    assert isolated(there, "PIP_", "UV_") == {"HOME": "/root", "PIPELINE": "1"}


def test_a_tool_that_does_not_end_is_given_up_and_told_with_its_last_lines() -> None:
    with pytest.raises(IndexFailed) as caught:
        run(("sh", "-c", "echo on my way; exec sleep 1000"), seconds=0.5, error=IndexFailed, what="the upload")
    assert caught.value.what == "the upload: sh has no end after 0.5 s"
    assert caught.value.cause == "on my way"


def test_a_build_inherits_what_it_needs_and_no_secret() -> None:
    needed = {"PATH": "p", "HOME": "h", "LC_ALL": "C", "UV_INDEX": "u", "https_proxy": "x", "CFLAGS": "-O", "CC": "cc"}
    secret = (
        "RELEASELIB_INDEX_PASSWORD",
        "GITLAB_TOKEN",
        "SSH_AUTH_SOCK",
        "DATABASE_URL",
        "TWINE_PASSWORD",
        "X_PATH",
        "UV_PUBLISH_TOKEN",
    )
    assert for_builds(needed | dict.fromkeys(secret, "s")) == needed


def test_a_command_is_ended_from_elsewhere_with_all_that_it_started(tmp_path: Path) -> None:
    stopper, mark = Stopper(), tmp_path / "mark"
    line = f"sleep 600 & touch {mark}; wait"
    with ThreadPoolExecutor() as pool:
        running = pool.submit(run, ("sh", "-c", line), stopper=stopper)
        while not mark.exists():
            assert not running.done(), running.exception()
        stopper.stop()
        with pytest.raises(CommandFailed, match="exit code -9"):
            running.result()  # whose pipes end with the last process that has them


def test_a_command_that_has_no_end_is_ended_with_all_that_it_started() -> None:
    with pytest.raises(CommandFailed, match="has no end after"):
        run(("sh", "-c", "sleep 600 & wait"), stopper=Stopper(), seconds=0.2)  # its pipes end with the last


def test_what_comes_after_the_end_is_ended_at_once() -> None:
    stopper = Stopper()
    stopper.stop()
    with pytest.raises(CommandFailed, match="exit code -9"):
        run(("sleep", "600"), stopper=stopper)

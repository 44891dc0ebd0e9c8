"""A stage is locked by one at a time, and the lock cannot outlive its holder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

import real
from releaselib.decide.journal import Began, Failed, History, Staged, Switched, read, written
from releaselib.errors import CommandFailed, Locked
from releaselib.hosts.fleet import Fleet
from releaselib.hosts.lock import hold, holder, read_journal

BEGAN = Began(
    "release", "maria@desk", "2026-11-23T10:00:00Z", "b", "a", real.release("2.0", wheels={"shop": "2.0"})
)
HOLDER = """
import sys
from contextlib import suppress
from pathlib import Path
import real
from releaselib.decide.journal import Began
from releaselib.hosts.fleet import Fleet
from releaselib.hosts.lock import hold
stage = real.stage(Path(sys.argv[1]))
with hold(Fleet(stage)) as journal:
    journal.write(Began("release", "li@desk", "today", "a", "", real.release("3.0")))
    print("held", flush=True)
    sys.stdin.read()
"""


def refused(fleet: Fleet) -> Locked:
    with pytest.raises(Locked) as caught, hold(Fleet(fleet.stage)):
        pass
    assert caught.value.exit_code == 4
    assert caught.value.next_step == "wait for its end; fab lock.show tells when it is free"
    return caught.value


def test_a_second_holder_is_refused_and_told_who_holds_it(here: Fleet) -> None:
    with hold(here) as journal:
        journal.write(BEGAN)
        assert refused(here).what == (
            "stage test is locked by maria@desk since 2026-11-23T10:00:00Z: release 2.0"
        )
    with hold(Fleet(here.stage)):
        pass


def test_the_lock_is_free_after_an_error(here: Fleet) -> None:
    with pytest.raises(ZeroDivisionError), hold(here):
        _ = 1 / 0
    with hold(here):
        pass


def test_the_lock_is_free_once_its_holder_is_killed(here: Fleet, short: Path) -> None:
    argv = (sys.executable, "-c", HOLDER, str(short))
    environment = {**os.environ, "PYTHONPATH": str(Path(real.__file__).parent)}
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert refused(here).what == "stage test is locked by li@desk since today: release 3.0"
        process.send_signal(signal.SIGKILL)
    subprocess.run(["flock", f"{here.stage.prefix}/stage.lock", "true"], check=True)
    with hold(here):
        pass


def test_every_event_is_a_line_of_the_journal(here: Fleet) -> None:
    strange = Failed("release", "größe\n☃\u2028")
    for _ in range(2):
        with hold(here) as journal:
            journal.write(BEGAN)
            journal.write(strange)
    text = Path(here.stage.paths.journal).read_text()
    assert text.endswith("\n")
    assert [read(line) for line in text.splitlines()] == [BEGAN, strange] * 2


def kill_lock(fleet: Fleet) -> None:
    """Kill the script that holds the lock of a stage on its host."""
    file = f"{fleet.stage.prefix}/stage.lock"
    holders = set()
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):
            if str(descriptor.readlink()) == file:
                holders.add(int(descriptor.parts[2]))
    (pid,) = holders
    os.kill(pid, signal.SIGKILL)


def test_a_journal_that_cannot_be_written_is_told_because_the_lock_is_lost(here: Fleet) -> None:
    with hold(here) as journal:
        journal.write(BEGAN)
        kill_lock(here)
        for _ in range(2):  # the first may still be taken by the pipe
            with pytest.raises(CommandFailed) as caught:
                journal.write(Switched("a"))
            assert caught.value.exit_code == 5
            assert caught.value.what == "local: the journal cannot be written, so the lock is not held"
            assert caught.value.next_step == "fab status"


def test_a_prefix_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    stage = real.stage(tmp_path, prefix=f"{tmp_path}/file/shop")
    with pytest.raises(CommandFailed) as caught, hold(Fleet(stage)):
        pass
    assert caught.value.what == "local: the stage cannot be locked"
    assert "file" in caught.value.cause
    assert caught.value.next_step == "can the stage's user write to its prefix there?"


HOLDERS = {
    "somebody who began": (BEGAN, "maria@desk since 2026-11-23T10:00:00Z: release 2.0"),
    "somebody else": (None, "somebody who has not said more yet"),
}


@pytest.mark.parametrize(("began", "words"), HOLDERS.values(), ids=HOLDERS)
def test_a_holder_is_told_in_words(began: Began | None, words: str) -> None:
    assert holder(began) == words


def test_the_last_lines_are_read_from_the_host_with_the_state_of_the_lock(here: Fleet) -> None:
    assert read_journal(here, 9) == History()
    with hold(here) as journal:
        for event in (BEGAN, Staged("a"), Switched("a")):
            journal.write(event)
        assert read_journal(here, 2) == History((Staged("a"), Switched("a")), locked=True)
    assert read_journal(here, 9) == History((BEGAN, Staged("a"), Switched("a")), locked=False)


def test_a_last_line_without_its_end_is_read_too(here: Fleet) -> None:
    journal = Path(here.stage.paths.journal)
    journal.parent.mkdir(parents=True)
    journal.write_text(f"{written(BEGAN)}\n{written(Switched('b'))}")
    assert read_journal(here, 9).events == (BEGAN, Switched("b"))

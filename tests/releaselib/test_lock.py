"""A stage is locked by one at a time, and the lock cannot outlive its holder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import real
from releaselib import config, hooks
from releaselib.errors import CommandFailed, Locked, Refused
from releaselib.fleet import Fleet
from releaselib.lock import Journal, hold, holder
from releaselib.plan import Plan, make
from releaselib.view import Proxy, View
from releaselib.work import Work, locked

BEGAN = {
    "action": "release",
    "who": "maria@desk",
    "when": "2026-11-23T10:00:00Z",
    "release": {"version": "2.0"},
}
HOLDER = """
import sys
from contextlib import suppress
from pathlib import Path
import real
from releaselib.fleet import Fleet
from releaselib.lock import hold
stage = real.stage(Path(sys.argv[1]))
with hold(Fleet(stage)) as journal:
    journal.write("began", action="release", who="li@desk", when="today", release={"version": "3.0"})
    print("held", flush=True)
    sys.stdin.read()
"""


def events(fleet: Fleet) -> list[dict[str, Any]]:
    text = (Path(fleet.stage.prefix) / "journal.jsonl").read_text()
    assert text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def refused(fleet: Fleet) -> Locked:
    with pytest.raises(Locked) as caught, hold(Fleet(fleet.stage)):
        pass
    assert caught.value.exit_code == 4
    assert caught.value.next_step == "wait for its end; fab lock.show tells when it is free"
    return caught.value


def test_a_second_holder_is_refused_and_told_who_holds_it(here: Fleet) -> None:
    with hold(here) as journal:
        journal.write("began", **BEGAN)
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
    for version in ("1.0", "größe\n☃"):
        with hold(here) as journal:
            journal.write("began", version=version)
            journal.write("done", hosts=["h1"])
    assert events(here) == [
        {"event": "began", "version": "1.0"},
        {"event": "done", "hosts": ["h1"]},
        {"event": "began", "version": "größe\n☃"},
        {"event": "done", "hosts": ["h1"]},
    ]


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
        journal.write("began")
        kill_lock(here)
        for _ in range(2):  # the first may still be taken by the pipe
            with pytest.raises(CommandFailed) as caught:
                journal.write("switching")
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
def test_a_holder_is_told_in_words(began: dict[str, Any] | None, words: str) -> None:
    assert holder(began) == words


# --- the lock around an action


@pytest.fixture
def work(here: Fleet, tmp_path: Path) -> Work:
    project = config.Project(root=tmp_path, name=real.PROJECT)
    return Work(project, here.stage, here, View({}, {here.stage.proxy[0]: Proxy("", "", False)}))


def planned(work: Work) -> Plan:
    return make("deploy", work.stage, work.view, real.release("2.0"), "a")


def test_an_action_tells_the_journal_how_it_began(work: Work) -> None:
    with locked(work, planned(work)) as journal:
        assert isinstance(journal, Journal)
    (began,) = events(work.fleet)
    assert (began["event"], began["action"], began["slot"]) == ("began", "deploy", "a")
    assert began["release"]["version"] == "2.0"
    assert began["who"].count("@") == 1


def test_an_action_tells_the_journal_and_the_hooks_how_it_failed(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(hooks, "_hooks", {"on_failure": [lambda plan, error: told.append(str(error))]})
    with pytest.raises(Refused), locked(work, planned(work)):
        raise Refused("no more disk")
    with pytest.raises(KeyboardInterrupt), locked(work, planned(work)):
        raise KeyboardInterrupt
    assert [event.get("error") for event in events(work.fleet)] == [
        None,
        "no more disk",
        None,
        "KeyboardInterrupt",
    ]
    assert told == ["no more disk", ""]


def test_the_failure_itself_is_told_also_when_the_journal_is_lost_with_it(work: Work) -> None:
    def fail() -> None:
        kill_lock(work.fleet)
        raise Refused("no more disk")

    with pytest.raises(Refused, match="no more disk"), locked(work, planned(work)):
        fail()


def test_nothing_is_done_when_somebody_has_switched_since_the_plan_was_made(work: Work) -> None:
    work.view = View({}, {work.stage.proxy[0]: Proxy("b", "1.0", True)})
    with pytest.raises(Refused) as caught, locked(work, planned(work)):
        pytest.fail("it was begun")
    assert caught.value.exit_code == 3
    assert caught.value.what.startswith("the live slot has changed since the plan was made")
    assert caught.value.next_step == "run the command again"

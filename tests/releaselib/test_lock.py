"""A stage is locked by one at a time, and the lock cannot outlive its holder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import real
from releaselib import progress
from releaselib.config.inventory import Host
from releaselib.decide.journal import Began, Failed, History, Report, Staged, Switched, read, written
from releaselib.errors import CommandFailed, Locked
from releaselib.hosts import held, lock as lock_module
from releaselib.hosts.connection import Remote, Running
from releaselib.hosts.facts import look
from releaselib.hosts.fleet import Fleet
from releaselib.hosts.here import Here
from releaselib.hosts.lock import hold, read_journal
from releaselib.hosts.scripts import call, start

BEGAN = Began("release", "maria@desk", "2026-11-23T10:00:00Z", "b", "a", real.release("2.0", wheels={"shop": "2.0"}))
HOLDER = """
import sys
from contextlib import suppress
from pathlib import Path
import real
from releaselib.decide.journal import Began
from releaselib.hosts.facts import look
from releaselib.hosts.fleet import Fleet
from releaselib.hosts.lock import hold
stage = real.stage(Path(sys.argv[1]))
with hold(Fleet(stage), "li@desk since today: release 3.0") as journal:
    journal.write(Began("release", "li@desk", "today", "a", "", real.release("3.0")))
    print("held", flush=True)
    sys.stdin.read()
"""


def refused(fleet: Fleet) -> Locked:
    with pytest.raises(Locked) as caught, hold(Fleet(fleet.stage)):
        pass
    assert caught.value.exit_code == 4
    assert (
        caught.value.next_step
        == "wait for its end (release, deploy, switch and rollback do with --wait 300), or fab lock.show --stage test"
    )
    return caught.value


def test_a_second_holder_is_refused_and_told_who_holds_it(here: Fleet) -> None:
    with hold(here, "maria@desk since 2026-11-23T10:00:00Z: release 2.0"):
        assert refused(here).what == ("stage test is locked by maria@desk since 2026-11-23T10:00:00Z: release 2.0")
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
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as process:
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


DONE = Report(action="release", version="3.0")


def test_the_last_event_is_written_and_with_it_the_lock_is_given_up(here: Fleet) -> None:
    with hold(here) as lock:
        lock.write(BEGAN, wait=False)
        lock.close(DONE)
        subprocess.run(["flock", "-n", here.stage.paths.stage_lock, "true"], check=True)
    assert read_journal(here, 9) == History((BEGAN, DONE))


def test_a_sign_of_life_never_comes_behind_the_last_event(here: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, ended = threading.Event(), threading.Event()

    class Over(threading.Event):
        """Answers the first who asks that it is not set, when it has been set meanwhile."""

        def wait(self, timeout: float | None = None) -> bool:
            if asked.is_set():
                return super().wait(timeout)
            asked.set()
            ended.wait()
            return False

    failed: list[object] = []
    monkeypatch.setattr(threading, "excepthook", lambda told: failed.append(told.exc_value))
    monkeypatch.setattr(held, "PULSE", 0.001)
    with hold(here) as lock:
        lock._over = Over()
        asked.wait()
        lock.close(DONE)
        ended.set()
        for one in threading.enumerate():
            if "_live" in one.name:
                one.join()
    assert failed == []


def test_a_last_event_that_is_not_written_is_told(here: Fleet) -> None:
    journal = Path(here.stage.paths.journal)
    with hold(here) as lock:
        journal.mkdir()
        with pytest.raises(CommandFailed, match=r"the journal cannot be written there(.|\n)*Is a directory"):
            lock.close(DONE)
    journal.rmdir()
    with hold(here) as lock:
        kill_lock(here)
        with pytest.raises(CommandFailed, match="so it counts as lost"):
            lock.close(DONE)


def kill_lock(fleet: Fleet) -> None:
    """Kill the script that holds the lock of a stage on its host."""
    os.kill(holder_of(Path(fleet.stage.prefix)), signal.SIGKILL)


def holder_of(prefix: Path) -> int:
    """The process of the script that holds the lock there."""
    file = f"{prefix}/stage.lock"
    holders = set()
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):
            if str(descriptor.readlink()) == file:
                holders.add(int(descriptor.parts[2]))
    (pid,) = holders
    return pid


def test_a_journal_that_cannot_be_written_is_told_because_the_lock_is_lost(here: Fleet) -> None:
    with hold(here) as journal:
        journal.write(BEGAN)
        kill_lock(here)
        for _ in range(2):  # the first may still be taken by the pipe
            with pytest.raises(CommandFailed) as caught:
                journal.write(Switched("a"))
            assert caught.value.exit_code == 5
            assert caught.value.what.startswith(
                "local: what holds the lock there does not answer, so it counts as lost"
            )
            assert caught.value.next_step == "fab status"


def test_a_prefix_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    stage = real.stage(tmp_path, prefix=f"{tmp_path}/file/shop")
    with pytest.raises(CommandFailed) as caught, hold(Fleet(stage)):
        pass
    assert caught.value.what == "local: the stage cannot be locked"
    assert "file" in caught.value.cause
    assert caught.value.next_step == "can the stage's user write to its prefix there?"


def test_the_last_lines_are_read_from_the_host_with_the_state_of_the_lock(here: Fleet) -> None:
    assert read_journal(here, 9) == History()
    with hold(here) as journal:
        for event in (BEGAN, Staged("a"), Switched("a")):
            journal.write(event)
        assert read_journal(here, 2) == History((Staged("a"), Switched("a")), "somebody")
    assert read_journal(here, 9) == History((BEGAN, Staged("a"), Switched("a")))


def test_a_last_line_without_its_end_is_read_too(here: Fleet) -> None:
    journal = Path(here.stage.paths.journal)
    journal.parent.mkdir(parents=True)
    journal.write_text(f"{written(BEGAN)}\n{written(Switched('b'))}")
    assert read_journal(here, 9).events == (BEGAN, Switched("b"))


def test_each_lock_has_a_higher_number_than_the_one_before(here: Fleet) -> None:
    seen = []
    for _ in range(3):
        with hold(Fleet(here.stage)) as lock:
            seen.append(lock.fence)
            assert Path(here.stage.paths.fence_file).read_text() == str(lock.fence)
    assert seen == [1, 2, 3]


def test_a_lock_whose_number_cannot_be_kept_is_none(here: Fleet) -> None:
    """Whoever takes it next would have the same, and could not be told from this holder."""
    Path(here.stage.paths.fence_file + ".new").mkdir(parents=True)
    with pytest.raises(CommandFailed, match="or what else is kept beside the lock") as caught, hold(here):
        pass
    assert "[Errno 21] Is a directory" in caught.value.cause
    assert here.fence == 0


def test_a_host_that_has_seen_a_higher_number_raises_that_of_the_lock(here: Fleet) -> None:
    """The hosts of the lock were made anew, or a power cut emptied their file."""
    fence = Path(here.stage.paths.fence_file)
    fence.parent.mkdir(parents=True, exist_ok=True)
    for text in ("", "garbage", "²", "7"):
        with hold(here) as lock:
            fence.write_text(text)  # as another host has it
            look(here, here.stage.app)
            assert lock.fence == here.fence == int(fence.read_text() if text == "7" else lock.fence)
            call(here.remote(here.stage.app[0]), "slot_act.sh", action="shutdown", chosen="a")
    assert here.fence == 8
    with hold(here):
        kill_lock(here)
        fence.write_text("99")
        before = here.fence
        with pytest.raises(CommandFailed, match="so it counts as lost"):
            look(here, here.stage.app)
        assert here.fence == before, "with a higher one it would shut out whoever has the lock now"


def test_what_is_done_under_a_lock_carries_its_number(here: Fleet) -> None:
    with hold(here) as lock:
        assert here.remote(here.stage.app[0]).fence == here.fence == lock.fence


def test_a_holder_that_is_not_heard_any_more_has_lost_the_lock(here: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a power cut of the controller, whose connection the host still believes in."""
    monkeypatch.setattr(lock_module, "PATIENCE", 0.3)
    monkeypatch.setattr(held, "PULSE", 1000)
    with hold(here) as first:
        subprocess.run(["flock", here.stage.paths.stage_lock, "true"], check=True)
        with hold(Fleet(here.stage)) as second:
            assert second.fence == first.fence + 1
            with suppress(CommandFailed):  # this one may still be taken by the pipe
                first.write(BEGAN)
            with pytest.raises(CommandFailed, match="so it counts as lost"):
                first.write(BEGAN)


def test_a_holder_that_is_silent_but_alive_keeps_the_lock(here: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock_module, "PATIENCE", 2)
    monkeypatch.setattr(held, "PULSE", 0.05)
    with hold(here) as lock:
        probe = ("flock", "-w", "3", here.stage.paths.stage_lock, "true")  # longer than the host's patience
        assert subprocess.run(probe).returncode == 1
        lock.write(BEGAN)


def test_somebody_elses_lock_can_be_waited_for(here: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    ended = threading.Event()

    def work() -> None:
        with hold(Fleet(here.stage)) as first:
            first.write(BEGAN)
            taken.set()
            while "waiting for up to 60 s" not in told():
                ended.wait(0.05)

    told_so_far: list[str] = []

    def told() -> str:
        told_so_far.append(capsys.readouterr().err)
        return "".join(told_so_far)

    taken, worker = threading.Event(), threading.Thread(target=work)
    worker.start()
    taken.wait()
    with hold(here, wait=60) as second:
        assert second.fence == 2
    worker.join()
    assert told().count("waiting for up to 60 s") == 1


def test_a_frozen_stage_is_refused_with_who_and_why_until_it_is_thawed(here: Fleet) -> None:
    with hold(here, frozen=True) as lock:
        lock.tell('freeze {"who": "li@desk", "when": "today", "why": "the big sale"}')
    for _ in range(2):
        with pytest.raises(Locked) as caught, hold(Fleet(here.stage)):
            pytest.fail("it was begun")
        assert caught.value.what == "stage test is frozen by li@desk since today: the big sale"
        assert caught.value.next_step == "fab lock.release --stage test, once that is over"
    with hold(Fleet(here.stage), frozen=True) as lock:
        lock.tell("thaw")
    with hold(Fleet(here.stage)):
        pass


def test_a_full_disk_is_told_and_nothing_goes_on(here: Fleet) -> None:
    with hold(here) as lock:
        Path(here.stage.paths.journal).mkdir()
        with pytest.raises(CommandFailed) as caught:
            lock.write(BEGAN)
        assert "Is a directory" in caught.value.cause
        assert caught.value.what.startswith("local: the journal cannot be written there, or")


def test_what_is_written_without_waiting_stands_in_front_and_its_failure_is_told_by_the_next(here: Fleet) -> None:
    with hold(here) as lock:
        lock.write(BEGAN, wait=False)
        lock.write(Staged("a"), wait=False)
        lock.write(Switched("a"))
        assert read_journal(here, 9).events == (BEGAN, Staged("a"), Switched("a"))
        Path(here.stage.paths.journal).unlink()
        Path(here.stage.paths.journal).mkdir()
        lock.write(Staged("b"), wait=False)
        with pytest.raises(CommandFailed) as caught:
            lock.tell("pulse")
        assert caught.value.what.startswith("local: the journal cannot be written there, or")
        assert "Is a directory" in caught.value.cause


def two_hosts(short: Path) -> tuple[Fleet, dict[Host, Path]]:
    """Two prefixes of this machine that stand for two lock hosts."""
    stage = real.stage(short)
    two = Fleet(stage)
    hosts = {Host(address="p1"): short / "one", Host(address="p2"): short / "two"}
    for host, folder in hosts.items():
        of_host = stage.model_copy(update={"prefix": str(folder), "proxy": tuple(hosts)})
        two._remotes[host] = Here(host, of_host)
    two.stage = stage.model_copy(update={"proxy": tuple(hosts)})
    return two, hosts


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host gives the lock up after two seconds without a sign of life, and a person is told after half of one."""
    monkeypatch.setattr(lock_module, "PATIENCE", 2)
    monkeypatch.setattr(held, "PULSE", 0.05)
    monkeypatch.setattr(progress, "SILENCE", 0.5)


def is_held(folder: Path) -> bool:
    """Whether a lock is held for longer than the patience of two seconds of its host."""
    return subprocess.run(("flock", "-w", "3", f"{folder}/stage.lock", "true")).returncode == 1


def test_a_lock_host_that_is_slow_to_be_locked_costs_no_other_one_the_lock(
    impatient: None, short: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    two, hosts = two_hosts(short)
    first = next(iter(hosts.values()))
    kept = []

    def slow(remote: Remote, *words: str, **values: Any) -> Running:
        if remote.host.address == "p2":
            kept.append(is_held(first))
        return start(remote, *words, **values)

    monkeypatch.setattr(lock_module, "start", slow)
    with hold(two) as lock:
        lock.write(BEGAN)
    assert kept == [True]
    assert "p2 has not said yet whether it can be locked" in capsys.readouterr().err


def test_a_lock_host_that_is_slow_costs_no_other_one_the_lock(
    impatient: None, short: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    two, hosts = two_hosts(short)
    first, second = hosts.values()
    with hold(two) as lock:
        slow = holder_of(second)
        os.kill(slow, signal.SIGSTOP)
        writing = threading.Thread(target=lock.write, args=[BEGAN])
        writing.start()
        try:
            assert is_held(first)
        finally:
            os.kill(slow, signal.SIGCONT)
            writing.join()
        lock.write(Switched("a"))
    assert "p2: what holds the lock there has not answered yet" in capsys.readouterr().err
    for folder in (first, second):
        assert [read(line) for line in (folder / "journal.jsonl").read_text().splitlines()] == [BEGAN, Switched("a")]


def test_a_lock_host_that_takes_nothing_costs_no_other_one_the_lock(
    impatient: None, short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that was cut off while much was under way to it."""
    two, hosts = two_hosts(short)
    (first, _), (second, _) = hosts.items()
    goes_on = threading.Event()
    with hold(two) as lock:
        send = lock._held[second].send
        monkeypatch.setattr(lock._held[second], "send", lambda line: goes_on.wait() and send(line))
        assert is_held(hosts[first])
        goes_on.set()
        with pytest.raises(CommandFailed, match="p2: what holds the lock there does not answer"):
            lock.write(BEGAN)


def test_a_lock_host_that_is_gone_costs_no_other_one_the_lock_while_a_command_goes_on(
    impatient: None, short: Path
) -> None:
    two, hosts = two_hosts(short)
    first, second = hosts.values()
    with suppress(CommandFailed), hold(two) as lock:
        os.kill(holder_of(second), signal.SIGKILL)
        assert is_held(first)
        with pytest.raises(CommandFailed, match="p2: what holds the lock there does not answer"):
            lock.write(BEGAN)
        assert is_held(first)


def test_a_lock_host_that_hangs_is_not_waited_for_at_the_end(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "ENDING", 3)
    two, hosts = two_hosts(short)
    first, second = hosts.values()
    with hold(two):
        hanging = holder_of(second)
        os.kill(hanging, signal.SIGSTOP)
    try:
        assert subprocess.run(("flock", "-n", f"{first}/stage.lock", "true")).returncode == 0
        assert subprocess.run(("flock", "-n", f"{second}/stage.lock", "true")).returncode == 1
    finally:
        os.kill(hanging, signal.SIGCONT)


def test_who_does_not_get_the_lock_of_every_host_shuts_out_nobody(short: Path) -> None:
    """Its holder has lost it on one of them, and goes on: switched there and not elsewhere would be the worst end."""
    two, hosts = two_hosts(short)
    with hold(two) as lock:
        os.kill(holder_of(short / "one"), signal.SIGKILL)
        with pytest.raises(Locked), hold(two_hosts(short)[0]):
            pass
        assert {(folder / "fence").read_text() for folder in hosts.values()} == {str(lock.fence)} == {"1"}


def test_the_number_of_a_lock_is_kept_by_those_that_can_be_reached(short: Path) -> None:
    """Without proxies; the last of them, which keeps it by itself, is the one that is gone."""
    stage = real.stage(short)
    here, gone = Host(address="p1"), Host(address="p2.invalid")  # RFC 2606: no such name
    some = Fleet(stage)
    some._remotes[here] = Here(here, stage.model_copy(update={"app": (here, gone), "proxy": ()}))
    some.stage = stage.model_copy(update={"app": (here, gone), "proxy": (), "connect_timeout": 1})
    for number in ("1", "2"):
        with hold(some) as lock:
            assert Path(stage.paths.fence_file).read_text() == str(lock.fence) == number


def test_a_lock_host_that_is_new_or_behind_gets_the_longest_journal(short: Path) -> None:
    two, hosts = two_hosts(short)
    (short / "two").mkdir()
    lines = [written(event) for event in (BEGAN, Staged("a"), Switched("a"))]
    (short / "two/journal.jsonl").write_text("".join(f"{line}\n" for line in lines))
    (short / "two/fence").write_text("41")
    with hold(two) as lock:
        assert lock.fence == 42
        lock.write(Failed("release", "no"))
    texts = {(folder / "journal.jsonl").read_text() for folder in hosts.values()}
    assert [read(line) for line in texts.pop().splitlines()] == [
        BEGAN,
        Staged("a"),
        Switched("a"),
        Failed("release", "no"),
    ]
    assert not texts, "both are the same"
    assert {(folder / "fence").read_text() for folder in hosts.values()} == {"42"}

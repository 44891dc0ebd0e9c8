"""Work is done on all hosts at once, within a bound, and every host has a result."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import pytest

import real
from releaselib import progress
from releaselib.config.inventory import Host
from releaselib.config.stage import Stage
from releaselib.decide.budget import Budget
from releaselib.errors import CommandFailed, ConfigError, HostsFailed, ReleaseError, several
from releaselib.hosts import fleet as fleets
from releaselib.hosts.connection import TIMED_OUT, Remote, Unreachable
from releaselib.hosts.fleet import Fleet, Results, connected
from releaselib.hosts.here import Here
from releaselib.process import Output
from rig import wait_for


@pytest.fixture
def remote(here: Fleet) -> Remote:
    return here.remote(here.stage.app[0])


def many(parallel: int, count: int = 9) -> Fleet:
    """A fleet of hosts that are all reached already."""
    fleet = Fleet(real.stage(Path("/shop"), parallel=parallel))
    for n in range(count):
        host = Host(address=f"h{n}")
        fleet._remotes[host] = Here(host, fleet.stage)
    return fleet


def test_a_command_runs_to_its_end_and_gives_both_streams(remote: Remote) -> None:
    assert remote.run(("sh", "-c", "echo out; echo err >&2; exit 3")) == Output(3, "out\n", "err\n")


def test_text_reaches_a_command_as_it_is(remote: Remote) -> None:
    assert remote.run(("cat",), "one\ntwo\0☃").stdout == "one\ntwo\0☃"
    assert remote.run(("cat",)).stdout == ""


def test_text_that_nobody_reads_does_no_harm(remote: Remote) -> None:
    assert remote.run(("sh", "-c", "exit 3"), "x" * 1_000_000).code == 3


def test_a_command_that_does_not_end_is_given_up(tmp_path: Path) -> None:
    fleet = Fleet(real.stage(tmp_path, command_timeout=1))
    done = fleet.remote(fleet.stage.app[0]).run(("sleep", "1000"), seconds=0.5)
    assert done == Output(TIMED_OUT, "", "no end after 1.5 s")


def test_a_command_that_is_not_silent_is_given_up_too(tmp_path: Path) -> None:
    """What counts is the whole time that it takes, whatever it says."""
    fleet = Fleet(real.stage(tmp_path, command_timeout=1))
    done = fleet.remote(fleet.stage.app[0]).run(("sh", "-c", "while sleep 0.05; do echo on; done"))
    assert done.code == TIMED_OUT


def test_what_a_command_has_started_ends_with_it(tmp_path: Path) -> None:
    """Else a release that was given up would go on."""
    fleet = Fleet(real.stage(tmp_path, command_timeout=1))
    child = tmp_path / "pid"
    done = fleet.remote(fleet.stage.app[0]).run(("sh", "-c", f"sleep 600 & echo $! >{child}; wait"))
    assert done.code == TIMED_OUT
    wait_for(lambda: not Path(f"/proc/{child.read_text().strip()}").exists(), "its end")


def test_a_command_that_was_started_can_be_talked_with(remote: Remote) -> None:
    running = remote.start(("sh", "-c", "read a; echo got $a; read b || echo end; echo err >&2; exit 4"))
    running.send("one")
    assert running.receive() == "got one"
    assert running.finish() == Output(4, "end\n", "err\n")


def test_a_command_that_has_ended_says_nothing_more(remote: Remote) -> None:
    running = remote.start(("sh", "-c", "echo last"))
    assert [running.receive(), running.receive(), running.receive()] == ["last", "", ""]
    assert running.finish() == Output(0, "", "")


def test_results_come_in_the_order_of_the_hosts_with_errors_apart() -> None:
    fleet = many(3)
    hosts = list(fleet._remotes)

    def work(remote: Remote) -> str:
        if remote.host.name in ("h2", "h7"):
            raise CommandFailed(f"{remote.host.name}: no route")
        return remote.host.name.upper()

    results = fleet.each(hosts, work)
    good = [host for host in hosts if host.name not in ("h2", "h7")]
    assert results.succeeded == {host: host.name.upper() for host in good}
    assert list(results.succeeded) == good
    assert [str(error) for error in results.failures.values()] == ["h2: no route", "h7: no route"]


def test_a_host_that_was_interrupted_can_be_connected_to_again_by_what_tidies_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(fleets.CONNECTORS, "paramiko", Here)
    fleet = many(3)
    host = next(iter(fleet._remotes))
    before = fleet.remote(host)

    def work(remote: Remote) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fleet.each([host], work)
    assert fleet.remote(host) is not before


def test_an_error_that_nobody_foresaw_is_not_hidden_among_the_results() -> None:
    fleet = many(3)
    with pytest.raises(ZeroDivisionError):
        fleet.each(list(fleet._remotes), lambda remote: 1 / 0)


class Handed(list[Host]):
    """Hosts that tell how many threads there are once the last one has been handed out."""

    threads = 0
    all: threading.Event

    def __iter__(self) -> Iterator[Host]:
        yield from super().__iter__()
        self.threads = sum(thread.name.startswith("ThreadPool") for thread in threading.enumerate())
        self.all.set()


@pytest.mark.parametrize("parallel", [1, 3, 50])
def test_as_many_hosts_are_at_work_at_once_as_the_stage_says(parallel: int) -> None:
    fleet = many(parallel)
    hosts = Handed(fleet._remotes)
    hosts.all = threading.Event()
    results = fleet.each(hosts, lambda remote: hosts.all.wait())  # nobody is done before all are handed out
    assert hosts.threads == min(parallel, 9)
    assert len(results.succeeded) == 9


def test_after_a_while_it_is_said_who_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "SILENCE", 0.01)
    told = threading.Event()
    monkeypatch.setattr(progress, "listeners", [progress.printed, lambda event: told.set() if event.words else None])
    hosts = many(3)
    slow = list(hosts._remotes)[2]
    hosts.each(list(hosts._remotes), lambda remote: told.wait() if remote.host == slow else None)
    assert f"at work: {slow.name}" in capsys.readouterr().err


SEVERAL: dict[str, tuple[dict[str, str], str]] = {
    "one": ({"h1": "h1: died\nTraceback"}, "h1: died\nTraceback"),
    "the same on all": ({"h1": "h1: pid 7 died", "h2": "h2: pid 88 died"}, "h1: pid 7 died\nthe same on h2"),
    "of many the rest in a line": (
        {"h1": "a\nx", "h2": "b\nx", "h3": "c\nx", "h4": "d\nx", "h5": "h5: d\nx"},
        "a\nx\nb\nx\nc\nx\nd\nh5: d",
    ),
}


@pytest.mark.parametrize(("errors", "told"), SEVERAL.values(), ids=SEVERAL)
def test_what_went_wrong_is_told_once_for_all_hosts_where_it_did(errors: dict[str, str], told: str) -> None:
    assert several(errors) == told


def test_no_hosts_are_no_work() -> None:
    assert many(3).each((), lambda remote: 1 / 0) == Results({}, {})


def test_a_host_is_connected_once(here: Fleet) -> None:
    host = here.stage.app[0]
    assert here.remote(host) is here.remote(host)


class Far(Here):
    """A host that takes until it is told to be connected; every attempt is in ``tries``."""

    tries: ClassVar[list[str]] = []
    near = threading.Event()
    closed = threading.Event()
    reason = ""

    def __init__(self, host: Host, stage: Stage) -> None:
        super().__init__(host, stage)
        self.tries.append(host.name)
        assert self.near.wait(60)
        if self.reason:
            raise Unreachable(f"{host.name}: {self.reason}")

    def close(self) -> None:
        self.closed.set()


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    monkeypatch.setitem(fleets.CONNECTORS, "paramiko", Far)
    monkeypatch.setattr(Far, "reason", "")
    for event in (Far.near, Far.closed, Far.tries):
        event.clear()
    yield Fleet(real.stage(Path("/shop"), app=["far"], proxy=["far"]))
    Far.near.set()


def test_a_host_that_is_being_connected_is_waited_for(far: Fleet) -> None:
    far.connect_ahead(far.stage.app)
    with ThreadPoolExecutor() as pool:
        remote = pool.submit(far.remote, far.stage.app[0])
        Far.near.set()
        assert remote.result().host.name == "far"
    assert Far.tries == ["far"]


def test_a_host_that_could_not_be_connected_is_tried_again_only_when_that_was_told(
    far: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Far, "reason", "no route")
    Far.near.set()
    far.connect_ahead(far.stage.app)
    while not far._refused:
        pass
    with pytest.raises(Unreachable, match="far: no route"):
        far.remote(far.stage.app[0])
    assert Far.tries == ["far"]
    monkeypatch.setattr(Far, "reason", "")
    assert far.remote(far.stage.app[0]).host.name == "far"


def test_why_there_was_no_connection_is_not_believed_for_long(far: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleets, "RECENT", 0)
    monkeypatch.setattr(Far, "reason", "no route")
    Far.near.set()
    far.connect_ahead(far.stage.app)
    while not far._refused:
        pass
    monkeypatch.setattr(Far, "reason", "")
    assert far.remote(far.stage.app[0]).host.name == "far"


def test_a_host_of_two_roles_is_connected_ahead_once_also_when_it_is_down(
    far: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Far, "reason", "no route")
    far.connect_ahead([*far.stage.proxy, *far.stage.app])
    while not Far.tries:
        pass
    Far.near.set()
    with pytest.raises(Unreachable, match="far: no route"):
        far.remote(far.stage.app[0])
    assert Far.tries == ["far"]


def test_whatever_keeps_a_host_from_being_connected_ahead_is_told_by_who_needs_it(
    far: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(host: Host, stage: Stage) -> Far:
        raise ConfigError("known_hosts cannot be read", next_step="ls -l")

    monkeypatch.setitem(fleets.CONNECTORS, "paramiko", broken)
    far.connect_ahead(far.stage.app)
    with pytest.raises(ConfigError, match="known_hosts"):
        far.remote(far.stage.app[0])


class Pool(ThreadPoolExecutor):
    """Threads that let the host be connected once they are to end."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        Far.near.set()
        super().shutdown(wait, cancel_futures=cancel_futures)


def test_after_an_interrupt_nothing_begins_on_a_host_that_was_being_connected(
    far: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt() -> None:
        while not Far.tries:
            pass
        while not Far.near.is_set():  # one that comes just before Python waits is seen only after that
            os.kill(os.getpid(), signal.SIGINT)
            Far.near.wait(0.2)

    acted: list[str] = []
    monkeypatch.setattr(fleets, "ThreadPoolExecutor", Pool)
    worker = threading.Thread(target=interrupt)
    worker.start()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            far.each(far.stage.app, lambda remote: acted.append(remote.host.name))
    finally:
        signal.signal(signal.SIGINT, before)
        worker.join()
    assert not acted


def test_what_is_connected_after_the_end_is_closed(far: Fleet) -> None:
    far.connect_ahead(far.stage.app)
    while not Far.tries:
        pass
    far.close()
    Far.near.set()
    assert Far.closed.wait(60)


def test_connections_are_closed_at_the_end_whatever_happens() -> None:
    closed: list[str] = []

    class Closing(Here):
        def close(self) -> None:
            closed.append(self.host.name)

    stage = real.stage(Path("/shop"))
    host = stage.app[0]

    def fail(fleet: Fleet) -> None:
        fleet._remotes[host] = Closing(host, stage)
        raise ReleaseError("no")

    with pytest.raises(ReleaseError), connected(stage) as fleet:
        fail(fleet)
    assert closed == ["local"]


H1, H2 = Host(address="h1"), Host(address="h2")
MIXED: Results[str] = Results({H1: "up"}, {H2: CommandFailed("h2: no route")})


def test_all_must_have_succeeded_where_that_is_required() -> None:
    whole = Results({H1: "up"}, {})
    assert whole.require("hosts failed") == {H1: "up"}
    assert whole.named("hosts failed") == {"h1": "up"}
    with pytest.raises(HostsFailed) as caught:
        MIXED.named("hosts failed: validate")
    assert str(caught.value) == "1 of 2 hosts failed: validate\n    h2: no route\nnext: fab status"
    assert caught.value.answers == {"h1": "up"}


def test_within_a_budget_some_may_have_failed_and_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert MIXED.within(Budget(1, 2)) == {H1: "up"}
    assert capsys.readouterr().err == "left out of the switch: h2: no route\n"
    with pytest.raises(HostsFailed, match="1 of 2 hosts failed \\(max_failures = 0\\)"):
        MIXED.within(Budget(0, 2))


def test_a_file_of_known_hosts_that_is_missing_is_told_before_anything_is_connected(tmp_path: Path) -> None:
    stage = real.stage(tmp_path, app=["h1"], proxy=[], known_hosts="hosts/known")
    with pytest.raises(ConfigError) as caught, connected(stage):
        pytest.fail("it went on")
    assert caught.value.what == f"stages.test.known_hosts: {tmp_path}/hosts/known is missing"
    assert caught.value.next_step.startswith("ssh-keyscan HOST >> ")

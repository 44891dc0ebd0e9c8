"""Work is done on all hosts at once, within a bound, and every host has a result."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import real
from releaselib.errors import CommandFailed, ReleaseError
from releaselib.fleet import Fleet, Here, Remote, Result, call, connected
from releaselib.hosts import Host
from releaselib.shell import Output


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


def test_files_reach_a_command_as_json(remote: Remote) -> None:
    files = {"größe.txt": "one\ntwo\0☃", "empty": ""}
    assert json.loads(remote.run(("cat",), files=files).stdout) == files
    assert json.loads(remote.run(("cat",)).stdout) == {}


def test_files_that_nobody_reads_do_no_harm(remote: Remote) -> None:
    assert remote.run(("true",), files={"large": "x" * 1_000_000}).code == 0


def test_a_command_that_does_not_end_is_ended(tmp_path: Path) -> None:
    fleet = Fleet(real.stage(tmp_path, command_timeout=1))
    done = fleet.remote(fleet.stage.app[0]).run(("sleep", "1000"))
    assert done == Output(124, "", "no end after 1 s")


def test_a_command_that_was_started_can_be_talked_with(remote: Remote) -> None:
    running = remote.start(("sh", "-c", "read a; echo got $a; read b || echo end; echo err >&2; exit 4"))
    running.send("one")
    assert running.receive() == "got one"
    assert running.finish() == Output(4, "end\n", "err\n")


def test_a_command_that_has_ended_says_nothing_more(remote: Remote) -> None:
    running = remote.start(("sh", "-c", "echo last"))
    assert [running.receive(), running.receive(), running.receive()] == ["last", "", ""]
    assert running.finish() == Output(0, "", "")


def test_results_come_in_the_order_of_the_hosts_with_errors_among_them() -> None:
    fleet = many(3)
    hosts = list(fleet._remotes)

    def work(remote: Remote) -> str:
        if remote.host.name in ("h2", "h7"):
            raise CommandFailed(f"{remote.host.name}: no route")
        return remote.host.name.upper()

    results = fleet.each(hosts, work)
    assert [result.host for result in results] == hosts
    assert [result.value for result in results] == ["H0", "H1", None, "H3", "H4", "H5", "H6", None, "H8"]
    assert [str(result.error) for result in results if result.error] == ["h2: no route", "h7: no route"]


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
    assert len(results) == 9


def test_no_hosts_are_no_work() -> None:
    assert many(3).each((), lambda remote: 1 / 0) == []


def test_a_host_is_connected_once(here: Fleet) -> None:
    host = here.stage.app[0]
    assert here.remote(host) is here.remote(host)


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


def test_a_result_gives_its_value_or_raises_its_error() -> None:
    host = Host(address="h1")
    assert Result(host, 0).get() == 0
    with pytest.raises(CommandFailed, match="no route"):
        Result(host, None, CommandFailed("no route")).get()


def test_a_script_that_fails_is_told_with_host_reason_and_last_lines(remote: Remote) -> None:
    with pytest.raises(CommandFailed) as caught:
        call(
            remote, "check.sh", "9.9", "/srv", why={69: "there is no Python"}, next_step="apt-get install it"
        )
    assert str(caught.value) == (
        "local: there is no Python\n    no Python 9.9 on this host\nnext: apt-get install it"
    )


def test_a_script_that_fails_for_no_known_reason_tells_its_name_and_code(remote: Remote) -> None:
    with pytest.raises(CommandFailed) as caught:
        call(remote, "check.sh", "9.9", "/srv")
    assert caught.value.what == "local: check.sh failed (exit code 69)"

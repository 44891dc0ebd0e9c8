"""A command over ssh ends as it does on this machine, whatever it says, reads or waits for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from releaselib import config
from releaselib.hosts import ssh_text
from releaselib.hosts.connection import KEPT, TIMED_OUT, Distrusted, Remote, Unreachable
from releaselib.hosts.fleet import CONNECTORS
from releaselib.process import Output
from rig import Fleet, Host

pytestmark = pytest.mark.hosts
HOW = {"connector": ""}
"""How the test at work connects."""


@pytest.fixture(params=["paramiko", "openssh"], autouse=True)
def connector(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What connects, in turn."""
    monkeypatch.setitem(HOW, "connector", request.param)
    return str(request.param)


@pytest.fixture
def host(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> Host:
    """A host that the user of the test may log in on."""
    for name, value in fleet.environment().items():
        monkeypatch.setenv(name, value)
    return fleet.add("app1")


def connect(host: Host, **keys: Any) -> Remote:
    table = {"app": [host.address], "user": "root", **HOW, **keys}
    stage = config.parse({"stages": {"test": table}}, root=Path("/"), name="shop").stage("test")
    return CONNECTORS[stage.connector](stage.app[0], stage)


@pytest.fixture
def remote(host: Host) -> Iterator[Remote]:
    made = connect(host)
    yield made
    made.close()


def test_a_command_gives_its_code_and_both_streams(remote: Remote) -> None:
    assert remote.run(("sh", "-c", "cat; echo err >&2; exit 3"), "größe\n") == Output(3, "größe\n", "err\n")


def test_more_on_stderr_than_the_window_holds_does_not_block_the_command(remote: Remote) -> None:
    done = remote.run(("sh", "-c", "head -c 9000000 /dev/zero | tr '\\0' x >&2; echo out"))
    assert (done.code, done.stdout) == (0, "out\n")
    assert done.stderr == f"({9_000_000 - KEPT} bytes before this were dropped)\n" + "x" * KEPT


def test_input_that_nobody_reads_does_not_hide_the_exit_code(remote: Remote) -> None:
    for _ in range(5):
        assert remote.run(("sh", "-c", "echo why >&2; exit 3"), "x" * 5_000_000) == Output(3, "", "why\n")


def test_input_that_is_read_late_arrives_whole(remote: Remote) -> None:
    done = remote.run(("sh", "-c", "sleep 0.3; cat | wc -c"), "x" * 5_000_000)
    assert done == Output(0, "5000000\n", "")


@pytest.mark.parametrize("words", ["sleep 1000", "while sleep 0.05; do echo on; done"], ids=["silent", "loud"])
def test_a_command_is_given_up_after_its_whole_time(host: Host, words: str) -> None:
    remote = connect(host, command_timeout=1)
    assert remote.run(("sh", "-c", words), seconds=0.5) == Output(TIMED_OUT, "", "no end after 1.5 s")
    assert remote.run(("echo", "on")).stdout == "on\n", "the connection goes on"
    remote.close()


def test_a_command_that_is_waited_for_may_be_silent_for_longer_than_a_command_may_take(host: Host) -> None:
    """As a health check that waits for health_timeout, which may be more than command_timeout."""
    remote = connect(host, command_timeout=1)
    assert remote.run(("sh", "-c", "sleep 2; echo healthy"), seconds=60) == Output(0, "healthy\n", "")
    remote.close()


def test_a_command_that_was_started_can_be_talked_with(remote: Remote) -> None:
    running = remote.start(("sh", "-c", "read a; echo got $a; read b || echo end; echo err >&2; exit 4"))
    running.send("one")
    assert running.receive() == "got one"
    assert running.finish() == Output(4, "end\n", "err\n")


def test_several_commands_share_one_connection(host: Host, remote: Remote) -> None:
    running = remote.start(("cat",))
    for word in ("one", "two"):
        assert remote.run(("echo", word)).stdout == f"{word}\n"
        running.send(word)
        assert running.receive() == word
    assert running.finish().code == 0
    assert host.log.read_text().count("Accepted publickey") == 1


def test_the_end_of_a_host_is_told(host: Host, remote: Remote) -> None:
    running = remote.start(("sh", "-c", "echo begun; cat"))
    assert running.receive() == "begun"
    host.power_off()
    with pytest.raises(Unreachable, match=f"{host.address}: the connection was lost"):
        running.finish()


@pytest.mark.parametrize("connector", ["openssh"], indirect=True)
def test_a_host_that_falls_silent_is_given_up(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """For Paramiko it is in test_faults, with a shop."""
    patient, soon = "ServerAliveInterval 15", "ServerAliveInterval 1"
    assert patient in ssh_text.CONFIG
    monkeypatch.setattr(ssh_text, "CONFIG", ssh_text.CONFIG.replace(patient, soon))
    remote = connect(host)
    running = remote.start(("sh", "-c", "echo begun; cat"))
    assert running.receive() == "begun"
    host.cut()
    words = f"{host.address}: the connection was lost: Timeout, server {host.address} not responding."
    with pytest.raises(Unreachable, match=words):
        running.finish()
    remote.close()


@pytest.fixture
def behind(fleet: Fleet, host: Host) -> Host:
    """A host that is reached over another one."""
    made = fleet.add("app2")
    config_ = Path(fleet.environment()["HOME"]) / ".ssh/config"
    with config_.open("a") as file:
        file.write(f"Host {made.address}\n    ProxyJump root@{host.address}\n")
    return made


def test_a_host_behind_another_one_is_reached(host: Host, behind: Host) -> None:
    remote = connect(behind)
    assert remote.run(("hostname", "-I")).stdout.split() == [behind.address]
    assert host.log.read_text().count("Accepted publickey") == 1
    remote.close()


@pytest.mark.parametrize("changed", ["bastion", "host"])
def test_host_keys_are_checked_at_every_hop(host: Host, behind: Host, changed: str) -> None:
    bad = host if changed == "bastion" else behind
    bad.change_host_key()
    with pytest.raises(Distrusted, match=f"{bad.address}: its host key has changed"):
        connect(behind)


def test_an_unknown_key_of_a_bastion_is_refused(fleet: Fleet, host: Host, behind: Host) -> None:
    known = Path(fleet.environment()["HOME"]) / ".ssh/known_hosts"
    known.write_text("".join(f"{line}\n" for line in known.read_text().splitlines() if host.address not in line))
    with pytest.raises(Distrusted, match=f"{host.address}: its host key is not known here"):
        connect(behind)


def test_a_revoked_key_is_refused(fleet: Fleet, host: Host) -> None:
    known = Path(fleet.environment()["HOME"]) / ".ssh/known_hosts"
    (line,) = [line for line in known.read_text().splitlines() if host.address in line]
    known.write_text(f"{line}\n@revoked * {line.partition(' ')[2]}\n")
    with pytest.raises(Distrusted, match=f"{host.address}: its host key is revoked"):
        connect(host)

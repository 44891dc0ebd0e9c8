"""What measures the others: a relay that makes hosts far, and the kernel's accounts of programs."""

from __future__ import annotations

import subprocess
import time

import pytest

from rig import Fleet, Host, accounts
from rig.accounts import Accounts, Task, Used
from rig.relay import PORT, Relay

from .conftest import Hosts

pytestmark = pytest.mark.hosts


def said(fleet: Fleet, host: Host, command: str) -> subprocess.CompletedProcess[str]:
    """What a command says over ssh, through the relay."""
    argv = ["ssh", "-p", str(PORT), host.address, command]
    return subprocess.run(argv, env=fleet.environment(), capture_output=True, text=True)


def test_a_relay_makes_a_host_far_and_counts(fleet: Fleet, hosts: Hosts) -> None:
    app1, app2 = hosts(2)
    with Relay([app1, app2], fleet.known_hosts) as relay:
        assert relay.names == [f"{app1.address}:2222", f"{app2.address}:2222"]
        for relay.there_and_back in (0, 0.1):
            begun = time.monotonic()
            assert said(fleet, app1, "echo hello; sleep 0.2; head -c 100000 /dev/zero").stdout.startswith("hello")
        (near, far) = relay.taken()
        assert (near.host, far.host) == ("app1", "app1")
        assert near.received > 100_000
        assert 8 <= far.changes <= 30
        assert time.monotonic() - begun > 0.1 * far.changes / 2
        assert relay.taken() == []
        app2.change_host_key()
        forged = said(fleet, app2, "true")
        assert forged.returncode == 255
        assert "HOST IDENTIFICATION HAS CHANGED" in forged.stderr


def test_the_kernel_tells_what_ran_on_which_host(fleet: Fleet, hosts: Hosts) -> None:
    if reason := accounts.supported():
        pytest.skip(reason)
    app1, app2 = hosts(2)
    busy = "while time.thread_time() < 0.2: pass"
    program = f"import threading, time\ndef work():\n {busy}\nt = threading.Thread(target=work); t.start(); t.join()"
    command = f'python3 -c "{program}"; (cat /dev/null); (cat </dev/null) | cat; sleep 60 >/dev/null 2>&1 & exit 0'
    with Relay([app1, app2], fleet.known_hosts), Accounts([app1, app2]) as told:
        assert said(fleet, app1, command).returncode == 0
    ran = told.of(app1)
    assert ran["python3"].started == 1
    assert ran["python3"].cpu > 0.2
    assert (ran["cat"].started, ran["sleep"].started) == (3, 1)
    assert ran["sleep"].cpu < 0.1
    assert "python3" not in told.of(app2)


def test_a_number_that_the_kernel_gives_again_means_another_process(hosts: Hosts) -> None:
    (app,) = hosts(1)
    told = Accounts([app])
    told._before = {7: Task(7, 7, app._init, "sleep", False, 1.0)}
    told._ended = [Task(7, 7, app._init, "sleep", False, 1.5), Task(7, 7, app._init, "mkdir", False, 0.25)]
    told._add_up([Task(app._init, app._init, 1, "sshd", False, 0.0)])
    assert told.of(app)["mkdir"] == Used(1, 0.25)
    assert told.of(app)["sleep"] == Used(0, 0.5)

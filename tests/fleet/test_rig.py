"""The rig does to its hosts what it says, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

import rig.hosts
from rig import Fleet, Host, RigError, supported, sweep, wait_for
from rig.ground import NETNS

pytestmark = pytest.mark.hosts

Hosts = Callable[..., list[Host]]

FABRIC = """
import sys
from fabric import Connection
from paramiko import RejectPolicy
with Connection(sys.argv[1]) as connection:
    connection.client.load_system_host_keys()
    connection.client.set_missing_host_key_policy(RejectPolicy())
    connection.run("hostname", in_stream=False)
"""

OWNER = """
import sys, time
from pathlib import Path
from rig import Fleet
with Fleet(Path(sys.argv[1])) as fleet:
    fleet.add("app1", disk="8m").run("sleep 1000 >&- 2>&- &")
    print(fleet.name, flush=True)
    time.sleep(1000)
"""


def ssh(fleet: Fleet, *arguments: str, program: str = "ssh") -> subprocess.CompletedProcess[str]:
    command = [program, "-o", "ConnectTimeout=2", *arguments]
    return subprocess.run(command, env=fleet.environment(), capture_output=True, text=True)


def answers(host: Host) -> bool:
    try:
        socket.create_connection((host.address, host.port), timeout=0.5).close()
    except OSError:
        return False
    return True


def reaches(host: Host, other: Host) -> bool:
    scan = f"ssh-keyscan -T 1 -t ed25519 {other.address}"
    return other.host_key in host.run(scan, check=False).stdout


def remains(name: str) -> list[str]:
    """List what there is of the rig called `name`: namespaces, links, mounts and processes."""
    links = subprocess.run(["ip", "-brief", "link"], capture_output=True, text=True).stdout
    mounts = Path("/proc/self/mounts").read_text()
    tables = [line for line in (links + mounts).splitlines() if re.match(rf"{name}\b", line)]
    return [*tables, *(path.name for path in NETNS.glob(f"{name}-*")), *processes(name).values()]


def processes(name: str) -> dict[int, str]:
    """Give the command lines, by pid, of the rig's hosts and of its watcher."""
    inodes = {path.stat().st_ino for path in NETNS.glob(f"{name}-*")}
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (path / "cmdline").read_text().split("\0")
            if name in words or (path / "ns/net").stat().st_ino in inodes:
                found[int(path.name)] = " ".join(words)
    return found


@contextmanager
def owner(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run a program that has a fleet with one host, and give its process and the rig's name."""
    tests = str(Path(__file__).parents[1])
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(folder)],
        env={**os.environ, "PYTHONPATH": tests},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    with process:
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def test_ssh_logs_in_with_the_host_key_checked(fleet: Fleet, hosts: Hosts) -> None:
    (app,) = hosts(1)
    done = ssh(fleet, app.address, "hostname; id -u; command -v python3")
    assert done.stdout.split() == ["app1", "0", "/usr/bin/python3"], done.stderr
    fleet.known_hosts.write_text("")
    unknown = ssh(fleet, app.address, "true")
    assert unknown.returncode == 255
    assert "Host key verification failed" in unknown.stderr


def test_ssh_knows_the_hosts_by_name_too(fleet: Fleet, hosts: Hosts) -> None:
    hosts(app=1, proxy=1)
    assert ssh(fleet, "proxy1", "hostname").stdout == "proxy1\n"


def test_scp_brings_a_file(fleet: Fleet, hosts: Hosts) -> None:
    (app,) = hosts(1)
    done = ssh(fleet, __file__, f"{app.address}:/srv/", program="scp")
    assert (app.root / "srv/test_rig.py").read_text() == Path(__file__).read_text(), done.stderr


def test_fabric_logs_in_with_the_host_key_checked(fleet: Fleet, hosts: Hosts) -> None:
    pytest.importorskip("fabric")
    (app,) = hosts(1)
    command = [sys.executable, "-c", FABRIC, app.address]
    done = subprocess.run(command, env=fleet.environment(), capture_output=True, text=True)
    assert done.stdout == "app1\n", done.stderr


def test_deploy_is_a_plain_user_that_can_log_in(fleet: Fleet, hosts: Hosts) -> None:
    (app,) = hosts(1)
    done = ssh(fleet, "-l", "deploy", app.address, "whoami; pwd; touch here; touch /srv/there")
    assert done.stdout.split() == ["deploy", "/home/deploy"]
    assert "/srv/there" in done.stderr
    assert (app.root / "home/deploy/here").exists()
    assert "deploy" not in Path("/etc/passwd").read_text()


def test_hosts_reach_each_other_and_the_gateway_only(fleet: Fleet, hosts: Hosts) -> None:
    one, two = hosts(2)
    assert reaches(one, two)
    assert reaches(two, one)
    with socket.create_server((fleet.gateway_address, 0)) as server:
        dial = f"exec 3<>/dev/tcp/{fleet.gateway_address}/{server.getsockname()[1]}"
        one.run(f"bash -c '{dial}'")
    outside = one.run("ip route get 192.0.2.1", check=False)
    assert "unreachable" in outside.stderr


def test_a_cut_host_is_unreachable_until_it_is_healed(hosts: Hosts) -> None:
    one, two = hosts(2)
    one.cut()
    assert one.is_on
    assert not answers(one)
    assert not reaches(two, one)
    assert answers(two)
    one.heal()
    assert answers(one)
    assert reaches(two, one)


def test_a_host_without_power_has_no_process_and_comes_back_with_its_files(fleet: Fleet, hosts: Hosts) -> None:
    one, two = hosts(2)
    one.run("echo kept > /srv/file; echo gone > /run/file; sleep 1000 >&- 2>&- & ")
    list_inside = ["ip", "netns", "pids", one.netns]
    assert len(subprocess.check_output(list_inside).split()) > 2
    one.power_off()
    assert not one.is_on
    assert not answers(one)
    assert subprocess.check_output(list_inside) == b""
    with pytest.raises(RigError, match="app1 is off"):
        one.run("true")
    assert answers(two)
    one.power_on()
    assert ssh(fleet, one.address, "cat /srv/file").stdout == "kept\n"
    assert one.run("pgrep sleep; cat /run/file", check=False).stdout == ""


def test_a_host_can_be_powered_on_while_it_is_cut_off(hosts: Hosts) -> None:
    (app,) = hosts(1)
    app.power_off()
    app.cut()
    app.power_on()
    assert not answers(app)
    app.heal()
    assert answers(app)


def test_a_full_disk_takes_no_more_until_it_is_freed(hosts: Hosts) -> None:
    app, other = hosts(2, disk="16m")
    write = "head -c 100000 /dev/zero > /srv/file"
    app.run(write)
    app.fill_disk(leave=50_000)
    for path in ("/srv/more", "/root/more", "/tmp/more"):
        full = app.run(f"head -c 100000 /dev/zero > {path}; rm {path}", check=False)
        assert "No space left on device" in full.stderr
    app.run("echo small > /srv/small; echo well > /run/file")
    other.run(write)
    app.free_disk()
    app.run(write.replace("file", "more"))


def test_a_full_disk_stays_full_over_a_power_cut(hosts: Hosts) -> None:
    (app,) = hosts(1, disk="16m")
    app.fill_disk()
    app.power_off()
    app.power_on()
    assert "No space left" in app.run("cp /etc/passwd /srv/file", check=False).stderr


def test_only_a_host_with_its_own_disk_can_be_filled(hosts: Hosts) -> None:
    (app,) = hosts(1)
    with pytest.raises(RigError, match="no disk of its own"):
        app.fill_disk()


def test_a_changed_host_key_is_refused(fleet: Fleet, hosts: Hosts) -> None:
    (app,) = hosts(1)
    old = app.host_key
    app.change_host_key()
    assert app.host_key != old
    refused = ssh(fleet, app.address, "true")
    assert refused.returncode == 255
    assert "REMOTE HOST IDENTIFICATION HAS CHANGED" in refused.stderr


def test_a_host_sees_no_process_of_another(hosts: Hosts) -> None:
    one, two = hosts(2)
    one.run("sleep 1234 >&- 2>&- &")
    assert "sleep 1234" in one.run("ps ax").stdout
    seen = two.run("ps ax -o args=").stdout
    assert "sleep 1234" not in seen
    assert len(seen.splitlines()) < 6


def test_a_host_cannot_change_this_machine(hosts: Hosts) -> None:
    (app,) = hosts(1)
    done = app.run("touch /usr/local/bin/harm /etc/harm /var/lib/harm", check=False)
    assert done.stderr.count("Read-only file system") == 3


def test_what_fails_inside_says_why(hosts: Hosts) -> None:
    (app,) = hosts(1)
    with pytest.raises(RigError, match=r"app1: `ls /nowhere`: exit 2: .*No such file"):
        app.run("ls /nowhere")


def test_a_dead_sshd_is_reported_with_its_words(hosts: Hosts) -> None:
    (app,) = hosts(1)
    app.power_off()
    (app.root / "etc/ssh/sshd_config").write_text("Nonsense yes\n")
    with pytest.raises(RigError, match=r"(?s)app1 does not boot: .*Nonsense"):
        app.power_on()


def test_two_rigs_live_side_by_side(fleet: Fleet, hosts: Hosts, tmp_path: Path) -> None:
    (app,) = hosts(1)
    with Fleet(tmp_path / "other") as other:
        twin = other.add("app1")
        assert other.name != fleet.name
        assert ssh(other, twin.address, "hostname").stdout == "app1\n"
        assert ssh(fleet, twin.address, "true").returncode == 255
        assert not reaches(app, twin)
    assert answers(app)


@pytest.mark.usefixtures("can_make_hosts")
def test_nothing_is_left_after_the_end(tmp_path: Path) -> None:
    with Fleet(tmp_path / "other") as other:
        app, off = other.add_many(2, "app", disk="8m")
        app.run("setsid sleep 1000 >&- 2>&- &")
        off.power_off()
        assert remains(other.name)
    assert remains(other.name) == []


@pytest.mark.usefixtures("can_make_hosts")
def test_nothing_is_left_after_an_exception(tmp_path: Path) -> None:
    other = Fleet(tmp_path / "other")
    with pytest.raises(RigError, match="taken"), other:
        _ = [other.add("app1") for _ in range(2)]
    assert remains(other.name) == []


@pytest.mark.usefixtures("can_make_hosts")
def test_nothing_is_left_when_the_end_is_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(rig.hosts, "wipe", interrupt)
    with pytest.raises(KeyboardInterrupt), Fleet(tmp_path / "other") as other:
        other.add("app1")
    wait_for(lambda: remains(other.name) == [], f"the end of {other.name}")


@pytest.mark.usefixtures("can_make_hosts")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_when_the_owner_is_killed(tmp_path: Path, number: signal.Signals) -> None:
    with owner(tmp_path / "other") as (process, name):
        assert remains(name)
        process.send_signal(number)
        process.wait()
        wait_for(lambda: remains(name) == [], f"the end of {name}")


@pytest.mark.usefixtures("can_make_hosts")
def test_sweep_removes_what_a_killed_watcher_left(tmp_path: Path) -> None:
    with owner(tmp_path / "other") as (process, name):
        assert name not in sweep()
        (watcher,) = (pid for pid, line in processes(name).items() if line.startswith("flock"))
        os.kill(watcher, signal.SIGKILL)
        process.kill()
    assert remains(name)
    assert set(sweep()) >= {name, f"{name}.2", f"{name}-app1"}
    assert remains(name) == []


def test_supported_says_why_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    supported.cache_clear()
    assert supported() == "hosts in network namespaces need root"
    supported.cache_clear()

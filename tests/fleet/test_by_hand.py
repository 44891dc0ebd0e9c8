"""A hand on the hosts: a command and a console in the live slot, a shell, logs as they come; nothing is left behind."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from releaselib import hooks
from releaselib.actions import release
from releaselib.decide.release import Wanted
from rig import Host, wait_for

from .shop import FOLDER, Shop

pytestmark = pytest.mark.hosts


def test_a_command_runs_in_the_live_slot_of_one_host_or_of_those_that_are_named(shop: Shop) -> None:
    (version,) = shop.served()
    done = shop.project.fab("run", 'echo "$RELEASE_VERSION in $PWD"', "--stage", "test")
    assert done.stdout == f"{version} in /{FOLDER}/slots/{shop.live}\n"
    pair = [host.address for host in shop.app[:2]]
    done = shop.project.fab(
        "run", "python -c 'import my_service; print(42)'", "--stage", "test", "--hosts", ",".join(pair)
    )
    assert sorted(done.stdout.splitlines()) == [f"{address}: 42" for address in pair]
    done = shop.project.fab("run", "echo no such table; exit 3", "--stage", "test", check=False)
    assert (done.returncode, done.stdout) == (6, "no such table\n")
    assert "failed (exit code 3)" in done.stderr


def env(shop: Shop) -> dict[str, str]:
    return {**os.environ, **shop.world.env}


@contextmanager
def on_a_terminal(shop: Shop, *words: str) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """A command of fab with a terminal of its own: the other end of that, and the process."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        ["fab", *words], stdin=theirs, stdout=theirs, stderr=theirs, env=env(shop), cwd=shop.project.folder
    ) as process:
        os.close(theirs)
        yield ours, process
        process.kill()
    os.close(ours)


def read_until(terminal: int, words: str) -> str:
    """What comes on a terminal until these words do."""
    text: list[str] = []

    def came() -> bool:
        if select.select([terminal], [], [], 0.1)[0]:
            text.append(os.read(terminal, 1000).decode())
        return words in "".join(text)

    wait_for(came, f"{words!r} on the terminal, where there is {text}")
    return "".join(text)


def test_a_console_and_a_shell_have_the_terminal(shop: Shop) -> None:
    (version,) = shop.served()
    with on_a_terminal(shop, "console", "--stage", "test") as (terminal, process):
        read_until(terminal, ">>> ")
        os.write(terminal, b"import os; print('<' + os.environ['RELEASE_VERSION'] + '>', os.isatty(0))\n")
        read_until(terminal, f"<{version}> True")
        os.write(terminal, b"import time; time.sleep(600)\n")
        os.write(terminal, b"\x03")
        said = read_until(terminal, "KeyboardInterrupt")
        if ">>> " not in said.rpartition("KeyboardInterrupt")[2]:  # what is typed before the prompt may be dropped
            read_until(terminal, ">>> ")
        os.write(terminal, b"raise SystemExit(7)\n")
        assert process.wait() == 7
    host = shop.app[1]
    with on_a_terminal(shop, "host.shell", "--stage", "test", "--hosts", host.address) as (terminal, process):
        os.write(terminal, b'echo "<$(hostname)>"; exit 3\n')
        read_until(terminal, f"<{host.name}>")
        assert process.wait() == 3
    done = shop.project.fab("console", "--stage", "test", check=False)
    assert (done.returncode, "this needs a terminal" in done.stderr) == (2, True)


def test_logs_are_followed_on_all_hosts_until_an_interrupt(shop: Shop) -> None:
    argv, pipe = (
        ["fab", "host.logs", "--follow", "--grep", "follow-me", "--lines", "0", "--stage", "test"],
        subprocess.PIPE,
    )
    with subprocess.Popen(argv, stdout=pipe, stderr=pipe, text=True, env=env(shop), cwd=shop.project.folder) as process:
        assert process.stdout and process.stderr  # noqa: PT018
        logs = [host.root / FOLDER / "slots" / shop.live / "log/my-service-0.log" for host in shop.app]
        wait_for(lambda: all(tails(host) for host in shop.app), "all to be followed")
        for log in logs:
            with log.open("a") as file:
                file.write("not this\n\nfollow-me here\n")
        told = {process.stdout.readline() for _ in logs}
        process.send_signal(signal.SIGINT)
        assert process.wait() == 0
        assert "Traceback" not in process.stderr.read()
    assert told == {f"{host.address}: my-service-0: follow-me here\n" for host in shop.app}
    wait_for(lambda: not any(tails(host) for host in shop.app), "nothing to be left on the hosts")


def tails(host: Host) -> bool:
    """Whether somebody follows a log on that host."""
    return host.run("pgrep -x tail", check=False).returncode == 0


def test_a_hook_runs_commands_on_the_hosts_and_can_stop_the_release(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a project has a check of its own before the switch."""
    told: list[dict[str, str]] = []

    def check(plan: object, hosts: Any) -> None:
        told.append(hosts.run("hostname"))
        hosts.run("exit 4", shop.app[0].address)

    monkeypatch.setattr(hooks, "_hooks", {"post_deploy": [check]})
    shop.empty(*shop.app)
    text = shop.refused(6, release.release, Wanted(version=shop.other, ref=shop.other))
    assert told == [{host.address: host.name for host in shop.app}]
    assert f"{shop.app[0].address}: exit code 4" in text

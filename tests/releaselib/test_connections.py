"""A host over ssh: every hop proves itself, and a command ends as it does on this machine; here sshd is real."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from sshd import Sshd, make_home

from releaselib import config
from releaselib.config.stage import Stage
from releaselib.hosts.connection import KEPT, TIMED_OUT, Distrusted, Remote, Unreachable
from releaselib.hosts.fleet import EACH
from releaselib.hosts.here import Here
from releaselib.hosts.ssh import DRAINED, Ssh
from releaselib.process import Output

Machines = Callable[..., list[Sshd]]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A HOME that knows no host."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return make_home(tmp_path / "home")


@pytest.fixture
def machines(home: Path, tmp_path: Path) -> Iterator[Machines]:
    """A maker of hosts: ``machines(2)`` gives two that are known, ``machines(1, kinds=[...])`` one with such keys."""
    with ExitStack() as stack:
        made: list[Sshd] = []

        def make(count: int, **how: Any) -> list[Sshd]:
            new = [
                Sshd(tmp_path / f"h{len(made) + n}", home, f"127.0.1.{len(made) + n + 1}", **how) for n in range(count)
            ]
            made.extend(map(stack.enter_context, new))
            know(home, *[one.known(kind) for one in new for kind in how.get("kinds", ["ed25519"])])
            return new

        yield make


def know(home: Path, *lines: str) -> None:
    """Add lines to known_hosts."""
    with (home / ".ssh/known_hosts").open("a") as file:
        file.writelines(lines)


def forget(home: Path) -> None:
    (home / ".ssh/known_hosts").write_text("")


def configure(home: Path, text: str) -> None:
    file = home / ".ssh/config"
    file.write_text(text + file.read_text())


def stage_of(*machines: Sshd, **keys: Any) -> Stage:
    app = [f"{one.address}:{one.port}" for one in machines]
    return config.parse({"stages": {"test": {"app": app, **keys}}}, root=Path("/"), name="shop").stage("test")


def connect(machine: Sshd, **keys: Any) -> Ssh:
    stage = stage_of(machine, **keys)
    return Ssh(stage.app[0], stage)


def works(machine: Sshd) -> bool:
    remote = connect(machine)
    done = remote.run(("sh", "-c", 'echo "$SSH_CONNECTION"'))
    remote.close()
    return done.stdout.split()[2:] == [machine.address, str(machine.port)]


# --- host keys


def refused(machine: Sshd, how: type[Unreachable] = Distrusted) -> Unreachable:
    with pytest.raises(how) as caught:
        connect(machine)
    return caught.value


def test_an_address_with_a_port_is_reached(machines: Machines) -> None:
    assert works(*machines(1))


def typed(words: str, home: Path) -> None:
    """Type what a next step advises, in that HOME."""
    subprocess.run(["sh", "-euc", words.replace("~", str(home))], check=True, capture_output=True)


def test_what_is_advised_for_an_unknown_key_makes_it_known(home: Path, machines: Machines) -> None:
    (machine,) = machines(1)
    forget(home)
    error = refused(machine)
    assert f"{machine.name}: its host key is not known here: ssh-ed25519 SHA256:" in error.what
    typed(error.next_step.partition("known_hosts: ")[2], home)
    assert works(machine)


@pytest.mark.parametrize("hashed", [False, True], ids=["plain", "hashed"])
@pytest.mark.parametrize("where", ["home", "stage"])
def test_what_is_advised_for_a_changed_key_finds_its_entry(
    home: Path, tmp_path: Path, machines: Machines, where: str, hashed: bool
) -> None:
    (machine,) = machines(1, kinds=["ed25519", "ecdsa"])
    forget(home)
    file = home / ".ssh/known_hosts" if where == "home" else tmp_path / "the stage's"
    file.write_text(f"{machine.name} {(home / '.ssh/id_ed25519.pub').read_text()}")
    if hashed:
        subprocess.run(["ssh-keygen", "-q", "-H", "-f", file], check=True, capture_output=True)
    keys = {"known_hosts": str(file)} if where == "stage" else {}
    with pytest.raises(Distrusted, match="its host key has changed") as caught:
        connect(machine, **keys)
    assert "expected ssh-ed25519 SHA256:" in caught.value.cause
    words = caught.value.next_step.partition(": ")[2].rpartition(", and compare")[0]
    assert words.startswith(f"ssh-keygen -R '{machine.name}' -f {shlex.quote(str(file))}")
    typed(words, home)
    connect(machine, **keys).close()


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_the_kind_of_key_that_is_known_is_asked_for(home: Path, machines: Machines, kind: str) -> None:
    (machine,) = machines(1, kinds=["ed25519", "ecdsa", "rsa"])
    forget(home)
    know(home, machine.known(kind))
    assert works(machine)


def test_any_of_the_keys_of_a_host_will_do(home: Path, machines: Machines) -> None:
    machine, other = machines(2)
    forget(home)
    know(home, f"{machine.name} {other.key()}\n", machine.known(), f"{machine.name} {other.key()}\n")
    assert works(machine)


PATTERNS = {
    "a pattern": ("[127.0.1.*]:*", True),
    "one letter": ("[127.0.1.?]:*", True),
    "of another host": ("[127.0.2.*]:*", False),
    "all but this one": ("*,![127.0.1.*]:*", False),
}


@pytest.mark.parametrize(("pattern", "known"), PATTERNS.values(), ids=PATTERNS)
def test_patterns_of_hosts_are_understood(home: Path, machines: Machines, pattern: str, known: bool) -> None:
    (machine,) = machines(1)
    forget(home)
    know(home, f"{pattern} {machine.key()}\n")
    if known:
        assert works(machine)
    else:
        assert "is not known here" in refused(machine).what


@pytest.mark.parametrize("between", [" ", "\t"], ids=["space", "tab"])
@pytest.mark.parametrize("before", ["", "  "], ids=["at the beginning", "indented"])
def test_a_revoked_key_is_refused_whatever_else_is_said_of_it(
    home: Path, machines: Machines, before: str, between: str
) -> None:
    (machine,) = machines(1)
    know(home, f"{before}@revoked{between}*{between}{machine.key()}\n")
    assert "its host key is revoked" in refused(machine).what


def test_trust_in_certificates_is_no_trust_in_keys_and_that_is_said(home: Path, machines: Machines) -> None:
    (machine,) = machines(1)
    forget(home)
    know(home, f"@cert-authority * {machine.key()}\n")
    assert "@cert-authority, which is not understood here" in refused(machine).cause


# --- hosts behind others (ProxyJump)


def jump(home: Path, to: Sshd, over: str) -> None:
    configure(home, f"Host {to.address}\n    ProxyJump {over}\n\n")


def place(machine: Sshd) -> str:
    return f"{machine.address}:{machine.port}"


def test_hosts_behind_others_are_reached_over_each_of_them(home: Path, machines: Machines) -> None:
    first, second, host = machines(3)
    jump(home, host, place(second))
    jump(home, second, place(first))
    assert works(host)
    assert [one.log.read_text().count("Accepted publickey") for one in (first, second, host)] == [1, 1, 1]


@pytest.mark.parametrize("bad", [0, 1, 2], ids=["first", "second", "host"])
@pytest.mark.parametrize("how", ["unknown", "changed"])
def test_host_keys_are_checked_at_every_hop(home: Path, machines: Machines, bad: int, how: str) -> None:
    hops = machines(3)
    jump(home, hops[2], place(hops[1]))
    jump(home, hops[1], place(hops[0]))
    forget(home)
    know(home, *[one.known() for one in hops if one is not hops[bad]])
    if how == "changed":
        know(home, f"{hops[bad].name} {hops[bad - 1].key()}\n")
    words = {"unknown": "is not known here", "changed": "has changed"}[how]
    assert f"{hops[bad].name}: its host key {words}" in refused(hops[2]).what


CHAINS = {
    "two at once": ("{0},{1}", "{0},{1}: Fabric takes more than one host in another order"),
    "over itself by another name": ("itself", "leads in a circle"),
}


@pytest.mark.parametrize(("over", "words"), CHAINS.values(), ids=CHAINS)
def test_what_cannot_be_jumped_over_as_openssh_does_is_refused(
    home: Path, machines: Machines, over: str, words: str
) -> None:
    first, second, host = machines(3)
    configure(home, f"Host itself\n    HostName {host.address}\n    Port {host.port}\n\n")
    configure(home, f"Host itself {host.address}\n    ProxyJump {over.format(place(first), place(second))}\n\n")
    error = refused(host, Unreachable)
    assert error.what == f"{place(host)}: ProxyJump of ~/.ssh/config {words.format(place(first), place(second))}"
    assert not any("Connection from" in one.log.read_text() for one in (first, second))


def test_a_jump_that_is_switched_off_is_none(home: Path, machines: Machines) -> None:
    (host,) = machines(1)
    jump(home, host, "none")
    assert works(host)


def test_a_hop_that_lets_nobody_in_is_named(home: Path, machines: Machines) -> None:
    bastion, host = machines(2)
    jump(home, host, f"stranger@{place(bastion)}")
    error = refused(host, Unreachable)
    assert error.what.startswith(f"{place(host)}: {bastion.address}, which it is behind: login as stranger was refused")
    assert error.next_step == f"ssh -p {bastion.port} stranger@{bastion.address}"


def test_a_configuration_of_ssh_that_makes_no_sense_is_told(home: Path, machines: Machines) -> None:
    (host,) = machines(1)
    configure(home, "Host\n")
    (home / ".ssh/config").write_text("Nonsense\n")
    assert "Nonsense" in refused(host, Unreachable).what


# --- commands: over ssh and on this machine the same


@pytest.fixture(params=["over ssh", "here"])
def remote(request: pytest.FixtureRequest, machines: Machines) -> Iterator[Remote]:
    (machine,) = machines(1)
    made: Remote = connect(machine) if request.param == "over ssh" else _here()
    yield made
    made.close()


def _here(**keys: Any) -> Here:
    table = {"app": ["local"], **keys}
    stage = config.parse({"stages": {"test": table}}, root=Path("/"), name="shop").stage("test")
    return Here(stage.app[0], stage)


def test_input_and_output_beyond_every_buffer_pass_each_other(remote: Remote) -> None:
    text = "x" * 12_000_000
    done = remote.run(("cat",), text)
    assert done.code == 0
    assert done.stdout.endswith("x" * 1000)


def test_ctrl_c_reaches_no_command_on_this_machine() -> None:
    """A terminal tells its whole group of processes; a switch that has begun must come to its end."""
    show = ("sh", "-c", "cut -d ' ' -f 6 /proc/$$/stat")
    running = _here().start(show)
    for session in (_here().run(show).stdout, running.receive()):
        assert int(session) != os.getsid(0)
    running.finish()


def test_closing_this_machine_ends_what_is_at_work_there_with_its_children() -> None:
    here = _here()
    begun = time.monotonic()
    threading.Timer(0.3, here.close).start()
    assert here.run(("sh", "-c", "sleep 60; echo on")) == Output(-15, "", "")
    assert time.monotonic() - begun < 30


def test_words_for_a_command_on_this_machine_that_has_ended_are_a_failure_of_the_host() -> None:
    """A broken pipe of one's own would end `fab` without a word: it means that the reader of its output has gone."""
    running = _here().start(("sh", "-c", "exec 0<&-; echo deaf; exec sleep 0.2"))
    assert running.receive() == "deaf"
    with pytest.raises(Unreachable, match="local: the command has ended"):
        running.send("switched")
    assert running.finish() == Output(0, "", "")


def test_input_that_comes_for_a_command_that_has_ended_is_read_nevertheless(machines: Machines) -> None:
    """sshd ends the whole connection when something comes for a channel that it has closed."""
    (machine,) = machines(1)
    remote = connect(machine)
    running = remote.start((*DRAINED, "sh", "-c", "echo ended; exit 3"))
    assert running.receive() == "ended"
    for _ in range(5):
        running.send("x" * 1_000_000)
    assert running.finish() == Output(3, "", "")
    for _ in range(10):
        assert remote.run(("sh", "-c", "exit 3"), "x" * 1_000_000) == Output(3, "", "")
    remote.close()


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_what_is_not_kept_of_much_output_is_said(remote: Remote, stream: str) -> None:
    to = {"stdout": "", "stderr": ">&2"}[stream]
    done = remote.run(("sh", "-c", f"head -c {KEPT + 5} /dev/zero | tr '\\0' x {to}; echo end {to}"))
    assert done.code == 0
    told, _, text = getattr(done, stream).partition("\n")
    assert told == "(9 bytes before this were dropped)"
    assert text == "x" * (KEPT - 4) + "end\n"


def test_other_bytes_than_text_are_shown_as_such(remote: Remote) -> None:
    assert remote.run(("printf", "a\\377b")).stdout == "a\N{REPLACEMENT CHARACTER}b"
    running = remote.start(("printf", "a\\377b\\nc"))
    assert running.receive() == "a\N{REPLACEMENT CHARACTER}b"
    assert running.finish() == Output(0, "c", "")


def test_much_on_stderr_does_not_block_a_command_that_is_talked_with(remote: Remote) -> None:
    running = remote.start(("sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' x >&2; echo out; cat"))
    assert running.receive() == "out"
    assert len(running.finish().stderr) == 3_000_000


@pytest.mark.parametrize("words", ["sleep 1000", "while sleep 0.05; do echo on; done"], ids=["silent", "loud"])
@pytest.mark.parametrize("where", ["over ssh", "here"])
def test_a_command_is_given_up_after_its_whole_time(machines: Machines, words: str, where: str) -> None:
    (machine,) = machines(1)
    remote: Remote = connect(machine, command_timeout=1) if where == "over ssh" else _here(command_timeout=1)
    assert remote.run(("sh", "-c", words), seconds=0.5) == Output(TIMED_OUT, "", "no end after 1.5 s")
    remote.close()


def test_a_connection_that_is_lost_says_why(machines: Machines) -> None:
    (machine,) = machines(1)
    remote = connect(machine, command_timeout=1)
    with pytest.raises(Unreachable, match="the connection was lost: ") as caught:
        remote.start(("sleep", "1000")).receive()
    assert caught.value.what.endswith("the connection was lost: TimeoutError")
    remote.close()


# --- many connections


def test_as_many_files_may_be_open_as_the_hosts_need() -> None:
    """In a process of its own: a limit that was lowered stays low."""
    words = f"""
import resource, sys
sys.path[:0] = {sys.path!r}
from pathlib import Path
from releaselib import config, errors
from releaselib.hosts.fleet import connected
table = {{"app": ["10.0.[0:4].[1:100]"]}}
stage = config.parse({{"stages": {{"test": table}}}}, root=Path("/"), name="shop").stage("test")
for soft, hard in ((64, 4096), (64, 1024)):
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    try:
        with connected(stage):
            print(*resource.getrlimit(resource.RLIMIT_NOFILE))
    except errors.ConfigError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True)
    assert done.stdout == (
        "1756 4096\nstage test: its connections need 1756 open files, and this process may have 1024\n"
        "next: raise the limit (ulimit -Hn 1756, or nofile in /etc/security/limits.conf), then run it again\n"
    )


def test_an_idle_connection_takes_no_more_files_and_time_than_it_must(home: Path, machines: Machines) -> None:
    bastion, host = machines(2)
    jump(home, host, place(bastion))
    before = len(list(Path("/proc/self/fd").iterdir()))
    remotes = [connect(host) for _ in range(10)]
    assert len(list(Path("/proc/self/fd").iterdir())) - before <= 10 * EACH
    for remote in remotes:
        assert all(hop.transport.sock.gettimeout() >= 1 for hop in remote.hops), "its thread wakes that rarely"
        remote.close()

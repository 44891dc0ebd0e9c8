"""A host over ssh: every hop proves itself, and a command ends as it does on this machine; here sshd is real."""

from __future__ import annotations

import fcntl
import getpass
import os
import pty
import re
import select
import shlex
import signal
import socket
import stat
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import paramiko
import pytest
from sshd import Sshd, make_home, make_key

from releaselib import config
from releaselib.config.stage import Stage
from releaselib.errors import ConfigError
from releaselib.hosts import hops, openssh, ssh_text, terminal
from releaselib.hosts.connection import KEPT, TIMED_OUT, Distrusted, Remote, Unreachable
from releaselib.hosts.eager import Eager
from releaselib.hosts.fleet import CONNECTORS, EACH, connected
from releaselib.hosts.here import Here
from releaselib.hosts.ssh import DRAINED
from releaselib.process import Output

Machines = Callable[..., list[Sshd]]
HOW = {"connector": ""}
"""How the test at work connects."""


def only(connector: str) -> pytest.MarkDecorator:
    """A test of one connector alone."""
    return pytest.mark.parametrize("connector", [connector], indirect=True)


everywhere = pytest.mark.parametrize("connector", ["paramiko", "openssh", "here"], indirect=True)
"""A test of what is the same on this machine."""


@pytest.fixture(params=["paramiko", "openssh"])
def connector(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What connects, in turn."""
    monkeypatch.setitem(HOW, "connector", request.param)
    return str(request.param)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A HOME that knows no host."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return make_home(tmp_path / "home")


@pytest.fixture
def machines(home: Path, tmp_path: Path, connector: str) -> Iterator[Machines]:
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


def connect(machine: Sshd, **keys: Any) -> Any:
    if HOW["connector"] == "here":
        return _here(**keys)
    stage = stage_of(machine, **HOW, **keys)
    return CONNECTORS[stage.connector](stage.app[0], stage)


def works(machine: Sshd) -> bool:
    remote = connect(machine)
    done = remote.run(("sh", "-c", 'echo "$SSH_CONNECTION"'))
    remote.close()
    return bool(done.stdout.split()[2:] == [machine.address, str(machine.port)])


# --- host keys


def refused(machine: Sshd, how: type[Unreachable] = Distrusted, **keys: Any) -> Unreachable:
    with pytest.raises(how) as caught:
        connect(machine, **keys)
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
    "all but this one": ("*,!127.0.1.*,![127.0.1.*]:*", False),
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
    home: Path, machines: Machines, connector: str, before: str, between: str
) -> None:
    if connector == "openssh" and between == "\t":
        pytest.skip("OpenSSH itself passes over such a line")
    (machine,) = machines(1)
    know(home, f"{before}@revoked{between}*{between}{machine.key()}\n")
    assert "its host key is revoked" in refused(machine).what


@only("paramiko")
def test_trust_in_certificates_is_no_trust_in_keys_and_that_is_said(home: Path, machines: Machines) -> None:
    (machine,) = machines(1)
    forget(home)
    know(home, f"@cert-authority * {machine.key()}\n")
    assert '@cert-authority, which is not understood here, but by connector = "openssh"' in refused(machine).cause


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


@only("paramiko")
@pytest.mark.parametrize(("over", "words"), CHAINS.values(), ids=CHAINS)
def test_what_cannot_be_jumped_over_as_openssh_does_is_refused(
    home: Path, machines: Machines, over: str, words: str
) -> None:
    first, second, host = machines(3)
    configure(home, f"Host itself\n    HostName {host.address}\n    Port {host.port}\n\n")
    configure(home, f"Host itself {host.address}\n    ProxyJump {over.format(place(first), place(second))}\n\n")
    error = refused(host, Unreachable)
    assert error.what == f"{place(host)}: ProxyJump of ~/.ssh/config {words.format(place(first), place(second))}"
    assert 'connector = "openssh"' in error.next_step
    assert not any("Connection from" in one.log.read_text() for one in (first, second))


def test_jumps_that_lead_in_a_circle_are_refused(home: Path, machines: Machines) -> None:
    first, second, host = machines(3)
    jump(home, host, place(second))
    jump(home, second, f"somebody@{place(first)}")
    jump(home, first, place(second))
    error = refused(host, Unreachable)
    assert error.what.startswith(f"{place(host)}: ProxyJump of ~/.ssh/config leads in a circle")
    assert not any("Connection from" in one.log.read_text() for one in (first, second, host))


JUMPS: dict[str, tuple[str, str]] = {
    "none": ("hostname a\nport 22\n", ""),
    "switched off": ("proxyjump none\n", ""),
    "a host": ("port 22\nproxyjump b\n", "b"),
    "with user and port": ("proxyjump me@b:2222\n", "b"),
    "an address of IPv6": ("proxyjump [::1]:2222\n", "::1"),
    "several": ("proxyjump me@b:22,c\n", "b"),
}


@pytest.mark.parametrize(("told", "first"), JUMPS.values(), ids=JUMPS)
def test_the_first_jump_is_read_out_of_what_ssh_goes_by(told: str, first: str) -> None:
    assert ssh_text.first_jump(told) == first


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
    assert "nonsense" in refused(host, Unreachable).what.lower()


# --- commands: over ssh and on this machine the same


@pytest.fixture
def remote(machines: Machines) -> Iterator[Remote]:
    (machine,) = machines(1)
    made: Remote = connect(machine)
    yield made
    made.close()


def _here(**keys: Any) -> Here:
    table = {"app": ["local"], **keys}
    stage = config.parse({"stages": {"test": table}}, root=Path("/"), name="shop").stage("test")
    return Here(stage.app[0], stage)


@everywhere
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


@everywhere
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_what_is_not_kept_of_much_output_is_said(remote: Remote, stream: str) -> None:
    to = {"stdout": "", "stderr": ">&2"}[stream]
    done = remote.run(("sh", "-c", f"head -c {KEPT + 5} /dev/zero | tr '\\0' x {to}; echo end {to}"))
    assert done.code == 0
    told, _, text = getattr(done, stream).partition("\n")
    assert told == "(9 bytes before this were dropped)"
    assert text == "x" * (KEPT - 4) + "end\n"


@everywhere
def test_other_bytes_than_text_are_shown_as_such(remote: Remote) -> None:
    assert remote.run(("printf", "a\\377b")).stdout == "a\N{REPLACEMENT CHARACTER}b"
    running = remote.start(("printf", "a\\377b\\nc"))
    assert running.receive() == "a\N{REPLACEMENT CHARACTER}b"
    assert running.finish() == Output(0, "c", "")


@everywhere
def test_much_on_stderr_does_not_block_a_command_that_is_talked_with(remote: Remote) -> None:
    running = remote.start(("sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' x >&2; echo out; cat"))
    assert running.receive() == "out"
    assert len(running.finish().stderr) == 3_000_000


@everywhere
@pytest.mark.parametrize("words", ["sleep 1000", "while sleep 0.05; do echo on; done"], ids=["silent", "loud"])
def test_a_command_is_given_up_after_its_whole_time(machines: Machines, words: str) -> None:
    (machine,) = machines(1)
    remote = connect(machine, command_timeout=1)
    assert remote.run(("sh", "-c", words), seconds=0.5) == Output(TIMED_OUT, "", "no end after 1.5 s")
    remote.close()


def test_a_connection_that_is_lost_says_why(machines: Machines) -> None:
    (machine,) = machines(1)
    remote = connect(machine, command_timeout=1)
    with pytest.raises(Unreachable, match="the connection was lost: ") as caught:
        remote.start(("sleep", "1000")).receive()
    assert caught.value.what.endswith("the connection was lost: TimeoutError")
    remote.close()


SSHD_DIES = """
pid=$$
while [ "$(cat /proc/$pid/comm)" != sshd ]; do pid=$(cut -d ' ' -f 4 /proc/$pid/stat); done
kill -9 "$pid"
"""
"""Of a command: it ends the connection over which it came."""


@pytest.mark.parametrize("how", ["run", "start"])
def test_a_connection_that_ends_under_a_command_is_lost(remote: Remote, how: str) -> None:
    argv = ("sh", "-c", f"{SSHD_DIES} cat")
    with pytest.raises(Unreachable, match=r"^127.0.1.1:\d+: the connection was lost: \S+") as caught:
        remote.run(argv) if how == "run" else remote.start(argv).finish()
    assert caught.value.next_step == "fab status, then run the command again"
    with pytest.raises(Unreachable):  # for good
        remote.run(("true",))


@everywhere
@pytest.mark.parametrize("code", [0, 1, 124, 254, 255])
def test_the_exit_code_is_that_of_the_command(remote: Remote, code: int) -> None:
    argv = ("sh", "-c", f"echo out; echo err >&2; exit {code}")
    assert remote.run(argv) == Output(code, "out\n", "err\n")
    running = remote.start(argv)
    assert running.receive() == "out"
    assert running.finish() == Output(code, "", "err\n")


@everywhere
def test_every_word_of_a_command_arrives_as_it_is(remote: Remote) -> None:
    words = ("-o", "", "a b", "'", '"', "$HOME", "`id`", "\\", "*", "two\nlines", "größe", "#", "~", "!")
    assert remote.run(("printf", "%s\\0", *words)).stdout.split("\0")[:-1] == list(words)


def test_words_for_a_command_that_has_ended_over_ssh_are_a_failure_of_the_host(remote: Remote) -> None:
    running = remote.start(("sh", "-c", "echo gone"))
    assert running.receive() == "gone"
    assert running.receive() == ""

    def talk() -> None:
        while True:  # the first may still find a place in a buffer
            running.send("x" * 100_000)

    with pytest.raises(Unreachable):
        talk()


def test_several_commands_share_one_connection(machines: Machines) -> None:
    (machine,) = machines(1)
    remote = connect(machine)
    running = [remote.start(("cat",)) for _ in range(3)]
    for word in ("one", "two"):
        assert remote.run(("echo", word)).stdout == f"{word}\n"
        for one in running:
            one.send(word)
            assert one.receive() == word
    assert [one.finish() for one in running] == [Output(0, "", "")] * 3
    remote.close()
    assert machine.log.read_text().count("Accepted publickey") == 1


@only("paramiko")
def test_a_host_need_not_allow_a_session_that_is_not_used_yet(machines: Machines) -> None:
    (machine,) = machines(1, settings="MaxSessions 2\n")
    remote = connect(machine)
    held = remote.start(("sh", "-c", "echo held; cat"))
    assert held.receive() == "held"
    assert remote.run(("echo", "once")).stdout == "once\n"
    held.finish()
    assert [remote.run(("echo", word)).stdout for word in "abc"] == ["a\n", "b\n", "c\n"]
    remote.close()


@only("paramiko")
def test_whoever_goes_on_after_the_end_of_a_connection_is_told_each_time(machines: Machines) -> None:
    remote = connect(*machines(1))
    remote.close()
    for _ in "ab":
        with pytest.raises(Unreachable, match="the connection was lost"):
            remote.run(("true",))


@only("paramiko")
def test_a_host_may_close_what_was_opened_and_not_used(machines: Machines) -> None:
    """As sshd does with a ChannelTimeout."""
    (machine,) = machines(1)
    remote = connect(machine)
    spares = remote._sessions._spare
    spare = spares.get()
    spare.close()
    spares.put(spare)
    assert remote.run(("echo", "here")).stdout == "here\n"
    remote.close()


def test_what_a_command_says_after_a_long_silence_is_heard(machines: Machines) -> None:
    (machine,) = machines(1)
    remote = connect(machine, command_timeout=1)
    done = remote.run(("sh", "-c", "sleep 1.5; echo the cause >&2; exit 74"), seconds=30)
    assert (done.code, done.stderr) == (74, "the cause\n")
    remote.close()


@only("paramiko")
def test_a_terminal_takes_the_session_that_was_opened_ahead(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    (machine,) = machines(1, settings="MaxSessions 1\n")
    remote = connect(machine)
    monkeypatch.setattr(terminal, "hand_over", lambda channel, line: channel.exec_command(line))
    remote.terminal(("true",))
    remote.close()


def test_a_host_that_takes_no_more_commands_is_told_and_no_other_connection_is_made(machines: Machines) -> None:
    own = HOW["connector"] == "openssh"  # whose connection is a session itself
    (machine,) = machines(1, settings=f"MaxSessions {2 + own}\n")
    remote = connect(machine)
    running = [remote.start(("sh", "-c", "echo here; cat")) for _ in range(2)]
    assert [one.receive() for one in running] == ["here", "here"]
    with pytest.raises(Unreachable, match=r": it opens no further session: .*\n.*raise MaxSessions"):
        remote.run(("true",))
    del running
    remote.close()
    assert machine.log.read_text().count("Accepted publickey") == 1


# --- connecting


def test_a_login_that_prints_disturbs_no_connection(machines: Machines) -> None:
    noise = 'ForceCommand echo hello; sleep 0.2; echo again; eval "$SSH_ORIGINAL_COMMAND"'
    (machine,) = machines(1, settings=f"{noise}\n")
    remote = connect(machine)
    for _ in range(2):
        assert remote.run(("echo", "here")).stdout == "hello\nagain\nhere\n"
    remote.close()


@only("paramiko")
def test_what_ssh_goes_by_is_read_once_for_all_hosts_and_again_when_it_changes(
    home: Path, machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def noted(act: Callable[..., Any], what: Callable[..., str]) -> Callable[..., Any]:
        def do(*given: Any) -> Any:
            read.append(what(*given))
            return act(*given)

        return do

    config, entry = paramiko.SSHConfig, paramiko.hostkeys.HostKeyEntry
    monkeypatch.setattr(config, "parse", noted(config.parse, lambda _, file: str(file.name)))
    monkeypatch.setattr(entry, "from_line", noted(entry.from_line, str))
    hosts = machines(3)
    configure(home, f"User {getpass.getuser()}\n")
    for host in hosts:
        connect(host).close()
    assert len(read) == len(set(read))
    read.clear()
    configure(home, "Port 1\n")
    connect(hosts[0]).close()
    assert str(home / ".ssh/config") in read
    assert not any("ssh-ed25519" in line for line in read)


@only("paramiko")
def test_what_paramiko_has_to_say_is_told_by_our_errors_alone(machines: Machines) -> None:
    words = "import logging, releaselib.hosts.hops; logging.getLogger('paramiko.transport').error('Traceback')"
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    assert not done.stderr


@only("paramiko")
def test_a_login_does_not_wait_for_the_word_that_logins_are_taken(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Eager, "_parse_service_accept", lambda *_: None)
    (machine,) = machines(1)
    done: list[bool] = []
    login = threading.Thread(target=lambda: done.append(works(machine)), daemon=True)  # which would wait for ever
    login.start()
    login.join(60)
    assert done == [True]


@only("paramiko")
def test_an_answer_to_a_login_that_comes_at_once_is_heard(machines: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    def slowly(self: Eager, message: paramiko.Message) -> None:
        send(self, message)
        if threading.current_thread() is threading.main_thread():
            time.sleep(0.1)  # so that the answer is there before whoever asked goes on

    send = paramiko.Transport._send_message
    monkeypatch.setattr(Eager, "_send_message", slowly)
    assert works(*machines(1))


@only("paramiko")
def test_an_rsa_key_signs_as_the_host_says(home: Path, machines: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    def late(self: Eager, _: object) -> None:
        time.sleep(0.2)  # so that whoever does not wait has not heard it
        self.server_extensions = {"server-sig-algs": b"rsa-sha2-256"}

    monkeypatch.setattr(Eager, "_parse_ext_info", late)
    key = make_key(home / "key", "rsa")
    (home / ".ssh/id_ed25519").write_text(key.read_text())
    (home / ".ssh/id_ed25519.pub").write_text(key.with_suffix(".pub").read_text())
    (machine,) = machines(1)
    remote = connect(machine)
    assert remote.hops[0].transport._agreed_pubkey_algorithm == "rsa-sha2-256"
    remote.close()


@only("paramiko")
def test_one_key_after_the_other_is_shown(home: Path, machines: Machines) -> None:
    key = make_key(home / ".ssh/id_rsa", "rsa")  # beside one that is no longer known where these hosts look
    (home / ".ssh/id_ed25519.pub").write_text(key.with_suffix(".pub").read_text())
    assert works(*machines(1))


def test_a_host_that_refuses_the_connection_is_asked_again_and_then_told(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    (machine,) = machines(1)
    machine.stop()
    tries: list[int] = []
    for module in (hops, openssh):
        monkeypatch.setattr(module, "pause", lambda: tries.append(1))
    error = refused(machine, Unreachable)
    assert re.search(rf"^{place(machine)}: cannot be reached: .*refused|Unable to connect", error.what)
    assert error.next_step == f"ssh -p {machine.port} {machine.address}"
    assert len(tries) == 2


@only("openssh")
def test_a_host_that_says_nothing_is_given_up_at_once(machines: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    (machine,) = machines(1)
    with socket.create_server((machine.address, 0)) as silent:
        machine.port = silent.getsockname()[1]
        monkeypatch.setattr(openssh, "pause", lambda: pytest.fail("it was asked again"))
        error = refused(machine, Unreachable, connect_timeout=1)
    assert re.search("cannot be reached: Connection to 127.0.1.1 port .* timed out", error.what)


@only("openssh")
def test_a_login_that_has_no_end_is_given_up_with_all_that_it_has_started(
    home: Path, tmp_path: Path, machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    (machine,) = machines(1)
    os.mkfifo(tmp_path / "fifo")
    configure(home, f'Host *\n    ProxyCommand sh -c "exec 3<>{tmp_path}/fifo; sleep 1000"\n\n')
    monkeypatch.setattr(openssh, "LOGIN", -59.5)
    assert refused(machine, Unreachable, connect_timeout=60).what.endswith("cannot be reached: no end of its logins")
    with pytest.raises(OSError, match="No such device"):  # nobody reads there any more
        os.open(tmp_path / "fifo", os.O_WRONLY | os.O_NONBLOCK)


def test_a_login_that_is_refused_is_told(home: Path, machines: Machines) -> None:
    (machine,) = machines(1)
    error = refused(machine, Unreachable, user="stranger")
    assert error.what.startswith(f"{place(machine)}: login as stranger was refused: ")
    assert error.next_step == f"ssh -p {machine.port} stranger@{machine.address}"


# --- what only the OpenSSH client does


@only("openssh")
def test_more_than_one_jump_at_once_is_made_in_the_order_of_openssh(home: Path, machines: Machines) -> None:
    first, second, host = machines(3)
    jump(home, host, f"{place(first)},{place(second)}")
    assert works(host)
    assert [one.log.read_text().count("Accepted publickey") for one in (first, second, host)] == [1, 1, 1]


def authority(folder: Path) -> Path:
    return make_key(folder / "authority")


def sign(ca: Path, key: Path, *options: str) -> None:
    subprocess.run(["ssh-keygen", "-q", "-s", ca, "-I", "test", *options, key], check=True, capture_output=True)


@only("openssh")
@pytest.mark.parametrize("signed", [True, False], ids=["signed", "not signed"])
def test_a_certificate_of_a_user_lets_in(home: Path, tmp_path: Path, machines: Machines, signed: bool) -> None:
    ca = authority(tmp_path)
    settings = f"AuthorizedKeysFile none\nTrustedUserCAKeys {ca}.pub\n"
    (machine,) = machines(1, settings=settings)
    if signed:
        sign(ca, home / ".ssh/id_ed25519.pub", "-n", getpass.getuser(), "-V", "+1h")
        assert works(machine)
        assert "ED25519-CERT" in machine.log.read_text()
    else:
        assert "was refused: Permission denied" in refused(machine, Unreachable).what


@only("openssh")
@pytest.mark.parametrize("where", ["home", "stage"])
def test_a_certificate_of_a_host_is_trusted_where_its_authority_is(
    home: Path, tmp_path: Path, machines: Machines, where: str
) -> None:
    ca = authority(tmp_path)
    (machine,) = machines(1)
    forget(home)
    file = home / ".ssh/known_hosts" if where == "home" else tmp_path / "the stage's"
    file.write_text(f"@cert-authority [127.0.1.*]:* {ca.with_suffix('.pub').read_text()}")
    keys = {"known_hosts": str(file)} if where == "stage" else {}
    assert "its host key is not known here: ssh-ed25519 SHA256:" in refused(machine, Distrusted, **keys).what
    sign(ca, machine.folder / "key_ed25519.pub", "-h", "-n", machine.address)
    machine.restart(f"HostCertificate {machine.folder}/key_ed25519-cert.pub\n")
    connect(machine, **keys).close()


@only("openssh")
def test_the_configuration_of_the_user_counts_but_for_what_would_harm(
    home: Path, machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, host = machines(2)
    named = f"Host h\n    HostName {host.address}\n    Port {host.port}\n    ProxyJump {place(first)}\n\n"
    agent = subprocess.run(["ssh-agent", "-a", home / "agent"], check=True, capture_output=True, text=True).stdout
    harm = {
        "StrictHostKeyChecking": "no",
        "ForwardAgent": "yes",
        "RemoteCommand": "echo other",
        "RequestTTY": "force",
        "LogLevel": "QUIET",
        "LocalForward": f"{first.port} 127.0.0.1:9",
        "ControlMaster": "auto",
        "ControlPath": f"{home}/%C",
        "ControlPersist": "60",
    }
    configure(home, f"{named}Host *\n" + "".join(f"    {key} {value}\n" for key, value in harm.items()) + "\n")
    monkeypatch.setenv("SSH_AUTH_SOCK", str(home / "agent"))
    try:
        host.address, host.port = "h", 22
        remote = connect(host)
        assert remote.run(("sh", "-c", 'echo "<$SSH_AUTH_SOCK>"; tty')) == Output(1, "<>\nnot a tty\n", "")
        remote.close()
        assert not list(home.glob("?" * 40)), "no connection is shared with others"
        know_only(home, host)
        assert f"{first.name}: its host key is not known here" in refused(host).what
    finally:
        os.kill(int(re.findall(r"SSH_AGENT_PID=(\d+)", agent)[0]), signal.SIGTERM)


def know_only(home: Path, machine: Sshd) -> None:
    lines = (home / ".ssh/known_hosts").read_text().splitlines(keepends=True)
    (home / ".ssh/known_hosts").write_text("".join(line for line in lines if line.startswith(machine.name)))


@only("openssh")
def test_nothing_is_left_of_a_connection_that_was_closed(machines: Machines) -> None:
    (machine,) = machines(1)
    remote = connect(machine)
    folder = Path(remote.master.socket).parent
    assert [stat.S_IMODE(folder.stat().st_mode), len(list(folder.iterdir()))] == [0o700, 1]
    running = remote.start(("cat",))
    remote.close()
    assert remote.master.process.poll() is not None
    assert not folder.exists()
    with pytest.raises(Unreachable, match="the connection was lost: "):
        running.finish()
    remote.close()


PROGRAM = """
import sys
sys.path[:0] = {path!r}
from pathlib import Path
from releaselib import config
from releaselib.hosts.fleet import CONNECTORS
stage = config.parse({{"stages": {{"test": {table!r}}}}}, root=Path("/"), name="shop").stage("test")
remote = CONNECTORS[stage.connector](stage.app[0], stage)
{then}
"""


def program(machine: Sshd, then: str) -> tuple[str, ...]:
    """A Python of its own, with a connection as ``remote``."""
    table = {"app": [place(machine)], **HOW}
    return sys.executable, "-c", PROGRAM.format(path=sys.path, table=table, then=then)


@only("openssh")
def test_a_connection_ends_with_a_program_that_is_killed(machines: Machines) -> None:
    (machine,) = machines(1)
    then = "running = remote.start(('sh', '-c', 'echo $$; cat'))\n"
    then += "print(remote.master.process.pid, running.receive(), flush=True)\nsys.stdin.read()"
    with subprocess.Popen(program(machine, then), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as killed:
        assert killed.stdout
        ends = [os.pidfd_open(int(pid)) for pid in killed.stdout.readline().split()]
        assert select.select(ends, [], [], 0)[0] == []
        killed.kill()
    for end in ends:
        assert select.select([end], [], [], 30)[0], "it lives on"
        os.close(end)


# --- a terminal


TALK = """
import os, signal
asked = {signal.SIGWINCH, signal.SIGINT}
signal.pthread_sigmask(signal.SIG_BLOCK, asked)  # one that came just before signal.pause() would wait for the next
while True:
    print("size %d %d" % os.get_terminal_size(), flush=True)
    if signal.sigwait(asked) == signal.SIGINT:
        break
print("stopped", flush=True)
print("<" + input() + ">", os.isatty(0) and os.isatty(1) and os.isatty(2))
raise SystemExit(7)
"""
TALKER = ("python3", "-c", TALK)


def test_a_terminal_is_handed_over(machines: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    (machine,) = machines(1)
    for name in ("LINES", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    ours, theirs = pty.openpty()
    resize(ours, 30, 100)
    then = f"import fcntl, termios\nfcntl.ioctl(0, termios.TIOCSCTTY, 0)\nsys.exit(remote.terminal({TALKER!r}))"
    argv = program(machine, then)
    with subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True) as process:
        os.close(theirs)
        try:
            read_until(ours, "size 100 30")
            resize(ours, 40, 120)
            read_until(ours, "size 120 40")
            os.write(ours, b"\x03")
            read_until(ours, "stopped")
            os.write(ours, b"~.\r")
            read_until(ours, "<~.> True")
            assert process.wait(30) == 7
        finally:
            process.kill()
    with suppress(OSError):  # EIO: the other end is closed
        assert "Shared connection" not in os.read(ours, 1000).decode()
    os.close(ours)


def resize(terminal: int, lines: int, columns: int) -> None:
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))


def read_until(terminal: int, words: str) -> None:
    text = ""
    while words not in text:
        assert select.select([terminal], [], [], 30)[0], text
        try:
            text += os.read(terminal, 1000).decode()
        except OSError as error:  # the other end is closed
            raise AssertionError(text) from error


# --- many connections


@pytest.mark.parametrize("found", [False, True], ids=["without", "with"])
def test_the_program_that_connects_must_be_there(found: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if found:
        (tmp_path / "ssh").touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    table = {"app": ["10.0.0.1"], "connector": "openssh"}
    stage = config.parse({"stages": {"test": table}}, root=Path("/"), name="shop").stage("test")
    with ExitStack() as stack:
        if not found:
            words = 'stages.test.connector: "openssh" needs the program ssh, and there is none on PATH'
            stack.enter_context(pytest.raises(ConfigError, match=words))
        stack.enter_context(connected(stage))


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


def test_an_idle_connection_takes_no_more_files_and_time_than_it_must(
    home: Path, machines: Machines, connector: str
) -> None:
    bastion, host = machines(2)
    jump(home, host, place(bastion))
    before = len(list(Path("/proc/self/fd").iterdir()))
    remotes = [connect(host) for _ in range(10)]
    assert len(list(Path("/proc/self/fd").iterdir())) - before <= 10 * EACH[connector]
    for remote in remotes:
        if connector == "paramiko":
            assert all(hop.transport.sock.gettimeout() >= 1 for hop in remote.hops), "its thread wakes that rarely"
        remote.close()

"""A host over ssh by the OpenSSH client, which knows what Paramiko does not: FIDO keys, certificates, any ProxyJump.

One ssh has the connection, the master; each command is one more ssh, which goes over the master's socket.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from releaselib.config.inventory import Host
from releaselib.config.stage import Stage
from releaselib.hosts import known_hosts, ssh_text
from releaselib.hosts.connection import CONNECT_TRIES, Unreachable, lost, no_session, pause, unreached
from releaselib.hosts.here import Here, Process
from releaselib.process import Output, quoted

LOGIN = 60
"""Seconds for the logins at all hops, beside connect_timeout: a key may want to be touched."""
FAILED = 255
"""The exit code of ssh where it has failed itself; a command may have it, too."""
UP = "releaselib is connected"
HELD = quoted(("sh", "-c", f"echo {UP}; exec cat"))
"""The master's own command: it ends when this program does, however that ends, for its input ends then."""


class OpenSsh:
    """A host over one connection of the OpenSSH client, opened at once; raises Unreachable with the cause."""

    def __init__(self, host: Host, stage: Stage) -> None:
        self.host, self.stage, self.fence = host, stage, 0
        self._here = Here(host, stage)
        self.master = _connect(host, stage)

    def run(self, argv: Sequence[str], text: str = "", *, seconds: float = 0) -> Output:
        """Run a command to its end; a lost connection raises Unreachable."""
        return self.master.judge(self._here.run(self.master.command(argv, "-T"), text, seconds=seconds))

    def start(self, argv: Sequence[str]) -> _Command:
        """Start a command and go on; a lost connection raises Unreachable later."""
        return _Command(self.master, argv, self.stage.command_timeout)

    def terminal(self, argv: Sequence[str]) -> int:
        """Run a command with the terminal that this program has; every key is for the command."""
        code = self._here.terminal(self.master.command(argv, "-q", "-tt", "-e", "none"))
        return self.master.judge(Output(code, "", "")).code

    def close(self) -> None:
        """End what is at work, and close the connection."""
        self._here.close()
        self.master.end()


class _Master:
    """The ssh that has the connection, in a session of its own: ctrl-c is not for it."""

    def __init__(self, host: Host, stage: Stage, level: str = "INFO") -> None:
        self.host = host
        # TMPDIR may be longer than a socket's name can be, and ssh hands -F on without quotes.
        self._folder = tempfile.TemporaryDirectory(prefix="fab-", dir="/tmp", ignore_cleanup_errors=True)
        self._config, self.socket = Path(self._folder.name, "config"), f"{self._folder.name}/socket"
        self._config.write_text(ssh_text.configuration(stage, level), "utf-8")
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  ends with the master
        user = host.user or stage.user
        login = ["-l", user] * bool(user) + ["-p", str(host.port)] * (host.port != known_hosts.SSH_PORT)
        _require_no_circle(host, self._config)
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            ["ssh", "-F", str(self._config), "-M", "-S", self.socket, "-T", *login, "--", host.address, HELD],
            stdin=pipe,
            stdout=pipe,
            stderr=self._said,
            start_new_session=True,
        )

    def connects(self, seconds: float) -> bool:
        """Wait until the connection is there, or is not to be."""
        assert self.process.stdout  # noqa: S101  made with a pipe
        with _in_time(seconds, self._kill):  # what a login prints comes first
            up = any(line.endswith(f"{UP}\n".encode()) for line in self.process.stdout)
        self._config.unlink()
        if not up:
            self._kill()
        return up

    def command(self, argv: Sequence[str], *options: str) -> list[str]:
        """The ssh that runs a command over this connection, and never makes one of its own."""
        return [*self._client(), *options, "--", self.host.address, quoted(argv)]

    def _client(self) -> tuple[str, ...]:
        alone = ("-o", "ProxyCommand=false", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR")
        return ("ssh", "-F", "none", "-S", self.socket, *alone)

    def judge(self, done: Output) -> Output:
        """What a command left. Raises Unreachable when that is the end of the connection, or of the way to it."""
        if done.code == FAILED or done.code < 0:
            if self.has_ended():
                raise self.lost()
            if "mux_client_request_session" in done.stderr:  # MaxSessions of sshd
                raise no_session(self.host, ssh_text.last_words(done.stderr))
        return done

    def has_ended(self) -> bool:
        """Whether the connection is no more; the master itself is asked, for it may be about to end."""
        check = [*self._client(), "-O", "check", "--", self.host.address]
        return subprocess.run(check, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode != 0

    def said(self) -> str:
        """What it and the ssh of each hop have written, once they have ended; nothing after ``end``."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        with suppress(ValueError, OSError):
            return os.pread(self._said.fileno(), 1_000_000, 0).decode("utf-8", "replace")  # the place is theirs, too
        return ""

    def lost(self) -> Unreachable:
        """The error for a connection that has ended."""
        return lost(self.host, ssh_text.last_words(self.said()) or "it was closed")

    def end(self) -> None:
        """Close the connection."""
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self._kill()
            self.process.wait()
        for file in (self.process.stdin, self.process.stdout, self._said):
            if file:
                file.close()
        self._folder.cleanup()

    def _kill(self) -> None:
        """End it at once, with the ssh of each hop."""
        with suppress(ProcessLookupError, PermissionError):  # PermissionError: macOS, of one that has ended
            os.killpg(self.process.pid, signal.SIGKILL)


class _Command:
    """A command at work; what takes longer than a command may is not waited for."""

    def __init__(self, master: _Master, argv: Sequence[str], seconds: float) -> None:
        self._master, self._seconds = master, seconds
        self._process = Process(master.command(argv, "-T"), master.host.name)

    def send(self, line: str) -> None:
        with self._in_time():
            self._process.send(line)

    def receive(self) -> str:
        with self._in_time():
            return self._process.receive()

    def finish(self) -> Output:
        with self._in_time():
            return self._master.judge(self._process.finish())

    @contextmanager
    def _in_time(self) -> Iterator[None]:
        with _in_time(self._seconds, self._process.process.kill) as late:
            try:
                yield
            except Unreachable:
                if not late.is_set() and self._master.has_ended():
                    raise self._master.lost() from None
                if not late.is_set():
                    raise
        if late.is_set():
            raise lost(self._master.host, "TimeoutError")


def _require_no_circle(host: Host, configuration: Path) -> None:
    """Raise Unreachable where the jumps lead in a circle: each would start one more ssh, without an end."""
    passed, at = [host.address], host.address
    while at:
        told = subprocess.run(
            ("ssh", "-F", str(configuration), "-G", "--", at), capture_output=True, text=True, check=False
        )
        at = ssh_text.first_jump(told.stdout)
        if at in passed:
            raise Unreachable(
                f"{host.name}: ProxyJump of ~/.ssh/config leads in a circle: {', '.join([*passed, at])}",
                next_step=f"ssh -G {at} | grep proxyjump",
            )
        passed.append(at)


@contextmanager
def _in_time(seconds: float, give_up: Callable[[], object]) -> Iterator[threading.Event]:
    """Give up what the block does once it takes longer; the event tells of that."""
    late = threading.Event()

    def act() -> None:
        late.set()
        give_up()

    alarm = threading.Timer(seconds, act)
    alarm.daemon = True
    alarm.start()
    try:
        yield late
    finally:
        alarm.cancel()


def _connect(host: Host, stage: Stage) -> _Master:
    """Connect; only what may go well in a moment is tried again, which a refused login and a silent host do not."""
    for left in reversed(range(CONNECT_TRIES)):
        master, said = _attempt(host, stage)
        if master:
            return master
        words = ssh_text.last_words(said) or "no end of its logins"
        if ssh_text.TOLD.search(said):  # only when asked to does ssh say which key it got, and who logs in where
            master, more = _attempt(host, stage, "DEBUG1")
            if master:
                master.end()
            raise ssh_text.refusal(host, stage, more) or unreached(host, stage, host.name, words)
        if not left or not said or "timed out" in said:
            raise unreached(host, stage, host.name, words)
        pause()
    raise AssertionError("the last try returns or raises")


def _attempt(host: Host, stage: Stage, level: str = "INFO") -> tuple[_Master | None, str]:
    """A master that is connected, or what was said instead."""
    master = _Master(host, stage, level)
    try:
        if master.connects(stage.connect_timeout + LOGIN):
            return master, ""
        said = master.said()
    except BaseException:
        master.end()
        raise
    master.end()
    return None, said

"""A host over ssh: one connection, by Fabric and Paramiko; how that comes to be is in hops.py."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from releaselib.config.inventory import Host
from releaselib.config.stage import Stage
from releaselib.hosts import hops, terminal
from releaselib.hosts.connection import TIMED_OUT, Kept, Unreachable, lost, no_session
from releaselib.hosts.sessions import Sessions
from releaselib.process import Output, quoted

DRAINED = ("sh", "-c", '"$@"; code=$?; cat >/dev/null; exit "$code"', "sh")
"""In front of a command: has all of its input read. What comes for one that has ended ends the whole connection."""


class Ssh:
    """A host over one ssh connection, opened at once; raises Unreachable with the cause."""

    def __init__(self, host: Host, stage: Stage) -> None:
        self.host, self.stage, self.fence = host, stage, 0
        self.hops = hops.connect(host, stage)
        self._sessions = Sessions(self.hops[0].transport, stage.connect_timeout)

    def run(self, argv: Sequence[str], text: str = "", *, seconds: float = 0) -> Output:
        """Run a command to its end; a lost connection raises Unreachable."""
        running = self.start((*DRAINED, *argv))
        limit = self.stage.command_timeout + seconds
        alarm = threading.Timer(limit, running.give_up)
        alarm.daemon = True
        alarm.start()
        try:
            running.channel.settimeout(None)
            return running.finish(text)
        except Unreachable:
            if running.given_up:
                return Output(TIMED_OUT, "", f"no end after {limit:g} s")
            raise
        finally:
            alarm.cancel()

    def start(self, argv: Sequence[str]) -> _Channel:
        """Start a command and go on; a lost connection raises Unreachable, here and later."""
        with _losses(self.host):
            channel = self._sessions.start(quoted(argv))
            channel.settimeout(self.stage.command_timeout)
            return _Channel(self.host, channel)

    def terminal(self, argv: Sequence[str]) -> int:
        """Run a command with the terminal that this program has; ctrl-c and its size go there, too."""
        with _losses(self.host):
            return terminal.hand_over(self._sessions.take(), quoted(argv))

    def close(self) -> None:
        """Close the connection."""
        hops.close(self.hops)


class _Channel:
    """A command at work; its stderr is read beside, so that neither stream can block the other."""

    def __init__(self, host: Host, channel: Any) -> None:
        self.host, self.channel = host, channel
        self.given_up = False
        self._out, self._err = bytearray(), Kept()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        while True:
            try:
                data = self.channel.recv_stderr(65536)
            except TimeoutError:  # it is silent for long; the end of a command is not for this thread to see
                continue
            except (OSError, EOFError):
                return
            if not data:
                return
            self._err.add(data)

    def give_up(self) -> None:
        """End the waiting; the command itself may go on until its own end."""
        self.given_up = True
        with suppress(OSError, EOFError):
            self.channel.close()

    def send(self, line: str) -> None:
        with _losses(self.host):
            self.channel.sendall(f"{line}\n".encode())

    def receive(self) -> str:
        with _losses(self.host):
            while b"\n" not in self._out and (data := self.channel.recv(65536)):
                self._out += data
        line, _, self._out = self._out.partition(b"\n")
        return line.decode("utf-8", "replace")

    def finish(self, text: str = "") -> Output:
        with _losses(self.host):
            threading.Thread(target=self._write, args=[text], daemon=True).start()
            out = Kept(self._out)
            while data := self.channel.recv(65536):
                out.add(data)
            self._listener.join()
            code = self.channel.recv_exit_status()
            if code < 0:
                raise EOFError("the command's end was not heard")
        return Output(code, str(out), str(self._err))

    def _write(self, text: str) -> None:
        """Write the rest of its input, beside the reading; a command that does not want it is told by its own end."""
        with suppress(OSError, EOFError):
            self.channel.sendall(text.encode())
            self.channel.shutdown_write()


@contextmanager
def _losses(host: Host) -> Iterator[None]:
    """Tell what Paramiko raises as the loss of the host that it is."""
    import paramiko

    try:
        yield
    except paramiko.ChannelException as error:
        raise no_session(host, hops.words(error)) from None
    except (OSError, EOFError, paramiko.SSHException) as error:
        raise lost(host, hops.words(error)) from None

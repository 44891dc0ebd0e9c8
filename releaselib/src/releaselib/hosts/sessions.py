"""The sessions of one ssh connection: a command takes one round trip, where RFC 4254 step by step takes three.

A session is opened before it is needed, and what a command reads is sent without waiting for the server to say that
it has taken the command.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import paramiko


class Sessions:
    """Sessions of a connection, one a command, the next of them always asked for already."""

    def __init__(self, transport: paramiko.Transport, timeout: float) -> None:
        self._transport, self._timeout = transport, timeout
        self._spare: SimpleQueue[paramiko.Channel | None] = SimpleQueue()
        self._ask_for_one()

    def start(self, command: str) -> paramiko.Channel:
        """A session in which the command starts. A refusal shows in its end, which has no exit code then.

        Raises what Paramiko does when the connection is lost.
        """
        channel = self.take()
        channel._wait_for_event = lambda: None  # for what exec_command would wait for
        channel.exec_command(command)
        return channel

    def take(self) -> paramiko.Channel:
        """A session; the next one is asked for. Raises as :meth:`start` does."""
        spare = self._spare.get()
        try:
            # One that nobody used for long may have been closed (ChannelTimeout).
            return spare if spare and not spare.closed else self._open()
        finally:
            self._ask_for_one()

    def _ask_for_one(self) -> None:
        def ask() -> None:
            spare = None
            with suppress(Exception):  # a server may allow no spare one (sshd_config(5), MaxSessions)
                spare = self._open()
            self._spare.put(spare)

        threading.Thread(target=ask, daemon=True).start()

    def _open(self) -> paramiko.Channel:
        return self._transport.open_session(timeout=self._timeout)

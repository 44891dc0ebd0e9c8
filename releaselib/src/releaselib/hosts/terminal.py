"""The terminal of whoever types, handed to a program at the other end of a channel."""

import os
import select
import shutil
import signal
import sys
import termios
import tty
from typing import Any

from releaselib.errors import ConfigError


def require() -> None:
    """Raise ConfigError where there is no terminal to hand over."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ConfigError(
            "this needs a terminal, and standard input or output is none",
            next_step="fab run 'COMMAND' runs a command in a slot without one",
        )


def hand_over(channel: Any, command: str) -> int:
    """Run a command on a new channel of Paramiko's as if it were here; its exit code.

    Every key goes there, ctrl-c too, and so does a new size of the terminal.
    """
    size = shutil.get_terminal_size()
    channel.get_pty(os.environ.get("TERM", "xterm"), size.columns, size.lines)
    channel.exec_command(command)
    before = termios.tcgetattr(0)
    resized = signal.signal(signal.SIGWINCH, lambda *_: channel.resize_pty(*shutil.get_terminal_size()))
    try:
        tty.setraw(0, termios.TCSADRAIN)  # what was typed ahead counts
        ends = [channel, 0]
        while True:
            ready, _, _ = select.select(ends, [], [])
            if channel in ready:
                if not (data := channel.recv(65536)):
                    return int(channel.recv_exit_status())
                sys.stdout.buffer.write(data)
                sys.stdout.buffer.flush()
            if 0 in ready:
                if typed := os.read(0, 65536):
                    channel.sendall(typed)
                else:
                    ends.remove(0)
                    channel.shutdown_write()
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)
        signal.signal(signal.SIGWINCH, resized)

"""harmed.py SIGNAL MOMENT WORDS...: `fab WORDS...`, whose process gets the signal at the moment.

A moment is "before EVENT" or "after EVENT" of the journal, "in PHASE", or "SCRIPT on HOST" about to start.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

from fabric.main import program

from releaselib.decide.journal import Event
from releaselib.hosts.connection import Running
from releaselib.hosts.held import Lock
from releaselib.hosts.ssh import Ssh
from releaselib.progress import Clock

NUMBER, MOMENT, *WORDS = sys.argv[1:]
write, start, phase = Lock.write, Ssh.start, Clock.phase


def now(moment: str) -> None:
    """The signal, if this is the moment."""
    if moment == MOMENT:
        os.kill(os.getpid(), getattr(signal, NUMBER))


def writes(self: Lock, event: Event, wait: bool) -> None:
    """As Lock.write."""
    now(f"before {event.event}")
    write(self, event, wait=wait)
    now(f"after {event.event}")


def script(argv: Sequence[str]) -> str:
    """The name of the script that a command runs."""
    return next((word for word in argv if word.endswith(".sh")), "")


def starts(self: Ssh, argv: Sequence[str]) -> Running:
    """As Ssh.start."""
    now(f"{script(argv)} on {self.host.address}")
    return start(self, argv)


def phases(self: Clock, name: str) -> None:
    """As Clock.phase."""
    phase(self, name)
    now(f"in {name}")


if __name__ == "__main__":
    for kind, name, harm in ((Lock, "write", writes), (Ssh, "start", starts), (Clock, "phase", phases)):
        setattr(kind, name, harm)
    program.run(["fab", *WORDS])

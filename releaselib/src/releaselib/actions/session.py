"""A stage at work: its connections, the look at its hosts, the lock around what changes something."""

import getpass
import signal
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path

from releaselib import index
from releaselib.config import Project
from releaselib.config.inventory import Host
from releaselib.config.tables import Stage
from releaselib.decide.view import View
from releaselib.errors import Refused, ReleaseError
from releaselib.hosts import facts, fleet, lock
from releaselib.hosts.fleet import Fleet
from releaselib.hosts.lock import Journal
from releaselib.progress import Clock, say


@dataclass(frozen=True)
class Session:
    """A project's stage, the connections to its hosts, and the clock of what is done."""

    project: Project
    stage: Stage
    fleet: Fleet
    clock: Clock = field(default_factory=Clock)

    def look(self, app: Sequence[Host] | None = None) -> View:
        """See every host at once, or of the app hosts only these."""
        return facts.look(self.fleet, self.stage.app if app is None else app)

    @contextmanager
    def locked(self, seen: View) -> Iterator[tuple[View, Journal]]:
        """Hold the lock for the length of the block; gives what is seen now, and the journal.

        Raises Locked with who holds it, Refused when somebody was at work since ``seen``.
        """
        self.clock.phase("lock")
        with lock.hold(self.fleet) as journal:
            on_app = [host for host in self.stage.lock_hosts if host not in self.stage.proxy]
            again = self.look(on_app)
            if again.moved(seen):
                raise Refused(
                    "somebody was at work on the stage since it was looked at; nothing was changed",
                    next_step="fab history, then run the command again",
                )
            yield replace(seen, proxy=again.proxy, history=again.history), journal


@contextmanager
def session(project: Project, stage: str, *, start: bool = True) -> Iterator[Session]:
    """Work on a stage for the length of a ``with`` block; an error names the phase in which it happened.

    Its own index is started if it has one, unless ``start`` is false: a look changes nothing.
    """
    chosen = started(project.stage(stage)) if start else project.stage(stage)
    with fleet.connected(chosen) as hosts:
        made = Session(project, chosen, hosts)
        try:
            yield made
        except ReleaseError as error:
            error.what = made.clock.named(error.what)
            raise
        finally:
            made.clock.phase("")


def started(stage: Stage) -> Stage:
    """The stage, with its own index running if it has one."""
    if stage.local:
        _keep_out_of_git(Path(stage.prefix))
    if index.of(stage.index).ensure():
        say(f"index started at {stage.index.url}")
    return stage


def _keep_out_of_git(folder: Path) -> None:
    """Make the folder of a stage on this machine so that git does not see it; one that is there stays."""
    if not folder.exists():
        folder.mkdir(parents=True)
        (folder / ".gitignore").write_text("*\n", "utf-8")


def who() -> str:
    """Who works: user and machine, for lock and journal."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


def now() -> str:
    """This moment in UTC (ISO 8601), for people to read; never compared."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


@contextmanager
def unbroken() -> Iterator[None]:
    """Let ctrl-c wait for the end of the ``with`` block."""
    if threading.current_thread() is not threading.main_thread():  # it never gets one
        yield
        return
    pressed: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: pressed.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        raise KeyboardInterrupt

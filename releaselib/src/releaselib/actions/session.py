"""A stage at work: its connections, the look at its hosts, the lock around what changes something."""

import getpass
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import Any

from releaselib import index
from releaselib.actions.settings import gathered
from releaselib.config import Project
from releaselib.config.inventory import Host
from releaselib.config.stage import Stage
from releaselib.decide.settings import Setting
from releaselib.decide.view import View
from releaselib.errors import ReleaseError, on_stage
from releaselib.hosts import facts, fleet, lock
from releaselib.hosts.fleet import Fleet
from releaselib.hosts.held import Lock
from releaselib.progress import Clock, say


@dataclass(frozen=True)
class Session:
    """A project's stage, the connections to its hosts, and the clock of what is done."""

    project: Project
    stage: Stage
    fleet: Fleet
    clock: Clock = field(default_factory=Clock)

    @cached_property
    def settings(self) -> list[Setting]:
        """The settings of the stage, gathered once. Raises ConfigError for a secret that is missing."""
        return gathered(self.project.root, self.stage)

    def look(self, app: Sequence[Host] | None = None) -> View:
        """See every host, or of the app hosts only these."""
        return facts.look(self.fleet, self.stage.app if app is None else app)

    @contextmanager
    def locked(self, what: str, *, wait: float = 0, frozen: bool = False) -> Iterator[Lock]:
        """Hold the lock for the length of the block. Raises Locked with who holds it, and for what."""
        self.clock.phase("lock")
        with lock.hold(self.fleet, f"{who()} since {now()}: {what}", wait=wait, frozen=frozen) as held:
            self.clock.phase("")  # what goes wrong from here on is not the lock's
            yield held


@contextmanager
def session(project: Project, stage: str, *, start: bool = True) -> Iterator[Session]:
    """Work on a stage for the length of a ``with`` block; an error names the phase in which it happened.

    Its own index is started if it has one, unless ``start`` is false: a look changes nothing.
    """
    chosen = started(project.stage(stage)) if start else project.stage(stage)
    with fleet.connected(chosen) as hosts, interruptible():
        made = Session(project, chosen, hosts)
        try:
            yield made
        except ReleaseError as error:
            error.what = made.clock.named(error.what)
            error.next_step = on_stage(error.next_step, stage)
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


SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What ends a command: ctrl-c, a cancelled job, a closed terminal."""


class Interrupted(KeyboardInterrupt):
    """Somebody ends the command; ``number`` is the signal."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextmanager
def interruptible() -> Iterator[None]:
    """Let every signal that ends a command do so as ctrl-c does, for the length of the block."""

    def interrupt(number: int, _: object) -> None:
        raise Interrupted(number)

    with _signals(interrupt):
        yield


@contextmanager
def unbroken() -> Iterator[None]:
    """Let such a signal wait for the end of the block."""
    waiting: list[int] = []
    with _signals(lambda number, _: waiting.append(number)):
        yield
    if waiting:
        raise Interrupted(waiting[0])


@contextmanager
def _signals(handler: Callable[[int, Any], object]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # it never gets one
        yield
        return
    caught = [number for number in SIGNALS if signal.getsignal(number) not in (signal.SIG_IGN, None)]
    before = {number: signal.signal(number, handler) for number in caught}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)

"""A stage being worked on: its connections, the look at everything before, the lock around it all."""

from __future__ import annotations

import dataclasses
import getpass
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TypeVar

from releaselib import check as check_
from releaselib import fleet as fleet_
from releaselib import hooks, index, journal, lock, pypiserver
from releaselib.config import Project
from releaselib.errors import ConfigError, HostsFailed, Refused, ReleaseError, several
from releaselib.fleet import Fleet, Result
from releaselib.hosts import Host
from releaselib.lock import Journal
from releaselib.output import Clock, say
from releaselib.plan import Plan
from releaselib.settings import Stage
from releaselib.view import View

T = TypeVar("T")


@dataclass
class Work:
    """A stage being worked on: its connections, what was seen of it, and the clock of its phases."""

    project: Project
    stage: Stage
    fleet: Fleet
    view: View = field(default_factory=lambda: View({}, {}))
    clock: Clock = field(default_factory=Clock)

    @property
    def url(self) -> str:
        """Where a proxy is asked from its own loopback."""
        return f"http://127.0.0.1:{self.stage.listen_port()}"


def started(stage: Stage) -> Stage:
    """The stage, with its own index running if it has one."""
    if stage.local:
        _keep_out_of_git(Path(stage.prefix))
    own = pypiserver.at(stage.index)
    if own and pypiserver.ensure(own, stage.index.username):
        say(f"index started at {stage.index.url}")
    return stage


def _keep_out_of_git(folder: Path) -> None:
    """Make the folder of a stage on this machine so that git does not see it; one that is there stays."""
    if not folder.exists():
        folder.mkdir(parents=True)
        (folder / ".gitignore").write_text("*\n", "utf-8")


@contextmanager
def at_work(project: Project, stage: str, *, start: bool = True) -> Iterator[Work]:
    """Work on a stage for the length of a ``with`` block.

    Its own index is started if it has one, unless ``start`` is false: a look changes nothing.
    """
    chosen = started(project.stage(stage)) if start else project.stage(stage)
    with fleet_.connected(chosen) as fleet:
        work = Work(project, chosen, fleet)
        try:
            yield work
        except ReleaseError as error:
            error.what = work.clock.named(error.what)
            raise
        finally:
            work.clock.phase("")


def template(project: Project, name: str) -> str:
    """A template that the project brings along. Raises ConfigError when it is gone."""
    path = project.root / name
    if not path.exists():
        raise ConfigError(f"{path} is missing", next_step="bring it back from git, or from the template")
    return path.read_text("utf-8")


def check(work: Work, look: Callable[[], T] | None = None) -> T | None:
    """Everything that stands against the action, at once: source, index, every host.

    Leaves the view of the hosts in ``work`` and returns what ``look`` found in the source.
    """
    work.clock.phase("check")
    problems: list[ReleaseError] = []
    found = _attempt(problems, look) if look else None
    if not work.stage.index.folder:  # a stage's own index is started when it is needed
        _attempt(problems, lambda: index.projects(work.stage.index))
    work.view, words = check_.look(work.fleet, work.project.name)
    view = work.view
    if view.locked:  # what was seen is in flux
        raise lock.taken(work.stage, journal.last_began(journal.read(work.fleet)))
    if words:
        problems.append(
            Refused("hosts are not ready", cause="\n".join(words), next_step="mend these, then run it again")
        )
    _attempt(problems, lambda: check_.require_proxies(view, work.stage))
    lost = {host: words for host, words in view.lost.items() if host in work.stage.app}
    kind = Refused if view.unready.issuperset(lost) else HostsFailed
    _attempt(problems, lambda: budget(work.stage, lost, kind))
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise Refused(
            f"{len(problems)} things stand against it; nothing was changed",
            cause="\n".join(str(problem) for problem in problems),
            next_step="mend these, then run it again",
        )
    return found


def _attempt(problems: list[ReleaseError], act: Callable[[], T]) -> T | None:
    try:
        return act()
    except ReleaseError as error:
        problems.append(error)
        return None


def budget(
    stage: Stage, failed: Mapping[Host, str], error: Callable[..., ReleaseError] = HostsFailed
) -> None:
    """Raise HostsFailed when more app hosts failed than ``max_failures``; say which are left out."""
    if len(failed) > stage.max_failures:
        raise error(
            f"{len(failed)} of {len(stage.app)} hosts failed (max_failures = {stage.max_failures}); "
            "nothing was switched, visitors are served as before",
            cause=several(failed.values()),
            next_step="mend the hosts, then run it again; fab status shows them",
        )
    for words in failed.values():
        say(f"left out of the switch: {words}")


def who() -> str:
    """Who works: user and machine, for lock and journal."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


def now() -> str:
    """This moment in UTC (ISO 8601), for people to read; never compared."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


@contextmanager
def locked(work: Work, plan: Plan) -> Iterator[Journal]:
    """Hold the lock; the journal gets the plan first, and how it failed if it does.

    What was seen before is looked at again: somebody may have switched in the meantime.
    """
    work.clock.phase("lock")
    with lock.hold(work.fleet) as journal:
        again, _ = check_.look(work.fleet, work.project.name, app=())
        if {h: p.slot for h, p in again.proxy.items()} != {h: p.slot for h, p in work.view.proxy.items()}:
            raise Refused(
                "the live slot has changed since the plan was made; nothing was changed",
                next_step="run the command again",
            )
        journal.write(
            "began",
            action=plan.action,
            who=who(),
            when=now(),
            slot=plan.slot,
            live=plan.live,
            release=dataclasses.asdict(plan.release),
        )
        try:
            yield journal
        except BaseException as error:
            with suppress(ReleaseError):  # the host of the journal may be the one that failed
                journal.write("failed", action=plan.action, error=str(error) or type(error).__name__)
            hooks.run("on_failure", plan, error)
            raise


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


def sift(work: Work, results: Sequence[Result[Any]]) -> list[Host]:
    """The hosts that succeeded. Raises HostsFailed when more failed than the budget allows."""
    budget(work.stage, {r.host: str(r.error) for r in results if r.error})
    return [r.host for r in results if not r.error]


def refuse(results: Sequence[Result[Any]], state: str) -> None:
    """Raise HostsFailed with every failure and the state things are in, unless all succeeded."""
    failed = [str(r.error) for r in results if r.error]
    if failed:
        raise HostsFailed(
            f"{len(failed)} of {len(results)} proxies failed: {state}",
            cause=several(failed),
            next_step="mend them, then run it again; fab status",
        )

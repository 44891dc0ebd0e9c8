"""A build that has begun before the lock is held and the hosts are checked: it needs neither, and they take as long."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from releaselib import hooks
from releaselib.actions import wheels
from releaselib.actions.session import Session
from releaselib.config import Project
from releaselib.config.stage import Stage
from releaselib.decide.plan import PHASES
from releaselib.decide.release import Wanted
from releaselib.errors import ReleaseError
from releaselib.process import Stopper
from releaselib.wheels import source
from releaselib.wheels.build import Built
from releaselib.wheels.source import Source

T = TypeVar("T")


class Early:
    """The build of what a release most likely is, at work in a thread; whoever needs another one builds it himself."""

    def __init__(self, project: Project, stage: Stage, wanted: Wanted, folder: Path) -> None:
        self.project, self.stage, self.wanted, self.folder = project, stage, wanted, folder
        self._stopper = Stopper()
        self._chosen, self._built = Future[tuple[Source, str]](), Future[Built | None]()
        # Python waits at its end for a pool's threads: here that would be for an index that does not answer.
        threading.Thread(target=self._work, daemon=True).start()

    def _work(self) -> None:
        _fill(self._chosen, self._choose)
        if self._built.set_running_or_notify_cancel():
            _fill(self._built, self._build)

    def _choose(self) -> tuple[Source, str]:
        """The commit, and its version as far as the hosts have no say in it; none if it is published."""
        found = source.find(self.project.root, self.wanted.ref)
        version = wheels.chosen(self.project, self.stage.index, found, self.wanted)
        return found, "" if wheels.is_published(self.project, self.stage.index, found, version) else version

    def _build(self) -> Built | None:
        found, version = self._chosen.result()
        if not version or self._stopper.over:
            return None
        return wheels.clean_build(self.project, found, version, self.folder, self._stopper)

    def of(self, found: Source, version: str) -> Built | None:
        """What was built, if it is that version of that commit. Raises CommandFailed and Refused as a build does."""
        try:
            before, likely = self._chosen.result()
        except ReleaseError:  # the check has told it, or it is mended
            return None
        if (before.commit, likely) == (found.commit, version):
            return self._built.result()
        self._stopper.stop()
        return None

    def end(self) -> None:
        """End it, if it is still at work."""
        self._stopper.stop()
        if not self._built.cancel():
            wait([self._built])  # a clone is the last that it may be at


def _fill(future: Future[T], act: Callable[[], T]) -> None:
    """Have a future hold what comes out of an act."""
    try:
        future.set_result(act())
    except BaseException as error:  # it is raised to whoever asks
        future.set_exception(error)


@contextmanager
def begun(at: Session, action: str, wanted: Wanted, folder: Path) -> Iterator[Early | None]:
    """A build that begins now, if the action builds, and ends with the block at the latest.

    What a hook does before a build is done before it: with one there is none.
    """
    if "build" not in PHASES[action] or hooks.registered("pre_build"):
        yield None
        return
    early = Early(at.project, at.stage, wanted, folder)
    try:
        yield early
    finally:
        early.end()

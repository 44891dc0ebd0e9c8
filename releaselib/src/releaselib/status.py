"""Looks at a stage that change nothing: status, history, lock, doctor, versions."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from typing import Any

from releaselib import check, index, journal, lock, source, version, wheels
from releaselib import work as work_
from releaselib.config import Project
from releaselib.settings import Stage
from releaselib.view import UNSET, View
from releaselib.work import Work, at_work


@dataclass(frozen=True)
class Status:
    """A stage as it is: the live slot, a row a host, what is warm, and what needs a look."""

    stage: str
    live: str
    version: str
    url: str
    rows: list[tuple[str, str, str, str, str]]
    warm: list[str]
    notes: list[str] = field(default_factory=list)


def status(project: Project, stage: str) -> Status:
    """See every host; never fails because of a host, but tells it."""
    with at_work(project, stage, start=False) as work:
        work.view, problems = check.look(work.fleet, project.name)
        return described(work.stage, work.view, problems + _unfinished(work), work.url)


def _unfinished(work: Work) -> list[str]:
    if work.stage.lock_hosts[0] in work.view.lost:
        return []
    history_ = journal.read(work.fleet)
    began = journal.unfinished(history_)
    notes = [] if not history_.locked else ["the stage is locked: somebody is at work on it"]
    if began:
        notes.append(
            f"{began['action']} {began['release']['version']} by {began['who']} ({began['when']}) "
            "was cut off; run it again, or fab rollback"
        )
    return notes


def described(stage: Stage, view: View, problems: list[str], url: str) -> Status:
    """A view as rows for people: host, slot, version, state, since. Pure."""
    rows = []
    for host, seen in view.app.items():
        for name, one in seen.slots.items():
            state = "live" if name == view.live else "warm" if one.healthy and one.running else "idle"
            state = state if one.running or not one.release else f"{state}, stopped"
            found = one.release
            rows.append(
                (
                    host.name,
                    name,
                    found.version if found else UNSET,
                    state if found else "empty",
                    found.released if found else "",
                )
            )
    for host, proxy in view.proxy.items():
        rows.append((host.name, "nginx", proxy.version or UNSET, f"slot {proxy.slot or UNSET}", ""))
    warm = [
        f"slot {name}: {found.version} on {len(view.running(name))} of {len(stage.app)} hosts"
        for name in stage.settings.slots
        if name != view.live and (found := view.release(name)) and view.running(name)
    ]
    notes = [*problems, *view.lost.values()]
    if view.split:
        notes.append("the proxies do not agree; fab switch --slot SLOT puts all on one")
    return Status(stage.name, view.live, view.version, url, rows, warm, notes)


def history(project: Project, stage: str, number: int) -> list[dict[str, Any]]:
    """The last events of the stage's journal."""
    with at_work(project, stage, start=False) as work:
        return journal.read(work.fleet).events[-number:]


def doctor(project: Project, stage: str, ref: str) -> str:
    """Everything that would stop a release, at once. Raises what a release would raise."""
    with at_work(project, stage) as work:
        work_.check(work, lambda: source.look(project.root, ref))
        check.require_agreement(work.view)
        index.password(work.stage.index)
        seen = f"{len(work.view.app)} app hosts, {len(work.view.proxy)} proxies"
        return f"nothing stands against a release to {stage} ({seen})"


def lock_state(project: Project, stage: str) -> str:
    """Whether somebody holds the lock of a stage: who, since when and for what."""
    with at_work(project, stage, start=False) as work:
        found = journal.read(work.fleet)
        return (
            f"{stage} is locked by {lock.holder(journal.last_began(found))}"
            if found.locked
            else f"{stage} is not locked"
        )


def next_version(project: Project, stage: str, name: str) -> str:
    """The version that the next release would get."""
    return version.chosen(
        asked="",
        name=name,
        static=project.static_version,
        existing=wheels.versions(project, stage),
        today=datetime.date.today(),
    )


def latest_version(project: Project, stage: str) -> str:
    """The newest version, or "-" before the first."""
    return version.latest(wheels.versions(project, stage)) or UNSET

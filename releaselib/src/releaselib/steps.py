"""The names that the lists in :mod:`releaselib.release` are made of: decide, render, report."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field

from releaselib import index, nginx, plan, repository, resolve, slot, source, supervisor, version, wheels
from releaselib import journal as journal_
from releaselib.check import require_agreement
from releaselib.errors import Refused
from releaselib.health import Samples
from releaselib.hosts import Host, select
from releaselib.lock import Journal
from releaselib.output import say
from releaselib.plan import Plan
from releaselib.source import Source
from releaselib.view import Release
from releaselib.work import Work, check, now, template, who


@dataclass(frozen=True)
class Report:
    """How an action ended: what is where, seconds a phase, and what was sampled at the proxies."""

    action: str
    stage: str
    version: str
    slot: str
    before: str
    hosts: list[str]
    seconds: dict[str, float]
    requests: int = 0
    failed: int = 0
    url: str = ""
    samples: dict[str, Samples] = field(default_factory=dict)


def look(work: Work, ref: str) -> Source:
    """The commit to release, and everything that stands against it, at once. Raises Refused."""
    if not work.stage.local:
        repository.require_token(work.project)
    found = check(work, lambda: source.look(work.project.root, ref))
    if found is None:
        raise AssertionError("check raises when there is no source")
    return found


def next_version(work: Work, found: Source, asked: str, name: str) -> str:
    """The version of a release, from the wish, tags and index."""
    chosen = version.chosen(
        asked=asked,
        name=name,
        static=work.project.static_version,
        existing=[*found.tags, *(file.version for file in wheels.held(work.stage.index, work.project.name))],
        today=datetime.date.today(),
    )
    if work.project.static_version:
        say(f"the version is static, {chosen}: taken from pyproject.toml")
    wheels.is_published(work, chosen, found)  # refuses a tag on another commit before anything is built
    return chosen


def planned(
    work: Work,
    action: str,
    chosen: str,
    *,
    commit: str = "",
    slot: str = "",
    profile: str = "",
    hosts: str = "",
    again: Release | None = None,
) -> Plan:
    """The plan of an action, with every file that goes to the hosts."""
    stage, project = work.stage, work.project
    if not again:
        require_agreement(work.view)
    to = slot if again else plan.idle_slot(stage, work.view.live, slot)
    this = again or Release(
        project.name, chosen, commit, work.view.serial() + 1, now(), who(), profile or stage.profile
    )
    return plan.make(
        action, stage, work.view, this, to, app=select(stage.app, hosts), files=rendered(work, this, to)
    )


def rendered(work: Work, this: Release, to: str) -> dict[str, str]:
    """The project's templates with the values of this release. Raises ConfigError."""
    values = slot.values(work.stage, this, to, package=this.project.replace("-", "_"))
    files = {"supervisord.conf": supervisor.render(template(work.project, supervisor.TEMPLATE), values)}
    if work.stage.proxy:
        files["site.conf"] = nginx.site(template(work.project, nginx.TEMPLATE), work.stage, work.project.name)
    return files


def published(work: Work, asked: str) -> str:
    """A version that is on the index: the one asked for, or the newest. Raises Refused."""
    held = {f.version for f in index.files(work.stage.index, work.project.name) if f.name.endswith(".whl")}
    chosen = str(version.parse(asked)) if asked else version.latest(held)
    if chosen not in held:
        raise Refused(
            f"{work.project.name} {chosen or '(any version)'} is not on the index",
            next_step=f"fab index.list --packages {work.project.name}; fab publish",
        )
    return chosen


def pins_again(work: Work, chosen: str) -> resolve.Pinned:
    """The pins of a published version: those it was staged with before, else its lock at the tag."""
    before = journal_.wheels_of(journal_.read(work.fleet), chosen)
    if before:
        return wheels.pinned(work, chosen, "\n".join(f"{name}=={pin}" for name, pin in before.items()))
    tagged = source.look(work.project.root, "HEAD").tags.get(chosen)
    return wheels.pinned(work, chosen, wheels.lock_at(work.project, tagged) if tagged else "")


def finish(
    work: Work, todo: Plan, hosts: list[Host], samples: Mapping[Host, Samples], journal: Journal
) -> Report:
    """Write the outcome to the journal and tell it."""
    work.clock.phase("")
    report = Report(
        todo.action,
        todo.stage,
        todo.release.version,
        todo.slot,
        f"{todo.live} {todo.live_version}".strip(),
        [host.name for host in hosts],
        dict(work.clock.seconds),
        sum(s.requests for s in samples.values()),
        sum(len(s.failed) for s in samples.values()),
        work.url if work.stage.local and work.stage.proxy else "",
        {h.name: s for h, s in samples.items()},
    )
    journal.write(
        "done", when=now(), **{k: v for k, v in dataclasses.asdict(report).items() if k != "samples"}
    )
    return report

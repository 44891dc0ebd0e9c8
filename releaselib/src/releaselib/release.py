"""The whole actions, each a list of names that reads from top to bottom.

They are plain functions: ``release(load(), "staging")`` does what ``fab release --stage staging`` does.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field

from releaselib import index, nginx, phases, plan, resolve, slot, source, supervisor, version, wheels
from releaselib import journal as journal_
from releaselib.config import Project
from releaselib.errors import ConfigError, Refused
from releaselib.health import Samples
from releaselib.hosts import Host, select
from releaselib.lock import Journal
from releaselib.output import say
from releaselib.plan import Plan, Release
from releaselib.source import Source
from releaselib.work import Work, at_work, check, locked, now, who


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


def release(
    project: Project,
    stage: str,
    *,
    asked: str = "",
    name: str = "",
    ref: str = "",
    profile: str = "",
    only_plan: bool = False,
) -> Report | Plan:
    """Release a commit to a stage: version, build, publish, stage, switch, prove.

    ``asked`` is a version, ``name`` a local label like fixbug, ``ref`` a branch, tag or commit. With
    ``only_plan`` the plan is returned and nothing is done. Raises ReleaseError; until the switch
    visitors are served as before whatever happens.
    """
    with at_work(project, stage, start=not only_plan) as work:
        found = look(work, ref)
        chosen = next_version(work, found, asked, name)
        todo = planned(work, "release", chosen, commit=found.commit, profile=profile)
        if only_plan:
            return todo
        pins = wheels.make(work, todo, found)
        with locked(work, todo) as journal:
            hosts = phases.stage(work, todo, pins, journal)
            samples = phases.switch(work, todo, hosts, journal)
            phases.stop(work, todo)
            return finish(work, todo, hosts, samples, journal)


def deploy(
    project: Project, stage: str, *, asked: str, slot: str = "", profile: str = "", hosts: str = ""
) -> Report:
    """Stage a published version in an idle slot (of some hosts); changes nothing for visitors."""
    with at_work(project, stage) as work:
        check(work)
        todo = planned(work, "deploy", published(work, asked), slot=slot, profile=profile, hosts=hosts)
        pins = pins_again(work, todo.release.version)
        with locked(work, todo) as journal:
            good = phases.stage(work, todo, pins, journal)
            return finish(work, todo, good, {}, journal)


def quickdeploy(project: Project, stage: str, *, ref: str = "", slot: str = "", profile: str = "") -> Report:
    """Build, publish and stage a commit, without a switch."""
    with at_work(project, stage) as work:
        found = look(work, ref)
        chosen = next_version(work, found, "", "")
        todo = planned(work, "quickdeploy", chosen, commit=found.commit, slot=slot, profile=profile)
        pins = wheels.make(work, todo, found)
        with locked(work, todo) as journal:
            good = phases.stage(work, todo, pins, journal)
            return finish(work, todo, good, {}, journal)


def switch(project: Project, stage: str, *, slot: str = "") -> Report:
    """Point every proxy at another slot (the next one by default) after a health check of it."""
    with at_work(project, stage) as work:
        check(work)
        return _switch_to(work, "switch", slot or plan.idle_slot(work.stage, work.view.live))


def rollback(project: Project, stage: str, *, asked: str = "") -> Report:
    """Go back to the release before the live one, or to the version asked for.

    A slot that is still warm is switched to in seconds; otherwise the version is staged again from
    the index first. Raises Refused when there is nothing to go back to.
    """
    with at_work(project, stage) as work:
        check(work)
        back = plan.rollback_slot(work.view, work.stage, asked)
        wanted = work.view.release(back)
        if wanted and len(work.view.holders(back)) >= len(work.stage.app) - work.stage.max_failures:
            return _switch_to(work, "rollback", back)
        again = wanted.version if wanted else published(work, asked)
        say(f"{again} is not warm; it is staged again")
        todo = planned(work, "release", again, slot=back, profile=wanted.profile if wanted else "")
        pins = pins_again(work, again)
        with locked(work, todo) as journal:
            hosts = phases.stage(work, todo, pins, journal)
            samples = phases.switch(work, todo, hosts, journal)
            phases.stop(work, todo)
            return finish(work, todo, hosts, samples, journal)


def _switch_to(work: Work, action: str, to: str) -> Report:
    wanted = work.view.release(to)
    if to not in work.stage.settings.slots:
        raise ConfigError(
            f"stage {work.stage.name} has no slot {to!r}",
            next_step=f"use one of: {', '.join(work.stage.settings.slots)}",
        )
    if not wanted:
        raise Refused(f"slot {to} is empty; there is nothing to switch to", next_step="fab status")
    todo = planned(work, action, wanted.version, again=wanted, slot=to)
    with locked(work, todo) as journal:
        hosts = phases.probe(work, todo)
        samples = phases.switch(work, todo, hosts, journal)
        phases.stop(work, todo)
        return finish(work, todo, hosts, samples, journal)


# --- the names that the lists above are made of


def look(work: Work, ref: str) -> Source:
    """The commit to release, and everything that stands against it, at once. Raises Refused."""
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
    files = {"supervisord.conf": supervisor.render(_template(work.project, supervisor.TEMPLATE), values)}
    if work.stage.proxy:
        files["site.conf"] = nginx.site(
            _template(work.project, nginx.TEMPLATE), work.stage, work.project.name
        )
    return files


def _template(project: Project, name: str) -> str:
    path = project.root / name
    if not path.exists():
        raise ConfigError(f"{path} is missing", next_step="bring it back from git, or from the template")
    return path.read_text("utf-8")


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

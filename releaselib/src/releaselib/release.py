"""The whole actions, each a list of names that reads from top to bottom.

They are plain functions: ``release(load(), "staging")`` does what ``fab release --stage staging`` does.
"""

from __future__ import annotations

import dataclasses
import datetime
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from releaselib import build as build_
from releaselib import index, mirror, nginx, phases, plan, resolve, slot, source, supervisor, version
from releaselib import journal as journal_
from releaselib import publish as publish_
from releaselib.build import Built
from releaselib.config import Index, Project
from releaselib.errors import ConfigError, Refused
from releaselib.health import Samples
from releaselib.hosts import Host, select
from releaselib.lock import Journal
from releaselib.output import say
from releaselib.phases import Work, at_work, started
from releaselib.plan import Plan, Release
from releaselib.source import Source


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
    with at_work(project, stage) as work:
        found = look(work, ref)
        chosen = next_version(work, found, asked, name)
        todo = planned(work, "release", chosen, commit=found.commit, profile=profile)
        if only_plan:
            return todo
        pins = phases.make(work, todo, found)
        with phases.locked(work, todo) as journal:
            hosts = phases.stage(work, todo, pins, journal)
            samples = phases.switch(work, todo, hosts, journal)
            return finish(work, todo, hosts, samples, journal)


def deploy(
    project: Project, stage: str, *, asked: str, slot: str = "", profile: str = "", hosts: str = ""
) -> Report:
    """Stage a published version in an idle slot (of some hosts); changes nothing for visitors."""
    with at_work(project, stage) as work:
        phases.check(work)
        todo = planned(work, "deploy", published(work, asked), slot=slot, profile=profile, hosts=hosts)
        pins = pins_again(work, todo.release.version)
        with phases.locked(work, todo) as journal:
            good = phases.stage(work, todo, pins, journal)
            return finish(work, todo, good, {}, journal)


def quickdeploy(project: Project, stage: str, *, ref: str = "", slot: str = "", profile: str = "") -> Report:
    """Build, publish and stage a commit, without a switch."""
    with at_work(project, stage) as work:
        found = look(work, ref)
        chosen = next_version(work, found, "", "")
        todo = planned(work, "quickdeploy", chosen, commit=found.commit, slot=slot, profile=profile)
        pins = phases.make(work, todo, found)
        with phases.locked(work, todo) as journal:
            good = phases.stage(work, todo, pins, journal)
            return finish(work, todo, good, {}, journal)


def switch(project: Project, stage: str, *, slot: str = "") -> Report:
    """Point every proxy at another slot (the next one by default) after a health check of it."""
    with at_work(project, stage) as work:
        phases.check(work)
        return _switch_to(work, "switch", slot or plan.idle_slot(work.stage, work.view.live))


def rollback(project: Project, stage: str, *, asked: str = "") -> Report:
    """Go back to the release before the live one, or to the version asked for.

    A slot that is still warm is switched to in seconds; otherwise the version is staged again from
    the index first. Raises Refused when there is nothing to go back to.
    """
    with at_work(project, stage) as work:
        phases.check(work)
        back = plan.rollback_slot(work.view, work.stage, asked)
        wanted = work.view.release(back)
        if wanted and len(work.view.holders(back)) >= len(work.stage.app) - work.stage.max_failures:
            return _switch_to(work, "rollback", back)
        again = wanted.version if wanted else published(work, asked)
        say(f"{again} is not warm; it is staged again")
        todo = planned(work, "release", again, slot=back, profile=wanted.profile if wanted else "")
        pins = pins_again(work, again)
        with phases.locked(work, todo) as journal:
            hosts = phases.stage(work, todo, pins, journal)
            samples = phases.switch(work, todo, hosts, journal)
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
    with phases.locked(work, todo) as journal:
        hosts = phases.probe(work, to, wanted.version, work.view.holders(to) or work.stage.app)
        samples = phases.switch(work, todo, hosts, journal)
        return finish(work, todo, hosts, samples, journal)


# --- the names that the lists above are made of


def look(work: Work, ref: str) -> Source:
    """The commit to release, and everything that stands against it, at once. Raises Refused."""
    found = phases.check(work, lambda: source.look(work.project.root, ref))
    if found is None:
        raise AssertionError("check raises when there is no source")
    return found


def next_version(work: Work, found: Source, asked: str, name: str) -> str:
    """The version of a release, from the wish, tags and index."""
    held = [file.version for file in index.files(work.stage.index, work.project.name)]
    chosen = version.chosen(
        asked=asked,
        name=name,
        static=work.project.static_version,
        existing=[*found.tags, *held],
        today=datetime.date.today(),
    )
    if work.project.static_version:
        say(f"the version is static, {chosen}: taken from pyproject.toml")
    phases.is_published(work, chosen, found)  # refuses a tag on another commit before anything is built
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
        project.name,
        chosen,
        commit,
        work.view.serial() + 1,
        phases.now(),
        phases.who(),
        profile or stage.profile,
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
        return phases.pinned(work, chosen, "\n".join(f"{name}=={pin}" for name, pin in before.items()))
    tagged = source.look(work.project.root, "HEAD").tags.get(chosen)
    return phases.pinned(work, chosen, phases.lock_at(work.project, tagged) if tagged else "")


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
        "done", when=phases.now(), **{k: v for k, v in dataclasses.asdict(report).items() if k != "samples"}
    )
    return report


# --- build and publish on their own


def index_of(project: Project, stage: str) -> Index:
    """The index of a stage; without one that of stage local, else the project's own [index]."""
    name = stage or ("local" if "local" in project.stages else "")
    return started(project.stage(name)).index if name else project.index


def versions(project: Project, stage: str) -> list[str]:
    """Every version there is, from tags and index. Raises IndexFailed and Refused."""
    held = index_of(project, stage)
    known = [file.version for file in index.files(held, project.name)] if held.url else []
    return [*source.look(project.root, "HEAD").tags, *known]


def build(
    project: Project, out: Path, *, stage: str = "", asked: str = "", name: str = "", ref: str = ""
) -> Built:
    """Build a version of a commit in a clean clone into ``out``; works on no host."""
    found = source.look(project.root, ref)
    chosen = version.chosen(
        asked=asked,
        name=name,
        static=project.static_version,
        existing=versions(project, stage),
        today=datetime.date.today(),
    )
    out.mkdir(parents=True, exist_ok=True)
    return clean_build(project, found, chosen, out)


def clean_build(project: Project, found: Source, chosen: str, out: Path) -> Built:
    """Build a commit as that version, from a clean clone."""
    with tempfile.TemporaryDirectory() as folder:
        clone = source.clone(project.root, found.commit, Path(folder) / "clone")
        return build_.build(
            clone / project.directory,
            out,
            name=project.name,
            version=chosen,
            commit=found.commit,
            committed=found.committed,
        )


def publish(project: Project, built: Built, *, stage: str = "") -> str:
    """Upload what was built, read it back, then tag the commit; returns what was done in words."""
    new = publish_.publish(index_of(project, stage), project.name, built.files)
    tagged = source.tag(project.root, built.version, built.commit)
    return f"uploaded {', '.join(new) or 'nothing new'}; {tagged}"


def sync(project: Project, *, stage: str = "", packages: str = "", python: str = "") -> list[str]:
    """Bring packages, or all that the project and its hosts need, to the stage's index."""
    held = index_of(project, stage)
    if packages:
        return mirror.sync(held, packages.split(","), python=python)
    with tempfile.TemporaryDirectory() as folder:
        found = source.look(project.root, "HEAD")
        built = clean_build(project, found, project.static_version or "0", Path(folder))
        wheel = next(path for path in built.paths if path.suffix == ".whl")
        extra = project.stage(stage).settings.requires if stage else ()
        return mirror.sync(
            held,
            [*mirror.needed(wheel, extra), *resolve.TOOLS, "uv"],
            python=python,
            constraints=phases.lock_at(project, found.commit),
        )

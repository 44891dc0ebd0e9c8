"""The phases of a release, each carried out by one function on a :class:`Work`."""

from __future__ import annotations

import dataclasses
import getpass
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TypeVar

from releaselib import build as build_
from releaselib import check as check_
from releaselib import fleet as fleet_
from releaselib import health, hooks, index, lock, mirror, nginx, pypiserver, resolve, slot, source
from releaselib import publish as publish_
from releaselib.config import Project, Stage
from releaselib.errors import CommandFailed, HostsFailed, Refused, ReleaseError
from releaselib.fleet import Fleet, Result, Running
from releaselib.health import Samples
from releaselib.hosts import Host
from releaselib.lock import Journal
from releaselib.output import Clock, say
from releaselib.plan import UNSET, Plan, View
from releaselib.resolve import Pinned
from releaselib.source import Source

T = TypeVar("T")


@dataclass
class Work:
    """A stage being worked on: its connections, and the clock of its phases."""

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
    if stage.index.folder:
        server = pypiserver.Server(Path(stage.index.folder), "127.0.0.1", index_port(stage))
        if pypiserver.ensure(server, stage.index.username):
            say(f"index started at {stage.index.url}")
    return stage


@contextmanager
def at_work(project: Project, stage: str) -> Iterator[Work]:
    """Work on a stage for the length of a ``with`` block; its own index is started if it has one."""
    chosen = started(project.stage(stage))
    with fleet_.connected(chosen) as fleet:
        work = Work(project, chosen, fleet)
        try:
            yield work
        finally:
            work.clock.phase("")


def index_port(stage: Stage) -> int:
    """The port of a stage's own index."""
    return int(stage.index.url.rpartition(":")[2].partition("/")[0])


# --- check


def check(work: Work, look: Callable[[], T] | None = None) -> T | None:
    """Everything that stands against the action, at once: source, index, every host.

    Leaves the view of the hosts in ``work`` and returns what ``look`` found in the source.
    """
    work.clock.phase("check")
    problems: list[ReleaseError] = []
    found = _attempt(problems, look) if look else None
    _attempt(problems, lambda: index.projects(work.stage.index))
    work.view, words = check_.look(work.fleet, work.project.name)
    view = work.view
    if words:
        problems.append(
            Refused("hosts are not ready", cause="\n".join(words), next_step="mend these, then run it again")
        )
    _attempt(problems, lambda: check_.require_proxies(view, work.stage))
    _attempt(
        problems, lambda: budget(work.stage, {h: w for h, w in view.lost.items() if h in work.stage.app})
    )
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


def budget(stage: Stage, failed: Mapping[Host, str]) -> None:
    """Raise HostsFailed when more app hosts failed than ``max_failures``; say which are left out."""
    if len(failed) > stage.max_failures:
        raise HostsFailed(
            f"{len(failed)} of {len(stage.app)} hosts failed (max_failures = {stage.max_failures}); "
            "nothing was switched, visitors are served as before",
            cause="\n".join(failed.values()),
            next_step="mend the hosts, then run it again; fab status shows them",
        )
    for host, words in failed.items():
        say(f"left out of the switch: {host.name}: {words}")


# --- build, publish


def is_published(work: Work, version: str, found: Source) -> bool:
    """Whether that version was built from this very commit and is on the index already.

    Raises Refused when its tag is on another commit.
    """
    tagged = found.tags.get(version)
    if tagged and tagged != found.commit:
        raise Refused(
            f"version {version} has a tag already, on another commit ({tagged[:12]}), "
            f"not on {found.commit[:12]}",
            next_step="raise the version in pyproject.toml"
            if work.project.static_version
            else "give another --version, or none",
        )
    return bool(tagged) and any(
        f.version == version and f.name.endswith(".whl")
        for f in index.files(work.stage.index, work.project.name)
    )


def make(work: Work, plan: Plan, found: Source) -> Pinned:
    """Build in a clean clone, resolve, publish, tag; returns what the hosts install.

    What is missing on the index is found before anything is published.
    """
    version, root = plan.release.version, work.project.root
    hooks.run("pre_build", plan)
    constraints = lock_at(work.project, found.commit)
    if is_published(work, version, found):
        say(f"{version} is published already, built from this commit: taken from the index")
        return pinned(work, version, constraints)
    work.clock.phase("build")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "dist"
        out.mkdir()
        clone = source.clone(root, found.commit, Path(folder) / "clone")
        built = build_.build(
            clone / work.project.directory,
            out,
            name=work.project.name,
            version=version,
            commit=found.commit,
            committed=found.committed,
        )
        pins = pinned(work, version, constraints, links=out)
        work.clock.phase("publish")
        publish_.publish(work.stage.index, work.project.name, built.files)
    say(source.tag(root, version, found.commit))
    return pins


def lock_at(project: Project, commit: str) -> str:
    """The pins of the project's uv.lock as it is in that commit."""
    with tempfile.TemporaryDirectory() as folder:
        names = tuple(str(Path(project.directory) / name) for name in ("pyproject.toml", "uv.lock"))
        source.files_at(project.root, commit, names, Path(folder))
        return mirror.locked(Path(folder))


def pinned(work: Work, version: str, constraints: str, links: Path | None = None) -> Pinned:
    """What the hosts install, resolved once from the index (and ``links``, not published yet).

    A stage with an index of its own gets what that lacks.
    """
    stage = work.stage
    try:
        return _resolved(work, version, constraints, links)
    except Refused:
        if not (stage.index.folder and links):
            raise
        say("fetching what the project's own index lacks")
        wheel = next(path for path in links.iterdir() if path.suffix == ".whl")
        wanted = mirror.needed(wheel, stage.settings.requires)
        mirror.sync(stage.index, [*wanted, *resolve.TOOLS, "uv"], constraints=constraints)
        return _resolved(work, version, constraints, links)


def _resolved(work: Work, version: str, constraints: str, links: Path | None) -> Pinned:
    seen = next(iter(work.view.app.values()))  # the hosts were checked to be alike
    kind = resolve.Target(".".join(seen.python.split(".")[:2]), seen.machine)
    wanted = [f"{work.project.name}=={version}", *work.stage.settings.requires]
    return Pinned(
        resolve.resolve(wanted, work.stage.index, kind, constraints=constraints, links=links),
        resolve.resolve(resolve.TOOLS, work.stage.index, kind),
    )


# --- lock, record


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
            journal.write("failed", action=plan.action, error=str(error) or type(error).__name__)
            hooks.run("on_failure", plan, error)
            raise


# --- stage


def stage(work: Work, plan: Plan, pins: Pinned, journal: Journal) -> list[Host]:
    """Install, start and check the release in the idle slot of every app host at once.

    Returns the hosts on which it is healthy; raises HostsFailed beyond the failure budget.
    """
    hooks.run("pre_deploy", plan)
    work.clock.phase("stage")
    machine = next(iter(work.view.app.values())).machine
    uv = index.uv_wheel(index.files(work.stage.index, "uv"), machine)
    release = dataclasses.replace(plan.release, wheels=resolve.pins(pins.release))
    content = slot.files(
        work.stage,
        release,
        plan.slot,
        supervisord=plan.files["supervisord.conf"],
        requirements=pins.release,
        tools=pins.tools,
    )
    results = work.fleet.each(plan.app, lambda r: slot.stage_release(r, work.stage, plan.slot, content, uv))
    good = sift(work, results)
    journal.write("staged", slot=plan.slot, hosts=[h.name for h in good], release=dataclasses.asdict(release))
    say(f"{release.version} is healthy in slot {plan.slot} on {len(good)} of {len(plan.app)} hosts")
    hooks.run("post_deploy", plan)
    return good


def sift(work: Work, results: Sequence[Result[Any]]) -> list[Host]:
    """The hosts that succeeded. Raises HostsFailed when more failed than the budget allows."""
    budget(work.stage, {r.host: str(r.error) for r in results if r.error})
    return [r.host for r in results if not r.error]


def probe(work: Work, slot_: str, version: str, hosts: Sequence[Host]) -> list[Host]:
    """The hosts whose processes in a slot are all healthy now. Raises HostsFailed over the budget."""
    work.clock.phase("health")
    results = work.fleet.each(hosts, lambda r: slot.check_health(r, work.stage, slot_, version))
    return sift(work, results)


# --- switch, prove


def switch(work: Work, plan: Plan, hosts: Sequence[Host], journal: Journal) -> dict[Host, Samples]:
    """All proxies or none: prepare and test on all, then replace and reload on all, then prove it."""
    work.clock.phase("switch")
    version, serves = plan.release.version, f"{plan.slot} {plan.release.version}"
    _set_up_missing(work, plan)
    text = nginx.upstream(work.project.name, nginx.servers(work.stage, hosts, plan.slot), serves)
    seen_by_visitors = tuple(host.visitors for host in hosts)
    health_ = slot.health(work.stage, plan.slot, version, hosts=seen_by_visitors, timeout=5)
    refuse(
        work.fleet.each(plan.proxy, lambda r: nginx.prepare(r, work.stage, text, health_)),
        "no proxy was switched; visitors are served as before",
    )
    samplers = _sample(work, plan) if plan.live else {}
    journal.write("switching", slot=plan.slot, live=plan.live)
    _all_or_none(work, plan, serves)
    journal.write("switched", slot=plan.slot, live=plan.live)
    hooks.run("post_switch", plan)
    work.clock.phase("prove")
    samplers = samplers or _sample(work, plan)
    for running in samplers.values():
        health.switched(running)
    _drain(work, plan)
    return _proved(plan, {host: health.end(running) for host, running in samplers.items()})


def _set_up_missing(work: Work, plan: Plan) -> None:
    new = [host for host, seen in work.view.proxy.items() if not seen.set_up]
    path = check_.site(work.stage, work.project.name)
    refuse(
        work.fleet.each(
            new, lambda r: nginx.setup(r, work.stage, work.project.name, plan.files["site.conf"], path)
        ),
        "the site could not be set up; no proxy was switched",
    )


def refuse(results: Sequence[Result[Any]], state: str) -> None:
    """Raise HostsFailed with every failure and the state things are in, unless all succeeded."""
    failed = [str(r.error) for r in results if r.error]
    if failed:
        raise HostsFailed(
            f"{len(failed)} of {len(results)} proxies failed: {state}",
            cause="\n".join(failed),
            next_step="mend them, then run it again; fab status",
        )


def _sample(work: Work, plan: Plan) -> dict[Host, Running]:
    header, path = check_.host_header(work.stage), work.stage.settings.health
    results = work.fleet.each(
        plan.proxy, lambda r: health.begin(r, work.stage.python, work.url, header, path)
    )
    refuse(results, "sampling does not start")
    return {r.host: r.get() for r in results}


def _all_or_none(work: Work, plan: Plan, serves: str) -> None:
    """Switch every proxy; if one cannot be, those that were are switched back."""
    header = check_.host_header(work.stage)
    results = work.fleet.each(plan.proxy, lambda r: nginx.switch(r, work.stage, serves, work.url, header))
    if not any(r.error for r in results):
        return
    before = f"{plan.live} {plan.live_version}" if plan.live else UNSET
    back = work.fleet.each(
        plan.proxy, lambda r: nginx.switch(r, work.stage, before, work.url, header, back=True)
    )
    stuck = [f"cannot be switched back: {r.error}" for r in back if r.error]
    raise HostsFailed(
        "the switch failed; "
        + (f"{len(stuck)} proxies are in doubt" if stuck else "all proxies serve the old release again"),
        cause="\n".join([str(r.error) for r in results if r.error] + stuck),
        next_step="fab status",
    )


def _drain(work: Work, plan: Plan) -> None:
    """Wait for old workers; only then may the old slot be stopped, if the stage wants that."""
    left = work.fleet.each(plan.proxy, lambda r: nginx.drain(r, work.stage))
    busy = {r.host.name: r.get() for r in left if not r.error and r.get()}
    if busy:
        say(f"still finishing old requests after {work.stage.drain_timeout} s: {busy}")
    elif not work.stage.keep_warm and plan.live and plan.live != plan.slot:
        work.fleet.each(plan.app, lambda r: slot.act(r, work.stage, "shutdown", plan.live))


def _proved(plan: Plan, samples: dict[Host, Samples]) -> dict[Host, Samples]:
    doubts = [
        f"{host.name}: {words}"
        for host, s in samples.items()
        for words in health.doubts(s, plan.release.version)
    ]
    if doubts:
        raise CommandFailed(
            f"nginx sends visitors to slot {plan.slot} ({plan.release.version}), but it is "
            "not proved that they noticed nothing",
            cause="\n".join(doubts),
            next_step="fab status; fab rollback goes back to the old slot",
        )
    return samples

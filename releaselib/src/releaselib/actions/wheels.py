"""From a commit to wheels on the index, and to the pins that hosts install; changes no host."""

import datetime
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from releaselib import index
from releaselib.actions.bringing import bring
from releaselib.actions.session import Session, started
from releaselib.config import Project
from releaselib.config.stage import Stage
from releaselib.config.tables import Index, OwnIndex
from releaselib.decide import versions
from releaselib.decide.files import File, wheels_of
from releaselib.decide.release import NOTHING, Release, Wanted
from releaselib.decide.seen import UNSET, AppSeen
from releaselib.decide.view import View
from releaselib.errors import Refused
from releaselib.hosts import lock as locks
from releaselib.hosts.fleet import Fleet
from releaselib.index.publish import publish as publish_files
from releaselib.process import Stopper
from releaselib.progress import say
from releaselib.wheels import build as builds, mirror, resolve, source
from releaselib.wheels.build import Built
from releaselib.wheels.mirror import Lock
from releaselib.wheels.resolve import Pinned, Target
from releaselib.wheels.source import Source


def held(where: Index, name: str) -> list[File]:
    """What the index has of a project; nothing where release.toml names no index."""
    return index.of(where).files(name) if where.url else []


def index_of(project: Project, stage: str, *, start: bool = False) -> Index:
    """The index of a stage; without one that of stage local, else the project's own [index].

    With ``start`` it is running afterwards, if it is a stage's own.
    """
    name = stage or ("local" if "local" in project.stages else "")
    if not name:
        return project.index
    return (started(project.stage(name)) if start else project.stage(name)).index


# --- versions


def known_versions(project: Project, where: Index, found: Source) -> list[str]:
    """Every version there is, from tags and index. Raises IndexFailed."""
    return [*found.tags, *(file.version for file in held(where, project.name))]


def latest_version(project: Project, stage: str = "") -> str:
    """The newest version, or "-" before the first."""
    found = source.find(project.root, "HEAD")
    return versions.latest(known_versions(project, index_of(project, stage), found)) or UNSET


def next_version(project: Project, stage: str = "", wanted: Wanted = NOTHING) -> str:
    """The version of the next release; of ``wanted`` it takes version and name."""
    return chosen(project, index_of(project, stage), source.find(project.root, "HEAD"), wanted)


def chosen(project: Project, where: Index, found: Source, wanted: Wanted) -> str:
    """The version that comes next, whatever the commit: of that only the tags count. Raises IndexFailed and Refused."""
    return versions.chosen(
        asked=wanted.version,
        name=wanted.name,
        static=project.static_version,
        existing=known_versions(project, where, found),
        today=datetime.date.today(),
    )


def version_of(project: Project, where: Index, found: Source, wanted: Wanted) -> str:
    """The version that a commit is released as. Raises Refused for one whose tag is on another commit."""
    version, static = chosen(project, where, found, wanted), project.static_version
    if static:
        say(f"the version is static, {version}: taken from pyproject.toml")
    tagged = found.tags.get(version, found.commit)
    if tagged != found.commit:
        raise Refused(
            f"version {version} has a tag already, on another commit ({tagged[:12]}), not on {found.commit[:12]}",
            next_step="raise the version in pyproject.toml" if static else "give another --version, or none",
        )
    return version


def is_published(project: Project, where: Index, found: Source, version: str) -> bool:
    """Whether that version was built from this very commit and is on the index already."""
    return version in found.tags and bool(wheels_of(held(where, project.name), version))


def published(project: Project, where: Index, asked: str) -> str:
    """A version that is on the index: the one asked for, or the newest. Raises Refused."""
    files = held(where, project.name)
    version = str(versions.parse(asked)) if asked else versions.latest(f.version for f in files)
    if not wheels_of(files, version):
        raise Refused(
            f"{project.name} {version or '(any version)'} is not on the index",
            next_step=f"fab index.list --packages {project.name}; fab publish",
        )
    return version


def commit_of(project: Project, version: str) -> str:
    """The commit that has the version's tag, or the empty text."""
    return source.find(project.root, "HEAD").tags.get(version, "")


def version_before(fleet: Fleet, live: Release | None) -> str:
    """The version that was live before that release, as the stage's journal remembers it; or the empty text."""
    return locks.read_journal(fleet).before(live.serial) if live else ""


def released_before(fleet: Fleet, version: str) -> Release:
    """A release as the stage's journal remembers it, however long ago. Raises Refused without one."""
    found = locks.read_journal(fleet).release(version)
    if not found:
        raise Refused(
            f"{version} was never on stage {fleet.stage.name}, so there is no going back to it",
            next_step=f"fab release --stage {fleet.stage.name} --version {version} --ref {version}",
        )
    return found


# --- building and publishing


def build(project: Project, out: Path, wanted: Wanted, *, stage: str = "") -> Built:
    """Build a version of a commit in a clean clone into ``out``; works on no host.

    Of ``wanted`` it takes version, name and ref.
    """
    found = source.find(project.root, wanted.ref)
    version = chosen(project, index_of(project, stage), found, wanted)
    return clean_build(project, found, version, out)


def clean_build(project: Project, found: Source, version: str, out: Path, stopper: Stopper | None = None) -> Built:
    """Build a commit as that version, from a clean clone."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        clone = source.clone(project.root, found.commit, Path(folder) / "clone")
        stamp = builds.Stamp(project.name, version, found.commit, found.committed)
        return builds.build(clone / project.directory, out, stamp, stopper)


def publish(project: Project, built: Built | Mapping[str, Any], *, stage: str = "", tag: bool = True) -> str:
    """Upload what was built, read it back, then tag the commit; returns what was done in words.

    Without ``tag`` nothing is asked of the repository's origin, as for somebody else's project.

    ``built`` may be in its JSON form. Raises Refused, IndexFailed and CommandFailed.
    """
    built = built if isinstance(built, Built) else Built(**built)
    where = index_of(project, stage, start=True)
    if not tag:
        return f"uploaded {', '.join(publish_files(index.of(where), project.name, built.files)) or 'nothing new'}"
    new, tagged = upload(project, where, built)
    return f"uploaded {', '.join(new) or 'nothing new'}; {tagged}"


def upload(project: Project, where: Index, built: Built) -> tuple[list[str], str]:
    """Upload, read back, tag: the names of what was new, and what became of the tag in words.

    What the push of the tag needs is looked for first: nothing is uploaded without it.
    """
    from releaselib.actions import repository  # here: see release.py

    source.require_tag(project.root, built.version, built.commit)
    with repository.credentials(project) as found:
        new = publish_files(index.of(where), project.name, built.files) if built.files else []
        return new, source.tag(project.root, built.version, built.commit, found)


# --- what hosts install


def lock_at(project: Project, commit: str) -> Lock:
    """What the project's pyproject.toml and uv.lock say in that commit."""
    with tempfile.TemporaryDirectory() as folder:
        names = tuple(str(Path(project.directory) / name) for name in ("pyproject.toml", "uv.lock"))
        source.files_at(project.root, commit, names, Path(folder))
        return mirror.locked(Path(folder))


def require_dependencies(at: Session, view: View, commit: str) -> None:
    """Raise Refused unless the index has what uv.lock pins in a commit; an index of its own gets it by itself."""
    pins = lock_at(at.project, commit).pins.split("\n") if commit and not isinstance(at.stage.index, OwnIndex) else []
    wanted = [line for line in pins if line.strip()]
    if wanted and (lacking := resolve.lacking(wanted, at.stage.index, Target.of(view.any_app))):
        raise Refused(f"the index lacks {', '.join(lacking)} ({at.stage.index.url})", next_step="fab index.sync")


def pinned(stage: Stage, seen: AppSeen, built: Built, lock: Lock) -> Pinned:
    """What the hosts install of a build that is not published yet, resolved once.

    A stage with an index of its own gets what that lacks.
    """
    try:
        return _resolved(stage, seen, built.version, lock.pins, built.folder)
    except Refused:
        if not isinstance(stage.index, OwnIndex):
            raise
        say("fetching what the project's own index lacks")
        target = Target.of(seen)
        wanted = [*mirror.needed(built.wheel, stage.requires, target.markers), *resolve.tools(stage), "uv"]
        bring(stage.index, wanted, target, lock)
        return _resolved(stage, seen, built.version, lock.pins, built.folder)


def pins_of(at: Session, view: View, release: Release) -> Pinned:
    """The pins of a published release: those it was staged with before, else its lock at its commit."""
    before = release.wheels
    if not before and (known := view.history.release(release.version)):
        before = known.wheels
    constraints = "\n".join(f"{name}=={pin}" for name, pin in before.items())
    if not before and release.commit:
        constraints = lock_at(at.project, release.commit).pins
    return _resolved(at.stage, view.any_app, release.version, constraints)


def _resolved(stage: Stage, seen: AppSeen, version: str, constraints: str, links: Path | None = None) -> Pinned:
    kind = Target.of(seen)  # the hosts were checked to be alike
    wanted = [f"{stage.project}=={version}", *stage.requires]
    stopper = Stopper()
    with ThreadPoolExecutor() as pool:  # both wait for the index, most of the time
        ask = partial(resolve.resolve, index=stage.index, target=kind, stopper=stopper)
        release = pool.submit(ask, wanted, constraints=constraints, links=links)
        tools = pool.submit(ask, resolve.tools(stage))
        try:
            return Pinned(release.result(), tools.result())
        except BaseException:  # also ctrl-c, which does not wait for the other
            stopper.stop()
            raise

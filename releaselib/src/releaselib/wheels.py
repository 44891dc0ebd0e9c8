"""From a commit to wheels on the index, and to the pins that hosts install; changes no host."""

from __future__ import annotations

import datetime
import platform
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from releaselib import build as build_
from releaselib import check, hooks, index, mirror, pypiserver, repository, resolve, source, version
from releaselib import publish as publish_
from releaselib.build import Built
from releaselib.config import Project
from releaselib.errors import Refused
from releaselib.index import File
from releaselib.output import say
from releaselib.plan import Plan
from releaselib.resolve import Pinned, Target
from releaselib.settings import Index
from releaselib.source import Source
from releaselib.view import App
from releaselib.work import Work, at_work, started


def held(where: Index, name: str) -> list[File]:
    """What the index has of a project; nothing while a project's own index does not run yet."""
    own = pypiserver.at(where)
    if not where.url or (own and not pypiserver.answers(own)):
        return []
    return index.files(where, name)


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
        f.version == version and f.name.endswith(".whl") for f in held(work.stage.index, work.project.name)
    )


def make(work: Work, plan: Plan, found: Source) -> Pinned:
    """Build in a clean clone, resolve, publish, tag; returns what the hosts install.

    What is missing on the index is found before anything is published.
    """
    version = plan.release.version
    hooks.run("pre_build", plan)
    constraints = lock_at(work.project, found.commit)
    if is_published(work, version, found):
        say(f"{version} is published already, built from this commit: taken from the index")
        return pinned(work, version, constraints)
    work.clock.phase("build")
    with tempfile.TemporaryDirectory() as folder:
        built = clean_build(work.project, found, version, Path(folder))
        pins = pinned(work, version, constraints, links=Path(folder))
        work.clock.phase("publish")
        _, tagged = _upload(work.project, work.stage.index, built)
    say(tagged)
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
    except Refused as error:
        if not (stage.index.folder and links):
            error.next_step += f" --stage {stage.name}"
            raise
        say("fetching what the project's own index lacks")
        wheel = next(path for path in links.iterdir() if path.suffix == ".whl")
        target = target_of(work.view.any_app)
        wanted = [*mirror.needed(wheel, stage.settings.requires, target.markers), *resolve.TOOLS, "uv"]
        bring(stage.index, wanted, target, constraints)
        return _resolved(work, version, constraints, links)


def _resolved(work: Work, version: str, constraints: str, links: Path | None) -> Pinned:
    kind = target_of(work.view.any_app)  # the hosts were checked to be alike
    wanted = [f"{work.project.name}=={version}", *work.stage.settings.requires]
    return Pinned(
        resolve.resolve(wanted, work.stage.index, kind, constraints=constraints, links=links),
        resolve.resolve(resolve.TOOLS, work.stage.index, kind),
    )


def target_of(seen: App) -> Target:
    """What wheels must be for on a host. Pure."""
    return Target(".".join(seen.python.split(".")[:2]), seen.machine)


def index_of(project: Project, stage: str, *, start: bool = False) -> Index:
    """The index of a stage; without one that of stage local, else the project's own [index].

    With ``start`` it is running afterwards, if it is a stage's own.
    """
    name = _stage(project, stage)
    if not name:
        return project.index
    return (started(project.stage(name)) if start else project.stage(name)).index


def _stage(project: Project, name: str) -> str:
    return name or ("local" if "local" in project.stages else "")


def versions(project: Project, stage: str) -> list[str]:
    """Every version there is, from tags and index. Raises IndexFailed and Refused."""
    known = [file.version for file in held(index_of(project, stage), project.name)]
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


def publish(project: Project, built: Built | Mapping[str, Any], *, stage: str = "") -> str:
    """Upload what was built, read it back, then tag the commit; returns what was done in words.

    ``built`` may be in its JSON form. Raises Refused, IndexFailed and CommandFailed.
    """
    built = built if isinstance(built, Built) else Built(**built)
    new, tagged = _upload(project, index_of(project, stage, start=True), built)
    return f"uploaded {', '.join(new) or 'nothing new'}; {tagged}"


def _upload(project: Project, where: Index, built: Built) -> tuple[list[str], str]:
    """Upload, read back, tag: the names of what was new, and what became of the tag in words.

    What the push of the tag needs is looked for first: nothing is uploaded without it.
    """
    with repository.credentials(project) as found:
        new = publish_.publish(where, project.name, built.files)
        return new, source.tag(project.root, built.version, built.commit, found)


def sync(project: Project, *, stage: str = "", packages: str = "", python: str = "") -> list[str]:
    """Bring packages, or all that the project and its hosts need, to the stage's index.

    The wheels are those for ``python``, or for what the hosts of the stage are, or for this machine.
    """
    where = index_of(project, stage, start=True)
    stage = _stage(project, stage)
    target = Target(python, platform.machine()) if python else _asked(project, stage) if stage else None
    if packages:
        return bring(where, packages.split(","), target)
    with tempfile.TemporaryDirectory() as folder:
        found = source.look(project.root, "HEAD")
        built = clean_build(project, found, project.static_version or "0", Path(folder))
        wheel = next(path for path in built.paths if path.suffix == ".whl")
        extra = project.stage(stage).settings.requires if stage else ()
        wanted = [*mirror.needed(wheel, extra, target.markers if target else None), *resolve.TOOLS, "uv"]
        return bring(where, wanted, target, lock_at(project, found.commit))


def _asked(project: Project, stage: str) -> Target:
    """What the app hosts are: some are asked, the first one that answers counts. Raises CommandFailed."""
    with at_work(project, stage, start=False) as work:
        some = work.stage.app[:3]
        results = work.fleet.each(some, lambda r: check.facts(r, work.stage, project.name, "app"))
        answered = [one for one in results if not one.error] or results
        return target_of(check.app_of(answered[0].get()))


def bring(where: Index, wanted: Sequence[str], target: Target | None, constraints: str = "") -> list[str]:
    """Bring requirements and all they need to the index; returns the uploaded file names.

    What pip did not take for needed by another Python than its own is found by resolving for that.
    """
    words = {"python": target.python, "machine": target.machine} if target else {}
    new = mirror.sync(where, wanted, constraints=constraints, **words)
    while target and (left := resolve.lacking(wanted, where, target, constraints)):
        more = mirror.sync(where, left, constraints=constraints, **words)
        if not more:  # what is left is not to be had
            break
        new += more
    return new

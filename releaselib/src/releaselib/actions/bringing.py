"""Wheels that an index lacks come to it; for what is the team's own nobody else is ever asked.

A package is the team's own when pyproject.toml gives it an index (``[tool.uv.sources]``), or when the team's index
holds an sdist of it: that comes from `fab publish`, while what is brought from elsewhere is wheels alone.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from releaselib import index
from releaselib.config.tables import Index
from releaselib.decide.files import File
from releaselib.errors import IndexFailed
from releaselib.index.publish import fetch, upload_new
from releaselib.progress import say
from releaselib.wheels import build, mirror, resolve
from releaselib.wheels.mirror import Lock
from releaselib.wheels.resolve import Target

NO_LOCK = Lock()


def bring(where: Index, wanted: Sequence[str], target: Target | None, lock: Lock = NO_LOCK) -> list[str]:
    """Bring requirements and all they need to the index; returns the uploaded file names.

    What pip did not take for needed by another Python than its own is found by resolving for that. Raises IndexFailed.
    """

    def brought(some: Sequence[str]) -> list[str]:
        return _brought(where, _without_own(where, some, target, lock), target, lock)

    new = brought(wanted)
    while target and (left := resolve.lacking(wanted, where, target, lock.pins)):
        more = brought(left)
        if not more:  # what is left is not to be had
            break
        new += more
    return new


def _without_own(where: Index, wanted: Sequence[str], target: Target | None, lock: Lock) -> list[str]:
    """These requirements; in place of each package of the team's own what that needs. Raises IndexFailed."""
    todo, seen, others = [Requirement(text) for text in wanted], set(), []
    while todo:
        one = todo.pop(0)
        name, held = canonicalize_name(one.name), index.of(where).files(one.name) if where.url else []
        if not _is_own(name, held, lock.own):
            others.append(str(one))
        elif name not in seen:
            seen.add(name)
            todo += [Requirement(text) for text in _needs(where, one, held, target)]
    return others


def _is_own(name: str, held: Sequence[File], own: Sequence[str]) -> bool:
    return name in own or any(not file.name.endswith(".whl") for file in held)


def _needs(where: Index, one: Requirement, held: Sequence[File], target: Target | None) -> list[str]:
    """What the newest fitting wheel of a package of the team's own requires."""
    fits = [f for f in held if f.name.endswith(".whl") and one.specifier.contains(f.version, prereleases=True)]
    if not fits:
        raise IndexFailed(
            f"index.sync: {one} is the team's own, and {where.url} has no wheel of it; nobody else is asked",
            next_step=f"publish it there: fab build --json | fab publish, in the project {one.name}",
        )
    newest = max(fits, key=lambda file: Version(file.version))
    with tempfile.TemporaryDirectory() as folder:
        wheel = Path(folder) / newest.name
        wheel.write_bytes(fetch(index.of(where), newest))
        extras = [f"{one.name}[{','.join(sorted(one.extras))}]"] if one.extras else []
        return mirror.needed(wheel, extras, target.markers if target else None)


def _brought(where: Index, wanted: Sequence[str], target: Target | None, lock: Lock) -> list[str]:
    kind = {"python": target.python, "machine": target.machine} if target else {}
    if not wanted:
        return []
    with tempfile.TemporaryDirectory() as folder:
        fetched = mirror.fetch(wanted, Path(folder), constraints=lock.pins, **kind)
        for path in fetched:
            name = canonicalize_name(path.name.partition("-")[0])
            if _is_own(name, index.of(where).files(name), lock.own):
                raise IndexFailed(
                    f"index.sync: {path.name} came from elsewhere, but {name} is the team's own; nothing was uploaded",
                    next_step="see who needs it: it must be required by name in pyproject.toml, or not at all",
                )
            if lock.hashes.get(path.name, digest := build.sha256(path)) != digest:
                raise IndexFailed(
                    f"index.sync: {path.name} is not what uv.lock says; nothing was uploaded",
                    cause=f"expected {lock.hashes[path.name]}\ngot      {digest}",
                    next_step="find out who changed it; uv lock records what there is now",
                )
        new = upload_new(index.of(where), fetched)
        for path in fetched:
            if path.name in new:
                say(f"{build.sha256(path)}  {path.name}")
        return new

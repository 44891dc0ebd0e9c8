"""Results as people read them; `--json` prints the same values for programs."""

from __future__ import annotations

from functools import singledispatch
from pathlib import Path
from typing import Any

from releaselib.build import Built
from releaselib.index import File
from releaselib.output import table
from releaselib.plan import Plan
from releaselib.status import Status
from releaselib.steps import Report
from releaselib.view import UNSET


@singledispatch
def of(value: Any) -> str:
    """The words for a result."""
    return str(value)


@of.register
def _(value: Report) -> str:
    phases = ", ".join(f"{name} {seconds:.1f}" for name, seconds in value.seconds.items())
    lines = [
        f"{value.action}: {value.version} in slot {value.slot} on {len(value.hosts)} hosts of {value.stage}"
    ]
    if value.action in ("release", "rollback", "switch"):
        lines[0] = (
            f"{value.action}: {value.version} is live on {value.stage} "
            f"(slot {value.slot}, {len(value.hosts)} hosts; before: {value.before or UNSET})"
        )
        lines.append(f"sampled: {value.requests} requests, {value.failed} failed")
    lines.append(f"seconds: {sum(value.seconds.values()):.1f} ({phases})")
    return "\n".join(lines + ([f"open: {value.url}"] if value.url else []))


@of.register
def _(value: Plan) -> str:
    head = (
        f"{value.action} {value.release.version} to {value.stage}: slot {value.live or UNSET} -> {value.slot}"
    )
    rows = [(step.phase, _hosts(step.hosts), step.what) for step in value.steps]
    files = "files on the hosts: " + ", ".join(sorted(value.files))
    return "\n".join([head, table(("phase", "where", "what"), rows), files, "nothing was done"])


def _hosts(names: tuple[str, ...]) -> str:
    return ", ".join(names) if len(names) < 4 else f"{names[0]} ... {names[-1]} ({len(names)})"


@of.register
def _(value: Status) -> str:
    rows = table(("host", "slot", "version", "state", "released"), value.rows)
    lines = [f"{value.stage}: {value.version or UNSET} is live (slot {value.live or UNSET})", rows]
    lines += [f"warm: {words}" for words in value.warm]
    lines += [f"look at: {words}" for words in value.notes]
    return "\n".join(line for line in lines if line)


@of.register
def _(value: Built) -> str:
    return "\n".join(f"{digest}  {Path(path).name}" for path, digest in value.files.items())


@of.register
def _(value: File) -> str:
    return f"{value.sha256}  {value.name}"


@of.register
def _(value: dict) -> str:  # type: ignore[type-arg]
    if "event" in value:
        rest = value.get("error") or value.get("version") or value.get("release", {}).get("version", "")
        return f"{value.get('when', ''):20}  {value['event']:10}  {value.get('action', '')} {rest}".rstrip()
    return "\n".join(f"{key}: {words}" for key, words in value.items())


@of.register
def _(value: list) -> str:  # type: ignore[type-arg]
    return "\n".join(of(one) for one in value) or "nothing"

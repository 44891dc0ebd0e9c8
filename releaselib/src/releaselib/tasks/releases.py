"""Tasks that make, move, take back and look at releases."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import releaselib
from releaselib.decide.release import Wanted
from releaselib.errors import ConfigError
from releaselib.tasks.task import task

if TYPE_CHECKING:
    from releaselib.actions.status import Status
    from releaselib.decide.journal import Event, Report
    from releaselib.decide.plan import Plan
    from releaselib.wheels.build import Built


@task(plan="print what would be done, and do nothing", canary_only="stop when the canary hosts have had their share")
def release(
    stage: str = "local",
    version: str = "",
    name: str = "",
    ref: str = "",
    profile: str = "",
    hosts: str = "",
    exclude: str = "",
    wait: int = 0,
    plan: bool = False,
    canary_only: bool = False,
) -> Report | Plan:
    """Release: version, build, publish, stage in the idle slot, switch, prove.

    Example: fab release --stage production
    """
    wanted = Wanted(version, name, ref, "", profile, hosts, exclude, wait, canary_only)
    return (releaselib.plan if plan else releaselib.release)(releaselib.load(), stage, wanted)


@task()
def plan(
    stage: str = "local",
    version: str = "",
    name: str = "",
    ref: str = "",
    profile: str = "",
    hosts: str = "",
    exclude: str = "",
) -> Report | Plan:
    """Print what a release would do, without doing it.

    Example: fab plan --stage production --json
    """
    return release(stage, version, name, ref, profile, hosts, exclude, plan=True)


@task()
def rollback(stage: str = "local", version: str = "", exclude: str = "", wait: int = 0) -> Report:
    """Go back to the release before the live one, or to a version.

    Example: fab rollback --stage production
    """
    return releaselib.rollback(releaselib.load(), stage, Wanted(version=version, exclude=exclude, wait=wait))


@task(out="the folder for wheel and sdist (default: dist)")
def build(stage: str = "", version: str = "", name: str = "", ref: str = "", out: str = "dist") -> Built:
    """Build wheel and sdist of a commit in a clean clone.

    Example: fab build --name fixbug --json > built.json
    """
    wanted = Wanted(version=version, name=name, ref=ref)
    return releaselib.build(releaselib.load(), Path(out).resolve(), wanted, stage=stage)


@task(built="the JSON that `fab build --json` printed; - for standard input", tag="leave tags and origin alone")
def publish(stage: str = "", built: str = "-", tag: bool = True) -> str:
    """Upload what was built, read it back, tag the commit and push the tag; --no-tag leaves the repository alone.

    Example: fab build --json | fab publish --stage staging
    """
    from releaselib.wheels.build import Built  # here: not for --list

    try:
        text = sys.stdin.read() if built == "-" else Path(built).read_text("utf-8")
        found = Built(**json.loads(text))
    except (OSError, ValueError, TypeError) as error:
        where = "standard input" if built == "-" else built
        words = f"--built: {where} is not what fab build --json prints: {error}"
        raise ConfigError(words, next_step="fab build --json | fab publish") from None
    return releaselib.publish(releaselib.load(), found, stage=stage, tag=tag)


@task(missing="bring the live release to hosts that were left out, are new or were rebuilt, and visitors to them")
def deploy(
    stage: str = "local",
    version: str = "",
    slot: str = "",
    profile: str = "",
    hosts: str = "",
    exclude: str = "",
    wait: int = 0,
    missing: bool = False,
) -> Report:
    """Stage a published version in an idle slot; visitors notice nothing.

    Example: fab deploy --stage staging --version 2026.11.23.1
    """
    wanted = Wanted(version=version, slot=slot, profile=profile, hosts=hosts, exclude=exclude, wait=wait)
    if missing and (version or slot or profile):
        raise ConfigError(
            "--missing brings the live release to the live slot: it goes with no --version, --slot or --profile",
            next_step=f"fab deploy --missing --stage {stage}",
        )
    return (releaselib.join if missing else releaselib.deploy)(releaselib.load(), stage, wanted)


@task("slot")
def create(
    stage: str = "local", version: str = "", slot: str = "", profile: str = "", hosts: str = "", exclude: str = ""
) -> Report:
    """The same as `fab deploy`: a slot is built by staging a version in it.

    Example: fab slot.create --stage staging --slot b --version 2026.11.23.1
    """
    return deploy(stage, version, slot, profile, hosts, exclude)


@task()
def quickdeploy(
    stage: str = "local",
    ref: str = "",
    slot: str = "",
    profile: str = "",
    hosts: str = "",
    exclude: str = "",
    wait: int = 0,
) -> Report:
    """Build, publish and stage a commit, without a switch.

    Example: fab quickdeploy --stage staging --ref fix-login
    """
    wanted = Wanted(ref=ref, slot=slot, profile=profile, hosts=hosts, exclude=exclude, wait=wait)
    return releaselib.quickdeploy(releaselib.load(), stage, wanted)


@task()
def switch(stage: str = "local", slot: str = "", exclude: str = "", wait: int = 0) -> Report:
    """Point every proxy at another slot, after a health check of it.

    Example: fab switch --stage staging --slot b
    """
    return releaselib.switch(releaselib.load(), stage, Wanted(slot=slot, exclude=exclude, wait=wait))


@task()
def status(stage: str = "local") -> Status:
    """What is live, warm and idle on every host, and what was left unfinished.

    Example: fab status --stage production
    """
    return releaselib.status(releaselib.load(), stage)


@task()
def drill(stage: str = "local", exclude: str = "") -> str:
    """Rehearse a rollback, all but the switch itself, and say how long it would take.

    Example: fab drill --stage production
    """
    return releaselib.drill(releaselib.load(), stage, exclude)


@task(number="how many events")
def history(stage: str = "local", number: int = 20) -> list[Event]:
    """What happened on a stage, newest last.

    Example: fab history --stage production --number 50
    """
    return releaselib.history(releaselib.load(), stage, number)


@task()
def doctor(stage: str = "local", ref: str = "", exclude: str = "") -> str:
    """Everything that would stop a release, at once, without building anything.

    Example: fab doctor --stage production
    """
    return releaselib.doctor(releaselib.load(), stage, ref, exclude)


@task("version", "next")
def next_(stage: str = "", name: str = "") -> str:
    """The version that the next release would get.

    Example: fab version.next
    """
    return releaselib.next_version(releaselib.load(), stage, Wanted(name=name))


@task("version")
def latest(stage: str = "") -> str:
    """The newest version, from tags and index.

    Example: fab version.latest
    """
    return releaselib.latest_version(releaselib.load(), stage)

"""The whole actions, each a list of names that reads from top to bottom.

They are plain functions: ``release(load(), "staging")`` does what ``fab release --stage staging`` does.
"""

from __future__ import annotations

from releaselib import phases, plan, repository, wheels
from releaselib.config import Project
from releaselib.errors import ConfigError, Refused
from releaselib.output import say
from releaselib.plan import Plan
from releaselib.steps import Report, finish, look, next_version, pins_again, planned, published
from releaselib.work import Work, at_work, check, locked


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
            report = finish(work, todo, hosts, samples, journal)
    if project.forge and project.forge.release and not work.stage.local:
        say(repository.make_release(project, report.version))
    return report


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

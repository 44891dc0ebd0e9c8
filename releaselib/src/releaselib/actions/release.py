"""The whole actions as plain functions: they differ by the plan that is made.

``release(load(), "staging")`` does what ``fab release --stage staging`` does. Until the switch visitors are
served as before whatever happens; each raises a ReleaseError of its own kind (see errors.py).
"""

from releaselib.actions.runner import carry_out, only_planned
from releaselib.config import Project
from releaselib.decide.journal import Report
from releaselib.decide.plan import Plan
from releaselib.decide.release import NOTHING, Wanted
from releaselib.progress import say


def release(project: Project, stage: str, wanted: Wanted = NOTHING) -> Report:
    """Release a commit to a stage: version, build, publish, stage, switch, prove.

    Of ``wanted`` it takes all.
    """
    report = carry_out(project, stage, "release", wanted)
    live = report.action == "release"  # a canary alone is not
    if live and project.forge and project.forge.release and not project.stage(stage).local:
        from releaselib.actions import repository  # here, as with forge and requests it costs a tenth of a second

        say(repository.make_release(project, report.version))
    return report


def plan(project: Project, stage: str, wanted: Wanted = NOTHING, action: str = "release") -> Plan:
    """What an action would do now; nothing is done."""
    return only_planned(project, stage, action, wanted)


def deploy(project: Project, stage: str, wanted: Wanted = NOTHING) -> Report:
    """Stage a published version, by default the newest, in an idle slot; changes nothing for visitors.

    Of ``wanted`` it takes version, slot, profile, hosts, exclude and wait.
    """
    return carry_out(project, stage, "deploy", wanted)


def quickdeploy(project: Project, stage: str, wanted: Wanted = NOTHING) -> Report:
    """Build, publish and stage a commit, without a switch; ``wanted`` as for release, but for canary_only."""
    return carry_out(project, stage, "quickdeploy", wanted)


def switch(project: Project, stage: str, wanted: Wanted = NOTHING) -> Report:
    """Point every proxy at another slot (the next one by default) after a health check of it.

    Of ``wanted`` it takes slot, exclude and wait.
    """
    return carry_out(project, stage, "switch", wanted)


def join(project: Project, stage: str, wanted: Wanted = NOTHING) -> Report:
    """Bring the live release to the hosts that were left out, are new or were rebuilt; then visitors, too.

    Of ``wanted`` it takes hosts, exclude and wait.
    """
    return carry_out(project, stage, "join", wanted)


def sync_proxies(project: Project, stage: str) -> Report:
    """Have the proxies send nobody to hosts that are in release.toml no more, and load the site as it is now."""
    return carry_out(project, stage, "sync", NOTHING)


def rollback(project: Project, stage: str, wanted: Wanted = NOTHING) -> Report:
    """Go back to the release before the live one, or to the version asked for.

    A slot that is still warm is switched to in seconds; otherwise the version is staged again from
    the index first. Of ``wanted`` it takes version, exclude and wait. Raises Refused when there is nothing
    to go back to.
    """
    return carry_out(project, stage, "rollback", wanted)

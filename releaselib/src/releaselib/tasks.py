"""The tasks of Fabric: parse, call, print. A generated fabfile.py takes ``namespace`` from here.

Whatever a task does is a plain function elsewhere, imported when the task runs; nothing is decided here.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from releaselib import parts
from releaselib.tasking import do, namespace, task

__all__ = ["namespace", "parts"]


@task(plan="print what would be done, and do nothing")
def release(context, stage="local", version="", name="", ref="", profile="", plan=False):  # type: ignore[no-untyped-def]
    """Release: version, build, publish, stage in the idle slot, switch, prove.

    Example: fab release --stage production
    """
    return do("release.release", stage, asked=version, name=name, ref=ref, profile=profile, only_plan=plan)


@task()
def plan(context, stage="local", version="", name="", ref="", profile=""):  # type: ignore[no-untyped-def]
    """Print what a release would do, without doing it.

    Example: fab plan --stage production --json
    """
    return do("release.release", stage, asked=version, name=name, ref=ref, profile=profile, only_plan=True)


@task()
def rollback(context, stage="local", version=""):  # type: ignore[no-untyped-def]
    """Go back to the release before the live one, or to a version.

    Example: fab rollback --stage production
    """
    return do("release.rollback", stage, asked=version)


@task(out="the folder for wheel and sdist (default: dist)")
def build(context, stage="", version="", name="", ref="", out="dist"):  # type: ignore[no-untyped-def]
    """Build wheel and sdist of a commit in a clean clone.

    Example: fab build --name fixbug --json > built.json
    """
    return do("wheels.build", Path(out).resolve(), stage=stage, asked=version, name=name, ref=ref)


@task(built="the JSON that `fab build --json` printed; - for standard input")
def publish(context, stage="", built="-"):  # type: ignore[no-untyped-def]
    """Upload what was built, read it back, tag the commit.

    Example: fab build --json | fab publish --stage staging
    """
    text = sys.stdin.read() if built == "-" else Path(built).read_text("utf-8")
    return do("wheels.publish", json.loads(text), stage=stage)


@task()
def deploy(context, stage="local", version="", slot="", profile="", hosts=""):  # type: ignore[no-untyped-def]
    """Stage a published version in an idle slot; visitors notice nothing.

    Example: fab deploy --stage staging --version 2026.11.23.1
    """
    return do("release.deploy", stage, asked=version, slot=slot, profile=profile, hosts=hosts)


@task()
def quickdeploy(context, stage="local", ref="", slot="", profile=""):  # type: ignore[no-untyped-def]
    """Build, publish and stage a commit, without a switch.

    Example: fab quickdeploy --stage staging --ref fix-login
    """
    return do("release.quickdeploy", stage, ref=ref, slot=slot, profile=profile)


@task()
def switch(context, stage="local", slot=""):  # type: ignore[no-untyped-def]
    """Point every proxy at another slot, after a health check of it.

    Example: fab switch --stage staging --slot b
    """
    return do("release.switch", stage, slot=slot)


@task()
def validate(context, stage="local", slot="", hosts=""):  # type: ignore[no-untyped-def]
    """Ask every process of a slot (the live one by default) for its health.

    Example: fab validate --stage staging --slot b
    """
    return do("manage.validate", stage, slot=slot, hosts=hosts)


@task()
def status(context, stage="local"):  # type: ignore[no-untyped-def]
    """What is live, warm and idle on every host, and what was left unfinished.

    Example: fab status --stage production
    """
    return do("status.status", stage)


@task(number="how many events")
def history(context, stage="local", number=20):  # type: ignore[no-untyped-def]
    """What happened on a stage, newest last.

    Example: fab history --stage production --number 50
    """
    return do("status.history", stage, number)


@task()
def doctor(context, stage="local", ref=""):  # type: ignore[no-untyped-def]
    """Everything that would stop a release, at once, without building anything.

    Example: fab doctor --stage production
    """
    return do("status.doctor", stage, ref)


@task("version", "next")
def next_(context, stage="", name=""):  # type: ignore[no-untyped-def]
    """The version that the next release would get.

    Example: fab version.next
    """
    return do("status.next_version", stage, name)


@task("version")
def latest(context, stage=""):  # type: ignore[no-untyped-def]
    """The newest version, from tags and index.

    Example: fab version.latest
    """
    return do("status.latest_version", stage)


@task("repo", ssh="push over ssh instead of HTTPS", ci="also CI variables and protection of the branch")
def create(context, ssh=False, ci=False):  # type: ignore[no-untyped-def]
    """Create the repository on GitLab or GitHub and push to it; can be run again at any time.

    Example: GITLAB_TOKEN=... fab repo.create
    """
    return do("repository.create", ssh=ssh, ci=ci)


@task("repo", "release")
def release_page(context, version=""):  # type: ignore[no-untyped-def]
    """Make the release of a tag on the forge, with notes from CHANGELOG.md.

    Example: GITHUB_TOKEN=... fab repo.release --version 2026.11.23.1
    """
    return do("repository.make_release", version)


@task("template")
def update(context):  # type: ignore[no-untyped-def]
    """Bring the newest template to this project, beside its own changes.

    Example: fab template.update && git diff
    """
    return do("repository.update_template")

"""The tasks of Fabric: parse, call, print. A generated fabfile.py takes ``namespace`` from here.

Whatever a task does is a plain function elsewhere, imported when the task runs; nothing is decided here.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from releaselib.tasking import do, namespace, task

__all__ = ["namespace"]


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
    return do("manage.status", stage)


@task(number="how many events")
def history(context, stage="local", number=20):  # type: ignore[no-untyped-def]
    """What happened on a stage, newest last.

    Example: fab history --stage production --number 50
    """
    return do("manage.history", stage, number)


@task()
def doctor(context, stage="local", ref=""):  # type: ignore[no-untyped-def]
    """Everything that would stop a release, at once, without building anything.

    Example: fab doctor --stage production
    """
    return do("manage.doctor", stage, ref)


@task("version", "next")
def next_(context, stage="", name=""):  # type: ignore[no-untyped-def]
    """The version that the next release would get.

    Example: fab version.next
    """
    return do("manage.next_version", stage, name)


@task("version")
def latest(context, stage=""):  # type: ignore[no-untyped-def]
    """The newest version, from tags and index.

    Example: fab version.latest
    """
    return do("manage.latest_version", stage)


@task("slot")
def create(context, stage="local", version="", slot="", profile="", hosts=""):  # type: ignore[no-untyped-def]
    """The same as `fab deploy`: a slot is built by staging a version in it.

    Example: fab slot.create --stage staging --slot b --version 2026.11.23.1
    """
    return deploy(context, stage, version, slot, profile, hosts)


@task("slot", all="every slot, and with a stage of its own also its nginx and index")
def remove(context, stage="local", slot="", hosts="", all=False):  # type: ignore[no-untyped-def]  # noqa: A002
    """Stop and remove a slot; the live one only with --all.

    Example: fab slot.remove --stage local --all
    """
    return do("manage.remove", stage, slot=slot, hosts=hosts, everything=all)


def _supervisor(action: str, words: str) -> None:
    def act(context, stage="local", slot="", hosts=""):  # type: ignore[no-untyped-def]
        return do("manage.supervise", stage, action, slot=slot, hosts=hosts)

    act.__doc__ = f"{words}\n\n    Example: fab supervisor.{action} --stage staging --slot b"
    task("supervisor", action)(act)


def _nginx(action: str, words: str) -> None:
    def act(context, stage="local", hosts=""):  # type: ignore[no-untyped-def]
        return do("manage.control_nginx", stage, action, hosts=hosts)

    act.__doc__ = f"{words}\n\n    Example: fab nginx.{action} --stage staging"
    task("nginx", action)(act)


for _action, _words in {
    "status": "What supervisorctl says of a slot's processes.",
    "start": "Start supervisord and all processes of a slot.",
    "stop": "Stop all processes of a slot; its supervisord stays.",
    "restart": "Restart all processes of a slot.",
    "reload": "Restart the supervisord of a slot, with its configuration read anew.",
    "shutdown": "Stop the supervisord of a slot and all its processes.",
}.items():
    _supervisor(_action, _words)

for _action, _words in {
    "setup": "Install the site and start nginx; the upstream stays as it is.",
    "test": "Let nginx check its configuration.",
    "start": "Start nginx.",
    "stop": "Stop nginx after the requests in flight.",
    "reload": "Let nginx take its configuration anew.",
}.items():
    _nginx(_action, _words)


@task("lock")
def show(context, stage="local"):  # type: ignore[no-untyped-def]
    """Who holds the lock of a stage; it frees itself when its holder ends or dies.

    Example: fab lock.show --stage production
    """
    return do("manage.lock_state", stage)


@task("host", "exec", command="the command, one shell line")
def exec_(context, command, stage="local", hosts=""):  # type: ignore[no-untyped-def]
    """Run a command on app hosts.

    Example: fab host.exec 'df -h /srv' --stage production --hosts '10.0.0.1*'
    """
    return do("manage.on_hosts", stage, ("sh", "-c", command), hosts=hosts)


@task("host", lines="how many lines of each log")
def logs(context, stage="local", slot="", hosts="", lines=50):  # type: ignore[no-untyped-def]
    """The last lines of every log of a slot, the live one by default.

    Example: fab host.logs --stage production --slot b --hosts 10.0.0.7
    """
    return do("manage.logs", stage, slot=slot, hosts=hosts, lines=lines)


@task(
    "index",
    folder="where packages, virtualenv and users are kept (default: index)",
    host="the address to listen on",
    port="the port to listen on",
    username="the user who may upload",
)
def serve(context, folder="index", host="127.0.0.1", port=8080, username="releaser"):  # type: ignore[no-untyped-def]
    """Run the team's pypiserver in front; the upload password is RELEASELIB_INDEX_PASSWORD.

    Example: RELEASELIB_INDEX_PASSWORD=... fab index.serve --folder /srv/index --host 0.0.0.0
    """
    from releaselib.manage import serve_index as act

    return act(folder, host, port, username)


@task(
    "index",
    packages="these instead of the project's dependencies: django==5.2,tornado",
    python="the Python of the hosts, like 3.12, where it differs from this one",
)
def sync(context, stage="", packages="", python=""):  # type: ignore[no-untyped-def]
    """Bring the project's dependencies, or packages, to the team's index as wheels.

    Example: fab index.sync --stage production --packages django==5.2,tornado
    """
    return do("wheels.sync", stage=stage, packages=packages, python=python)


@task("index", "list", packages="only these, with every file; without it the names of all")
def list_(context, stage="", packages=""):  # type: ignore[no-untyped-def]
    """What the index holds.

    Example: fab index.list --packages my-shop
    """
    return do("manage.list_index", stage, packages)

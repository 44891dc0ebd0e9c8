"""Tasks for single parts of a stage: slots, supervisor, nginx, the index, hosts, the lock."""

from __future__ import annotations

from releaselib.tasking import do, task


@task("slot")
def create(context, stage="local", version="", slot="", profile="", hosts=""):  # type: ignore[no-untyped-def]
    """The same as `fab deploy`: a slot is built by staging a version in it.

    Example: fab slot.create --stage staging --slot b --version 2026.11.23.1
    """
    return do("release.deploy", stage, asked=version, slot=slot, profile=profile, hosts=hosts)


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
    return do("status.lock_state", stage)


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
    python="the Python to bring wheels for, like 3.12 (default: that of the stage's hosts)",
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

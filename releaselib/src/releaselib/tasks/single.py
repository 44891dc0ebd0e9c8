"""Tasks for single parts: slots, supervisor, nginx, machines, the lock, the index, the repository."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import releaselib
from releaselib.decide.release import Wanted
from releaselib.errors import ConfigError
from releaselib.tasks.task import task

if TYPE_CHECKING:
    from releaselib.decide.journal import Report
    from releaselib.decide.settings import Shown
    from releaselib.forge import Outcome


@task()
def validate(stage: str = "local", slot: str = "", hosts: str = "") -> str:
    """Ask every process of a slot (the live one by default) for its health.

    Example: fab validate --stage staging --slot b
    """
    return releaselib.validate(releaselib.load(), stage, Wanted(slot=slot, hosts=hosts))


@task("slot", all="every slot, and unless only some hosts are meant the stage's own nginx and index")
def remove(
    stage: str = "local",
    slot: str = "",
    hosts: str = "",
    all: bool = False,  # noqa: A002
    yes: bool = False,
) -> str:
    """Stop and remove a slot; the live one only with --all, and of real hosts with --yes.

    Example: fab slot.remove --stage local --all
    """
    return releaselib.remove(releaselib.load(), stage, Wanted(slot=slot, hosts=hosts), everything=all, yes=yes)


@task("env", "show")
def show_env(stage: str = "local") -> list[Shown]:
    """Name the settings of a stage, where each comes from, and how it stands beside the live slot; no value.

    Example: fab env.show --stage production
    """
    return releaselib.settings(releaselib.load(), stage)


def _supervisor(action: str, words: str) -> None:
    def act(stage: str = "local", slot: str = "", hosts: str = "", yes: bool = False) -> dict[str, str]:
        return releaselib.supervise(releaselib.load(), stage, action, Wanted(slot=slot, hosts=hosts), yes=yes)

    act.__doc__ = f"{words}\n\n    Example: fab supervisor.{action} --stage staging --slot b"
    task("supervisor", action)(act)


def _nginx(action: str, words: str) -> None:
    def act(stage: str = "local", hosts: str = "", yes: bool = False) -> dict[str, str]:
        return releaselib.control_nginx(releaselib.load(), stage, action, hosts=hosts, yes=yes)

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


@task("nginx", "sync")
def sync_proxies(stage: str = "local") -> Report:
    """Have the proxies load the site as it is now, and send nobody to hosts that are in release.toml no more.

    Example: fab nginx.sync --stage production
    """
    return releaselib.sync_proxies(releaselib.load(), stage)


@task("scheduler", to="the host that is to have what only one host has")
def move(stage: str = "local", to: str = "") -> str:
    """Have what runs in the live slot only run where it belongs, and what only one host has on that host.

    Example: fab scheduler.move --stage production --to 10.0.0.2
    """
    return releaselib.move_programs(releaselib.load(), stage, to=to)


@task("maintenance", text="what the page says")
def on(stage: str = "local", text: str = "We are back soon.") -> dict[str, str]:
    """Answer every visitor of all proxies with 503 and a page, at once.

    Example: fab maintenance.on --stage production --text 'Back at noon.'
    """
    return releaselib.maintain(releaselib.load(), stage, text)


@task("maintenance")
def off(stage: str = "local") -> dict[str, str]:
    """Serve visitors again, at once.

    Example: fab maintenance.off --stage production
    """
    return releaselib.maintain(releaselib.load(), stage, "")


@task("lock", why="the reason, which everybody is shown who tries to release")
def hold(stage: str = "local", why: str = "") -> str:
    """Freeze a stage: nobody releases to it until lock.release, also after this session has ended.

    Example: fab lock.hold --stage production --why 'the big sale'
    """
    if not why.strip():
        raise ConfigError("a freeze needs its reason", next_step=f"fab lock.hold --stage {stage} --why '...'")
    return releaselib.freeze(releaselib.load(), stage, why)


@task("lock", "release")
def release_lock(stage: str = "local") -> str:
    """End a freeze.

    Example: fab lock.release --stage production
    """
    return releaselib.freeze(releaselib.load(), stage, "")


@task("lock")
def show(stage: str = "local") -> str:
    """Who holds the lock of a stage; it frees itself when its holder ends or dies.

    Example: fab lock.show --stage production
    """
    return releaselib.lock_state(releaselib.load(), stage)


@task(
    "index",
    folder="where packages, virtualenv and users are kept (default: index)",
    host="the address to listen on",
    port="the port to listen on",
    username="the user who may upload",
)
def serve(folder: str = "index", host: str = "127.0.0.1", port: int = 8080, username: str = "releaser") -> None:
    """Run the team's pypiserver in front; the upload password is RELEASELIB_INDEX_PASSWORD.

    Example: RELEASELIB_INDEX_PASSWORD=... fab index.serve --folder /srv/index --host 0.0.0.0
    """
    releaselib.serve_index(folder, host, port, username)


@task(
    "index",
    packages="these instead of the project's dependencies: django==5.2,tornado",
    python="the Python to bring wheels for, like 3.12 (default: that of the stage's hosts)",
)
def sync(stage: str = "", packages: str = "", python: str = "") -> list[str]:
    """Bring the project's dependencies, or packages, to the team's index as wheels.

    Example: fab index.sync --stage production --packages django==5.2,tornado
    """
    return releaselib.sync(releaselib.load(), stage=stage, packages=packages, python=python)


@task("index", "list", packages="only these, with every file; without it the names of all")
def list_(stage: str = "", packages: str = "") -> list[Any]:
    """What the index holds.

    Example: fab index.list --packages my-shop
    """
    return releaselib.list_index(releaselib.load(), stage, packages)


@task("repo", "create", ssh="push over ssh instead of HTTPS", ci="also CI variables, and protect the branch")
def create_repository(ssh: bool = False, ci: bool = False) -> Outcome:
    """Create the repository on GitLab or GitHub and push to it; can be run again at any time.

    Example: GITLAB_TOKEN=... fab repo.create
    """
    return releaselib.create_repository(releaselib.load(), ssh=ssh, ci=ci)


@task("repo", "release")
def release_page(version: str = "") -> str:
    """Make the release of a tag on the forge, with notes from CHANGELOG.md.

    Example: GITHUB_TOKEN=... fab repo.release --version 2026.11.23.1
    """
    return releaselib.make_release(releaselib.load(), version)


@task("template")
def update() -> str:
    """Bring the newest template to this project, beside its own changes.

    Example: fab template.update && git diff
    """
    return releaselib.update_template(releaselib.load())

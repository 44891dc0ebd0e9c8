"""Tasks for a hand on the hosts: commands, a console, a shell, logs; and for who does not know which: help."""

from __future__ import annotations

import sys

import releaselib
from releaselib import output, pages
from releaselib.decide.release import Wanted
from releaselib.errors import ConfigError
from releaselib.tasks.task import task


@task("", "help", page="the name of a page; without one, what pages there are")
def help_(page: str = "") -> object:
    """What to do for settings, migrations, workers, https, new hosts ...: a page for each.

    Example: fab help --page settings
    """
    return pages.page(page) if page else pages.titles()


@task("host", "exec", command="the command, one shell line")
def exec_(command: str, stage: str = "local", hosts: str = "") -> dict[str, str]:
    """Run a command on app hosts.

    Example: fab host.exec 'df -h /srv' --stage production --hosts '10.0.0.1*'
    """
    return releaselib.execute(releaselib.load(), stage, ("sh", "-c", command), hosts=hosts)


@task(command="a shell line")
def run(command: str, stage: str = "local", slot: str = "", hosts: str = "") -> None:
    """Run a shell line in the live slot of one host, or of those that are named, with the settings of its processes.

    Example: fab run 'django-admin clearsessions' --stage production
    """
    wanted = Wanted(slot=slot, hosts=hosts)
    releaselib.run_in_slot(releaselib.load(), stage, command, output.teller(named=bool(hosts)), wanted)


@task()
def console(stage: str = "local", slot: str = "", hosts: str = "") -> None:
    """A terminal in the live slot of one host: what `console` of release.toml says, with the settings of its processes.

    Example: fab console --stage production
    """
    sys.exit(releaselib.console(releaselib.load(), stage, Wanted(slot=slot, hosts=hosts)))


@task("host")
def shell(stage: str = "local", hosts: str = "") -> None:
    """A login shell on one host, app or proxy.

    Example: fab host.shell --stage production --hosts 10.0.0.1
    """
    sys.exit(releaselib.shell(releaselib.load(), stage, hosts))


@task(
    "host", lines="how many lines of each log", follow="go on until ctrl-c", grep="only lines with this (with --follow)"
)
def logs(
    stage: str = "local", slot: str = "", hosts: str = "", lines: int = 50, follow: bool = False, grep: str = ""
) -> dict[str, str] | None:
    """The last lines of every log of a slot, the live one by default.

    Example: fab host.logs --stage production --hosts 10.0.0.7 --follow --grep ' 500 '
    """
    wanted = Wanted(slot=slot, hosts=hosts)
    if not follow and grep:
        raise ConfigError("--grep goes with --follow", next_step="fab host.logs --follow --grep PATTERN")
    if not follow:
        return releaselib.logs(releaselib.load(), stage, wanted, lines=lines)
    releaselib.follow(releaselib.load(), stage, output.teller(named=True), wanted, lines=lines, grep=grep)
    return None

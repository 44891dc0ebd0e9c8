"""A hand on the hosts: a command in a slot, a console, a shell, logs as they come. Nothing of it takes the lock."""

import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from releaselib.actions.session import Session, session
from releaselib.config import Project
from releaselib.config.inventory import Host, select
from releaselib.decide.release import NOTHING, Wanted
from releaselib.decide.slots import known_slot
from releaselib.errors import ConfigError, Refused, ReleaseError
from releaselib.hosts import slot, terminal
from releaselib.hosts.connection import Remote, Running

Tell = Callable[[str, str], None]
"""Takes the name of a host, and a line that it said."""
LONG = 24 * 3600
"""Seconds that a command by hand may take."""


def run_in_slot(project: Project, stage: str, command: str, tell: Tell, wanted: Wanted = NOTHING) -> None:
    """Run a shell line in a slot (the live one by default) as its processes run, on one host that has it or on those
    that are named. Of ``wanted`` it takes slot and hosts. Raises Refused, HostsFailed.
    """
    with session(project, stage, start=False) as at:
        chosen, hosts = _chosen(at, wanted)

        def act(remote: Remote) -> str:
            told = partial(tell, remote.host.name)
            return slot.command(remote, chosen, command, timeout=LONG, name="by-hand", tell=told)

        at.fleet.each(hosts if wanted.hosts else hosts[:1], act).named("hosts failed: run")


def console(project: Project, stage: str, wanted: Wanted = NOTHING) -> int:
    """The stage's ``console`` in a slot (the live one by default), on this terminal; its exit code.

    Of ``wanted`` it takes slot and hosts: the first host that has the slot. Raises Refused, ConfigError.
    """
    with session(project, stage, start=False) as at:
        terminal.require()
        chosen, hosts = _chosen(at, wanted)
        return slot.console(at.fleet.remote(hosts[0]), chosen, at.stage.console)


def shell(project: Project, stage: str, host: str) -> int:
    """A login shell on one host, app or proxy, on this terminal; its exit code. Raises ConfigError."""
    with session(project, stage, start=False) as at:
        terminal.require()
        named = select(tuple(dict.fromkeys((*at.stage.app, *at.stage.proxy))), host)
        if len(named) > 1 and host:
            raise ConfigError(f"{host} is {len(named)} hosts", next_step="name one of them with --hosts")
        return at.fleet.remote(named[0]).terminal(("sh", "-c", 'exec "${SHELL:-/bin/sh}" -l'))


def _chosen(at: Session, wanted: Wanted) -> tuple[str, list[Host]]:
    view = at.look()
    chosen = known_slot(at.stage, wanted.slot or view.live)
    named = select(at.stage.app, wanted.hosts)
    hosts = [host for host in named if host in view.holders(chosen)]
    if not hosts or (wanted.hosts and len(hosts) < len(named)):
        lacking = ", ".join(host.name for host in named if host not in hosts)
        raise Refused(f"slot {chosen} is not complete on {lacking}", next_step=f"fab status --stage {at.stage.name}")
    return chosen, hosts


def follow(
    project: Project, stage: str, tell: Tell, wanted: Wanted = NOTHING, *, lines: int = 10, grep: str = ""
) -> None:
    """Tell the logs of a slot (the live one by default) as they grow on every host, until an interrupt.

    A host that is lost is told, and the others go on. Raises ConfigError, and HostsFailed when none can be followed.
    """
    with session(project, stage, start=False) as at:
        chosen = known_slot(at.stage, wanted.slot or at.look().live)
        begun = at.fleet.each(
            select(at.stage.app, wanted.hosts), lambda remote: slot.follow(remote, chosen, lines, grep)
        )
        if not begun.succeeded:
            begun.require("hosts failed: host.logs")
        for host, error in begun.failures.items():
            tell(host.name, str(error))
        told: queue.Queue[tuple[Host, str]] = queue.Queue()
        for host, running in begun.succeeded.items():
            threading.Thread(target=_read, args=[host, running, told], daemon=True).start()
        left = set(begun.succeeded)
        try:
            while left:
                host, line = told.get()
                if line.startswith("> "):
                    tell(host.name, line[2:])
                elif line != ".":
                    left.discard(host)
                    tell(host.name, line or "its logs have ended")
        except KeyboardInterrupt:  # that is how it ends
            pass
        finally:
            for running in begun.succeeded.values():
                with suppress(ReleaseError, OSError, ValueError):
                    running.finish()


def _read(host: Host, running: Running, told: "queue.Queue[tuple[Host, str]]") -> None:
    line = "."
    while line:
        try:
            line = running.receive()
        except ReleaseError as error:
            told.put((host, error.what))
            return
        except (OSError, ValueError):  # it was ended here
            return
        told.put((host, line))

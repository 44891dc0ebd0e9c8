"""Single acts on a stage: validate, supervisor, slots, nginx, hosts, the index."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from releaselib import check, index, nginx, pypiserver, wheels
from releaselib import slot as slots
from releaselib.config import Project
from releaselib.errors import CommandFailed, ConfigError, HostsFailed, Refused, several
from releaselib.fleet import Remote, Result
from releaselib.hosts import select
from releaselib.output import say
from releaselib.view import UNSET
from releaselib.work import Work, at_work, template


def validate(project: Project, stage: str, *, slot: str = "", hosts: str = "") -> str:
    """Ask every process of a slot, on every host and from nobody's memory. Raises HostsFailed."""
    with at_work(project, stage, start=False) as work:
        work.view, _ = check.look(work.fleet, project.name)
        chosen = _slot(work, slot or work.view.live)
        found = work.view.release(chosen)
        if not found:
            raise Refused(f"slot {chosen} is empty", next_step="fab status")
        wanted = select(work.stage.app, hosts)
        results = work.fleet.each(wanted, lambda r: slots.check_health(r, work.stage, chosen, found.version))
        _all(results, "validate")
        where = f"{len(results)} hosts, {work.stage.settings.processes} processes each"
        return f"slot {chosen} ({found.version}) is healthy on {where}"


def _slot(work: Work, name: str) -> str:
    if name not in work.stage.settings.slots:
        raise ConfigError(
            f"stage {work.stage.name} has no slot {name or UNSET!r}",
            next_step=f"use one of: {', '.join(work.stage.settings.slots)}",
        )
    return name


def _all(results: list[Result[Any]], what: str) -> None:
    failed = [str(r.error) for r in results if r.error]
    if failed:
        raise HostsFailed(
            f"{what}: {len(failed)} of {len(results)} hosts failed",
            cause=several(failed),
            next_step="fab status",
        )


def on_hosts(project: Project, stage: str, command: Sequence[str], *, hosts: str = "") -> dict[str, str]:
    """Run a command on app hosts; host -> what it printed. Raises HostsFailed."""
    with at_work(project, stage, start=False) as work:
        results = work.fleet.each(select(work.stage.app, hosts), lambda r: _run(r, command))
        _all(results, "host.exec")
        return {r.host.name: r.get() for r in results}


def _run(remote: Remote, command: Sequence[str]) -> str:
    done = remote.run(command)
    if done.code:
        raise CommandFailed(f"{remote.host.name}: exit code {done.code}", cause=done.words)
    return "\n".join(filter(None, (done.stdout.rstrip(), done.stderr.rstrip())))


def logs(project: Project, stage: str, *, slot: str = "", hosts: str = "", lines: int = 50) -> dict[str, str]:
    """The last lines of every log of a slot (the live one by default); host -> text."""
    with at_work(project, stage, start=False) as work:
        work.view, _ = check.look(work.fleet, project.name)
        folder = f"{work.stage.prefix}/slots/{_slot(work, slot or work.view.live)}/log"
        command = ("sh", "-c", 'cd "$1" && tail -n "$2" *.log', "logs", folder, str(lines))
        results = work.fleet.each(select(work.stage.app, hosts), lambda r: _run(r, command))
        _all(results, "host.logs")
        return {r.host.name: r.get() for r in results}


def supervise(
    project: Project, stage: str, action: str, *, slot: str = "", hosts: str = ""
) -> dict[str, str]:
    """One of `slot.ACTIONS` on a slot (the live one by default) of every host; host -> answer."""
    with at_work(project, stage, start=False) as work:
        work.view, _ = check.look(work.fleet, project.name)
        chosen = _slot(work, slot or work.view.live)
        results = work.fleet.each(
            select(work.stage.app, hosts), lambda r: slots.act(r, work.stage, action, chosen)
        )
        _all(results, f"supervisor.{action}")
        return {r.host.name: r.get().strip() for r in results}


def remove(project: Project, stage: str, *, slot: str = "", hosts: str = "", everything: bool = False) -> str:
    """Stop and remove a slot; ``everything``: all slots, and what else the stage has for itself."""
    with at_work(project, stage, start=False) as work:
        work.view, _ = check.look(work.fleet, project.name)
        chosen = work.stage.settings.slots if everything else (_slot(work, slot),)
        if not everything:
            _require_idle(work, slot)
        if everything and work.stage.nginx == "own":
            _all(
                work.fleet.each(work.stage.proxy, lambda r: nginx.control(r, work.stage, "stop")),
                "nginx.stop",
            )
        results = work.fleet.each(
            select(work.stage.app, hosts), lambda r: slots.act(r, work.stage, "remove", *chosen)
        )
        _all(results, "slot.remove")
        if everything and work.stage.index.folder and pypiserver.stop(Path(work.stage.index.folder)):
            say("index stopped")
        return f"removed: slot {', '.join(chosen)} on {len(results)} hosts"


def _require_idle(work: Work, slot: str) -> None:
    """Raise Refused unless no proxy sends visitors to the slot, nor will when its nginx starts again."""
    check.require_proxies(work.view, work.stage)
    served = {name for seen in work.view.proxy.values() for name in (seen.slot, seen.file)}
    if slot in {work.view.live, *served}:
        raise Refused(f"slot {slot} is live; visitors are served from it", next_step="fab switch first")


def control_nginx(project: Project, stage: str, action: str, *, hosts: str = "") -> dict[str, str]:
    """``setup``, ``test``, ``start``, ``stop`` or ``reload`` on every proxy; host -> answer."""
    with at_work(project, stage, start=False) as work:
        proxies = select(work.stage.proxy, hosts)
        if action == "setup":
            results = work.fleet.each(proxies, lambda r: _set_up(r, work))
        else:
            results = work.fleet.each(proxies, lambda r: nginx.control(r, work.stage, action))
        _all(results, f"nginx.{action}")
        return {r.host.name: r.get() or "done" for r in results}


def _set_up(remote: Remote, work: Work) -> str:
    text = nginx.site(template(work.project, nginx.TEMPLATE), work.stage, work.project.name)
    nginx.setup(remote, work.stage, work.project.name, text, check.site(work.stage, work.project.name))
    return "set up"


def list_index(project: Project, stage: str, packages: str) -> list[Any]:
    """The names on the index, or every file of the packages asked for."""
    chosen = wheels.index_of(project, stage, start=True)
    if not packages:
        return list(index.projects(chosen))
    return [file for name in packages.split(",") for file in index.files(chosen, name)]


def serve_index(folder: str, host: str, port: int, username: str) -> None:
    """Run a pypiserver in place of this process. Raises Refused without a password for uploads."""
    password = os.environ.get(index.PASSWORD, "")
    if not password:
        raise Refused(
            f"{index.PASSWORD} is not set: it becomes the upload password of {username}",
            next_step=f"export {index.PASSWORD}=$(openssl rand -hex 16)",
        )
    say(f"serving {folder} at http://{host}:{port}/simple/; stop it with ctrl-c")
    pypiserver.serve(pypiserver.Server(Path(folder).resolve(), host, port), username, password)

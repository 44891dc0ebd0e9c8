"""What stands against an action, as far as it follows from what was seen of the hosts."""

import re
from typing import Any

from releaselib.config.inventory import Host
from releaselib.config.stage import Stage
from releaselib.decide.seen import AppSeen, ProxySeen
from releaselib.decide.view import View
from releaselib.errors import Refused

UNSEEN = "a process of another user"
"""How `facts.py` calls a listener that the stage's user may not look at."""


def problems(view: View, stage: Stage) -> list[str]:
    """Everything that stands against a release, host by host."""
    found = [f"{host.name}: {words}" for host, seen in view.app.items() for words in of_app(seen)]
    found += [f"{host.name}: {words}" for host, seen in view.proxy.items() for words in of_proxy(seen, stage)]
    return found + mixed(view.app)


def of_app(seen: AppSeen) -> list[str]:
    """What stands against a release on an app host: ports that somebody else holds."""
    return [
        f"port {one.port} (slot {one.slot}) is in use by {one.command or UNSEEN} (pid {one.pid or 'unknown'})"
        for one in seen.ports
        if not one.ours
    ]


def of_proxy(seen: ProxySeen, stage: Stage) -> list[str]:
    """What stands against a switch on a proxy."""
    found = [] if seen.program else ["nginx is not installed: apt-get install nginx-light"]
    if seen.sudo:
        found.append(f"sudo = true, but sudo does not work there: {seen.sudo.splitlines()[-1]}")
    # With sudo the stage's user is not root, who owns the nginx of the system and hides it from others.
    found += [
        f"port {port} is in use by {command}"
        for port, command in seen.listeners.items()
        if command and not command.startswith("nginx: ") and not (stage.sudo and command == UNSEEN)
    ]
    found += of_certificate(seen.certificate, stage)
    project, _, name = seen.answer.partition(" ")[2].partition(" ")[2].partition(" ")[2].partition(" ")
    if seen.answer and (project, name) != (stage.project, stage.name):
        found.append(
            f"port {stage.probe_port} answers for stage {name} of {project}: give one of them another port_base"
        )
    return found


def of_certificate(seen: dict[str, Any], stage: Stage) -> list[str]:
    """What is wrong with the certificate of a site (RFC 6125 for its names), as far as it was seen."""
    if seen.get("wrong"):
        return [str(seen["wrong"])]
    if not seen:
        return []
    if seen["days"] < 0:
        return [f"its certificate has ended {-seen['days']} days ago"]
    plain = [name for name in stage.server_name.split() if re.fullmatch(r"[a-zA-Z0-9.-]+", name)]
    missing = [name for name in plain if not {name, "*." + name.partition(".")[2]} & set(seen["names"])]
    return [f"its certificate is not for {', '.join(missing)}, but for {', '.join(seen['names'])}"] if missing else []


def bare(app: dict[Host, AppSeen]) -> list[str]:
    """The app hosts on which no virtualenv can be made without uv."""
    return [
        f"{host.name}: its Python makes no virtualenvs: apt-get install python3-venv; or fab index.sync brings uv"
        for host, seen in app.items()
        if not seen.venv
    ]


def mixed(app: dict[Host, AppSeen]) -> list[str]:
    """The same bytes run on every host only when their Pythons and machine types are the same."""
    kinds: dict[str, list[str]] = {}
    for host, seen in app.items():
        minor = ".".join(seen.python.split(".")[:2])
        kinds.setdefault(f"Python {minor} on {seen.machine}", []).append(host.name)
    if len(kinds) < 2:
        return []
    return [f"{', '.join(names)}: {kind}" for kind, names in kinds.items()] + [
        "the app hosts differ, so the same wheels cannot run on all: set python of the stage"
    ]


def require_agreement(view: View) -> None:
    """Raise Refused while the proxies disagree: then no slot is idle on all of them."""
    if view.split:
        raise Refused(
            "the proxies do not agree which slot is live; nothing was changed",
            cause=view.split,
            next_step="fab nginx.start where one does not answer; else fab switch --slot SLOT puts all on "
            "one, fab rollback all on the older one",
        )


def require_proxies(view: View, stage: Stage) -> None:
    """Raise Refused unless every proxy was seen: a switch is all proxies or none."""
    lost = [view.lost[host].words for host in stage.proxy if host in view.lost]
    if lost:
        raise Refused(
            "a proxy cannot be reached, and a switch is all proxies or none; visitors are served as before",
            cause="\n".join(lost),
            next_step="mend the proxy; or turn it off, so that it sends visitors nowhere, and only then take it out of "
            "release.toml; fab status",
        )

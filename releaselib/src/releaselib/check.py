"""The look at every host before anything is done, and all that stands against a release."""

from __future__ import annotations

import json
from typing import Any

from releaselib import shell
from releaselib.errors import Refused
from releaselib.fleet import Fleet, Remote, call
from releaselib.hosts import Host
from releaselib.settings import Stage
from releaselib.ssh import Distrusted, Unreachable
from releaselib.view import UNSET, App, Proxy, Slot, View, release_of

UNSEEN = "a process of another user"
"""How `facts.py` calls a listener that the stage's user may not look at."""

NO_PYTHON = {69: "there is no such Python on this host"}


def wanted(stage: Stage, project: str, role: str) -> dict[str, Any]:
    """What `facts.py` is to look at on a host of that role. Pure."""
    ports = {slot: stage.settings.ports(slot) for slot in stage.settings.slots} if role == "app" else {}
    probe = f"http://127.0.0.1:{stage.listen_port()}" if role == "proxy" else ""
    return {"ports": ports, "probe": probe, "host": host_header(stage), "site": site(stage, project)}


def host_header(stage: Stage) -> str:
    """The Host header with which a proxy is asked for this project."""
    first = stage.server_name.split()[0]
    return "localhost" if first == "_" else first


def site(stage: Stage, project: str) -> str:
    """Where the site's configuration lies on a proxy."""
    return f"{stage.prefix}/nginx/site.conf" if stage.nginx == "own" else f"/etc/nginx/conf.d/{project}.conf"


def facts(remote: Remote, stage: Stage, project: str, role: str) -> dict[str, Any]:
    """What one host holds now, in the form that `facts.py` prints. Raises CommandFailed."""
    files = {"facts.py": shell.text("facts.py"), "facts.json": json.dumps(wanted(stage, project, role))}
    text = call(
        remote,
        "check.sh",
        stage.python,
        stage.prefix,
        files=files,
        why=NO_PYTHON,
        next_step="apt-get install python3 there, or set python of the stage",
    )
    return dict(json.loads(text))


def app_of(table: dict[str, Any]) -> App:
    """Facts of an app host -> a value. Pure."""
    slots = {
        name: Slot(release_of(slot["release"]), bool(slot["pid"]), slot["healthy"])
        for name, slot in table["slots"].items()
    }
    return App(table["python"], table["machine"], slots)


def proxy_of(table: dict[str, Any]) -> Proxy:
    """Facts of a proxy -> a value; nginx speaks "SLOT VERSION". Pure."""
    serving = "" if table["serving"] == UNSET else table["serving"]
    slot, _, version = serving.partition(" ")
    file = table["file"].removeprefix("# ").partition(" ")[0].replace(UNSET, "")
    return Proxy(slot, version, table["site"], table["draining"], file)


def app_problems(table: dict[str, Any], idle: str = "") -> list[str]:
    """What stands against a release on an app host: ports that somebody else holds. Pure."""
    return [
        f"port {port['port']} (slot {port['slot']}) is in use by "
        f"{port['command'] or 'a process of another user'} (pid {port['pid'] or 'unknown'})"
        for port in table["ports"]
        if not port["ours"] and port["slot"] == (idle or port["slot"])
    ]


def proxy_problems(table: dict[str, Any], stage: Stage) -> list[str]:
    """What stands against a switch on a proxy. Pure."""
    problems = [] if table["nginx"] else ["nginx is not installed: apt-get install nginx-light"]
    # With sudo the stage's user is not root, who owns the nginx of the system and hides it from others.
    unseen = stage.sudo and table["listener"] == UNSEEN
    is_nginx = table["listener"].startswith("nginx: ") or unseen
    if table["listener"] and not is_nginx and not table["serving"]:
        problems.append(f"port {stage.listen_port()} is in use by {table['listener']}")
    elif table["site"] and table["listener"] and not table["serving"]:
        problems.append(
            "nginx does not say which release it serves: fab nginx.setup; if that does not help, another "
            "site answers first (server_name of the stage, /etc/nginx/sites-enabled/default)"
        )
    return problems


def look(fleet: Fleet, project: str, *, app: tuple[Host, ...] | None = None) -> tuple[View, list[str]]:
    """See every host of the stage at once; returns the view and all problems, host by host.

    A host that cannot be looked at is in ``view.lost`` with its reason.
    """
    stage = fleet.stage
    hosts = stage.app if app is None else app
    apps = fleet.each(hosts, lambda remote: facts(remote, stage, project, "app"))
    proxies = fleet.each(stage.proxy, lambda remote: facts(remote, stage, project, "proxy"))
    seen_app = {result.host: result.value for result in apps if result.value}
    seen_proxy = {result.host: result.value for result in proxies if result.value}
    errors = {result.host: result.error for result in (*apps, *proxies) if result.error}
    lost = {host: str(error) for host, error in errors.items()}
    unready = [h for h, e in errors.items() if isinstance(e, Distrusted) or not isinstance(e, Unreachable)]
    view = View(
        {host: app_of(table) for host, table in seen_app.items()},
        {host: proxy_of(table) for host, table in seen_proxy.items()},
        lost,
        not stage.proxy,
        frozenset(unready),
        any(table["locked"] for table in (*seen_app.values(), *seen_proxy.values())),
    )
    problems = [f"{host.name}: {words}" for host, table in seen_app.items() for words in app_problems(table)]
    problems += [
        f"{host.name}: {words}"
        for host, table in seen_proxy.items()
        for words in proxy_problems(table, stage)
    ]
    return view, problems + _mixed(view)


def _mixed(view: View) -> list[str]:
    """The same bytes run on every host only when their Pythons and machine types are the same."""
    kinds: dict[str, list[str]] = {}
    for host, seen in view.app.items():
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
    lost = [view.lost[host] for host in stage.proxy if host in view.lost]
    if lost:
        raise Refused(
            "a proxy cannot be reached, and a switch is all proxies or none; visitors are served as before",
            cause="\n".join(lost),
            next_step="fab status; mend the proxy or take it out of release.toml",
        )

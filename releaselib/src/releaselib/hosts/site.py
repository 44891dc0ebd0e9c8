"""The configuration of nginx as text: a pure function of the stage and of what is known of each slot.

Both slots' upstreams stand in it, and nginx asks the file system for each request which slot it is: the folder
that the link ``live`` leads to holds a file of the slot's name. ``/-/release`` is answered out of the same folder,
and ``/-/config`` tells which configuration nginx has loaded.
"""

import hashlib
import html
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from typing import Any

from releaselib.config.inventory import Host
from releaselib.config.stage import Stage
from releaselib.decide.budget import share
from releaselib.decide.seen import Served
from releaselib.errors import ConfigError
from releaselib.render import render

TEMPLATE = "release.d/nginx.conf.j2"


def identifier(project: str) -> str:
    """The project's name as nginx can use it in a variable; one that starts with a digit it would cut."""
    return re.sub(r"\W|^(?=\d)", "_", project)


def servers(stage: Stage, hosts: Sequence[Host], slot: str, others: Iterable[str] = ()) -> list[str]:
    """The processes of a slot as a proxy reaches them, beside ``others`` that are known already.

    Neighbours are on different hosts: nginx tries the next one when a host is gone.
    """
    turns: Counter[str] = Counter()
    places = {host.visitors: place for place, host in enumerate(stage.app)}

    def turn(server: str) -> tuple[int, int]:
        address = server.rpartition(":")[0]
        turns[address] += 1
        return turns[address], places.get(address, 0)

    return sorted([*others, *(f"{host.visitors}:{port}" for host in hosts for port in stage.ports(slot))], key=turn)


@dataclass(frozen=True)
class Configuration:
    """The files of a configuration by name, and the digest by which nginx tells that it has loaded it."""

    digest: str
    files: dict[str, str]


def configuration(template: str, stage: Stage, known: Mapping[str, Served]) -> Configuration:
    """The project's site, and what it includes, for what is known of each slot.

    Raises ConfigError for a site that cannot be rendered.
    """
    known = {**ahead(stage, known), **known}
    canaries = {slot: first for slot in sorted(known) if (first := canary_hosts(stage, known[slot]))}
    values = _values(stage) | {
        "digest": "@DIGEST@",
        "slots": sorted(known),
        "upstreams": {slot: known[slot].servers for slot in sorted(known)},
        "canaries": {slot: servers(stage, first, slot) for slot, first in canaries.items()},
        "share": canary_share(stage),
    }
    files = {
        "site.conf": text(template, stage),
        "http.conf": _rendered("nginx_http.conf.j2", values),
        "server.conf": _rendered("nginx_server.conf.j2", values),
    }
    whole = "\0".join(f"{name}\0{text}" for name, text in files.items())
    digest = hashlib.sha256(whole.encode()).hexdigest()[:16]
    return Configuration(digest, files | {"http.conf": files["http.conf"].replace("@DIGEST@", digest)})


def ahead(stage: Stage, known: Mapping[str, Served]) -> dict[str, Served]:
    """Every slot as it will be with the hosts of the newest release: a switch to one that is new needs no reload then.

    And workers of nginx that a reload has left behind know it. Empty before the first release. Pure.
    """
    newest = max(known.values(), key=lambda one: one.release.turn, default=None)
    hosts = [host for host in stage.app if newest and host.name in newest.hosts]
    if not newest or not hosts:
        return {}
    return {slot: replace(newest, servers=tuple(servers(stage, hosts, slot))) for slot in stage.slots}


def canary_hosts(stage: Stage, served: Served) -> list[Host]:
    """The hosts of a slot that get their share of visitors first; none, where the stage has no canary. Pure."""
    return [host for host in stage.app if host.name in served.hosts][: _canaries(stage)]


def canary_share(stage: Stage) -> float:
    """The percentage of visitors that the canary hosts get. Pure."""
    return round(100 * _canaries(stage) / len(stage.app), 2)


def _canaries(stage: Stage) -> int:
    return max(1, share(stage.canary, len(stage.app))) if stage.canary else 0


def text(template: str, stage: Stage) -> str:
    """The text of the project's site.

    Raises ConfigError for a name that is not given, and for a site that does not include what it must.
    """
    keys = ("project", "name", "listen", "server_name", "http_conf", "server_conf")
    if missing := [name for name in keys[-2:] if not re.search(rf"\binclude\b.*{name}", template)]:
        raise ConfigError(
            f"{TEMPLATE} includes no {' and no '.join(missing)}: it is of an older template",
            next_step="fab template.update brings the new one (docs/operations.md shows what it must have)",
        )
    values = _values(stage)
    return render(template, {key: values[key] for key in keys}, TEMPLATE)


def own(stage: Stage) -> str:
    """The main configuration of an nginx of the stage's own. Pure."""
    return _rendered("nginx_own.conf.j2", _values(stage))


def page(title: str, words: str) -> str:
    """A page for visitors. Pure."""
    return _rendered("nginx_page.html.j2", {"title": html.escape(title), "words": html.escape(words)})


def _values(stage: Stage) -> dict[str, Any]:
    paths = stage.paths
    return {
        **paths.variables,
        "project": stage.project,
        "stage": stage.name,
        "name": identifier(stage.project),
        "listen": stage.listen,
        "server_name": stage.server_name,
        "probe": stage.probe_port,
        "drain": max(1, stage.drain_timeout),
        "watched": stage.watched,
        "access_log": stage.access_log,
        "tls": stage.tls,
        "secure": stage.secure,
        "files": stage.static,
        "to": "" if stage.listen_port == 443 else f":{stage.listen_port}",
        "http_conf": f"{paths.conf}/http.conf",
        "server_conf": f"{paths.conf}/server.conf",
    }


def _rendered(name: str, values: Mapping[str, Any]) -> str:
    text = (resources.files("releaselib.hosts") / "conf" / name).read_text("utf-8")
    return render(text, values, name)


def line(stage: Stage, slot: str, served: Served) -> str:
    """What nginx answers at /-/release while that slot is live: whose it is, too. Pure."""
    release = served.release
    return f"{slot} {release.version} {release.staged} {stage.project} {stage.name}"

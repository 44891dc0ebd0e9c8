"""nginx on the proxies: site and upstream are rendered here (pure) and applied there.

The upstream file is the one thing that a switch replaces. It also holds, as a variable, which slot
and version it means, and the site answers that at ``/-/release`` to the proxy itself: so nginx can
be asked what it really serves.
"""

import re
from collections.abc import Sequence
from typing import Any

from releaselib.config.inventory import Host
from releaselib.config.tables import Stage
from releaselib.decide.view import UNSET
from releaselib.hosts.connection import Remote
from releaselib.hosts.scripts import call
from releaselib.render import render

TEMPLATE = "release.d/nginx.conf.j2"
OWN = """\
# The main configuration of an nginx that belongs to this project alone.
daemon on;
pid "{nginx}/nginx.pid";
error_log "{nginx}/error.log";
worker_processes 2;
worker_shutdown_timeout {drain}s;
events {{ worker_connections 1024; }}
http {{
    access_log "{nginx}/access.log";
    client_body_temp_path "{nginx}/body";
    proxy_temp_path "{nginx}/proxy";
    fastcgi_temp_path "{nginx}/fastcgi";
    uwsgi_temp_path "{nginx}/uwsgi";
    scgi_temp_path "{nginx}/scgi";
    include "{site}";
}}
"""


def identifier(project: str) -> str:
    """The project's name as nginx can use it in a variable; one that starts with a digit it would cut."""
    return re.sub(r"\W|^(?=\d)", "_", project)


def upstream(project: str, servers: Sequence[str], serves: str) -> str:
    """The upstream file for these ``address:port``; ``serves`` is "SLOT VERSION". Pure."""
    name = identifier(project)
    lines = [f"    server {server};" for server in servers] or ["    server 127.0.0.1:9 down;"]
    return "\n".join(
        [
            f"# {serves}",
            f'map "" ${name}_release {{ default "{serves}"; }}',
            f"upstream {name} {{",
            *lines,
            "    keepalive 32;",
            "}",
            "",
        ]
    )


def servers(stage: Stage, hosts: Sequence[Host], slot: str) -> list[str]:
    """The processes of a slot as a proxy reaches them. Pure.

    Neighbours are on different hosts: nginx tries the next one when a host is gone.
    """
    return [f"{host.visitors}:{port}" for port in stage.ports(slot) for host in hosts]


def site(template: str, stage: Stage) -> str:
    """The site's text. Pure. Raises ConfigError for a name that is not given."""
    name = identifier(stage.project)
    values = {
        "project": stage.project,
        "upstream_file": stage.paths.upstream,
        "upstream": name,
        "release_variable": f"{name}_release",
        "listen": stage.listen,
        "server_name": stage.server_name,
    }
    return render(template, values, TEMPLATE)


def own(stage: Stage) -> str:
    """The main configuration of an nginx of the stage's own. Pure."""
    paths = stage.paths
    return OWN.format(nginx=paths.nginx, site=paths.site, drain=max(1, stage.drain_timeout))


def setup(remote: Remote, text: str) -> None:
    """Install the site and an empty upstream where there is none, and start nginx.

    Raises CommandFailed with nginx's own words; then the old files are back in place.
    """
    stage = remote.stage
    files = {"site.conf": text, "nginx.conf": own(stage), "upstream.conf": upstream(stage.project, [], UNSET)}
    call(remote, "nginx_setup.sh", given=files, next_step=f"mend {TEMPLATE}, then fab nginx.setup")


def prepare(remote: Remote, text: str, health: dict[str, Any]) -> None:
    """Lay the new upstream beside the old one, tested, after this proxy saw all behind it healthy."""
    hint = "can this proxy reach the app hosts' ports? visitors are served as before"
    call(remote, "nginx_prepare.sh", given={"upstream": text, "health": health}, next_step=hint)


def switch(remote: Remote, serves: str, *, back: bool = False, seconds: float = 10) -> None:
    """Put the prepared upstream in place (or the previous one), reload, and ask until it is served."""
    stage = remote.stage
    call(
        remote,
        "nginx_switch.sh",
        file="upstream.previous" if back else "next/upstream.conf",
        serves=serves,
        url=stage.loopback,
        host=stage.host_header,
        limit=seconds,
        next_step="fab status",
    )


def drain(remote: Remote) -> int:
    """Wait until old workers are gone; how many are left after ``drain_timeout`` seconds."""
    limit = remote.stage.drain_timeout
    return int(call(remote, "nginx_drain.sh", limit=limit, seconds=limit))


def control(remote: Remote, action: str) -> str:
    """``test``, ``start``, ``reload`` or ``stop``. Raises CommandFailed with nginx's own words."""
    return call(remote, "nginx_control.sh", action=action, next_step=f"fab nginx.{action}")

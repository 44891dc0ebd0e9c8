"""nginx on the proxies: site and upstream are rendered here (pure) and applied there.

The upstream file is the one thing that a switch replaces. It also holds, as a variable, which slot
and version it means, and the site answers that at ``/-/release`` to the proxy itself: so nginx can
be asked what it really serves.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

import jinja2

from releaselib import shell
from releaselib.errors import ConfigError
from releaselib.fleet import Remote, call
from releaselib.hosts import Host
from releaselib.settings import Stage
from releaselib.view import UNSET

TEMPLATE = "release.d/nginx.conf.j2"
WHY = {
    69: "nginx or Python is not installed",
    70: "the configuration cannot be written",
    74: "it does not see every process healthy; nothing was switched",
    76: "nginx does not accept the configuration; the old one is back in place",
    77: "nginx did not take the new configuration",
}
OWN = """\
# The main configuration of an nginx that belongs to this project alone.
daemon on;
pid "{prefix}/nginx/nginx.pid";
error_log "{prefix}/nginx/error.log";
worker_processes 2;
worker_shutdown_timeout {drain}s;
events {{ worker_connections 1024; }}
http {{
    access_log "{prefix}/nginx/access.log";
    client_body_temp_path "{prefix}/nginx/body";
    proxy_temp_path "{prefix}/nginx/proxy";
    fastcgi_temp_path "{prefix}/nginx/fastcgi";
    uwsgi_temp_path "{prefix}/nginx/uwsgi";
    scgi_temp_path "{prefix}/nginx/scgi";
    include "{prefix}/nginx/site.conf";
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
    return [f"{host.visitors}:{port}" for port in stage.settings.ports(slot) for host in hosts]


def site(template: str, stage: Stage, project: str) -> str:
    """The site's text. Pure. Raises ConfigError for a name that is not given."""
    name = identifier(project)
    values = {
        "project": project,
        "upstream_file": f"{stage.prefix}/nginx/upstream.conf",
        "upstream": name,
        "release_variable": f"{name}_release",
        "listen": stage.listen,
        "server_name": stage.server_name,
    }
    try:
        environment = jinja2.Environment(
            undefined=jinja2.StrictUndefined, autoescape=False, keep_trailing_newline=True
        )
        return environment.from_string(template).render(values)
    except (jinja2.TemplateError, TypeError, ValueError, ArithmeticError) as error:
        raise ConfigError(
            f"{TEMPLATE}: {error}", next_step=f"names that can be used: {', '.join(sorted(values))}"
        ) from None


def _where(stage: Stage) -> tuple[str, str, str]:
    return stage.prefix, stage.nginx, "yes" if stage.sudo else "no"


def setup(remote: Remote, stage: Stage, project: str, text: str, path: str) -> None:
    """Install the site at ``path`` and an empty upstream where there is none, and start nginx.

    Raises CommandFailed with nginx's own words; then the old files are back in place.
    """
    own = OWN.format(prefix=stage.prefix, drain=max(1, stage.drain_timeout))
    files = {"site.conf": text, "nginx.conf": own, "upstream.conf": upstream(project, [], UNSET)}
    call(
        remote,
        "nginx_setup.sh",
        *_where(stage),
        path,
        stage.python,
        files=files,
        why=WHY,
        next_step=f"mend {TEMPLATE}, then fab nginx.setup",
    )


def prepare(remote: Remote, stage: Stage, text: str, health: dict[str, object]) -> None:
    """Lay the new upstream beside the old one, tested, after this proxy saw all behind it healthy."""
    files = {"upstream.conf": text, "health.py": shell.text("health.py"), "health.json": json.dumps(health)}
    call(
        remote,
        "nginx_prepare.sh",
        *_where(stage),
        stage.python,
        files=files,
        why=WHY,
        next_step="can this proxy reach the app hosts' ports? visitors are served as before",
    )


def switch(remote: Remote, stage: Stage, serves: str, url: str, host: str, *, back: bool = False) -> None:
    """Put the prepared upstream in place (or the previous one), reload, and ask until it is served."""
    file = "upstream.previous" if back else "next/upstream.conf"
    call(
        remote,
        "nginx_switch.sh",
        *_where(stage),
        file,
        serves,
        url,
        host,
        stage.python,
        why=WHY,
        next_step="fab status",
    )


def drain(remote: Remote, stage: Stage) -> int:
    """Wait until old workers are gone; how many are left after ``drain_timeout`` seconds."""
    return int(call(remote, "nginx_drain.sh", *_where(stage), stage.drain_timeout))


def control(remote: Remote, stage: Stage, action: str) -> str:
    """``test``, ``start``, ``reload`` or ``stop``. Raises CommandFailed with nginx's own words."""
    return call(remote, "nginx_control.sh", *_where(stage), action, why=WHY, next_step=f"fab nginx.{action}")

"""The peer: a release done step by step with pip over ssh, as by hand or with a plain fabfile.

Each step is one ssh or scp command on one host. The files are the very ones that `fab release` lays
down (same templates, same pins), below another prefix and on other ports, so that both ways can take
turns on the same hosts. Old and new release stand side by side and nginx is switched, as with
`fab release`; so the release before the last one is stopped and removed first.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from releaselib.actions.session import now
from releaselib.config import Project
from releaselib.config.stage import Stage
from releaselib.decide.release import Release
from releaselib.hosts import site, supervisor
from rig import Fleet, Host

PYTHON = "/usr/bin/python3"
PREFIX, PORT_BASE, LISTEN = "/srv/peer", 8900, "8001"

STOP = """
if [ -s {folder}/run/supervisord.pid ]; then
    pid=$(cat {folder}/run/supervisord.pid)
    kill $pid
    while kill -0 $pid 2>/dev/null; do sleep 0.1; done
fi
"""
CLEAR = (
    STOP
    + """
rm -rf {folder}
mkdir -p {folder}/run {folder}/log
"""
)
WAIT = "timeout 60 sh -c 'until curl -fs {url} | grep -q {word}; do sleep 0.1; done' >/dev/null"

UPSTREAM = "upstream peer {{ {servers} keepalive 32; }}\n"
SITE = """
include {prefix}/nginx/upstream.conf;
server {{
    listen {listen};
    location / {{
        proxy_pass http://peer;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host $host;
    }}
}}
"""

Step = tuple[str, Callable[[Host], None]]


def as_peer(stage: Stage) -> Stage:
    """The stage with everything where the peer has it."""
    return stage.model_copy(update={"prefix": PREFIX, "listen": LISTEN, "port_base": PORT_BASE})


@dataclass
class Peer:
    """The hosts of a stage, and the pins of the tools and of what the project depends on."""

    fleet: Fleet
    project: Project
    stage: Stage
    app: Sequence[Host]
    proxy: Host
    tools: Mapping[str, str]
    pins: Mapping[str, str]
    scratch: Path
    share: bool = True  # one connection a host for all of its steps
    slot: str = "b"
    seconds: dict[str, float] = field(default_factory=dict)

    def set_up(self) -> None:
        """What is there once for all releases: supervisor on the app hosts, nginx on the proxy."""
        with self._connected(at_once=True):
            self._do(self._tool_steps(), self.app, at_once=True)
            self._ssh(self.proxy, f"mkdir -p {PREFIX}/nginx/conf")
            self._upload(self.proxy, site.own(self.stage), f"{PREFIX}/nginx/nginx.conf")
            self._upload(self.proxy, SITE.format(prefix=PREFIX, listen=LISTEN), f"{PREFIX}/nginx/conf/site.conf")
            self._upload(self.proxy, UPSTREAM.format(servers="server 127.0.0.1:1;"), f"{PREFIX}/nginx/upstream.conf")
            self._ssh(self.proxy, self._nginx(""))

    def release(self, version: str, *, at_once: bool) -> dict[str, float]:
        """Release a published version; seconds a step, summed over the hosts where they take turns.

        With `at_once` each step is done on all hosts in parallel before the next one begins.
        """
        self.slot = "b" if self.slot == "a" else "a"
        self.seconds = {}
        with self._connected(at_once=at_once):
            self._do(self._app_steps(version), self.app, at_once=at_once)
            self._do(self._proxy_steps(version), [self.proxy], at_once=at_once)
        return self.seconds

    def deploy(self, version: str, kind: str) -> None:
        """Only the app hosts, each step on all of them at once; nothing is switched.

        The `first` time comes with the tools; `again` leaves the virtualenv, where pip finds everything satisfied.
        """
        steps = self._app_steps(version)
        if kind == "first":
            steps = self._tool_steps() + steps
        if kind == "again":
            stop: Step = ("stop the one before", lambda h: self._ssh(h, STOP.format(folder=self.folder)))
            steps = [stop, *steps[2:]]
        with self._connected(at_once=True):
            self._do(steps, self.app, at_once=True)

    @property
    def folder(self) -> str:
        """Of the slot that is filled."""
        return f"{PREFIX}/slots/{self.slot}"

    def _tool_steps(self) -> list[Step]:
        tools = f"{PREFIX}/tools"
        return [
            ("venv of the tools", lambda h: self._ssh(h, f"{PYTHON} -m venv {tools}")),
            ("supervisor", lambda h: self._ssh(h, self.pip(tools, self.tools))),
        ]

    def _app_steps(self, version: str) -> list[Step]:
        folder = self.folder
        pins = {self.project.name: version, **self.pins}
        conf = self.supervisord(version)
        return [
            ("stop and remove the one before", lambda h: self._ssh(h, CLEAR.format(folder=folder))),
            ("python3 -m venv", lambda h: self._ssh(h, f"{PYTHON} -m venv {folder}/venv")),
            ("pip install", lambda h: self._ssh(h, self.pip(f"{folder}/venv", pins))),
            ("upload supervisord.conf", lambda h: self._upload(h, conf, f"{folder}/supervisord.conf")),
            (
                "start supervisord",
                lambda h: self._ssh(h, f"{PREFIX}/tools/bin/supervisord -c {folder}/supervisord.conf"),
            ),
            *(self._asks(f":{port}{self.stage.health}", version) for port in self._ports()),
        ]

    def _proxy_steps(self, version: str) -> list[Step]:
        servers = [f"{host.address}:{port}" for host in self.app for port in self._ports()]
        text = UPSTREAM.format(servers=" ".join(f"server {server};" for server in servers))
        return [
            ("upload the upstream", lambda h: self._upload(h, text, f"{PREFIX}/nginx/upstream.conf")),
            ("nginx -t", lambda h: self._ssh(h, self._nginx("-t"))),
            ("nginx -s reload", lambda h: self._ssh(h, self._nginx("-s reload"))),
            self._asks(f":{LISTEN}{self.stage.health}", version),
        ]

    def _asks(self, where: str, version: str) -> Step:
        command = WAIT.format(url=f"http://127.0.0.1{where}", word=version)
        return "curl until it answers", lambda host: self._ssh(host, command)

    def _do(self, steps: Sequence[Step], hosts: Sequence[Host], *, at_once: bool) -> None:
        for group in [hosts] if at_once else [[host] for host in hosts]:
            for name, act in steps:
                with self._timed(name), ThreadPoolExecutor(max(1, len(group))) as pool:
                    list(pool.map(act, group))

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        begun = time.monotonic()
        yield
        self.seconds[step] = self.seconds.get(step, 0.0) + time.monotonic() - begun

    # --- the texts, by the functions that `fab release` has them from

    def _ports(self) -> list[int]:
        return self.stage.ports(self.slot)

    def supervisord(self, version: str) -> str:
        this = Release(self.project.name, version, released=now(), profile=self.stage.profile)
        template = self.project.template(supervisor.TEMPLATE)
        return supervisor.configuration(template, self.stage, this, self.slot)

    def pip(self, venv: str, pins: Mapping[str, str]) -> str:
        """As people do it, with dependencies resolved; no question whether there is a newer pip."""
        wanted = " ".join(f"{name}=={version}" for name, version in pins.items())
        url = self.stage.index.url
        trusted = f"--trusted-host {urlsplit(url).hostname}"
        return f"{venv}/bin/pip install -q --disable-pip-version-check --index-url {url} {trusted} {wanted}"

    def _nginx(self, words: str) -> str:
        folder = f"{PREFIX}/nginx"
        return f"nginx -p {folder}/ -c {folder}/nginx.conf -e {folder}/error.log {words}"

    # --- ssh

    @contextmanager
    def _connected(self, *, at_once: bool) -> Iterator[None]:
        """One connection a host that all its steps share, where `share` says so."""
        hosts = [*self.app, self.proxy] if self.share else []
        opened = ("-fNM", "-o", "ServerAliveInterval=15")
        connect: Step = ("connect", lambda h: self._call("ssh", *self._to(h), *opened, f"root@{h.address}"))
        leave: Step = ("disconnect", lambda h: self._call("ssh", *self._to(h), "-O", "exit", h.address))
        self._do([connect], hosts, at_once=at_once)
        yield
        self._do([leave], hosts, at_once=at_once)

    def _to(self, host: Host) -> list[str]:
        return ["-o", f"ControlPath={self.scratch}/{host.name}"] if self.share else []

    def _ssh(self, host: Host, command: str) -> None:
        self._call("ssh", *self._to(host), f"root@{host.address}", command)

    def _upload(self, host: Host, text: str, path: str) -> None:
        file = self.scratch / f"{host.name}-{Path(path).name}"
        file.write_text(text)
        self._call("scp", "-q", *self._to(host), str(file), f"root@{host.address}:{path}")

    def _call(self, *argv: str) -> None:
        """Run ssh; its words go to a file, because a connection that stays open would hold a pipe."""
        with (self.scratch / "said").open("a+") as said:
            done = subprocess.run(
                argv, env=self.fleet.environment(), stdin=subprocess.DEVNULL, stdout=said, stderr=said, check=False
            )
        if done.returncode:
            words = (self.scratch / "said").read_text()[-2000:]
            raise SystemExit(f"exit code {done.returncode}: {' '.join(argv)}\n{words}")

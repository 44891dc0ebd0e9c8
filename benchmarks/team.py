"""A team with a project, an index and hosts in a rig of their own; and proof of what visitors get."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stepwise import Peer, as_peer

from releaselib import config
from releaselib.config.stage import Stage
from releaselib.wheels import resolve
from rig import Host
from rig.visitors import DIRECT
from rig.world import Project, World, bake, world

STAGE = "test"
ALONE = """
export PYTHONPYCACHEPREFIX={prefix}/cache/bytecode
pids=
{commands}
for port in {ports}; do
    until curl -fs http://127.0.0.1:$port{health} >/dev/null; do sleep 0.05; done
done
kill $pids
wait
"""


@dataclass
class Team:
    """A project, its stage, and a folder for scratch files."""

    world: World
    folder: Path
    project: Project
    proxy: Host

    @property
    def app(self) -> list[Host]:
        """The app hosts there are by now."""
        return [host for host in self.world.fleet.hosts.values() if host.name.startswith("app")]

    @property
    def proxies(self) -> list[Host]:
        """The proxies, of which most benchmarks have one."""
        return [host for host in self.world.fleet.hosts.values() if host.name.startswith("proxy")]

    @property
    def stage(self) -> Stage:
        """The stage as releaselib reads it."""
        return config.load(self.project.folder).stage(STAGE)

    def grow(self, count: int, **settings: object) -> None:
        """Have that many app hosts, with a release in both slots of each: so that no tool is missing."""
        self.world.fleet.add_many(count - len(self.app), "app")
        self.project.configure(self.world.stage(self.app, self.proxies, STAGE, health_timeout=60, **settings))
        self.project.fab("index.sync", "--stage", STAGE)
        for _ in self.stage.slots:
            self.release(self.publish())

    def make_bare(self) -> None:
        """Every host as it was made: nothing runs there but sshd, and no file of a release is left.

        The files are put aside until the end, as a file system may look at each inode that was freed in the last
        minute before it hands out another: what comes next would pay for what was there before.
        """
        hosts = list(self.world.fleet.hosts.values())
        for host in hosts:
            host.power_off()
            aside = Path(tempfile.mkdtemp(dir=self.folder))
            for path in (file for name in ("srv", "root", "tmp", "var/tmp") for file in (host.root / name).iterdir()):
                if path.name != ".ssh":
                    path.rename(aside / str(path.relative_to(host.root)).replace("/", "-"))
        os.sync()
        for host in hosts:
            host.start()
        for host in hosts:
            host.await_boot()
            host.await_network()

    def publish(self) -> str:
        """A new commit, built and published, as for either way; its version."""
        self.project.commit("Change something")
        built = self.folder / "built.json"
        built.write_text(self.project.fab("build", "--stage", STAGE, "--json").stdout)
        self.project.fab("publish", "--stage", STAGE, "--built", str(built))
        return str(json.loads(built.read_text())["version"])

    def release(self, version: str) -> dict[str, float]:
        """Release a published version with `fab release`; seconds a phase."""
        words = ("release", "--stage", STAGE, "--version", version, "--json")
        return dict(json.loads(self.project.fab(*words).stdout)["seconds"])

    def start_alone(self) -> None:
        """Start and stop the processes of one host's slot by hand: what no way of releasing can spare."""
        stage, offset = self.stage, 1000
        folder = f"{stage.prefix}/slots/a"
        text = (self.app[0].root / folder.lstrip("/") / "supervisord.conf").read_text()
        ports = [port + offset for port in stage.ports("a")]
        commands = re.findall(r"^command=(.*)$", text, re.MULTILINE)
        for port in ports:
            commands = [command.replace(f":{port - offset}", f":{port}") for command in commands]
        self.app[0].run(
            ALONE.format(
                prefix=stage.prefix,
                commands="\n".join(f'{command} & pids="$pids $!"' for command in commands),
                ports=" ".join(map(str, ports)),
                health=stage.health,
            )
        )

    def peer(self, *, share: bool) -> Peer:
        """The peer on the same hosts, with the pins that `fab release` put there."""
        project = config.load(self.project.folder)
        slot = self.app[0].root / f"srv/{project.name}/slots/a"
        pins = resolve.pins((slot / "requirements.txt").read_text())
        tools = resolve.pins((slot / "tools.txt").read_text())
        del pins[project.name]
        scratch = self.folder / "peer"
        scratch.mkdir()
        fleet, stage = self.world.fleet, as_peer(self.stage)
        return Peer(fleet, project, stage, self.app, self.proxy, tools, pins, scratch, share)


@contextmanager
def team(flavour: str = "flask", app: Path | None = None, proxies: int = 1) -> Iterator[Team]:
    """A baked project, of which ``app`` may be the program, and proxies; all of it is gone at the end."""
    folder = Path(tempfile.mkdtemp(prefix="benchmark-"))
    try:
        with world(folder / "fleet", folder / "index") as made:
            project = bake(made, folder, project_name="My Shop", flavour=flavour)
            if app:
                shutil.copy(app, project.folder / "src/my_shop/app.py")
            yield Team(made, folder, project, made.fleet.add_many(proxies, "proxy")[0])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def require_served(team: Team, stage: Stage, version: str) -> None:
    """Fail unless nginx sends visitors to every process of every app host, and all have that version."""
    nginx = team.proxy.root / f"{stage.prefix}/nginx".lstrip("/")
    if (live := nginx / "live").is_symlink():
        text = (nginx / "conf/http.conf").read_text()
        upstream = text.partition(f"upstream my_shop_{live.readlink().name} {{")[2].partition("}")[0]
    else:  # the peer has one upstream, and reloads
        upstream = (nginx / "upstream.conf").read_text()
    servers = re.findall(r"server (\S+:\d+);", upstream)
    if len(set(servers)) != stage.processes * len(team.app):
        raise SystemExit(f"nginx sends visitors to {servers} only")
    visitors = [f"{team.proxy.address}:{stage.listen}"] * 20
    wrong = {(where, seen) for where in servers + visitors if (seen := answer(where)) != version}
    if wrong:
        raise SystemExit(f"not {version}: {wrong}")


def answer(where: str) -> str:
    """The version that an address answers."""
    with DIRECT.open(f"http://{where}/healthz", timeout=10) as reply:
        return str(json.loads(reply.read())["version"])


def require_same(host: Host) -> None:
    """Fail unless every slot of a host, whoever filled it, holds the same wheels (pip's own aside)."""
    found = {}
    for slot in host.root.glob("srv/*/slots/*"):
        infos = slot.glob("venv/lib/python3*/site-packages/*.dist-info")
        found[slot] = {i.stem for i in infos if not i.stem.startswith(("my_shop-", "pip-", "setuptools-"))}
    if len(found) != 4 or len(set(map(frozenset, found.values()))) != 1:
        raise SystemExit(f"the slots differ: {found}")

"""Deploy one version to N hosts by a script over ssh, ansible, pyinfra, pip step by step and `fab deploy`, in turn.

As root, from anywhere, with the Python of the developers' virtualenv:

    .venv/bin/python benchmarks/peers.py 10 --rounds 2 > table.md
    .venv/bin/python benchmarks/peers.py --plot benchmarks/peers.json    # the SVG beside it, of stored numbers

What each way does, and with which settings, stands in README.md. Progress goes to stderr, Markdown to stdout,
the numbers into benchmarks/peers.json.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from machine import Cost, commit, described, idle_load, measured
from release import rotated
from stepwise import CLEAR, PREFIX, PYTHON, WAIT, Peer
from tables import table
from team import Team, answer, team

from rig import Host, supported
from rig.world import ROOT

HERE = Path(__file__).resolve().parent
PINNED = ("ansible-core==2.19.14", "pyinfra==3.10.0", "matplotlib==3.11.1")
"""The peers, and what draws the plot; in a virtualenv of their own."""
STORED = HERE / "peers.json"
FLOOR = """set -eu
{clear}
@FILES@
export UV_CACHE_DIR={prefix}/cache UV_NO_CONFIG=1 no_proxy='*'
{uv} venv -q --python {python} {folder}/venv
{uv} pip install -q --python {folder}/venv/bin/python --default-index {index} --no-deps -r {folder}/requirements.txt
{prefix}/tools/bin/supervisord -c {folder}/supervisord.conf
{wait}
"""
PLAYBOOK = """
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.shell: {clear}
    - ansible.builtin.command: {python} -m venv {folder}/venv
    - ansible.builtin.copy: {{src: {files}/requirements.txt, dest: {folder}/requirements.txt, mode: "0644"}}
    - ansible.builtin.command: {pip}
    - ansible.builtin.copy: {{src: {files}/supervisord.conf, dest: {folder}/supervisord.conf, mode: "0644"}}
    - ansible.builtin.command: {prefix}/tools/bin/supervisord -c {folder}/supervisord.conf
    - ansible.builtin.shell: {wait}
"""
DEPLOY = """
from pyinfra.operations import files, server
server.shell(commands=[{clear!r}])
server.shell(commands=["{python} -m venv {folder}/venv"])
files.put(src="{files}/requirements.txt", dest="{folder}/requirements.txt")
server.shell(commands=[{pip!r}])
files.put(src="{files}/supervisord.conf", dest="{folder}/supervisord.conf")
server.shell(commands=["{prefix}/tools/bin/supervisord -c {folder}/supervisord.conf"])
server.shell(commands=[{wait!r}])
"""


@dataclass
class Ways:
    """The ways to do the same job on the same hosts; those of the peers take turns in two slots of their own."""

    team: Team
    peer: Peer
    programs: Path
    scratch: Path

    def deploy(self, version: str) -> None:
        """`fab deploy`: idle slot, install, start, every process asked for this version."""
        self.team.project.fab("deploy", "--stage", "test", "--version", version)

    def floor(self, version: str) -> None:
        """One script a host over OpenSSH, with the very uv that `fab` has there: nothing is looked at before."""
        words = self._written(version)
        uv = next(iter((self.team.app[0].root / "srv/my-shop/tools").glob("uv-*"))).name
        script = FLOOR.format(**words, uv=f"/srv/my-shop/tools/{uv}")
        files = {name: (self.scratch / name).read_text() for name in ("requirements.txt", "supervisord.conf")}
        put = "".join(f"cat >{{folder}}/{name} <<'EOF'\n{text}EOF\n" for name, text in files.items())
        script = script.replace("@FILES@", put.replace("{folder}", words["folder"]))

        def one(host: Host) -> None:
            self._ssh(host, "sh", script)

        with ThreadPoolExecutor(30) as pool:
            list(pool.map(one, self.team.app))

    def ansible(self, version: str) -> None:
        """A playbook with pipelining, one connection a host that is kept, 50 hosts at once, no facts."""
        words = {name: json.dumps(value) if name in QUOTED else value for name, value in self._written(version).items()}
        (self.scratch / "play.yml").write_text(PLAYBOOK.format(**words))
        self._run(
            "ansible-playbook", "-i", ",".join(host.address for host in self.team.app) + ",", "-u", "root", "-f", "50",
            str(self.scratch / "play.yml"), ANSIBLE_PIPELINING="true", ANSIBLE_STRATEGY="linear",
            ANSIBLE_PYTHON_INTERPRETER=PYTHON, ANSIBLE_SSH_ARGS="-C -o ControlMaster=auto -o ControlPersist=60s",
        )  # fmt: skip

    def pyinfra(self, version: str) -> None:
        """Its operations in its order, all hosts at once, without a question."""
        (self.scratch / "deploy.py").write_text(DEPLOY.format(**self._written(version)))
        hosts = ",".join(host.address for host in self.team.app)
        self._run("pyinfra", "-y", "--user", "root", "--parallel", "50", hosts, str(self.scratch / "deploy.py"))

    def pip(self, version: str) -> None:
        """The steps of essay: python3 -m venv, pip, supervisord, curl; each on all hosts before the next one."""
        self.peer.deploy(version)

    # --- the same texts for all

    def _written(self, version: str) -> dict[str, str]:
        """Files and commands of the next slot, by the functions that `fab` has them from."""
        self.peer.slot = "b" if self.peer.slot == "a" else "a"
        folder = f"{PREFIX}/slots/{self.peer.slot}"
        pins = {self.peer.project.name: version, **self.peer.pins}
        (self.scratch / "requirements.txt").write_text("".join(f"{name}=={pin}\n" for name, pin in pins.items()))
        (self.scratch / "supervisord.conf").write_text(self.peer.supervisord(version))
        port, health = self.peer.stage.ports(self.peer.slot)[0], self.peer.stage.health
        return {
            "prefix": PREFIX,
            "folder": folder,
            "files": str(self.scratch),
            "python": PYTHON,
            "index": self.peer.stage.index.url,
            "clear": CLEAR.format(folder=folder).strip(),
            "pip": self.peer.pip(f"{folder}/venv", {}) + f"--no-deps -r {folder}/requirements.txt",
            "wait": WAIT.format(url=f"http://127.0.0.1:{port}{health}", word=version),
        }

    def _ssh(self, host: Host, command: str, text: str) -> None:
        env = self.team.world.fleet.environment()
        subprocess.run(["ssh", f"root@{host.address}", command], input=text, env=env, text=True, check=True)

    def _run(self, program: str, *words: str, **env: str) -> None:
        fleet = self.team.world.fleet
        done = subprocess.run(
            [self.programs / program, *words],
            env=fleet.environment() | {"LANG": "C.UTF-8"} | env,
            text=True,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            cwd=self.scratch,
        )
        if done.returncode:
            sys.exit(f"{program}: {(done.stdout + done.stderr)[-3000:]}")


QUOTED = ("clear", "pip", "wait")
OURS = "fab deploy"


def main() -> None:
    """Measure and print, or draw what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("hosts", type=int, nargs="?", default=10, help="how many app hosts (default: 10)")
    parser.add_argument("--rounds", type=int, default=2, help="how often each way is taken (default: 2)")
    parser.add_argument("--plot", type=Path, help="draw these stored numbers, and measure nothing")
    wanted = parser.parse_args()
    if wanted.plot:
        draw(wanted.plot)
        return
    if reason := supported():
        sys.exit(f"no hosts can be made here: {reason}")
    with team("tornado") as made:
        compare(made, wanted.hosts, wanted.rounds)


def peers() -> Path:
    """The programs of the peers, in a virtualenv that is made once."""
    folder = HERE / ".peers"
    if not (folder / "bin/pyinfra").exists():
        for words in (["venv", "-q", str(folder)], ["pip", "install", "-q", "--python", str(folder), *PINNED]):
            subprocess.run([Path(sys.executable).with_name("uv"), *words], check=True)
    return folder / "bin"


def compare(team: Team, hosts: int, rounds: int) -> None:
    """Every way on the same hosts, in turn; another one goes first in each round."""
    team.grow(hosts, processes=1)
    ways = Ways(team, team.peer(share=True), peers(), team.folder)
    ways.peer.set_up()
    acts: dict[str, Callable[[str], None]] = {
        OURS: ways.deploy,
        "script and uv": ways.floor,
        "ansible": ways.ansible,
        "pyinfra": ways.pyinfra,
        "pip, step by step": ways.pip,
    }
    for act in acts.values():  # each way has been there before: steady
        act(team.publish())
    idle, costs = idle_load(), {name: list[Cost]() for name in acts}
    for number in range(rounds):
        for name in rotated(list(acts), number):
            version = team.publish()
            _, cost = measured(lambda act=acts[name], version=version: act(version))  # type: ignore[misc]
            require_answers(team, ways.peer, name, version)
            costs[name].append(cost)
            print(f"round {number + 1}, {name}: {cost.seconds:.1f} s, {cost.cpu:.1f} s CPU", file=sys.stderr)
    when = f"{rounds} rounds on {date.today()}, commit {commit(ROOT)}"
    where = f"{hosts} hosts, one tornado process each; {when}; {described()}"
    print(f"{where}, {', '.join(PINNED[:2])}; idle: {idle:.2f} CPU seconds a second", end="\n\n")
    print(shown(costs))
    kept = json.loads(STORED.read_text()) if STORED.exists() else {}
    kept[str(hosts)] = {
        name: [median(c.seconds for c in some), median(c.cpu for c in some)] for name, some in costs.items()
    }
    STORED.write_text(json.dumps(kept, indent=1) + "\n")


def require_answers(team: Team, peer: Peer, name: str, version: str) -> None:
    """Fail unless every host answers with that version, where that way has put it."""
    stage = team.stage if name == OURS else peer.stage
    ports = [port for slot in "ab" for port in stage.ports(slot)]
    for host in team.app:
        found = set()
        for port in ports:
            try:
                found.add(answer(f"{host.address}:{port}"))
            except OSError:  # that slot does not run
                continue
        if version not in found:
            raise SystemExit(f"{name}: {host.name} answers {found}, not {version}")


def shown(costs: dict[str, list[Cost]]) -> str:
    """The median of each way, and how many times that of `fab deploy` it is. Pure."""
    middle = {name: (median(c.seconds for c in some), median(c.cpu for c in some)) for name, some in costs.items()}
    ours = middle[OURS]
    rows: Sequence[Sequence[str]] = [
        [name, f"{seconds:.1f}", f"{cpu:.1f}", f"{seconds / ours[0]:.1f}", f"{cpu / ours[1]:.1f}"]
        for name, (seconds, cpu) in middle.items()
    ]
    return table(["way", "seconds", "CPU seconds", "times the seconds", "times the CPU seconds"], rows)


def draw(stored: Path) -> None:
    """An SVG beside the numbers, by matplotlib out of the virtualenv of the peers."""
    program = (
        "import json, sys; import matplotlib; matplotlib.use('svg'); import matplotlib.pyplot as p\n"
        "runs = json.load(open(sys.argv[1])); f, axes = p.subplots(1, 2, figsize=(9, 3.2))\n"
        "for axis, n, what in ((axes[0], 0, 'seconds'), (axes[1], 1, 'CPU seconds')):\n"
        "    for way in next(iter(runs.values())):\n"
        "        axis.plot([int(k) for k in runs], [runs[k][way][n] for k in runs], marker='o', label=way)\n"
        "    axis.set(xlabel='hosts', ylabel=what, yscale='log'); axis.grid(alpha=.3)\n"
        "axes[0].legend(fontsize=7); f.tight_layout()\n"
        "f.savefig(sys.argv[1].replace('.json', '.svg'), metadata={'Date': None})\n"
    )
    subprocess.run([peers() / "python", "-c", program, stored], check=True)


if __name__ == "__main__":
    main()

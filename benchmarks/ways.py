"""The ways to bring one version to the hosts: `fab deploy`, a script over ssh, ansible, pyinfra, and pip step by step.

Each does three kinds of run: the `first` on a bare host, with whatever it needs there; a `steady` one, which finds
everything but the new version; and `again`, the same version once more. The peers fill one slot of their own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from stepwise import CLEAR, PREFIX, PYTHON, STOP, WAIT, Peer
from team import STAGE, Team

from rig import Host

FLOOR = """set -eu
export UV_CACHE_DIR={prefix}/cache UV_NO_CONFIG=1 no_proxy='*'
{clear}
{put}
uv={prefix}/uv
install() {{ $uv pip install -q --python "$1/bin/python" --default-index {index} --no-deps "$2" "$3"; }}
if [ ! -x $uv ]; then
    curl -fsS -o $uv.whl {uv_url}
    {python} -ISc 'import sys, zipfile; z = zipfile.ZipFile(sys.argv[1] + ".whl"); open(sys.argv[1], "wb").write(
        z.read(next(n for n in z.namelist() if n.endswith("/scripts/uv"))))' $uv
    chmod +x $uv
    $uv venv -q --python {python} {prefix}/tools
    install {prefix}/tools -r {folder}/tools.txt
fi
[ -x {folder}/venv/bin/python ] || $uv venv -q --python {python} {folder}/venv
install {folder}/venv -r {folder}/requirements.txt
{prefix}/tools/bin/supervisord -c {folder}/supervisord.conf
{wait}
"""
PLAYBOOK = """
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.shell: {clear}
{tasks}
    - ansible.builtin.copy: {{src: {files}/requirements.txt, dest: {folder}/requirements.txt, mode: "0644"}}
    - ansible.builtin.command: {pip}
    - ansible.builtin.copy: {{src: {files}/supervisord.conf, dest: {folder}/supervisord.conf, mode: "0644"}}
    - ansible.builtin.command: {prefix}/tools/bin/supervisord -c {folder}/supervisord.conf
    - ansible.builtin.shell: {wait}
"""
DEPLOY = """
from pyinfra.operations import files, server
server.shell(commands=[{clear!r}])
{tasks}
files.put(src="{files}/requirements.txt", dest="{folder}/requirements.txt")
server.shell(commands=[{pip!r}])
files.put(src="{files}/supervisord.conf", dest="{folder}/supervisord.conf")
server.shell(commands=["{prefix}/tools/bin/supervisord -c {folder}/supervisord.conf"])
server.shell(commands=[{wait!r}])
"""
QUOTED = ("clear", "pip", "wait")
FILES = ("requirements.txt", "tools.txt", "supervisord.conf")


@dataclass
class Ways:
    """The ways to do the same job on the same hosts."""

    team: Team
    peer: Peer
    programs: Path
    scratch: Path

    def deploy(self, version: str, kind: str) -> None:
        """`fab deploy`: idle slot, install, start, every process asked for this version."""
        self.team.project.fab("deploy", "--stage", STAGE, "--version", version)

    def floor(self, version: str, kind: str) -> None:
        """One script a host over OpenSSH, with uv from the index: nothing is looked at before."""
        words = self._written(version, kind)
        files = {name: (self.scratch / name).read_text() for name in FILES}
        put = "".join(f"cat >{words['folder']}/{name} <<'EOF'\n{text}EOF\n" for name, text in files.items())
        wheel = next((self.team.world.server.folder / "packages").glob("uv-*.whl")).name
        script = FLOOR.format(**words, put=put, uv_url=f"{self.team.world.server.url}packages/{wheel}")

        def one(host: Host) -> None:
            env = self.team.world.fleet.environment()
            subprocess.run(["ssh", f"root@{host.address}", "sh"], input=script, env=env, text=True, check=True)

        with ThreadPoolExecutor(30) as pool:
            list(pool.map(one, self.team.app))

    def ansible(self, version: str, kind: str) -> None:
        """A playbook with pipelining, one connection a host that is kept, 50 hosts at once, no facts."""
        words = self._written(version, kind)
        tasks = "\n".join(f"    - ansible.builtin.shell: {json.dumps(command)}" for command in self._before(kind))
        quoted = {name: json.dumps(words[name]) for name in QUOTED}
        (self.scratch / "play.yml").write_text(PLAYBOOK.format(**words | quoted, tasks=tasks))
        self._run(
            "ansible-playbook", "-i", ",".join(host.address for host in self.team.app) + ",", "-u", "root", "-f", "50",
            str(self.scratch / "play.yml"), ANSIBLE_PIPELINING="true", ANSIBLE_STRATEGY="linear",
            ANSIBLE_PYTHON_INTERPRETER=PYTHON, ANSIBLE_SSH_ARGS="-C -o ControlMaster=auto -o ControlPersist=60s",
        )  # fmt: skip

    def pyinfra(self, version: str, kind: str) -> None:
        """Its operations in its order, all hosts at once, without a question."""
        words = self._written(version, kind)
        tasks = "\n".join(f"server.shell(commands=[{command!r}])" for command in self._before(kind))
        (self.scratch / "deploy.py").write_text(DEPLOY.format(**words, tasks=tasks))
        hosts = self.scratch / "inventory.py"  # as a word it looks for a file of that name, which has a limit
        hosts.write_text(f"app = {[host.address for host in self.team.app]!r}\n")
        self._run("pyinfra", "-y", "--user", "root", "--parallel", "50", str(hosts), str(self.scratch / "deploy.py"))

    def pip(self, version: str, kind: str) -> None:
        """The steps of essay: python3 -m venv, pip, supervisord, curl; each on all hosts before the next one."""
        self.peer.deploy(version, kind)

    # --- the same texts for all

    def _before(self, kind: str) -> list[str]:
        """The commands before the installation: the tools for the first time, and a virtualenv unless it is there."""
        tools = f"{PREFIX}/tools"
        first = [f"{PYTHON} -m venv {tools}", self.peer.pip(tools, self.peer.tools)] if kind == "first" else []
        return [*first, *([f"{PYTHON} -m venv {self.peer.folder}/venv"] if kind != "again" else [])]

    def _written(self, version: str, kind: str) -> dict[str, str]:
        """Files and commands of the slot, by the functions that `fab` has them from."""
        folder, stage = self.peer.folder, self.peer.stage
        pins = {self.peer.project.name: version, **self.peer.pins}
        for name, some in (("requirements.txt", pins), ("tools.txt", self.peer.tools)):
            (self.scratch / name).write_text("".join(f"{one}=={pin}\n" for one, pin in some.items()))
        (self.scratch / "supervisord.conf").write_text(self.peer.supervisord(version))
        url = f"http://127.0.0.1:{stage.ports(self.peer.slot)[0]}{stage.health}"
        return {
            "prefix": PREFIX,
            "folder": folder,
            "files": str(self.scratch),
            "python": PYTHON,
            "index": stage.index.url,
            "clear": (STOP if kind == "again" else CLEAR).format(folder=folder).strip(),
            "pip": self.peer.pip(f"{folder}/venv", {}) + f"--no-deps -r {folder}/requirements.txt",
            "wait": WAIT.format(url=url, word=version),
        }

    def _run(self, program: str, *words: str, **env: str) -> None:
        done = subprocess.run(
            [self.programs / program, *words],
            env=self.team.world.fleet.environment() | {"LANG": "C.UTF-8"} | env,
            text=True,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            cwd=self.scratch,
        )
        if done.returncode:
            sys.exit(f"{program}: {(done.stdout + done.stderr)[-3000:]}")

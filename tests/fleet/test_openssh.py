"""The main job by the OpenSSH client: a release and a rollback, and one app host is behind another host."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from rig.visitors import ask
from rig.world import World, bake

pytestmark = pytest.mark.hosts


def test_a_release_and_a_rollback_over_a_bastion_by_openssh(team: World, tmp_path: Path) -> None:
    project = bake(team, tmp_path, project_name="My Shop", flavour="flask")
    bastion = team.fleet.add("bastion")
    apps, (proxy,) = team.fleet.add_many(2, "app"), team.fleet.add_many(1, "proxy")
    config = Path(team.fleet.environment()["HOME"]) / ".ssh/config"
    with config.open("a") as file:
        file.write(f"Host {apps[1].address}\n    ProxyJump root@{bastion.address}\n")
    project.configure(team.stage(apps, [proxy], connector="openssh", processes=1))
    project.fab("index.sync", "--stage", "test")
    versions = []
    for action in ("release", "release", "rollback"):
        project.commit(f"Before {action}")
        report = json.loads(project.fab(action, "--stage", "test", "--json").stdout)
        assert (report["failed"], ask(proxy.address)) == (0, report["version"])
        assert len(report["hosts"]) == 2 or action == "rollback"
        versions.append(report["version"])
    assert versions[2] == versions[0] != versions[1]
    assert set(logins(apps[1].log)) == {bastion.address}
    assert set(logins(apps[0].log)) == set(logins(bastion.log)) == {team.fleet.gateway_address}
    assert len(logins(bastion.log)) == len(logins(apps[1].log)), "nobody was there but on the way"
    bastion.change_host_key()
    done = project.fab("release", "--stage", "test", check=False)
    assert done.returncode
    assert f"{bastion.address}: its host key has changed" in done.stderr
    assert ask(proxy.address) == versions[0]


def logins(log: Path) -> list[str]:
    """From where somebody has logged in, each time."""
    return re.findall(r"Accepted publickey for root from (\S+) port", log.read_text())

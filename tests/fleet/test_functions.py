"""Each function can be taken out and used alone, and the single tasks give what `fab release` gives."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from releaselib import config
from releaselib.actions import release, wheels
from releaselib.decide.release import Wanted
from rig.visitors import ask
from rig.world import World

from .test_release import prepared, released

pytestmark = pytest.mark.hosts


def test_functions_tasks_and_release_end_in_the_same_state(
    team: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = prepared(team, tmp_path, app=2, proxy=1)
    address = team.fleet.hosts["proxy1"].address
    for name, value in team.env.items():
        monkeypatch.setenv(name, value)

    loaded = config.load(project.folder)
    built = wheels.build(loaded, tmp_path / "dist", Wanted(), stage="test")
    wheels.publish(loaded, built, stage="test")
    release.deploy(loaded, "test", Wanted(version=built.version))
    by_functions = release.switch(loaded, "test", Wanted(slot="a"))
    assert ask(address) == built.version == by_functions.version
    state_by_functions = state(team, "a")

    project.fab("build", "--stage", "test", "--json", "--out", str(tmp_path / "dist2"))
    made = project.fab("build", "--stage", "test", "--json", "--out", str(tmp_path / "dist3")).stdout
    (tmp_path / "built.json").write_text(made)
    project.fab("publish", "--stage", "test", "--built", str(tmp_path / "built.json"))
    version = json.loads(made)["version"]
    project.fab("deploy", "--stage", "test", "--version", version)
    assert ask(address) == built.version
    project.fab("validate", "--stage", "test", "--slot", "b")
    project.fab("switch", "--stage", "test", "--slot", "b")
    assert ask(address) == version
    state_by_tasks = state(team, "b")

    by_release = released(project, "release")
    assert ask(address) == by_release["version"]
    assert state(team, "a") == state_by_functions == state_by_tasks


def state(team: World, slot: str) -> list[str]:
    """What a slot holds on every app host, without what differs from release to release; where a supervisord goes on,
    nothing was said at its start.
    """
    pins = "grep -oE '^[A-Za-z0-9._-]+===[^ ]+' requirements.txt | grep -v my-shop"
    command = f"cd /srv/my-shop/slots/{slot} && ls -A -I start.log . log && {pins}"
    return [host.run(command).stdout for name, host in team.fleet.hosts.items() if name.startswith("app")]

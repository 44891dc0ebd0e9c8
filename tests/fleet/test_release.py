"""The main job on real hosts: releases and rollbacks that no visitor notices."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from rig.visitors import Visitors
from rig.world import Project, World, bake

pytestmark = pytest.mark.hosts


def prepared(team: World, folder: Path, app: int, proxy: int, **settings: object) -> Project:
    """A flask project with its stage on new hosts and its dependencies on the index."""
    project = bake(team, folder, project_name="My Shop", flavour="flask")
    apps, proxies = team.fleet.add_many(app, "app"), team.fleet.add_many(proxy, "proxy")
    project.configure(team.stage(apps, proxies, "test", **settings))
    project.fab("index.sync", "--stage", "test")
    return project


def released(project: Project, *words: str) -> dict[str, object]:
    """Run an action of `fab` and return its report."""
    return dict(json.loads(project.fab(*words, "--stage", "test", "--json").stdout))


WHEELS = """
cd /srv/my-shop/slots/%s && records=$(find venv/lib*/python3*/site-packages -name RECORD | sort) && [ "$records" ] &&
cat requirements.txt $records | grep -v -e '^\\.\\./' -e INSTALLER -e REQUESTED -e uv_cache |
sort | sha256sum
"""


def test_three_releases_and_a_rollback_under_load_lose_no_request(team: World, tmp_path: Path) -> None:
    project = prepared(team, tmp_path, app=5, proxy=2)
    addresses = [host.address for host in team.fleet.hosts.values() if host.name.startswith("proxy")]
    first = released(project, "release")["version"]
    with Visitors(addresses) as visitors:
        known = [first]
        for action in ("release", "release", "rollback"):
            project.commit(f"Before {action}")
            report = released(project, action)
            end = time.monotonic()
            assert report["failed"] == 0
            known.append(str(report["version"]))
            while len(visitors.since(end)) == 0 or sum(visitors.since(end).values()) < 20:
                assert not visitors.failed
            assert set(visitors.since(end)) == {report["version"]}
    assert visitors.failed == []
    assert {version for _, _, version in visitors.answers} == set(known)
    assert known[3] == known[1]
    assert len(visitors.answers) > 200
    for slot in "ab":
        assert (
            len({host.run(WHEELS % slot).stdout for host in team.fleet.hosts.values() if host.name.startswith("app")})
            == 1
        )

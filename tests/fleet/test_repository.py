"""A project's repository is made on its forge by tasks, and `fab release` makes the release there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from forges import KINDS
from releaselib.index.simple import PASSWORD
from rig.visitors import ask
from rig.world import World, bake

pytestmark = pytest.mark.hosts


@pytest.mark.parametrize("kind", KINDS)
def test_a_project_goes_to_its_forge_and_its_releases_too(team: World, tmp_path: Path, kind: str) -> None:
    with KINDS[kind]() as forge:
        project = bake(
            team, tmp_path, project_name="My Shop", flavour="flask", forge=kind, __forge_url=forge.url, namespace="team"
        )
        refused = project.fab("repo.create", check=False)
        assert refused.returncode == 3
        assert f"{forge.token_variable} is not set" in refused.stderr
        token: dict[str, Any] = {forge.token_variable: forge.token}
        for state in ("created", "done"):
            made = json.loads(project.fab("repo.create", "--ci", "--json", **token).stdout)
            assert made["state"] == state
        assert forge.head("team/my-shop") == project.git("rev-parse", "HEAD")
        assert list(forge.projects["team/my-shop"].variables) == [PASSWORD]
        assert list(forge.projects["team/my-shop"].protected) == ["main"]

        settings = project.folder / "release.toml"
        settings.write_text(settings.read_text().replace("[forge]\n", "[forge]\nrelease = true\n"))
        app, proxy = team.fleet.add("app1"), team.fleet.add("proxy1")
        project.configure(team.stage([app], [proxy]))
        project.fab("index.sync", "--stage", "test")
        refused = project.fab("release", "--stage", "test", check=False)
        assert refused.returncode == 3
        assert f"{forge.token_variable} is not set" in refused.stderr
        assert project.git("tag") == ""

        version = json.loads(project.fab("release", "--stage", "test", "--json", **token).stdout)["version"]
        assert ask(proxy.address) == version
        assert forge.head("team/my-shop", f"refs/tags/{version}") == project.git("rev-parse", version)
        assert list(forge.projects["team/my-shop"].releases) == [version]

        built = tmp_path / "built.json"
        built.write_text(project.fab("build", "--stage", "test", "--name", "mend", "--json").stdout)
        project.fab("publish", "--stage", "test", "--built", str(built), **token)
        mended = json.loads(built.read_text())["version"]
        project.fab("repo.release", "--version", mended, **token)
        assert list(forge.projects["team/my-shop"].releases) == [version, mended]
        assert not [
            file for file in project.folder.rglob("*") if file.is_file() and forge.token.encode() in file.read_bytes()
        ]

"""docs/coming-from.md: what it says to write is written into an example, and that is released on this machine."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
import requests

import real
from releaselib import config
from rig import wait_for
from template.baking import FAB, ROOT, Oven, Project, commit_all

APP = """
import os
from pathlib import Path
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    ini = Path("files/app.ini").read_text().strip() if Path("files/app.ini").exists() else ""
    return [" ".join([os.environ["RELEASE_SLOT"], os.environ.get("LOG_LEVEL", ""), ini]).encode()]
"""
RECORDS = """
import os, sys, time
with open("../../ran", "a") as file:
    file.write(f"{__spec__.name} {os.environ['RELEASE_VERSION']}\\n")
"""
FILES = {
    "pyproject.toml": (
        '[project]\nname = "shop"\ndynamic = ["version"]\n'
        '[tool.setuptools]\npackages = ["shop"]\n[tool.setuptools_scm]\n'
        '[build-system]\nrequires = ["setuptools>=80", "setuptools-scm>=9"]\nbuild-backend = "setuptools.build_meta"\n'
    ),
    ".gitignore": "*.egg-info\nbuild/\n",
    "shop/__init__.py": APP,
    "shop/migrate.py": RECORDS,
    "shop/work.py": f"{RECORDS}while True: time.sleep(1)\n",
    "shop/clock.py": f"{RECORDS}while True: time.sleep(1)\n",
    "shop/static/site.css": "body { color: red }\n",
    "release.d/app.ini.j2": "[app of {{ slot }}]\n",
}


def sections() -> dict[str, dict[str, list[str]]]:
    """The page: section -> language -> its blocks."""
    text = (ROOT / "docs/coming-from.md").read_text("utf-8")
    found: dict[str, dict[str, list[str]]] = {}
    for part in re.split(r"(?m)^## From (?:an? )?", text)[1:]:
        blocks = re.findall(r"(?ms)^```(\w*)\n(.*?)^```$", part)
        found[part.split()[0]] = {kind: [b for k, b in blocks if k == kind] for kind, _ in blocks}
    return found


@pytest.fixture
def shop(quick: Oven, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The example with the release files, as the page begins; nothing of it runs afterwards."""
    folder = tmp_path_factory.mktemp("x") / "shop"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    project = Project(folder, quick.env)
    project.git("init", "--quiet", "-b", "main")
    commit_all(folder, "The shop")
    (line,) = re.findall(r"command='(.*)' __health", (ROOT / "docs/coming-from.md").read_text())
    given = {"project_slug": "shop", "flavour": "init", "health": "/up", "port_base": str(real.free_port(100))}
    done = quick.with_(options=("-f", "-s", "-o", "..")).try_bake(folder, command=line, **given)
    assert done.code == 0, done.output
    yield project
    project.run(FAB, "slot.remove", "--all")


def test_each_way_that_the_page_shows_is_a_release(shop: Project) -> None:
    pages = sections()
    assert list(pages) == ["Procfile", "Capistrano", "Kamal", "fabfile"]
    toml, ran = shop.folder / "release.toml", shop.folder / ".local/ran"
    plain, urls, versions = toml.read_text(), {}, {}
    for way, blocks in pages.items():
        (block,) = blocks["toml"]
        toml.write_text(f"{plain}\n{block}")
        if way == "fabfile":
            (shop.folder / "fabfile.py").write_text(blocks["python"][1])
        commit_all(shop.folder, way)
        report = json.loads(shop.run(FAB, "release", "--json", "--quiet").output)
        urls[way], versions[way] = requests.get(f"{report['url']}/up").text, report["version"]
        if way == "Procfile":
            wait_for(lambda: ran.read_text().count("shop.") == 3, "the worker and the clock to be at work")
        if way == "Kamal":
            assert requests.get(f"{report['url']}/static/site.css").text == FILES["shop/static/site.css"]
            stage = config.load(shop.folder).stage("production")
            assert (stage.secure, [str(host) for host in stage.programs_on(stage.app[2])]) == (True, ["worker"])
    assert urls == {"Procfile": "a  ", "Capistrano": "b info [app of b]", "Kamal": "a info ", "fabfile": "b  "}
    assert [line for line in ran.read_text().splitlines() if "migrate" in line] == [
        f"shop.migrate {versions[way]}" for way in ("Procfile", "Capistrano", "fabfile")
    ]
    assert (shop.folder / "notified").read_text() == f"{versions['fabfile']} on 1 hosts"
    assert "hello" in shop.run(FAB, "greet").output

"""Flavour init in real projects that no one here wrote: a Flask, a Django and one that is neither."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import sys
import tarfile
from contextlib import closing
from pathlib import Path

import pytest
import requests

import real
from template.baking import FAB, Oven, Project, commit_all, run
from template.conftest import ALL

PROJECTS = {"flask": ("httpbin", "0.10.2"), "django": ("django-debug-toolbar", "6.0.0"), "neither": ("pluggy", "1.6.0")}


def digests(folder: Path) -> dict[str, str]:
    """Every file outside .git and its sha256."""
    files = (path for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts)
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def unpacked(name: str, version: str, folder: Path, oven: Oven) -> Project:
    """The sdist out of the package index, under git."""
    pip = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:")
    run(*pip, "--dest", folder, f"{name}=={version}", cwd=folder, env=oven.env)
    (sdist,) = folder.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (made,) = (path for path in folder.iterdir() if path.is_dir())
    run("git", "init", "--quiet", "-b", "main", cwd=made, env=oven.env)
    commit_all(made, f"{name} {version}")
    return Project(made, oven.env)


@pytest.mark.parametrize("name", PROJECTS)
def test_its_files_stay_as_they_were_and_it_can_be_built(quick: Oven, tmp_path: Path, name: str) -> None:
    package, version = PROJECTS[name]
    (tmp_path / "work").mkdir()
    project = unpacked(package, version, tmp_path / "work", quick)
    before = digests(project.folder)
    oven = quick.with_(options=("-f", "-s", "-o", ".."))
    done = oven.try_bake(project.folder, project_slug=project.folder.name, flavour="init", forge="none")
    assert done.code == 0, done.output
    after = digests(project.folder)
    assert {file: after[file] for file in before} == before
    templates = {f"release.d/{name}.conf.j2" for name in ("supervisord", "nginx")}
    added = {"fabfile.py", "release.toml", ".cruft.json"} | templates
    assert set(after) - set(before) == added | ({".gitignore"} - set(before))
    commit_all(project.folder, "Release files")
    built = project.run(FAB, "build", "--version", version, "--out", str(tmp_path / "dist"), check=False)
    assert built.code == 0, built.output
    assert len(list((tmp_path / "dist").glob("*.whl"))) == 1


GUNICORN = "{venv_dir}/bin/gunicorn --bind {bind}:{port} "
WITH_DATABASE: dict[str, tuple[str, dict[str, str], str, str]] = {
    "ihatemoney": (
        "7.2.1",
        {"command": f"{GUNICORN} ihatemoney.wsgi:application"},
        """
[app.env]
IHATEMONEY_SETTINGS_FILE_PATH = "{slot_dir}/files/settings"

[app.run.migrate]
command = "python -c 'import ihatemoney.wsgi'"  # it migrates when it starts
when = "before_start"
""",
        'SQLALCHEMY_DATABASE_URI = "sqlite:///{{ run_root }}/../../data.db"\nSECRET_KEY = "not one"\n',
    ),
    "pretalx": (
        "2025.2.2",
        {"command": f"{GUNICORN} pretalx.wsgi:application", "health": "/orga/login/"},
        """
[app.env]
PRETALX_DATA_DIR = "{slot_dir}/../.."
PRETALX_DB_NAME = "{slot_dir}/../../data.db"

[app.run.collectstatic]
command = "python -m pretalx collectstatic --no-input"
when = "before_start"
on = "all"
always = true

[app.run.migrate]
command = "python -m pretalx migrate"
when = "before_start"

[app.static]
folder = "static.dist"
""",
        "",
    ),
    "canaille": (
        "0.2.0",
        {
            "command": f'{GUNICORN} "canaille:create_app()"',
            "health": "/login",
            "requires": "gunicorn>=23, Canaille[sqlite]",
        },
        """
[app.env]
CANAILLE_CONFIG = "{slot_dir}/files/settings"

[app.run.migrate]
command = "canaille install"
when = "before_start"
""",
        """
SECRET_KEY = "not one"
[CANAILLE]
DATABASE = "sql"
[CANAILLE_SQL]
DATABASE_URI = "sqlite:///{{ run_root }}/../../data.db"
""",
    ),
}


@pytest.mark.skipif(not ALL, reason="takes minutes: TEMPLATE_TESTS=all")
@pytest.mark.parametrize("name", WITH_DATABASE)
def test_one_with_a_database_is_released_with_its_own_migrations(
    quick: Oven, tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    version, answers, tables, settings = WITH_DATABASE[name]
    folder = tmp_path_factory.mktemp("x")
    project = unpacked(name, version, folder, quick)
    oven = quick.with_(options=("-f", "-s", "-o", ".."))
    port = str(real.free_port(100))
    given = {"project_slug": project.folder.name, "flavour": "init", "forge": "none", "port_base": port, **answers}
    done = oven.try_bake(project.folder, **given)
    assert done.code == 0, done.output
    placed = '\n[stages.local.files]\nsettings = "release.d/settings.j2"\n'
    toml = project.folder / "release.toml"
    mine = f'profile = "dev"\npython = "{Path(sys.executable).resolve()}"'  # that of the system may be too old for it
    toml.write_text(toml.read_text().replace('profile = "dev"', mine) + tables + placed)
    (project.folder / "release.d/settings.j2").write_text(settings)
    commit_all(project.folder, "Release files")
    try:
        report = json.loads(project.run(FAB, "release", "--version", version, "--json", "--quiet").output)
        assert (report["version"], report["failed"]) == (version, 0)
        assert requests.get(report["url"] + answers.get("health", "/")).status_code == 200
        with closing(sqlite3.connect(project.folder / ".local/data.db")) as database:
            assert len(database.execute("select name from sqlite_master").fetchall()) > 10
    finally:
        project.run(FAB, "slot.remove", "--all")

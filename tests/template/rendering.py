"""Render the two files in release.d/ as a release does, and let supervisor and nginx judge them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

import real
from releaselib.decide.seen import Served
from releaselib.hosts import site
from template.baking import Done, run

PARSE = """
import sys
from supervisor.options import ServerOptions
options = ServerOptions()
options.realize(["-c", sys.argv[1], "-n"])
for group in options.process_group_configs:
    for process in group.process_configs:
        print(process.name, process.command, sorted(process.environment.items()), sep="|")
"""


def supervisord_values(run_root: Path, **others: Any) -> dict[str, Any]:
    """Sample values for supervisord's template."""
    values = {
        "project": "my-shop",
        "package": "my_shop",
        "slot": "a",
        "profile": "production",
        "run_root": str(run_root),
        "venv_dir": f"{run_root}/venv",
        "port": 8800,
        "process_count": 2,
        "programs": [],
        "bind": "127.0.0.1",
        "username": "deploy",
        "version": "2026.11.23.1",
        "commit": "0123abc",
        "released": "2026-11-23T10:00:00Z",
    }
    return values | others


def render(text: str, values: dict[str, Any]) -> str:
    """The rules of releaselib: no unknown name, and a % in a value doubled."""

    def doubled(value: Any) -> Any:
        return value.replace("%", "%%") if isinstance(value, str) else value

    environment = Environment(undefined=StrictUndefined, finalize=doubled, keep_trailing_newline=True)
    return environment.from_string(text).render(values)


def parse_supervisord(text: str, run_root: Path, env: dict[str, str]) -> list[str]:
    """The processes that supervisor's own parser finds: name|command|environment."""
    for folder in ("run", "log"):
        (run_root / folder).mkdir(parents=True, exist_ok=True)
    file = run_root / "supervisord.conf"
    file.write_text(text, "utf-8")
    return run(sys.executable, "-c", PARSE, file, cwd=run_root, env=env).output.splitlines()


def write_nginx(template: str, folder: Path, app: Sequence[str] = ("127.0.0.1:8800",), **keys: Any) -> Path:
    """A whole nginx of its own as a release lays it down, with slot a live in front of that app; its main file."""
    stage = real.stage(folder, **{"listen": "127.0.0.1:18080", **keys})
    known = {"a": Served(real.release("2026.11.23.1"), ("local",), tuple(app))}
    conf, live = Path(stage.paths.conf), Path(stage.paths.live)
    for place in (conf, live):
        place.mkdir(parents=True)
    for name, text in site.configuration(template, stage, known).files.items():
        (conf / name).write_text(text, "utf-8")
    for name in ("a", "release"):
        (live / name).touch()
    file = Path(stage.paths.entry)
    file.write_text(site.own(stage), "utf-8")
    return file


def nginx_program() -> str:
    """nginx, which is not on everybody's PATH."""
    return shutil.which("nginx") or "/usr/sbin/nginx"


def nginx_test(file: Path) -> Done:
    """What `nginx -t` says."""
    done = subprocess.run(
        [nginx_program(), "-t", "-c", str(file), "-e", "stderr"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return Done(done.returncode, done.stdout)

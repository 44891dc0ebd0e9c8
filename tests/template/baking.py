"""Bake projects as a stranger would: real cookiecutter, an empty home folder, nothing else around."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FAB, CRUFT = (Path(sys.executable).with_name(name) for name in ("fab", "cruft"))
TEMPLATE_PARTS = (
    "cookiecutter.json",
    "template_ext.py",
    "hooks",
    "templates",
    "releaselib",
    "LICENSE",
    "{{cookiecutter.project_slug}}",
)


def uv() -> str:
    """The uv beside this interpreter, or that of the machine."""
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.exists() else shutil.which("uv")
    assert found, "the tests need uv"
    return found


def uv_cache() -> str:
    """uv's cache of this machine: fixed before HOME is taken away, so that nothing is fetched twice."""
    done = subprocess.run([uv(), "cache", "dir"], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def environment(home: Path, *, tools: tuple[str, ...] = ()) -> dict[str, str]:
    """Variables of a fresh account: nothing of the developer's git, cookiecutter, pip or virtualenv.

    ``tools`` are the only programs beside those of the operating system that are found on PATH.
    """
    kept = {name: value for name, value in os.environ.items() if "CERT" in name or "CA_" in name}
    folder = home / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    for tool in tools:
        if not (folder / Path(tool).name).exists():
            (folder / Path(tool).name).symlink_to(tool)
    return kept | {
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "PATH": f"{folder}:/usr/sbin:/usr/bin:/sbin:/bin",
        "GIT_CONFIG_NOSYSTEM": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "UV_CACHE_DIR": uv_cache(),
        "UV_PYTHON_DOWNLOADS": "never",
    }


@dataclass(frozen=True)
class Done:
    """How a program ended."""

    code: int
    output: str


def run(*command: str | Path, cwd: Path, env: dict[str, str], timeout: float = 300, check: bool = True) -> Done:
    """Run a program to its end; with ``check`` its failure fails the test, with all it said."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert not check or done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}"
    return Done(done.returncode, done.stdout)


def make_virtualenv(folder: Path, *packages: str, env: dict[str, str]) -> Path:
    """A virtualenv with these packages; gives its folder of programs."""
    here, quiet = folder.parent, "--quiet"
    run(uv(), "venv", quiet, "--no-project", "--python", sys.executable, folder, cwd=here, env=env)
    run(uv(), "pip", "install", quiet, "--python", folder, *packages, cwd=here, env=env)
    return folder / "bin"


BATCH = """
import json, os, sys
from cookiecutter.exceptions import FailedHookException
from cookiecutter.main import cookiecutter

template, orders = sys.argv[1], json.loads(sys.argv[2])
for folder, answers in orders:
    os.makedirs(folder)
    log = os.open(folder + ".log", os.O_CREAT | os.O_WRONLY)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    code = 0
    try:
        cookiecutter(template, no_input=True, extra_context=answers, output_dir=folder)
    except FailedHookException as error:  # what the command line prints as words
        code = 1
        print(error)
    sys.stdout.flush()
    with open(folder + ".code", "w") as file:
        file.write(str(code))
"""
"""Bakes many projects in one process: what takes longest in baking is to start cookiecutter."""


def named(answers: Mapping[str, str]) -> dict[str, str]:
    """The answers by the names that cookiecutter has for them: what is not asked for begins with two underscores."""
    questions = json.loads((ROOT / "cookiecutter.json").read_text("utf-8"))
    return {f"__{name}" if f"__{name}" in questions else name: answer for name, answer in answers.items()}


@dataclass(frozen=True)
class Oven:
    """A cookiecutter and the surroundings that it runs in."""

    cookiecutter: Path
    env: dict[str, str]
    template: str = str(ROOT)
    options: tuple[str, ...] = ()

    def with_(self, **changes: object) -> Oven:
        """The same with other surroundings."""
        return replace(self, **changes)  # type: ignore[arg-type]

    def try_bake(self, folder: Path, **answers: str) -> Done:
        """Run cookiecutter in a folder and see how it ends."""
        folder.mkdir(parents=True, exist_ok=True)
        given = [f"{question}={answer}" for question, answer in named(answers).items()]
        return run(
            self.cookiecutter, self.template, "--no-input", *self.options, *given, cwd=folder, env=self.env, check=False
        )

    def try_bake_batch(self, orders: list[tuple[Path, dict[str, str]]]) -> list[Done]:
        """As try_bake, many at once, by cookiecutter's own function instead of its command line."""
        python = self.cookiecutter.with_name("python")
        for start in range(0, len(orders), 100):  # an argument can hold 128 kB
            some = [(str(folder), named(answers)) for folder, answers in orders[start : start + 100]]
            command = (python, "-c", BATCH, self.template, json.dumps(some), "--no-input")
            run(*command, cwd=ROOT, env=self.env)
        logs = [(Path(f"{folder}.code"), Path(f"{folder}.log")) for folder, _answers in orders]
        return [Done(int(code.read_text()), log.read_text("utf-8")) for code, log in logs]

    def bake_batch(self, orders: list[tuple[Path, dict[str, str]]]) -> list[Project]:
        """As bake, many at once; every one must work, each in a folder of its own."""
        baked = []
        for (folder, _answers), done in zip(orders, self.try_bake_batch(orders), strict=True):
            assert done.code == 0, done.output
            (made,) = folder.iterdir()
            baked.append(Project(made, self.env, done.output))
        return baked

    def bake(self, folder: Path, **answers: str) -> Project:
        """Bake a project, which must work."""
        before = set(folder.iterdir()) if folder.exists() else set()
        done = self.try_bake(folder, **answers)
        assert done.code == 0, done.output
        (made,) = set(folder.iterdir()) - before
        return Project(made, self.env, done.output)


@dataclass(frozen=True)
class Project:
    """A baked project."""

    folder: Path
    env: dict[str, str]
    said: str = field(default="", repr=False)

    def run(self, *command: str | Path, check: bool = True, **variables: str) -> Done:
        """Run a program in it."""
        return run(*command, cwd=self.folder, env=self.env | variables, check=check)

    def git(self, *arguments: str) -> str:
        """What git answers in it."""
        return self.run("git", *arguments).output.strip()

    def tool(self, name: str) -> Path:
        """A program of its own virtualenv, which `uv sync` has made."""
        return self.folder / ".venv" / "bin" / name

    def text(self, name: str) -> str:
        """One of its files."""
        return (self.folder / name).read_text("utf-8")

    def files(self) -> set[str]:
        """Its files, without git's own."""
        paths = (path for path in self.folder.rglob("*") if path.is_file())
        names = (str(path.relative_to(self.folder)) for path in paths)
        return {name for name in names if not name.startswith(".git/")}


def copy_of_template(folder: Path) -> Path:
    """The template as it is here now, as a git repository of its own with one commit and the tag v1."""
    skip = shutil.ignore_patterns("__pycache__", "*.egg-info", "_version.py", "dist", "build")
    for part in TEMPLATE_PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=skip)
        else:
            folder.mkdir(exist_ok=True, parents=True)
            shutil.copy2(source, folder / part)
    env = environment(folder.with_name(folder.name + "-home"))
    run("git", "init", "--quiet", "-b", "main", cwd=folder, env=env)
    commit_all(folder, "The template")
    run("git", "tag", "v1", cwd=folder, env=env)
    return folder


def commit_all(folder: Path, message: str) -> str:
    """Commit everything in a repository; gives the commit."""
    env = environment(folder.with_name(folder.name + "-home"))
    who = ("-c", "user.name=A Tester", "-c", "user.email=tester@example.com")
    run("git", "add", "--all", cwd=folder, env=env)
    run("git", *who, "commit", "--quiet", "--message", message, cwd=folder, env=env)
    return run("git", "rev-parse", "HEAD", cwd=folder, env=env).output.strip()

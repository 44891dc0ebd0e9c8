"""The last steps of a new project, as `post_gen_project.py` takes them in the project's folder.

What a step needs and does not find (git, uv, the network) costs that step only, and the words that
it prints say how to catch up on it.
"""

from __future__ import annotations

import getpass
import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

GITPYTHON = ("gitpython>=3.1.60", "requests>=2.32.4")
"""What the first commit needs, and the creation of the repository beside it."""

TOKENS = {"gitlab": "GITLAB_TOKEN", "github": "GITHUB_TOKEN"}
RELEASE_FILES = {".gitignore", "release.d", "fabfile.py", "release.toml"}
MESSAGE = "First commit, baked from essay-template"
BY_HAND = f"git init -b main && git add --all && git commit -m '{MESSAGE}'"
Answers = Mapping[str, Any]


def finish(answers: Answers, template: Path, *, asks: bool) -> None:
    """Do everything that comes after the files; ``asks`` when somebody sits there to answer."""
    given, answers = answers, {name.removeprefix("__"): answer for name, answer in answers.items()}
    remove_empty_folders(template, answers)
    if "_commit" in answers:  # cruft makes the project: it keeps its own state, git is the user's
        return
    is_init = answers["flavour"] == "init"
    if is_init:
        say_what_a_release_needs()
    if Path(".git").exists() or (is_init and git("rev-parse", "--git-dir")):
        keep_origin(given, template)
        say_what_to_commit()
        return
    if is_init and {path.name for path in Path().iterdir()} - RELEASE_FILES:
        keep_origin(given, template)
        print(f"The release files are here. Releases are made from a git repository, so next: {BY_HAND}")
        return
    if not is_init:
        lock()
    keep_origin(given, template)
    with tempfile.TemporaryDirectory() as folder:
        python = commit(answers, template, Path(folder))
        say_what_is_next(answers)
        create_repository(answers, template, python, asks=asks)


def remove_empty_folders(template: Path, answers: Answers) -> None:
    """Remove the folders that cookiecutter made and left empty, because no file in them was wanted."""
    tree = template / "{{cookiecutter.project_slug}}"
    names = [str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_dir()]
    for name in sorted(names, reverse=True):
        folder = Path(name.replace("{{cookiecutter.__package_name}}", answers["package_name"]))
        if folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir()):
            folder.rmdir()


def lock() -> None:
    """Write uv.lock when uv is here and the network allows."""
    uv = shutil.which("uv")
    # uv asks the project for its metadata, and that for a version, which git cannot give yet.
    version = {"SETUPTOOLS_SCM_PRETEND_VERSION": "0.0.0"}
    command = ("lock", "--quiet")
    cause = run(uv, *command, variables=version) if uv else "uv is not installed"
    for leftover in Path("src").glob("*.egg-info"):
        shutil.rmtree(leftover)
    for leftover in Path("src").glob("*/_version.py"):
        leftover.unlink()
    if cause:
        Path("uv.lock").unlink(missing_ok=True)
        print(f"There is no uv.lock yet:\n{cause}\nlater: uv lock && git add uv.lock")


def keep_origin(answers: Answers, template: Path) -> None:
    """Write .cruft.json, from which `cruft check` and `cruft update` know the template."""
    state = Path(".cruft.json")
    commit_of_template = git("-C", str(template), "rev-parse", "HEAD")
    top = git("-C", str(template), "rev-parse", "--show-toplevel")
    if state.exists() or not commit_of_template or Path(top).resolve() != template.resolve():
        return  # a template out of a zip or a plain folder has no history to update from
    is_local = answers["_repo_dir"] == answers["_template"]
    origin = "" if is_local else git("-C", str(template), "config", "--get", "remote.origin.url")
    url = without_password(origin or str(template))
    context = {key: value for key, value in answers.items() if key not in ("_output_dir", "_repo_dir")}
    checkout = context.pop("_checkout", None)
    context |= {"_template": url, "_commit": commit_of_template}
    content = {
        "template": url,
        "commit": commit_of_template,
        "checkout": checkout,
        "context": {"cookiecutter": context},
        "directory": None,
    }
    state.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", "utf-8")


def without_password(url: str) -> str:
    """The URL without the user and password that a web address may hold."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        return url
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def commit(answers: Answers, template: Path, folder: Path) -> list[str]:
    """Make the repository and the first commit through GitPython, wherever it is to be had.

    Gives the interpreter that had it, or nothing when git alone or nobody could do it.
    """
    if not shutil.which("git"):
        print(f"git is not installed, so there is no repository yet; later: {BY_HAND}")
        return []
    name = re.sub(r"[<>]", "", answers["author"]).strip(" .,:;\"'\\") or answers["project_slug"]
    email = answers["email"] or f"{answers['project_slug']}@localhost"
    python = python_with_gitpython(folder)
    if python and not run(*python, str(template / "hooks" / "first_commit.py"), name, email):
        return python
    cause = commit_with_git(name, email)
    if cause:
        print(f"There is no first commit yet:\n{cause}\nlater: {BY_HAND}")
    return []


def python_with_gitpython(folder: Path) -> list[str]:
    """An interpreter that can import git: this one, else one of uv's, else one in ``folder`` by pip."""
    if importlib.util.find_spec("git"):
        return [sys.executable]
    uv = shutil.which("uv")
    if uv:
        options = ("--quiet", "--no-project", "--python", sys.executable)
        return [uv, "run", *options, *(f"--with={one}" for one in GITPYTHON), "python"]
    python = str(folder / "bin" / "python")
    pip = ("-m", "pip", "install", "--quiet", "--retries", "0", "--timeout", "10", *GITPYTHON)
    ready = not run(sys.executable, "-m", "venv", str(folder)) and not run(python, *pip)
    return [python] if ready else []


def commit_with_git(name: str, email: str) -> str:
    """The same by git alone, for a machine that cannot fetch GitPython; gives what went wrong."""
    who = ["-c", f"user.name={name}", "-c", f"user.email={email}"]
    who = [] if git("config", "user.name") and git("config", "user.email") else who
    for arguments in (
        ["init", "--quiet", "-b", "main"],
        ["add", "--all"],
        [*who, "-c", "commit.gpgSign=false", "commit", "--quiet", "--no-verify", "-m", MESSAGE],
    ):
        cause = run("git", *arguments)
        if cause:
            return cause
    return ""


def say_what_to_commit() -> None:
    """In a repository that was there already the commit is its owner's."""
    new = [line[3:] for line in git("status", "--porcelain").splitlines() if line.startswith("??")]
    if "releaselib" not in Path("fabfile.py").read_text("utf-8"):
        print("fabfile.py was here before. Please add to it: from releaselib.tasks import namespace")
    if new:
        print(f"Added and not committed. Look at them, then: git add {' '.join(new)} && git commit")


def say_what_a_release_needs() -> None:
    """A project that came without [project] in pyproject.toml cannot be released as it is."""
    file = Path("pyproject.toml")
    table = re.search(r"(?ms)^\[project\]\s*$(.*?)(?=^\[|\Z)", file.read_text("utf-8") if file.exists() else "")
    if not (table and re.search(r"(?m)^name\s*=", table[1])):
        print(
            "A release needs pyproject.toml with [project]: its name, and its version or dynamic = "
            '["version"] with setuptools-scm (PEP 621). Move them there from setup.py or setup.cfg.'
        )


def say_what_is_next(answers: Answers) -> None:
    """The way to the first release."""
    state = "with its first commit" if git("rev-parse", "HEAD") else "without a commit"
    print(f"{Path.cwd()} is ready, {state}.")
    told = ("licence", "python_min", "author", "email", "port_base", "visibility")
    told = told[:-1] if answers["forge"] == "none" else told
    if answers["flavour"] != "init":
        print("Not asked for, to change by these words on the command line, or in the files:")
        print("  " + " ".join(shlex.quote(f"__{name}={answers[name]}") for name in told))
    reading = "release.toml" if answers["flavour"] == "init" else "README.md"
    print(f"Next: cd {answers['project_slug']}, read {reading}, fab release")


def create_repository(answers: Answers, template: Path, python: list[str], *, asks: bool) -> None:
    """Create the repository on the forge and push to it; without a token say how it is done later."""
    if answers["forge"] == "none" or not answers["create_repository"]:
        return
    variable = TOKENS[answers["forge"]]
    token = os.environ.get(variable, "")
    if python and not token and asks and sys.stdin.isatty() and sys.stderr.isatty():
        token = getpass.getpass(f"{variable} (not shown; empty: the repository is created later): ")
    if not python or not token:
        print(f"To create the repository on {answers['forge_url']} and push to it: fab repo.create")
        return
    details = [str(answers[name]) for name in ("forge", "forge_url", "namespace", "project_slug")]
    details += [answers["visibility"], answers["description"]]
    script = [str(template / "hooks" / "repository.py"), str(template / "releaselib" / "src"), *details]
    sys.stdout.flush()
    done = subprocess.run([*python, *script], env={**os.environ, variable: token}, check=False)
    if done.returncode:
        print("The project and its commit are complete here. To go on with the repository: fab repo.create")


def git(*arguments: str) -> str:
    """What git answers, or nothing when it fails or is not there."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def run(*command: str, timeout: float = 120, variables: Mapping[str, str] | None = None) -> str:
    """Run a command without a question to the user; gives the last lines of what went wrong, or nothing."""
    environment = {
        **os.environ,
        "GIT_TERMINAL_PROMPT": "0",
        "UV_HTTP_TIMEOUT": "10",
        "UV_HTTP_RETRIES": "1",
        "UV_PYTHON_DOWNLOADS": "never",
        **(variables or {}),
    }
    environment.pop("VIRTUAL_ENV", None)
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode == 0:
        return ""
    return "\n".join((done.stderr or done.stdout).splitlines()[-5:]) or f"exit {done.returncode}"

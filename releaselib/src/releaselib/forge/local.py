"""The project's own git repository: what there is to push, and where its `origin` points."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from releaselib.errors import ForgeFailed, Refused
from releaselib.forge.target import COMMAND, Target

if TYPE_CHECKING:
    from git import Git

SSH_URL = re.compile(r"(ssh://)?[A-Za-z0-9_][\w.-]*@[A-Za-z0-9][\w.-]*(:\d+/|[:/])[\w./~-]+")


@dataclass(frozen=True)
class Local:
    """The project's own repository."""

    project: Path
    git_dir: Path
    branch: str
    head: str
    first: frozenset[str]
    origin: str


def read(project: Path) -> Local:
    """What the project's repository holds; refused when there is nothing that could be pushed."""
    if not os.access(project, os.R_OK | os.X_OK):  # git would run in the current folder
        raise Refused(f"there is no folder {project}", next_step=COMMAND)
    if "GIT_DIR" in os.environ:
        raise Refused(
            "GIT_DIR is set: it hides the project's own repository", next_step=f"unset GIT_DIR, then: {COMMAND}"
        )
    git = git_in(project)
    up, git_dir = _local(
        git, f"{project} is no git repository", "rev_parse", "--show-cdup", "--absolute-git-dir"
    ).splitlines()
    if up:
        raise Refused(f"{project} is a folder inside another git repository", next_step=COMMAND)
    branch = _local(git, f"{project} is on no branch", "symbolic_ref", "--short", "HEAD")
    head = _local(git, f"{project} has no commit yet", "rev_parse", "--verify", "HEAD")
    first = _local(git, f"{project} has no history", "rev_list", "--max-parents=0", "HEAD")
    origin = git.config("--get", "remote.origin.url", with_exceptions=False)
    return Local(project, Path(git_dir), branch, head, frozenset(first.split()), origin)


def git_in(folder: Path) -> Git:
    """GitPython for a folder, imported only now; refused in words where it cannot be."""
    if not shutil.which("git"):
        raise Refused("git is not installed on this machine", next_step=f"install git, then: {COMMAND}")
    try:
        from git import Git
    except ImportError as error:
        raise Refused(
            "GitPython is not installed in this Python",
            cause=str(error),
            next_step=f"in an environment with releaselib: {COMMAND}",
        ) from None
    return Git(folder)


def _local(git: Git, problem: str, command: str, *args: str) -> str:
    from git.exc import GitError

    try:
        return str(getattr(git, command)(*args))
    except GitError as error:
        raise Refused(problem, cause=git_words(error), next_step=COMMAND) from None


def git_words(error: Exception) -> str:
    """What git itself said, without GitPython's frame."""
    said = str(getattr(error, "stderr", "")).strip().removeprefix("stderr: '").removesuffix("'")
    return "\n".join((said or str(error)).splitlines()[-20:])


def same_repository(url: str, target: Target) -> bool:
    """Whether a remote's address, of whatever kind, is the target's."""
    address = url if "://" in url else "ssh://" + url.replace(":", "/", 1)
    try:
        place = urlsplit(address)
        host = place.hostname or ""
    except ValueError:
        return False
    path = place.path.strip("/").removesuffix(".git").lower()
    whole = urlsplit(target.web_url)
    return host == whole.hostname and path in (whole.path.strip("/").lower(), target.path.lower())


def address(local: Local, target: Target, ssh_url: str, *, ssh: bool) -> str:
    """What to push to. An `origin` that is this repository already keeps its transport."""
    known = local.origin
    if known and known != ssh_url and not same_repository(known, target):
        raise Refused(
            "the remote origin of this project is another repository",
            next_step=(f"git remote rename origin old (or correct namespace and name), then: {COMMAND}"),
        )
    if known and not known.startswith("http"):
        return known
    if not ssh:
        return target.remote_url
    if not SSH_URL.fullmatch(ssh_url):
        raise ForgeFailed(f"{target.title} gave no usable address for ssh")
    return ssh_url

"""The project's git repository: what to release, clean clones, tags. Git is spoken by GitPython."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from releaselib.errors import CommandFailed, Refused

if TYPE_CHECKING:
    import git


@dataclass(frozen=True)
class Source:
    """A commit to release: its full hash, what it was asked for as, its time, and all tags."""

    ref: str
    commit: str
    committed: int
    tags: dict[str, str]


def find(root: Path, ref: str = "") -> Source:
    """The commit that ``ref`` means, or HEAD of a clean branch.

    Raises Refused with everything that stands against a release: no repository, a shallow clone, no
    such ref; without a ref also changes that are not committed and a detached HEAD.
    """
    repo = _open(root)
    problems = []
    if (Path(repo.git_dir) / "shallow").exists():
        problems.append("the clone is shallow, so versions cannot be counted: git fetch --unshallow")
    if not ref:
        problems += _untidy(repo)
    commit = _commit(repo, ref or "HEAD")
    if not commit:
        problems.append(f"no such ref: {ref}" if ref else "there is no commit yet: git commit")
    if problems or not commit:
        raise Refused(
            f"{root}: cannot be released as it is",
            cause="\n".join(problems),
            next_step="mend this, or name what to release: --ref main",
        )
    name = ref or repo.active_branch.name
    return Source(name, commit.hexsha, int(commit.committed_date), _tags(repo))


def _tags(repo: git.Repo) -> dict[str, str]:
    """Tag -> commit; a tag of something else than a commit is no version.

    One git tells of all: GitPython reads the list of packed tags once for each of them.
    """
    found = {}
    form = "%(refname:strip=2) %(objecttype) %(objectname) %(*objecttype) %(*objectname)"
    for line in repo.git.for_each_ref("refs/tags", format=form).splitlines():
        name, *words = line.split()
        kinds = dict(zip(words[::2], words[1::2], strict=True))  # of a tag with words: its own, and what it is on
        if "commit" in kinds:
            found[name] = kinds["commit"]
        elif words[-2] == "tag":  # on another tag, which older gits do not follow
            with suppress(ValueError):
                found[name] = repo.tag(name).commit.hexsha
    return found


def _open(root: Path) -> git.Repo:
    try:
        import git
    except ImportError as error:  # GitPython looks for the git program when it is imported
        raise Refused(f"git cannot be used: {error}", next_step="install git") from None
    try:
        return git.Repo(root, search_parent_directories=True)
    except (git.InvalidGitRepositoryError, git.NoSuchPathError):
        raise Refused(
            f"{root} is not in a git repository",
            next_step="git init -b main && git add -A && git commit -m 'First commit'",
        ) from None


def _untidy(repo: git.Repo) -> list[str]:
    problems = []
    changes = repo.git(c="core.quotePath=false").status("--porcelain").splitlines()
    if changes:
        more = f" and {len(changes) - 5} more" if len(changes) > 5 else ""
        names = ", ".join(line[3:] for line in changes[:5])
        problems.append(f"not committed: {names}{more}: git commit, or git stash")
    if repo.head.is_detached:
        problems.append("HEAD is detached, so it is not clear which branch is meant: git switch main")
    return problems


def _commit(repo: git.Repo, ref: str) -> git.Commit | None:
    import git

    try:
        return repo.commit(ref)
    except (git.BadName, git.GitCommandError, ValueError, IndexError, NotImplementedError):
        return None


def clone(root: Path, commit: str, target: Path) -> Path:
    """A clean clone of the commit in ``target``, with no file of the working tree in it."""
    import git

    short = commit[:12]
    with _in_words(f"a clean clone of {short} cannot be made", next_step=f"git cat-file -t {short}"):
        repo = git.Repo.clone_from(str(_open(root).working_dir), str(target), no_local=True, no_checkout=True)
        repo.git.checkout("--detach", commit)
        repo.close()
    return target


PUSH_SECONDS = 300
"""Seconds after which a push is given up."""


@contextmanager
def _in_words(what: str, *, next_step: str) -> Iterator[None]:
    """When git fails in the block: raise CommandFailed with git's own words."""
    import git

    try:
        yield
    except git.GitCommandError as error:
        raise CommandFailed(what, cause=str(error.stderr or error), next_step=next_step) from None


def require_tag(root: Path, version: str, commit: str) -> dict[str, str]:
    """Every tag and its commit. Raises Refused when the version's is on another commit than this."""
    existing = _tags(_open(root))
    if existing.get(version, commit) != commit:
        raise Refused(
            f"tag {version} is on another commit: {existing[version][:12]}", next_step="release another version"
        )
    return existing


def tag(root: Path, version: str, commit: str, credentials: Mapping[str, str] | None = None) -> str:
    """Tag the commit with the version and push the tag; a tag that is there already is kept.

    ``credentials`` are variables for the git that pushes.

    Returns what was done in words. Raises Refused when the tag is on another commit and
    CommandFailed when the push is rejected.
    """
    repo = _open(root)
    if version not in require_tag(root, version, commit):
        _make_tag(repo, version, commit)
    if "origin" not in [remote.name for remote in repo.remotes]:
        return f"tag {version} made; there is no remote origin to push it to"
    return _push(repo, version, credentials or {})


def _make_tag(repo: git.Repo, version: str, commit: str) -> None:
    repo.git.update_environment(**_identity(repo))
    by_hand = f"git tag -m 'Release {version}' {version} {commit[:12]}, then the same command again"
    with _in_words(f"{version} is on the index, but the tag cannot be made", next_step=by_hand):
        repo.create_tag(version, ref=commit, message=f"Release {version}")


def _identity(repo: git.Repo) -> dict[str, str]:
    """What git lacks to say who made a tag: user and machine where it knows nobody, as in CI."""
    import git

    try:
        repo.git.var("GIT_COMMITTER_IDENT")
    except git.GitCommandError:
        user = getpass.getuser()
        return {"GIT_COMMITTER_NAME": user, "GIT_COMMITTER_EMAIL": f"{user}@{socket.gethostname()}"}
    return {}


def _push(repo: git.Repo, version: str, credentials: Mapping[str, str]) -> str:
    # Never wait for a password that nobody can type.
    repo.git.update_environment(**{"GIT_TERMINAL_PROMPT": "0", **credentials})
    ref = f"refs/tags/{version}"
    with _in_words(f"tag {version} is made here, but origin refused it", next_step=f"git push origin {ref}"):
        repo.remote("origin").push(ref, kill_after_timeout=PUSH_SECONDS).raise_if_error()
    return f"tag {version} pushed to origin"


def conflicts(root: Path) -> list[str]:
    """The files of a merge or a patch that nobody has resolved yet."""
    return str(_open(root).git.diff("--name-only", "--diff-filter=U")).splitlines()


def files_at(root: Path, commit: str, names: tuple[str, ...], target: Path) -> None:
    """Write some files of a commit into ``target``; those that it does not have are left out."""
    tree = _open(root).commit(commit).tree
    for name in names:
        try:
            (target / Path(name).name).write_bytes(tree.join(name).data_stream.read())
        except KeyError:
            continue

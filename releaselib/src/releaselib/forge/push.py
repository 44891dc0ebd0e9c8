"""The git side of the forge: what the remote repository holds, and the push.

git gets the token through GIT_ASKPASS and the environment, and only for the forge's own address.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from releaselib.errors import ForgeFailed
from releaselib.forge.client import Client, ca_file
from releaselib.forge.local import Local, git_in, git_words
from releaselib.forge.target import Target, Token

ASKPASS = r"""#!/bin/sh
# Answers git's two questions about one server, and no others. $h is its host and port.
h=$RELEASELIB_HOST
case "$1" in
"Username for '$RELEASELIB_SCHEME://$h'"* | "Username for '$RELEASELIB_SCHEME://$h/"*)
    printf '%s\n' "$RELEASELIB_USER" ;;
"Password for '$RELEASELIB_SCHEME://"*"@$h'"* | "Password for '$RELEASELIB_SCHEME://"*"@$h/"*)
    user=${1#*://}
    case "${user%@"$h"*}" in */*) exit 1 ;; esac
    printf '%s\n' "$RELEASELIB_SECRET" ;;
*) exit 1 ;;
esac
"""
PUSH_TIMES = 20
"""How many times as long as one answer a git command may take."""


@dataclass(frozen=True)
class Remote:
    """What a remote repository holds; no head when its default branch has no commit."""

    empty: bool
    head: str


def options(read_timeout: float) -> list[str]:
    """What git is told with -c: no other helper, no redirect, no waiting for ever. Pure."""
    return [
        "credential.helper=",
        "http.followRedirects=false",
        "http.lowSpeedLimit=1",
        f"http.lowSpeedTime={max(1, round(read_timeout))}",
    ]


def environment(target: Target, user: str, token: Token, askpass: Path, around: Mapping[str, str]) -> dict[str, str]:
    """What git finds in its environment so that it can push with the token. Pure."""
    scheme, _, host = target.origin.partition("://")
    found = {
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": str(askpass),
        "GIT_TRACE_REDACT": "1",
        "RELEASELIB_USER": user,
        "RELEASELIB_SCHEME": scheme,
        "RELEASELIB_HOST": host,
        "RELEASELIB_SECRET": token.reveal(),
    }
    authorities = ca_file(around)
    if authorities and "GIT_SSL_CAINFO" not in around:
        found["GIT_SSL_CAPATH" if Path(authorities).is_dir() else "GIT_SSL_CAINFO"] = authorities
    if "HTTP_PROXY" in around and "http_proxy" not in around:  # curl reads the small letters only
        found["http_proxy"] = around["HTTP_PROXY"]
    return found


class Wire:
    """git at work between the project and one remote address."""

    def __init__(self, client: Client, local: Local, url: str, credentials: Mapping[str, str]) -> None:
        self.client = client
        self.local = local
        self.url = url
        self.scratch = Path(credentials["GIT_ASKPASS"]).with_name("other.git")
        self.environment = credentials if url.startswith("http") else {"GIT_TERMINAL_PROMPT": "0"}

    def run(self, doing: str, command: str, *args: str, folder: Path | None = None) -> str:
        """What a git command prints; ForgeFailed with its words when it fails."""
        from git.exc import GitError

        git = git_in(folder or self.local.project)
        git.set_persistent_git_options(c=options(self.client.patience.read))
        git.update_environment(**self.environment)
        limit = PUSH_TIMES * self.client.patience.read
        try:
            return str(getattr(git, command)(*args, kill_after_timeout=limit))
        except GitError as error:
            said = self.client.token.mask(git_words(error))
        raise ForgeFailed(f"{self.client.target.title}: git failed (while {doing})", cause=said)

    def remote(self) -> Remote:
        """What the remote repository holds."""
        lines = self.run("looking into the repository", "ls_remote", "--", self.url).splitlines()
        refs = {name: commit for commit, _, name in (line.partition("\t") for line in lines)}
        return Remote(empty=not refs, head=refs.get("HEAD", ""))

    def same_first_commit(self, remote: Remote) -> bool:
        """Whether the remote's default branch and this project began with the same commit."""
        if not remote.head or remote.head == self.local.head:
            return bool(remote.head)
        known = git_in(self.local.project).rev_list("--max-parents=0", remote.head, "--", with_exceptions=False)
        return bool(self.local.first & set((known or self._foreign_first()).split()))

    def _foreign_first(self) -> str:
        """The first commits of the remote's default branch, fetched aside without any file."""
        doing = "comparing the first commits"
        self.run(doing, "init", "--quiet", "--bare", "--", str(self.scratch))
        self.run(doing, "fetch", "--quiet", "--no-tags", "--filter=tree:0", "--", self.url, "HEAD", folder=self.scratch)
        return self.run(doing, "rev_list", "--max-parents=0", "FETCH_HEAD", folder=self.scratch)

    def set_origin(self) -> None:
        """Make the address the remote `origin`, and its branch the one that ours follows."""
        doing = "setting the remote origin"
        git = git_in(self.local.project)
        if not self.local.origin:
            self.run(doing, "remote", "add", "--", "origin", self.url)
        elif self.local.origin != self.url:
            self.run(doing, "config", "remote.origin.url", self.url)
        branch = f"branch.{self.local.branch}"
        if not git.config("--get", f"{branch}.remote", with_exceptions=False):
            self.run(doing, "config", f"{branch}.remote", "origin")
            self.run(doing, "config", f"{branch}.merge", f"refs/heads/{self.local.branch}")

    def fetch(self) -> None:
        """Learn what the remote's branches are, so that `git status` knows."""
        self.run("fetching what is there", "fetch", "--quiet", "origin")

    def push(self) -> None:
        """Push the branch, never by force. `Git.push` raises where `Remote.push` would not."""
        ref = f"refs/heads/{self.local.branch}"
        self.run(f"pushing {self.local.branch}", "push", "--porcelain", "origin", f"{ref}:{ref}")


@contextlib.contextmanager
def wire(client: Client, local: Local, url: str) -> Iterator[Wire]:
    """git that can reach the remote repository."""
    with credentials(client, local.git_dir) as found:
        yield Wire(client, local, url, found)


@contextlib.contextmanager
def credentials(client: Client, git_dir: Path) -> Iterator[dict[str, str]]:
    """What git finds in its environment while it may show the token, to the forge's own address only.

    The helper that git asks lies in a private folder for that long.
    """
    with contextlib.ExitStack() as stack:
        for parent in (None, git_dir):  # a hardened /tmp runs no programs
            made = tempfile.TemporaryDirectory(prefix="releaselib-", dir=parent)
            folder = Path(stack.enter_context(made))
            askpass = folder / "askpass"
            askpass.write_text(ASKPASS)
            askpass.chmod(0o700)
            if os.access(askpass, os.X_OK):
                break
        yield environment(client.target, client.dialect.git_user, client.token, askpass, os.environ)

"""Repository creation on GitLab and GitHub, the first push, and releases there.

``create_repository`` reads top to bottom as what it does. It never forces a push, never sends a
creating request twice and never refuses work that is done: run again at any time, it goes on where
the last run ended. Plain `requests`; git (GitPython) is imported only where it is pushed.
"""

import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from releaselib.errors import ForgeFailed, Refused
from releaselib.forge import local, push
from releaselib.forge.ci import set_up_ci
from releaselib.forge.client import PATIENCE, Client, Patience, Say, Unclear, sign_in, tell
from releaselib.forge.releases import make_release, notes_from_changelog
from releaselib.forge.rest import Answer, Repository, Variable, words
from releaselib.forge.target import COMMAND, TITLES, TOKENS, Target, Token, accounted, find_token

__all__ = [
    "COMMAND",
    "TITLES",
    "TOKENS",
    "Outcome",
    "Patience",
    "Target",
    "Token",
    "Variable",
    "create_repository",
    "find_token",
    "git_credentials",
    "make_release",
    "notes_from_changelog",
    "plan",
    "set_up_ci",
]

TAKEN = "says that the name is taken, by something that it does not show to the owner of the token"
OPENNESS = ("private", "internal", "public")


@dataclass(frozen=True)
class Outcome:
    """What is there now. ``state``: created (now), adopted (was empty) or done (before)."""

    state: str
    web_url: str
    remote: str
    branch: str
    commit: str


@dataclass
class Account:
    """What is there and what is not, for whoever reads an error."""

    forge: str = "nothing was created"
    here: str = "nothing was changed"

    def lines(self) -> list[str]:
        """The account in words."""
        return [f"on the forge: {self.forge}", f"here: {self.here}"]


def plan(target: Target, branch: str, *, ssh: bool = False) -> list[str]:
    """What :func:`create_repository` will do, in words. Pure."""
    path = target.path if target.namespace else f"{target.name} (in your own namespace)"
    return [
        f"{target.title}:",
        f"  check the token in {target.token_variable} and whose it is",
        f"  create the {target.visibility} repository {path}, if it is not there",
        f"  make it the remote origin ({'ssh' if ssh else 'https'}) and push {branch}",
        *(["  careful: http:// sends the token unencrypted"] * target.url.startswith("http://")),
    ]


def create_repository(
    project: Path, target: Target, token: Token, *, ssh: bool = False, say: Say = tell, patience: Patience = PATIENCE
) -> Outcome:
    """Create the repository of a project on its forge and push the first commit.

    An empty repository that is there is adopted, one that began with the same commit counts as
    done, any other is refused untouched.
    """
    account = Account()
    with accounted(account.lines):
        own = local.read(project)
        account.here = (
            "the project and its commit are complete; the remote origin was not touched and nothing was pushed"
        )
        for line in plan(target, own.branch, ssh=ssh):
            say(line)
        client, login = _check_token(target, token, patience, own)
        say(f"the token is {login}'s")
        owner = _owner(client, login)
        found = _look(client)
        local.address(own, client.target, found.ssh_url if found else "", ssh=ssh and bool(found))
        if found:
            account.forge = f"{client.target.web_url} is there; it was left as it is"
        repository = found or _create(client, owner, account)
        state = "adopted" if found else "created"
        say(f"{client.target.web_url} {'is there' if found else 'was created'}")
        return _fill(client, own, repository, state, ssh, account, say)


def git_credentials(project: Path, target: Target, token: Token) -> AbstractContextManager[dict[str, str]]:
    """Environment for the project's git in which it can show the token to the forge, while in ``with``."""
    git_dir = local.git_in(project).rev_parse("--absolute-git-dir")
    return push.credentials(Client(target, token, PATIENCE), Path(git_dir))


def _check_token(target: Target, token: Token, patience: Patience, own: local.Local) -> tuple[Client, str]:
    """Whose token it is, and whether it is one that may create, as far as the forge says so."""
    client, who = sign_in(target, token, patience)
    speech = client.dialect
    about = client.ask_quietly(speech.about_token)
    granted = client.read(lambda _: speech.granted(who, about), who, "asking what the token may do")
    needed = speech.needed(workflows=(own.project / ".github" / "workflows").is_dir())
    lacking = [" or ".join(sorted(scopes)) for scopes in needed if not granted & scopes]
    if granted and lacking:
        raise ForgeFailed(
            f"{target.title}: the token has the scopes {', '.join(sorted(granted))}, "
            f"but {' and '.join(lacking)} is needed: put another one into {target.token_variable}"
        )
    return client, speech.login(who.data)


def _owner(client: Client, login: str) -> object:
    """The namespace as the forge describes it; None for GitHub's user himself."""
    doing = f"looking for the namespace {client.target.namespace}"
    request = client.dialect.owner(login)
    if request is None:
        return None
    answer = client.expect(request, (200,), doing)
    path = client.read(client.dialect.owner_path, answer, doing)
    if path.lower() != client.target.namespace.lower():
        raise ForgeFailed(f"{client.target.title} has no namespace {client.target.namespace}")
    return answer.data


def _look(client: Client) -> Repository | None:
    """The repository, if it is there for this token; refused if it is not fit to be pushed to."""
    doing = f"looking for {client.target.path}"
    answer = client.expect(client.dialect.look(), (200, 404), doing)
    if answer.status == 404:
        return None
    return _fit(client, answer, doing)


def _fit(client: Client, answer: Answer, doing: str) -> Repository:
    found = client.read(client.dialect.repository, answer, doing)
    if found.path.lower() != client.target.path.lower():
        raise Refused(f"{client.target.path} is {words(found.path)} now: correct the namespace")
    if found.closed:
        raise Refused(f"{client.target.web_url} is {found.closed}: reopen it, or take another name")
    return found


def _create(client: Client, owner: object, account: Account) -> Repository:
    """Exactly one POST. When its outcome is unclear, the forge is asked what there is."""
    doing = f"creating {client.target.path}"
    try:
        answer = client.ask(client.dialect.create(owner), doing)
        if answer.status < 300:
            return _fit(client, answer, doing)
    except Unclear as error:
        account.forge = "it is not known whether the repository was created"
        return _look_again(client, error, account)
    if "already" not in words(answer.data):
        client.refuse(answer, doing)
    return _look(client) or client.refuse(answer, doing, TAKEN)


def _look_again(client: Client, unclear: Unclear, account: Account) -> Repository:
    last: Unclear = unclear
    for pause in client.patience.pauses:
        time.sleep(pause)
        try:
            found = _look(client)
        except Unclear as error:
            last = error
            continue
        if found:
            return found
        account.forge = "the repository is not there (it may still appear)"
    raise last


def _fill(
    client: Client, own: local.Local, repository: Repository, state: str, ssh: bool, account: Account, say: Say
) -> Outcome:
    """Set the remote and push, if what is there allows it."""
    target = client.target
    account.forge = f"{target.web_url} is there" + (", empty" if state == "created" else "")
    url = local.address(own, target, repository.ssh_url, ssh=ssh)
    with push.wire(client, own, url) as wire:
        remote = wire.remote()
        if remote.empty:
            _check_openness(target, repository)
        elif not wire.same_first_commit(remote):
            raise Refused(
                f"{target.web_url} holds something else than this project (its first "
                "commit is another); it was left as it is: choose another name"
            )
        wire.set_origin()
        account.here = (
            f"the project and its commit are complete; the remote origin is {url}; {own.branch} is not pushed"
        )
        if remote.empty:
            wire.push()
            say(f"{own.branch} was pushed")
        else:
            state = "done"
            wire.fetch()
            say(f"{own.branch} was pushed before: nothing to do")
    return Outcome(state, target.web_url, url, own.branch, own.head)


def _check_openness(target: Target, repository: Repository) -> None:
    if repository.visibility not in OPENNESS[: OPENNESS.index(target.visibility) + 1]:
        raise Refused(
            f"{target.web_url} is {words(repository.visibility)}, and "
            f"{target.visibility} was asked for: change the one or the other"
        )

"""Repositories are created on stand-ins for both forges, with everything going wrong that can."""

from __future__ import annotations

import base64
import logging
import os
import pickle
import shutil
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for the stand-ins beside this file

from forges import KINDS, GitHub, GitLab, Recorded, StandIn, complaints, missing
from forges.github import limited
from releaselib.errors import ConfigError, ForgeFailed, Refused, ReleaseError
from releaselib.forge import (
    Outcome,
    Patience,
    Target,
    Token,
    Variable,
    create_repository,
    find_token,
    make_release,
    notes_from_changelog,
    plan,
    set_up_ci,
)
from releaselib.forge.client import PATIENCE, Client, limit_ends
from releaselib.forge.local import same_repository
from releaselib.forge.push import ASKPASS, environment
from releaselib.forge.rest import words

QUICK = Patience(connect=2, read=2, pauses=(0, 0, 0))
HASTY = Patience(connect=2, read=0.2, pauses=(0, 0, 0))
CREATE = {"gitlab": r"/projects$", "github": r"/orgs/team/repos$"}
LOOK = {"gitlab": r"/projects/team%2Fshop$", "github": r"/repos/team/shop$"}
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
TRUST = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO")

needs_descriptions = pytest.mark.skipif(bool(missing()), reason=missing() or "-")


@pytest.fixture(autouse=True)
def _plain_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text("[user]\nname = Maria\nemail = maria@example.com\n[credential]\nhelper = store\n")
    (home / ".netrc").write_text("machine 127.0.0.1 login eve password wrong\n")
    (home / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for name in (*PROXIES, *map(str.upper, PROXIES), *TRUST, "GITLAB_TOKEN", "GITHUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return new_project(tmp_path_factory.mktemp("made") / "shop")


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "shop"))


@pytest.fixture(params=KINDS)
def forge(request: pytest.FixtureRequest) -> Iterator[StandIn]:
    with KINDS[request.param]() as running:
        yield running


@pytest.fixture
def gitlab() -> Iterator[StandIn]:
    with GitLab() as running:
        yield running


@pytest.fixture
def github() -> Iterator[StandIn]:
    with GitHub() as running:
        yield running


def git(folder: Path, *args: str) -> str:
    who = ("-c", "user.name=Maria", "-c", "user.email=maria@example.com")
    done = subprocess.run(["git", "-C", str(folder), *who, *args], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit(folder: Path, text: str) -> str:
    (folder / "README.md").write_text(text)
    git(folder, "add", ".")
    git(folder, "commit", "-qm", text)
    return git(folder, "rev-parse", "HEAD")


def new_project(folder: Path, text: str = "first commit") -> Path:
    folder.mkdir()
    git(folder, "init", "-q", "--template=", "-b", "main")
    commit(folder, text)
    return folder


def kind_of(forge: StandIn) -> str:
    return type(forge).__name__.lower()


def target(forge: StandIn, **other: str) -> Target:
    given = {"namespace": "team", "name": "shop", "url": forge.url, **other}
    return Target(kind_of(forge), **given)


def create(
    project: Path,
    forge: StandIn,
    *,
    ssh: bool = False,
    patience: Patience = QUICK,
    say: Callable[[str], object] = lambda line: None,
    **other: str,
) -> Outcome:
    return create_repository(project, target(forge, **other), Token(forge.token), ssh=ssh, say=say, patience=patience)


def assert_pushed(project: Path, forge: StandIn, path: str = "team/shop") -> None:
    assert forge.head(path) == git(project, "rev-parse", "HEAD")
    assert git(project, "config", "remote.origin.url") == f"{forge.url}/{path}.git"
    assert git(project, "rev-parse", "--abbrev-ref", "main@{push}") == "origin/main"


def decoded(header: str) -> str:
    return base64.b64decode(header.partition(" ")[2]).decode()


def assert_complete(project: Path) -> None:
    assert git(project, "status", "--porcelain") == ""
    assert git(project, "log", "--format=%s") == "first commit"


# ------------------------------------------------------------------ creating and pushing


def test_a_repository_is_created_and_the_first_commit_pushed(project: Path, forge: StandIn) -> None:
    outcome = create(project, forge, description="Sells\n things")

    assert outcome.state == "created"
    assert outcome.web_url == f"{forge.url}/team/shop"
    assert_pushed(project, forge)
    made = forge.projects["team/shop"]
    assert (made.visibility, made.description) == ("private", "Sells things")
    assert len(forge.calls("POST")) == 1


def test_it_is_said_what_will_be_done_before_the_forge_is_asked(project: Path, forge: StandIn) -> None:
    said: list[tuple[str, int]] = []
    create(project, forge, say=lambda line: said.append((line, len(forge.requests))))

    before = "\n".join(line for line, requests in said if requests == 0)
    assert "create the private repository team/shop" in before
    assert "push main" in before
    assert "unencrypted" in before


def test_running_again_changes_nothing(project: Path, forge: StandIn) -> None:
    create(project, forge)
    asked = len(forge.requests), len(forge.git_requests)
    again = create(project, forge)

    assert again.state == "done"
    assert not [call for call in forge.requests[asked[0] :] if call.method != "GET"]
    assert not [call for call in forge.git_requests[asked[1] :] if "receive-pack" in call.path]
    assert_pushed(project, forge)


def test_the_namespace_is_the_user_when_none_is_given(project: Path, forge: StandIn) -> None:
    create(project, forge, namespace="")
    assert_pushed(project, forge, "maria/shop")


def test_subgroups_are_namespaces_on_gitlab(project: Path, gitlab: StandIn) -> None:
    create(project, gitlab, namespace="team/web")
    assert_pushed(project, gitlab, "team/web/shop")


@pytest.mark.parametrize("visibility", ["private", "public"])
def test_visibility_is_what_was_asked_for(project: Path, forge: StandIn, visibility: str) -> None:
    create(project, forge, visibility=visibility)
    assert forge.projects["team/shop"].visibility == visibility


def test_an_empty_repository_is_adopted(project: Path, forge: StandIn) -> None:
    forge.add("team/shop")
    assert create(project, forge).state == "adopted"
    assert not forge.calls("POST")
    assert_pushed(project, forge)


def test_a_repository_that_others_have_gone_on_with_counts_as_done(
    project: Path, made: Path, tmp_path: Path, forge: StandIn
) -> None:
    forge.add("team/shop")
    other = Path(shutil.copytree(made, tmp_path / "other"))
    newer = commit(other, "somebody else's work")
    git(other, "push", "-q", str(forge.folder("team/shop")), "main")
    assert create(project, forge).state == "done"
    assert forge.head("team/shop") == newer
    assert git(project, "rev-parse", "origin/main") == newer


def test_a_repository_that_is_behind_counts_as_done(project: Path, forge: StandIn) -> None:
    create(project, forge)
    first = forge.head("team/shop")
    commit(project, "more work")
    assert create(project, forge).state == "done"
    assert forge.head("team/shop") == first


def test_a_repository_with_another_first_commit_is_refused_untouched(
    project: Path, tmp_path: Path, forge: StandIn
) -> None:
    forge.add("team/shop")
    theirs = new_project(tmp_path / "theirs", "something else")
    git(theirs, "push", "-q", str(forge.folder("team/shop")), "main")

    objects = git(project, "count-objects", "-v")
    with pytest.raises(Refused, match="another"):
        create(project, forge)
    assert forge.head("team/shop") == git(theirs, "rev-parse", "HEAD")
    assert not forge.calls("POST")
    assert git(project, "remote") == ""
    assert git(project, "count-objects", "-v") == objects


def test_a_repository_without_a_commit_on_its_default_branch_is_refused(
    project: Path, tmp_path: Path, forge: StandIn
) -> None:
    forge.add("team/shop")
    theirs = new_project(tmp_path / "theirs", "something else")
    git(theirs, "push", "-q", str(forge.folder("team/shop")), "main:elsewhere")
    with pytest.raises(Refused, match="another"):
        create(project, forge)
    assert forge.head("team/shop", "refs/heads/main") == ""


def test_nothing_private_is_pushed_to_a_repository_that_is_public(project: Path, forge: StandIn) -> None:
    forge.add("team/shop", visibility="public")
    with pytest.raises(Refused, match="is public, and private was asked for"):
        create(project, forge)
    assert forge.head("team/shop") == ""


@pytest.mark.parametrize("closed", ["archived", "doomed"])
def test_a_closed_repository_is_refused(project: Path, gitlab: StandIn, closed: str) -> None:
    setattr(gitlab.add("team/shop"), closed, True)
    with pytest.raises(Refused, match=r"archived|marked for deletion"):
        create(project, gitlab)
    assert not gitlab.git_requests


def test_a_repository_that_has_moved_is_refused(project: Path, gitlab: StandIn) -> None:
    gitlab.projects["team/shop"] = gitlab.add("team/store")
    with pytest.raises(Refused, match="team/store now"):
        create(project, gitlab)


def test_a_name_taken_by_something_invisible_is_said_so(project: Path, forge: StandIn) -> None:
    forge.add("team/shop", hidden=True)
    with pytest.raises(ForgeFailed, match="the name is taken") as failure:
        create(project, forge)
    assert "already" in failure.value.cause
    assert len(forge.calls("POST")) == 1


def test_a_name_that_is_taken_between_look_and_creation_is_adopted(project: Path, forge: StandIn) -> None:
    forge.add("team/shop")
    forge.fault("GET", LOOK[kind_of(forge)], "status", status=404)
    assert create(project, forge).state == "created"
    assert_pushed(project, forge)


def test_an_origin_that_is_another_repository_is_refused_before_anything_is_created(
    project: Path, forge: StandIn
) -> None:
    git(project, "remote", "add", "origin", "https://elsewhere.example/team/shop.git")
    with pytest.raises(Refused, match="origin"):
        create(project, forge)
    assert not forge.calls("POST")
    assert git(project, "remote", "get-url", "origin") == "https://elsewhere.example/team/shop.git"


def test_a_token_in_the_address_of_origin_is_taken_out(project: Path, gitlab: StandIn) -> None:
    address = gitlab.url.replace("://", "://oauth2:old-secret@") + "/team/shop.git"
    git(project, "remote", "add", "origin", address)
    create(project, gitlab)
    assert_pushed(project, gitlab)
    assert "old-secret" not in (project / ".git" / "config").read_text()


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gitlab: StandIn) -> Path:
    """An ssh that goes to the stand-in's repositories; returns where it notes its environment."""
    notes, program = tmp_path / "ssh-environment", tmp_path / "ssh"
    program.write_text(
        f'#!/bin/sh\nenv >>"{notes}"\nfor last; do :; done\ncd "{gitlab.root}" && eval exec git "${{last#git-}}"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("GIT_SSH_COMMAND", str(program))
    monkeypatch.setenv("GIT_SSH_VARIANT", "ssh")
    return notes


def test_ssh_remotes_work_and_get_no_token(project: Path, gitlab: StandIn, ssh: Path) -> None:
    outcome = create(project, gitlab, ssh=True)
    assert outcome.remote == "git@127.0.0.1:team/shop.git"
    assert gitlab.head("team/shop") == outcome.commit
    assert not gitlab.git_requests
    assert gitlab.token not in ssh.read_text()


def test_an_ssh_origin_stays_one_without_the_option(project: Path, gitlab: StandIn, ssh: Path) -> None:
    git(project, "remote", "add", "origin", "git@127.0.0.1:team/shop.git")
    assert create(project, gitlab).remote == "git@127.0.0.1:team/shop.git"
    assert create(project, gitlab).state == "done"
    assert not gitlab.git_requests


@needs_descriptions
def test_every_request_is_one_that_the_official_description_knows(project: Path, forge: StandIn) -> None:
    create(project, forge, description="Sells things")
    git(project, "remote", "remove", "origin")
    create(project, forge, namespace="", name="mine")
    whole_ci(project, forge)
    whole_ci(project, forge)
    release(project, forge)

    assert {call.method for call in forge.requests} >= {"GET", "POST", "PUT"}
    assert complaints(forge) == []


@needs_descriptions
def test_the_description_would_object_to_a_misspelt_key(forge: StandIn, project: Path) -> None:
    create(project, forge)
    post = forge.calls("POST")[0]
    wrong = type(post)(post.method, post.path, post.headers, post.body.replace(b'"descr', b'"discr'))
    without = type(post)(post.method, post.path, {"Content-Type": "application/json"}, post.body)
    assert len(complaints(forge, [wrong])) == 1
    assert len(complaints(forge, [without])) == 1


# ------------------------------------------------------------------ faults


@dataclass(frozen=True)
class Case:
    """A fault at one step, what is said, and what is there afterwards."""

    step: str
    kind: str
    says: str
    there: bool = False
    more: dict[str, Any] = field(default_factory=dict)
    patience: Patience = QUICK


ELSEWHERE = {"Location": "https://user:pw@elsewhere.example/x?private_token=1"}
FAILING = {
    "401": Case("who", "status", "refused the token", more={"status": 401}),
    "403 for the user": Case("who", "status", "does not allow", more={"status": 403}),
    "rate limit with seconds": Case(
        "who", "status", "its limit ends in 90 seconds", more={"status": 429, "headers": {"Retry-After": "90"}}
    ),
    "rate limit with a time": Case(
        "who",
        "status",
        "its limit ends at 2026-11-23 05:00:00 UTC",
        more={"status": 403, "headers": limited(1795410000)},
    ),
    "rate limit without an end": Case("who", "status", "time that it does not tell", more={"status": 429}),
    "500": Case("who", "status", "has trouble itself", more={"status": 500}),
    "reset": Case("who", "reset before", "reset by peer"),
    "a page instead of an answer": Case("who", "html", "no usable answer"),
    "an answer of another shape": Case(
        "who", "status", "no answer of its interface", more={"status": 200, "body": [1]}
    ),
    "cut off": Case("who", "cut off", "no usable answer"),
    "hanging": Case("who", "hang", "Read timed out", patience=HASTY),
    "redirect": Case(
        "who", "status", "redirect to https://elsewhere.example/x, which", more={"status": 302, "headers": ELSEWHERE}
    ),
    "redirect with a page": Case(
        "who", "status", "redirect to", more={"status": 301, "headers": ELSEWHERE, "body": b"<html>"}
    ),
    "look 500": Case("look", "status", "has trouble itself", more={"status": 502}),
    "look redirect": Case("look", "status", "redirect", more={"status": 301, "headers": ELSEWHERE}),
    "create 401": Case("create", "status", "refused the token", more={"status": 401}),
    "create 403": Case("create", "status", "does not allow", more={"status": 403}),
    "create 404": Case("create", "status", "knows nothing there", more={"status": 404}),
    "create 422": Case("create", "status", "would not accept", more={"status": 422}),
    "create rate limit": Case("create", "status", "its limit ends", more={"status": 429}),
    "create redirect": Case("create", "status", "redirect", more={"status": 307, "headers": ELSEWHERE}),
    "create 503, not done": Case("create", "status", "has trouble itself", more={"status": 503}),
    "create reset before": Case("create", "reset before", "reset by peer"),
    "create hanging": Case("create", "hang", "Read timed out", patience=HASTY),
    "push 403": Case("push", "status", "git failed", there=True, more={"status": 403}),
    "push 500": Case("push", "status", "git failed", there=True, more={"status": 500}),
    "push reset": Case("push", "reset before", "git failed", there=True, more={"times": 9}),
    "git 401": Case(
        "refs",
        "status",
        "Authentication failed",
        there=True,
        more={"status": 401, "times": 9, "headers": {"WWW-Authenticate": 'Digest realm="x"'}},
    ),
    "git 404": Case("refs", "status", "not found", there=True, more={"status": 404, "times": 2}),
    "git redirect": Case(
        "refs", "status", "git failed", there=True, more={"status": 302, "headers": ELSEWHERE, "times": 2}
    ),
}
SURVIVED = {
    "503, but done": Case("create", "after", "", more={"status": 503}),
    "reset after": Case("create", "reset after", ""),
    "cut off": Case("create", "cut off", ""),
    "hanging, but done": Case("create", "hang after", "", patience=HASTY),
    "a page, but done": Case("create", "after", "", more={"status": 200, "body": "<html>"}),
}


def step_of(forge: StandIn, step: str) -> tuple[str, str]:
    kind = kind_of(forge)
    return {
        "who": ("GET", "/user$"),
        "look": ("GET", LOOK[kind]),
        "create": ("POST", CREATE[kind]),
        "refs": ("GET", "/info/refs"),
        "push": ("POST", "/git-receive-pack"),
    }[step]


@pytest.mark.parametrize("name", FAILING)
def test_a_fault_leaves_a_complete_project_says_what_is_there_and_can_be_gone_on_from(
    project: Path, forge: StandIn, name: str
) -> None:
    case = FAILING[name]
    forge.fault(*step_of(forge, case.step), case.kind, **case.more)

    with pytest.raises(ForgeFailed) as failure:
        create(project, forge, patience=case.patience)

    text = str(failure.value)
    assert case.says in text
    assert "on the forge: " in text
    assert "here: the project and its commit are complete" in text
    assert text.splitlines()[-1] == "next: fab repo.create"
    assert "private_token" not in text
    assert failure.value.exit_code == 7
    assert ("team/shop" in forge.projects) is case.there
    assert_complete(project)
    assert len([call for call in forge.calls("POST") if case.step == "create"]) <= 1
    forge.faults.clear()
    assert create(project, forge).state == ("adopted" if case.there else "created")
    assert_pushed(project, forge)


@pytest.mark.parametrize("name", SURVIVED)
def test_what_was_made_in_spite_of_an_unclear_answer_is_adopted(project: Path, forge: StandIn, name: str) -> None:
    case = SURVIVED[name]
    forge.fault("POST", CREATE[kind_of(forge)], case.kind, **case.more)
    assert create(project, forge, patience=case.patience).state == "created"
    assert len(forge.calls("POST")) == 1
    assert_pushed(project, forge)


def test_the_forge_is_asked_again_while_it_cannot_say_whether_it_created(project: Path, forge: StandIn) -> None:
    forge.fault("POST", CREATE[kind_of(forge)], "reset after")
    forge.fault("GET", LOOK[kind_of(forge)], "status", status=500, nth=2)
    forge.fault("GET", LOOK[kind_of(forge)], "status", status=404, nth=3)
    assert create(project, forge).state == "created"
    assert len(forge.calls("POST")) == 1


def test_it_is_said_when_nobody_knows_whether_it_was_created(project: Path, forge: StandIn) -> None:
    forge.fault("POST", CREATE[kind_of(forge)], "reset after")
    forge.fault("GET", LOOK[kind_of(forge)], "reset before", nth=2, times=99)
    with pytest.raises(ForgeFailed, match="it is not known whether the repository was created"):
        create(project, forge)
    forge.faults.clear()
    assert create(project, forge).state == "adopted"
    assert len(forge.calls("POST")) == 1


@pytest.mark.parametrize("kind", ["reset after", "cut off"])
def test_a_push_whose_answer_is_lost_counts_as_done_the_next_time(project: Path, gitlab: StandIn, kind: str) -> None:
    gitlab.fault("POST", "/git-receive-pack", kind)
    with pytest.raises(ForgeFailed, match="git failed"):
        create(project, gitlab)
    assert create(project, gitlab).state == "done"
    assert_pushed(project, gitlab)


def test_a_push_that_the_forge_rejects_is_an_error(project: Path, gitlab: StandIn) -> None:
    gitlab.add("team/shop")
    hook = gitlab.folder("team/shop") / "hooks" / "pre-receive"
    hook.parent.mkdir()
    hook.write_text("#!/bin/sh\necho 'GitLab: not allowed on a Sunday' >&2\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(ForgeFailed, match="not allowed on a Sunday") as failure:
        create(project, gitlab)
    assert "main is not pushed" in str(failure.value)
    hook.unlink()
    assert create(project, gitlab).state == "adopted"


def test_what_somebody_pushes_at_the_same_moment_is_not_overwritten(
    project: Path, tmp_path: Path, forge: StandIn
) -> None:
    theirs = new_project(tmp_path / "theirs", "something else")

    def be_faster(request: Recorded) -> None:
        if "service=git-receive-pack" in request.path:
            git(theirs, "push", "-q", str(forge.folder("team/shop")), "main")

    forge.before_each = be_faster
    with pytest.raises(ForgeFailed, match="main is not pushed"):
        create(project, forge)
    assert forge.head("team/shop") == git(theirs, "rev-parse", "HEAD")
    with pytest.raises(Refused, match="another"):
        create(project, forge)


def test_a_hanging_push_ends(project: Path, gitlab: StandIn) -> None:
    gitlab.fault("POST", "/git-receive-pack", "hang")
    with pytest.raises(ForgeFailed, match="while pushing main") as failure:
        create(project, gitlab, patience=Patience(connect=2, read=1, pauses=(0,)))
    assert "too slow" in failure.value.cause
    assert_complete(project)
    assert create(project, gitlab).state == "adopted"


def test_a_hanging_ssh_ends(project: Path, gitlab: StandIn, ssh: Path) -> None:
    program = ssh.parent / "ssh"
    program.write_text("#!/bin/sh\nexec tail -f /dev/null\n")
    with pytest.raises(ForgeFailed, match="did not complete in"):
        create(project, gitlab, ssh=True, patience=Patience(connect=2, read=0.05, pauses=(0,)))
    assert "team/shop" in gitlab.projects
    assert_complete(project)


def test_a_namespace_that_is_not_there_is_said_so(project: Path, forge: StandIn) -> None:
    with pytest.raises(ForgeFailed, match="namespace strangers"):
        create(project, forge, namespace="strangers")
    assert not forge.calls("POST")


def test_a_namespace_where_the_token_may_not_create_is_said_so(project: Path, forge: StandIn) -> None:
    forge.forbidden.add("team")
    with pytest.raises(ForgeFailed, match="does not allow"):
        create(project, forge)
    assert forge.projects == {}


def test_a_name_that_the_forge_will_not_accept_is_said_in_its_own_words(project: Path, forge: StandIn) -> None:
    with pytest.raises(ForgeFailed, match=r"can contain only|not allowed"):
        create(project, forge, name="bad-name")


@pytest.mark.parametrize(("kind", "scopes"), [("gitlab", ["read_api"]), ("github", ["gist", "read:org"])])
def test_a_token_that_may_not_create_is_found_out_before_anything_is_created(
    project: Path, kind: str, scopes: list[str]
) -> None:
    with KINDS[kind]() as forge:
        forge.scopes = scopes
        with pytest.raises(ForgeFailed, match=f"has the scopes {scopes[0]}"):
            create(project, forge)
        assert not forge.calls("POST")
        forge.scopes = ["api", "repo"]
        assert create(project, forge).state == "created"


def test_workflow_files_need_a_scope_of_their_own_on_github(project: Path, github: StandIn) -> None:
    (project / ".github" / "workflows").mkdir(parents=True)
    github.scopes = ["repo"]
    with pytest.raises(ForgeFailed, match="but workflow is needed"):
        create(project, github)
    github.scopes = ["repo", "workflow"]
    assert create(project, github).state == "created"


def test_a_wrong_token_is_refused_by_the_forge(project: Path, forge: StandIn) -> None:
    with pytest.raises(ForgeFailed, match=rf"put a good one into {kind_of(forge).upper()}_TOKEN"):
        create_repository(project, target(forge), Token("wrong"), say=print, patience=QUICK)
    assert_complete(project)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "https://127.0.0.1:1", "http://forge.invalid"])
def test_no_network_is_an_error_in_words(project: Path, url: str) -> None:
    with pytest.raises(ForgeFailed, match="no usable answer") as failure:
        create_repository(project, Target("gitlab", "shop", "team", url), Token("t"), say=print, patience=QUICK)
    assert "nothing was created" in str(failure.value)
    assert_complete(project)


def test_no_git_is_refused_before_anything_is_asked(
    project: Path, gitlab: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as context:
        context.setenv("PATH", "/nowhere")
        with pytest.raises(Refused, match="git is not installed"):
            create(project, gitlab)
    assert not gitlab.requests
    assert_complete(project)


def test_no_gitpython_is_refused_before_anything_is_asked(
    project: Path, gitlab: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "git", None)
    with pytest.raises(Refused, match="GitPython is not installed"):
        create(project, gitlab)
    assert not gitlab.requests


def test_a_folder_that_nothing_could_be_pushed_from_is_refused(project: Path, tmp_path: Path, gitlab: StandIn) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    (project / "inside").mkdir()
    for folder, why in ((bare, "no git repository"), (project / "inside", "inside another")):
        with pytest.raises(Refused, match=why):
            create(folder, gitlab)
    git(bare, "init", "-q")
    with pytest.raises(Refused, match="no commit yet"):
        create(bare, gitlab)
    git(project, "checkout", "-q", "--detach")
    with pytest.raises(Refused, match="on no branch"):
        create(project, gitlab)
    assert not gitlab.requests


def test_a_folder_that_is_not_there_is_not_mistaken_for_the_current_one(
    project: Path, gitlab: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    with pytest.raises(Refused, match="there is no folder"):
        create(project / "typo", gitlab)
    monkeypatch.setenv("GIT_DIR", str(project / ".git"))
    with pytest.raises(Refused, match="GIT_DIR is set"):
        create(project, gitlab)
    assert not gitlab.requests


def test_no_token_is_refused_with_the_name_of_the_variable() -> None:
    with pytest.raises(Refused, match="GITHUB_TOKEN is not set") as refusal:
        find_token("github", {"GITHUB_TOKEN": " "})
    assert refusal.value.next_step.endswith("fab repo.create")
    assert find_token("gitlab", {"GITLAB_TOKEN": "abc\n"}).reveal() == "abc"


# ------------------------------------------------------------------ redirects, proxies, certificates


def test_no_redirect_takes_the_token_elsewhere(project: Path, forge: StandIn) -> None:
    with GitLab() as elsewhere:
        for method, path in (("GET", "/user$"), ("POST", CREATE[kind_of(forge)]), ("GET", "/info/refs")):
            forge.fault(method, path, "status", status=307, headers={"Location": elsewhere.url + "/x"}, times=2)
            with pytest.raises(ForgeFailed):
                create(project, forge)
            forge.faults.clear()
        assert elsewhere.requests + elsewhere.git_requests == []


def test_git_shows_the_token_to_no_other_server(project: Path, gitlab: StandIn) -> None:
    with GitLab() as elsewhere:
        git(project, "config", f"url.{elsewhere.url}.insteadOf", gitlab.url)
        with pytest.raises(ForgeFailed, match="git failed"):
            create(project, gitlab)
        assert elsewhere.git_requests
        shown = [call.headers.get("Authorization", " ") for call in elsewhere.git_requests]
        assert not [header for header in shown if gitlab.token in decoded(header)]


def test_git_asks_nobody_at_a_terminal(project: Path, gitlab: StandIn) -> None:
    """A helper that fails lets git turn to the terminal, where it would wait for ever."""
    code = (
        "import sys; from pathlib import Path; from releaselib.forge import *\n"
        "create_repository(Path(sys.argv[1]), Target('gitlab', 'shop', 'team', sys.argv[2]),"
        "                  Token(sys.argv[3]))"
    )
    terminal, other_end = os.openpty()
    with GitLab() as elsewhere:
        git(project, "config", f"url.{elsewhere.url}.insteadOf", gitlab.url)
        command = [sys.executable, "-c", code, str(project), gitlab.url, gitlab.token]
        done = subprocess.run(
            ["setsid", "--ctty", "--wait", *command],
            stdin=other_end,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    os.close(terminal)
    os.close(other_end)
    assert "git failed" in done.stderr


def test_no_credential_helper_learns_the_token(project: Path, tmp_path: Path, gitlab: StandIn) -> None:
    store = tmp_path / "stored"
    git(project, "config", f"credential.{gitlab.url}.helper", f"store --file={store}")
    git(project, "config", f"credential.{gitlab.url}.username", "maria")
    gitlab.auth_user = "maria"
    create(project, gitlab)
    assert not store.exists()
    assert not (tmp_path / "home" / ".git-credentials").exists()


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Username for 'https://git.example': ", "oauth2\n"),
        ("Username for 'https://git.example/team/shop.git': ", "oauth2\n"),
        ("Password for 'https://oauth2@git.example': ", "secret\n"),
        ("Password for 'https://maria@git.example': ", "secret\n"),
        ("Password for 'https://oauth2@git.example/team/shop.git': ", "secret\n"),
        ("Password for 'https://u@evil.example/@git.example': ", ""),
        ("Password for 'https://u@evil.example/@git.example/': ", ""),
        ("Password for 'https://u@git.example.evil/@git.example': ", ""),
        ("Password for 'https://oauth2@git.example.evil.example': ", ""),
        ("Password for 'https://git.example@evil.example': ", ""),
        ("Password for 'http://oauth2@git.example': ", ""),
        ("Username for 'https://git.example:444': ", ""),
        ("Enter passphrase for key: ", ""),
    ],
)
def test_askpass_answers_questions_about_one_server_only(tmp_path: Path, question: str, answer: str) -> None:
    askpass = tmp_path / "askpass"
    askpass.write_text(ASKPASS)
    given = environment(Target("gitlab", "shop", "team", "https://git.example"), "oauth2", Token("secret"), askpass, {})
    done = subprocess.run(
        ["sh", str(askpass), question], env={**os.environ, **given}, text=True, capture_output=True, check=False
    )
    assert (done.stdout, done.returncode) == (answer, 0 if answer else 1)


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY"])
def test_proxies_are_honoured_by_requests_and_by_git(
    project: Path, gitlab: StandIn, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, gitlab.url)
    create(project, gitlab, url="http://forge.invalid")
    assert gitlab.head("team/shop") == git(project, "rev-parse", "HEAD")
    assert all(call.path.startswith("http://forge.invalid/") for call in gitlab.requests)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 by an authority of one's own, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    crt, key = folder / "crt.pem", folder / "key.pem"
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=forge",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-out",
            str(crt),
            "-keyout",
            str(key),
        ],
        check=True,
        capture_output=True,
    )
    return crt, key


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "GIT_SSL_CAINFO"])
def test_a_private_certificate_authority_is_trusted_when_it_is_named(
    project: Path, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    with GitLab(certificate) as forge:
        with pytest.raises(ForgeFailed, match="certificate verify failed"):
            create(project, forge)
        monkeypatch.setenv(variable, str(certificate[0]))
        assert create(project, forge).state == "created"
        assert_pushed(project, forge)


# ------------------------------------------------------------------ the token shows nowhere


def processes_with(text: str, where: str) -> dict[str, str]:
    """The running programs that have a text in their command line (or environment)."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if text.encode() in (folder / where).read_bytes():
                found[folder.name] = (folder / "comm").read_text().strip()
        except OSError:
            continue
    return found


class Watch:
    """Looks at all processes, over and over, until told to stop."""

    def __init__(self, secret: str, folder: Path) -> None:
        self.secret = secret
        self.folder = folder
        self.command_lines: dict[str, str] = {}
        self.environments: dict[str, str] = {}
        self.files: set[str] = set()
        self.rounds = 0
        self.turn = threading.Condition()
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Watch:
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.over.set()
        self.thread.join()

    def _look(self) -> None:
        while not self.over.is_set():
            self.command_lines |= processes_with(self.secret, "cmdline")
            self.environments |= processes_with(self.secret, "environ")
            self.files |= set(files_with(self.folder, self.secret))
            with self.turn:
                self.rounds += 1
                self.turn.notify_all()

    def whole_round(self) -> None:
        """Wait until everything was looked at once more from now on."""
        with self.turn:
            until = self.rounds + 2
            assert self.turn.wait_for(lambda: self.rounds >= until, timeout=60)


def files_with(folder: Path, text: str) -> list[str]:
    """The files that hold a text, as it is or as git encodes it for HTTP."""
    basic = base64.b64encode(f"oauth2:{text}".encode()).rstrip(b"=")
    found = []
    # os.walk, unlike rglob, passes over a folder that goes away meanwhile
    paths = [Path(parent, name) for parent, _, names in os.walk(folder) for name in names]
    for path in paths:
        try:
            content = path.read_bytes() if path.is_file() else b""
        except OSError:
            continue
        if text.encode() in content or basic[:-2] in content:
            found.append(str(path))
    return found


WHOLE = """
import logging, sys, traceback
from pathlib import Path
logging.basicConfig(level=logging.DEBUG, filename=sys.argv[4])
from releaselib.errors import ReleaseError
from releaselib.forge import Target, create_repository, find_token
target = Target("gitlab", "shop", "team", sys.argv[2])
for n in (1, 2, 3):
    try:
        print(create_repository(Path(sys.argv[1]), target, find_token("gitlab")))
    except ReleaseError as error:
        whole = traceback.TracebackException.from_exception(error, capture_locals=True)
        print(*whole.format(), repr(error), vars(error), sep="\\n")
"""


def test_the_token_is_in_no_command_line_file_log_or_traceback(project: Path, tmp_path: Path, gitlab: StandIn) -> None:
    work = tmp_path / "work"
    work.mkdir()
    surroundings = {
        **os.environ,
        "GITLAB_TOKEN": gitlab.token,
        "TMPDIR": str(work),
        "GIT_TRACE_CURL": str(work / "curl"),
        "GIT_TRACE": str(work / "git"),
        "GIT_TRACE_REDACT": "0",
        "GIT_TRACE2_EVENT": str(work / "events"),
    }
    gitlab.fault("POST", "/projects$", "cut off")
    gitlab.fault("POST", "/git-receive-pack", "status", status=403)
    with Watch(gitlab.token, tmp_path) as watch:
        gitlab.before_each = lambda request: watch.whole_round()
        done = subprocess.run(
            [sys.executable, "-c", WHOLE, str(project), gitlab.url, "-", str(work / "log")],
            env=surroundings,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
            start_new_session=True,
        )

    assert done.stdout.count("Outcome(state=") == 2, done.stdout + done.stderr
    assert "Traceback" in done.stdout
    assert "token = Token(***)" in done.stdout
    assert_pushed(project, gitlab)
    assert watch.command_lines == {}
    assert set(watch.environments.values()) <= {
        "python",
        Path(sys.executable).resolve().name,
        "git",
        "git-remote-http",
        "askpass",
        "sh",
    }
    assert "git-remote-http" in watch.environments.values()
    assert "Authorization" in (work / "curl").read_text()
    assert watch.files == set()
    assert files_with(tmp_path, gitlab.token) == []
    assert gitlab.token not in done.stdout + done.stderr
    assert not list(work.glob("releaselib-*"))


def test_the_watch_would_see_a_token(tmp_path: Path) -> None:
    planted = "planted-4711-0815"
    with (
        Watch(planted, tmp_path) as watch,
        subprocess.Popen(["cat", "-", planted], stdin=subprocess.PIPE) as seen,
        subprocess.Popen(["cat"], stdin=subprocess.PIPE, env={"X": planted}) as known,
    ):
        (tmp_path / "config").write_text(f"url = https://{planted}@host")
        watch.whole_round()
        assert str(seen.pid) in watch.command_lines
        assert str(known.pid) in watch.environments
        assert watch.files == {str(tmp_path / "config")}
        seen.communicate()
        known.communicate()


@pytest.mark.parametrize("kind", ["hang", "reset before", "cut off", "status"])
def test_no_error_holds_the_token_however_deep_one_looks(
    project: Path, forge: StandIn, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    forge.fault("GET", "/user$", kind, status=500, body={"message": f"you sent {forge.token}"})
    with pytest.raises(ReleaseError) as failure:
        create(project, forge, patience=HASTY)
    error: BaseException | None = failure.value
    shown = caplog.text
    while error:
        assert isinstance(error, ReleaseError)
        shown += "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
        shown += repr(error) + str(error) + repr(vars(error))
        error = error.__cause__ or error.__context__
    own = [line for line in shown.splitlines() if "StandIn" not in line]
    assert forge.token not in "\n".join(own)


def test_a_token_shows_itself_to_nobody() -> None:
    token = Token("abc")
    assert "abc" not in f"{token} {token!r} {[token]}"
    assert token.mask("x abc y") == "x *** y"
    with pytest.raises(TypeError):
        pickle.dumps(token)
    for bad in ("", "a b", "a\nb", "tökén"):
        with pytest.raises(Refused) as refusal:
            Token(bad)
        assert not bad or bad not in str(refusal.value)


# ------------------------------------------------------------------ CI and releases


PASSWORD = Variable("TWINE_PASSWORD", "hunter2hunter2")
INDEX = Variable("INDEX_URL", "http://index.internal:8080/", secret=False)


def whole_ci(project: Path, forge: StandIn, *variables: Variable) -> list[str]:
    said: list[str] = []
    set_up_ci(
        target(forge), Token(forge.token), variables or (PASSWORD, INDEX), "main", say=said.append, patience=QUICK
    )
    return said


def test_ci_gets_its_variables_and_a_protected_branch(project: Path, forge: StandIn) -> None:
    create(project, forge)
    said = whole_ci(project, forge)
    variables = forge.projects["team/shop"].variables
    assert {name: variable["value"] for name, variable in variables.items()} == {
        "TWINE_PASSWORD": "hunter2hunter2",
        "INDEX_URL": "http://index.internal:8080/",
    }
    assert list(forge.projects["team/shop"].protected) == ["main"]
    assert "hunter2" not in "\n".join(said) + repr(PASSWORD)
    assert not [call for call in forge.requests if b"force" in call.body and b"true" in call.body]


def test_secrets_are_masked_and_protected_on_gitlab(project: Path, gitlab: StandIn) -> None:
    create(project, gitlab)
    whole_ci(project, gitlab)
    variables = gitlab.projects["team/shop"].variables
    assert variables["TWINE_PASSWORD"]["masked"] is True
    assert all(variable["protected"] for variable in variables.values())


def test_secrets_are_sealed_on_github(project: Path, github: StandIn) -> None:
    create(project, github)
    whole_ci(project, github)
    assert not [call for call in github.requests if b"hunter2" in call.body]
    assert github.projects["team/shop"].variables["TWINE_PASSWORD"]["secret"] is True


def test_ci_can_be_set_up_again_with_other_values(project: Path, forge: StandIn) -> None:
    create(project, forge)
    whole_ci(project, forge)
    rules = dict(forge.projects["team/shop"].protected)
    said = whole_ci(
        project, forge, Variable("TWINE_PASSWORD", "different1"), Variable("INDEX_URL", "http://other/", secret=False)
    )
    variables = forge.projects["team/shop"].variables
    assert variables["TWINE_PASSWORD"]["value"] == "different1"
    assert variables["INDEX_URL"]["value"] == "http://other/"
    assert forge.projects["team/shop"].protected == rules
    assert "left as they are" in said[-1]


def test_an_error_while_ci_is_set_up_says_what_is_done(project: Path, gitlab: StandIn) -> None:
    create(project, gitlab)
    with pytest.raises(ForgeFailed, match="value is invalid") as failure:
        whole_ci(project, gitlab, INDEX, Variable("TWINE_PASSWORD", "short"))
    assert "on the forge: the CI variable INDEX_URL is set" in str(failure.value)
    assert failure.value.next_step == "fab repo.create --ci"


@pytest.mark.parametrize(
    "variable", [Variable("1X", "v"), Variable("A-B", "v"), Variable("GITHUB_X", "v"), Variable("X", "")]
)
def test_variables_that_no_forge_stores_are_refused(gitlab: StandIn, variable: Variable) -> None:
    with pytest.raises(ConfigError):
        set_up_ci(target(gitlab), Token("t"), [variable], "main", say=print)
    assert not gitlab.requests


def release(project: Path, forge: StandIn, tag: str = "2026.11.23.1") -> str:
    git(project, "tag", tag)
    git(project, "push", "-q", str(forge.folder("team/shop")), tag)
    return make_release(target(forge), tag, "- faster", Token(forge.token), say=print, patience=QUICK)


def test_a_release_is_made_once(project: Path, forge: StandIn) -> None:
    create(project, forge)
    page = release(project, forge)
    again = make_release(target(forge), "2026.11.23.1", "- other", Token(forge.token), say=print)
    assert page == again
    assert page.startswith(f"{forge.url}/team/shop/")
    assert "- faster" in forge.projects["team/shop"].releases["2026.11.23.1"].values()


@pytest.mark.parametrize("kind", ["reset after", "cut off", "hang after"])
def test_a_release_whose_answer_is_lost_is_found(project: Path, forge: StandIn, kind: str) -> None:
    create(project, forge)
    forge.fault("POST", "/releases$", kind)
    git(project, "push", "-q", str(forge.folder("team/shop")), "main:refs/tags/1")
    assert make_release(target(forge), "1", "", Token(forge.token), say=print, patience=HASTY)
    assert len(forge.calls("POST", "/releases")) == 1


def test_a_release_that_fails_says_what_is_not_touched(project: Path, forge: StandIn) -> None:
    create(project, forge)
    forge.fault("POST", "/releases$", "status", status=403)
    with pytest.raises(ForgeFailed, match="does not allow") as failure:
        release(project, forge)
    assert "the tag and the packages are as they were" in str(failure.value)
    assert failure.value.next_step == "fab repo.release --version 2026.11.23.1"


CHANGELOG = """# Changelog
## [Unreleased]
- soon

## [1.1.0] - 2026-11-23
### Added
- `x`
```
## [0.9.0] in a fence
[kept]: as it is
```

## v1.0.0
- first

[1.1.0]: https://example.com/compare
"""


@pytest.mark.parametrize(
    ("version", "notes"),
    [
        ("1.1.0", "### Added\n- `x`\n```\n## [0.9.0] in a fence\n[kept]: as it is\n```"),
        ("v1.1.0", "### Added\n- `x`\n```\n## [0.9.0] in a fence\n[kept]: as it is\n```"),
        ("1.0.0", "- first"),
        ("1.1", "- soon"),
        ("unreleased", "- soon"),
    ],
)
def test_notes_come_from_the_section_of_the_version(version: str, notes: str) -> None:
    assert notes_from_changelog(CHANGELOG, version) == notes


def test_there_are_no_notes_without_a_section() -> None:
    assert notes_from_changelog("# Changelog\nnothing yet\n", "1.0.0") == ""
    assert notes_from_changelog("", "1.0.0") == ""


# ------------------------------------------------------------------ pure parts


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "svn"}, "must be one of gitlab, github"),
        ({"url": "https://me:secret@git.example"}, "without user"),
        ({"url": "ftp://git.example"}, "must be an address"),
        ({"url": "https://a b"}, "address"),
        ({"url": "https://git.example/?private_token=secret"}, "without user"),
        ({"name": ""}, "no name"),
        ({"name": "my shop"}, "no name"),
        ({"name": "../x"}, "no name"),
        ({"name": "-x"}, "no name"),
        ({"name": "x.git"}, "no name"),
        ({"name": "x" * 101}, "no name"),
        ({"name": "лавка"}, "no name"),
        ({"namespace": "a/../b"}, "no user"),
        ({"namespace": "a b"}, "no user"),
        ({"namespace": "a//b"}, "no user"),
        ({"kind": "github", "namespace": "a/b"}, "no subgroups"),
        ({"visibility": "secret"}, "must be one of"),
        ({"kind": "github", "visibility": "internal"}, "must be one of"),
    ],
)
def test_a_bad_target_is_refused_in_words(change: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as refusal:
        Target(**{"kind": "gitlab", "name": "shop", "namespace": "team", **change})
    assert "secret@" not in str(refusal.value)
    assert "private_token" not in str(refusal.value)


@pytest.mark.parametrize(
    ("kind", "url", "root", "remote"),
    [
        ("gitlab", "", "https://gitlab.com/api/v4", "https://gitlab.com/team/shop.git"),
        ("gitlab", "https://x.example/git/", "https://x.example/git/api/v4", "https://x.example/git/team/shop.git"),
        ("gitlab", "x.example:8443", "https://x.example:8443/api/v4", "https://x.example:8443/team/shop.git"),
        ("github", "", "https://api.github.com", "https://github.com/team/shop.git"),
        ("github", "https://acme.ghe.com", "https://api.acme.ghe.com", "https://acme.ghe.com/team/shop.git"),
        ("github", "https://ghe.example", "https://ghe.example/api/v3", "https://ghe.example/team/shop.git"),
    ],
)
def test_addresses_follow_from_the_target(kind: str, url: str, root: str, remote: str) -> None:
    where = Target(kind, "shop", "team", url)
    assert Client(where, Token("t"), PATIENCE).dialect.root == root
    assert where.remote_url == remote


@pytest.mark.parametrize(
    ("url", "same"),
    [
        ("https://git.example/team/shop.git", True),
        ("https://git.example/team/shop", True),
        ("https://me:pw@git.example/Team/Shop.git", True),
        ("git@git.example:team/shop.git", True),
        ("ssh://git@git.example:2222/team/shop.git", True),
        ("https://git.example/team/shop2.git", False),
        ("https://other.example/team/shop.git", False),
        ("/srv/git/team/shop.git", False),
        ("https://[broken/team/shop.git", False),
        ("git@git.example:other/team/shop.git", False),
    ],
)
def test_the_same_repository_is_known_by_any_of_its_addresses(url: str, same: bool) -> None:
    assert same_repository(url, Target("gitlab", "shop", "team", "https://git.example")) is same


@pytest.mark.parametrize(
    ("headers", "ends"),
    [
        ({"retry-after": "30"}, "in 30 seconds"),
        ({"retry-after": "Mon, 23 Nov 2026 05:00:00 GMT"}, "at Mon, 23 Nov 2026 05:00:00 GMT"),
        ({"ratelimit-reset": "1795410000"}, "at 2026-11-23 05:00:00 UTC"),
        ({"x-ratelimit-reset": "9" * 40}, "at a time that it does not tell"),
        ({}, "at a time that it does not tell"),
    ],
)
def test_the_end_of_a_limit_is_read_from_the_headers(headers: dict[str, str], ends: str) -> None:
    assert limit_ends(headers) == ends


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({"message": {"name": ["has already been taken"]}}, "name has already been taken"),
        ({"message": "failed", "errors": [{"field": "name", "code": "invalid"}]}, "failed; name invalid"),
        ({"error": "insufficient_scope", "error_description": "more"}, "insufficient_scope; more"),
        ("a\x1b[31mred", "a [31mred"),
        (None, ""),
        ([], ""),
        ({"message": "x" * 900}, "x" * 500),
    ],
)
def test_the_words_of_a_forge_are_found_in_any_shape(data: Any, text: str) -> None:
    assert words(data) == text


def test_the_plan_names_what_will_be_made() -> None:
    text = "\n".join(plan(Target("github", "shop"), "trunk", ssh=True))
    assert "GITHUB_TOKEN" in text
    assert "shop (in your own namespace)" in text
    assert "origin (ssh) and push trunk" in text
    assert "careful" not in text


def test_it_can_be_imported_with_nothing_but_requests() -> None:
    """As the template's hook does, in whatever environment cookiecutter is installed in."""
    code = (
        "import sys\nfor name in ('git', 'fabric', 'invoke', 'nacl', 'pydantic', 'jinja2'):\n"
        "    sys.modules[name] = None\nimport releaselib.forge\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

"""The project's repository on its forge, and the template that the project came from."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from uv import find_uv_bin

from releaselib import index, process, progress
from releaselib.config import Project
from releaselib.errors import CommandFailed, ConfigError, ForgeFailed, Refused, ReleaseError
from releaselib.forge import (
    TOKENS,
    Outcome,
    Target,
    Variable,
    create_repository as create_on_forge,
    find_token,
    git_credentials,
    make_release as make_release_page,
    notes_from_changelog,
    set_up_ci,
)
from releaselib.index.simple import PASSWORD
from releaselib.wheels import source


def target(project: Project) -> Target:
    """Where the repository lives, from [forge] of release.toml. Raises ConfigError without it."""
    forge = project.forge
    if not forge:
        raise ConfigError(
            "release.toml has no [forge]", next_step='add it: kind = "gitlab" or "github", namespace, name'
        )
    return Target(forge.kind, forge.name, forge.namespace, forge.url, forge.visibility, project.description)


def create_repository(project: Project, *, ssh: bool = False, ci: bool = False) -> Outcome:
    """Create the repository and push to it; what is there already is adopted. Can be run again.

    With ``ci`` also the variables that CI needs for the index, and protection of the branch. Raises
    Refused, ConfigError and ForgeFailed.
    """
    where = target(project)
    token = find_token(where.kind)
    outcome = create_on_forge(project.root, where, token, ssh=ssh, say=progress.say)
    if ci:
        password = Variable(PASSWORD, index.of(project.index).password())
        set_up_ci(where, token, [password], outcome.branch, say=progress.say)
    return outcome


@contextmanager
def credentials(project: Project) -> Iterator[dict[str, str]]:
    """Environment in which git can push to the project's forge: with the token, where there is one."""
    if project.forge and os.environ.get(TOKENS[project.forge.kind]):
        with git_credentials(project.root, target(project), find_token(project.forge.kind)) as found:
            yield found
    else:  # whatever git has itself: ssh, a credential helper
        yield {}


def require_token(project: Project) -> None:
    """Raise Refused when a release is to be made on the forge and there is no token for it."""
    if project.forge and project.forge.release:
        find_token(project.forge.kind)


def make_release(project: Project, version: str) -> str:
    """The release of a pushed tag on the forge, with notes from CHANGELOG.md; returns its address.

    Raises ConfigError without a version, and ForgeFailed.
    """
    if not version:
        raise ConfigError("no version was given", next_step="git tag lists them; fab repo.release --version V")
    where = target(project)
    changelog = project.root / project.directory / "CHANGELOG.md"
    text = changelog.read_text("utf-8") if changelog.exists() else ""
    notes = notes_from_changelog(text, version) or f"Release {version}"
    try:
        return make_release_page(where, version, notes, find_token(where.kind), say=progress.say)
    except ReleaseError as error:
        raise ForgeFailed(
            f"{version} is released, but its page on the forge is missing",
            cause=str(error),
            next_step=f"fab repo.release --version {version}",
        ) from None


def update_template(project: Project) -> str:
    """Bring the newest template to the project with cruft, beside the project's own changes.

    Raises Refused for changes that are not committed, and CommandFailed with cruft's last lines.
    """
    source.find(project.root)
    if not (project.root / ".cruft.json").exists():
        raise Refused(
            f"{project.root} has no .cruft.json, so its template is not known",
            next_step="cruft link URL_OF_THE_TEMPLATE",
        )
    argv = (find_uv_bin(), "tool", "run", "cruft", "update", "--skip-apply-ask")
    done = process.run(
        argv,
        cwd=project.root,
        env={"PYTHONUTF8": os.environ.get("PYTHONUTF8", "1")},
        what="template.update: cruft failed; nothing is committed",
        next_step="git status shows what it did; git checkout . takes it back",
    )
    rejected = sorted(str(path.relative_to(project.root)) for path in project.root.rglob("*.rej"))
    left = [*source.conflicts(project.root), *rejected]
    if left:
        raise CommandFailed(
            "template.update: some changes of the template and of this project do not fit together",
            cause="\n".join(left),
            next_step="mend these files by hand (look for <<<<<<<; remove a .rej), git add them, git commit",
        )
    return done.last_lines

"""What is to be released is one commit of a git repository, and everything against it is told at once."""

from __future__ import annotations

import getpass
import subprocess
from pathlib import Path

import pytest

import real
from releaselib import config
from releaselib.actions.wheels import version_of
from releaselib.config.tables import Index
from releaselib.decide.release import Wanted
from releaselib.errors import CommandFailed, Refused
from releaselib.wheels.source import Source, clone, files_at, find, tag


def refusal(folder: Path, ref: str = "") -> Refused:
    with pytest.raises(Refused) as caught:
        find(folder, ref)
    assert caught.value.exit_code == 3
    return caught.value


def against(folder: Path, ref: str = "") -> list[str]:
    """Everything that stands against a release of the folder."""
    error = refusal(folder, ref)
    assert error.what == f"{folder}: cannot be released as it is"
    assert error.next_step == "mend this, or name what to release: --ref main"
    return error.cause.splitlines()


def test_the_head_of_a_clean_branch_is_what_is_released(repository: real.Repository) -> None:
    repository.git("tag", "1.0")
    head = repository.commit({"a.txt": "a"})
    repository.git("tag", "-a", "1.1", "-m", "with words")
    found = find(repository.folder)
    assert found == Source(
        "main",
        head,
        int(repository.git("log", "-1", "--format=%ct")),
        {"1.0": repository.git("rev-parse", "HEAD~1"), "1.1": head},
    )


def test_a_folder_of_the_repository_will_do(repository: real.Repository) -> None:
    head = repository.commit({"library/pyproject.toml": ""})
    assert find(repository.folder / "library").commit == head


REFS = {"a branch": "other", "a tag": "1.0", "a tag with words": "v1", "the start of a commit": "", "@": "@~1"}


@pytest.mark.parametrize("ref", REFS.values(), ids=REFS)
def test_a_ref_is_released_whatever_the_working_tree_holds(repository: real.Repository, ref: str) -> None:
    first = repository.git("rev-parse", "HEAD")
    repository.git("branch", "other")
    repository.git("tag", "1.0")
    repository.git("tag", "-a", "v1", "-m", "with words")
    repository.commit({"a.txt": "a"})
    repository.write({"a.txt": "changed", "new.txt": ""})
    wanted = ref or first[:8]
    found = find(repository.folder, wanted)
    assert (found.ref, found.commit) == (wanted, first)


def test_a_folder_without_git_is_refused(tmp_path: Path) -> None:
    error = refusal(tmp_path)
    assert error.what == f"{tmp_path} is not in a git repository"
    assert error.next_step == "git init -b main && git add -A && git commit -m 'First commit'"


def test_a_repository_without_a_commit_is_refused(tmp_path: Path, identity: None) -> None:
    empty = real.Repository(tmp_path / "empty")
    assert against(empty.folder) == ["there is no commit yet: git commit"]


def test_changes_that_are_not_committed_are_named(repository: real.Repository) -> None:
    repository.commit({"a.txt": "a", "b.txt": "b"})
    repository.write({"a.txt": "changed", "größe.txt": ""})
    (repository.folder / "b.txt").unlink()
    (line,) = against(repository.folder)
    assert line.startswith("not committed: a.txt, b.txt, ")
    assert "größe.txt" in line
    assert line.endswith(": git commit, or git stash")


def test_of_many_changes_five_are_named_and_the_rest_counted(repository: real.Repository) -> None:
    repository.write({f"{n}.txt": "" for n in range(8)})
    assert against(repository.folder) == [
        "not committed: 0.txt, 1.txt, 2.txt, 3.txt, 4.txt and 3 more: git commit, or git stash"
    ]


def test_what_git_ignores_is_no_change(repository: real.Repository) -> None:
    repository.commit({".gitignore": "*.log\n"})
    repository.write({"x.log": ""})
    assert find(repository.folder).ref == "main"


def test_a_detached_head_is_refused_and_released_by_its_name(repository: real.Repository) -> None:
    head = repository.git("rev-parse", "HEAD")
    repository.git("checkout", "-q", "--detach")
    assert against(repository.folder) == ["HEAD is detached, so it is not clear which branch is meant: git switch main"]
    assert find(repository.folder, "HEAD").commit == head


def test_a_shallow_clone_is_refused(repository: real.Repository, tmp_path: Path) -> None:
    repository.commit({"a.txt": "a"})
    shallow = tmp_path / "shallow"
    repository.git("clone", "-q", "--depth", "1", f"file://{repository.folder}", str(shallow))
    words = "the clone is shallow, so versions cannot be counted: git fetch --unshallow"
    assert against(shallow) == [words]
    assert against(shallow, "main") == [words]


@pytest.mark.parametrize(
    "ref", ["nowhere", "HEAD~9", "HEAD:README.md", "HEAD^{tree}", "a b", "--all", "main..main", "HEAD@{yesterday}"]
)
def test_a_ref_that_is_no_commit_is_refused(repository: real.Repository, ref: str) -> None:
    assert against(repository.folder, ref) == [f"no such ref: {ref}"]


def test_everything_is_told_at_once(repository: real.Repository, tmp_path: Path) -> None:
    repository.commit({"a.txt": "a"})
    shallow = tmp_path / "shallow"
    repository.git("clone", "-q", "--depth", "1", f"file://{repository.folder}", str(shallow))
    subprocess.run(["git", "checkout", "-q", "--detach"], cwd=shallow, check=True)
    (shallow / "a.txt").write_text("changed")
    lines = against(shallow)
    assert [line.split()[0] for line in lines] == ["the", "not", "HEAD"]


def test_a_tag_on_something_else_than_a_commit_is_no_version(repository: real.Repository) -> None:
    repository.git("tag", "tree", "HEAD^{tree}")
    repository.git("tag", "-a", "blob", "-m", "x", "HEAD:README.md")
    repository.git("tag", "1.0")
    assert list(find(repository.folder).tags) == ["1.0"]


def test_a_tag_leads_to_its_commit_however_it_was_made(repository: real.Repository) -> None:
    first = repository.commit({"a.txt": "1"})
    repository.git("tag", "plain")
    repository.git("tag", "-a", "with/words", "-m", "x")
    repository.git("tag", "-a", "of-a-tag", "-m", "x", "with/words")
    repository.git("pack-refs", "--all")
    later = repository.commit({"a.txt": "2"})
    repository.git("tag", "-a", "loose", "-m", "x")
    found = find(repository.folder).tags
    assert found == {"plain": first, "with/words": first, "of-a-tag": first, "loose": later}


def test_a_clone_holds_the_commit_and_nothing_else(repository: real.Repository, tmp_path: Path) -> None:
    head = repository.commit({"a.txt": "committed"})
    repository.commit({"later.txt": ""})
    repository.write({"a.txt": "changed", "new.txt": ""})
    made = clone(repository.folder, head, tmp_path / "clone")
    assert sorted(path.name for path in made.iterdir()) == [".git", "README.md", "a.txt"]
    assert (made / "a.txt").read_text() == "committed"


def test_a_clone_of_no_commit_fails_with_the_words_of_git(repository: real.Repository, tmp_path: Path) -> None:
    with pytest.raises(CommandFailed) as caught:
        clone(repository.folder, "0" * 40, tmp_path / "clone")
    assert caught.value.exit_code == 5
    assert caught.value.what == "a clean clone of 000000000000 cannot be made"
    assert "0000000" in caught.value.cause


def test_a_tag_without_a_remote_stays_here(repository: real.Repository) -> None:
    head = repository.git("rev-parse", "HEAD")
    assert tag(repository.folder, "1.0", head) == "tag 1.0 made; there is no remote origin to push it to"
    assert repository.git("rev-parse", "1.0^{commit}") == head
    assert repository.git("tag", "-n", "--list", "1.0").split(maxsplit=1)[1] == "Release 1.0"


def test_a_tag_is_made_where_git_knows_nobody(repository: real.Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.delenv(f"GIT_{role}_NAME")
        monkeypatch.delenv(f"GIT_{role}_EMAIL")
    repository.git("config", "user.useConfigOnly", "true")  # git guesses nothing either
    tag(repository.folder, "1.0", repository.git("rev-parse", "HEAD"))
    who = repository.git("for-each-ref", "--format=%(taggername) %(taggeremail)", "refs/tags/1.0")
    assert who.startswith(f"{getpass.getuser()} <{getpass.getuser()}@")


def test_a_tag_that_git_refuses_is_told_with_what_is_there_already(repository: real.Repository, tmp_path: Path) -> None:
    repository.git("config", "tag.gpgSign", "true")
    repository.git("config", "gpg.program", str(tmp_path / "nowhere"))
    head = repository.git("rev-parse", "HEAD")
    with pytest.raises(CommandFailed) as caught:
        tag(repository.folder, "1.0", head)
    assert caught.value.what == "1.0 is on the index, but the tag cannot be made"
    assert "nowhere" in caught.value.cause
    assert caught.value.next_step.startswith(f"git tag -m 'Release 1.0' 1.0 {head[:12]}")


@pytest.fixture
def origin(repository: real.Repository, tmp_path: Path) -> real.Repository:
    """The repository that `repository` pushes to."""
    made = real.Repository(tmp_path / "origin")
    made.git("config", "receive.denyCurrentBranch", "ignore")
    repository.git("remote", "add", "origin", str(made.folder))
    return made


def test_a_tag_is_pushed_and_a_second_time_does_no_harm(repository: real.Repository, origin: real.Repository) -> None:
    head = repository.git("rev-parse", "HEAD")
    for _ in range(2):
        assert tag(repository.folder, "1.0", head) == "tag 1.0 pushed to origin"
    assert origin.git("rev-parse", "1.0^{commit}") == head
    assert not origin.git("branch", "--list"), "only the tag is pushed"


def test_a_tag_that_was_not_pushed_is_pushed_when_it_is_run_again(
    repository: real.Repository, origin: real.Repository
) -> None:
    head = repository.git("rev-parse", "HEAD")
    repository.git("tag", "1.0")
    tag(repository.folder, "1.0", head)
    assert origin.git("tag", "--list") == "1.0"


def test_a_tag_on_another_commit_is_refused(repository: real.Repository) -> None:
    first = repository.git("rev-parse", "HEAD")
    repository.git("tag", "1.0")
    with pytest.raises(Refused) as caught:
        tag(repository.folder, "1.0", repository.commit({"a.txt": ""}))
    assert caught.value.what == f"tag 1.0 is on another commit: {first[:12]}"
    assert caught.value.next_step == "release another version"


def test_a_push_that_is_rejected_is_told_in_the_words_of_the_remote(
    repository: real.Repository, origin: real.Repository
) -> None:
    origin.git("tag", "1.0", origin.commit())
    with pytest.raises(CommandFailed) as caught:
        tag(repository.folder, "1.0", repository.git("rev-parse", "HEAD"))
    assert caught.value.exit_code == 5
    assert caught.value.what == "tag 1.0 is made here, but origin refused it"
    assert "rejected" in caught.value.cause
    assert caught.value.next_step == "git push origin refs/tags/1.0"


def test_files_are_read_as_they_are_in_the_commit(repository: real.Repository, tmp_path: Path) -> None:
    head = repository.commit({"library/pyproject.toml": "then"})
    repository.commit({"library/pyproject.toml": "now"})
    target = tmp_path / "files"
    target.mkdir()
    files_at(repository.folder, head, ("library/pyproject.toml", "library/uv.lock"), target)
    assert {path.name: path.read_text() for path in target.iterdir()} == {"pyproject.toml": "then"}


STATIC = {"a static version": ("1.0", "raise the version in pyproject.toml"), "a given one": ("", "give another")}


@pytest.mark.parametrize(("static", "next_step"), STATIC.values(), ids=STATIC)
def test_a_version_whose_tag_is_on_another_commit_is_refused_before_anything_is_built(
    repository: real.Repository, static: str, next_step: str
) -> None:
    repository.git("tag", "1.0")
    tagged, head = repository.git("rev-parse", "HEAD"), repository.commit({"a.txt": ""})
    project = config.Project(root=repository.folder, name=real.PROJECT, static_version=static)
    with pytest.raises(Refused) as caught:
        version_of(project, Index(), find(repository.folder), Wanted(version="" if static else "1.0"))
    assert caught.value.exit_code == 3
    assert caught.value.what == (
        f"version 1.0 has a tag already, on another commit ({tagged[:12]}), not on {head[:12]}"
    )
    assert caught.value.next_step.startswith(next_step)

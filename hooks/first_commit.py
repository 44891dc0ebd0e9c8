"""Make the folder a git repository and commit all of it: `first_commit.py NAME E-MAIL`.

Needs GitPython, so `finish.py` runs it with an interpreter that has it. Who git says you are wins
over NAME and E-MAIL. No hook of git's is run and nothing is signed: this must not ask anything.
"""

import sys

from git import Actor, Repo

MESSAGE = "First commit, baked from essay-template"


def first_commit(folder: str, name: str, email: str) -> str:
    """`git init -b main`, add everything, commit; gives the commit."""
    repository = Repo.init(folder, initial_branch="main")
    with repository.config_reader() as settings:
        actor = Actor(
            str(settings.get_value("user", "name", default=name)),
            str(settings.get_value("user", "email", default=email)),
        )
    repository.git.add("--all")
    return repository.index.commit(MESSAGE, author=actor, committer=actor, skip_hooks=True).hexsha


if __name__ == "__main__":
    first_commit(".", sys.argv[1], sys.argv[2])

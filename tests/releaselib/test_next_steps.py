"""Every command that an error names can be typed as it stands: the task is there, its options too, and the stage."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import pytest

import real
from releaselib.errors import STAGELESS, on_stage
from releaselib.tasks import namespace

LIBRARY = real.ROOT / "releaselib/src/releaselib"


GROUPS = ("nginx", "supervisor")


def options() -> dict[str, set[str]]:
    """The options of each task."""
    return {
        name: {one.replace("_", "-") for one in inspect.signature(namespace[name].body).parameters}
        for name in namespace.task_names
    }


def commands() -> Iterator[tuple[str, str]]:
    """Every `fab TASK OPTIONS` in the texts of the library, with the place where it stands."""
    for file in sorted(LIBRARY.rglob("*.py")):
        for number, line in enumerate(file.read_text("utf-8").splitlines(), 1):
            for found in re.findall(r"\bfab ([a-z]+(?:\.[a-z]+)?(?: --[a-z-]+[^-`'\"]*)*)", line):
                yield f"{file.relative_to(LIBRARY)}:{number}", found


def test_every_command_in_a_message_is_a_task_with_these_options() -> None:
    known, wrong = options(), []
    for place, command in commands():
        task, *words = command.split()
        given = {word.removeprefix("--no-").lstrip("-").strip(",.;:)") for word in words if word.startswith("--")}
        if task in GROUPS:  # one of a group, which is named at run time
            continue
        if task not in known or not given <= known[task] | {"help", "list"}:
            wrong.append(f"{place}: fab {command}")
    assert not wrong, "\n".join(wrong)
    assert len(list(commands())) > 60, "they are found at all"


def test_the_tasks_without_a_stage_are_those_that_have_no_such_option() -> None:
    without = {name for name, some in options().items() if "stage" not in some}
    assert {name for name in options() if name.startswith(STAGELESS) and "stage" not in options()[name]} == without


STEPS = {
    "a task": ("fab status", "fab status --stage live"),
    "with options": ("fab host.logs --slot b", "fab host.logs --stage live --slot b"),
    "that names a stage": ("fab switch --stage x --slot b", "fab switch --stage x --slot b"),
    "several": (
        "mend them, then run it again; fab status, or fab rollback --version V stages it",
        "mend them, then run it again; fab status --stage live, or fab rollback --stage live --version V stages it",
    ),
    "one of two with a stage": ("fab plan --stage x; fab status", "fab plan --stage x; fab status --stage live"),
    "with a list": (
        "fab index.sync --packages a,b, then it again",
        "fab index.sync --stage live --packages a,b, then it again",
    ),
    "with a list and a stage": ("fab index.sync --packages a,b --stage x", "fab index.sync --packages a,b --stage x"),
    "one into another": (
        "fab build --json | fab publish, in the project",
        "fab build --stage live --json | fab publish --stage live, in the project",
    ),
    "without a stage": ("fab index.serve makes one", "fab index.serve makes one"),
    "no task": ("mend it: ssh host", "mend it: ssh host"),
    "nothing": ("", ""),
}


@pytest.mark.parametrize(("words", "named"), STEPS.values(), ids=STEPS)
def test_a_next_step_names_the_stage(words: str, named: str) -> None:
    assert on_stage(words, "live") == named

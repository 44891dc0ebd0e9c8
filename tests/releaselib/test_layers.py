"""Imports go one way: tasks, actions, features, values, errors. This is read from the text of the modules."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest

LIBRARY = Path(str(resources.files("releaselib")))
FEATURES = {
    "version",
    "source",
    "build",
    "publish",
    "slot",
    "supervisor",
    "nginx",
    "health",
    "lock",
    "journal",
    "forge",
    "resolve",
    "mirror",
    "pypiserver",
    "check",
}
VALUES = {"errors", "hosts", "settings", "view", "output", "shell", "hooks"}
ACTIONS = {"release", "phases", "steps", "wheels", "work", "manage", "status", "repository"}
TASKS = {"tasks", "parts", "tasking", "words"}


def modules() -> dict[str, list[Path]]:
    """The modules of the library and their files; a package counts as one module."""
    found: dict[str, list[Path]] = {}
    for path in sorted(LIBRARY.rglob("*.py")):
        parts = path.relative_to(LIBRARY).with_suffix("").parts
        if parts[0] not in ("remote", "__init__", "_version"):
            found.setdefault(parts[0], []).append(path)
    return found


def imported(path: Path) -> Iterator[str]:
    """What a file imports, as far as it is needed when the program runs."""
    tree = ast.parse(path.read_text("utf-8"))
    only_types = {
        node
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        if node in only_types:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def graph() -> dict[str, set[str]]:
    """Module -> the modules of the library that it imports."""
    names = modules()
    found: dict[str, set[str]] = {}
    for name, files in names.items():
        used = {
            what.split(".")[1] for file in files for what in imported(file) if what.startswith("releaselib.")
        }
        found[name] = {one for one in used if one in names} - {name}
    return found


GRAPH = graph()


def importers(outside: str) -> set[str]:
    """The modules that import something from another distribution."""
    return {
        name
        for name, files in modules().items()
        if any(what == outside or what.startswith(f"{outside}.") for file in files for what in imported(file))
    }


def test_the_graph_is_read_at_all() -> None:
    assert GRAPH["config"] >= {"errors", "hosts", "settings"}
    assert GRAPH["tasks"] >= {"tasking"}
    assert GRAPH.keys() >= FEATURES


@pytest.mark.parametrize("name", sorted(FEATURES))
def test_features_never_import_each_other(name: str) -> None:
    assert GRAPH[name] & FEATURES == set()


@pytest.mark.parametrize("name", sorted(GRAPH.keys() - ACTIONS - TASKS))
def test_nothing_below_imports_an_action_or_a_task(name: str) -> None:
    assert GRAPH[name] & (ACTIONS | TASKS) == set()


@pytest.mark.parametrize("name", sorted(ACTIONS))
def test_no_action_imports_a_task(name: str) -> None:
    assert GRAPH[name] & TASKS == set()


@pytest.mark.parametrize("name", sorted(VALUES))
def test_values_know_nothing_of_features(name: str) -> None:
    assert GRAPH[name] <= VALUES


def test_errors_are_at_the_bottom() -> None:
    assert GRAPH["errors"] == set()


def test_nothing_imports_in_a_circle() -> None:
    left = {name: set(used) for name, used in GRAPH.items()}
    while free := [name for name, used in left.items() if not used & left.keys()]:
        for name in free:
            del left[name]
    assert left == {}


OUTSIDE = {
    "fabric.task": {"tasking"},
    "fabric": {"tasking", "ssh"},
    "invoke": {"tasking"},
    "paramiko": {"ssh"},
    "git": {"source", "forge"},
    "jinja2": {"supervisor", "nginx"},
}


@pytest.mark.parametrize("outside", OUTSIDE)
def test_a_library_is_spoken_by_those_alone_whose_thing_it_is(outside: str) -> None:
    assert importers(outside) <= OUTSIDE[outside]


def loaded(*names: str) -> set[str]:
    """What is loaded after an import, in a Python of its own."""
    program = f"import sys, {', '.join(names)}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_actions_are_imported_without_fabric() -> None:
    found = loaded("releaselib.release", "releaselib.manage", "releaselib.status", "releaselib.wheels")
    assert found & {"fabric", "invoke", "paramiko", "git", "twine", "pypi_simple"} == set()


def test_the_tasks_are_imported_without_what_they_do() -> None:
    found = {name.removeprefix("releaselib.") for name in loaded("releaselib.tasks")}
    assert found & (ACTIONS | FEATURES | {"git", "jinja2", "requests"}) == set()


def test_the_library_itself_costs_nothing() -> None:
    assert {name for name in loaded("releaselib") if name.startswith("releaselib")} == {"releaselib"}

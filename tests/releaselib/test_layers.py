"""Folders are the layers, and imports go one way; read from the text of the modules, by the folders alone."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from real import LIBRARY, ROOT

LAYERS = (("tasks",), ("actions",), ("hosts", "wheels", "index", "forge"), ("decide",), ("config",), ("",))
"""From the top to the ground, which is the modules beside the folders; those of one layer are siblings."""
FLOOR = {folder: floor for floor, folders in enumerate(LAYERS) for folder in folders}


def modules() -> dict[str, Path]:
    """Dotted name -> file; a package has the name of its folder. Programs of hosts are no modules here."""
    found = {}
    for path in sorted(LIBRARY.rglob("*.py")):
        parts = path.relative_to(LIBRARY).with_suffix("").parts
        if "remote" not in parts and parts[-1] != "_version":
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


def imported(path: Path, *, types: bool = False) -> Iterator[str]:
    """What a file imports; without what only the checker of types needs, unless ``types``."""
    tree = ast.parse(path.read_text("utf-8"))
    only_types = {
        node
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        if node in only_types and not types:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


MODULES = modules()


def graph() -> dict[str, set[str]]:
    """Module -> the modules of the library that it imports."""
    found: dict[str, set[str]] = {}
    for name, path in MODULES.items():
        used = {what.removeprefix("releaselib.") for what in imported(path) if what.startswith("releaselib.")}
        found[name] = {what if what in MODULES else what.rpartition(".")[0] for what in used} & MODULES.keys()
    return found


GRAPH = graph()


def folder(name: str) -> str:
    """The layer that a module belongs to; a package's own module is in it."""
    head = name.partition(".")[0]
    return head if (LIBRARY / head).is_dir() and name != "__init__" else ""


def test_the_graph_is_read_at_all() -> None:
    assert GRAPH["config.file"] >= {"errors", "config.tables", "config.inventory"}
    assert GRAPH["tasks"] >= {"tasks.task"}
    assert {folder(name) for name in MODULES} == set(FLOOR)


@pytest.mark.parametrize("name", sorted(MODULES.keys() - {"__init__"}))
def test_imports_go_down_and_siblings_do_not_import_each_other(name: str) -> None:
    here = folder(name)
    above = {used for used in GRAPH[name] if folder(used) != here and FLOOR[folder(used)] <= FLOOR[here]}
    assert above == set()


def test_nothing_imports_in_a_circle() -> None:
    left = {name: set(used) for name, used in GRAPH.items()}
    while free := [name for name, used in left.items() if not used & left.keys()]:
        for name in free:
            del left[name]
    assert left == {}


IMPURE = {"os", "subprocess", "socket", "requests", "time", "threading", "tempfile", "shutil", "urllib"}


@pytest.mark.parametrize("name", sorted(name for name in MODULES if folder(name) == "decide"))
def test_a_decision_touches_no_machine(name: str) -> None:
    assert {what.partition(".")[0] for what in imported(MODULES[name], types=True)} & IMPURE == set()


CONNECTING = {
    f"hosts.{name}"
    for name in (
        "connection",
        "fleet",
        "scripts",
        "ssh",
        "hops",
        "eager",
        "sessions",
        "openssh",
        "ssh_text",
        "here",
        "terminal",
        "held",
    )
}
"""What makes connections; what is done on a host stands on it."""
TEXT = {"hosts.site"}
"""What is laid down there, as text."""


@pytest.mark.parametrize("name", sorted(n for n in MODULES if folder(n) == "hosts" and n not in CONNECTING))
def test_what_is_done_on_a_host_knows_nothing_else_that_is_done_there(name: str) -> None:
    assert {one for one in GRAPH[name] if folder(one) == "hosts"} <= CONNECTING | TEXT | {"hosts"}


@pytest.mark.parametrize("name", sorted(path.name for path in (LIBRARY / "hosts/remote").iterdir() if path.is_file()))
def test_a_script_is_named_after_the_module_that_sends_it(name: str) -> None:
    head = re.split(r"[_.]", name)[0]
    if head == "common":  # goes in front of all
        return
    sender = LIBRARY / "hosts" / f"{head}.py"
    sent = sender.read_text("utf-8") + "".join(
        path.read_text("utf-8") for path in (LIBRARY / "hosts/remote").glob("*.sh")
    )
    assert name in sent or f"${name.removesuffix('.py')}_py" in sent


@pytest.mark.parametrize("package", sorted(set(FLOOR) - {""}))
def test_every_package_says_in_its_first_sentence_what_belongs_in_it(package: str) -> None:
    words = ast.get_docstring(ast.parse((LIBRARY / package / "__init__.py").read_text("utf-8"))) or ""
    assert words.splitlines()[0].endswith((".", ":", ";", ","))
    assert len(words.split()) > 8


OUTSIDE = {
    "fabric.task": {"tasks"},
    "fabric": {"tasks", "hosts"},
    "invoke": {"tasks"},
    "paramiko": {"hosts"},
    "git": {"wheels", "forge"},
    "jinja2": {""},
    "mousebender": {"index"},
    "pydantic": {"config"},
}


@pytest.mark.parametrize("outside", OUTSIDE)
def test_a_library_is_spoken_by_those_alone_whose_thing_it_is(outside: str) -> None:
    importers = {
        folder(name)
        for name, path in MODULES.items()
        if any(what == outside or what.startswith(f"{outside}.") for what in imported(path))
    }
    assert importers <= OUTSIDE[outside]


def loaded(*names: str) -> set[str]:
    """What is loaded after an import, in a Python of its own."""
    program = f"import sys, {', '.join(names)}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_a_status_needs_nothing_of_what_builds_and_resolves() -> None:
    assert {"releaselib.actions.wheels", "releaselib.wheels"} & loaded("releaselib.actions.status") == set()


def test_the_actions_are_imported_without_fabric() -> None:
    found = loaded(*(f"releaselib.{name}" for name in MODULES if folder(name) == "actions"))
    assert found & {"fabric", "invoke", "paramiko", "git", "twine", "mousebender"} == set()


def test_what_a_release_a_rollback_and_a_status_do_not_need_is_not_imported() -> None:
    found = loaded("releaselib.actions.release", "releaselib.actions.status")
    assert found & {"requests", "releaselib.forge", "mousebender", "rich"} == set()


def test_the_tasks_are_imported_without_what_they_do() -> None:
    found = loaded("releaselib.tasks")
    assert {name for name in found if re.match(r"releaselib\.(actions|hosts|wheels|index|forge|config)", name)} == set()
    assert found & {"git", "jinja2", "requests", "pydantic"} == set()


def test_the_library_itself_costs_nothing() -> None:
    assert {name for name in loaded("releaselib") if name.startswith("releaselib")} == {"releaselib"}


def test_design_md_says_where_to_change_what_and_the_places_are_there() -> None:
    section = (ROOT / "DESIGN.md").read_text("utf-8").partition("## Where to change what")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", section, re.MULTILINE)[2:]
    assert len(rows) >= 10
    for what, places in rows:
        named = re.findall(r"`([\w./{}-]+\.\w+)`", places)
        assert named, what
        for place in named:
            assert (LIBRARY / place).exists() or (ROOT / place).exists(), place

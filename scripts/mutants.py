"""Break the line that holds an invariant, in a copy of this repository, and see the named test fail.

    ./scripts/test --mutants

The ten invariants are those of DESIGN.md that matter most; tests/README.md lists them. Exit code 1: a test that
passes although its invariant is broken, or fails although it is not.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = "releaselib/src/releaselib"
PASSED, FAILED = 0, 1  # pytest's exit codes


@dataclass(frozen=True)
class Mutant:
    """An invariant, the line (of a file of the library) that holds it, what it becomes, and who notices."""

    invariant: str
    file: str
    line: str
    broken: str
    test: str


MUTANTS = [
    Mutant(
        "visitors are never sent to a slot that is built anew",
        "decide/slots.py",
        "if asked and known_slot(stage, asked) == live:",
        "if False:",
        "test_slots.py::test_the_live_slot_is_never_staged_in",
    ),
    Mutant(
        "a rollback leads back, and a second one never forward",
        "decide/slots.py",
        "if live is None or n < live.serial]",
        "]",
        "test_slots.py::test_a_rollback_without_an_older_release_is_refused",
    ),
    Mutant(
        "a release that works nowhere is switched to by no budget",
        "decide/budget.py",
        "return max(0, min(share(self.said, self.hosts), self.hosts - 1))",
        "return share(self.said, self.hosts)",
        "test_problems.py::test_a_release_that_works_on_no_host_is_never_within_the_budget",
    ),
    Mutant(
        "who has lost the lock changes nothing on a host",
        "hosts/remote/common.sh",
        '[ "$fence" -ge "$highest" ] ||',
        "true ||",
        "test_slot.py::test_a_host_refuses_whoever_comes_with_a_lower_fence",
    ),
    Mutant(
        "hosts install the bytes that were resolved, and no others",
        "hosts/remote/common_install.py",
        "--require-hashes",
        "",
        "test_slot.py::test_bytes_that_are_not_those_of_the_release_are_not_installed",
    ),
    Mutant(
        "a proxy that does not see every process healthy is not made ready",
        "hosts/remote/nginx_configure.py",
        "if too_many:",
        "if False:",
        "test_nginx.py::test_a_proxy_that_does_not_see_every_process_prepares_nothing",
    ),
    Mutant(
        "a slot that nginx does not know yet is not laid down",
        "hosts/remote/nginx_configure.py",
        " if name == adopt",
        "",
        "test_nginx.py::test_a_slot_that_nginx_does_not_know_yet_is_not_laid_down",
    ),
    Mutant(
        "a site that nginx refuses leaves the old one in place",
        "hosts/remote/nginx_configure.sh",
        "trap undo EXIT",
        ":",
        "test_nginx.py::test_a_site_that_nginx_refuses_leaves_the_old_one_byte_for_byte",
    ),
    Mutant(
        "the slot that visitors get is never retired",
        "hosts/remote/nginx_open.sh",
        'fail 79 "visitors',
        ': "visitors',
        "test_nginx.py::test_the_slot_that_visitors_get_is_never_forgotten",
    ),
    Mutant(
        "values are never code on a host",
        "hosts/scripts.py",
        "shlex.quote(str(value))",
        "value",
        "test_scripts.py::test_every_value_reaches_a_script_as_a_variable_and_not_as_code",
    ),
    Mutant(
        "an answer of the old release after the switch is told",
        "decide/samples.py",
        'if other not in (version, "-")',
        "if False",
        "test_proof.py::test_samples_prove_a_switch_or_leave_doubts",
    ),
]


def code_of(root: Path, *tests: str) -> int:
    """The exit code of pytest on these tests of a copy, whose library comes before the installed one."""
    places = [str(root / f"tests/releaselib/{test}") for test in tests]
    env = {**os.environ, "PYTHONPATH": str(root / "releaselib/src")}
    argv = [sys.executable, "-m", "pytest", "--quiet", "-p", "no:cacheprovider", *places]
    return subprocess.run(argv, cwd=root, env=env, capture_output=True, check=False).returncode


def survives(root: Path, mutant: Mutant) -> bool:
    """Whether nobody notices; the copy is whole again afterwards."""
    file = root / LIBRARY / mutant.file
    text = file.read_text("utf-8")
    if mutant.line not in text:
        raise SystemExit(f"{mutant.file} has no more: {mutant.line}")
    file.write_text(text.replace(mutant.line, mutant.broken), "utf-8")
    try:
        return code_of(root, mutant.test) != FAILED
    finally:
        file.write_text(text, "utf-8")


def main() -> None:
    """Print what became of each."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        root = Path(folder) / "copy"
        shutil.copytree(ROOT, root, ignore=shutil.ignore_patterns(".git", ".venv", ".local", "__pycache__", ".*_cache"))
        if code_of(root, *{mutant.test for mutant in MUTANTS}) != PASSED:
            raise SystemExit("the tests fail although nothing is broken")
        alive = 0
        for mutant in MUTANTS:
            lives = survives(root, mutant)
            alive += lives
            print(f"{'SURVIVES' if lives else 'noticed '}  {mutant.invariant}: {mutant.test}", flush=True)
    raise SystemExit(1 if alive else 0)


if __name__ == "__main__":
    main()

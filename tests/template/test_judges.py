"""What those who judge Python projects say of ours: every pair of options, each judge once over all.

`TEMPLATE_TESTS=all` asks about every combination instead of every pair.
"""

from __future__ import annotations

import itertools
import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from template.baking import Done, Oven, Project, run
from template.conftest import ALL, FORGES, KITCHENS
from template.rendering import write_nginx

Baked = Callable[[str], Project]
OPTIONS = {
    "flavour": tuple(KITCHENS),
    "forge": FORGES,
    "licence": ("Proprietary", "MIT", "BSD-3-Clause", "Apache-2.0"),
    "python_min": ("3.10", "3.11", "3.12", "3.13"),
    "email": ("", "team@example.com"),
    "namespace": ("", "shops"),
    "celery": ("false", "true"),
}


def every_pair(options: dict[str, tuple[str, ...]]) -> list[dict[str, str]]:
    """Few combinations in which each answer to a question meets each answer to every other."""
    missing = {
        frozenset({(one, a), (two, b)})
        for (one, many), (two, others) in itertools.combinations(options.items(), 2)
        for a, b in itertools.product(many, others)
    }
    dice, chosen = random.Random(0), []
    while missing:
        drawn = [{name: dice.choice(many) for name, many in options.items()} for _ in range(200)]
        best = max(drawn, key=lambda row: len(missing & pairs(row)))
        missing -= pairs(best)
        chosen.append(best)
    return [row for row in chosen if row]


def pairs(row: dict[str, str]) -> set[frozenset[tuple[str, str]]]:
    """The pairs of answers in a combination."""
    return {frozenset(two) for two in itertools.combinations(row.items(), 2)}


def every_combination(options: dict[str, tuple[str, ...]]) -> list[dict[str, str]]:
    """The full product."""
    return [dict(zip(options, row, strict=True)) for row in itertools.product(*options.values())]


def test_every_pair_of_options_is_among_the_chosen() -> None:
    chosen = set().union(*(pairs(row) for row in every_pair(OPTIONS)))
    assert chosen == set().union(*(pairs(row) for row in every_combination(OPTIONS)))


@pytest.fixture(scope="session")
def shops(place: Path, quick: Oven) -> list[Project]:
    """A project of each combination; the folder says which."""
    rows = every_combination(OPTIONS) if ALL else every_pair(OPTIONS)
    orders = [(place / f"judged-{number}", {"project_name": f"Shop {number}"} | row) for number, row in enumerate(rows)]
    return quick.bake_batch(orders)


def judge(name: str, *arguments: str | Path, cwd: Path, check: bool = True) -> Done:
    """What a judge says; its program lies beside this interpreter (dependency group dev)."""
    program = Path(sys.executable).with_name(name)
    assert program.exists(), f"{name} is not installed: uv sync --group dev"
    return run(program, *arguments, cwd=cwd, env={"PATH": "/usr/bin:/bin", "HOME": str(cwd)}, check=check)


def there(projects: Iterable[Project], name: str) -> list[Path]:
    """That file of every project that has it."""
    found = [project.folder / name for project in projects if (project.folder / name).exists()]
    assert found
    return found


def test_repo_review_finds_nothing_missing(shops: list[Project], place: Path) -> None:
    folders = [project.folder for project in shops]
    program = Path(sys.executable).with_name("repo-review")
    command = [str(program), *map(str, folders), "--format", "json"]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    reviews = json.loads(done.stdout)
    assert len(reviews) == len(folders)
    for name, review in reviews.items():
        checks = review["checks"]
        failed = {code: check["err_msg"] for code, check in checks.items() if check["result"] is False}
        assert not failed, name
        assert len(checks) > 55, name
        assert sum(bool(check["result"]) for check in checks.values()) >= 48, name


def test_zizmor_has_no_finding_however_pedantic(shops: list[Project], place: Path) -> None:
    folders = [project.folder for project in shops if (project.folder / ".github").exists()]
    done = judge("zizmor", "--offline", "--no-config", "--persona=pedantic", *folders, cwd=place)
    assert "No findings to report" in done.output


@pytest.mark.parametrize(
    ("schema", "file"),
    [
        ("vendor.github-workflows", ".github/workflows/ci.yml"),
        ("vendor.github-workflows", ".github/workflows/release.yml"),
        ("custom.github-workflows-require-timeout", ".github/workflows/ci.yml"),
        ("custom.github-workflows-require-timeout", ".github/workflows/release.yml"),
        ("vendor.dependabot", ".github/dependabot.yml"),
        ("vendor.gitlab-ci", ".gitlab-ci.yml"),
        ("vendor.renovate", "renovate.json"),
    ],
)
def test_the_files_for_the_forge_fit_their_schemas(shops: list[Project], place: Path, schema: str, file: str) -> None:
    transform = ("--data-transform", "gitlab-ci") if schema == "vendor.gitlab-ci" else ()
    files = there(shops, file)
    judge("check-jsonschema", "--builtin-schema", schema, *transform, *files, cwd=place)


def test_validate_pyproject_accepts_the_metadata(shops: list[Project], place: Path) -> None:
    judge("validate-pyproject", *there(shops, "pyproject.toml"), cwd=place)


def test_ruff_finds_nothing_in_any_combination(shops: list[Project], place: Path) -> None:
    folders = [project.folder for project in shops]
    judge("ruff", "check", "--no-cache", *folders, cwd=place)
    judge("ruff", "format", "--no-cache", "--check", *folders, cwd=place)


def test_texts_are_formatted_and_spelt(shops: list[Project], place: Path) -> None:
    texts = [path for project in shops for path in sorted(project.folder.rglob("*.md"))]
    judge("mdformat", "--check", "--compact-tables", *texts, cwd=place)
    judge("codespell", "--skip", "uv.lock,LICENSE,.git", *(shop.folder for shop in shops), cwd=place)


@pytest.mark.parametrize("flavour", KITCHENS if ALL else ["flask", "django", "tornado"])
def test_pyroma_gives_ten_of_ten(built: Baked, flavour: str) -> None:
    (sdist,) = (built(flavour).folder / "dist").glob("*.tar.gz")
    done = judge("pyroma", "--min=10", sdist, cwd=built(flavour).folder)
    assert "Final rating: 10/10" in done.output


def test_the_files_to_upload_are_whole(built: Baked, kind: str) -> None:
    files = sorted((built(kind).folder / "dist").iterdir())
    judge("twine", "check", "--strict", *files, cwd=built(kind).folder)
    wheels = [file for file in files if file.suffix == ".whl"]
    judge("check-wheel-contents", *wheels, cwd=built(kind).folder)


def test_nginx_linters_accept_the_site(baked: Baked, tmp_path: Path) -> None:
    file = write_nginx(baked("flask").text("release.d/nginx.conf.j2"), tmp_path, canary=1, auto_rollback=True)
    parsed = json.loads(judge("crossplane", "parse", file, cwd=tmp_path).output)
    assert parsed["status"] == "ok"
    # try_files is asked only for the page that goes with 503; split_clients is unknown to gixy, which says so.
    skipped = ["--skips", "try_files_is_evil_too", "--format", "json"]
    found = judge("gixy", file, *skipped, cwd=tmp_path, check=False).output.splitlines()
    assert json.loads("\n".join(line for line in found if not line.startswith("[variable]"))) == []

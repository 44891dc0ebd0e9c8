"""What the tests of the template share: cookiecutters, and each flavour baked once.

TEMPLATE_TESTS=all in the environment runs every combination instead of every pair of options.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from template.baking import Oven, Project, environment, make_virtualenv, uv

ALL = os.environ.get("TEMPLATE_TESTS") == "all"
FORGES = ("gitlab", "github", "none")
KITCHENS = {
    "flask": {"forge": "github", "licence": "MIT"},
    "django": {"forge": "gitlab", "licence": "BSD-3-Clause", "python_min": "3.11", "celery": "true"},
    "tornado": {"forge": "none", "licence": "Proprietary"},
    "fastapi": {"forge": "gitlab", "licence": "Apache-2.0"},
    "worker": {"forge": "github", "licence": "Proprietary", "python_min": "3.11"},
}
"""How each flavour is baked when every forge, licence and so on is to be met once."""

ANSWERS = {"project_name": "My Shop", "author": "The shop's team", "email": "team@example.com", "namespace": "shops"}


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for everything that lives as long as the run."""
    return tmp_path_factory.mktemp("template")


@pytest.fixture(scope="session")
def oven(place: Path) -> Oven:
    """A plain installation of cookiecutter, without GitPython, on a machine that has git and uv."""
    env = environment(place / "home", tools=(uv(),))
    programs = make_virtualenv(place / "cookiecutter", "cookiecutter", env=env)
    return Oven(programs / "cookiecutter", env)


@pytest.fixture(scope="session")
def quick(place: Path) -> Oven:
    """The developers' own cookiecutter, which has GitPython, and no uv: the fastest, without a lock."""
    return Oven(Path(sys.executable).with_name("cookiecutter"), environment(place / "quick-home"))


@pytest.fixture(scope="session")
def baked(place: Path, oven: Oven) -> Callable[[str], Project]:
    """A project by flavour, or `flavour/forge`, baked when it is first asked for; not to be changed."""

    @cache
    def bake(kind: str) -> Project:
        flavour, _, forge = kind.partition("/")
        answers = ANSWERS | KITCHENS[flavour] | ({"forge": forge} if forge else {})
        return oven.bake(place / kind.replace("/", "-"), flavour=flavour, **answers)

    return bake


@pytest.fixture(scope="session")
def synced(baked: Callable[[str], Project]) -> Callable[[str], Project]:
    """The same with its own virtualenv, made by its own lock."""

    @cache
    def sync(kind: str) -> Project:
        project = baked(kind)
        project.run("uv", "sync", "--quiet", "--locked")
        return project

    return sync


@pytest.fixture(scope="session")
def builder(place: Path, quick: Oven) -> Path:
    """The Python of a virtualenv that builds without fetching anything for each project."""
    programs = make_virtualenv(place / "builder", "build", "setuptools", "setuptools-scm", env=quick.env)
    return programs / "python"


@pytest.fixture(scope="session")
def built(baked: Callable[[str], Project], builder: Path) -> Callable[[str], Project]:
    """The same with its sdist and wheel in dist/; one flavour is built in an isolated environment."""

    @cache
    def build(kind: str) -> Project:
        project = baked(kind)
        isolation = ("--installer", "uv") if kind.startswith("flask") else ("--no-isolation",)
        project.run(builder, "-m", "build", *isolation, "--outdir", "dist")
        return project

    return build


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`kind` is each flavour, with TEMPLATE_TESTS=all each flavour on each forge."""
    if "kind" in metafunc.fixturenames:
        every = [f"{flavour}/{forge}" for flavour in KITCHENS for forge in FORGES]
        metafunc.parametrize("kind", every if ALL else list(KITCHENS))

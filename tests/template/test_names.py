"""Any name, author or description gives a working project, or a refusal before a file is written."""

from __future__ import annotations

import email
import email.header
import email.policy
import zipfile
from pathlib import Path

import pytest
from cookiecutter.utils import create_env_with_context  # type: ignore[import-untyped]

from template.baking import Done, Oven, Project, run

CODE = "__import__('os').system('touch /tmp/template-test-was-here')"
JINJA = "{{ cycler.__init__.__globals__.os.system('touch /tmp/template-test-was-here') }}"
WAS_HERE = Path("/tmp/template-test-was-here")

MADE = {
    "quotes": {"project_name": 'Bob\'s "Big" Shop'},
    "three quotes": {"description": "''' and \"\"\" and ''"},
    "code after quotes": {"author": f'x"); {CODE}; ("', "description": f'""";{CODE};"""'},
    "code after single quotes": {"author": f"x'''); {CODE}; ('''"},
    "backslashes": {"project_name": "C:\\new\\table\\", "description": "ends with \\"},
    "escapes": {"description": "\\n \\u0041 \\x41 \\N{BULLET} $HOME `id` $(id) %s %(x)s ${x}"},
    "jinja as a name": {"project_name": "{{ curly }} {% braces %} {# hash #}"},
    "jinja that runs code": {"project_name": JINJA, "description": JINJA, "author": JINJA},
    "jinja that ends raw": {"description": "{% endraw %}{{ 7 * 7 }}{% raw %}"},
    "jinja of the template": {"description": "{{ cookiecutter.project_name }}"},
    "percent": {"project_name": "100% of %(it)s"},
    "cyrillic": {"project_name": "Мой магазин", "author": "Иван Петров"},
    "chinese": {"project_name": "我的商店", "author": "张伟", "description": "一个商店　服务"},
    "arabic": {"project_name": "متجري", "description": "متجر صغير"},
    "emoji": {"project_name": "Shop 🐍🛒", "description": "🚀" * 20},
    "accents": {"project_name": "Crème Brûlée", "author": "Zoë Müller"},
    "markup": {"project_name": "<script>alert(1)</script>", "description": "# [x](y) | `z` <!-- -->"},
    "toml and yaml": {"description": "x = 1 # y: - [a] {b} & *c ! | > '"},
    "commas": {"author": "Shops, Inc.; and <others> @ work"},
    "only dots": {"project_name": "My Shop", "author": "..."},
    "long": {"project_name": "My " + "very " * 90 + "long shop", "project_slug": "long-shop"},
    "longest names": {"project_slug": "a" * 40, "package_name": "b" * 40},
    "shell in names": {"project_name": "; rm -rf $HOME && echo | tee > x &"},
}
"""What must work."""

REFUSED = {
    "up": {"project_slug": "../up"},
    "far up": {"project_slug": "../../../tmp/up"},
    "absolute": {"project_slug": "/tmp/absolute"},
    "below": {"project_slug": "a/b/c"},
    "nothing": {"project_slug": ""},
    "no letters": {"project_name": "!!!"},
    "hidden": {"project_slug": ".git"},
    "option": {"project_slug": "-rf"},
    "keyword": {"project_name": "Class"},
    "standard library": {"project_name": "JSON"},
    "package elsewhere": {"package_name": "../../evil"},
    "line break": {"description": "one\ntwo"},
    "return": {"author": "x\r[project]"},
    "zero": {"description": "a\x1bb"},
    "too long": {"description": "x" * 501},
    "slug that is jinja": {"project_slug": JINJA},
    "package that is jinja": {"package_name": JINJA},
    "slug that is code": {"project_slug": f'x"; {CODE}; "'},
    "port that is code": {"port_base": CODE},
    "address that is code": {"index_url": f'http://x/"; {CODE}; "'},
}


BUILD = """
import os, sys
import setuptools_scm
from setuptools.build_meta import build_wheel

for folder in sys.argv[1:]:
    if not os.fork():
        os.chdir(folder)
        os.mkdir("dist")
        build_wheel("dist")
        os._exit(0)
    assert os.wait()[1] == 0, folder
"""
"""Builds many projects, each in a process of its own that need not start from the beginning."""


def metadata(project: Project) -> email.message.Message:
    """What the wheel of a project says about it."""
    (wheel,) = (project.folder / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        text = archive.read(name).decode()
    return email.message_from_string(text, policy=email.policy.default)


@pytest.fixture(scope="module")
def made(place: Path, quick: Oven, builder: Path) -> dict[str, Project]:
    """All of MADE, with a wheel of each."""
    orders = [
        (place / "made" / f"{number}", {"project_slug": "a-shop"} | answers)
        for number, answers in enumerate(MADE.values())
    ]
    projects = quick.bake_batch(orders)
    run(builder, "-c", BUILD, *(project.folder for project in projects), cwd=place, env=quick.env)
    return dict(zip(MADE, projects, strict=True))


@pytest.mark.parametrize("name", MADE)
def test_it_is_made_and_its_build_passes(made: dict[str, Project], name: str) -> None:
    answers, project = MADE[name], made[name]
    assert project.git("status", "--porcelain") == ""
    assert project.git("rev-list", "--count", "HEAD") == "1"
    about = metadata(project)
    if "description" in answers:
        assert about["Summary"].split() == answers["description"].split()
        assert answers["description"] in project.text("README.md")
    if "project_name" in answers:
        assert project.text("README.md").startswith(f"# {answers['project_name']}\n")
    assert not WAS_HERE.exists()


def test_nothing_is_written_beside_the_projects(made: dict[str, Project], place: Path) -> None:
    for project in made.values():
        assert list(project.folder.parent.iterdir()) == [project.folder]
    names = {path.name for path in (place / "made").iterdir()}
    numbers = range(len(MADE))
    assert names == {f"{number}{end}" for number in numbers for end in ("", ".log", ".code")}


def test_the_command_line_takes_the_same_text(quick: Oven, tmp_path: Path) -> None:
    name = '"' + JINJA + "\\ " + CODE
    project = quick.bake(tmp_path, project_slug="a-shop", project_name=name)
    assert project.text("README.md").startswith(f"# {name}\n")
    assert not WAS_HERE.exists()


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Мой магазин", "moi-magazin"),
        ("Crème Brûlée", "creme-brulee"),
        ("Bob's Shop", "bob-s-shop"),
        ("My  Shop!", "my-shop"),
    ],
)
def test_a_slug_is_proposed_for_any_letters(name: str, slug: str) -> None:
    slugify = create_env_with_context({"cookiecutter": {}}).filters["slugify"]
    assert slugify(name) == slug


@pytest.fixture(scope="module")
def refused(place: Path, quick: Oven) -> dict[str, Done]:
    """How all of REFUSED ended."""
    orders = [(place / "refused" / f"{number}" / "down", row) for number, row in enumerate(REFUSED.values())]
    return dict(zip(REFUSED, quick.try_bake_batch(orders), strict=True))


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_in_words(refused: dict[str, Done], name: str) -> None:
    done = refused[name]
    assert done.code == 1
    assert done.output.startswith("No project was made; nothing was written. Please correct:\n  - ")


def test_no_file_is_written_for_what_is_refused(refused: dict[str, Done], place: Path) -> None:
    assert len(refused) == len(REFUSED)
    for number in range(len(REFUSED)):
        folder = place / "refused" / f"{number}"
        assert {path.name for path in folder.rglob("*")} == {"down", "down.log", "down.code"}
    assert len(list((place / "refused").iterdir())) == len(REFUSED)
    assert not Path("/tmp/absolute").exists()
    assert not Path("/tmp/up").exists()
    assert not WAS_HERE.exists()


def test_one_refusal_tells_every_problem(quick: Oven, tmp_path: Path) -> None:
    done = quick.try_bake(tmp_path, project_slug="../x", port_base="1", email="x", author=" ")
    assert done.code == 1
    assert "Traceback" not in done.output
    for question in ("project_slug", "__port_base", "__email", "__author"):
        assert f"  - {question}: " in done.output
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_choice_says_what_there_is(quick: Oven, tmp_path: Path) -> None:
    done = quick.try_bake(tmp_path, flavour="perl")
    assert done.code != 0
    assert "perl" in done.output
    assert "tornado" in done.output
    assert list(tmp_path.iterdir()) == []

"""The rules for answers, one by one and without cookiecutter."""

from __future__ import annotations

import json
import runpy
import sys
from typing import Any

import pytest

from template.baking import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

RULES = runpy.run_path(str(ROOT / "hooks" / "answers.py"))
GOOD = {
    "project_name": "My Shop",
    "project_slug": "my-shop",
    "package_name": "my_shop",
    "flavour": "flask",
    "celery": False,
    "description": "A shop",
    "author": "Team",
    "email": "",
    "licence": "MIT",
    "python_min": "3.10",
    "port_base": "10000",
    "index_url": "http://index.internal:8080/simple/",
    "index_upload_url": "http://index.internal:8080/",
    "forge": "gitlab",
    "forge_url": "https://gitlab.com",
    "namespace": "",
    "visibility": "private",
    "create_repository": True,
    "command": "{venv_dir}/bin/gunicorn --bind {bind}:{port} x:app",
    "health": "/healthz",
    "requires": "",
}


def problems(**changes: Any) -> list[str]:
    """What is wrong with good answers after these changes."""
    found: list[str] = RULES["problems"](GOOD | changes)
    return found


def test_good_answers_have_no_problem() -> None:
    assert problems() == []


def test_every_question_has_a_prompt_in_words() -> None:
    questions = json.loads((ROOT / "cookiecutter.json").read_text("utf-8"))
    asked = {name for name in questions if not name.startswith("_")}
    assert asked == set(questions["__prompts__"])
    assert asked | set(RULES["TOLD"]) - {"checked"} == set(GOOD)
    assert len(asked) <= 8, "a person is asked no more"
    for name, prompt in questions["__prompts__"].items():
        if isinstance(prompt, dict):
            assert set(prompt) == {"__prompt__", *questions[name]}, name


@pytest.mark.parametrize(
    ("question", "answer", "why"),
    [
        ("project_slug", "", "must start with a letter"),
        ("project_slug", "../x", "must start with a letter"),
        ("project_slug", "/tmp/x", "must start with a letter"),
        ("project_slug", "a/b", "lower-case letters"),
        ("project_slug", ".", "must start with a letter"),
        ("project_slug", "..", "must start with a letter"),
        ("project_slug", "~", "must start with a letter"),
        ("project_slug", "-x", "must start with a letter"),
        ("project_slug", "a-", "lower-case letters"),
        ("project_slug", "a--b", "lower-case letters"),
        ("project_slug", "1st", "must start with a letter"),
        ("project_slug", "My-Shop", "lower-case letters"),
        ("project_slug", "shöp", "lower-case letters"),
        ("project_slug", "shop\n", "line break"),
        ("project_slug", "a" * 41, "has 41 characters"),
        ("project_slug", "class", "word of the Python language"),
        ("project_slug", "match", "word of the Python language"),
        ("project_slug", "json", "standard library"),
        ("project_slug", "this", "standard library"),
        ("project_slug", "flask", "needs itself"),
        ("project_slug", "tests", "needs itself"),
        ("package_name", "my-shop", "lower-case letters"),
        ("package_name", "lambda", "word of the Python language"),
        ("package_name", "email", "standard library"),
        ("package_name", "x.y", "lower-case letters"),
        ("flavour", "perl", "none of flask, django"),
        ("licence", "WTFPL", "none of Proprietary, MIT"),
        ("forge", "sourceforge", "none of gitlab, github, none"),
        ("port_base", "80", "1024 to 65000"),
        ("port_base", "65001", "1024 to 65000"),
        ("port_base", "eighty", "1024 to 65000"),
        ("port_base", "٨٨٠٠", "1024 to 65000"),
        ("project_name", " ", "is empty"),
        ("description", "two\nlines", "line break"),
        ("description", "bell \x07", "control character"),
        ("description", "x" * 501, "500 are allowed"),
        ("author", "\ud800", "control character"),
        ("email", "nobody", "no e-mail address"),
        ("email", 'a@b" c', "no e-mail address"),
        ("index_url", "index.internal", "must start with http"),
        ("index_url", "http://user:secret@index/simple/", "never from a file"),
        ("index_url", "http://index:port/", "no address"),
        ("index_url", 'http://index/"', "never needs"),
        ("forge_url", "ssh://git@example.com", "a user or a password"),
        ("namespace", "../x;y", "no user, group"),
        ("health", "healthz", "starts with /"),
        ("health", '/x" y', "starts with /"),
        ("command", "{python} -m x", "in braces only"),
        ("command", "{{ x }}", "in braces only"),
        ("command", "x ; y", "comment"),
        ("requires", "git+https://x", "no requirement"),
    ],
)
def test_it_is_refused_in_words(question: str, answer: str, why: str) -> None:
    found = problems(**{question: answer})
    assert any(problem.removeprefix("__").startswith(f"{question}:") and why in problem for problem in found), found


def test_what_is_not_asked_for_is_refused_by_the_name_to_type() -> None:
    assert problems(port_base="80") == ["__port_base: '80' must be a number from 1024 to 65000"]


WORDS = {
    "a question": ("flavour=django", []),
    "what is not asked for": ("__licence=MIT", []),
    "that without its underscores": ("licence=MIT", ["__licence: is not asked for; give it as __licence=..."]),
    "nothing that there is": ("flavor=django", ["flavor=: there is no such question"]),
    "an option": ("--output-dir=x", []),
    "a folder": ("/tmp/a=b", []),
}


@pytest.mark.parametrize(("word", "found"), WORDS.values(), ids=WORDS)
def test_a_word_that_cookiecutter_would_drop_is_refused(word: str, found: list[str]) -> None:
    assert RULES["problems"](GOOD, [word]) == found


def test_an_address_with_a_password_is_not_repeated() -> None:
    assert "secret" not in str(problems(index_url="http://user:secret@index/simple/"))


def test_all_problems_are_told_at_once() -> None:
    assert len(problems(project_slug="class", port_base="80", email="x", index_url="y")) == 4


def test_what_github_does_not_have_is_refused_for_github_only() -> None:
    assert problems(namespace="group/sub", visibility="internal") == []
    assert len(problems(namespace="group/sub", visibility="internal", forge="github")) == 2


@pytest.mark.parametrize("slug", ["httpbin-0.10.2", "Old_App", "2048", "json"])
def test_an_older_project_may_be_called_what_it_is(slug: str) -> None:
    package = slug.replace("-", "_").replace(".", "_")
    assert problems(flavour="init", project_slug=slug, package_name=package) == []


@pytest.mark.parametrize("slug", ["..", ".", "a/b", "/etc", "-f", ""])
def test_an_older_project_is_never_elsewhere(slug: str) -> None:
    assert problems(flavour="init", project_slug=slug)
    assert problems(flavour="init", package_name=f"x/{slug}")


@pytest.mark.parametrize("text", ['"', "\\", "'", '"""', "'''", "a\\nb", "ключ = 1", "# x", "{{ x }}", "🐍"])
def test_a_toml_string_is_the_text_that_it_was(text: str) -> None:
    assert tomllib.loads(f"x = {RULES['toml'](text)}") == {"x": text}
    assert tomllib.loads(f"x = {RULES['toml']([text, text])}") == {"x": [text, text]}


def test_requirements_are_split_between_and_not_within_them() -> None:
    assert RULES["requirements"]("gunicorn>=23,<24, gevent[x,y] ,a==1") == ["gunicorn>=23,<24", "gevent[x,y]", "a==1"]
    assert RULES["requirements"](" ") == []


def test_the_port_of_a_project_is_always_the_same_and_in_its_range() -> None:
    ports = [RULES["port_base"](f"shop-{number}") for number in range(500)]
    assert ports == [RULES["port_base"](f"shop-{number}") for number in range(500)]
    assert min(ports) >= 10000
    assert max(ports) <= 29900
    assert {port % 100 for port in ports} == {0}


@pytest.mark.parametrize(
    ("index", "upload"),
    [
        ("http://i:8080/simple/", "http://i:8080/"),
        ("http://i:8080/simple", "http://i:8080/"),
        ("https://i/team/simple/", "https://i/team/"),
        ("https://i/team/", "https://i/team/"),
    ],
)
def test_the_upload_address_follows_from_the_index(index: str, upload: str) -> None:
    assert RULES["upload_url"](index) == upload

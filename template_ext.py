"""What cookiecutter loads beside the template (`_extensions` in cookiecutter.json).

It gives the template its own words (the filters and functions of `hooks/answers.py`), tells the hooks
where the template lies, and keeps answers from being taken for Jinja.
"""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

from jinja2 import Environment
from jinja2.ext import Extension

ROOT = Path(__file__).resolve().parent
MARKS = ("{{", "{%", "{#")


class Root(Extension):
    """Adds `template_root`, `asks` and the template's own filters and functions."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        # Run afresh each time and not imported: `cruft update` renders two versions of the template
        # in one process, and each must meet its own rules.
        answers = runpy.run_path(str(ROOT / "hooks" / "answers.py"))
        environment.globals["template_root"] = str(ROOT)
        environment.globals["asks"] = "--no-input" not in sys.argv
        environment.globals.update(answers["FUNCTIONS"])
        environment.filters.update(answers["FILTERS"])

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        """Keep an answer with `{{` or `{%` in it as the text that it is.

        cookiecutter renders the answers given on the command line as Jinja, which would run what
        stands in them. A source without a name that is neither in cookiecutter.json nor a path or a
        hook of the template is such an answer.
        """
        if name is not None or not any(mark in source for mark in MARKS):
            return source
        if _is_of_the_template(source):
            return source
        return "{{ " + _as_literal(source) + " }}"


def _is_of_the_template(source: str) -> bool:
    defaults = json.loads((ROOT / "cookiecutter.json").read_text("utf-8")).values()
    if source in defaults or any(source in value for value in defaults if isinstance(value, list)):
        return True
    tree = ROOT / "{{cookiecutter.project_slug}}"
    paths = [str(path.relative_to(ROOT)) for path in (tree, *tree.rglob("*"))]
    paths += [path.removeprefix(tree.name + "/") for path in paths]
    # cookiecutter renders a folder with its output folder before it.
    for path in paths:
        before = source.removesuffix(path)
        if before != source and not any(mark in before for mark in MARKS):
            return True
    return any(source == hook.read_text("utf-8") for hook in (ROOT / "hooks").glob("*_project.py"))


def _as_literal(text: str) -> str:
    """A Jinja string of the text, its braces escaped so that no delimiter is left in it."""
    quoted = json.dumps(text, ensure_ascii=False)
    return quoted.replace("{", "\\u007b").replace("}", "\\u007d")

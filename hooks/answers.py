"""The answers to the template's questions: which are refused, and how they are written into files.

Run by `template_ext.py` (before anything is written) and by `pre_gen_project.py`. Standard library
only: it runs with whatever interpreter cookiecutter is installed in.
"""

from __future__ import annotations

import json
import keyword
import re
import subprocess
import sys
import unicodedata
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

QUESTIONS = json.loads((Path(__file__).parents[1] / "cookiecutter.json").read_text("utf-8"))
TOLD = [question.removeprefix("__") for question in QUESTIONS if re.fullmatch("__[a-z_]*[a-z]", question)]
"""What is not asked but has a default, which `__NAME=VALUE` on the command line changes."""
CHOICES = {
    question: answers
    for question, answers in QUESTIONS.items()
    if isinstance(answers, list) and not question.startswith("_")
} | {
    "licence": ["Proprietary", "MIT", "BSD-3-Clause", "Apache-2.0"],
    "python_min": ["3.10", "3.11", "3.12", "3.13"],
    "visibility": ["private", "internal", "public"],
}
FORGES = {"gitlab": "https://gitlab.com", "github": "https://github.com"}

# A project of that name would hide the module that it needs itself.
NEEDED = {
    "asgiref", "build", "django", "fabfile", "fabric", "fastapi", "flask", "gunicorn", "invoke",
    "jinja2", "celery", "mypy", "pip", "pytest", "releaselib", "ruff", "setuptools", "site", "src", "starlette",
    "supervisor", "test", "tests", "tornado", "uv", "uvicorn", "uvloop", "werkzeug", "wheel",
}  # fmt: skip
LONGEST_NAME = 40
LONGEST_TEXT = 500
NAME = re.compile(r"[a-z]([a-z0-9]|[-_](?=[a-z0-9]))*")
FOLDER = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?")
E_MAIL = re.compile(r"[A-Za-z0-9.!#$&'*+/=?^_`|~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
NAMESPACE = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*")
PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
REQUIREMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[A-Za-z0-9,._ -]+\])?[A-Za-z0-9.,<>=!~* +-]*")
BETWEEN_REQUIREMENTS = re.compile(r"\s*,\s*(?=[A-Za-z])(?![^\[]*\])")  # not in a>=1,<2 nor in a[b,c]


def plain(answers: Mapping[str, Any]) -> dict[str, Any]:
    """The answers by their names, also those that are not asked for (`__licence` is the licence)."""
    return {question.removeprefix("__"): answer for question, answer in answers.items()}


def problems(answers: Mapping[str, Any], words: Sequence[str] = ()) -> list[str]:
    """Every reason why no project can be made of the answers, each with its question; empty when it can.

    ``words`` are those of the command line, of which cookiecutter drops what it does not know.
    """
    found = _bad_words(words) + _bad_answers(plain(answers))
    return [f"__{line}" if line.partition(":")[0] in TOLD else line for line in found]


def _bad_words(words: Sequence[str]) -> list[str]:
    given = [found[1] for word in words if (found := re.match(r"([A-Za-z]\w*)=", word))]
    return [
        f"{name}: is not asked for; give it as __{name}=..." if name in TOLD else f"{name}=: there is no such question"
        for name in given
        if name not in QUESTIONS
    ]


def _bad_answers(answers: Mapping[str, Any]) -> list[str]:
    found = [
        f"{question}: {answers[question]!r} is none of {', '.join(right)}"
        for question, right in CHOICES.items()
        if answers[question] not in right
    ]
    found += _bad_text(answers)
    found += _bad_folder(answers) if answers["flavour"] == "init" else _bad_names(answers)
    found += _bad_port(str(answers["port_base"]))
    found += _bad_addresses(answers)
    found += _bad_release(answers)
    return found


def refusal(found: list[str]) -> str:
    """What a person reads when there are problems."""
    lines = ["No project was made; nothing was written. Please correct:"]
    return "\n".join(lines + [f"  - {problem}" for problem in found])


def refuse_bad(answers: Mapping[str, Any]) -> str:
    """Stop cookiecutter, in words, before it makes a folder; give nothing when all is well."""
    found = problems(answers, sys.argv[1:])
    if found:
        from cookiecutter.exceptions import FailedHookException  # type: ignore[import-untyped]

        raise FailedHookException(refusal(found))
    return ""


def _bad_text(answers: Mapping[str, Any]) -> list[str]:
    found = []
    for question, answer in answers.items():
        if question.startswith("_") or not isinstance(answer, str):
            continue
        if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in answer):
            found.append(f"{question}: holds a line break or another control character")
        if len(answer) > LONGEST_TEXT:
            found.append(f"{question}: has {len(answer)} characters; {LONGEST_TEXT} are allowed")
    for question in ("project_name", "author"):
        if not str(answers[question]).strip():
            found.append(f"{question}: is empty")
    return found


def _bad_names(answers: Mapping[str, Any]) -> list[str]:
    found = []
    for question, allowed in (("project_slug", "- and _"), ("package_name", "_")):
        name = str(answers[question])
        module = name.replace("-", "_") if question == "project_slug" else name
        if not NAME.fullmatch(name) or (question == "package_name" and "-" in name):
            why = f"must start with a letter and hold only lower-case letters, digits, {allowed}"
        elif len(name) > LONGEST_NAME:
            why = f"has {len(name)} characters; {LONGEST_NAME} are allowed"
        elif keyword.iskeyword(module) or keyword.issoftkeyword(module):
            why = "is a word of the Python language"
        elif module in sys.stdlib_module_names:
            why = "is a module of Python's standard library"
        elif module in NEEDED:
            why = "is the name of something that the project needs itself"
        else:
            continue
        found.append(f"{question}: {name!r} {why}")
    return found


def _bad_folder(answers: Mapping[str, Any]) -> list[str]:
    """Flavour init takes the folder that is there, but never one that is elsewhere."""
    found = []
    name, package = str(answers["project_slug"]), str(answers["package_name"])
    if not FOLDER.fullmatch(name):
        found.append(
            f"project_slug: {name!r} must be the name of the project's folder (letters, digits,"
            " . _ -); say where that folder lies with `-o`"
        )
    if not re.fullmatch(r"[A-Za-z0-9_]+", package):
        found.append(f"package_name: {package!r} is no name that can be imported")
    return found


def _bad_port(port: str) -> list[str]:
    if port.isascii() and port.isdigit() and 1024 <= int(port) <= 65000:
        return []
    return [f"port_base: {port!r} must be a number from 1024 to 65000"]


def _bad_addresses(answers: Mapping[str, Any]) -> list[str]:
    found = []
    questions = ["index_url", "index_upload_url"]
    if answers["forge"] != "none":
        questions.append("forge_url")
    for question in questions:
        found += [f"{question}: {why}" for why in _bad_address(str(answers[question]))]
    namespace = str(answers["namespace"])
    if namespace and not NAMESPACE.fullmatch(namespace):
        found.append(f"namespace: {namespace!r} is no user, group or organisation (group/subgroup)")
    if answers["forge"] == "github" and "/" in namespace:
        found.append(f"namespace: {namespace!r}: GitHub has no subgroups")
    if answers["forge"] == "github" and answers["visibility"] == "internal":
        found.append("visibility: on GitHub it is private or public")
    email = str(answers["email"])
    if email and not E_MAIL.fullmatch(email):
        found.append(f"email: {email!r} is no e-mail address; leave it empty if there is none")
    return found


def _bad_address(address: str) -> list[str]:
    try:
        parts = urlsplit(address)
        parts.port  # noqa: B018  raises ValueError when it is no number
    except ValueError as error:
        return [f"{address!r} is no address: {error}"]
    if parts.username or parts.password:
        return ["holds a user or a password; these come from the environment, never from a file"]
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return [f"{address!r} must start with http:// or https:// and a host"]
    if not re.fullmatch(r"[A-Za-z0-9:/._~\[\]-]+", address):
        return [f"{address!r} holds a character that an address of a server never needs"]
    return []


def _bad_release(answers: Mapping[str, Any]) -> list[str]:
    found = []
    if not re.fullmatch(r"/[A-Za-z0-9/._~?=&-]*", str(answers["health"])):
        found.append(f"health: {answers['health']!r} must be a path that starts with /, like /healthz")
    command = str(answers["command"])
    wrong = set(PLACEHOLDER.findall(command)) - {"venv_dir", "bind", "port"}
    if wrong or "{" in PLACEHOLDER.sub("", command) or "}" in PLACEHOLDER.sub("", command):
        found.append(f"command: {command!r} may hold {{venv_dir}}, {{bind}} and {{port}} in braces only")
    if " ;" in command:
        found.append(f"command: {command!r} holds ' ;', which supervisord takes for a comment")
    for requirement in requirements(str(answers["requires"])):
        if not REQUIREMENT.fullmatch(requirement):
            found.append(f"requires: {requirement!r} is no requirement like gunicorn>=23")
    return found


def requirements(text: str) -> list[str]:
    """Split "a>=1,<2, b" into "a>=1,<2" and "b"."""
    return [part for part in BETWEEN_REQUIREMENTS.split(text.strip(" ,")) if part]


def port_base(slug: str) -> int:
    """A first port that projects rarely share: 10000 to 29900, by the slug alone."""
    return 10000 + zlib.crc32(slug.encode()) % 200 * 100


def upload_url(index_url: str) -> str:
    """Where pypiserver takes uploads: the index without its simple/."""
    return index_url.rstrip("/").removesuffix("/simple") + "/"


def forge_url(forge: str) -> str:
    """The public server of a forge."""
    return FORGES.get(forge, "")


def toml(value: str | list[str]) -> str:
    """A TOML string or a list of them."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return f"[{', '.join(toml(one) for one in value)}]"


def supervisor_command(command: str) -> str:
    """The answer `command` as supervisord's template has it."""
    folder = "{{ venv_dir }}" if '"' in command or "'" in command else '"{{ venv_dir }}"'
    values = {"venv_dir": folder, "bind": "{{ bind }}", "port": "{{ port + number }}"}
    return PLACEHOLDER.sub(lambda found: values[found[1]], command.replace("%", "%%"))


def git_setting(name: str) -> str:
    """What git is told for that name (user.name), or nothing."""
    try:
        found = subprocess.run(["git", "config", "--get", name], capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return ""
    return found.stdout.strip()


FILTERS = {
    "forge_url": forge_url,
    "port_base": port_base,
    "requirements": requirements,
    "supervisor_command": supervisor_command,
    "toml": toml,
    "upload_url": upload_url,
}
FUNCTIONS = {"git_setting": git_setting, "refuse_bad": refuse_bad}

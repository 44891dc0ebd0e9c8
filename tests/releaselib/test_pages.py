"""The documentation says what can be typed: each command of it is one that there is, with the options that it has."""

from __future__ import annotations

import copy
import re
import shlex
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from invoke import Argument, ParseError, ParserContext
from invoke.parser import Parser

import real
from releaselib import config, pages
from releaselib.errors import ConfigError
from releaselib.tasks import namespace

TEXTS = {
    str(path.relative_to(real.ROOT)): path.read_text("utf-8")
    for path in (real.ROOT / "README.md", real.ROOT / "CHANGELOG.md", *sorted((real.ROOT / "docs").glob("*.md")))
}
FIRST_DAY = {
    "settings": "secrets", "migrations": "migrate", "static": "collectstatic", "by-hand": "fab host.shell",
    "programs": "schedule", "https": "certbot", "notifications": "post_switch", "hosts": "fab deploy --missing",
}  # fmt: skip
INITIAL = ParserContext(args=[Argument("list", kind=bool), Argument("help")])


def commands() -> list[tuple[str, str]]:
    """Every `fab` command of the documentation with its page: lines of a shell, and words in backticks."""
    found = []
    for name, text in TEXTS.items():
        blocks = re.findall(r"(?ms)^ *```sh\n(.*?)^ *```$", text)
        lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
        spans = re.findall(r"`([^`\n]+)`", re.sub(r"(?ms)^ *```.*?```$", "", text))
        for line in [*lines, *spans]:
            for part in re.split(r"\s[#|]\s|\s&&\s|;\s", re.sub(r"\s+#.*", "", line)):
                words = re.sub(r"^\s*([A-Z_]+=\S+\s+)*", "", part).strip()
                if re.match(r"fab [a-z-]", words):
                    found.append((name, words.replace("...", "")))
    return sorted(set(found))


@pytest.mark.parametrize(("page", "command"), commands())
def test_a_command_of_the_documentation_can_be_typed(page: str, command: str) -> None:
    words = shlex.split(command)[1:]
    if words[0].endswith("."):  # `fab version.*`
        pytest.skip("a group, not a command")
    tasks = copy.deepcopy(namespace)  # to read the options of a task takes their help out of it
    parser = Parser(tasks.to_contexts(), initial=INITIAL)
    if f"`{command}`" in TEXTS[page]:  # in a sentence a command may stand without its value
        with suppress(ParseError):
            parser.parse_argv([*words, "value"])
            return
    parsed = parser.parse_argv(words)
    assert [one.name for one in parsed[1:]] or words[0] in ("--list", "--help"), command


def test_the_commands_are_found_at_all() -> None:
    assert len(commands()) > 60
    assert ("docs/hosts.md", "fab release --stage production --exclude 10.0.0.7") in commands()


@pytest.mark.parametrize(("page", "words"), FIRST_DAY.items())
def test_each_question_of_the_first_day_has_a_page_in_the_library(page: str, words: str) -> None:
    assert page in pages.titles()
    assert words in pages.page(page)


def test_a_page_that_there_is_not_is_told_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match="there is no page 'setings'") as caught:
        pages.page("setings")
    assert "settings" in caught.value.next_step


TABLES = [
    (name, block)
    for name, text in TEXTS.items()
    for block in re.findall(r"(?ms)^ *```toml\n(.*?)^ *```$", text)
    if name != "docs/coming-from.md"  # these are released: tests/template
]


@pytest.mark.parametrize(("page", "block"), TABLES, ids=[f"{name}-{n}" for n, (name, _) in enumerate(TABLES)])
def test_a_table_of_the_documentation_is_one_that_release_toml_can_have(page: str, block: str, tmp_path: Path) -> None:
    lines = re.sub(r"(?m)^ {3}", "", block) if block.startswith("   ") else block
    hosts = 'app = ["10.0.0.[1:9]"]\n'
    if "[stages.production]" in lines and "\napp = " not in lines:
        lines = lines.replace("[stages.production]\n", f"[stages.production]\n{hosts}")
    elif "[stages.production" in lines and "[stages.production]" not in lines:
        lines = f"[stages.production]\n{hosts}\n{lines}"
    (tmp_path / "release.toml").write_text(lines)
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "my-shop"\nversion = "1"\n')
    assert config.load(tmp_path).name == "my-shop"


def test_the_pages_are_in_the_wheel(tmp_path: Path) -> None:
    shutil.copytree(real.ROOT / "releaselib", tmp_path / "releaselib")
    command = (sys.executable, "-m", "build", "--wheel", "--installer", "uv", "--outdir", str(tmp_path), ".")
    subprocess.run(command, cwd=tmp_path / "releaselib", check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    listed = subprocess.run([sys.executable, "-m", "zipfile", "-l", wheel], capture_output=True, text=True, check=True)
    assert "releaselib/docs/settings.md" in listed.stdout
    assert "releaselib/hosts/remote/static_lay.py" in listed.stdout

"""Results are read by people as text and by programs as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from releaselib.config.inventory import Host
from releaselib.output import as_json, harmless, show, table


@dataclass(frozen=True)
class Value:
    path: Path = Path("/srv")
    hosts: tuple[Host, ...] = (Host(address="h1"),)
    names: frozenset[str] = field(default_factory=lambda: frozenset("ba"))


def test_every_value_can_be_read_as_json() -> None:
    assert json.loads(as_json([Value()])) == [
        {"path": "/srv", "hosts": [{"address": "h1", "port": 22, "user": "", "env": {}}], "names": ["a", "b"]}
    ]


TABLES: dict[str, tuple[list[tuple[object, ...]], str]] = {
    "columns": ([("h1", 1), ("longer", 22)], "host    n\nh1      1\nlonger  22"),
    "no space at the end": ([("h1", "")], "host  n\nh1"),
    "no rows": ([], ""),
}


@pytest.mark.parametrize(("rows", "text"), TABLES.values(), ids=TABLES)
def test_a_table_is_as_wide_as_its_longest_cells(rows: list[tuple[object, ...]], text: str) -> None:
    assert table(("host", "n"), rows) == text


HARMLESS = {
    "words": ("größe\tx\ny", "größe\tx\ny"),
    "colours": ("\x1b[1;31mred\x1b[0m", "red"),
    "another title and the way back": ("a\x1b]0;pwned\x07b\rc\x08d", "a]0;pwnedbcd"),
    "ends of lines of another system": ("a\r\nb", "a\nb"),
    "eight-bit controls": ("a\x9b31mb", "a31mb"),
}


@pytest.mark.parametrize(("text", "left"), HARMLESS.values(), ids=HARMLESS)
def test_a_terminal_is_told_nothing_that_it_would_obey(
    text: str, left: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert harmless(text) == left
    show(text)
    assert capsys.readouterr().out == f"{left}\n"

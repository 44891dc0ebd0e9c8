"""Results are read by people as text and by programs as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from releaselib.config.inventory import Host
from releaselib.output import as_json, table


@dataclass(frozen=True)
class Value:
    path: Path = Path("/srv")
    hosts: tuple[Host, ...] = (Host(address="h1"),)
    names: frozenset[str] = field(default_factory=lambda: frozenset("ba"))


def test_every_value_can_be_read_as_json() -> None:
    assert json.loads(as_json([Value()])) == [
        {"path": "/srv", "hosts": [{"address": "h1", "port": 22, "user": ""}], "names": ["a", "b"]}
    ]


TABLES: dict[str, tuple[list[tuple[object, ...]], str]] = {
    "columns": ([("h1", 1), ("longer", 22)], "host    n\nh1      1\nlonger  22"),
    "no space at the end": ([("h1", "")], "host  n\nh1"),
    "no rows": ([], ""),
}


@pytest.mark.parametrize(("rows", "text"), TABLES.values(), ids=TABLES)
def test_a_table_is_as_wide_as_its_longest_cells(rows: list[tuple[object, ...]], text: str) -> None:
    assert table(("host", "n"), rows) == text

"""Results go to stdout and progress to stderr; programs read the results as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from releaselib.hosts import Host
from releaselib.output import Clock, as_json, say, set_quiet, show, table


def test_progress_goes_to_stderr_and_a_result_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    say("building")
    show("done")
    assert capsys.readouterr() == ("done\n", "building\n")


def test_quiet_silences_progress_and_no_result(capsys: pytest.CaptureFixture[str]) -> None:
    set_quiet(True)
    say("building")
    show("done")
    assert capsys.readouterr() == ("done\n", "")


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


def test_a_clock_tells_the_seconds_of_each_phase_in_order(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ticks = iter([10.0, 11.5, 14.0, 14.25, 99.0])
    monkeypatch.setattr("time.monotonic", lambda: next(ticks))
    clock = Clock()
    for name in ("check", "build", "check", ""):
        clock.phase(name)
    assert list(clock.seconds.items()) == [("check", 1.75), ("build", 2.5)]
    clock.phase("")
    assert list(clock.seconds) == ["check", "build"]
    assert capsys.readouterr().err == "[check]\n[build]\n[check]\n"

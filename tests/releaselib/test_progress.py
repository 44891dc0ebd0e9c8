"""Progress goes to stderr, and to whoever else listens; results go to stdout."""

from __future__ import annotations

from pathlib import Path

import pytest

import real
from releaselib import progress
from releaselib.errors import CommandFailed
from releaselib.hosts.connection import Remote
from releaselib.hosts.fleet import Fleet
from releaselib.output import show
from releaselib.progress import Clock, Event, say, set_quiet


def test_progress_goes_to_stderr_and_a_result_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    say("building")
    show("done")
    assert capsys.readouterr() == ("done\n", "building\n")


def test_quiet_silences_progress_and_no_result(capsys: pytest.CaptureFixture[str]) -> None:
    set_quiet(True)
    say("building")
    show("done")
    assert capsys.readouterr() == ("done\n", "")


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


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[Event]:
    """The events of a test."""
    events: list[Event] = []
    monkeypatch.setattr(progress, "listeners", [events.append])
    return events


def test_a_listener_hears_of_phases_and_words(heard: list[Event], capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    clock.phase("build")
    say("taken from the index")
    clock.phase("")
    assert [(event.kind, event.name, event.words) for event in heard] == [
        ("phase begun", "build", ""),
        ("words", "", "taken from the index"),
        ("phase ended", "build", ""),
    ]
    assert heard[-1].seconds > 0
    assert capsys.readouterr() == ("", "")


def test_a_listener_hears_of_every_host_how_long_it_took_and_how_it_failed(heard: list[Event]) -> None:
    def act(remote: Remote) -> None:
        raise CommandFailed("local: no route")

    stage = real.stage(Path("/shop"))
    Fleet(stage).each(stage.app, act)
    begun, ended = heard
    assert (begun.kind, begun.name) == ("host begun", "local")
    assert (ended.kind, ended.name, ended.words) == ("host ended", "local", "local: no route")
    assert ended.seconds >= begun.seconds == 0

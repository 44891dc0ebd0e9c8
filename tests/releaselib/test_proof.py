"""A switch is proved by requests through every proxy, as a visitor would send them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import real
from releaselib.decide.samples import Samples, doubts
from releaselib.errors import CommandFailed
from releaselib.hosts.connection import Remote, Running
from releaselib.hosts.fleet import Fleet
from releaselib.hosts.proof import ENOUGH, await_first, begin, end, switched

OLD, NEW = real.healthy("1.0"), real.healthy("2.0")


def remote(folder: Path, web: real.Web, **keys: Any) -> Remote:
    """A proxy whose site is that server."""
    table = {"port_base": web.port - 92, "server_name": "shop.example", **keys}
    fleet = Fleet(real.stage(folder, **table))
    return fleet.remote(fleet.stage.proxy[0])


def sampling(through: Remote) -> Running:
    running = begin(through)
    await_first(through, running)
    return running


DOUBTS: dict[str, tuple[Samples, list[str]]] = {
    "none when all is new after the switch": (Samples({"1.0": 4, "2.0": 1}, {"2.0": 20}, ()), []),
    "none when answers tell no version": (Samples({"-": 4}, {"-": 20}, ()), []),
    "an old answer after the switch": (
        Samples({"1.0": 4}, {"2.0": 19, "1.0": 1}, ()),
        ["1 answers from 1.0 after the switch"],
    ),
    "nothing after the switch": (Samples({"1.0": 4}, {}, ()), ["no answer after the switch"]),
    "a failure": (Samples({}, {"2.0": 20}, ("answered 502 after 0.01 s",)), ["failed: answered 502 after 0.01 s"]),
    "many failures, each once and five at most": (
        Samples({}, {"2.0": 20}, tuple(f"error {n % 7}" for n in range(40))),
        [f"failed: error {n}" for n in range(5)],
    ),
}


@pytest.mark.parametrize(("samples", "words"), DOUBTS.values(), ids=DOUBTS)
def test_samples_prove_a_switch_or_leave_doubts(samples: Samples, words: list[str]) -> None:
    assert doubts(samples, "2.0") == words


def test_failures_are_requests_too() -> None:
    assert Samples({"1.0": 4}, {"2.0": 20}, ("x",)).requests == 25


def test_requests_are_counted_by_version_before_and_after_the_switch(tmp_path: Path) -> None:
    with real.Web({"/healthz": OLD}) as web:
        running = sampling(remote(tmp_path, web))
        assert web.seen[0] == ("/healthz", "shop.example")
        web.pages["/healthz"] = NEW
        switched(running)
        samples = end(running)
    assert samples.during["1.0"] >= 1
    assert set(samples.after) == {"2.0"}
    assert samples.after["2.0"] >= ENOUGH
    assert samples.failed == ()
    assert samples.requests == len(web.seen)
    assert doubts(samples, "2.0") == []


def test_an_error_a_visitor_would_have_got_is_counted(tmp_path: Path) -> None:
    with real.Web({"/healthz": OLD}) as web:
        running = sampling(remote(tmp_path, web))
        web.pages["/healthz"] = (502, "bad gateway")
        switched(running)
        samples = end(running)
    assert samples.after == {}
    assert all(words.startswith("answered 502 Bad Gateway after ") for words in samples.failed)
    assert len(samples.failed) >= ENOUGH


def test_errors_of_an_old_release_that_failed_already_are_not_the_switchs(tmp_path: Path) -> None:
    with real.Web({"/healthz": (500, "broken")}) as web:
        running = sampling(remote(tmp_path, web))
        web.pages["/healthz"] = NEW
        switched(running)
        samples = end(running)
    assert samples.requests == len(web.seen)
    assert samples.ailing[0].startswith("answered 500")
    assert (samples.failed, doubts(samples, "2.0")) == ((), [])
    assert samples.all_new.failed == samples.ailing, "unless there was no old one"


STATUS = {
    "a login is asked for, as it should be": (401, 401, 401, True),
    "a login is asked for, which nobody expects": (200, 200, 401, False),
    "the new release sends visitors elsewhere": (200, 200, 301, False),
    "both releases do": (200, 301, 301, True),
    "both releases do, each elsewhere": (200, 301, 302, False),
}


@pytest.mark.parametrize(("wanted", "old", "new", "good"), STATUS.values(), ids=STATUS)
def test_what_is_a_good_answer_is_what_the_project_and_the_old_release_say(
    tmp_path: Path, wanted: int, old: int, new: int, good: bool
) -> None:
    with real.Web({"/healthz": (old, "")}) as web:
        running = sampling(remote(tmp_path, web, health_status=wanted, health_version=False))
        web.pages["/healthz"] = (new, "")
        switched(running)
        samples = end(running)
    assert (not samples.failed) == good, samples.failed


def test_sampling_that_cannot_start_is_told_with_the_host(tmp_path: Path) -> None:
    with real.Web({}) as web, pytest.raises(CommandFailed) as caught:
        sampling(remote(tmp_path, web, python="9.9"))
    assert caught.value.what == "local: sampling does not start"
    assert caught.value.cause == "no Python 9.9 on this host"

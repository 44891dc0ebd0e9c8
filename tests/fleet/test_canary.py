"""A release that is watched: some hosts have their share of visitors first, or all come back by themselves."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from releaselib.actions import canary, release, switching
from releaselib.decide.release import Wanted
from rig import wait_for
from rig.visitors import Visitors

from .shop import FOLDER, Shop, once

pytestmark = pytest.mark.hosts

CANARY: dict[str, Any] = {"canary": 1, "canary_seconds": 3}
WATCHED: dict[str, Any] = {"auto_rollback": True, "watch_seconds": 8}


@contextmanager
def readers(shop: Shop) -> Iterator[Visitors]:
    """Visitors of the page, who get what is wrong with it."""
    with Visitors([host.address for host in shop.proxy], "/", ["new"] * 3) as made:
        yield made


def wanted(shop: Shop, **options: Any) -> Wanted:
    """A release of the version that visitors do not get."""
    return Wanted(version=shop.other, ref=shop.other, **options)


@pytest.fixture(autouse=True)
def as_usual(shop: Shop) -> Iterator[None]:
    """With other settings of the watch nginx has another configuration, and comes back to its own."""
    yield
    with shop.reloading():
        release.sync_proxies(shop.configured(), "test")


def test_a_good_canary_is_followed_by_all(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    (old,), new = shop.served(), shop.other
    with shop.reloading(), readers(shop) as seen:
        report = release.release(shop.configured(**CANARY), "test", wanted(shop))
    assert (report.version, report.failed, shop.served(), seen.failed) == (new, 0, {new}, [])
    said = capsys.readouterr().err
    assert f"canary: {shop.app[0].address} get their share of visitors for 3 s" in said
    told = re.search(r"canary: (\d+) requests, 0 of them 5xx \(0.0%\).*\nold release: (\d+) requests, 0 of", said)
    assert told
    assert 0 < int(told[1]) < int(told[2]), "one host of four has the smaller share"
    assert old != new
    assert "look at" not in shop.status()


def test_a_bad_canary_comes_back_by_itself(shop: Shop) -> None:
    before = shop.served()
    with shop.reloading(), readers(shop) as seen, shop.wrong("errors", *shop.app):
        text = shop.failed(6, release.release, wanted(shop), stage=CANARY | {"canary_seconds": 60})
        assert shop.served() == before
        failed = len(seen.failed)
        wait = len(seen.answers)
        wait_for(lambda: len(seen.answers) > wait + 100, "a hundred more answers")
        assert len(seen.failed) == failed, "nobody gets the canary any more"
    assert f"canary: {shop.other} is worse for visitors than the old release; all visitors get the old" in text
    assert re.search(r"\d+.\d% of the answers are 5xx \(bound: 1%, old release: 0.0%\)", text)
    assert 0 < failed < len(seen.answers) / 5
    with shop.reloading():
        shop.release_again(shop.other)
    assert "look at" not in shop.status()


def test_a_canary_alone_waits_for_the_switch(shop: Shop) -> None:
    before, new = shop.served(), shop.other
    with shop.reloading(), readers(shop):
        release.release(shop.configured(**CANARY), "test", wanted(shop, canary_only=True))
        assert shop.served() <= {*before, new}
        note = f"slot {shop.idle} has the canary's share of visitors: fab switch --stage test --slot {shop.idle}, or"
        assert f"{note} fab rollback --stage test" in shop.status()
        report = release.switch(shop.configured(**CANARY), "test")
    assert (report.version, report.failed, shop.served()) == (new, 0, {new})
    assert "look at" not in shop.status()


def test_a_proxy_that_dies_during_the_canary_leaves_no_canary_on_the_others(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, (kept, lost) = shop.served(), shop.proxy
    once(monkeypatch, canary, "worse", lost.power_off)
    with shop.mortal(lost), shop.reloading():
        text = shop.failed(5, release.release, wanted(shop), stage=CANARY | {"canary_seconds": 60})
        assert f"what visitors get cannot be watched; in doubt: 1 of 2 proxies; {lost.address}:" in text
        assert not (kept.root / FOLDER / "nginx/canary").is_symlink()
    assert shop.served() == before
    with shop.reloading():
        shop.release_again(shop.other)
    assert "look at" not in shop.status()


def test_a_proxy_that_dies_while_the_release_is_watched_is_no_secret(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    new, lost = shop.other, shop.proxy[1]
    once(monkeypatch, switching, "failing", lost.power_off)
    with shop.mortal(lost), shop.reloading():
        text = shop.failed(5, release.release, wanted(shop), stage=WATCHED | {"watch_seconds": 60})
        assert f"nginx sends visitors to slot {shop.live} ({new}), but what they get could not be watched" in text
        assert lost.address in text
    assert shop.served() == {new}


def test_a_canary_alone_can_be_taken_back(shop: Shop) -> None:
    before, new = shop.served(), shop.other
    with shop.reloading(), readers(shop):
        release.release(shop.configured(**CANARY), "test", wanted(shop, canary_only=True))
        report = release.rollback(shop.configured(**CANARY), "test")
        begun = time.monotonic()
    assert ({report.version}, shop.served()) == (before, before)
    assert set(shop.visitors.since(begun)) <= before, new
    assert "look at" not in shop.status()


def test_a_release_that_is_bad_for_visitors_is_taken_back_by_itself(shop: Shop) -> None:
    before = shop.served()
    with shop.reloading(), readers(shop) as seen, shop.wrong("errors", *shop.app):
        text = shop.failed(5, release.release, wanted(shop), stage=WATCHED)
    assert shop.served() == before
    assert f"{shop.other} went wrong for visitors; all visitors get {before.pop()} again" in text
    assert "% of the answers are 5xx (bound: 1%, old release: 0.0%)" in text
    assert f"fab host.logs --stage test --slot {shop.idle}" in text
    assert seen.failed
    report = shop.release_again(shop.other, **WATCHED)
    assert report.failed == 0
    assert "look at" not in shop.status()


MENDS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "a rollback": (release.rollback, {}),
    "a release that is watched": (release.release, WATCHED | {"watch_seconds": 1}),
}
if os.environ.get("FAULTS") == "all":
    MENDS |= {
        "a release": (release.release, {}),
        "a rollback that is watched": (release.rollback, WATCHED | {"watch_seconds": 1}),
    }


@pytest.mark.parametrize(("act", "settings"), MENDS.values(), ids=MENDS)
def test_what_mends_a_broken_release_is_not_blamed_for_its_errors(
    shop: Shop, capsys: pytest.CaptureFixture[str], act: Callable[..., Any], settings: dict[str, Any]
) -> None:
    shop.release_again(shop.other)
    good, broken, words = shop.other, shop.live, [wanted(shop)] * (act is release.release)
    with shop.losing(), shop.reloading():
        for host in shop.app:
            (host.root / "srv/faults").write_text(f"{broken} unhealthy\n")
        try:
            report = act(shop.configured(**settings), "test", *words)
        finally:
            for host in shop.app:
                (host.root / "srv/faults").unlink()
    assert (shop.served(), report.failed) == ({good}, 0)
    assert re.search(r"the old release failed \d+ requests, until the switch", capsys.readouterr().err)

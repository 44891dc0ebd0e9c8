"""Programs beside the app: a worker that may not run twice on a host, and one that only one host of the stage has."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from releaselib import move_programs
from releaselib.actions import release
from releaselib.config.programs import Program
from releaselib.decide.release import Wanted
from rig import wait_for

from .shop import FOLDER, Shop

pytestmark = pytest.mark.hosts

WORK = """#!/bin/sh
# Records from when to when it ran, by the clock that all hosts share; it takes a moment to end.
now() { cut -d ' ' -f 1 /proc/uptime; }
[ ! -e /srv/refuse ] || [ "$(cat /srv/refuse)" != "$RELEASE_SLOT" ] || { echo "no queue"; exit 1; }
record() { echo "$1 $2 $RELEASE_SLOT $(now)" >>/srv/worked; }
record "$1" begins
trap 'sleep 0.5; record "$1" ends; exit 0' TERM
while :; do sleep 0.1; done
"""


@pytest.fixture
def programs(shop: Shop) -> Iterator[dict[str, Any]]:
    """A stage with a worker on two hosts, and a clock on one of all; afterwards the shop has none again."""
    for host in shop.app:
        (host.root / "srv/work.sh").write_text(WORK)
    pair = tuple(host.address for host in shop.app[:2])
    yield {
        "programs": {
            "worker": Program(
                command="sh /srv/work.sh worker", hosts=pair, live_only=True, health="test -s /srv/worked"
            ),
            "clock": Program(command="sh /srv/work.sh clock", one_host=True, stop_seconds=60),
        }
    }
    for _ in "ab":
        shop.release_again(shop.other)


def spans(shop: Shop, name: str) -> list[tuple[float, float, str, str]]:
    """From when to when a program ran, in which slot, on which host; in the order of its beginnings."""
    found = []
    for host in shop.app:
        file = host.root / "srv/worked"
        lines = [line.split() for line in file.read_text().splitlines()] if file.exists() else []
        mine = [line[1:] for line in lines if line[0] == name]
        assert [what for what, *_ in mine] == [("begins", "ends")[n % 2] for n in range(len(mine))], "it ran twice"
        ends = [*(float(at) for _, _, at in mine[1::2]), float("inf")]
        found += [(float(at), end, slot, host.address) for (_, slot, at), end in zip(mine[::2], ends, strict=False)]
    return sorted(found)


def at_work(shop: Shop, name: str) -> list[tuple[str, str]]:
    """Slot and host of what runs now."""
    return sorted((slot, host) for _, end, slot, host in spans(shop, name) if end == float("inf"))


def wanted(shop: Shop) -> Wanted:
    return Wanted(version=shop.other, ref=shop.other)


def test_what_runs_in_the_live_slot_only_never_runs_twice(shop: Shop, programs: dict[str, Any]) -> None:
    pair = [host.address for host in shop.app[:2]]
    for act in (release.release, release.release, release.rollback):
        words = [wanted(shop)] if act is release.release else []
        assert act(shop.configured(**programs), "test", *words).failed == 0
        assert at_work(shop, "worker") == [(shop.live, host) for host in pair]
        assert len(at_work(shop, "clock")) == 1
    ((slot, first),) = at_work(shop, "clock")
    assert slot == shop.live
    said = move_programs(shop.configured(**programs), "test", to=shop.app[3].address)
    assert said == f"worker, clock run in slot {slot}"
    assert at_work(shop, "clock") == [(slot, shop.app[3].address)]
    assert shop.app[3].address != first
    runs = spans(shop, "clock")
    assert all(end <= begin for (_, end, *_), (begin, *_) in itertools.pairwise(runs)), runs
    lost = shop.app[3]
    with shop.mortal(lost):
        lost.power_off()
        (lost.root / "srv/worked").unlink()
    wait_for(lambda: at_work(shop, "clock") == [(slot, lost.address)], "the clock to be at work after the restart")
    wait_for(lambda: shop.is_up(lost, shop.idle), "the warm slot to be up")
    assert at_work(shop, "clock") == [(slot, lost.address)], "it is not at work in the warm slot"


def test_a_worker_that_does_not_start_takes_the_release_back(shop: Shop, programs: dict[str, Any]) -> None:
    release.release(shop.configured(**programs), "test", wanted(shop))
    version, live, broken = shop.served(), shop.live, shop.app[1]
    (broken.root / "srv/refuse").write_text(shop.idle)
    text = shop.failed(5, release.release, wanted(shop), stage=programs)
    (broken.root / "srv/refuse").unlink()
    assert (
        f"take_over: {shop.other} was taken back: worker, clock did not take over on 1 of 4 hosts; all visitors get"
        in text
    )
    assert f"{broken.address}: not every process became healthy" in text
    assert "no queue" in text
    assert shop.served() == version
    assert at_work(shop, "worker") == [(live, host.address) for host in shop.app[:2]]
    assert [slot for slot, _ in at_work(shop, "clock")] == [live]
    assert (broken.root / FOLDER / "slots" / live / "live").exists()
    assert "look at" not in str(shop.status())

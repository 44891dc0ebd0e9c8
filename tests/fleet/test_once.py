"""Commands that run once for a release: where, when and how often, and what visitors get when one fails."""

from __future__ import annotations

from typing import Any

import pytest

from releaselib.actions import release
from releaselib.config.app import Once
from releaselib.decide.release import Wanted

from .shop import FOLDER, Shop

pytestmark = pytest.mark.hosts

RECORD = 'echo "$RELEASE_VERSION" >> /srv/ran'


def ran(shop: Shop) -> dict[str, list[str]]:
    """What was recorded on each app host on which something was, which is forgotten then."""
    files = {host.address: host.root / "srv/ran" for host in shop.app}
    found = {address: file.read_text().split() for address, file in files.items() if file.exists()}
    for file in files.values():
        file.unlink(missing_ok=True)
    return found


def migrating(command: str = RECORD, **keys: Any) -> dict[str, Any]:
    """A stage with one such command."""
    return {"run": {"migrate": Once(command=command, **keys)}}


def wanted(shop: Shop) -> Wanted:
    return Wanted(version=shop.other, ref=shop.other)


def test_a_release_runs_its_commands_once_and_a_rollback_none(shop: Shop) -> None:
    new, stage = shop.other, migrating()
    once = wanted(shop)
    release.deploy(shop.configured(**stage), "test", Wanted(version=new, slot=shop.idle))
    assert ran(shop) == {}, "a deploy switches nothing"
    assert release.switch(shop.configured(**stage), "test").failed == 0
    for _ in "again", "and again":
        assert release.release(shop.configured(**stage), "test", once).failed == 0
    found = ran(shop)
    assert (list(found.values()), shop.served()) == ([[new]], {new}), "on one host, once"
    assert release.rollback(shop.configured(**stage), "test").failed == 0
    assert release.switch(shop.configured(**stage), "test").failed == 0
    assert ran(shop) == {}
    assert shop.events().count("ran") == 1


@pytest.mark.parametrize("when", ["before_start", "before_switch"])
def test_a_command_that_fails_leaves_visitors_with_the_old_release(shop: Shop, when: str) -> None:
    old, new = shop.served(), shop.other
    shop.empty(*shop.app)
    stage = migrating("echo no such column; exit 3", when=when, always=True)
    text = shop.refused(6, release.release, wanted(shop), stage=stage)
    assert f"1 of 1 hosts failed: migrate; visitors get {''.join(old)}" in text
    assert "no such column" in text
    assert shop.release_again(new, **migrating(when=when, always=True)).failed == 0
    assert list(ran(shop).values()) == [[new]]


def test_a_command_before_the_start_runs_when_nothing_of_the_slot_runs(shop: Shop) -> None:
    pid = f"/{FOLDER}/slots/{shop.idle}/run/supervisord.pid"
    shop.empty(*shop.app)
    stage = migrating(f"test ! -e {pid} && {RECORD}", when="before_start", on="all", always=True)
    new = shop.other
    assert len(shop.release_again(new, **stage).hosts) == len(shop.app)
    assert ran(shop) == {host.address: [new] for host in shop.app}


def test_a_switch_to_what_was_never_started_runs_first_what_is_missing(shop: Shop) -> None:
    def preparing(command: str) -> dict[str, Any]:
        return {"run": {"prepare": Once(command=command, when="before_start")}}  # which has run for no release yet

    new, idle = shop.other, shop.idle
    shop.empty(*shop.app)
    shop.refused(6, release.deploy, Wanted(version=new, slot=idle), stage=preparing("exit 3"))
    shop.refused(6, release.switch, Wanted(slot=idle), stage=preparing("exit 3"))
    assert release.switch(shop.configured(**preparing(RECORD)), "test", Wanted(slot=idle)).failed == 0
    assert (list(ran(shop).values()), shop.served()) == ([[new]], {new})
    assert release.switch(shop.configured(**preparing("exit 3")), "test").failed == 0, "the other slot runs already"


def test_a_program_that_is_to_run_after_the_switch_is_looked_for_before_it(shop: Shop) -> None:
    shop.empty(*shop.app)
    stage = migrating("no-such-program --now", when="after_switch", always=True)
    text = shop.refused(6, release.release, wanted(shop), stage=stage)
    assert "no-such-program is not there" in text


def test_a_command_after_the_switch_that_fails_says_that_visitors_get_the_new_release(shop: Shop) -> None:
    new = shop.other
    text = shop.failed(5, release.release, wanted(shop), stage=migrating("exit 1", when="after_switch", always=True))
    assert f"migrate; visitors get {new}" in text
    assert shop.served() == {new}

"""A controller that ends in the middle of its work, and two at work at once: visitors notice nothing of it."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from releaselib.decide.journal import KINDS
from rig import wait_for
from rig.ground import NETNS

from .shop import Shop, edited

pytestmark = pytest.mark.hosts

HARMED = str(Path(__file__).with_name("harmed.py"))
BOUNDARIES = [f"{side} {event}" for event in KINDS if event not in ("failed", "ran") for side in ("before", "after")]
"""Before and after each event that a release tells the journal, in order."""
SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
ALL = os.environ.get("FAULTS") == "all"
SEEDS = 200 if ALL else 2


Words = Callable[[str], list[str]]


def to(version: str) -> list[str]:
    """The words of a release of a version that is on the index."""
    return ["release", "--stage", "test", "--version", version, "--ref", version]


BACK = ["rollback", "--stage", "test"]


def begun(shop: Shop, *argv: str, prefix: Sequence[str] = ()) -> subprocess.Popen[str]:
    """A program of the team, at work."""
    return subprocess.Popen(
        [*prefix, sys.executable, *argv],
        cwd=shop.project.folder,
        env=shop.world.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def harm(shop: Shop, number: str, moment: str, words: Sequence[str]) -> tuple[int, str]:
    """How a command ends that gets a signal at a moment, and what it said."""
    process = begun(shop, HARMED, number, moment, *words)
    text, _ = process.communicate()
    return process.returncode, text


def kill(shop: Shop, moment: str, words: Sequence[str]) -> None:
    """Kill a command at a moment; its lock is free."""
    code, text = harm(shop, "SIGKILL", moment, words)
    assert code == -signal.SIGKILL, text
    wait_for(shop.is_free, "the lock to be free")


@contextmanager
def stopped(shop: Shop, moment: str, words: Sequence[str], *prefix: str) -> Iterator[subprocess.Popen[str]]:
    """A command that stands still at a moment, and goes on at the end of the block."""
    process = begun(shop, HARMED, "SIGSTOP", moment, *words, prefix=prefix)
    try:
        wait_for(lambda: state(process.pid) in "TZ", "it to stand still", seconds=60)
        assert state(process.pid) == "T", process.communicate()[0]
        yield process
    finally:
        process.send_signal(signal.SIGCONT)


def state(pid: int) -> str:
    """The state of a process as the kernel has it."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


# --- killed


@pytest.mark.parametrize("moment", BOUNDARIES)
def test_a_release_that_is_killed_at_any_event_is_gone_on_with_or_taken_back(shop: Shop, moment: str) -> None:
    place = BOUNDARIES.index(moment)
    was_staged, was_switched = (place >= BOUNDARIES.index(one) for one in ("before staged", "before switched"))
    for goes_on in (True, False) if ALL else (place % 2 == 0,):
        (old,), new = shop.served(), shop.other
        shop.empty(*shop.app)
        kill(shop, moment, to(new))
        assert shop.served() == {new if was_switched else old}
        cut_off = re.search(
            rf"release {new} by \S+ \(\S+\) was cut off: run it again(, or fab rollback)?", shop.status()
        )
        assert bool(cut_off) == (moment not in ("before began", "after done"))
        if moment == "after began":
            assert cut_off
            assert not cut_off[1], "nothing was changed yet, so a rollback would lead further back"
            goes_on = True
        built = shop.counted()
        shop.project.fab(*(to(new) if goes_on else BACK))
        assert shop.served() == {new if goes_on else old}
        if goes_on and cut_off:
            assert len(built()) == (0 if was_staged else len(shop.app)), "only what is missing is done"
        assert "look at" not in shop.status()


@pytest.mark.parametrize("words", [to, lambda _: BACK], ids=["again", "back"])
def test_a_switch_that_is_killed_between_two_proxies_is_gone_on_with_or_taken_back(shop: Shop, words: Words) -> None:
    version = shop.warm()
    before = shop.served()
    with edited(shop.project.folder / "release.toml", "\nlisten = ", "\nparallel = 1\nlisten = "):
        kill(shop, f"nginx_switch.sh on {shop.proxy[1].address}", to(version))
    assert shop.served() == {version, *before}
    assert "the proxies do not agree" in shop.status()
    shop.project.fab(*words(version))
    assert shop.served() == ({version} if words is to else before)
    assert "look at" not in shop.status()


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_command_that_is_killed_at_a_random_moment_is_gone_on_with_or_taken_back(shop: Shop, seed: int) -> None:
    dice = random.Random(seed)
    first = to(shop.other)
    if dice.random() < 0.3:  # the same of a rollback
        shop.release_again(shop.other)
        first = BACK
    elif dice.random() < 0.5:
        shop.empty(*shop.app)
    process = begun(shop, "-m", "fabric", *first)
    with suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=dice.uniform(0.2, 1.5 if first is BACK else 4))
    process.kill()
    process.communicate()
    wait_for(shop.is_free, "the lock to be free")
    assert shop.served() <= {*shop.versions}
    way_out = dice.choice([first, BACK]) if "was cut off" in shop.status() else to(shop.other)
    shop.project.fab(*way_out)
    assert len(shop.served()) == 1
    assert "look at" not in shop.status()


# --- told to end


@pytest.mark.parametrize("number", SIGNALS)
def test_a_release_that_is_told_to_end_does_so_at_once_and_switches_nothing(shop: Shop, number: str) -> None:
    code = 128 + getattr(signal, number)
    moments = ("in lock", "in check", "in stage", f"slot_stage.sh on {shop.app[2].address}", "in switch")
    for moment in moments if ALL else moments[SIGNALS.index(number) :: len(SIGNALS)]:
        before = shop.served()
        shop.empty(*shop.app)
        ended, text = harm(shop, number, moment, to(shop.other))
        assert (ended, shop.served()) == (code, before), (moment, text)
        assert "interrupted; fab status --stage test shows what is where" in text
        wait_for(shop.is_free, "the lock to be free")
        assert "was cut off" not in shop.status(), moment
    assert shop.release_again(shop.other)


@pytest.mark.parametrize("moment", ["in build", "in publish"])
def test_a_release_that_is_told_to_end_while_it_makes_a_version_is_just_run_again(shop: Shop, moment: str) -> None:
    shop.project.commit("Work")
    before = shop.state()
    ended, text = harm(shop, "SIGTERM", moment, ["release", "--stage", "test"])
    assert ended == 128 + signal.SIGTERM, text
    assert shop.state()[1:] == before[1:]
    shop.project.fab("release", "--stage", "test")
    shop.versions.append(*shop.served())


@pytest.mark.parametrize("number", SIGNALS)
def test_a_switch_is_never_interrupted(shop: Shop, number: str) -> None:
    version = shop.warm()
    ended, text = harm(shop, number, f"nginx_switch.sh on {shop.proxy[0].address}", to(version))
    assert (ended, shop.served()) == (128 + getattr(signal, number), {version}), text
    assert shop.events()[-3:] == ["switching", "switched", "failed"]
    assert shop.release_again(version), "which proves it"


def test_until_the_switch_begins_it_can_be_interrupted(shop: Shop) -> None:
    """Also while it is written down, for which a lock host that hangs would have to be waited for."""
    version, before = shop.warm(), shop.served()
    ended, text = harm(shop, "SIGINT", "before switching", to(version))
    assert (ended, shop.served()) == (130, before), text
    assert shop.events()[-1] == "failed"
    assert "look at" not in shop.status()


# --- two at once


@pytest.mark.parametrize("words", [to, lambda _: BACK], ids=["release", "rollback"])
def test_while_a_release_is_at_work_nobody_else_begins(shop: Shop, words: Words) -> None:
    version, events = shop.warm(), shop.events()
    with stopped(shop, "in switch", to(version)) as first:
        second = shop.project.fab(*words(version), check=False)
        assert second.returncode == 4, second.stderr
        assert re.search(rf"error: lock: stage test is locked by \S+ since \S+: release {version}", second.stderr)
        assert first.poll() is None
        assert re.search(rf"look at: stage test is locked by \S+ since \S+: release {version}", shop.status())
        third = begun(shop, "-m", "fabric", *BACK, "--wait", "60")
        assert third.stdout
        assert "waiting for up to 60 s" in third.stdout.readline() + third.stdout.readline()
    assert [one.wait(60) for one in (first, third)] == [0, 0]
    back = ["began", "switching", "switched", "done"]
    assert shop.events()[len(events) :] == [*back[:1], "staged", *back[1:], *back]
    assert shop.served() != {version}, "it was taken back"


def test_a_holder_that_was_cut_off_and_comes_back_can_do_no_harm(shop: Shop) -> None:
    desk = shop.world.fleet.add("desk")
    version = shop.warm()
    (before,) = shop.served()
    try:
        with stopped(shop, "after switching", to(version), "nsenter", f"--net={NETNS / desk.netns}") as first:
            desk.cut()
            shop.project.fab(*BACK, "--wait", "60")
            assert shop.served() == {before}
            desk.heal()
            first.send_signal(signal.SIGCONT)
            text, _ = first.communicate(timeout=120)
    finally:
        desk.heal()
    assert first.returncode == 5, text
    assert "somebody else" in text
    assert shop.served() == {before}
    assert shop.events()[-1] == "done", "it writes into no journal"
    assert "look at" not in shop.status()


def test_a_frozen_stage_is_released_to_by_nobody_until_it_is_let_go(shop: Shop) -> None:
    version = shop.warm()
    shop.project.fab("lock.hold", "--stage", "test", "--why", "the fair is on")
    for words in (to(version), BACK, ["deploy", "--stage", "test"]):
        refused = shop.project.fab(*words, check=False)
        assert refused.returncode == 4
        assert "the fair is on" in refused.stderr
        assert "fab lock.release --stage test" in refused.stderr
    assert "the fair is on" in shop.status()
    shop.project.fab("lock.release", "--stage", "test")
    assert shop.release_again(version)
    assert "the fair is on" not in shop.status()

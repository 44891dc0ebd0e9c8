"""The lock of a stage, which cannot outlive its holder, and through it the journal is written.

A held channel to each lock host holds a lock there (flock). It is free when the channel ends, and when its
holder, who sends a pulse every few seconds, is not heard any more. Each lock has a number that only grows:
every script that changes something carries it as its *fence*, and a host that has seen a higher one refuses
it. So a holder that was cut off and lives on can do no harm.
"""

import json
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from releaselib.config.inventory import Host
from releaselib.config.stage import Stage
from releaselib.decide.journal import History
from releaselib.errors import CommandFailed, Locked
from releaselib.hosts.connection import Running, Unreachable
from releaselib.hosts.fleet import Fleet, nothing
from releaselib.hosts.held import Lock
from releaselib.hosts.scripts import call, start
from releaselib.progress import patience, say

HELD = 75
PATIENCE = 15
"""Seconds without one after which a host gives the lock up."""
COPIED = 5000
"""Events of a journal that a host gets which is new."""


@contextmanager
def hold(fleet: Fleet, holder: str = "somebody", *, wait: float = 0, frozen: bool = False) -> Iterator[Lock]:
    """Hold the lock of the stage for the length of a ``with`` block, waiting for it up to ``wait`` seconds.

    ``holder`` is what others are told: who, since when and for what.

    Raises Locked with who holds it, since when and for what; also while the stage is frozen, unless ``frozen``
    says that this may be.
    """
    lock = _waited_for(fleet, holder, wait)
    try:
        if lock.frozen and not frozen:
            raise frozen_by(fleet.stage, lock.frozen)
        _number(fleet, lock, [host for host, one in lock.found.items() if one["kept"] != lock.fence])
        _copy_journal(fleet, lock)
        fleet.outnumber = partial(_outnumber, fleet, lock)
        yield lock
    finally:
        fleet.outnumber = nothing
        lock.release()


def _number(fleet: Fleet, lock: Lock, hosts: Collection[Host]) -> None:
    """Have these hosts keep the number, then scripts carry it: what cannot be kept is no number."""
    if hosts:
        lock.tell(f"fence {lock.fence}", hosts)
    fleet.fence = lock.fence


def _outnumber(fleet: Fleet, lock: Lock, highest: int) -> None:
    """Have a higher number than any host has seen; whoever has lost the lock cannot. Raises CommandFailed."""
    if highest > lock.fence:
        lock.fence = highest + 1
        _number(fleet, lock, lock.found)


def _waited_for(fleet: Fleet, holder: str, wait: float) -> Lock:
    end, told = time.monotonic() + wait, ""
    while True:
        try:
            return _taken(fleet, holder)
        except Locked as error:
            if time.monotonic() > end:
                raise
            if error.what != told:
                told = error.what
                say(f"{told}; waiting for up to {wait:g} s")
            time.sleep(1)


def _taken(fleet: Fleet, holder: str) -> Lock:
    """The lock on all lock hosts, or on none; in their order, so that of two who want it one gets it.

    Without proxies they are app hosts, of which those will do that can be reached.
    """
    lock, hosts = Lock(), fleet.stage.lock_hosts
    lost: list[Unreachable] = []
    try:
        for host in hosts:
            try:
                lock.add(host, *_take(fleet, host, holder, last=host == hosts[-1]))
            except Unreachable as error:
                lost.append(error)
        if lost and (fleet.stage.proxy or not lock.found):
            raise lost[0]
    except BaseException:
        lock.release()
        raise
    lock.fence = max(int(one["fence"]) for one in lock.found.values()) + 1
    return lock


def _take(fleet: Fleet, host: Host, holder: str, *, last: bool) -> tuple[Running, dict[str, Any]]:
    """The lock on a host. The last one keeps the next number by itself, without a round trip more: who has no lock on
    others by then has no number, which would shut out whoever holds those."""
    with patience(lambda: f"{host.name} has not said yet whether it can be locked"):
        running = start(fleet.remote(host), "lock.sh", patience=PATIENCE, holder=holder, last="yes" if last else "no")
        first = running.receive()
    found = dict(json.loads(first)) if first.startswith("{") else {}
    if found.get("state") == "locked":
        return running, found
    done = running.finish()
    if done.code == HELD:
        raise taken(fleet.stage, str(found.get("holder")))
    raise CommandFailed(
        f"{host.name}: the stage cannot be locked",
        cause=done.last_lines,
        next_step="can the stage's user write to its prefix there?",
    )


def _copy_journal(fleet: Fleet, lock: Lock) -> None:
    """The longest journal is the one that is believed; lock hosts that are new or behind get its last events."""
    found = lock.found
    longest = max(found, key=lambda host: int(found[host]["lines"]))
    behind = [host for host, one in found.items() if one["last"] != found[longest]["last"]]
    if behind:
        text = call(fleet.remote(longest), "lock_journal.sh", lines=min(COPIED, int(found[longest]["lines"])))
        lock.tell(f"copy {json.dumps(text.rstrip().splitlines()[:-1])}", behind)


def taken(stage: Stage, holder: str) -> Locked:
    """The error for a stage that somebody holds. Pure."""
    return Locked(
        f"stage {stage.name} is locked by {holder}",
        next_step="wait for its end (release, deploy, switch and rollback do with --wait 300), or "
        f"fab lock.show --stage {stage.name}",
    )


def frozen_by(stage: Stage, text: str) -> Locked:
    """The error for a stage that was frozen; ``text`` is what was written down of that. Pure."""
    frozen = dict(json.loads(text))
    return Locked(
        f"stage {stage.name} is frozen by {frozen['who']} since {frozen['when']}: {frozen['why']}",
        next_step=f"fab lock.release --stage {stage.name}, once that is over",
    )


WHOLE = 1_000_000
"""Lines of a journal: more than any has."""


def read_journal(fleet: Fleet, lines: int = WHOLE) -> History:
    """The last lines of the longest journal of the lock hosts that can be reached. Raises CommandFailed."""
    results = fleet.each(
        fleet.stage.lock_hosts, lambda remote: call(remote, "lock_journal.sh", lines=lines).rstrip().split("\n")
    )
    if not results.succeeded:
        raise next(iter(results.failures.values()))
    *events, _ = max(results.succeeded.values(), key=len)
    holders = (text[-1].partition("locked ")[2] for text in results.succeeded.values())
    return History.of(events, next(filter(None, holders), ""))

"""Proof of a switch: every proxy is sampled during and after it, as a visitor would see it."""

import json

from releaselib.decide.samples import Samples
from releaselib.errors import CommandFailed
from releaselib.hosts.connection import Remote, Running
from releaselib.hosts.scripts import start

ENOUGH = 20
"""Requests that every proxy must have answered after the switch before it counts as proved."""


def begin(remote: Remote, *, before: bool = True) -> Running:
    """Start sampling through a proxy, and go on: see :func:`await_first`. Whether it is ``before`` a switch."""
    stage = remote.stage
    asked = {"url": stage.loopback, "host": stage.host_header, "path": stage.health, "status": stage.health_status}
    return start(remote, "proof_sample.sh", **asked, enough=ENOUGH, before="yes" if before else "no")


def await_first(remote: Remote, running: Running) -> None:
    """Wait until the first answers through a proxy are there. Raises CommandFailed."""
    if running.receive() != "sampling":
        what, cause = f"{remote.host.name}: sampling does not start", running.finish().last_lines
        raise CommandFailed(what, cause=cause, next_step="fab status")


def switched(running: Running) -> None:
    """Tell the sampler that from now on all answers must come from the new release; it ends after ENOUGH more."""
    running.send("switched")


def end(running: Running) -> Samples:
    """The counts of a sampler that has been told of the switch, once it has ENOUGH. Raises CommandFailed."""
    counts = running.receive()
    done = running.finish()
    if done.code or not counts:
        raise CommandFailed("sampling failed", cause=done.last_lines)
    table = json.loads(counts)
    first, during, after = (table["failed"][when] for when in ("first", "during", "after"))
    # A release that fails already goes on to fail until the switch: that says nothing about the switch.
    ailing, failed = ([*first, *during], after) if first else ([], [*during, *after])
    return Samples(table["during"], table["after"], tuple(failed), tuple(ailing))

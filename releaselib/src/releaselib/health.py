"""Proof of a switch: every proxy is sampled during and after it, as a visitor would see it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from releaselib import shell
from releaselib.errors import CommandFailed
from releaselib.fleet import Remote, Running
from releaselib.shell import script

AFTER = 20
"""Requests that every proxy must have answered after the switch before it counts as proved."""


@dataclass(frozen=True)
class Samples:
    """What one proxy answered: version -> number during and after the switch; words of failures."""

    during: Mapping[str, int]
    after: Mapping[str, int]
    failed: tuple[str, ...]

    @property
    def requests(self) -> int:
        """How many requests were sent."""
        return sum(self.during.values()) + sum(self.after.values()) + len(self.failed)


def begin(remote: Remote, python: str, url: str, host: str, path: str) -> Running:
    """Start sampling through a proxy; returns when its first answer is there."""
    running = remote.start(script("sample.sh", python, shell.text("sample.py"), url, host, path, AFTER))
    if running.receive() != "sampling":
        raise CommandFailed(f"{remote.host.name}: sampling does not start", cause=running.finish().words)
    return running


def switched(running: Running) -> None:
    """Tell the sampler that from now on all answers must come from the new release."""
    running.send("switched")


def end(running: Running, *, enough: bool = True) -> Samples:
    """Stop sampling, by default only after AFTER requests since the switch; read the counts."""
    if enough:
        running.receive()
    done = running.finish()
    if done.code:
        raise CommandFailed("sampling failed", cause=done.words)
    table = json.loads(done.stdout.strip().splitlines()[-1])
    return Samples(table["during"], table["after"], tuple(table["failed"]))


def doubts(samples: Samples, version: str) -> list[str]:
    """Why these samples do not prove that all visitors get that version; nothing when they do. Pure.

    Answers that tell no version are taken at nginx's own word, which was asked for before.
    """
    found = [f"failed: {words}" for words in sorted(set(samples.failed))[:5]]
    found += [
        f"{number} answers from {other} after the switch"
        for other, number in samples.after.items()
        if other not in (version, "-")
    ]
    if not sum(samples.after.values()):
        found.append("no answer after the switch")
    return found

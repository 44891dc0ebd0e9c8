"""`fab doctor`, `deploy` and `release` with hosts that are far away: seconds, and changes of direction a connection.

As root, from anywhere, with the Python of the developers' virtualenv:

    .venv/bin/python benchmarks/far.py --rounds 3

Progress goes to stderr, Markdown to stdout. What is measured and what is not stands in README.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from machine import measured
from release import setting
from switch import APP
from tables import spread, table
from team import STAGE, Team, team

from rig import supported
from rig.relay import Connection, Relay

ACTS = ("doctor", "deploy", "release")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("milliseconds", nargs="?", default="0,50,200", help="there and back (default: 0,50,200)")
    parser.add_argument("--hosts", type=int, default=2, help="how many app hosts (default: 2)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each act is done (default: 3)")
    wanted = parser.parse_args()
    if reason := supported():
        sys.exit(f"no hosts can be made here: {reason}")
    ways = [int(word) for word in wanted.milliseconds.split(",")]
    with team("tornado", APP) as made:
        made.grow(wanted.hosts, processes=1)
        hosts = [*made.app, made.proxy]
        with Relay(hosts, made.world.fleet.known_hosts) as relay:
            made.project.configure(made.world.stage(relay.names[:-1], relay.names[-1:], STAGE, processes=1))
            made.project.fab("doctor", "--stage", STAGE)
            found = {way: {act: done(made, relay, way, act, wanted.rounds) for act in ACTS} for way in ways}
    print(f"{wanted.hosts} app hosts, 1 proxy; {setting(wanted.rounds)}", end="\n\n")
    print(shown(found))


Done = tuple[list[float], list[Connection]]


def done(team: Team, relay: Relay, milliseconds: int, act: str, rounds: int) -> Done:
    """The seconds of an act, and the connections of all of its rounds."""
    relay.there_and_back = milliseconds / 1000
    seconds, connections = [], []
    for number in range(rounds):
        words = [act, "--stage", STAGE]
        if act == "deploy":
            words += ["--version", team.publish()]
        elif act == "release":
            team.project.commit("Change something")
        relay.taken()
        _, cost = measured(lambda words=words: team.project.fab(*words))  # type: ignore[misc]
        seconds.append(cost.seconds)
        connections += relay.taken()
        print(f"{milliseconds} ms, {act} {number + 1}: {cost.seconds:.2f} s", file=sys.stderr)
    return seconds, connections


def shown(found: dict[int, dict[str, Done]]) -> str:
    """A line for each act and distance. Pure."""
    head = [
        *("", "ms there and back", "seconds", "more than the first"),
        *(f"{what}, {role}" for role in ("app", "proxy") for what in ("connections", "changes of direction")),
        *("kB sent", "kB received"),
    ]
    first = next(iter(found))
    rows = []
    for act in ACTS:
        nearest = median(found[first][act][0])
        for way, acts in found.items():
            seconds, connections = acts[act]
            numbers = [number for role in ("app", "proxy") for number in counts(connections, role, len(seconds))]
            size = [sum(getattr(c, what) for c in connections) / len(seconds) / 1e3 for what in ("sent", "received")]
            more = median(seconds) - nearest
            rows.append([act, str(way), spread(seconds), f"{more:.2f}", *numbers, *(f"{kb:.0f}" for kb in size)])
    return table(head, rows)


def counts(connections: Sequence[Connection], role: str, rounds: int) -> tuple[str, str]:
    """Connections a host and round, and the changes of direction a connection, from the fewest to the most. Pure."""
    own = [one for one in connections if one.host.startswith(role)]
    changes = sorted(one.changes for one in own) or [0]
    hosts = len({one.host for one in own}) or 1
    span = f"{changes[0]} to {changes[-1]}" if changes[0] != changes[-1] else str(changes[0])
    return f"{len(own) / hosts / rounds:g}", span


if __name__ == "__main__":
    main()

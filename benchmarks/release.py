"""Release to N hosts with `fab release`, and step by step with pip over ssh, in turn; print tables.

As root, from anywhere, with the Python of the developers' virtualenv:

    .venv/bin/python benchmarks/release.py 10
    .venv/bin/python benchmarks/release.py --grow 5,10,20

Progress goes to stderr, Markdown to stdout. What is measured and what is not stands in README.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import tables
from machine import commit, described, idle_load, measured
from stepwise import Peer
from tables import Run
from team import Team, require_same, require_served, team

from rig import supported
from rig.world import ROOT

OURS, IN_TURN, AT_ONCE = "fab release", "pip, host after host", "pip, all hosts at once"
WAYS = (OURS, IN_TURN, AT_ONCE)


def main() -> None:
    """Measure and print."""
    wanted = arguments()
    if reason := supported():
        sys.exit(f"no hosts can be made here: {reason}")
    with team() as made:
        if wanted.grow:
            grow(made, wanted.grow, wanted.rounds)
        else:
            compare(made, wanted.hosts, wanted.rounds, share=not wanted.connect_each)


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("hosts", type=int, nargs="?", default=10, help="how many app hosts (default: 10)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each way is taken (default: 3)")
    parser.add_argument("--grow", type=sizes, help="only fab release, with so many hosts one after another: 5,10,20")
    parser.add_argument("--connect-each", action="store_true", help="the peer logs in anew for each step")
    return parser.parse_args()


def sizes(text: str) -> list[int]:
    """Numbers of hosts, smallest first."""
    return sorted({int(word) for word in text.split(",")})


def compare(team: Team, hosts: int, rounds: int, *, share: bool) -> None:
    """Both ways on the same hosts, in turn; another one goes first in each round."""
    team.grow(hosts)
    peer = prepared(team, share=share)
    idle = idle_load()
    alone = median(measured(team.start_alone)[1].cpu for _ in range(rounds))
    acts: dict[str, Callable[[str], dict[str, float]]] = {
        OURS: team.release,
        IN_TURN: lambda version: peer.release(version, at_once=False),
        AT_ONCE: lambda version: peer.release(version, at_once=True),
    }
    runs = []
    for number in range(rounds):
        for way in rotated(WAYS, number):
            runs.append(one(team, peer, way, acts[way], number))
    require_same(team.app[0])
    print(f"{hosts} app hosts, 1 proxy; {setting(rounds)}; idle: {idle:.2f} CPU seconds a second", end="\n\n")
    groups = {way: [run for run in runs if run.way == way] for way in WAYS}
    print(f"The app's own start and end, by hand: {alone:.2f} CPU seconds a host.", end="\n\n")
    print(tables.compared(runs, WAYS), end="\n\n")
    print(tables.phases({OURS: groups.pop(OURS)}, "phase of `fab release`"), end="\n\n")
    print(tables.phases(groups, "step of the peer"))


def prepared(team: Team, *, share: bool) -> Peer:
    """The peer with all that is there once for all releases, and a release on each side."""
    peer = team.peer(share=share)
    peer.set_up()
    for at_once in (False, True):
        peer.release(team.publish(), at_once=at_once)
    return peer


def rotated(ways: Sequence[str], number: int) -> list[str]:
    """The ways in the order of that round."""
    start = number % len(ways)
    return [*ways[start:], *ways[:start]]


def one(team: Team, peer: Peer | None, way: str, act: Callable[[str], dict[str, float]], number: int) -> Run:
    """One release of a new commit, built and published before; it must be what visitors get."""
    version, made = measured(team.publish)
    phases, released = measured(lambda: act(version))
    require_served(team, team.stage if peer is None or way == OURS else peer.stage, version)
    phases["all else"] = released.seconds - sum(phases.values())
    run = Run(way, len(team.app), number, made, released, phases)
    print(f"round {number + 1}, {way}: {released.seconds:.1f} s, {released.cpu:.1f} s CPU", file=sys.stderr)
    return run


def grow(team: Team, sizes: Sequence[int], rounds: int) -> None:
    """Only `fab release`, to ever more hosts."""
    runs: dict[int, list[Run]] = {}
    idle: dict[int, float] = {}
    for size in sizes:
        team.grow(size)
        idle[size] = idle_load()
        runs[size] = [one(team, None, OURS, team.release, number) for number in range(rounds)]
    print(setting(rounds), end="\n\n")
    print(tables.growth(runs, idle))


def setting(rounds: int) -> str:
    """On what this was measured, and how often."""
    return f"{rounds} rounds on {date.today()}, commit {commit(ROOT)}; {described()}"


if __name__ == "__main__":
    main()

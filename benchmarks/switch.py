"""Switch, roll back and rehearse that with ever more hosts; and switch under load with and without a reload.

As root, from anywhere, with the Python of the developers' virtualenv:

    .venv/bin/python benchmarks/switch.py 2,20,100

Progress goes to stderr, Markdown to stdout. What is measured and what is not stands in README.md.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from contextlib import ExitStack
from datetime import date
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import tables
from machine import Cost, commit, described, measured
from team import STAGE, Team, team

from rig import supported
from rig.visitors import Visitors, Websocket
from rig.world import ROOT

APP = ROOT / "tests/fleet/app.py"
ACTS = ("switch", "rollback", "drill")
CLIENTS = ("naive", "careful", "websocket")
CLIENTS_OF_EACH = 10
SWITCHES = 10


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", nargs="?", default="2,20,100", help="how many app hosts, one after another")
    parser.add_argument("--rounds", type=int, default=5, help="how often each act is done (default: 5)")
    wanted = parser.parse_args()
    if reason := supported():
        sys.exit(f"no hosts can be made here: {reason}")
    with team("tornado", APP) as made:
        sizes = sorted({int(word) for word in wanted.sizes.split(",")})
        rows = []
        for size in sizes:
            made.grow(size)
            if size == sizes[0]:
                lost = {way: under_load(made, reload=way != "rename") for way in ("rename", "rename and reload")}
            rows += [row(made, act, wanted.rounds) for act in ACTS]
        print(f"{wanted.rounds} rounds on {date.today()}, commit {commit(ROOT)}; {described()}", end="\n\n")
        head = ["", "app hosts", "seconds", "CPU seconds", "connections", "scripts"]
        print(tables.table(head, rows), end="\n\n")
        print(tables.table(["requests lost, of those sent", *CLIENTS], [[way, *cells] for way, cells in lost.items()]))


def row(team: Team, act: str, rounds: int) -> list[str]:
    """What an act costs, start of Python included."""
    words = (act, "--stage", STAGE)
    costs: list[Cost] = []
    for number in range(rounds):
        costs.append(measured(lambda: team.project.fab(*words))[1])
        come_back(team, act)
        print(f"{len(team.app)} hosts, {act} {number + 1}: {costs[-1].seconds:.2f} s", file=sys.stderr)
    file = team.folder / "counts.json"
    counter = str(Path(__file__).with_name("counted.py"))
    team.world.run(sys.executable, counter, str(file), *words, cwd=team.project.folder)
    come_back(team, act)
    counts = json.loads(file.read_text())
    numbers = [tables.spread([getattr(cost, what) for cost in costs]) for what in ("seconds", "cpu")]
    return [act, str(len(team.app)), *numbers, str(counts["connections"]), str(counts["scripts"])]


def come_back(team: Team, act: str) -> None:
    """Have the newest release live again, so that there is one to go back to."""
    if act != "drill":
        team.project.fab("switch", "--stage", STAGE)


def under_load(team: Team, *, reload: bool) -> list[str]:
    """Switch to and fro under load; of each kind of client, how many requests were lost."""
    Websocket.MESSAGES = 10**9  # they stay open, as those of people do
    with ExitStack() as stack:
        clients = [Visitors([team.proxy.address], "/healthz", [kind] * CLIENTS_OF_EACH, pause=0.1) for kind in CLIENTS]
        for one in clients:
            stack.enter_context(one)
        for _ in range(SWITCHES):
            team.project.fab("switch", "--stage", STAGE)
            if reload:
                team.project.fab("nginx.reload", "--stage", STAGE)
        time.sleep(team.stage.drain_timeout + 2)  # so long a worker that was told to end may go on
    return [f"{len(one.failed)} of {one.sent}" for one in clients]


if __name__ == "__main__":
    main()

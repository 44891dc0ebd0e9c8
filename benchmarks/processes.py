"""Where the CPU seconds of one host go in a steady release: program by program, as the kernel accounts for them.

As root, from anywhere, with the Python of the developers' virtualenv:

    .venv/bin/python benchmarks/processes.py 10
    .venv/bin/python benchmarks/processes.py 10 --act deploy

Progress goes to stderr, Markdown to stdout. What is measured and what is not stands in README.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from machine import Cost, measured
from release import setting
from switch import APP
from tables import table
from team import STAGE, Team, team

from rig import accounts, supported
from rig.accounts import Accounts

Total = dict[str, tuple[float, float]]
"""Of each program: how many were started, and CPU seconds."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("hosts", type=int, nargs="?", default=10, help="how many app hosts (default: 10)")
    parser.add_argument("--act", default="release", choices=["release", "deploy", "doctor", "status"])
    parser.add_argument("--rounds", type=int, default=3, help="how often it is done (default: 3)")
    wanted = parser.parse_args()
    if reason := supported() or accounts.supported():
        sys.exit(f"nothing can be measured here: {reason}")
    with team("tornado", APP) as made:
        made.grow(wanted.hosts, processes=1)
        found = [one(made, wanted.act, number) for number in range(wanted.rounds)]
    print(f"`fab {wanted.act}`, {wanted.hosts} app hosts, 1 proxy; {setting(wanted.rounds)}", end="\n\n")
    app = added([run.app for run in found], wanted.rounds)
    proxy = added([run.proxy for run in found], wanted.rounds)
    print(shown(app, "program, app host"), end="\n\n")
    print(shown(proxy, "program, proxy"), end="\n\n")
    cost = sum(run.cost.cpu for run in found) / wanted.rounds
    hosts = sum(cpu for _, cpu in app.values()) * wanted.hosts + sum(cpu for _, cpu in proxy.values())
    print(
        f"The whole machine: {cost:.2f} CPU seconds, of which all hosts {hosts:.2f}; the rest is `fab` itself, "
        "the build, the index, and what the kernel does for none of these."
    )


@dataclass(frozen=True)
class Round:
    """What one app host, on average, and the proxy did, and what all of it cost the whole machine."""

    app: Total
    proxy: Total
    cost: Cost


def one(team: Team, act: str, number: int) -> Round:
    """Do it, with a new version where one is brought."""
    words = [act, "--stage", STAGE]
    if act in ("release", "deploy"):
        words += ["--version", team.publish()]
    with Accounts([*team.app, team.proxy]) as programs:
        _, cost = measured(lambda: team.project.fab(*words))
    print(f"round {number + 1}: {cost.seconds:.1f} s, {cost.cpu:.1f} s CPU", file=sys.stderr)
    used = [{name: (one.started, one.cpu) for name, one in programs.of(host).items()} for host in team.app]
    proxy = {name: (one.started, one.cpu) for name, one in programs.of(team.proxy).items()}
    return Round(added(used, len(used)), added([proxy], 1), cost)


def added(totals: Sequence[Mapping[str, tuple[float, float]]], divisor: int) -> Total:
    """Some totals as one, divided. Pure."""
    names = dict.fromkeys(name for total in totals for name in total)
    some = {name: [total[name] for total in totals if name in total] for name in names}
    return {
        name: (sum(n for n, _ in group) / divisor, sum(c for _, c in group) / divisor) for name, group in some.items()
    }


def shown(total: Total, head: str) -> str:
    """The dearest first; what costs less than a millisecond in one line. Pure."""
    large = sorted(((name, *used) for name, used in total.items() if used[1] >= 0.001), key=lambda row: -row[2])
    small = [used for used in total.values() if used[1] < 0.001]
    rows = [
        *large,
        (f"{len(small)} others", sum(n for n, _ in small), sum(cpu for _, cpu in small)),
        ("together", sum(n for n, _ in total.values()), sum(cpu for _, cpu in total.values())),
    ]
    return table([head, "started", "CPU seconds"], [[name, f"{n:.3g}", f"{cpu:.3f}"] for name, n, cpu in rows])


if __name__ == "__main__":
    main()

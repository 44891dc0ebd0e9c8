"""A whole `fab release`, a rollback, `fab status` and `fab --list` with ever more hosts: seconds, CPU, memory, slope.

As root, from anywhere, with the Python of the developers' virtualenv:

    .venv/bin/python benchmarks/many.py 2,50,100,200

The app is a small one, one process a host (small.py); there are two proxies. Progress goes to stderr, Markdown to
stdout. What is measured and what is not stands in README.md.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from machine import Cost, measured
from release import setting, sizes
from tables import spread, table
from team import STAGE, Team, answer, team

from rig import supported

APP = Path(__file__).with_name("small.py")
ACTS = ("release", "rollback", "status", "--list")
NUMBERS = ("seconds", "CPU seconds", "peak MB of fab")


@dataclass(frozen=True)
class Run:
    """What one command cost the machine, and the most memory that its own process had."""

    cost: Cost
    peak: float

    @property
    def numbers(self) -> tuple[float, float, float]:
        """As `NUMBERS` has them."""
        return self.cost.seconds, self.cost.cpu, self.peak


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("hosts", type=sizes, nargs="?", default=[2, 50, 100, 200], help="how many app hosts")
    parser.add_argument("--rounds", type=int, default=3, help="how often each act is done (default: 3)")
    wanted = parser.parse_args()
    if reason := supported():
        sys.exit(f"no hosts can be made here: {reason}")
    found: dict[str, dict[int, list[Run]]] = {act: {} for act in ACTS}
    with team("tornado", APP, proxies=2) as made:
        for size in wanted.hosts:
            made.grow(size, processes=1)
            for number in range(wanted.rounds):
                for act in ACTS:
                    run = one(made, act)
                    found[act].setdefault(size, []).append(run)
                    print(f"{size} hosts, {act} {number + 1}: {run.cost.seconds:.2f} s", file=sys.stderr)
    print(f"2 proxies; {setting(wanted.rounds)}", end="\n\n")
    print(shown(found), end="\n\n")
    if wanted.hosts[1:]:
        print(slopes(found))


def one(team: Team, act: str) -> Run:
    """Do it once. After a rollback the newest release is live again, so that there is one to go back to."""
    if act == "release":
        team.project.commit("Change something")
    run = watched(team, [act] if act == "--list" else [act, "--stage", STAGE])
    if act == "rollback":
        team.project.fab("switch", "--stage", STAGE)
    if act == "release" and len({answer(f"{host.address}:{team.stage.listen}") for host in team.proxies}) != 1:
        raise SystemExit("the proxies do not answer the same")
    return run


def watched(team: Team, words: list[str]) -> Run:
    """Run `fab`, and look at the most memory that its process has had until then, until it ends."""
    said = team.folder / "said"
    peak = 0

    def act() -> int:
        nonlocal peak
        with said.open("w") as file:
            fab = subprocess.Popen(
                ["fab", *words], cwd=team.project.folder, env=team.world.env, stdin=subprocess.DEVNULL,
                stdout=file, stderr=file,
            )  # fmt: skip
            while fab.poll() is None:
                lines = Path(f"/proc/{fab.pid}/status").read_text().splitlines()
                peak = max(peak, *(int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)
                time.sleep(0.02)
        return fab.returncode

    code, cost = measured(act)
    if code:
        raise SystemExit(f"fab {' '.join(words)}: {said.read_text()[-3000:]}")
    return Run(cost, peak * 1024 / 1e6)


def shown(found: dict[str, dict[int, list[Run]]]) -> str:
    """A line for each act and number of hosts. Pure."""
    rows = []
    for act, grown in found.items():
        for size, runs in grown.items():
            numbers = [spread(values) for values in zip(*(run.numbers for run in runs), strict=True)]
            rows.append([f"fab {act}", str(size), *numbers, f"{median(run.cost.cpu for run in runs) / size:.2f}"])
    return table(["", "app hosts", *NUMBERS, "CPU seconds a host"], rows)


def slopes(found: dict[str, dict[int, list[Run]]]) -> str:
    """What each further host costs, from one number of hosts to the next: the same all along if it is linear. Pure."""
    rows = []
    for act, grown in found.items():
        middle = {
            size: list(map(median, zip(*(run.numbers for run in runs), strict=True))) for size, runs in grown.items()
        }
        for (few, low), (many, high) in zip(list(middle.items()), list(middle.items())[1:], strict=False):
            more = [(b - a) / (many - few) for a, b in zip(low, high, strict=True)]
            rows.append([f"fab {act}", f"{few} to {many}", *(f"{number:.3f}" for number in more)])
    return table(["each further host", "app hosts", *NUMBERS], rows)


if __name__ == "__main__":
    main()

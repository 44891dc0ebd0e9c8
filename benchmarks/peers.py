"""Deploy one version to N hosts by a script over ssh, ansible, pyinfra, pip step by step and `fab deploy`.

As root, from anywhere, with the Python of the developers' virtualenv:

    .venv/bin/python benchmarks/peers.py 10,50,100 --rounds 2 > table.md
    .venv/bin/python benchmarks/peers.py 100 --ways fab,floor
    .venv/bin/python benchmarks/peers.py --plot benchmarks/peers.json    # the SVG beside it, of stored numbers

What each way does, and with which settings, stands in README.md. Progress goes to stderr, Markdown to stdout,
the numbers of a run of all ways into benchmarks/peers.json.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from machine import idle_load, measured
from release import rotated, setting, sizes
from stepwise import Peer
from tables import table
from team import Team, answer, team
from ways import Ways

from rig import supported

HERE = Path(__file__).resolve().parent
PINNED = ("ansible-core==2.19.14", "pyinfra==3.10.0", "matplotlib==3.11.1")
"""The peers, and what draws the plot; in a virtualenv of their own."""
STORED = HERE / "peers.json"
KINDS = ("first", "steady", "again")
OURS, FLOOR = "fab deploy", "script and uv"
WAYS: dict[str, tuple[str, Callable[[Ways, str, str], None]]] = {
    "fab": (OURS, Ways.deploy),
    "floor": (FLOOR, Ways.floor),
    "ansible": ("ansible", Ways.ansible),
    "pyinfra": ("pyinfra", Ways.pyinfra),
    "pip": ("pip, step by step", Ways.pip),
}
Numbers = dict[str, dict[str, list[float]]]
"""Of each way and kind of run: seconds, CPU seconds, and MB that the index sent a host."""


def known(text: str) -> list[str]:
    """The ways that an argument names. Raises ArgumentTypeError for others."""
    found = [way for way in text.split(",") if way]
    if unknown := set(found) - set(WAYS):
        raise argparse.ArgumentTypeError(f"no such way: {', '.join(sorted(unknown))}")
    return found


def main() -> None:
    """Measure and print, or draw what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("hosts", type=sizes, nargs="?", default=[10], help="how many app hosts: 10,50 (default: 10)")
    parser.add_argument("--rounds", type=int, default=2, help="how often each way is taken (default: 2)")
    parser.add_argument("--ways", type=known, default=",".join(WAYS), help="only these (default: all, %(default)s)")
    parser.add_argument("--plot", type=Path, help="draw these stored numbers, and measure nothing")
    wanted = parser.parse_args()
    if wanted.plot:
        draw(wanted.plot)
        return
    if reason := supported():
        sys.exit(f"no hosts can be made here: {reason}")
    with team("tornado") as made:
        peer: Peer | None = None
        for size in wanted.hosts:
            made.grow(size, processes=1)
            peer = peer or made.peer(share=True)
            peer.app = made.app
            compare(made, peer, wanted.ways, wanted.rounds, STORED)


def peers() -> Path:
    """The programs of the peers, in a virtualenv that is made once."""
    folder = HERE / ".peers"
    if not (folder / "bin/pyinfra").exists():
        for words in (["venv", "-q", str(folder)], ["pip", "install", "-q", "--python", str(folder), *PINNED]):
            subprocess.run([Path(sys.executable).with_name("uv"), *words], check=True)
    return folder / "bin"


def compare(team: Team, peer: Peer, wanted: Sequence[str], rounds: int, stored: Path) -> None:
    """Every way on the same hosts, in turn; another one goes first in each round."""
    ways = Ways(team, peer, peers(), team.folder)
    idle = idle_load()
    runs: dict[str, dict[str, list[list[float]]]] = {WAYS[way][0]: {kind: [] for kind in KINDS} for way in wanted}
    for number in range(rounds):
        for way in rotated(list(wanted), number):
            name, act = WAYS[way]
            for kind, run in one_round(ways, name, act).items():
                runs[name][kind].append(run)
                print(f"round {number + 1}, {name}, {kind}: {run[0]:.1f} s, {run[1]:.1f} s CPU", file=sys.stderr)
    found = {
        name: {kind: [round(median(some), 3) for some in zip(*of_kind, strict=True)] for kind, of_kind in kinds.items()}
        for name, kinds in runs.items()
    }
    hosts = len(team.app)
    if set(wanted) == set(WAYS):  # only what was measured in one run stands together
        store(stored, hosts, found)
    where = f"{hosts} hosts, one tornado process each; {setting(rounds)}"
    print(f"{where}, {', '.join(PINNED[:2])}; idle: {idle:.2f} CPU seconds a second", end="\n\n")
    print(shown(found), aims(found), sep="\n\n", end="\n\n", flush=True)


def one_round(ways: Ways, name: str, act: Callable[[Ways, str, str], None]) -> dict[str, list[float]]:
    """The three kinds of run, from bare hosts on: what the way before has left there is gone, and runs no more."""
    ways.team.make_bare()
    runs = {}
    for kind in KINDS:
        if kind != "again":
            version = ways.team.publish()
        before = len(ways.team.world.requests())
        _, cost = measured(lambda kind=kind, version=version: act(ways, version, kind))  # type: ignore[misc]
        runs[kind] = [cost.seconds, cost.cpu, sent(ways.team, before)]
        require_answers(ways.team, ways.peer, name, version)
    return runs


def sent(team: Team, before: int) -> float:
    """MB that the index sent an app host, on average, after so many requests."""
    addresses = {host.address for host in team.app}
    return sum(r.size for r in team.world.requests()[before:] if r.address in addresses) / 1e6 / len(addresses)


def require_answers(team: Team, peer: Peer, name: str, version: str) -> None:
    """Fail unless every host answers with that version, where that way has put it."""
    stage = team.stage if name == OURS else peer.stage
    ports = [port for slot in "ab" for port in stage.ports(slot)]
    for host in team.app:
        found = set()
        for port in ports:
            try:
                found.add(answer(f"{host.address}:{port}"))
            except OSError:  # that slot does not run
                continue
        if version not in found:
            raise SystemExit(f"{name}: {host.name} answers {found}, not {version}")


def store(stored: Path, hosts: int, found: Numbers) -> None:
    """Put the numbers of that many hosts in place of those from before."""
    kept = json.loads(stored.read_text()) if stored.exists() else {}
    kept[str(hosts)] = found
    stored.write_text(json.dumps(dict(sorted(kept.items(), key=lambda item: int(item[0]))), indent=1) + "\n")


def shown(found: Numbers) -> str:
    """Seconds / CPU seconds of each way and kind of run, and what the index sent. Pure."""
    rows = [
        [name, *(f"{kinds[kind][0]:.1f} / {kinds[kind][1]:.1f}" for kind in KINDS)] for name, kinds in found.items()
    ]
    size = [[name, *(f"{kinds[kind][2]:.3f}" for kind in KINDS)] for name, kinds in found.items()]
    cost = table(["seconds / CPU seconds of the whole machine", *KINDS], rows)
    return cost + "\n\n" + table(["MB that the index sent a host", *KINDS], size)


def aims(found: Numbers) -> str:
    """The peers' numbers divided by those of `fab deploy`, and these by the script's. Pure."""
    pairs = [(name, OURS) for name in found if name not in (OURS, FLOOR)] + [(OURS, FLOOR)]

    def ratio(above: str, below: str, kind: str) -> str:
        return " / ".join(f"{a / b:.2f}" for a, b in zip(found[above][kind][:2], found[below][kind][:2], strict=True))

    rows = [[f"{a} over {b}", *(ratio(a, b, kind) for kind in KINDS)] for a, b in pairs if {a, b} <= set(found)]
    return table(["times the seconds / the CPU seconds", *KINDS], rows)


def draw(stored: Path) -> None:
    """An SVG beside the numbers, by matplotlib out of the virtualenv of the peers."""
    program = (
        "import json, sys; import matplotlib; matplotlib.use('svg'); import matplotlib.pyplot as p\n"
        "runs = json.load(open(sys.argv[1])); kinds = ('first', 'steady', 'again')\n"
        "size, shared = (9, .6 + 2 * len(runs)), {'sharex': 'row', 'sharey': 'row'}\n"
        "f, grid = p.subplots(len(runs), 3, figsize=size, squeeze=False, **shared)\n"
        "for axes, (hosts, run) in zip(grid, runs.items()):\n"
        "    for axis, kind in zip(axes, kinds):\n"
        "        some = [way for way in run if kind in run[way]]\n"
        "        for n, what in enumerate(('seconds', 'CPU seconds')):\n"
        "            high = [run[way][kind][n] for way in some]\n"
        "            bars = axis.barh([y + .4 * n for y in range(len(some))], high, height=.38, label=what)\n"
        "            axis.bar_label(bars, fmt='%.1f', padding=2, fontsize=7)\n"
        "        axis.set_yticks([y + .2 for y in range(len(some))], some, fontsize=8)\n"
        "        axis.set_title(f'{hosts} hosts, {kind}', fontsize=9); axis.margins(x=.2)\n"
        "    axes[0].invert_yaxis()\n"
        "grid[0][0].legend(fontsize=7); f.tight_layout()\n"
        "f.savefig(sys.argv[1].replace('.json', '.svg'), metadata={'Date': None})\n"
    )
    subprocess.run([peers() / "python", "-c", program, stored], check=True)


if __name__ == "__main__":
    main()

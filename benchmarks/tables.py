"""Runs as Markdown tables. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median

from machine import Cost


@dataclass(frozen=True)
class Run:
    """One release: how, on how many app hosts, in which round, and what it cost.

    `made` is the build and publication of the wheel; `released` is everything after, until visitors
    get the new version; `phases` are the seconds of its parts.
    """

    way: str
    hosts: int
    round: int
    made: Cost
    released: Cost
    phases: dict[str, float]


Number = Callable[[Run], float]

NUMBERS: dict[str, Number] = {
    "seconds": lambda run: run.released.seconds,
    "CPU seconds a host": lambda run: run.released.cpu / run.hosts,
    "build and publish, apart: seconds": lambda run: run.made.seconds,
    "build and publish, apart: CPU seconds": lambda run: run.made.cpu,
    "both together: seconds": lambda run: (run.made + run.released).seconds,
    "both together: CPU seconds a host": lambda run: (run.made + run.released).cpu / run.hosts,
}


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first are numbers."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def spread(values: Sequence[float], digits: int = 2) -> str:
    """The median, and from where to where the values went."""
    return f"{median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def compared(runs: Sequence[Run], ways: Sequence[str]) -> str:
    """What each way cost, and the first way's share of each other's, round by round."""
    first, *others = ways
    head = ["", *ways, *(f"ratio, {way}" for way in others)]
    rows = [
        [
            name,
            *(spread(_values(runs, way, number), 1) for way in ways),
            *(spread(_ratios(runs, first, way, number), 3) for way in others),
        ]
        for name, number in NUMBERS.items()
    ]
    return table(head, rows)


def _values(runs: Sequence[Run], way: str, number: Number) -> list[float]:
    return [number(run) for run in sorted(runs, key=lambda run: run.round) if run.way == way]


def _ratios(runs: Sequence[Run], first: str, other: str, number: Number) -> list[float]:
    pairs = zip(_values(runs, first, number), _values(runs, other, number), strict=True)
    return [ours / theirs for ours, theirs in pairs]


def phases(runs: Mapping[str, Sequence[Run]], what: str) -> str:
    """Seconds a phase, the median over the rounds, one column for each group of runs."""
    names = dict.fromkeys(name for group in runs.values() for run in group for name in run.phases)
    rows = [[name, *(_phase(group, name) for group in runs.values())] for name in names]
    return table([what, *runs], rows)


def seconds_of(phase: str, run: Run) -> float:
    """What a phase took; nothing where it did not happen."""
    return run.phases.get(phase, 0.0)


def _phase(runs: Sequence[Run], name: str) -> str:
    return f"{median(seconds_of(name, run) for run in runs):.2f}"


def growth(runs: Mapping[int, Sequence[Run]], idle: Mapping[int, float]) -> str:
    """What a release costs with ever more hosts, the median over the rounds.

    No number in the last column should be larger than the one that stands in its head.
    """
    sizes = list(runs)
    names = dict.fromkeys(name for group in runs.values() for run in group for name in run.phases)
    numbers: dict[str, Number] = {
        "seconds": NUMBERS["seconds"],
        **{f"- {name}": partial(seconds_of, name) for name in names},
        "CPU seconds": lambda run: run.released.cpu,
        "seconds a host": lambda run: run.released.seconds / run.hosts,
        "CPU seconds a host": NUMBERS["CPU seconds a host"],
        "build and publish, apart: seconds": NUMBERS["build and publish, apart: seconds"],
    }
    rows = [[name, *_grown([median(map(number, runs[size])) for size in sizes])] for name, number in numbers.items()]
    rows.append(["idle: CPU seconds a second", *_grown(list(idle.values()))])
    return table(["app hosts", *map(str, sizes), f"times, for {sizes[-1] / sizes[0]:g} times the hosts"], rows)


def _grown(values: Sequence[float]) -> list[str]:
    times = f"{values[-1] / values[0]:.2f}" if values[0] >= 0.05 else "-"
    return [*(f"{value:.2f}" for value in values), times]

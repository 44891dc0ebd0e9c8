"""What the machine did: seconds, CPU seconds, and what kind of machine it is."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Cost:
    """Seconds on the clock, and CPU seconds of everything that ran on this machine meanwhile."""

    seconds: float
    cpu: float

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.seconds + other.seconds, self.cpu + other.cpu)


def busy() -> float:
    """CPU seconds that all CPUs have worked since boot: not idle, not waiting for a disk, not stolen."""
    line = Path("/proc/stat").read_text().splitlines()[0]
    user, nice, system, _idle, _iowait, irq, softirq = map(int, line.split()[1:8])
    return (user + nice + system + irq + softirq) / TICKS


def measured(act: Callable[[], T]) -> tuple[T, Cost]:
    """Do it; what came out, and what it cost the whole machine, whoever else worked on it."""
    begun, before = time.monotonic(), busy()
    value = act()
    return value, Cost(time.monotonic() - begun, busy() - before)


def idle_load(seconds: float = 10) -> float:
    """CPU seconds a second that go by when nothing is released."""
    _, cost = measured(lambda: time.sleep(seconds))
    return cost.cpu / cost.seconds


def described() -> str:
    """The machine and the programs that matter, in one line."""
    model = next((x for x in Path("/proc/cpuinfo").read_text().splitlines() if x.startswith("model name")), ": ?")
    names = [f"{os.cpu_count()} CPUs ({model.partition(':')[2].strip()})", f"Linux {platform.release()}"]
    for argv in (
        ["/usr/bin/python3", "--version"],
        ["/usr/bin/python3", "-m", "ensurepip", "--version"],
        ["uv", "--version"],
        ["nginx", "-v"],
    ):
        names.append(_words(argv))
    return ", ".join(names)


def commit(root: Path) -> str:
    """The commit of a checkout, and whether there is more in it than that."""
    return _words(["git", "-C", str(root), "describe", "--always", "--dirty=, changed since"])


def _words(argv: list[str]) -> str:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin"
    done = subprocess.run(argv, env={**os.environ, "PATH": path}, text=True, capture_output=True, check=False)
    return (done.stdout or done.stderr).strip().removeprefix("nginx version: ")

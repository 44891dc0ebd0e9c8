"""Where the CPU seconds of a release go, program by program, as the kernel accounts for processes (acct(2), acct(5)).

As root, from anywhere, with the Python of the developers' virtualenv, on a machine that does nothing else:

    .venv/bin/python benchmarks/processes.py 5 > table.md

It is the last of four `fab deploy` of a new version each: nothing is fetched for the first time. A process counts when
it ends: the app's are those of the release before, with what they have done since their start. Processes of all
namespaces are accounted for, so nothing else may be at work.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import struct
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from machine import described
from tables import table
from team import team

from rig import supported

RECORD = struct.Struct("<bbHIIIIIIfHHHHHHHH16s")
"""struct acct_v3 of acct(5)."""
USER, SYSTEM, NAME = 10, 11, 18
TICKS = 100
"""AHZ: the fields of a record count hundredths of a second, whatever the kernel's own clock is."""


def seconds(packed: int) -> float:
    """A comp_t of acct(5), 13 bits and an exponent of 8, in seconds."""
    return ((packed & 0x1FFF) << (3 * (packed >> 13))) / TICKS


@contextmanager
def accounted(file: Path) -> Iterator[None]:
    """Have the kernel write down each process that ends."""
    libc = ctypes.CDLL(None, use_errno=True)
    file.touch()
    if libc.acct(str(file).encode()):
        sys.exit(f"no process accounting here: {os.strerror(ctypes.get_errno())}")
    try:
        yield
    finally:
        libc.acct(None)


def programs(data: bytes) -> tuple[Counter[str], dict[str, float]]:
    """How many processes of each program have ended, and their CPU seconds."""
    count: Counter[str] = Counter()
    cost: dict[str, float] = {}
    for record in RECORD.iter_unpack(data):
        name = record[NAME].split(b"\0")[0].decode("utf-8", "replace").partition("-")[0]
        count[name] += 1
        cost[name] = cost.get(name, 0.0) + seconds(record[USER]) + seconds(record[SYSTEM])
    return count, cost


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("hosts", type=int, nargs="?", default=5, help="how many app hosts (default: 5)")
    hosts = parser.parse_args().hosts
    if reason := supported():
        sys.exit(f"no hosts can be made here: {reason}")
    with team("tornado") as made, tempfile.TemporaryDirectory() as folder:
        made.grow(hosts, processes=1)
        for _ in range(3):
            made.project.fab("deploy", "--stage", "test", "--version", made.publish())
        version, file = made.publish(), Path(folder) / "acct"
        with accounted(file):
            made.project.fab("deploy", "--stage", "test", "--version", version)
        count, cost = programs(file.read_bytes())
        about = described()
    dearest = sorted((name for name in cost if cost[name] > 0.01), key=cost.__getitem__, reverse=True)
    rows = [(name, f"{count[name] / hosts:.1f}", f"{cost[name] / hosts:.3f}") for name in dearest]
    print(f"{hosts} hosts, one tornado process each; {about}\n")
    print(table(("program", "processes a host", "CPU seconds a host"), rows))


if __name__ == "__main__":
    main()

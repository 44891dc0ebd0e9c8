"""A large application, of 60 dependencies and 300 MB of wheels: release and rollback, the index's bytes, the peers.

As root, from anywhere, with the Python of the developers' virtualenv:

    .venv/bin/python benchmarks/large.py 3
    .venv/bin/python benchmarks/large.py 3 --ways fab,floor --megabytes 60

The wheels are made on the spot, always the same ones. Progress goes to stderr, Markdown to stdout, what the peers
took, where all ways were measured, into benchmarks/large.json. What is measured and what is not stands in README.md.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import io
import random
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from machine import measured
from peers import HERE, WAYS, compare, known, sent
from release import setting
from stepwise import PYTHON
from switch import APP
from tables import spread, table
from team import STAGE, Team, team

from rig import supported

COUNT = 60
MODULES = 40
"""In each package, as many modules of text as a library of middle size has."""
PYTHON_TAG = "import sys; print('cp%d%d' % sys.version_info[:2])"
ACTS = ("release, nothing else changed", "release, one dependency changed", "rollback")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("hosts", type=int, nargs="?", default=3, help="how many app hosts (default: 3)")
    parser.add_argument("--megabytes", type=int, default=300, help="of all wheels together (default: 300)")
    parser.add_argument("--rounds", type=int, default=2, help="how often each act is done (default: 2)")
    parser.add_argument(
        "--ways", type=known, default=",".join(WAYS), help="only these peers (default: all, %(default)s)"
    )
    wanted = parser.parse_args()
    if reason := supported():
        sys.exit(f"no hosts can be made here: {reason}")
    with team("tornado", APP) as made:
        prepare(made, wanted.megabytes)
        made.grow(wanted.hosts, processes=1)
        found: dict[str, list[list[float]]] = {act: [] for act in ACTS}
        for number in range(wanted.rounds):
            for act in ACTS:
                found[act].append(one(made, act, wanted.megabytes, number))
                print(f"round {number + 1}, {act}: {found[act][-1][0]:.1f} s", file=sys.stderr)
        what = f"{COUNT} dependencies, {wanted.megabytes} MB of wheels"
        print(f"{wanted.hosts} app hosts, 1 proxy; {what}; {setting(wanted.rounds)}", end="\n\n")
        head = ["", "seconds", "CPU seconds", "MB that the index sent a host"]
        rows = [[act, *(spread(values) for values in zip(*runs, strict=True))] for act, runs in found.items()]
        print(table(head, rows), end="\n\n", flush=True)
        if wanted.ways:
            compare(made, made.peer(share=True), wanted.ways, wanted.rounds, HERE / "large.json")


def one(team: Team, act: str, megabytes: int, number: int) -> list[float]:
    """Do it; seconds, CPU seconds, and MB that the index sent a host."""
    if act == ACTS[1]:
        put(team.world.server.folder / "packages", COUNT // 2, megabytes, f"1.{number + 1}")
    if act in ACTS[:2]:
        team.project.commit("Change something")
    before = len(team.world.requests())
    _, cost = measured(lambda: team.project.fab(act.partition(",")[0], "--stage", STAGE))
    return [cost.seconds, cost.cpu, sent(team, before)]


def prepare(team: Team, megabytes: int) -> None:
    """Have all wheels on the index, and the project depend on them."""
    packages = team.world.server.folder / "packages"
    names = [put(packages, number, megabytes, "1.0") for number in range(COUNT)]
    file = team.project.folder / "pyproject.toml"
    wanted = "".join(f'    "{name}>=1",\n' for name in names)
    file.write_text(file.read_text().replace("\ndependencies = [\n", f"\ndependencies = [\n{wanted}", 1))
    team.project.commit("Depend on much")


def put(folder: Path, number: int, megabytes: int, version: str) -> str:
    """Make a package of this number and put it into the index's folder; its name.

    A fifth are large, the others small, every second one is compiled. Its own bytes are random but always the same,
    and do not compress. There is an sdist beside it, too, by which `fab` knows the package for the team's own: so
    nobody else is asked for it.
    """
    name, package = f"synthetic-{number:02d}", f"synthetic_{number:02d}"
    seed = random.Random(f"{number} {version}")
    size = int(megabytes * 1e6 / COUNT * (4 if number % 5 == 0 else 0.25))
    tag = "py3-none-any"
    if compiled := number % 2 == 0:
        python = subprocess.run([PYTHON, "-c", PYTHON_TAG], text=True, capture_output=True, check=True).stdout.strip()
        tag = f"{python}-{python}-manylinux_2_17_x86_64"
    files = {f"{package}/__init__.py": b"", f"{package}/{'core.so' if compiled else 'data.bin'}": seed.randbytes(size)}
    for module in range(MODULES):
        lines = (f"def f{line}(x):\n    return x * {seed.random()}\n" for line in range(100))
        files[f"{package}/m{module}.py"] = "".join(lines).encode()
    info = f"{package}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode()
    files[f"{info}/METADATA"] = metadata
    files[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nRoot-Is-Purelib: {str(not compiled).lower()}\nTag: {tag}\n".encode()
    files[f"{info}/RECORD"] = record(files, f"{info}/RECORD")
    with zipfile.ZipFile(
        folder / f"{package}-{version}-{tag}.whl", "w", zipfile.ZIP_DEFLATED, compresslevel=1
    ) as wheel:
        for path, content in files.items():
            wheel.writestr(zipfile.ZipInfo(path), content)
    with tarfile.open(folder / f"{package}-{version}.tar.gz", "w:gz") as sdist:
        member = tarfile.TarInfo(f"{package}-{version}/PKG-INFO")
        member.size = len(metadata)
        sdist.addfile(member, io.BytesIO(metadata))
    return name


def record(files: dict[str, bytes], own: str) -> bytes:
    """The RECORD of a wheel. Pure."""
    digests = {
        path: base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        for path, content in files.items()
    }
    lines = [f"{path},sha256={digest},{len(files[path])}\n" for path, digest in digests.items()]
    return "".join([*lines, f"{own},,\n"]).encode()


if __name__ == "__main__":
    main()

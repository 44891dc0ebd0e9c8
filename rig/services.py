"""What a project needs beside hosts: a database and a queue, as Debian's packages have them, at the rig's gateway."""

from __future__ import annotations

import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rig.ground import RigError, call, wait_for


@dataclass(frozen=True)
class Database:
    """A PostgreSQL with one database; ``url`` holds its password."""

    url: str

    def ask(self, query: str) -> list[str]:
        """The lines that a query gives."""
        return call("psql", "--no-psqlrc", "-At", self.url, "-c", query).splitlines()


@contextmanager
def postgresql(address: str, port: int) -> Iterator[Database]:
    """A database server for the length of the block. Raises RigError where PostgreSQL is not installed."""
    bin_ = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)
    if not bin_:
        raise RigError("not installed: postgresql")
    password = secrets.token_hex(12)
    with _folder("postgres") as folder:
        (folder / "password").write_text(password)
        shutil.chown(folder / "password", "postgres")
        as_owner = ("runuser", "-u", "postgres", "--")
        made = ("-D", str(folder / "data"), "-U", "shop", "-A", "scram-sha-256", f"--pwfile={folder / 'password'}")
        call(*as_owner, str(bin_ / "initdb"), "-N", *made)
        with (folder / "data/pg_hba.conf").open("a") as file:
            file.write(f"host all all {address}/24 scram-sha-256\n")
        options = ("-h", address, "-p", str(port), "-k", str(folder), "-c", "fsync=off")
        with _running(*as_owner, str(bin_ / "postgres"), "-D", str(folder / "data"), *options):
            database = Database(f"postgresql://shop:{password}@{address}:{port}/postgres")
            ready = ["pg_isready", "-q", "-h", address, "-p", str(port)]
            wait_for(lambda: subprocess.run(ready).returncode == 0, "PostgreSQL to be ready")
            yield database


@contextmanager
def redis(address: str, port: int) -> Iterator[str]:
    """A queue server for the length of the block; its URL, with its password."""
    password = secrets.token_hex(12)
    with _folder("redis") as folder:
        settings = f'bind {address}\nport {port}\nrequirepass {password}\nsave ""\ndir {folder}\n'
        (folder / "redis.conf").write_text(settings)
        shutil.chown(folder / "redis.conf", "redis")
        url = f"redis://:{password}@{address}:{port}/0"
        with _running("runuser", "-u", "redis", "--", "redis-server", str(folder / "redis.conf")):
            ask = ["redis-cli", "-h", address, "-p", str(port), "ping"]
            wait_for(lambda: subprocess.run(ask, capture_output=True).stdout != b"", "Redis to answer")
            yield url


@contextmanager
def _folder(owner: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="rig-") as name:
        shutil.chown(name, owner)
        yield Path(name)


@contextmanager
def _running(*command: str) -> Iterator[None]:
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait()

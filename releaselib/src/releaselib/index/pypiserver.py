"""A pypiserver of the team's own, or of a project on the developer's machine.

It lives in a virtualenv of its own: together with paramiko's bcrypt it does not start. gunicorn
serves it, because its default server answers one client at a time; without ``disable_fallback`` it
would send hosts to the public index.
"""

import os
import secrets
import signal
import socket
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from uv import find_uv_bin

from releaselib import process
from releaselib.errors import IndexFailed

PACKAGES = ("pypiserver[cache]>=2.4.2", "gunicorn>=25.1", "passlib>=1.7.4", "bcrypt<4.1", "setuptools")
APP = (
    "pypiserver:app(roots=['packages'], password_file='htpasswd', authenticate=['update'], "
    "disable_fallback=True, backend_arg='cached-dir')"
)
ADD_USER = """
import os
from passlib.apache import HtpasswdFile, htpasswd_context
rounds = htpasswd_context.copy(bcrypt__default_rounds=10)
users = HtpasswdFile("htpasswd", new=not os.path.exists("htpasswd"), default_scheme="bcrypt", context=rounds)
users.set_password(os.environ["NAME"], os.environ["PASSWORD"])
users.save()
os.chmod("htpasswd", 0o600)
"""
"""Adds a user. Every upload is a check of the password: bcrypt of these rounds (OWASP's least) takes 0.06 seconds each,
passlib's own default 0.3."""


@dataclass(frozen=True)
class Server:
    """A pypiserver: its folder, and the address that it listens on."""

    folder: Path
    host: str
    port: int

    @property
    def url(self) -> str:
        """Where it is asked from this machine."""
        return f"http://{'127.0.0.1' if self.host in ('', '0.0.0.0') else self.host}:{self.port}/"  # noqa: S104


def command(server: Server, *, background: bool = False) -> tuple[str, ...]:
    """The command that serves the folder."""
    daemon = ["--daemon", "--pid", "pid", "--log-file", "log"] if background else ()
    where = ("--bind", f"{server.host}:{server.port}", "--chdir", str(server.folder))
    options = ["--workers", "1", "--threads", "16", "--no-control-socket"]
    return (str(server.folder / "venv/bin/gunicorn"), *where, *options, *daemon, APP)


def install(server: Server, username: str, password: str) -> None:
    """Make folder, virtualenv and the user who may upload. What is there already is kept, but the user's password."""
    packages = server.folder / "packages"
    packages.mkdir(parents=True, exist_ok=True)
    venv = server.folder / "venv"
    if not (venv / "bin/gunicorn").exists():
        _uv("venv", "--quiet", "--clear", "--python", sys.executable, str(venv))
        _uv("pip", "install", "--quiet", "--python", str(venv / "bin/python"), *PACKAGES)
    process.run(
        (str(venv / "bin/python"), "-c", ADD_USER),
        cwd=server.folder,
        error=IndexFailed,
        env={"NAME": username, "PASSWORD": password},
        what="index.serve: the user cannot be made",
    )


def _uv(*words: str) -> None:
    process.run(
        (find_uv_bin(), *words),
        error=IndexFailed,
        what="index.serve: pypiserver cannot be installed",
        next_step="check this machine's package index, then run the command again",
    )


def serve(server: Server, username: str, password: str) -> None:
    """Serve in front, in place of this process. Does not return."""
    install(server, username, password)
    argv = command(server)
    os.execv(argv[0], argv)  # noqa: S606  the last thing this process does


def ensure(server: Server, username: str) -> bool:
    """Start a server in the background unless it answers already; True when it was started.

    The upload password is made once and kept beside it, readable by its owner only.
    """
    if serves(server):
        return False
    if _is_taken(server):
        raise IndexFailed(
            f"index.serve: port {server.port} is taken by something that is not the index in {server.folder}",
            next_step=f"ss -ltnp 'sport = :{server.port}' shows what; end it, or set another port_base in release.toml",
        )
    server.folder.mkdir(parents=True, exist_ok=True)
    install(server, username, _own_password(server))
    process.run(
        command(server, background=True),
        cwd=server.folder,
        inherited={**process.for_builds(os.environ), **process.named(os.environ, "GUNICORN_")},  # it lives for long
        error=IndexFailed,
        what="index.serve: pypiserver does not start",
    )
    _wait(server)
    return True


def password_file(folder: Path) -> Path:
    """Where the upload password of a server that was started in the background is kept."""
    return folder / "password"


def _own_password(server: Server) -> str:
    file = password_file(server.folder)
    if not file.exists():
        new = file.with_suffix(".new")
        new.touch(0o600)
        new.write_text(secrets.token_urlsafe(24), "utf-8")
        new.rename(file)
    return file.read_text("utf-8").strip()


def serves(server: Server) -> bool:
    """Whether what answers there is the server that was started for this folder, and not somebody else."""
    words = f"{server.host}:{server.port}\0--chdir\0{server.folder}\0"
    return words in _command(_pid(server.folder)) and answers(server)


def _pid(folder: Path) -> str:
    """The process that serves a folder in the background; "none" where it was not started, or ends."""
    try:
        return (folder / "pid").read_text("utf-8").strip() or "none"
    except OSError:
        return "none"


def _command(pid: str) -> str:
    """The command line of a process; nothing where it has ended."""
    try:
        return Path("/proc", pid, "cmdline").read_text("utf-8", "replace")
    except OSError:
        return ""


def _has_ended(pid: str) -> bool:
    """Whether a process has ended, and given back its port; its parent may not have heard of it yet (proc(5))."""
    try:
        return Path("/proc", pid, "stat").read_text("utf-8", "replace").rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def _is_taken(server: Server) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((urlsplit(server.url).hostname or "", server.port)) == 0


def answers(server: Server) -> bool:
    """Whether a package index answers at the server's address."""
    import requests

    try:
        return requests.get(server.url + "simple/", timeout=5).ok
    except requests.RequestException:
        return False


def _wait(server: Server) -> None:
    end = time.monotonic() + 30
    while not answers(server):
        if time.monotonic() > end:
            log = server.folder / "log"
            raise IndexFailed(
                f"index.serve: no answer from {server.url}",
                cause=process.tail(log.read_text("utf-8", "replace")) if log.exists() else "",
                next_step=f"is port {server.port} taken? look at {log}",
            )
        time.sleep(0.05)


def stop(folder: Path) -> bool:
    """Stop the server that was started in the background; True when there was one. Raises IndexFailed."""
    pid = _pid(folder)
    if "pypiserver" not in _command(pid):
        return False
    with suppress(ProcessLookupError):  # it has just ended by itself
        os.kill(int(pid), signal.SIGTERM)
    end = time.monotonic() + 20
    while not _has_ended(pid):  # its file goes before it has
        if time.monotonic() > end:
            raise IndexFailed(f"the index in {folder} does not end", next_step=f"kill -9 {pid}")
        time.sleep(0.05)
    return True

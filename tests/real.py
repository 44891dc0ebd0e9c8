"""Real parts for the tests of releaselib: repositories, wheels, small servers, stages, templates."""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import os
import random
import signal
import socket
import subprocess
import threading
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import jinja2

from releaselib import config
from releaselib.config.inventory import Host
from releaselib.config.stage import Stage
from releaselib.decide.journal import History
from releaselib.decide.release import Release
from releaselib.decide.seen import AppSeen, ProxySeen, Served, SlotSeen
from releaselib.decide.view import View
from releaselib.index.pypiserver import Server

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = ROOT / "releaselib/src/releaselib"
PROJECT = "my-shop"
NOTHING = History()


def free_port(count: int = 1) -> int:
    """The first of ``count`` neighbouring ports that nobody listens on now.

    They are below those that the system gives to clients, and every worker of pytest has its own.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 4
    while True:
        port = 20_000 + 3_000 * worker + random.randrange(3_000 - count)
        if all(_free(port + n) for n in range(count)):
            return port


def _free(port: int) -> bool:
    with socket.socket() as one, suppress(OSError):
        one.bind(("127.0.0.1", port))
        return True
    return False


class Repository:
    """A real git repository."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self.git("init", "-q", "-b", "main")

    def git(self, *words: str) -> str:
        done = subprocess.run(["git", *words], cwd=self.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def write(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")

    def commit(self, files: Mapping[str, str] | None = None) -> str:
        """Commit these files and return the commit."""
        self.write(files or {})
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "Work")
        return self.git("rev-parse", "HEAD")


def wheel(
    folder: Path, name: str, version: str, *, requires: Sequence[str] = (), files: Mapping[str, str] | None = None
) -> Path:
    """A wheel of pure Python, made by hand."""
    dist = name.replace("-", "_")
    info = f"{dist}-{version}.dist-info"
    head = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nProvides-Extra: redis\n"
    texts = {
        f"{dist}/__init__.py": "",
        **(files or {}),
        f"{info}/METADATA": head + "".join(f"Requires-Dist: {one}\n" for one in requires),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: by hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},sha256={_digest(text)},{len(text.encode())}\n" for path, text in texts.items())
    path = folder / f"{dist}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for member, text in {**texts, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            archive.writestr(member, text)
    return path


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Web:
    """A small web server, on a free port unless one is given; ``pages`` maps a path to a status and a body.

    The first ``late`` requests are hung up on. Requests to /slow set ``asked`` and wait for ``go``;
    an answer to /short.whl ends before it should.
    """

    def __init__(self, pages: Mapping[str, tuple[int, str]], *, late: int = 0, port: int = 0) -> None:
        self.pages = dict(pages)
        self.late = late
        self.seen: list[tuple[str, str]] = []
        self.schemes: list[str] = []
        self.asked, self.go = threading.Event(), threading.Event()
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                web.seen.append((self.path, self.headers.get("Host", "")))
                web.schemes.append(self.headers.get("X-Forwarded-Proto", ""))
                status, body = web.pages.get(self.path, (404, "nothing here"))
                if len(web.seen) <= web.late:
                    self.close_connection = True
                    return
                if self.path == "/slow":
                    web.asked.set()
                    web.go.wait()
                self.send_response(status)
                if self.path == "/short.whl":
                    self.send_header("Content-Length", str(len(body) + 1))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = int(self.server.server_address[1])
        self.address = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.address}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def __enter__(self) -> Web:
        return self

    def __exit__(self, *error: object) -> None:
        self.go.set()
        self.server.shutdown()
        self.server.server_close()


class Relay:
    """Passes connections on to an index, half a second late or only so many bytes of them; ``url`` is its address."""

    def __init__(self, to: Server, *, late: float = 0, cut_after: int = 0) -> None:
        self._late, self._cut_after, self._to = late, cut_after, (to.host, to.port)
        self._door = socket.create_server((to.host, 0))
        self.url = f"http://{to.host}:{self._door.getsockname()[1]}/"

    def __enter__(self) -> Relay:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._door.accept()
                threading.Thread(target=self._pass_on, args=[client], daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        time.sleep(self._late)
        with suppress(OSError), client, socket.create_connection(self._to) as server:
            back = threading.Thread(target=self._pump, args=[server, client, 0], daemon=True)
            back.start()
            self._pump(client, server, self._cut_after)
            if not self._cut_after:
                back.join()

    def _pump(self, source: socket.socket, sink: socket.socket, limit: int) -> None:
        left = limit or float("inf")
        with suppress(OSError):
            while left and (content := source.recv(int(min(left, 65536)))):
                sink.sendall(content)
                left -= len(content)
            sink.shutdown(socket.SHUT_WR)


def healthy(version: str) -> tuple[int, str]:
    """The page of a healthy process."""
    return 200, json.dumps({"project": PROJECT, "version": version})


def stage(root: Path, **keys: Any) -> Stage:
    """A stage as release.toml would give it; on this machine unless ``app`` says otherwise."""
    table = {"app": ["local"], "proxy": ["local"], "nginx": "own", "prefix": str(root / "run"), **keys}
    return config.parse({"stages": {"test": table}}, root=root, name=PROJECT).stage("test")


def release(version: str, serial: int = 1, **others: Any) -> Release:
    return Release(PROJECT, version, serial=serial, **others)


def seen(
    slots: Mapping[str, Release | None],
    *,
    proxies: Sequence[str] = ("",),
    hosts: int = 1,
    stopped: str = "",
    knowing: bool = True,
    history: History = NOTHING,
) -> View:
    """A view of hosts that all hold the same slots, each running unless it is in ``stopped``.

    ``proxies`` is what each proxy serves: "a 1.0", or nothing; unless ``knowing`` it knows nothing of the slots.
    """
    found = {
        name: SlotSeen(one, one is not None and name not in stopped, one is not None) for name, one in slots.items()
    }
    app = {Host(address=f"app{n}"): AppSeen("3.11.2", "x86_64", found) for n in range(1, hosts + 1)}
    known = {name: Served(one, tuple(host.name for host in app), ()) for name, one in slots.items() if one}
    proxy = {
        Host(address=f"proxy{n}"): ProxySeen(
            slot=text.partition(" ")[0],
            version=text.partition(" ")[2],
            answer=f"{text} 1 {PROJECT} test" if text else "",
            program="nginx",
            linked=bool(text),
            slots=known if knowing else {},
        )
        for n, text in enumerate(proxies, 1)
    }
    return View(app, proxy, history=history, workers=not proxies)


def end_nginx(where: Stage) -> None:
    """End the nginx of a stage of its own, if it runs, and wait for its end."""
    file = Path(where.prefix) / "nginx/nginx.pid"
    pid = file.read_text().strip() if file.exists() else ""
    end(file)
    with suppress(OSError):
        while pid and Path(f"/proc/{pid}/cmdline").read_bytes():  # a zombie has none
            pass


def end_slots(where: Stage, letters: str = "*") -> None:
    """Kill the processes of slots on this machine; supervisord itself would take three seconds to stop."""
    for file in Path(where.prefix).glob(f"slots/{letters}/run/supervisord.pid"):
        with suppress(OSError):
            pid = file.read_text().strip()
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            end(file, signal.SIGKILL)
            for child in children:
                os.kill(int(child), signal.SIGKILL)


def command_lines() -> Iterator[str]:
    """The command lines of all processes, with NUL between their words (proc(5))."""
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended
            yield file.read_text("utf-8", "replace")


def end(file: Path, how: signal.Signals = signal.SIGTERM) -> None:
    """End the process whose pid is in a file, if it runs."""
    with suppress(OSError, ValueError):  # there is none, or the file is empty
        os.kill(int(file.read_text()), how)


def template(name: str, flavour: str = "tornado") -> str:
    """A template of release.d/ as a baked project has it."""
    folder = ROOT / "{{cookiecutter.project_slug}}" / "release.d"
    (file,) = (path for path in folder.iterdir() if name in path.name)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(ROOT / "templates"), keep_trailing_newline=True, autoescape=False
    )
    return environment.from_string(file.read_text("utf-8")).render(
        cookiecutter={"flavour": flavour, "__package_name": "my_shop"}
    )


def certificate(folder: Path, *names: str) -> dict[str, str]:
    """A certificate that signs itself, and its key."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {"certificate": str(folder / "cert.pem"), "key": str(folder / "key.pem")}
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "90",
         "-keyout", files["key"], "-out", files["certificate"], "-subj", "/CN=x",
         "-addext", f"subjectAltName={','.join(f'DNS:{name}' for name in names)}"],
        check=True, capture_output=True,
    )  # fmt: skip
    return files

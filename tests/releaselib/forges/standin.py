"""What both stand-ins share: the server, its faults, the record of requests, and git over HTTP."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from typing_extensions import Self

TOKEN = "tkn-Qv7xW3-do-not-show-me-9Zk2"
BACKEND = (
    Path(subprocess.run(["git", "--exec-path"], capture_output=True, text=True, check=True).stdout.strip())
    / "git-http-backend"
)


@dataclass
class Fault:
    """What goes wrong at the n-th request that matches.

    kinds: ``status`` (with status, headers, body), ``reset before``, ``reset after`` (the request
    is obeyed, the answer lost), ``cut off`` (obeyed, half an answer), ``hang`` (nothing is obeyed),
    ``hang after`` (obeyed), ``html`` (200 with a page), ``after`` (obeyed, then the status).
    """

    method: str
    path: str
    kind: str
    status: int = 0
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    nth: int = 1
    times: int = 1

    def strikes(self, method: str, path: str) -> bool:
        """Whether this request is the one."""
        if method != self.method or not re.search(self.path, path):
            return False
        self.nth -= 1
        return -self.times < self.nth <= 0


@dataclass(frozen=True)
class Recorded:
    """A REST request as it came in."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """What a stand-in answers."""

    status: int
    data: Any = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Project:
    """A repository on the stand-in."""

    path: str
    visibility: str = "private"
    description: str = ""
    archived: bool = False
    doomed: bool = False
    hidden: bool = False
    variables: dict[str, dict[str, Any]] = field(default_factory=dict)
    protected: dict[str, dict[str, Any]] = field(default_factory=dict)
    releases: dict[str, dict[str, Any]] = field(default_factory=dict)


class StandIn:
    """A forge on 127.0.0.1; a context manager."""

    api = ""
    auth_user = ""
    token_variable = ""

    def __init__(self, certificate: tuple[Path, Path] | None = None) -> None:
        self.token = TOKEN
        self.login = "maria"
        self.groups = ["team", "team/web"]
        self.forbidden: set[str] = set()
        self.projects: dict[str, Project] = {}
        self.requests: list[Recorded] = []
        self.git_requests: list[Recorded] = []
        self.faults: list[Fault] = []
        self.scopes: list[str] | None = None
        self.before_each: Callable[[Recorded], object] = lambda request: None
        self.lock = threading.Lock()
        self.closing = threading.Event()
        self._certificate = certificate

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="standin-")
        self.root = Path(self._folder.name)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("H", (Handler,), {"forge": self}))
        self.server.daemon_threads = True
        scheme = "http"
        if self._certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self._certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
            scheme = "https"
        self.url = f"{scheme}://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()
        self._folder.cleanup()

    def fault(self, method: str, path: str, kind: str, **more: Any) -> None:
        """Let something go wrong."""
        self.faults.append(Fault(method, path, kind, **more))

    def calls(self, method: str, path: str = "") -> list[Recorded]:
        """The REST requests of a kind."""
        return [call for call in self.requests if call.method == method and path in call.path]

    def add(self, path: str, *, visibility: str = "private", description: str = "", **more: Any) -> Project:
        """Make a repository."""
        project = Project(path, visibility, description, **more)
        folder = self.folder(path)
        subprocess.run(["git", "init", "-q", "--template=", "--bare", str(folder)], check=True)
        (folder / "HEAD").write_text("ref: refs/heads/main\n")
        self.projects[path.lower()] = project
        return project

    def folder(self, path: str) -> Path:
        """The bare repository of a path."""
        return self.root / f"{path}.git"

    def head(self, path: str, ref: str = "HEAD") -> str:
        """What a ref points to; empty when it is not there."""
        found = subprocess.run(
            ["git", "-C", str(self.folder(path)), "rev-parse", "-q", "--verify", ref],
            capture_output=True,
            text=True,
            check=False,
        )
        return found.stdout.strip()

    def find(self, path: str) -> Project | None:
        """A repository that the token may see."""
        project = self.projects.get(path.lower())
        return project if project and not project.hidden else None

    def rest(self, method: str, path: str, body: Any) -> Reply:
        """The answer to a REST request; `path` is below the root of the interface, still quoted."""
        raise NotImplementedError

    def refuse(self, status: int) -> Reply:
        """The usual words for a status."""
        raise NotImplementedError


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    forge: StandIn
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *args: object) -> None:
        """Keep quiet."""

    def do(self) -> None:
        """Answer one request, or go wrong as told."""
        forge = self.forge
        body = self._body()
        path = urlsplit(self.path).path
        is_rest = path.startswith(forge.api + "/")
        record = Recorded(self.command, self.path, dict(self.headers.items()), body)
        forge.before_each(record)
        with forge.lock:
            (forge.requests if is_rest else forge.git_requests).append(record)
            struck = [fault for fault in forge.faults if fault.strikes(self.command, self.path)]
        fault = struck[0] if struck else None
        if fault and fault.kind in BEFORE:
            self._go_wrong(fault)
            return
        reply = self._rest(path, body) if is_rest else self._git(path, body)
        if fault:
            self._go_wrong(fault, reply)
        else:
            self._send(reply)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do  # noqa: N815

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _rest(self, path: str, body: bytes) -> Reply:
        forge = self.forge
        if self.headers.get("Authorization") != f"Bearer {forge.token}":
            return forge.refuse(401)
        with forge.lock:
            return forge.rest(self.command, path.removeprefix(forge.api), json.loads(body or b"{}"))

    def _git(self, path: str, body: bytes) -> Reply:
        given = self.headers.get("Authorization", "").partition(" ")[2]
        user, _, password = base64.b64decode(given).decode().partition(":")
        if password != self.forge.token or user != self.forge.auth_user:
            return Reply(401, b"", {"WWW-Authenticate": 'Basic realm="forge"'})
        name = unquote(path).partition(".git/")[0].strip("/")
        if not self.forge.find(name):
            return Reply(404, b"not found")
        return self._backend(path, body)

    def _backend(self, path: str, body: bytes) -> Reply:
        encoding = {"HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", "")}
        done = subprocess.run(
            [str(BACKEND)],
            input=body,
            capture_output=True,
            check=False,
            env={
                **{name: value for name, value in encoding.items() if value},
                "PATH": os.environ["PATH"],
                "GIT_PROJECT_ROOT": str(self.forge.root),
                "GIT_HTTP_EXPORT_ALL": "1",
                "REMOTE_USER": self.forge.login,
                "PATH_INFO": unquote(path),
                "QUERY_STRING": urlsplit(self.path).query,
                "REQUEST_METHOD": self.command,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "CONTENT_LENGTH": str(len(body)),
                "HTTP_GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                "REMOTE_ADDR": "127.0.0.1",
                "GIT_CONFIG_NOSYSTEM": "1",
                "GIT_CONFIG_GLOBAL": os.devnull,
            },
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
        status = int(headers.pop("Status", "200").split()[0])
        return Reply(status, content, headers)

    def _send(self, reply: Reply, *, half: bool = False) -> None:
        raw = isinstance(reply.data, bytes)
        content = reply.data if raw else json.dumps(reply.data).encode()
        if reply.status == 204:
            content = b""
        self.send_response(reply.status)
        if not raw:
            self.send_header("Content-Type", "application/json")
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.status != 204:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if half else content)
        self.close_connection = self.close_connection or half

    def _go_wrong(self, fault: Fault, reply: Reply | None = None) -> None:
        if fault.kind in ("status", "after"):
            usual = self.forge.refuse(fault.status)
            self._send(Reply(fault.status, usual.data if fault.body is None else fault.body, fault.headers))
        elif fault.kind == "html":
            self._send(Reply(200, b"<html>Please sign in to the hotel</html>"))
        elif fault.kind == "cut off" and reply:
            self._send(reply, half=True)
        elif fault.kind.startswith("hang"):
            self.forge.closing.wait()
            self.close_connection = True
        else:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            with contextlib.suppress(OSError):
                self.connection.close()
            self.close_connection = True


BEFORE = ("status", "reset before", "hang", "html")

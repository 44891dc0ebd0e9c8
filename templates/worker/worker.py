"""A worker: does its work again and again, and can say whether it still does."""

import json
import logging
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from .about import about

log = logging.getLogger(__name__)


class Worker:
    """Runs ``work`` every ``interval`` seconds until it is told to stop."""

    def __init__(
        self, work: Callable[[], None], *, interval: float = 5, patience: float = 60
    ) -> None:
        self.work = work
        self.interval = interval
        self.patience = patience
        self.stopping = threading.Event()
        self.last = time.monotonic()

    def run(self) -> None:
        """Work until :meth:`stop`; the piece of work at hand is always finished."""
        while not self.stopping.is_set():
            try:
                self.work()
                self.last = time.monotonic()
            except Exception:
                log.exception("the work failed; it is tried again")
            self.stopping.wait(self.interval)

    def stop(self) -> None:
        """Let :meth:`run` return."""
        self.stopping.set()

    def healthy(self) -> bool:
        """Whether a piece of work was finished within the last ``patience`` seconds."""
        return time.monotonic() - self.last < self.patience


class HealthServer(ThreadingHTTPServer):
    """Answers /healthz: 200 while the worker works, 503 once it hangs or only fails.

    It is for `fab` on the same host alone and listens at the loopback address.
    """

    daemon_threads = True

    def __init__(self, worker: Worker, port: int) -> None:
        super().__init__(("127.0.0.1", port), HealthHandler)
        self.worker = worker

    def __enter__(self) -> "HealthServer":
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.shutdown()
        self.server_close()


class HealthHandler(BaseHTTPRequestHandler):
    """One question for the health."""

    server: HealthServer

    def do_GET(self) -> None:
        """Answer it."""
        if self.path == "/healthz":
            self._answer(200 if self.server.worker.healthy() else 503)
        else:
            self._answer(404)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        """Keep the log for the work."""

    def _answer(self, code: int) -> None:
        body = json.dumps(about()).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

"""The Tornado app."""

import asyncio
import signal

from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler

from .about import PROJECT, about

DRAIN_SECONDS = 30
"""How long a request that is being answered may take once the process was told to stop."""


class Handler(RequestHandler):
    """Base of all handlers: the app counts the requests that are being answered."""

    application: "App"

    def prepare(self) -> None:
        self.application.in_flight += 1

    def on_finish(self) -> None:
        self.application.in_flight -= 1


class Hello(Handler):
    """The home page."""

    def get(self) -> None:
        self.write({"message": f"Hello from {PROJECT}", "version": about()["version"]})


class Healthz(Handler):
    """The health check."""

    def get(self) -> None:
        self.write(about())


class App(Application):
    """The pages, and how many requests are being answered now."""

    def __init__(self) -> None:
        super().__init__([("/", Hello), ("/healthz", Healthz)])
        self.in_flight = 0


async def serve(bind: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT; then take no new requests and finish those in flight."""
    app = App()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = HTTPServer(app, xheaders=True)
    server.listen(port, bind)
    await stop.wait()
    server.stop()
    for _ in range(DRAIN_SECONDS * 10):
        await asyncio.sleep(0.1)
        if not app.in_flight:
            break

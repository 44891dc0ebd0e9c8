"""The shop's app: the template's with a websocket and slow answers, and as bad as a file on its host tells it to be."""

import asyncio
import os
import signal
import time
from pathlib import Path

from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketHandler

from .about import about

FAULTS = Path("/srv/faults")
"""Lines of a slot and what is wrong with it, as "b dies"."""
SLOT = os.environ["RELEASE_SLOT"]


def wrong(what: str) -> bool:
    """Whether that is wrong with this process now."""
    return FAULTS.exists() and f"{SLOT} {what}" in FAULTS.read_text().splitlines()


class Home(RequestHandler):
    """The page, which can be slow."""

    async def get(self) -> None:
        await asyncio.sleep(float(self.get_argument("seconds", "0")))
        if wrong("errors"):
            self.set_status(500)
        self.write(about())


class Healthz(RequestHandler):
    """The health check, which can fail or lie."""

    def get(self) -> None:
        if wrong("unhealthy"):
            self.set_status(500)
        self.write(about() | ({"version": "0.0"} if wrong("lies") else {}))


class Websocket(WebSocketHandler):
    """Tells the version for each message."""

    def on_message(self, message: str | bytes) -> None:
        self.write_message(about())


async def serve(bind: str, port: int) -> None:
    """Serve until SIGTERM."""
    if wrong("dies"):
        raise RuntimeError("closed for today")
    if wrong("is late"):
        time.sleep(3)
    while wrong("waits"):
        time.sleep(0.05)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    if wrong("dies later"):
        asyncio.get_running_loop().call_later(2, os._exit, 1)
    server = HTTPServer(Application([("/", Home), ("/healthz", Healthz), ("/ws", Websocket)]), xheaders=True)
    server.listen(port, bind)
    await stop.wait()
    server.stop()

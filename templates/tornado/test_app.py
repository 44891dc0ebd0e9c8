import asyncio
import json
import os
import signal
import socket

import pytest
from tornado.httpclient import AsyncHTTPClient

from {{ cookiecutter.package_name }}.about import PROJECT, about
from {{ cookiecutter.package_name }}.app import App, Handler, serve


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def fetch(port: int, path: str) -> tuple[int, str]:
    answer = await AsyncHTTPClient().fetch(f"http://127.0.0.1:{port}{path}", raise_error=False)
    return answer.code, answer.body.decode()


def ask(path: str) -> tuple[int, str]:
    """The answer of a process that is stopped by SIGTERM afterwards."""

    async def run() -> tuple[int, str]:
        port = free_port()
        server = asyncio.create_task(serve("127.0.0.1", port))
        await asyncio.sleep(0)
        answer = await fetch(port, path)
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(server, timeout=10)
        return answer

    return asyncio.run(run())


def test_the_home_page_says_hello_with_the_version() -> None:
    code, body = ask("/")
    assert code == 200
    assert json.loads(body) == {"message": f"Hello from {PROJECT}", "version": about()["version"]}


def test_the_health_check_tells_what_is_running() -> None:
    code, body = ask("/healthz")
    assert code == 200
    assert json.loads(body) == about()


def test_an_unknown_page_is_not_found() -> None:
    assert ask("/nowhere")[0] == 404


def test_a_request_in_flight_is_answered_before_the_process_stops(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """SIGTERM comes while the slow handler works; its answer must arrive all the same."""

    class Slow(Handler):
        async def get(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(0.3)
            self.write("done")

    plain = App.__init__

    def with_slow(self: App) -> None:
        plain(self)
        self.add_handlers(".*", [("/slow", Slow)])

    monkeypatch.setattr(App, "__init__", with_slow)

    async def run() -> tuple[int, str]:
        port = free_port()
        server = asyncio.create_task(serve("127.0.0.1", port))
        await asyncio.sleep(0)
        answer = await fetch(port, "/slow")
        await asyncio.wait_for(server, timeout=10)
        return answer

    assert asyncio.run(run()) == (200, "done")

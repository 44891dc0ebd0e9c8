"""supervisord and nginx take the configurations that a release renders."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import real
from template.baking import Oven, Project
from template.rendering import nginx_program, nginx_test, parse_supervisord, render, supervisord_values, write_nginx

Baked = Callable[[str], Project]
SITE = "release.d/nginx.conf.j2"
SUPERVISORD = "release.d/supervisord.conf.j2"


def test_supervisor_reads_one_program_a_process(baked: Baked, tmp_path: Path, kind: str) -> None:
    project = baked(kind)
    text = render(project.text(SUPERVISORD), supervisord_values(tmp_path))
    first, second = parse_supervisord(text, tmp_path, project.env)
    assert first.startswith("my-shop-0|")
    assert second.startswith("my-shop-1|")
    assert "8800" in first
    assert "8801" in second
    for expected in (
        "'RELEASE_SLOT', 'a'",
        "'RELEASE_PROFILE', 'production'",
        "'RELEASE_TIME', '2026-11-23T10:00:00Z'",
        "'RELEASE_VERSION', '2026.11.23.1'",
    ):
        assert expected in first


def test_a_folder_with_a_space_is_no_trouble(baked: Baked, tmp_path: Path) -> None:
    project, folder = baked("tornado"), tmp_path / "my shop"
    text = render(project.text(SUPERVISORD), supervisord_values(folder))
    first, _second = parse_supervisord(text, folder, project.env)
    assert f'"{folder}/venv/bin/python" -m my_shop' in first


@pytest.mark.parametrize("flavour", ["flask", "worker"])
def test_a_package_that_is_not_called_as_the_project_is_the_one_that_runs(
    oven: Oven, tmp_path: Path, flavour: str
) -> None:
    project = oven.bake(tmp_path / "bake", project_slug="my-shop", package_name="counter", flavour=flavour)
    text = render(project.text(SUPERVISORD), supervisord_values(tmp_path / "slot"))
    commands = [line for line in text.splitlines() if line.startswith("command=")]
    assert len(commands) == 2
    assert all("counter" in line and "my_shop" not in line for line in commands)


def test_the_command_of_an_older_project_is_taken_as_it_was_given(oven: Oven, tmp_path: Path) -> None:
    command = "{venv_dir}/bin/gunicorn --bind {bind}:{port} -k gevent --access-logformat %(h)s httpbin:app"
    project = oven.bake(tmp_path / "bake", project_slug="httpbin-0.10", flavour="init", command=command)
    text = render(project.text(SUPERVISORD), supervisord_values(tmp_path / "slot"))
    _first, second = parse_supervisord(text, tmp_path / "slot", project.env)
    program = f'"{tmp_path}/slot/venv"/bin/gunicorn'
    assert f"|{program} --bind 127.0.0.1:8801 -k gevent --access-logformat %(h)s httpbin:app|" in second


@pytest.mark.parametrize("changes", [{}, {"listen": "18443 default_server", "server_name": "a.example b.example"}])
def test_nginx_takes_the_site(baked: Baked, tmp_path: Path, changes: dict[str, str]) -> None:
    done = nginx_test(write_nginx(baked("flask").text(SITE), tmp_path, **changes))
    assert done.code == 0, done.output
    assert "[warn]" not in done.output


def test_a_worker_has_no_site(baked: Baked) -> None:
    assert SITE not in baked("worker").files()


@pytest.fixture
def site(baked: Baked, tmp_path: Path) -> Iterator[str]:
    """The address of a running nginx with the site, in front of an app that tells its headers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    app = ThreadingHTTPServer(("127.0.0.1", 0), TellsHeaders)
    keys = {"listen": f"0.0.0.0:{port}", "port_base": app.server_port - 1000}
    file = write_nginx(baked("flask").text(SITE), tmp_path, [f"127.0.0.1:{app.server_port}"], **keys)
    command = [nginx_program(), "-c", str(file), "-g", "master_process off;", "-e", "stderr"]
    with app:
        subprocess.run(command, check=True)
        threading.Thread(target=app.serve_forever, daemon=True).start()
        while not accepts(port):
            pass
        yield f"127.0.0.1:{port}"
        real.end(file.with_name("nginx.pid"))
        app.shutdown()


class TellsHeaders(BaseHTTPRequestHandler):
    """Answers every GET with the headers that came with it."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = json.dumps(dict(self.headers)).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


def accepts(port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def get(site: str, path: str, source: str = "127.0.0.1", **headers: str) -> tuple[int, str]:
    """The answer to a GET that comes from an address of this machine."""
    connection = HTTPConnection(site, timeout=5, source_address=(source, 0))
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def test_the_app_hears_who_asked_and_what_for(site: str) -> None:
    code, body = get(site, "/", source="127.0.0.2", Host="shop.example.com")
    headers = json.loads(body)
    assert code == 200
    assert headers["Host"] == headers["X-Forwarded-Host"] == "shop.example.com"
    assert headers["X-Forwarded-For"] == headers["X-Real-IP"] == "127.0.0.2"
    assert headers["X-Forwarded-Proto"] == "http"
    assert "Connection" not in headers


def test_a_websocket_is_upgraded(site: str) -> None:
    headers = json.loads(get(site, "/", Upgrade="websocket", Connection="Upgrade")[1])
    assert (headers["Upgrade"], headers["Connection"]) == ("websocket", "upgrade")

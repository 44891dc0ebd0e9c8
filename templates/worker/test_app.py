import json
import logging
import signal
import subprocess
import sys
import time
import urllib.request
from urllib.error import HTTPError

import pytest

from {{ cookiecutter.package_name }}.about import about
from {{ cookiecutter.package_name }}.work import work
from {{ cookiecutter.package_name }}.worker import HealthServer, Worker


def ask(worker: Worker, path: str) -> tuple[int, object]:
    with HealthServer(worker, 0) as server:
        address = f"http://127.0.0.1:{server.server_port}{path}"
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                return answer.status, json.load(answer)
        except HTTPError as error:
            with error:
                return error.code, json.load(error)


def test_the_work_says_what_is_at_work(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        work()
    assert about()["version"] in caplog.text


def test_the_health_check_tells_what_is_running() -> None:
    assert ask(Worker(work), "/healthz") == (200, about())


def test_a_worker_that_hangs_is_not_healthy() -> None:
    assert ask(Worker(work, patience=0), "/healthz")[0] == 503


def test_an_unknown_page_is_not_found() -> None:
    assert ask(Worker(work), "/")[0] == 404


def test_work_that_fails_is_tried_again() -> None:
    attempts = []

    def fail_once() -> None:
        attempts.append(time.monotonic())
        if len(attempts) == 1:
            raise ValueError("once")
        worker.stop()

    worker = Worker(fail_once, interval=0.01)
    worker.run()
    assert len(attempts) == 2


def test_a_process_stops_when_it_is_told_to() -> None:
    command = [sys.executable, "-m", "{{ cookiecutter.package_name }}", "--health-port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        assert "is at work" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0

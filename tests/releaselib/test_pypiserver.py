"""An index of one's own: a real pypiserver that takes no upload without a password and asks nobody else."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest
import requests

import real
from releaselib import index
from releaselib.config.tables import OwnIndex
from releaselib.errors import IndexFailed
from releaselib.index.own import Own
from releaselib.index.pypiserver import Server, answers, command, ensure, install, stop
from rig import wait_for

SERVE = """
import sys
from pathlib import Path
from releaselib.index.pypiserver import Server, serve
serve(Server(Path(sys.argv[1]), "127.0.0.1", int(sys.argv[2])), "second", "sesame")
"""
ENDS_LATE = """
import os, signal, sys, time
def end(*_):
    os.unlink("pid")
    time.sleep(0.5)
    sys.exit()
signal.signal(signal.SIGTERM, end)
with open("pid", "w") as file:
    file.write(str(os.getpid()))
while True:
    signal.pause()
"""


def served(shelf: OwnIndex) -> Server:
    return Own(shelf).server


def mode(path: Path) -> str:
    return oct(stat.S_IMODE(path.stat().st_mode))


def test_an_index_of_ones_own_is_a_server_at_its_address() -> None:
    own = Own(OwnIndex.at(8891, "/shop/.local/index"))
    assert own.server == Server(Path("/shop/.local/index"), "127.0.0.1", 8891)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", ""])
def test_this_machine_asks_a_server_at_its_loopback(host: str) -> None:
    assert Server(Path("/x"), host, 8080).url == "http://127.0.0.1:8080/"


def test_it_never_sends_anybody_to_the_public_index(shelf: OwnIndex) -> None:
    answer = requests.get(f"{shelf.url}requests/", allow_redirects=False)
    assert answer.status_code == 404
    assert "disable_fallback=True" in command(served(shelf))[-1]


def test_nobody_uploads_without_the_password(shelf: OwnIndex) -> None:
    for auth in (None, ("releaser", "guess"), ("nobody", "x")):
        answer = requests.post(shelf.upload_url, data={":action": "file_upload"}, auth=auth)
        assert answer.status_code in (401, 403)


def test_its_secrets_are_for_their_owner_only(shelf: OwnIndex) -> None:
    folder = Path(shelf.folder)
    assert {mode(folder / name) for name in ("password", "htpasswd")} == {"0o600"}
    assert len((folder / "password").read_text()) >= 32
    assert (folder / "password").read_text() not in (folder / "htpasswd").read_text()


def test_it_is_started_once_and_again_after_its_end_with_the_same_password_and_packages(
    shelf: OwnIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = served(shelf)
    monkeypatch.setenv("CI_JOB_TOKEN", "sesame")
    monkeypatch.setenv("GUNICORN_CMD_ARGS", "--access-logfile access")
    password = (server.folder / "password").read_text()
    assert ensure(server, "releaser") is False
    assert stop(server.folder) is True
    assert not answers(server)
    assert stop(server.folder) is False
    assert ensure(server, "releaser") is True
    assert (server.folder / "password").read_text() == password
    assert len(index.of(shelf).files("shelf-lib")) == 2
    log = server.folder / "access"  # of a setting of gunicorn's that must reach it
    wait_for(lambda: "/simple/shelf-lib/" in log.read_text(), "the answer to be in gunicorn's log")
    pid = (server.folder / "pid").read_text().strip()
    assert b"sesame" not in Path("/proc", pid, "environ").read_bytes(), "it lives for longer than a job"


def test_stop_waits_for_the_end_of_the_process_and_not_of_its_file(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ENDS_LATE, "pypiserver"], cwd=tmp_path) as server:
        wait_for(lambda: (tmp_path / "pid").exists() and bool((tmp_path / "pid").read_text()), "it to be at work")
        assert stop(tmp_path) is True
        assert server.poll() == 0


def test_stop_leaves_a_process_alone_that_only_has_the_same_pid(tmp_path: Path) -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as other:
        (tmp_path / "pid").write_text(str(other.pid))
        assert stop(tmp_path) is False
        assert other.poll() is None


def test_a_pid_file_that_is_there_but_cannot_be_read_is_of_no_server(tmp_path: Path) -> None:
    """As of a server that removes it at this very moment, because it ends."""
    (tmp_path / "pid").mkdir()
    assert stop(tmp_path) is False


def test_it_can_be_served_in_front_and_ends_with_its_process(shelf: OwnIndex) -> None:
    server = Server(Path(shelf.folder), "127.0.0.1", real.free_port())
    argv = (sys.executable, "-c", SERVE, str(server.folder), str(server.port))
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while "Listening at" not in process.stderr.readline():
            assert process.poll() is None
        assert answers(server)
        process.terminate()
        process.stderr.read()
    assert not answers(server)


def test_a_new_user_does_not_put_out_the_old_one(shelf: OwnIndex) -> None:
    server = served(shelf)
    install(server, "third", "sesame")
    users = [line.partition(":")[0] for line in (server.folder / "htpasswd").read_text().splitlines()]
    assert {"releaser", "third"} <= set(users)
    assert len(users) == len(set(users))


def test_whoever_has_its_port_is_not_taken_for_it(shelf: OwnIndex, tmp_path: Path) -> None:
    """Not even another index: what that holds is somebody else's."""
    stranger = served(shelf)
    own = Own(OwnIndex.at(stranger.port, str(tmp_path / "index")))
    assert own.files("shelf-lib") == []
    with pytest.raises(IndexFailed, match=rf"port {stranger.port} is taken by something that is not the index in"):
        own.ensure()
    assert not (tmp_path / "index").exists()

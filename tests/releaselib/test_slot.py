"""A release is installed, started and checked in an idle slot; here the slot is real, and on this machine."""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar

import pytest
import requests

import real
from releaselib.config.stage import Stage
from releaselib.config.tables import Index, OwnIndex
from releaselib.decide.files import File, uv_wheel
from releaselib.decide.problems import problems
from releaselib.decide.seen import SlotSeen
from releaselib.decide.settings import Setting, as_file
from releaselib.errors import CommandFailed, IndexFailed, Refused
from releaselib.hosts import scripts, slot
from releaselib.hosts.connection import Remote
from releaselib.hosts.facts import look
from releaselib.hosts.fleet import Fleet
from releaselib.hosts.health import at_start, check, question
from releaselib.hosts.scripts import program
from releaselib.hosts.supervisor import configuration
from releaselib.index import of
from releaselib.wheels.resolve import Target, pins, resolve, tools
from rig import wait_for

APP = """
import argparse, http.server, json
parser = argparse.ArgumentParser()
parser.add_argument("--bind"); parser.add_argument("--port", type=int)
options = parser.parse_args()

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({{"version": "{version}"}}).encode())

{first}
http.server.ThreadingHTTPServer((options.bind, options.port), Handler).serve_forever()
"""


def folder_of(index: Index) -> str:
    """Where an index of one's own keeps its packages."""
    assert isinstance(index, OwnIndex)
    return index.folder


def stage(folder: Path, index: Index, **keys: Any) -> Stage:
    table = {"port_base": real.free_port(20), "processes": 1, "health_timeout": 20, **keys}
    made = real.stage(folder, **table)
    return made.model_copy(update={"index": index})


# --- what is sent to a host


ASKED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "every process on its own host, for as long as may be": (
        {"processes": 2},
        {
            "targets": ["127.0.0.1:8810", "127.0.0.1:8811"],
            "version": "2.0",
            "timeout": 30,
            "wake": "/shop/run/slots/b/run/supervisor.sock",
        },
    ),
    "a page of its own": ({"health": "/up", "health_timeout": 7}, {"path": "/up", "timeout": 7}),
    "an app that does not tell its version": ({"health_version": False}, {"version": ""}),
}


@pytest.mark.parametrize(("keys", "asked"), ASKED.values(), ids=ASKED)
def test_every_process_is_asked_for_the_version(keys: dict[str, Any], asked: dict[str, Any]) -> None:
    stage = real.stage(Path("/shop"), **keys)
    found = at_start(stage, "b", "2.0", stage.app[0])
    assert {key: found[key] for key in asked} == asked


def test_a_proxy_asks_the_processes_that_it_is_to_serve_from_once() -> None:
    found = question(real.stage(Path("/shop")), ["h1:8810", "[fd00::7]:8810"], "2.0")
    assert found["targets"] == ["h1:8810", "[fd00::7]:8810"]
    assert (found["timeout"], found["allowed"], found["wake"]) == (0, 0, "")


SITES = {
    "_": {},
    "~^shop[0-9]": {},
    "shop.example www.shop.example": {"Host": "shop.example"},
    "~^shop *.shop.example": {"Host": "www.shop.example"},
    ".shop.example": {"Host": "shop.example"},
}


@pytest.mark.parametrize(("names", "headers"), SITES.items(), ids=SITES)
def test_a_process_is_asked_by_a_name_that_visitors_use(names: str, headers: dict[str, str]) -> None:
    keys = {"server_name": names, "health_headers": {"X-Forwarded-Proto": "https"}}
    assert question(real.stage(Path("/shop"), **keys), [], "")["headers"] == {"X-Forwarded-Proto": "https", **headers}


DIFFERENT = {
    "another wheel": ("requirements.txt", True),
    "another configuration": ("supervisord.conf", True),
    "other tools": ("tools.txt", True),
    "another question": ("health.json", True),
    "another time of the same release": ("release.json", False),
    "another way to start after a restart": ("boot.sh", False),
}


@pytest.mark.parametrize(("name", "differs"), DIFFERENT.values(), ids=DIFFERENT)
def test_a_slot_is_another_one_when_anything_in_it_is(name: str, differs: bool) -> None:
    content = slot.files(real.release("2.0"), "conf", ("pins", "tools"), {}) | {"boot.sh": "x"}
    assert (slot.digest(content) != slot.digest(content | {name: "other"})) is differs


def test_the_files_of_a_slot_are_told_by_name() -> None:
    stage = real.stage(Path("/a b"))
    asked = at_start(stage, "a", "2.0", stage.app[0])
    found = slot.files(real.release("2.0"), "conf", ("pins", "tools"), asked)
    assert sorted(found) == ["health.json", "release.json", "requirements.txt", "supervisord.conf", "tools.txt"]
    assert json.loads(found["release.json"])["version"] == "2.0"
    assert json.loads(found["health.json"])["wake"] == "/a b/run/slots/a/run/supervisor.sock"


# --- on this machine


class Shop:
    """A release of a small shop, whose wheel says `version` and whose answers say `answers`."""

    def __init__(self, where: Stage, version: str, *, answers: str = "", first: str = "") -> None:
        self.stage, self.version = where, version
        self.asked_elsewhere: list[tuple[str, str]] = []
        packages = Path(folder_of(where.index)) / "packages"
        text = APP.format(version=answers or version, first=first)
        self.wheel = packages / f"my_shop-{version}-py3-none-any.whl"
        if not self.wheel.exists():
            real.wheel(packages, real.PROJECT, version, files={"my_shop/__main__.py": text})

    def content(self, letter: str, **changed: Any) -> dict[str, Any]:
        """The files of a slot, resolved from the index as it is."""
        (python, machine) = target()
        kind = Target(python, machine)
        lock = resolve([f"{real.PROJECT}=={self.version}"], self.stage.index, kind, links=self.wheel.parent)
        beside = resolve(tools(self.stage), self.stage.index, kind)
        this = real.release(self.version, 1, wheels=pins(lock))
        conf = configuration(real.template("supervisord.conf.j2"), self.stage, this, letter)
        made = slot.files(this, conf, (lock, beside), at_start(self.stage, letter, self.version, self.stage.app[0]))
        return made | changed

    def answer(self, letter: str) -> str:
        port = self.stage.ports(letter)[0]
        return str(requests.get(f"http://127.0.0.1:{port}/healthz").json()["version"])


def target() -> tuple[str, str]:
    import platform

    return ".".join(platform.python_version_tuple()[:2]), platform.machine()


def uv(index: Index) -> File:
    found = uv_wheel(of(index).files("uv"), target()[1])
    assert found is not None
    return found


OTHERS = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_INDEX", "UV_DEFAULT_INDEX", "UV_EXTRA_INDEX_URL", "http_proxy")


@pytest.fixture(scope="module")
def where(shelf: Index, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A stage on this machine, with a space in its folder."""
    made = stage(tmp_path_factory.mktemp("s") / "a b", shelf)
    yield made
    real.end_slots(made)


@pytest.fixture
def remote(where: Stage) -> Remote:
    return Fleet(where).remote(where.app[0])


@pytest.fixture(scope="module")
def staged(where: Stage) -> Shop:
    """A release that runs in slot a; it was staged while the environment named another index."""
    shop = Shop(where, "1.0")
    content, installer = shop.content("a"), uv(where.index)
    with real.Web({}) as other, pytest.MonkeyPatch.context() as patch:
        for name in OTHERS:
            patch.setenv(name, other.url)
        slot.stage_release(Fleet(where).remote(where.app[0]), "a", content, installer)
        shop.asked_elsewhere = other.seen
    return shop


def folder(where: Stage, letter: str) -> Path:
    return Path(where.prefix) / "slots" / letter


def installed(where: Stage, letter: str) -> set[str]:
    found = folder(where, letter).glob("venv/lib/*/site-packages/*.dist-info")
    return {path.name.removesuffix(".dist-info") for path in found}


def test_a_staged_release_runs_and_holds_exactly_what_was_resolved(staged: Shop, where: Stage) -> None:
    assert staged.answer("a") == "1.0"
    assert installed(where, "a") == {"my_shop-1.0"}
    view = look(Fleet(where), where.app)
    (app,) = view.app.values()
    assert app.slots["a"] == SlotSeen(real.release("1.0", 1, wheels={"my-shop": "1.0"}), True, True)
    assert problems(view, where) == [], "its ports are its own"


def test_what_a_slot_holds_is_for_its_owner_only(staged: Shop, where: Stage) -> None:
    here = folder(where, "a")
    modes = {path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in here.iterdir() if path.is_file()}
    assert (modes.pop("healthy"), modes.pop("runs")) == ("0o644", "0o644")
    assert set(modes.values()) == {"0o600"}
    assert {oct(stat.S_IMODE(path.stat().st_mode)) for path in (here, here / "run")} == {"0o700"}, "its logs as well"
    assert oct(stat.S_IMODE((here / "run/supervisor.sock").stat().st_mode)) == "0o700"


def test_settings_are_in_the_environment_of_the_processes_and_in_one_private_file(where: Stage, remote: Remote) -> None:
    secret = "it's $HOME `id`\nZq81"
    shop = Shop(where, "1.4", first=f"import os; assert os.environ['KEY'] == {secret!r}")
    own = {"files/a/app.ini": {"text": "é", "mode": "0644"}, "files/key": {"text": "k", "mode": "0600"}}
    content = shop.content("b", environment=as_file([Setting("KEY", secret, "")]), **own)
    assert slot.stage_release(remote, "b", content, uv(where.index)) == "built"
    assert slot.stage_release(remote, "b", content, uv(where.index)) == "kept"
    modes = {name: oct(stat.S_IMODE((folder(where, "b") / name).stat().st_mode)) for name in ("environment", *own)}
    assert modes == {"environment": "0o600", "files/a/app.ini": "0o644", "files/key": "0o600"}
    assert (folder(where, "b") / "files/a/app.ini").read_text("utf-8") == "é"
    assert slot.settings(remote, "b", "k") == slot.keyed({"KEY": secret}, "k") != slot.keyed({"KEY": "x"}, "k")
    command_lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not any(b"Zq81" in line for line in command_lines)
    slot.act(remote, "restart", "b")
    check(remote, "b", 20)
    other = content | {"environment": as_file([Setting("KEY", secret, ""), Setting("NEW", "1", "")])}
    assert slot.stage_release(remote, "b", other, uv(where.index)) == "built", "another setting, another slot"
    slot.act(remote, "remove", "b")
    assert slot.settings(remote, "b", "k") == {}


def test_the_processes_do_not_keep_the_lock_of_the_host(staged: Shop, where: Stage) -> None:
    subprocess.run(["flock", "-n", f"{where.prefix}/host.lock", "true"], check=True)


def test_bytecode_is_kept_beside_the_slots_and_never_taken_for_that_of_another_release(
    where: Stage, remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    for version in ("2.1", "2.2"):  # in the same slot, with files of the same size
        shop = Shop(where, version)
        slot.stage_release(remote, "b", shop.content("b"), uv(where.index))
        assert shop.answer("b") == version
        made = max(path.stat().st_mtime for path in folder(where, "b").glob("venv/lib/*/site-packages/my_shop/*.py"))
        wait_for(lambda made=made: time.time() >= int(made) + 1, "the next second")  # type: ignore[misc]
    kept = Path(where.prefix) / "cache/bytecode" / folder(where, "b").relative_to("/")
    assert list(kept.glob("venv/lib/*/site-packages/my_shop/*.pyc"))
    assert not list(folder(where, "b").glob("venv/lib/*/site-packages/my_shop/__pycache__"))
    library = Path(json.__file__).parent
    for path in library.glob(f"__pycache__/*.{sys.implementation.cache_tag}.pyc"):
        there = Path(where.prefix) / "cache/bytecode" / library.relative_to("/") / path.name
        assert there.resolve() == path.resolve(), "what Python has of its own library is not compiled again"
    real.end_slots(where, "b")


def test_bytecode_that_a_full_disk_cut_off_fails_one_release_and_not_the_next(
    where: Stage, remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    shop = Shop(where, "2.3")
    slot.stage_release(remote, "b", shop.content("b"), uv(where.index))
    kept = Path(where.prefix) / "cache/bytecode" / folder(where, "b").relative_to("/")
    for path in kept.glob("venv/lib/*/site-packages/my_shop/*.pyc"):
        path.write_bytes(path.read_bytes()[:20])
    content = shop.content("b", environment=as_file([Setting("KEY", "1", "")]))
    with pytest.raises(CommandFailed, match="marshal data too short"):
        slot.stage_release(remote, "b", content, uv(where.index))
    assert slot.stage_release(remote, "b", content, uv(where.index)) == "built"
    real.end_slots(where, "b")


def test_bytecode_of_supervisord_that_a_full_disk_cut_off_fails_one_release_and_not_the_next(
    where: Stage, remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    content = Shop(where, "2.3").content("b")
    slot.stage_release(remote, "b", content, uv(where.index))
    real.end_slots(where, "b")
    cut = list((Path(where.prefix) / "cache/bytecode").glob("**/site-packages/supervisor/options.*.pyc"))
    for path in cut:
        path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(CommandFailed, match="marshal data too short"):
        slot.stage_release(remote, "b", content, uv(where.index))
    assert cut
    assert slot.stage_release(remote, "b", content, uv(where.index)) == "built"
    real.end_slots(where, "b")


def test_no_other_index_is_asked_whatever_the_environment_says(staged: Shop) -> None:
    assert staged.asked_elsewhere == []


def failure(where: Stage, remote: Remote, content: dict[str, str], letter: str = "b") -> CommandFailed:
    with pytest.raises(CommandFailed) as caught:
        slot.stage_release(Fleet(where).remote(where.app[0]), letter, content, uv(where.index))
    assert caught.value.exit_code == 5
    logs = f"fab host.logs --stage test --hosts local --slot {letter}"
    assert caught.value.next_step == next(
        (words for code, words in scripts.NEXT.items() if scripts.CODES[code] in caught.value.what), logs
    )
    assert not (folder(where, letter) / "healthy").exists()
    real.end_slots(where, letter)
    return caught.value


FOREIGN = {
    "other bytes": lambda pins: re.sub(r"sha256:\w{6}", "sha256:000000", pins),
    "bytes that nobody has recorded": lambda pins: re.sub(r" \\\n.*", "", pins),
}


@pytest.mark.parametrize("change", FOREIGN.values(), ids=FOREIGN)
def test_bytes_that_are_not_those_of_the_release_are_not_installed(
    where: Stage, remote: Remote, change: Callable[[str], str]
) -> None:
    content = Shop(where, "1.3").content("b")
    pins = change(content["requirements.txt"])
    assert pins != content["requirements.txt"]
    error = failure(where, remote, content | {"requirements.txt": pins})
    assert error.what == "local: the release cannot be installed"
    assert "hash" in error.cause.lower()
    assert installed(where, "b") == set()


def test_a_configuration_that_supervisord_refuses_is_told_in_its_words(
    staged: Shop, where: Stage, remote: Remote
) -> None:
    conf = staged.content("b")["supervisord.conf"].replace("startsecs=1", "startsecs=soon")
    error = failure(where, remote, staged.content("b", **{"supervisord.conf": conf}))
    assert error.what == "local: supervisord does not start"
    assert "invalid literal for int() with base 10: 'soon'" in error.cause


def test_an_app_that_answers_another_version_is_told_with_what_it_answered(where: Stage, remote: Remote) -> None:
    quick = where.model_copy(update={"health_timeout": 1})
    error = failure(quick, remote, Shop(quick, "2.0", answers="1.9").content("b"))
    assert error.what == "local: not every process became healthy"
    assert "answered version 1.9, not 2.0" in error.cause


def test_an_app_that_dies_is_told_with_the_last_lines_of_its_log_and_given_up_early(
    where: Stage, remote: Remote
) -> None:
    patient = where.model_copy(update={"health_timeout": 600})
    content = Shop(patient, "3.0", first="raise SystemExit('no such database')").content("b")
    conf = content["supervisord.conf"].replace("startsecs=1", "startsecs=1\nstartretries=0")
    begun = time.monotonic()
    error = failure(patient, remote, content | {"supervisord.conf": conf})
    assert time.monotonic() - begun < patient.health_timeout / 2
    assert error.what == "local: not every process became healthy"
    assert "no such database" in error.cause
    assert "Connection refused" in error.cause


def test_of_an_app_that_says_much_before_it_dies_the_end_is_told(where: Stage, remote: Remote) -> None:
    patient = where.model_copy(update={"health_timeout": 30})
    content = Shop(patient, "3.1", first="raise SystemExit('x' * 4_000_000 + 'no such table')").content("b")
    conf = content["supervisord.conf"].replace("startsecs=1", "startsecs=1\nstartretries=0")
    assert len(failure(patient, remote, content | {"supervisord.conf": conf}).cause) < 20_000


BESIDE = """
[program:worker]
command=sh -c "echo cannot open the queue; exit 1"
startsecs={seconds}
startretries=1
"""


GOES_AWAY = "import os\nif os.fork(): os._exit(0)\nos.dup2(os.open(os.devnull, os.O_WRONLY), 2)"


@pytest.mark.parametrize("first", ["", GOES_AWAY], ids=["a worker", "one that goes away"])
def test_a_process_that_supervisor_gives_up_makes_the_slot_unhealthy_though_the_app_answers(
    where: Stage, remote: Remote, first: str
) -> None:
    content = Shop(where, "3.2" if first else "3.3", first=first).content("b")
    conf = content["supervisord.conf"] + BESIDE.format(seconds=1) * (not first)
    try:
        error = failure(where, remote, content | {"supervisord.conf": conf})
    finally:
        for left in all_with(f"{folder(where, 'b')}/venv/"):
            os.kill(left, signal.SIGKILL)
    assert re.search(
        f'"{"my-shop-0" if first else "worker"}": "supervisor says (FATAL|BACKOFF) Exited too', error.cause
    )
    assert "cannot open the queue" in error.cause or first


def test_a_process_that_falls_later_is_seen_until_it_runs_again(where: Stage, remote: Remote, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    worker = f"[program:worker]\ncommand=sh -c 'test ! -e {broken} && exec sleep 1000'\nstartretries=0\n"
    content = Shop(where, "3.4").content("b")
    content["supervisord.conf"] += worker
    slot.stage_release(remote, "b", content, uv(where.index))

    def down() -> dict[str, str]:
        return look(Fleet(where), where.app).app[where.app[0]].slots["b"].down

    def control(*words: str) -> None:
        supervisorctl = folder(where, "b") / "tools/bin/supervisorctl"
        subprocess.run([supervisorctl, "-c", folder(where, "b") / "supervisord.conf", *words], check=False)

    assert down() == {}
    broken.touch()
    control("restart", "worker")
    why = "Exited too quickly (process log may have details)"
    wait_for(lambda: down() == {"worker": f"supervisor says FATAL {why}"}, "its fall")
    broken.unlink()
    control("start", "worker")
    wait_for(lambda: down() == {}, "its start")
    supervisord = int((folder(where, "b") / "run/supervisord.pid").read_text())
    os.kill(supervisord, signal.SIGSTOP)
    told = down()
    os.kill(supervisord, signal.SIGCONT)
    slot.act(remote, "remove", "b")
    assert told == {"supervisord": "does not answer: no answer to getAllProcessInfo"}


def all_with(words: str) -> list[int]:
    """Every process whose command has these words."""
    lines = {path: path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()}
    return [int(path.parent.name) for path, line in lines.items() if words.encode() in line]


def test_whoever_answers_before_the_start_is_not_taken_for_the_release(where: Stage, remote: Remote) -> None:
    content = Shop(where, "1.1").content("b")
    port = where.ports("b")[0]
    with real.Web({where.health: (200, '{"version": "1.1"}')}, port=port):
        error = failure(where, remote, content)
    assert error.what == "local: a port of the slot is taken"
    assert f"something else listens there; what, tells ss -ltnp 'sport = :{port}'" in error.cause
    assert all_with(f"{folder(where, 'b')}/supervisord.conf") == []


def test_a_slot_that_failed_can_be_staged_in_again_beside_the_first_and_the_tools_are_kept(
    staged: Shop, where: Stage, remote: Remote
) -> None:
    (ready,) = Path(where.prefix).glob("tools/*/ready")
    before = ready.stat().st_mtime_ns
    second = Shop(where, "1.1")
    failure(where, remote, second.content("b", **{"supervisord.conf": "[supervisord"}))
    slot.stage_release(remote, "b", second.content("b"), uv(where.index))
    assert (staged.answer("a"), second.answer("b")) == ("1.0", "1.1")
    assert ready.stat().st_mtime_ns == before
    real.end_slots(where, "b")
    slot.act(remote, "remove", "b")
    assert not folder(where, "b").exists()
    assert staged.answer("a") == "1.0"


class Egress(http.server.BaseHTTPRequestHandler):
    """A proxy to the outside; ``asked`` are the addresses that it was asked for."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.relay(self.path)

    def relay(self, address: str) -> None:
        """Answer with what that address answers."""
        answer = requests.get(address, headers={"Accept": self.headers["Accept"] or "*/*"})
        self.send_response(answer.status_code)
        self.send_header("Content-Type", answer.headers["Content-Type"])
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(answer.content)

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_hosts_ask_the_index_through_the_proxy_that_the_stage_names(staged: Shop, where: Stage) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Egress) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        behind = where.model_copy(update={"http_proxy": f"http://127.0.0.1:{server.server_port}"})
        shutil.rmtree(where.paths.cache, ignore_errors=True)
        shop = Shop(where, "1.3")
        remote = Fleet(behind).remote(behind.app[0])
        assert slot.stage_release(remote, "b", shop.content("b"), uv(where.index)) == "built"
        server.shutdown()
    assert any(address.endswith("1.3-py3-none-any.whl") for address in Egress.asked), Egress.asked
    assert all(address.startswith(where.index.url.partition("/simple")[0]) for address in Egress.asked)
    real.end_slots(where, "b")


def test_an_index_may_be_read_with_a_password_which_stays_nowhere(
    staged: Shop, where: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, theirs = f"Basic {base64.b64encode(b'reader:Zq81-read').decode()}", where.index.url.partition("/simple")[0]

    class Closed(Egress):
        def do_GET(self) -> None:
            if self.headers["Authorization"] == wanted:
                self.relay(theirs + self.path)
            else:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="index"')
                self.send_header("Content-Length", "0")
                self.end_headers()

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Closed) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        index = Index(url=f"http://127.0.0.1:{server.server_port}/simple/", read_username="reader")
        closed = where.model_copy(update={"index": index})
        shutil.rmtree(where.paths.cache, ignore_errors=True)
        for program in Path(where.paths.tools).glob("uv-*"):
            program.unlink()
        shop = Shop(where, "1.9")
        shop.stage = closed
        with pytest.raises(Refused, match="no password to read"):
            shop.content("b")
        monkeypatch.setenv("RELEASELIB_INDEX_READ_PASSWORD", "wrong")
        with pytest.raises(IndexFailed, match="refuses the password of reader"):
            shop.content("b")
        monkeypatch.setenv("RELEASELIB_INDEX_READ_PASSWORD", "Zq81-read")
        (file,) = (one for one in of(index).files("shelf-lib") if one.version == "1.0")
        assert hashlib.sha256(of(index).read(file)).hexdigest() == file.sha256
        remote = Fleet(closed).remote(closed.app[0])
        assert slot.stage_release(remote, "b", shop.content("b"), uv(index)) == "built"
        assert slot.stage_release(remote, "b", shop.content("b"), uv(index)) == "kept"
        server.shutdown()
    told = [path for path in Path(where.prefix).rglob("*") if path.is_file() and b"Zq81-read" in path.read_bytes()]
    assert told == []
    real.end_slots(where, "b")


def test_health_that_is_not_the_wanted_is_told(staged: Shop, where: Stage, remote: Remote) -> None:
    check(remote, "a")
    asked = folder(where, "a") / "health.json"
    text = asked.read_text()
    asked.write_text(text.replace('"1.0"', '"9.9"'))
    with pytest.raises(CommandFailed) as caught:
        check(remote, "a")
    asked.write_text(text)
    assert caught.value.what == "local: slot a is not healthy"
    assert "answered version 1.0, not 9.9" in caught.value.cause
    assert caught.value.next_step == "fab supervisor.status --stage test --slot a"


def test_a_slot_is_stopped_started_and_told_of(staged: Shop, where: Stage, remote: Remote) -> None:
    def act(action: str) -> str:
        return slot.act(remote, action, "a")

    assert re.search("RUNNING|STARTING", act("status"))
    act("stop")
    assert "STOPPED" in act("status")
    with pytest.raises(requests.ConnectionError):
        staged.answer("a")
    for _ in range(2):
        act("shutdown")
    assert act("status") == act("stop") == "slot a is stopped\n"
    with pytest.raises(CommandFailed, match="the slot is stopped") as caught:
        act("restart")
    assert caught.value.cause == "slot a is stopped: nothing to restart"
    view = look(Fleet(where), where.app)
    (app,) = view.app.values()
    assert (app.slots["a"].running, app.slots["a"].healthy) == (False, True)
    for _ in range(2):
        act("start")
    check(remote, "a", 20)


def test_of_an_empty_slot_there_is_nothing_to_start(where: Stage, remote: Remote) -> None:
    for action, words in {"remove": "", "shutdown": "slot b is empty\n", "status": "slot b is empty\n"}.items():
        assert slot.act(remote, action, "b") == words
    with pytest.raises(CommandFailed) as caught:
        slot.act(remote, "start", "b")
    assert caught.value.cause == "slot b is empty: nothing to start"


def test_without_uv_it_is_installed_by_pip_with_the_same_result(
    staged: Shop, where: Stage, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = stage(tmp_path_factory.mktemp("p"), where.index)
    shop = Shop(other, "1.0")
    (ready,) = Path(where.prefix).glob("tools/*/ready")
    tools = Path(other.prefix) / "tools"
    tools.mkdir(parents=True)
    (tools / ready.parent.name).symlink_to(ready.parent)  # what uv made there will do here
    slot.stage_release(Fleet(other).remote(other.app[0]), "a", shop.content("a"), None)
    assert shop.answer("a") == "1.0"
    assert "my_shop-1.0" in installed(other, "a")
    real.end_slots(other)


def test_the_tools_are_made_again_for_another_interpreter_and_when_theirs_is_gone(
    where: Stage, remote: Remote, tmp_path: Path
) -> None:
    """A virtualenv whose Python is gone, after an upgrade of the system say, starts no supervisord."""
    content = Shop(where, "1.0").content("b")
    tools = {path.parent for path in Path(where.prefix).glob("tools/*/ready")}
    (made,) = tools
    (made / "bin/python").unlink()
    (made / "bin/python").symlink_to("/nowhere/python3")
    slot.stage_release(remote, "b", content, uv(where.index))
    assert (made / "bin/python").exists()
    real.end_slots(where, "b")

    other = tmp_path / "python3"
    words = """arg.replace("sys.base_prefix", "'another one'") if "slot_stage.py FOLDER" in arg else arg"""
    argv = f"[sys.executable, *({words} for arg in sys.argv[1:])]"
    other.write_text(f"#!{sys.executable}\nimport os, sys\nos.execv(sys.executable, {argv})\n")
    other.chmod(0o755)
    of_other = Fleet(where.model_copy(update={"python": str(other)})).remote(where.app[0])
    slot.stage_release(of_other, "b", content, uv(where.index))
    assert {path.parent for path in Path(where.prefix).glob("tools/*/ready")} > tools
    real.end_slots(where, "b")


def test_a_release_over_a_running_slot_starts_one_python_on_a_host(where: Stage, tmp_path: Path) -> None:
    """Each costs some 30 ms of CPU on every host: whoever adds one sees it here."""
    log, counted = tmp_path / "log", tmp_path / "python3"
    counted.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >>{log}\nexec {sys.executable} "$@"\n')
    counted.chmod(0o755)
    remote = Fleet(where.model_copy(update={"python": str(counted)})).remote(where.app[0])
    for version in ("1.0", "1.1"):
        log.write_text("")
        assert slot.stage_release(remote, "b", Shop(where, version).content("b"), uv(where.index)) == "built"
    started = re.findall(r'^-IS -c import atexit.*\n.*\n"{3}(\S+)', log.read_text(), re.MULTILINE)  # uv asks it, too
    assert started == ["slot_stage.py"]
    real.end_slots(where, "b")


# --- its supervisord goes on, where one that is started anew would be just the same


@pytest.fixture
def plain(where: Stage) -> Remote:
    """The host with a Python that is no script, which would have its own idea of the environment."""
    return Fleet(where.model_copy(update={"python": os.path.realpath(sys.executable)})).remote(where.app[0])


@contextmanager
def running(where: Stage, remote: Remote, **first: Any) -> Iterator[int]:
    """A release runs in slot b; the pid of its supervisord, before the next one."""
    slot.stage_release(remote, "b", Shop(where, "1.0").content("b", **first), uv(where.index))
    try:
        yield supervisord(where)
    finally:
        real.end_slots(where, "b")


def supervisord(where: Stage) -> int:
    return int((folder(where, "b") / "run/supervisord.pid").read_text())


def all_of(where: Stage) -> list[int]:
    """Every supervisord of slot b, also one that no file tells of."""
    words = f"{folder(where, 'b')}/supervisord.conf".encode()
    lines = {path: path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()}
    return [int(path.parent.name) for path, line in lines.items() if words in line.split(b"\0")]


def test_a_supervisord_goes_on_with_the_next_release(where: Stage, plain: Remote) -> None:
    with running(where, plain) as before:
        for version in ("1.1", "1.2"):
            shop = Shop(where, version)
            assert slot.stage_release(plain, "b", shop.content("b"), uv(where.index)) == "built"
            assert (shop.answer("b"), all_of(where)) == (version, [before])
            assert "supervisord started" in (folder(where, "b") / "log/supervisord.log").read_text(), "its new log"
        slot.act(plain, "shutdown", "b")
        assert all_of(where) == []


def test_it_starts_with_the_same_environment_whoever_starts_it(where: Stage, plain: Remote) -> None:
    """What a release asks the index with would reach the app until somebody else starts its supervisord."""
    with running(where, plain) as first:
        of_release = Path(f"/proc/{first}/environ").read_bytes()
        slot.act(plain, "reload", "b")
        wait_for(lambda: answers(where, "1.0"), "the start")
        again = supervisord(where)
        names = re.compile(rb"(?:^|\0)((?!PWD|OLDPWD|SHLVL|_=)\w+=[^\0]*)")
        assert sorted(names.findall(of_release)) == sorted(names.findall(Path(f"/proc/{again}/environ").read_bytes()))
        slot.stage_release(plain, "b", Shop(where, "1.1").content("b"), uv(where.index))
        assert (first != again, all_of(where)) == (True, [again]), "so the next release goes on with it"


def variables(**them: str) -> dict[str, str]:
    return {"environment": as_file([Setting(name, value, "") for name, value in them.items()])}


ANEW: dict[str, tuple[dict[str, str], dict[str, str], str, str]] = {
    "another setting": (variables(KEY="1"), variables(KEY="2"), "", ""),
    "a setting less": (variables(KEY="1"), {}, "", ""),
    "another variable of the login": ({}, {}, "export LC_ALL=C.UTF-8", ""),
    "another limit": ({}, {}, "ulimit -S -c 12", ""),
    "another niceness": ({}, {}, "renice -n 1 -p $$ >&2", ""),
    "other CPUs": ({}, {}, "taskset -cp 0 $$ >&2", ""),
    "another variable of a name that a login's have, too": ({}, {}, "export SSH_KEY_FILE=x", ""),
    "another configuration of its own, below its processes": ({}, {}, "", "[supervisord]\numask=027\n"),
    "other files of its configuration": ({}, {}, "", "[include]\nfiles=nothing.conf\n"),
}


@pytest.mark.parametrize(("first", "then", "login", "own"), ANEW.values(), ids=ANEW)
def test_a_supervisord_that_would_be_another_one_is_started_anew(
    where: Stage,
    plain: Remote,
    monkeypatch: pytest.MonkeyPatch,
    first: dict[str, str],
    then: dict[str, str],
    login: str,
    own: str,
) -> None:
    with running(where, plain, **first) as before:
        shop = Shop(where, "1.1")
        content = shop.content("b", **then)
        content["supervisord.conf"] += own
        scripts_with(monkeypatch, "common.sh", "umask 022", f"umask 022; {login}")
        assert slot.stage_release(plain, "b", content, uv(where.index)) == "built"
        assert shop.answer("b") == "1.1"
        assert all_of(where) == [supervisord(where)] != [before]


def test_a_comparison_that_fails_costs_another_start_and_no_more(
    where: Stage, plain: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(where, plain) as before:
        scripts_with(monkeypatch, "common_pause.py", "alike = told", "raise ValueError; alike = told")
        assert slot.stage_release(plain, "b", Shop(where, "1.1").content("b"), uv(where.index)) == "built"
        assert (Shop(where, "1.1").answer("b"), all_of(where)) == ("1.1", [supervisord(where)])
        assert supervisord(where) != before


def scripts_with(patch: pytest.MonkeyPatch, name: str, old: str, new: str) -> None:
    """Have a part of a script be another one."""
    before = scripts.text
    patch.setattr(scripts, "text", lambda asked: before(asked).replace(old, new if asked == name else old))
    patch.setattr(scripts, "program", getattr(scripts.program, "__wrapped__", scripts.program))  # it remembers


OVER_A_RUNNING_ONE: dict[str, tuple[str, str, str, str]] = {
    "a configuration that it refuses": ("supervisord.conf", "startsecs=1", "startsecs=soon", "invalid literal for int"),
    "a release that cannot be installed": ("requirements.txt", r"sha256:\w{6}", "sha256:000000", "hash"),
    "an app that is not healthy": ("supervisord.conf", "command=", "command=/nowhere", "can't find command"),
}


@pytest.mark.parametrize(("name", "old", "new", "told"), OVER_A_RUNNING_ONE.values(), ids=OVER_A_RUNNING_ONE)
def test_a_release_that_fails_over_a_running_one_is_told_as_any_other(
    where: Stage, plain: Remote, name: str, old: str, new: str, told: str
) -> None:
    quick = where.model_copy(update={"health_timeout": 3})
    with running(where, plain):
        content = Shop(quick, "1.1").content("b")
        content[name] = re.sub(old, new, content[name])
        with pytest.raises(CommandFailed) as caught:
            slot.stage_release(plain, "b", content, uv(where.index))
        assert told in caught.value.cause.lower()
        assert "no such process" not in caught.value.cause.lower(), "the cause, and not what came of it"
        assert all_of(where) == ([supervisord(where)] if "can't" in told else []), "none waits for ever"


MOMENTS = {
    "before it is known to wait": "os.link(old + SOCKET",
    "before the new folder is in place": "os.rename(NEW, FOLDER)",
    "before the release is installed": "made = whole(tools)",
}
GOES_ON = 'rpc(folder + SOCKET, "restart"'


def stage_cut_off_at(where: Stage, plain: Remote, moment: str, by: str = "KILL") -> None:
    """Have the script and its Python end there, as when a connection is lost or a command is given up."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("slot_stage.py", "common_pause.py"):
            scripts_with(patch, name, moment, f"os.killpg(0, signal.SIG{by}); {moment}")
        with pytest.raises(CommandFailed):
            slot.stage_release(plain, "b", Shop(where, "1.1").content("b"), uv(where.index))


@pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS)
@pytest.mark.parametrize("by", ["KILL", "TERM"])
def test_a_supervisord_that_waits_when_its_script_is_ended_is_not_forgotten(
    where: Stage, plain: Remote, moment: str, by: str
) -> None:
    with running(where, plain) as before:
        stage_cut_off_at(where, plain, moment, by)
        assert all_of(where) == ([before] if by == "KILL" else []), "only a killed script leaves it"
        slot.stage_release(plain, "b", Shop(where, "1.2").content("b"), uv(where.index))
        assert (Shop(where, "1.2").answer("b"), all_of(where)) == ("1.2", [supervisord(where)])


def test_what_the_index_is_read_with_is_gone_though_nobody_hears_of_the_end(where: Stage, plain: Remote) -> None:
    """As when a connection is lost, or fab is killed."""
    content = Shop(where, "1.1").content("b") | {slot.NETRC: "machine index login a password secret\n"}
    values: dict[str, Any] = {"slot": "b", "digest": "x", "start": "yes", "index": where.index.url, "egress": ""}
    tool = uv(where.index)
    assert tool
    argv = scripts.script(where, "slot_stage.sh", **values, uv_url=tool.url, uv_sha256=tool.sha256)
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, text=True, start_new_session=True) as stage:
        for end in (stage.stdout, stage.stderr):
            assert end
            end.close()
        assert stage.stdin
        stage.stdin.write(json.dumps(content))
    assert not list(Path(where.prefix).glob("slots/*/netrc"))
    real.end_slots(where, "b")


def test_a_cache_that_a_power_cut_left_is_not_installed_from(staged: Shop, where: Stage, plain: Remote) -> None:
    """Files that were not on the disk have their names then, and no bytes."""
    cache = Path(where.prefix) / "cache"
    (cache / "unsynced").write_text("of another boot")
    emptied = [path for path in cache.glob("archive-v0/**/*") if path.is_file()]
    for path in emptied:
        path.unlink()
        path.touch()
    assert emptied
    with running(where, plain):
        assert Shop(where, "1.0").answer("b") == "1.0"
        assert all(path.stat().st_size for path in folder(where, "b").glob("venv/lib/*/site-packages/*/METADATA"))


def test_a_cache_that_a_power_cut_left_stays_known_as_such_when_a_release_fails_before_it_looks(
    staged: Shop, where: Stage, plain: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = Path(where.prefix) / "cache/unsynced"
    mark.write_text("of another boot")
    scripts_with(monkeypatch, "slot_stage.py", "    if holds(pid):\n", "    raise OSError('no')\n    if holds(pid):\n")
    with pytest.raises(CommandFailed, match="its files cannot be written"):
        slot.stage_release(plain, "b", Shop(where, "1.0").content("b"), uv(where.index))
    assert mark.read_text() == "of another boot"
    mark.unlink()


def test_a_slot_is_on_the_disk_before_it_counts_as_healthy(
    where: Stage, plain: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = f'ls "$folder" >{tmp_path}/slot; ls "$cache" >{tmp_path}/cache'
    scripts_with(monkeypatch, "slot_stage.sh", 'on_disk "$folder" "$cache" "$tools"', seen)
    with running(where, plain):
        assert "healthy" not in (tmp_path / "slot").read_text().split()
        assert "unsynced" in (tmp_path / "cache").read_text().split()
        assert not (Path(where.prefix) / "cache/unsynced").exists()


@pytest.mark.parametrize(
    ("name", "removal"), [("slot_stage.py", "    remove(FOLDER)\n"), ("slot_act.sh", 'rm -rf "$folder" "$folder.new"')]
)
def test_what_a_removal_that_was_cut_off_leaves_is_no_release(
    where: Stage, plain: Remote, name: str, removal: str
) -> None:
    with running(where, plain), pytest.MonkeyPatch.context() as patch:
        scripts_with(patch, name, removal, "    os._exit(9)\n" if name.endswith(".py") else "exit 9")
        content, act = Shop(where, "1.1").content("b"), slot.stage_release
        with pytest.raises(CommandFailed):
            slot.act(plain, "remove", "b") if name == "slot_act.sh" else act(plain, "b", content, uv(where.index))
        assert (folder(where, "b") / "release.json").exists()
        (app,) = look(Fleet(where), where.app).app.values()
        assert not app.slots["b"].healthy


def test_what_is_ended_by_force_is_ended_with_all_of_its_processes(
    where: Stage, plain: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A supervisord that hangs ends none of them: they would answer for the next release."""
    scripts_with(monkeypatch, "common_end.py", "return max([10,", "return max([0,")
    with running(where, plain, **variables(KEY="1")) as before:
        of_app = all_with(f"{folder(where, 'b')}/venv/")
        os.kill(before, signal.SIGSTOP)
        content = Shop(where, "1.0").content("b", **variables(KEY="2"))
        content["supervisord.conf"] = content["supervisord.conf"].replace("stopwaitsecs=40", "stopwaitsecs=1")
        conf = folder(where, "b") / "supervisord.conf"
        conf.write_text(conf.read_text().replace("stopwaitsecs=40", "stopwaitsecs=1"))
        assert slot.stage_release(plain, "b", content, uv(where.index)) == "built"
        assert of_app
        assert not set(of_app) & set(all_with(f"{folder(where, 'b')}/venv/"))


@pytest.mark.parametrize("name", ["healthy", "health.json"])
def test_a_slot_with_a_file_that_a_power_cut_damaged_is_built_anew(where: Stage, plain: Remote, name: str) -> None:
    with running(where, plain):
        (folder(where, "b") / name).write_bytes(b"" if name == "health.json" else b"\xff")
        assert slot.stage_release(plain, "b", Shop(where, "1.0").content("b"), uv(where.index)) == "built"
        assert slot.stage_release(plain, "b", Shop(where, "1.0").content("b"), uv(where.index)) == "kept"


@pytest.mark.parametrize("moment", [*MOMENTS.values(), GOES_ON], ids=[*MOMENTS, "before it goes on"])
def test_a_slot_whose_release_was_killed_is_removed_with_all_that_waits_for_it(
    where: Stage, plain: Remote, moment: str
) -> None:
    with running(where, plain):
        stage_cut_off_at(where, plain, moment)
        assert len(all_of(where)) == 1
        slot.act(plain, "remove", "b")
        assert (all_of(where), list(Path(where.prefix).glob("slots/b*"))) == ([], [])


def test_a_slot_whose_script_was_killed_while_it_waited_for_health_is_known_to_run(where: Stage, plain: Remote) -> None:
    with running(where, plain) as before:
        stage_cut_off_at(where, plain, "failing, too_many = asked.failing()")
        (app,) = look(Fleet(where), where.app).app.values()
        assert app.slots["b"].running
        wait_for(lambda: answers(where, "1.1"), "its processes")
        assert all_of(where) == [before]


@pytest.mark.parametrize(
    ("moment", "version"), [("os.link(old + SOCKET", "1.0"), (GOES_ON, "1.1")], ids=["as it was", "half made"]
)
def test_a_slot_whose_release_was_killed_is_not_running_and_is_started_with_what_lies_there(
    where: Stage, plain: Remote, moment: str, version: str
) -> None:
    with running(where, plain):
        stage_cut_off_at(where, plain, moment)
        (app,) = look(Fleet(where), where.app).app.values()
        assert not app.slots["b"].running
        with pytest.raises(CommandFailed, match="the slot is stopped"):
            slot.act(plain, "restart", "b")
        slot.act(plain, "start", "b")
        wait_for(lambda: answers(where, version), "the start")
        before = supervisord(where)
        assert all_of(where) == [before]
        assert (folder(where, "b") / "runs").exists(), "after a restart of the machine, too"
        expected = "kept" if version == "1.0" else "built"
        assert slot.stage_release(plain, "b", Shop(where, version).content("b"), uv(where.index)) == expected
        assert (all_of(where), Shop(where, version).answer("b")) == ([before], version)


def answers(where: Stage, version: str) -> bool:
    with suppress(requests.ConnectionError):
        return Shop(where, version).answer("b") == version
    return False


def test_a_process_that_is_ending_already_is_waited_for(where: Stage, plain: Remote) -> None:
    stubborn = Shop(where, "1.5", first="import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)")
    conf = stubborn.content("b")["supervisord.conf"].replace("stopwaitsecs=40", "stopwaitsecs=3")
    slot.stage_release(plain, "b", stubborn.content("b", **{"supervisord.conf": conf}), uv(where.index))
    before = supervisord(where)
    (child,) = Path(f"/proc/{before}/task/{before}/children").read_text().split()
    names: dict[str, Any] = {"__name__": "common_rpc"}
    exec(program("common_rpc"), names)
    with pytest.raises(OSError, match="no answer to stopAllProcesses"):
        names["rpc"](str(folder(where, "b") / "run/supervisor.sock"), "stopAllProcesses", 0.2)
    assert Path(f"/proc/{child}").exists()
    slot.stage_release(plain, "b", Shop(where, "1.1").content("b"), uv(where.index))
    assert not Path(f"/proc/{child}").exists()
    assert (Shop(where, "1.1").answer("b"), all_of(where)) == ("1.1", [before])
    real.end_slots(where, "b")


def test_a_slot_goes_on_with_a_restart_of_the_machine_when_a_release_finds_no_room(where: Stage, plain: Remote) -> None:
    with running(where, plain):
        with pytest.raises(CommandFailed, match="its files cannot be written") as caught:
            slot.stage_release(plain, "b", Shop(where, "1.1").content("b", run="a file"), uv(where.index))
        assert caught.value.next_step.startswith("make room there"), "the app's logs have no word of it"
        assert (folder(where, "b") / "runs").exists()
        assert Shop(where, "1.0").answer("b") == "1.0"


BROKEN = {
    "uv is cut off": ("uv-*[0-9a-f][0-9a-f][0-9a-f]", lambda file: file.write_bytes(file.read_bytes()[:1000])),
    "uv is of an older library": ("uv-*.size", lambda file: file.unlink()),
    "uv is empty": ("uv-*[0-9a-f][0-9a-f][0-9a-f]", lambda file: file.write_bytes(b"")),
    "supervisord is empty": ("*/bin/supervisord", lambda file: file.write_bytes(b"")),
    "supervisorctl is cut off": ("*/bin/supervisorctl", lambda file: file.write_bytes(file.read_bytes()[:-20])),
    "a module is empty": ("*/lib/python3*/site-packages/supervisor/options.py", lambda file: file.write_bytes(b"")),
    "a module is gone": ("*/lib/python3*/site-packages/supervisor/rpcinterface.py", lambda file: file.unlink()),
    "the interpreter is gone": ("*/bin/python", lambda file: file.unlink()),
}


@pytest.mark.parametrize(("pattern", "harm"), BROKEN.values(), ids=BROKEN)
def test_a_tool_that_does_not_run_is_made_again(
    where: Stage, remote: Remote, pattern: str, harm: Callable[[Path], object]
) -> None:
    """As a power cut or an upgrade of the system's Python leaves it."""
    content, tools = Shop(where, "1.0").content("b"), Path(where.prefix) / "tools"
    shutil.rmtree(tools)  # those of other tests, too
    slot.stage_release(remote, "b", content, uv(where.index))
    real.end_slots(where, "b")
    (file,) = tools.glob(pattern)
    before = file.read_bytes()
    harm(file)
    (folder(where, "b") / "healthy").unlink()
    assert slot.stage_release(remote, "b", content, uv(where.index)) == "built"
    assert file.read_bytes() == before
    assert re.search("RUNNING|STARTING", slot.act(remote, "status", "b"))
    real.end_slots(where, "b")


def test_damaged_tools_stay_for_the_slots_that_have_them_when_none_can_be_made(
    staged: Shop, where: Stage, remote: Remote
) -> None:
    tools = (folder(where, "a") / "tools").readlink()
    added = tools / "added"
    added.write_text("")
    content = Shop(where, "1.0").content("b")
    error = failure(where, remote, content | {"tools.txt": content["tools.txt"] + "not-there===1 --hash=sha256:00\n"})
    assert error.what == "local: the tools cannot be installed"
    content["tools.txt"] = re.sub(r"sha256:\w{6}", "sha256:000000", content["tools.txt"])
    shutil.copytree(tools, kept := tools.with_name("kept"), symlinks=True)
    kept.rename(other := tools.with_name(name_of_tools(where, content["tools.txt"])))
    failure(where, remote, content)
    assert sorted(path.name for path in other.iterdir()) == sorted(path.name for path in tools.iterdir())
    assert not other.with_name(f"{other.name}.damaged").exists()
    shutil.rmtree(other)
    added.unlink()
    assert "RUNNING" in slot.act(remote, "status", "a")


def name_of_tools(where: Stage, pins: str) -> str:
    """The folder that the stage's Python has for tools with these pins."""
    program = (
        "import sys, zlib; t = (sys.version, sys.base_prefix, sys.argv[1])\n"
        "print('%08x' % zlib.crc32('\\n'.join(t).encode()))"
    )
    return subprocess.check_output([where.python or "python3", "-IS", "-c", program, pins], text=True).strip()


def run_there(remote: Remote, line: str, timeout: int = 60) -> str:
    return slot.command(remote, "a", line, timeout=timeout, name="migrate")


def test_a_command_runs_in_a_slot_as_its_processes_run(
    staged: Shop, where: Stage, remote: Remote, capsys: pytest.CaptureFixture[str]
) -> None:
    program = "import my_shop, os; print(os.getcwd(), os.environ['RELEASE_VERSION'])"
    said = run_there(remote, f'echo one; echo; python -c "{program}"')
    assert said == f"one\n\n{folder(where, 'a')} 1.0"
    assert f"{where.app[0].name}: one\n" in capsys.readouterr().err
    assert (folder(where, "a") / "log/run-migrate.log").read_text() == f"{said}\n"


FAILING = {
    "its exit code": ("echo no table; exit 3", "exit code 3"),
    "its time": ("echo no end; sleep 600", "exit code 124"),
}


@pytest.mark.parametrize(("line", "words"), FAILING.values(), ids=FAILING)
def test_a_command_that_fails_there_is_told_with_its_last_lines(
    staged: Shop, remote: Remote, line: str, words: str
) -> None:
    with pytest.raises(CommandFailed, match=words) as caught:
        run_there(remote, line, timeout=1)
    assert caught.value.cause.startswith(line.split(";")[0].removeprefix("echo "))


def test_a_slot_that_holds_exactly_this_and_is_healthy_is_left_as_it_is(
    staged: Shop, where: Stage, remote: Remote
) -> None:
    content, pid = staged.content("a"), (folder(where, "a") / "run/supervisord.pid").read_text()
    later = json.dumps(json.loads(content["release.json"]) | {"staged": 99})
    assert slot.stage_release(remote, "a", content | {"release.json": later}, uv(where.index)) == "kept"
    assert (folder(where, "a") / "run/supervisord.pid").read_text() == pid
    assert json.loads((folder(where, "a") / "release.json").read_text())["staged"] == 99
    (folder(where, "a") / "healthy").write_text("half")
    assert slot.stage_release(remote, "a", content, uv(where.index)) == "built"
    assert not list(Path(where.prefix).glob("slots/*.new"))


@pytest.mark.parametrize("with_uv", [True, False], ids=["uv", "pip"])
def test_a_version_is_installed_though_the_index_has_one_of_it_with_a_label(
    where: Stage, remote: Remote, with_uv: bool
) -> None:
    real.wheel(Path(folder_of(where.index)) / "packages", real.PROJECT, "1.5+fixbug")
    slot.stage_release(remote, "b", Shop(where, "1.5").content("b"), uv(where.index) if with_uv else None)
    assert "my_shop-1.5" in installed(where, "b")
    real.end_slots(where, "b")


def test_a_slot_can_be_made_complete_without_being_started(staged: Shop, where: Stage, remote: Remote) -> None:
    """For workers that may not run beside the old ones."""
    shop = Shop(where, "1.1")
    assert slot.stage_release(remote, "b", shop.content("b"), uv(where.index), start=False) == "built"
    (app,) = look(Fleet(where), where.app).app.values()
    assert (app.slots["b"].running, app.slots["b"].healthy) == (False, True)
    slot.act(remote, "start", "b")
    check(remote, "b", 20)
    real.end_slots(where, "b")


def test_a_host_refuses_whoever_comes_with_a_lower_fence(where: Stage) -> None:
    remote = Fleet(where).remote(where.app[0])
    fence = Path(where.paths.fence_file)
    before = fence.read_text() if fence.exists() else "0"
    remote.fence = int(before) + 7
    slot.act(remote, "remove", "b")
    assert fence.read_text() == f"{remote.fence}\n"
    remote.fence -= 1
    with pytest.raises(CommandFailed) as caught:
        slot.act(remote, "remove", "b")
    assert caught.value.what == "local: somebody else is at work on the stage now; nothing was changed here"
    assert "the lock of the stage was taken by somebody else meanwhile" in caught.value.cause
    fence.write_text(before)

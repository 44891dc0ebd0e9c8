"""The scripts that run on hosts do what they say; here in a folder of this machine."""

from __future__ import annotations

import ast
import json
import os
import platform
import re
import signal
import socket
import socketserver
import stat
import subprocess
import sys
import tempfile
import threading
import time
import xmlrpc.server
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

import real
from releaselib.config.stage import Stage
from releaselib.hosts.scripts import program, script, text

REMOTE = real.LIBRARY / "hosts/remote"
SCRIPTS = sorted(path.name for path in REMOTE.glob("*.sh"))
PROGRAMS = sorted(path.name for path in REMOTE.glob("*.py"))
PYTHON = sys.executable
Done = subprocess.CompletedProcess[str]


def stage_at(prefix: Path, **keys: Any) -> Stage:
    """A stage on this machine, whose scripts are run by the Python of the tests."""
    return real.stage(Path("/"), **{"prefix": str(prefix), "python": PYTHON, **keys})


def run(where: Path | Stage, name: str, given: Any = None, **values: Any) -> Done:
    """Run a script to its end, as a host would."""
    stage = where if isinstance(where, Stage) else stage_at(where)
    text_in = "" if given is None else json.dumps(given)
    return subprocess.run(script(stage, name, **values), input=text_in, capture_output=True, text=True, cwd="/")


@contextmanager
def started(*argv: str) -> Iterator[subprocess.Popen[str]]:
    """A command that goes on until it is told otherwise."""
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd="/") as process:
        yield process
        process.kill()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().rstrip("\n")


def say(process: subprocess.Popen[str], words: str) -> None:
    assert process.stdin
    process.stdin.write(words + "\n")
    process.stdin.flush()


def hang_up(process: subprocess.Popen[str]) -> None:
    assert process.stdin
    process.stdin.close()


def waits_for(file: Path, process: subprocess.Popen[str]) -> bool:
    """Wait until somebody waits for the lock of a file; false when the process has ended instead."""
    inode = f":{file.stat().st_ino}"
    while process.poll() is None:
        waiting = (words.split() for words in Path("/proc/locks").read_text().splitlines() if "->" in words)
        if any(part[6].endswith(inode) for part in waiting):
            return True
    return False


# --- as text


def takes(name: str) -> list[str]:
    """The values that a script takes, as its first line names them."""
    head = text(name).partition("\n")[0].partition("<")[0]
    return re.findall(r"\w+", head.partition(":")[2])


@pytest.mark.parametrize("name", SCRIPTS)
def test_shellcheck_has_nothing_to_say(name: str, tmp_path: Path) -> None:
    """Not of a name that is not set either: what a script takes stands in its first line."""
    file = tmp_path / name
    file.write_text(script(stage_at(tmp_path), name, **dict[str, Any](dict.fromkeys(takes(name), "x")))[2])
    judge = ("shellcheck", "-s", "sh", "-e", "SC2034,SC2317,SC2329", str(file))
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(judge, capture_output=True, text=True, env={**os.environ, "PATH": path})
    assert done.returncode == 0, done.stdout


LENT = {"slot_run.py": {"supervisor"}, "slot_console.py": {"supervisor"}, "slot_schedule.py": {"cronsim"}}
"""What is there besides for a program that runs in the virtualenv of the tools."""
SIBLINGS = {name.removesuffix(".py") for name in PROGRAMS}
"""Or what is put into it."""


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_can_be_run_by_the_oldest_python_of_a_host(name: str) -> None:
    tree = ast.parse(text(name), feature_version=(3, 8))
    imported = {
        alias.name.partition(".")[0]
        for node in ast.walk(tree)
        for alias in (node.names if isinstance(node, ast.Import) else ())
    } | {str(node.module).partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported <= sys.stdlib_module_names | LENT.get(name, SIBLINGS)
    whole = program(name.removesuffix(".py"))
    compile(whole, name, "exec")
    assert not re.search(r"^from common_", whole, re.MULTILINE), "it comes with what it takes from there"


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_evaluates_nothing(name: str) -> None:
    """Values stand in variables; what would make code of them is not used."""
    words = re.sub(r"(?m)(^|\s)#.*$", "", text(name))
    assert not re.search(r"\beval\b|\bsh -c\b|\bsource\b|`", words)


# --- common.sh


def common(words: str, *args: str, given: Any = None, **keys: Any) -> Done:
    """Run a line of shell with the functions of common.sh."""
    argv = script(stage_at(Path("/nowhere"), **keys), "common.sh")
    argv = (*argv[:2], f"{argv[2]}\n{words}", "test", *args)
    return subprocess.run(argv, input=json.dumps(given or {}), capture_output=True, text=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a file system")
def test_what_starts_the_slots_again_is_put_in_place_whole_or_not_at_all(tmp_path: Path) -> None:
    (full := tmp_path / "full").mkdir()
    (tmp_path / "boot.sh").write_text("new\n" * 1000)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "full", full], check=True)
    try:
        (full / "boot.sh").write_text("old\n")
        (full / "much").write_bytes(b"x" * 4096)
        done = common(f"boot={full}/boot.sh; boot_entry {tmp_path}")
        assert (done.returncode, (full / "boot.sh").read_text()) == (70, "old\n")
        assert f"cannot write to {full}/boot.sh" in done.stderr
    finally:
        subprocess.run(["umount", full], check=True)


def test_nothing_starts_the_slots_again_where_the_file_for_it_is_empty(tmp_path: Path) -> None:
    (tmp_path / "boot.service").write_text("")
    for content, said in (("", ""), ("#!/bin/sh\n", "systemd\n")):
        (tmp_path / "boot.sh").write_text(content)
        assert common(f"boot={tmp_path}/boot.sh; boot_unit={tmp_path}/boot.service; starts_again").stdout == said


def test_a_program_that_was_killed_is_told_as_such() -> None:
    words = "import sys; sys.exit(Installer('', '', '', '', '').run('sh', '-c', 'kill -9 $$') == -9)"
    done = subprocess.run(
        [sys.executable, "-c", f"{program('common_install')}\n{words}"], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr == "sh was killed by signal 9; by 9 where there was no memory left\n"


def test_of_a_slot_without_a_log_there_is_nothing_to_follow(tmp_path: Path) -> None:
    (tmp_path / "slots/a/log").mkdir(parents=True)
    done = run(tmp_path, "slot_follow.sh", slot="a", lines=3, pattern="")
    assert (done.returncode, done.stdout) == (0, "> there is no log yet\n")


def test_a_setting_is_no_value_of_the_script_that_starts_a_slot(tmp_path: Path) -> None:
    (tmp_path / "tools/bin").mkdir(parents=True)
    (tmp_path / "log").mkdir()
    (tmp_path / "environment").write_text("export cache=redis://h/0\n")
    (tmp_path / "tools/bin/supervisord").write_text('#!/bin/sh\necho "$cache $PYTHONPYCACHEPREFIX"\n')
    (tmp_path / "tools/bin/supervisord").chmod(0o755)
    assert (
        common(f"start_slot {tmp_path}; cat {tmp_path}/log/start.log").stdout == "redis://h/0 /nowhere/cache/bytecode\n"
    )


PYTHONS = {
    "any": ("", "python3"),
    "a version": (f"{sys.version_info.major}.{sys.version_info.minor}", "python3."),
    "a path": (PYTHON, PYTHON),
}


@pytest.mark.parametrize(("asked", "found"), PYTHONS.values(), ids=PYTHONS)
def test_the_python_that_is_asked_for_is_found(
    asked: str, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / f"python{PYTHONS['a version'][0]}").symlink_to(PYTHON)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    done = common('need_python; echo "$python"', python=asked)
    assert done.returncode == 0, done.stderr
    assert found in done.stdout


@pytest.mark.parametrize("asked", ["9.9", "/nowhere/python", "3; echo owned"])
def test_a_python_that_is_not_there_is_told(asked: str) -> None:
    done = common("need_python; echo on", python=asked)
    assert (done.returncode, done.stdout, done.stderr) == (69, "", f"no Python {asked} on this host\n")


def test_files_are_unpacked_for_their_owner_only_and_byte_for_byte(tmp_path: Path) -> None:
    files = {"a.conf": "größe\n\0☃", "b": ""}
    (tmp_path / "a.conf").write_text("something longer than it will be")
    (tmp_path / "a.conf").chmod(0o600)
    assert common('unpack_files "$1"', str(tmp_path), given=files).returncode == 0
    assert {path.name: path.read_text("utf-8") for path in tmp_path.iterdir()} == files
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


def test_a_pid_that_is_somebody_else_by_now_is_not_alive(tmp_path: Path) -> None:
    with started("cat") as other:
        for words, code in (("cat", 0), ("supervisord", 1)):
            (tmp_path / "pid").write_text(str(other.pid))
            assert common('alive "$1" "$2"', str(tmp_path / "pid"), words).returncode == code
    assert common('alive "$1" cat', str(tmp_path / "pid")).returncode != 0
    assert common('alive "$1" cat', str(tmp_path / "none")).returncode != 0


def test_one_script_at_a_time_works_on_a_host(tmp_path: Path) -> None:
    slot, proof, lock = tmp_path / "slots/a", tmp_path / "proof", tmp_path / "host.lock"
    slot.mkdir(parents=True)
    lock.touch()
    holder = ("flock", str(lock), "sh", "-c", 'echo held; read x; ls "$1" >"$2"', "x", str(slot.parent), str(proof))
    with started(*holder) as first:
        assert line(first) == "held"
        with started(*script(stage_at(tmp_path), "slot_act.sh", action="remove", chosen="a")) as second:
            assert waits_for(lock, second), second.communicate()
            say(first, "go on")
            assert second.wait() == 0
    assert proof.read_text() == "a\n", "the second worked while the first held the lock"
    assert not slot.exists()


# --- facts.py


def facts(prefix: Path, **wanted: Any) -> dict[str, Any]:
    stage = stage_at(prefix)
    asked = {"paths": stage.paths.variables, "ports": {}, "probe": "", "host": "localhost", "journal": 0}
    done = run(stage, "facts.sh", wanted=json.dumps(asked | wanted))
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_a_host_tells_what_it_is_and_nothing_is_changed(tmp_path: Path) -> None:
    found = facts(tmp_path / "none")
    assert found["python"] == platform.python_version()
    assert found["machine"] == platform.machine()
    assert not (tmp_path / "none").exists()


def test_a_listener_is_told_with_pid_and_command(tmp_path: Path) -> None:
    with started(PYTHON, "-c", LISTEN) as other:
        port = int(line(other))
        found = facts(tmp_path, ports={"a": [port, real.free_port()], "b": []})
    assert found["ports"] == [
        {"port": port, "slot": "a", "pid": str(other.pid), "command": f"{PYTHON} -c {LISTEN}".strip(), "ours": False}
    ]


LISTEN = "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); input()"


def test_a_slot_that_a_crash_cut_off_is_told_as_it_is(tmp_path: Path) -> None:
    for name, release in (("a", '{"version": "1.'), ("b", ""), ("c", '{"version": "1.0"}')):
        folder = tmp_path / "slots" / name
        (folder / "run").mkdir(parents=True)
        (folder / "release.json").write_text(release)
        (folder / "run/supervisord.pid").write_text("1")
    (tmp_path / "slots/c/healthy").touch()
    found = facts(tmp_path, ports={name: [] for name in "abcd"})["slots"]
    nothing: dict[str, Any] = {
        "pid": "1",
        "alive": False,
        "release": None,
        "running": False,
        "healthy": False,
        "live": [],
        "down": {},
    }
    assert found.pop("c") == {**nothing, "release": {"version": "1.0"}, "healthy": True}
    assert found == {"a": nothing, "b": nothing, "d": {**nothing, "pid": ""}}


@pytest.mark.parametrize("name", [name for name in SCRIPTS if "need_python" in text(name)])
def test_a_host_without_the_python_that_is_asked_for_says_so_and_is_left_alone(name: str, tmp_path: Path) -> None:
    if name == "common.sh":
        return
    stage = stage_at(tmp_path / "prefix", python="9.9")
    done = run(stage, name, **dict[str, Any](dict.fromkeys(takes(name), "x")))
    assert (done.returncode, done.stderr) == (69, "no Python 9.9 on this host\n")
    assert not (tmp_path / "prefix").exists()


# --- lock.sh and lock_journal.sh (what they do for their holder is in test_lock)


@contextmanager
def lock(prefix: Path, patience: float = 60) -> Iterator[subprocess.Popen[str]]:
    """The script that holds the lock, told to begin."""
    with started(
        *script(stage_at(prefix), "lock.sh", patience=patience, holder="maria since today", last="yes")
    ) as process:
        yield process


def answered(process: subprocess.Popen[str], words: str) -> str:
    say(process, words)
    return line(process)


NOTHING = {"state": "locked", "fence": 0, "kept": 0, "frozen": "", "lines": 0, "last": ""}


def test_a_lock_is_held_as_long_as_somebody_listens(tmp_path: Path) -> None:
    with lock(tmp_path) as first:
        assert json.loads(line(first)) == dict(NOTHING, kept=1)
        assert facts(tmp_path)["locked"] == "maria since today"
        second = run(tmp_path, "lock.sh", patience=60, holder="li", last="yes")
        assert second.returncode == 75
        assert json.loads(second.stdout) == {"state": "held", "holder": "maria since today"}
        hang_up(first)
        assert first.wait() == 0
    assert facts(tmp_path)["locked"] == ""
    assert run(tmp_path, "lock.sh", patience=60, holder="li", last="yes").returncode == 0


def test_a_lock_is_free_when_its_holder_is_killed(tmp_path: Path) -> None:
    with lock(tmp_path) as first:
        assert "locked" in line(first)
        first.send_signal(signal.SIGKILL)
        first.wait()
        with lock(tmp_path) as second:
            assert "locked" in line(second)


def test_a_lock_is_not_refused_because_somebody_only_looks(tmp_path: Path) -> None:
    file = tmp_path / "stage.lock"
    file.touch()
    with started("flock", "-s", str(file), "sh", "-c", "echo looks; read x") as look:
        assert line(look) == "looks"
        with lock(tmp_path) as holder:
            while "lock.py" not in " ".join(children(holder.pid)) and holder.poll() is None:
                pass
            say(look, "seen enough")
            assert "locked" in line(holder)


def children(pid: int) -> list[str]:
    """The command line of a process; of one that was replaced the new one."""
    return Path(f"/proc/{pid}/cmdline").read_text().split("\0")


def test_every_line_is_written_as_it_is(tmp_path: Path) -> None:
    lines = ['{"a": "back\\\\slash \\n %s $HOME `id`"}', "  {}  ", '{"b": "größe"}', "x" * 100_000]
    with lock(tmp_path) as holder:
        assert "locked" in line(holder)
        for one in lines:
            assert answered(holder, f"write {one}") == "done"
    assert (tmp_path / "journal.jsonl").read_text("utf-8").splitlines() == lines


def test_a_line_that_a_crash_cut_off_does_not_swallow_the_next(tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"
    journal.write_text('{"event": "began"}\n{"event": "swit')
    told = run(tmp_path, "lock_journal.sh", lines=9).stdout.splitlines()
    assert told == ['{"event": "began"}', '{"event": "swit', "free"]
    for _ in range(2):
        with lock(tmp_path) as holder:
            assert "locked" in line(holder)
            assert answered(holder, 'write {"event": "next"}') == "done"
            told = run(tmp_path, "lock_journal.sh", lines=1).stdout.splitlines()
            assert told == ['{"event": "next"}', "locked maria since today"]
    assert journal.read_text().splitlines() == [
        '{"event": "began"}',
        '{"event": "swit',
        '{"event": "next"}',
        '{"event": "next"}',
    ]


def test_before_the_first_action_the_journal_is_empty_and_nothing_is_changed(tmp_path: Path) -> None:
    assert run(tmp_path / "none", "lock_journal.sh", lines=9).stdout == "free\n"
    assert not (tmp_path / "none").exists()


# --- health.py


def health(targets: list[str], **wanted: Any) -> dict[str, str]:
    """What those say that are not healthy."""
    table = {"allowed": 0, "targets": targets, "path": "/healthz", "version": "1.0", "timeout": 0, "wake": "", **wanted}
    with tempfile.TemporaryDirectory() as folder:
        stage = stage_at(Path(folder))
        held = Path(stage.paths.slot("a"))
        held.mkdir(parents=True)
        (held / "health.json").write_text(json.dumps(table))
        done = run(stage, "health.sh", slot="a", limit=table["timeout"])
    assert (done.returncode, done.stderr) == (0, "")
    return dict(json.loads(done.stdout))


ANSWERS = {
    "healthy": ((200, '{"version": "1.0"}'), ""),
    "another version": ((200, '{"version": "0.9"}'), "answered version 0.9, not 1.0"),
    "no version": ((200, '{"status": "up"}'), 'answered without a version: {"status": "up"}'),
    "no JSON": ((200, "up"), "answered without a version: up"),
    "a list": ((200, "[1]"), "answered without a version: [1]"),
    "an error": ((500, "no database"), "answered 500 no database"),
    "no such page": ((404, "where?"), "answered 404 where?"),
}


@pytest.mark.parametrize(("page", "words"), ANSWERS.values(), ids=ANSWERS)
def test_a_process_is_healthy_when_it_answers_the_version(page: tuple[int, str], words: str) -> None:
    with real.Web({"/healthz": page}) as web:
        assert health([web.address]) == ({web.address: words} if words else {})


ASKED: dict[str, tuple[dict[str, Any], tuple[int, str], str]] = {
    "another status": ({"status": 204}, (204, ""), ""),
    "not that status": ({"status": 204}, (200, "up"), "answered 200 up"),
    "what it must hold": ({"body": "all well"}, (200, "is all well?"), ""),
    "without it": ({"body": "all well"}, (200, "bad"), "answered without 'all well': bad"),
    "a redirect": ({}, (302, "away"), "answered 302 away"),
    "a redirect that is wanted": ({"status": 302}, (302, "away"), ""),
    "whatever a visitor without a login gets": ({"status": 401}, (401, "who are you?"), ""),
}


@pytest.mark.parametrize(("asked", "page", "words"), ASKED.values(), ids=ASKED)
def test_a_project_says_what_a_healthy_answer_is(asked: dict[str, Any], page: tuple[int, str], words: str) -> None:
    with real.Web({"/healthz": page}) as web:
        assert health([web.address], version="", **asked) == ({web.address: words} if words else {})


def test_a_process_is_asked_for_the_site_that_it_is() -> None:
    with real.Web({"/healthz": (200, "")}) as web:
        assert health([web.address], version="", headers={"Host": "shop.example"}) == {}
    assert [host for _, host in web.seen] == ["shop.example"]


def test_an_app_that_tells_no_version_is_healthy_when_it_answers() -> None:
    with real.Web({"/healthz": (200, "up")}) as web:
        assert health([web.address], version="") == {}


def test_a_process_that_does_not_answer_is_told() -> None:
    assert health(["127.0.0.1:9"]) == {"127.0.0.1:9": "no answer: [Errno 111] Connection refused"}


def test_every_process_is_asked_and_those_that_are_not_healthy_are_told() -> None:
    with real.Web({"/healthz": real.healthy("1.0")}) as good, real.Web({"/healthz": (503, "busy")}) as bad:
        assert health([good.address, bad.address]) == {bad.address: "answered 503 busy"}


def test_a_process_that_starts_late_is_waited_for() -> None:
    with real.Web({"/healthz": real.healthy("1.0")}, late=3) as web:
        assert health([web.address], timeout=600) == {}
        assert len(web.seen) == 4


@contextmanager
def supervisor(path: Path, *states: str) -> Iterator[None]:
    """A supervisor at its socket whose processes have these states."""

    class Server(socketserver.ThreadingUnixStreamServer, xmlrpc.server.SimpleXMLRPCDispatcher):
        logRequests = False  # noqa: N815  the name is the library's

    class Handler(xmlrpc.server.SimpleXMLRPCRequestHandler):
        disable_nagle_algorithm = False  # there is none here

    with Server(str(path), Handler) as server:
        xmlrpc.server.SimpleXMLRPCDispatcher.__init__(server)
        names = [f"shop-{number}" for number, _ in enumerate(states)]
        told = [
            {"name": name, "group": name, "statename": state, "spawnerr": "too soon"}
            for name, state in zip(names, states, strict=True)
        ]
        server.register_function(lambda: told, "supervisor.getAllProcessInfo")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield
        finally:
            server.shutdown()


def test_nobody_is_waited_for_when_the_supervisor_has_given_up(tmp_path: Path) -> None:
    with supervisor(tmp_path / "socket", "RUNNING", "FATAL"):
        failing = health(["127.0.0.1:9"], timeout=600, wake=str(tmp_path / "socket"))
    assert (list(failing), failing["shop-1"]) == (["127.0.0.1:9", "shop-1"], "supervisor says FATAL too soon")


STATES: dict[str, tuple[tuple[str, ...], dict[str, Any], list[str]]] = {
    "all run": (("RUNNING", "RUNNING"), {}, []),
    "one is tried again": (("RUNNING", "BACKOFF"), {}, ["shop-1"]),
    "one starts, and answers": (("STARTING",), {}, []),
    "one starts, and nothing else tells of it, until time is up": (("STARTING",), {"programs": ["shop-0"]}, []),
    "one that belongs elsewhere was given up": (("RUNNING", "FATAL"), {"elsewhere": ["shop-1"]}, []),
    "one is stopped": (("RUNNING", "STOPPED"), {}, []),
    "one did its work": (("RUNNING", "EXITED"), {}, []),
}


@pytest.mark.parametrize(("states", "told", "wrong"), STATES.values(), ids=STATES)
def test_what_supervisor_says_counts_beside_the_answers(
    tmp_path: Path, states: tuple[str, ...], told: dict[str, Any], wrong: list[str]
) -> None:
    with real.Web({"/healthz": real.healthy("1.0")}) as web, supervisor(tmp_path / "socket", *states):
        assert list(health([web.address], wake=str(tmp_path / "socket"), **told)) == wrong


def test_a_supervisor_that_does_not_answer_makes_nothing_healthy(tmp_path: Path) -> None:
    with real.Web({"/healthz": real.healthy("1.0")}) as web:
        failing = health([web.address], wake=str(tmp_path / "socket"))
    assert failing == {"supervisord": f"does not answer at {tmp_path}/socket"}


# --- slot_run.sh


def test_what_runs_once_does_not_run_for_one_who_has_lost_the_lock(tmp_path: Path) -> None:
    """But what is run by hand, without a lock, does."""
    stage = stage_at(tmp_path)
    Path(stage.paths.fence_file).write_text("9\n")
    held = Path(stage.paths.slot("b"))
    for name in ("venv/bin/python", "supervisord.conf", "tools/bin/python"):
        (held / name).parent.mkdir(parents=True, exist_ok=True)
        (held / name).write_text("#!/bin/sh\necho ran\n")
        (held / name).chmod(0o755)
    outcome = {fence: run(stage, "slot_run.sh", slot="b", fence=fence) for fence in (0, 5, 9)}
    assert {fence: (done.returncode, done.stdout) for fence, done in outcome.items()} == {
        0: (0, "ran\n"),
        5: (81, ""),
        9: (0, "ran\n"),
    }


# --- common_end.py


def test_a_supervisor_that_stands_still_is_ended_by_force(tmp_path: Path) -> None:
    """The queue of its socket is full, and whoever connects would wait."""
    waits = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); signal.pause()"
    (tmp_path / "run").mkdir()
    (tmp_path / "supervisord.conf").write_text("stopwaitsecs=1")
    with started(PYTHON, "-c", waits) as supervisor, socket.socket(socket.AF_UNIX) as own:
        line(supervisor)
        own.bind(str(tmp_path / "run/supervisor.sock"))
        own.listen(0)
        words = program("common_end").replace(") + 5", ")") + "end(*eval(sys.argv[1]))"
        ending = subprocess.Popen([PYTHON, "-c", words, repr((supervisor.pid, str(tmp_path)))])
        assert supervisor.wait(60) == -signal.SIGKILL
        assert ending.wait(60) == 0


# --- common_sockets.py


KERNELS: dict[str, dict[str, Any]] = {
    "it tells": {"listed": None},  # /proc is not looked at
    "no such protocol": {"SOCK_DIAG": 99},
    "no such question": {"BY_FAMILY": 99},
    "nothing that knows of TCP": {"TCP": 200},
}


@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
@pytest.mark.parametrize("others", [0, 500], ids=["", "among 500"])
def test_the_ports_that_are_listened_on_are_known(kernel: dict[str, Any], others: int) -> None:
    names: dict[str, Any] = {"__name__": "common_sockets"}
    exec(program("common_sockets"), names)
    names.update(kernel)
    with ExitStack() as open_ones:
        six = open_ones.enter_context(socket.create_server(("::1", 0), family=socket.AF_INET6))
        four, *more = [open_ones.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(1 + others)]
        bound = open_ones.enter_context(socket.socket())
        bound.bind(("127.0.0.1", 0))
        visitor = open_ones.enter_context(socket.create_connection(four.getsockname()))
        found = names["listeners"]()
        listening = {(one.getsockname()[1], str(os.fstat(one.fileno()).st_ino)) for one in (four, six, *more)}
        assert {port for port, _ in listening} <= found.keys()
        assert {(port, found[port]) for port, _ in listening} <= listening, "::1 may have the port of another one, too"
        assert not found.keys() & {bound.getsockname()[1], visitor.getsockname()[1]}


# --- common_http.py


OURS = ["User-Agent: releaselib", "Accept-Encoding: identity", "Connection: close"]
HEAD = b"HTTP/1.1 200 Fine\r\nX-A: b: c\r\n"
WHOLE: dict[str, tuple[bytes, tuple[object, ...]]] = {
    "to its end": (HEAD + b"\r\n1\r\n2", (200, "Fine", "1\r\n2")),
    "with its length": (HEAD + b"Content-Length: 2\r\n\r\nup", (200, "Fine", "up")),
    "in chunks": (
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n2;x=y\r\nu\n\r\nA\r\n0123456789\r\n0\r\n\r\n",
        (200, "Fine", "u\n0123456789"),
    ),
    "after another one that only says so": (
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + HEAD + b"\r\nup",
        (200, "Fine", "up"),
    ),
    "without a body, on a connection that stays open": (HEAD.replace(b"200", b"204") + b"\r\n", (204, "Fine", "")),
    "in Chunks": (HEAD + b"Transfer-Encoding: Chunked\r\n\r\n2\r\nup\r\n0\r\n\r\n", (200, "Fine", "up")),
    "without words": (b"HTTP/1.0 503\r\nX-A: b: c\r\n\r\n", (503, "", "")),
}
BROKEN = {
    "nothing": (b"", "closed without an answer"),
    "not HTTP": (b"SSH-2.0-OpenSSH_9.6\r\n", "not HTTP: b'SSH-2.0"),
    "cut off": (HEAD + b"Content-Length: 9\r\n\r\nup", "ended after 2 of 9 bytes"),
    "longer than anybody reads": (HEAD + b"Content-Length: 1000000000000\r\n\r\nup", "an answer of 1000000000000"),
    "cut off in its first line": (b"HTTP/1.1 200", "within a line"),
    "cut off in its head": (HEAD + b"Content-Le", "within a line"),
    "cut off behind its head": (HEAD, "closed without an answer"),
    "cut off between chunks": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nup\r\n", "closed without an answer"),
    "cut off in a chunk": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n9\r\nup", "ended after 2 of 11 bytes"),
}


@contextmanager
def answering(answer: bytes) -> Iterator[tuple[str, list[str]]]:
    """A server that takes one question and has one answer; where, and what it was asked."""
    asked: list[str] = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            asked.extend(iter(lambda: self.rfile.readline().decode("latin-1").strip(), ""))
            self.wfile.write(answer)

    with socketserver.TCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}", asked
        thread.join()


def get(place: str, headers: dict[str, str], seconds: float = 5) -> Any:
    names: dict[str, Any] = {"__name__": "common_http"}
    exec(program("common_http"), names)
    names["MOST"] = 1_000_000
    return names["get"](place, "/up?x=1", headers, seconds)


@pytest.mark.parametrize(("answer", "told"), WHOLE.values(), ids=WHOLE)
def test_an_answer_is_read_whole(answer: bytes, told: tuple[object, ...]) -> None:
    with answering(answer) as (place, asked):
        status, reason, fields, body = get(place, {"X-Token": "größe"})
    assert (status, reason, body.decode()) == told
    assert fields["x-a"] == "b: c"
    assert asked == ["GET /up?x=1 HTTP/1.1", "X-Token: größe", f"Host: {place}", *OURS]


@pytest.mark.parametrize(("answer", "words"), BROKEN.values(), ids=BROKEN)
def test_half_an_answer_is_none(answer: bytes, words: str) -> None:
    with answering(answer) as (place, asked), pytest.raises((OSError, ValueError), match=words):
        get(place, {"host": "shop.example"})
    assert asked == ["GET /up?x=1 HTTP/1.1", "host: shop.example", *OURS]


@pytest.mark.parametrize("head", [b"", HEAD, HEAD + b"\r\n"], ids=["at its beginning", "in its head", "in its body"])
def test_an_answer_that_never_ends_is_given_up(head: bytes) -> None:
    """However long it takes, and however much it is."""
    for piece, seconds in ((b"x", 1), (b"x" * 100_000, 60)):

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                with suppress(OSError):
                    self.wfile.write(head)
                    while True:
                        self.wfile.write(piece)  # noqa: B023
                        time.sleep(0.01)

        with socketserver.TCPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.handle_request)
            thread.start()
            with pytest.raises(OSError, match="no end of the answer"):
                get(f"127.0.0.1:{server.server_address[1]}", {}, seconds)
            thread.join()


def test_a_question_goes_to_an_ipv6_address_too() -> None:
    class Server(socketserver.TCPServer):
        address_family = socket.AF_INET6

    with Server(("::1", 0), socketserver.StreamRequestHandler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        with pytest.raises(ConnectionError, match="without an answer"):
            get(f"[::1]:{server.server_address[1]}", {})
        thread.join()


# --- proof_sample.py


def test_samples_are_counted_before_and_after_the_switch() -> None:
    with real.Web({"/": real.healthy("1.0")}) as web:
        values: dict[str, Any] = {"url": web.url, "host": "shop.example", "path": "/", "status": 200, "enough": 5}
        argv = script(stage_at(Path("/nowhere")), "proof_sample.sh", **values, before="yes")
        with started(*argv) as sampler:
            assert line(sampler) == "sampling"
            web.pages["/"] = (500, "")
            before = len(web.seen)
            while len(web.seen) < before + 2:
                assert sampler.poll() is None
            web.pages["/"] = real.healthy("2.0")
            say(sampler, "switched")
            counts = json.loads(line(sampler))
            assert sampler.wait() == 0
    assert {host for _, host in web.seen} == {"shop.example"}
    assert counts["during"]["1.0"] >= 1
    assert counts["after"]["2.0"] >= 5
    assert all(words.startswith("answered 500") for words in counts["failed"]["during"])
    assert (counts["failed"]["first"], counts["failed"]["after"]) == ([], [])
    counted = sum(counts["during"].values()) + sum(counts["after"].values()) + len(counts["failed"]["during"])
    assert counted == len(web.seen)


@pytest.mark.parametrize(("before", "failed"), [("yes", 0), ("no", 10)], ids=["as it was before", "of a first release"])
def test_a_redirect_is_an_answer_only_where_the_old_release_gave_it(before: str, failed: int) -> None:
    with real.Web({"/": (302, "away")}) as web:
        values: dict[str, Any] = {"url": web.url, "host": "x", "path": "/", "status": 200, "enough": 10}
        with started(*script(stage_at(Path("/nowhere")), "proof_sample.sh", **values, before=before)) as sampler:
            assert line(sampler) == "sampling"
            say(sampler, "switched")
            assert len(json.loads(line(sampler))["failed"]["after"]) == failed


# --- slot_stage.sh, as far as it goes without a release (the rest is in test_slot)


def stage_it(prefix: Path, *, uv: tuple[str, str] = ("", ""), egress: str = "") -> Done:
    files = {"tools.txt": "", "requirements.txt": ""}
    values = {
        "slot": "a",
        "digest": "x",
        "start": "yes",
        "index": "http://127.0.0.1:9/simple/",
        "egress": egress,
        "uv_url": uv[0],
        "uv_sha256": uv[1],
    }
    return run(prefix, "slot_stage.sh", files, **values)


def test_a_release_is_not_staged_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = stage_it(tmp_path / "file/prefix")
    assert done.returncode == 70
    assert re.search(
        f"\ncannot write to {tmp_path}/file/prefix \\(as [a-z]+; [0-9]+ KiB free on /.*\\)\n$", done.stderr
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a file system")
def test_a_disk_with_room_and_no_file_more_is_told_as_such(tmp_path: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "nr_inodes=3", "full", tmp_path], check=True)
    try:
        done = stage_it(tmp_path)
    finally:
        subprocess.run(["umount", tmp_path], check=True)
    assert done.returncode == 70
    assert re.search(
        f"cannot write to {tmp_path}/\\S+ \\(as root; [1-9][0-9]+ KiB free on {tmp_path}, and no file more", done.stderr
    )


@pytest.mark.parametrize(
    ("path", "said"),
    {
        "gone": ("/none.whl", "HTTP Error 404"),
        "hung up on": ("/uv.whl", "Remote end closed connection without response"),
        "cut off": ("/short.whl", "cut off: IncompleteRead"),
    }.values(),
)
def test_a_uv_that_cannot_be_had_is_told_with_its_address(tmp_path: Path, path: str, said: str) -> None:
    with real.Web({"/uv.whl": (200, "uv"), "/short.whl": (200, "uv")}, late=path == "/uv.whl") as web:
        done = stage_it(tmp_path, uv=(f"{web.url}{path}", "0" * 64))
    assert done.returncode == 71
    assert re.search(f"^{web.url}{path}: .*{said}.*\ncannot fetch uv from the index$", done.stderr, re.MULTILINE)


def test_uv_comes_through_the_proxy_that_the_stage_names_whatever_the_host_has_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with real.Web({}) as web:
        assert stage_it(tmp_path, uv=("http://index.invalid/uv.whl", "0" * 64), egress=web.url).returncode == 71
        assert stage_it(tmp_path, uv=(f"{web.url}/straight.whl", "0" * 64)).returncode == 71
    assert [path for path, _ in web.seen] == ["http://index.invalid/uv.whl", "/straight.whl"]


def test_a_uv_with_other_bytes_is_not_used(tmp_path: Path) -> None:
    with real.Web({"/uv.whl": (200, "not uv")}) as web:
        done = stage_it(tmp_path, uv=(f"{web.url}/uv.whl", "0" * 64))
    assert done.returncode == 71
    assert f"expected {'0' * 64}" in done.stderr
    assert done.stderr.endswith("cannot fetch uv from the index\n")
    assert not list((tmp_path / "tools").iterdir())

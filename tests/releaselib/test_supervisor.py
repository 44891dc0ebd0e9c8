"""The configuration of supervisord means what its template says, whatever the values are."""

from __future__ import annotations

import contextlib
import io
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from supervisor.options import ServerOptions  # type: ignore[import-untyped,unused-ignore]

import real
from releaselib.config.programs import Program
from releaselib.errors import ConfigError
from releaselib.hosts.health import own
from releaselib.hosts.scripts import text
from releaselib.hosts.supervisor import TEMPLATE, configuration, escaped, files, values
from releaselib.render import render
from rig import wait_for

ONE = """
[supervisord]
pidfile={folder}/pid
logfile={folder}/log
childlogdir={folder}

[program:one]
command=/bin/true
environment=VALUE="{{{{ value }}}}"
"""


def parsed(text: str, folder: Path) -> list[Any]:
    """The processes that supervisor's own parser finds."""
    file = folder / "supervisord.conf"
    file.write_text(text, "utf-8")
    options = ServerOptions()
    with contextlib.redirect_stderr(io.StringIO()) as words:
        try:
            options.realize(["-c", str(file), "-n"])
        except SystemExit:
            pytest.fail(words.getvalue())
    return [process for group in options.process_group_configs for process in group.process_configs]


def test_a_prefix_is_refused_when_the_socket_of_supervisord_would_not_fit() -> None:
    """unix(7): 107 bytes; supervisord binds it with a dot and its pid, of seven digits at most, behind."""
    longest = "/" + "x" * (107 - len(".4194304") - len("/slots/a/run/supervisor.sock") - 1)
    fits = real.stage(Path("/")).model_copy(update={"prefix": longest})
    run_root = values(fits, real.release("1.0"), "a")["run_root"]
    assert len(f"{run_root}/run/supervisor.sock.4194304") == 107
    for prefix in (longest + "x", "/" + "ü" * 36):
        with pytest.raises(ConfigError) as caught:
            values(fits.model_copy(update={"prefix": prefix}), real.release("1.0"), "a")
        assert caught.value.next_step == "set a prefix of 71 bytes or less"


def test_a_template_can_use_what_a_slot_is() -> None:
    where = real.stage(Path("/shop"), user="deploy", processes=3, port_base=9000)
    this = real.release("2.0", commit="abc", profile="dev", released="today")
    assert values(where, this, "b") == {
        "project": "my-shop",
        "package": "my_shop",
        "slot": "b",
        "profile": "dev",
        "run_root": "/shop/run/slots/b",
        "venv_dir": "/shop/run/slots/b/venv",
        "port": 9010,
        "process_count": 3,
        "bind": "127.0.0.1",
        "username": "deploy",
        "version": "2.0",
        "commit": "abc",
        "released": "today",
    }


KEPT = {
    "a word": "production",
    "a percent": "100%",
    "what looks like a name of supervisord": "%(ENV_HOME)s %s %%",
    "a semicolon without a space": "a;b",
    "a hash without a space": "a#b",
    "a comma": "a,b",
    "an equals sign": "a=b",
    "a section": "[program:x]",
    "words of other places": "größe ☃",
    "single quotes": "it's",
    "braces": "{{ x }} {% y %}",
    "a backslash": "a\\b",
    "a space": "a b",
}


@pytest.mark.parametrize("value", KEPT.values(), ids=KEPT)
def test_a_value_reaches_the_process_as_it_is(value: str, tmp_path: Path) -> None:
    text = render(ONE.format(folder=tmp_path), {"value": value}, TEMPLATE, escaped)
    (process,) = parsed(text, tmp_path)
    assert process.environment == {"VALUE": value}


CUT = {
    "a comment": "a ;b",
    "a comment after a tab": "a\t;b",
    "a comment with a hash": "a #b",
    "another line": "a\n[program:two]\ncommand=/bin/false",
    "another line as a mac writes it": "a\rb",
}


@pytest.mark.parametrize("value", CUT.values(), ids=CUT)
def test_a_value_that_would_be_cut_is_refused(value: str) -> None:
    with pytest.raises(ConfigError) as caught:
        render(ONE.format(folder="/x"), {"value": value}, TEMPLATE, escaped)
    assert caught.value.exit_code == 2
    assert caught.value.what.startswith(f"release.d/supervisord.conf.j2: the value {value!r} has a newline, ")
    assert caught.value.next_step == "change the value; supervisord would read it as something else"


ESCAPED = {
    "a percent": ("100%", "100%%"),
    "text": ("x", "x"),
    "nothing": ("", ""),
    "a number": (7, 7),
    "a truth": (True, True),
}


@pytest.mark.parametrize(("value", "text"), ESCAPED.values(), ids=ESCAPED)
def test_only_a_percent_in_a_text_is_doubled(value: Any, text: Any) -> None:
    assert escaped(value) == text


def test_what_the_template_itself_says_is_left_as_it_is(tmp_path: Path) -> None:
    assert render("%(program_name)s {{ x }}\n", {"x": "%"}, TEMPLATE, escaped) == "%(program_name)s %%\n"


BROKEN = {
    "a name that is not given": ("{{ prot }}", "'prot' is undefined"),
    "an open bracket": ("{% for x in", "unexpected 'end of template'"),
    "a sum of words and numbers": ("{{ bind + port }}", "can only concatenate str"),
    "another file": ("{% include '/etc/passwd' %}", "no loader for this environment"),
}


@pytest.mark.parametrize(("template", "words"), BROKEN.values(), ids=BROKEN)
def test_a_template_that_cannot_be_rendered_is_told_with_the_names_there_are(template: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        render(template, {"port": 1, "bind": "x"}, TEMPLATE)
    assert caught.value.exit_code == 2
    assert caught.value.what.startswith("release.d/supervisord.conf.j2: ")
    assert words in str(caught.value)
    assert caught.value.next_step == "names that can be used: bind, port"


FLAVOURS = sorted(
    {path.parent.name for path in (real.ROOT / "templates").glob("*/command.conf")} - {"init"}
)  # of flavour init the user says the command


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_the_template_of_every_flavour_is_accepted_by_supervisor(flavour: str, short: Path) -> None:
    where = real.stage(short, processes=3, port_base=9000)
    folder = Path(where.prefix) / "slots/b"
    for name in ("run", "log"):
        (folder / name).mkdir(parents=True)
    this = real.release("2.0", profile="100%", released="2026-11-23T10:00:00Z")
    text = configuration(real.template("supervisord.conf.j2", flavour), where, this, "b")
    processes = parsed(text, folder)
    assert [process.name for process in processes] == ["my-shop-0", "my-shop-1", "my-shop-2"]
    for number, process in enumerate(processes):
        assert f"{folder}/venv/bin/" in process.command
        assert process.directory == str(folder)
        assert process.stdout_logfile == f"{folder}/log/my-shop-{number}.log"
        assert process.environment["RELEASE_VERSION"] == "2.0"
        assert process.environment["RELEASE_SLOT"] == "b"
        assert process.environment["RELEASE_PROFILE"] == "100%"
    if flavour != "worker":
        assert all(str(9010 + number) in process.command for number, process in enumerate(processes))
    assert "inet_http_server" not in text
    assert "chmod=0700" in text


PROGRAMS = {
    "worker": Program(command="celery --app shop worker -n {number}", processes=2, live_only=True, stop_seconds=600),
    "api": Program(command="api --port {port} --bind {bind} {x}", port=True, hosts=("10.0.0.1",), health="/up"),
    "tidy": Program(command="shop 'clear all' && echo 100%", schedule="*/5 * * * *"),
}


def test_the_template_has_the_programs_of_a_host(short: Path, tmp_path: Path) -> None:
    stage = real.stage(short, app=["10.0.0.[1:2]"], proxy=["p1"], processes=2, programs=PROGRAMS)
    template, release = real.template("supervisord.conf.j2"), real.release("1.0")
    for name in ("log", "run"):
        Path(stage.paths.slot("b"), name).mkdir(parents=True)
    one, two = (
        {process.name: process for process in parsed(configuration(template, stage, release, "b", host), tmp_path)}
        for host in stage.app
    )
    assert one.keys() - two.keys() == {"api-0"}
    assert two.keys() == {"my-shop-0", "my-shop-1", "worker-0", "worker-1", "tidy-0"}
    assert (one["worker-1"].command, one["worker-1"].autostart) == ("env celery --app shop worker -n 1", False)
    assert (one["worker-1"].stopwaitsecs, one["worker-1"].stopasgroup) == (600, False)
    assert (one["api-0"].command, one["api-0"].autostart) == ("env api --port 8812 --bind 0.0.0.0 {x}", True)
    assert one["api-0"].environment["PATH"].startswith(f"{stage.paths.slot('b')}/venv/bin:")
    assert shlex.split(one["tidy-0"].command)[1:] == [
        f"{stage.paths.slot('b')}/schedule.py",
        "*/5 * * * *",
        "shop 'clear all' && echo 100%",
    ]
    assert (one["tidy-0"].autostart, one["tidy-0"].stopasgroup) == (False, False)
    assert own(stage, "b", stage.app[0]) == ["127.0.0.1:8810", "127.0.0.1:8811", "127.0.0.1:8812/up"]


def test_a_template_without_the_loop_is_refused_where_there_are_programs() -> None:
    with pytest.raises(ConfigError, match="has no loop over programs") as caught:
        configuration("", real.stage(Path("/shop"), programs={"tidy": PROGRAMS["tidy"]}), real.release("1.0"), "a")
    assert caught.value.next_step.startswith("fab template.update")


def test_what_runs_by_a_schedule_never_runs_beside_itself_and_comes_to_its_own_end(tmp_path: Path) -> None:
    """With six fields the first one is seconds."""
    log, go = tmp_path / "log", tmp_path / "go"
    line = f"echo begins >>{log}; until [ -e {go} ]; do sleep 0.1; done; echo ends >>{log}"
    argv = [sys.executable, "-c", text("slot_schedule.py"), "* * * * * *", line]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            assert process.stdout.readline().endswith(f": {line}\n")
            process.terminate()
            wait_for(lambda: log.exists(), "it to be at work")
            go.touch()
            assert process.stdout.read().endswith(": exit code 0\n")
        finally:
            go.touch()
            process.terminate()
    assert (process.returncode, log.read_text()) == (0, "begins\nends\n")


def test_files_of_the_project_are_rendered_and_refused_before_anything_is_built() -> None:
    texts = {TEMPLATE: "", "release.d/app.ini.j2": "[app]\nslot = {{ slot }}\n", "release.d/bad.j2": "{{ slto }}"}
    stage = real.stage(Path("/shop"), files={"conf/app.ini": "release.d/app.ini.j2"})
    found = files(stage, real.release("1.0"), "b", texts.__getitem__)
    assert found["files/conf/app.ini"] == "[app]\nslot = b\n"
    bad = real.stage(Path("/shop"), files={"x": {"template": "release.d/bad.j2", "mode": "0644"}})
    with pytest.raises(ConfigError, match=r"release.d/bad.j2: 'slto' is undefined"):
        files(bad, real.release("1.0"), "b", texts.__getitem__)

"""release.toml is read once; whatever is wrong with it is told at once, with the path of its key."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic_core import PydanticUndefined

import real
from releaselib import config
from releaselib.config.app import PORT_STEP, App, Once
from releaselib.config.programs import Program
from releaselib.config.stage import Stage
from releaselib.config.table import Table
from releaselib.config.tables import Forge, Index, OwnIndex, StageTable, Tls
from releaselib.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

STAGE: dict[str, Any] = {"app": ["h1"], "proxy": ["p1"]}


def parse(text: dict[str, Any], root: Path = Path("/shop")) -> config.Project:
    return config.parse(text, root=root, name=real.PROJECT)


def complaints(text: dict[str, Any]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    error = caught.value
    lines = error.cause.splitlines()
    assert error.exit_code == 2
    assert error.what == f"/shop/release.toml: {len(lines)} to mend"
    assert error.next_step == "correct these keys"
    return lines


def stage(**keys: Any) -> Stage:
    return parse({"stages": {"live": STAGE | keys}}).stage("live")


def write(folder: Path, release: str, pyproject: str = '[project]\nname = "my-shop"\nversion = "1"\n') -> Path:
    (folder / "release.toml").write_text(release, "utf-8")
    (folder / "pyproject.toml").write_text(pyproject, "utf-8")
    return folder


UNKNOWN = {
    "a table": ({"indx": {}}, "indx: unknown key; did you mean 'index'?"),
    "in [project]": ({"project": {"directry": "."}}, "project.directry: unknown key; did you mean 'directory'?"),
    "in [index]": ({"index": {"uploadurl": "x"}}, "index.uploadurl: unknown key; did you mean 'upload_url'?"),
    "in [app]": ({"app": {"proceses": 2}}, "app.proceses: unknown key; did you mean 'processes'?"),
    "in [forge]": (
        {"forge": {"kind": "gitlab", "nmespace": "x"}},
        "forge.nmespace: unknown key; did you mean 'namespace'?",
    ),
    "in a stage": (
        {"stages": {"live": STAGE | {"paralel": 3}}},
        "stages.live.paralel: unknown key; did you mean 'parallel'?",
    ),
    "of [app] in a stage": (
        {"stages": {"live": STAGE | {"helth": "/"}}},
        "stages.live.helth: unknown key; did you mean 'health'?",
    ),
    "in the index of a stage": (
        {"stages": {"live": STAGE | {"index": {"usrname": "x"}}}},
        "stages.live.index.usrname: unknown key; did you mean 'username'?",
    ),
    "in a host": (
        {"stages": {"live": STAGE | {"app": [{"address": "h1", "prot": 22}]}}},
        "stages.live.app.0.prot: unknown key; did you mean 'port'?",
    ),
    "like nothing known": ({"zzz": 1}, "zzz: unknown key"),
    "of a stage that the library keeps for itself": (
        {"stages": {"live": STAGE | {"project": "x"}}},
        "stages.live.project: unknown key",
    ),
    "of the index that the library keeps for itself": ({"index": {"folder": "/tmp"}}, "index.folder: unknown key"),
}


@pytest.mark.parametrize(("text", "words"), UNKNOWN.values(), ids=UNKNOWN)
def test_an_unknown_key_is_refused_with_the_nearest_right_one(text: dict[str, Any], words: str) -> None:
    assert complaints(text) == [words]


TABLES = ("project", "index", "app", "forge", "stages")


@pytest.mark.parametrize("name", TABLES)
def test_what_must_be_a_table_is_refused_as_anything_else(name: str) -> None:
    assert complaints({name: "words"}) == [f"{name}: must be a table"]


def test_only_a_stage_on_this_machine_has_an_address_here() -> None:
    """Whoever reads it out of `fab status --json` would ask himself for production."""
    here = {"app": ["local"], "proxy": ["local"], "listen": "8099", "prefix": "run"}
    assert (stage(**here).address, stage(**here | {"proxy": []}).address, stage().address) == (
        "http://127.0.0.1:8099",
        "",
        "",
    )


def test_a_share_of_nothing_is_none() -> None:
    found = stage(canary="0%", max_failures="0%")
    assert (found.canary, found.max_failures, found.watched) == (0, 0, False)


def test_an_app_that_is_a_number_hides_no_problem_of_a_stage() -> None:
    words = ["app: must be a table", "stages.live.zzz: unknown key"]
    assert complaints({"app": 3, "stages": {"live": STAGE | {"zzz": 1}}}) == words


def test_a_stage_must_be_a_table() -> None:
    assert complaints({"stages": {"live": "h1"}}) == ["stages.live: must be a table"]


APP_KEYS = sorted(App.model_fields)
STAGE_KEYS = sorted({*StageTable.model_fields} - {*App.model_fields, "app", "proxy"})


@pytest.mark.parametrize("key", APP_KEYS)
def test_a_wrong_type_in_app_is_refused(key: str) -> None:
    (line,) = complaints({"app": {key: 1.5}})
    assert line.startswith(f"app.{key}: ")


@pytest.mark.parametrize("key", [*STAGE_KEYS, *APP_KEYS])
@pytest.mark.parametrize("host", ["h1", "local"])
def test_a_wrong_type_in_a_stage_is_refused(host: str, key: str) -> None:
    (line,) = complaints({"stages": {"live": {"app": [host], "proxy": [host], key: 1.5}}})
    assert line.startswith(f"stages.live.{key}: ")


@pytest.mark.parametrize("key", ["parallel", "port_base", "keep_warm"])
def test_a_number_or_a_truth_in_quotes_is_a_wrong_type(key: str) -> None:
    (line,) = complaints({"stages": {"live": STAGE | {key: "1"}}})
    assert line.startswith(f"stages.live.{key}: input should be a valid ")


BAD_VALUES: dict[str, tuple[dict[str, Any], str]] = {
    "no host": ({"app": []}, "app: is empty; a stage needs one host to release to"),
    "a range that runs backwards": ({"app": ["h[5:1]"]}, "app: is no address and no range like 10.0.0.[1:20]: h[5:1]"),
    "one address for hosts": ({"app": "h1"}, 'app: must be a list of hosts or { command = "..." }'),
    "a host twice": ({"app": ["h1", "h2", "h[1:3]"]}, "app: lists h1, h2 twice"),
    "a proxy twice": ({"proxy": ["p1", "p1"]}, "proxy: lists p1 twice"),
    "this machine among others": (
        {"app": ["local", "h1"]},
        'stages.live: mixes "local" with hosts over ssh; make two stages of it',
    ),
    "a host that is no address": ({"app": ["h 1"]}, "app.0.address: string should match pattern"),
    "a host that could be an option": ({"app": ["h1;reboot"]}, "app.0.address: string should match pattern"),
    "a host of numbers": ({"app": [1]}, "app.0: must be a table"),
    "a host without an address": ({"app": [{"port": 2222}]}, "app.0.address: field required"),
    "half a range": ({"app": ["h[1:"]}, "app: is no address and no range like 10.0.0.[1:20]: h[1:"),
    "an ssh port beyond all ports": (
        {"app": [{"address": "h1", "port": 70000}]},
        "app.0.port: input should be less than or equal to 65535",
    ),
    "a command that is none": ({"app": {"command": 3}}, "app: the command 3 failed: "),
    "one slot": ({"slots": ["a"]}, "slots: must be two or more different letters"),
    "a slot twice": ({"slots": ["a", "a"]}, "slots: must be two or more different letters"),
    "a slot beyond i": ({"slots": ["a", "j"]}, "slots: must be two or more different letters"),
    "more processes than ports": (
        {"processes": 11},
        "processes: slots would share ports: each has 10, 11 are asked for",
    ),
    "no process": ({"processes": 0}, "processes: input should be greater than or equal to 1"),
    "a port of the system": ({"port_base": 80}, "port_base: input should be greater than or equal to 1024"),
    "a requirement that is none": ({"requires": ["gunicorn >> 23"]}, "requires.0: is no requirement like gunicorn>=23"),
    "a command with an open quote": ({"secrets_command": "pass 'a"}, "secrets_command: is no command line"),
    "a command that says nothing": ({"run": {"migrate": {"command": " "}}}, "run.migrate.command: is empty"),
    "a file out of its folder": ({"files": {"../x": "y"}}, "files.../x.[key]: leads out of files/: ../x"),
    "a file with no mode": (
        {"files": {"x": {"template": "y", "mode": "rw"}}},
        "files.x.mode: is no mode like 0600: rw",
    ),
    "another connector": ({"connector": "telnet"}, "connector: input should be 'paramiko' or 'openssh'"),
    "a schedule that is none": (
        {"programs": {"tidy": {"command": "x", "schedule": "often"}}},
        "programs.tidy.schedule: is no schedule like */5 * * * *: often",
    ),
    "a path without a port": (
        {"programs": {"api": {"command": "x", "health": "/up"}}},
        "programs.api: health is a path, but the program has no port: set port = true, or give a command",
    ),
    "a schedule beside itself": (
        {"programs": {"tidy": {"command": "x", "schedule": "* * * * *", "processes": 2}}},
        "programs.tidy: what runs by a schedule has no port, no health and one process",
    ),
    "a moment that is none": (
        {"run": {"migrate": {"command": "x", "when": "now"}}},
        "run.migrate.when: input should be 'before_start', 'before_switch' or 'after_switch'",
    ),
    "a health page without a slash": ({"health": "healthz"}, "health: must be a path that starts with a slash"),
    "an nginx of another kind": ({"nginx": "apache"}, "nginx: input should be 'system' or 'own'"),
    "a listen without a port": ({"listen": "unix:/run/x"}, "listen: must begin with a port or address:port"),
    "a prefix that is relative": ({"prefix": "srv/shop"}, "prefix: must be an absolute path"),
    "a prefix with a percent": ({"prefix": "/srv/50%"}, "prefix: must be an absolute path without %"),
    "no prefix": ({"prefix": ""}, "prefix: must be an absolute path"),
    "an index that is no address": ({"index": {"url": "index.internal"}}, "index.url: is no http or https address"),
    "a password in the index": (
        {"index": {"url": "https://me:secret@index/simple"}},
        "index.url: holds a user or password",
    ),
    "an index of another kind": ({"index": "remote"}, "index: must be a table"),
}


@pytest.mark.parametrize(("keys", "words"), BAD_VALUES.values(), ids=BAD_VALUES)
def test_a_bad_value_is_refused_with_the_path_of_its_key(keys: dict[str, Any], words: str) -> None:
    (line,) = complaints({"stages": {"live": STAGE | keys}})
    assert line.startswith(words if words.startswith("stages.") else f"stages.live.{words}")


def test_a_password_in_an_address_is_not_repeated() -> None:
    assert "secret" not in "".join(complaints({"index": {"url": "https://me:secret@index/simple"}}))


def test_a_forge_of_another_kind_is_refused() -> None:
    assert complaints({"forge": {"kind": "sourceforge"}}) == ["forge.kind: input should be 'gitlab' or 'github'"]


def test_all_problems_of_all_tables_are_told_at_once() -> None:
    lines = complaints(
        {
            "indx": {},
            "app": {"slots": ["a"], "processes": "2"},
            "stages": {"live": {"app": [], "proxy": ["p1", "p1"], "paralel": 3}, "test": {"app": ["h1"], "prefix": 1}},
        }
    )
    assert [line.partition(":")[0] for line in lines] == [
        "app.slots",
        "app.processes",
        "stages.live.app",
        "stages.live.proxy",
        "stages.live.paralel",
        "stages.test.prefix",
        "indx",
    ]


def test_an_unknown_stage_is_refused_with_the_nearest_and_all_names() -> None:
    project = parse({"stages": {"staging": STAGE, "production": STAGE | {"app": ["h9"], "proxy": ["p9"]}}})
    with pytest.raises(ConfigError) as caught:
        project.stage("prodution")
    assert caught.value.exit_code == 2
    assert caught.value.what == "no stage 'prodution' in release.toml; did you mean 'production'?"
    assert caught.value.next_step == "use one of: staging, production"


APART = {"app": ["h9"], "proxy": ["p9"]}
SHARED: dict[str, tuple[dict[str, Any], list[str]]] = {
    "nothing": (APART, []),
    "everything": ({}, ["prefix than /srv/my-shop", "set port_base 8900 or more", 'set nginx = "own" for one of them']),
    "a host, but apart on it": ({"proxy": ["p9"], "prefix": "/srv/b", "port_base": 8900}, []),
    "ports of the last slots": ({"app": ["h1"], "proxy": [], "prefix": "/srv/b", "port_base": 8899}, ["set port_base"]),
    "a proxy, with an nginx of its own": (
        {"app": ["h9"], "prefix": "/srv/b", "port_base": 8900, "nginx": "own", "listen": "8080"},
        [],
    ),
}


@pytest.mark.parametrize(("keys", "words"), SHARED.values(), ids=SHARED)
def test_what_two_stages_would_take_from_each_other_is_told_at_once(keys: dict[str, Any], words: list[str]) -> None:
    table = {"stages": {"staging": STAGE, "production": STAGE | keys}}
    if not words:
        assert len(parse(table).stages) == 2
        return
    with pytest.raises(ConfigError) as caught:
        parse(table)
    lines = caught.value.cause.splitlines()
    assert len(lines) == len(words)
    for line, part in zip(lines, words, strict=True):
        assert re.match(r"stages\.production: h1(, p1)? (is|are) of staging, too: ", line)
        assert part in line


def test_a_stage_overrides_what_app_says() -> None:
    project = parse(
        {
            "app": {"port_base": 9000, "processes": 3, "slots": ["a", "b", "c"]},
            "stages": {"live": STAGE | {"processes": 5}},
        }
    )
    found = project.stage("live")
    assert (found.port_base, found.processes, found.slots) == (9000, 5, ("a", "b", "c"))


def test_what_is_wrong_in_app_is_told_once_and_not_for_every_stage() -> None:
    text = {"app": {"processes": 0, "zzz": 1}, "stages": {"live": STAGE, "test": STAGE | {"processes": 11}}}
    assert [line.partition(":")[0] for line in complaints(text)] == [
        "app.processes",
        "app.zzz",
        "stages.test.processes",
    ]


def test_a_stage_over_ssh_gets_what_follows_from_its_name() -> None:
    found = stage()
    assert found.prefix == "/srv/my-shop"
    assert found.profile == "live"
    assert (found.bind, found.listen, found.listen_port) == ("0.0.0.0", "80", 80)
    assert (found.parallel, found.max_failures, found.keep_warm, found.local) == (30, 0, True, False)


def test_a_stage_on_this_machine_stays_in_the_folder_of_the_project() -> None:
    found = stage(app=["local"], proxy=["local"], nginx="own", prefix=".local", index="local", port_base=9100)
    assert found.local
    assert found.prefix == "/shop/.local"
    assert (found.bind, found.listen_port) == ("127.0.0.1", 9190)
    assert found.index == OwnIndex.at(9191, "/shop/.local/index")
    assert (found.index.url, found.index.username) == ("http://127.0.0.1:9191/simple/", "releaser")


def test_a_stage_without_an_index_takes_the_one_of_the_project() -> None:
    project = parse({"index": {"url": "https://index/simple"}, "stages": {"live": STAGE}})
    assert project.stage("live").index.url == "https://index/simple/"


def test_known_hosts_are_looked_for_in_the_folder_of_the_project() -> None:
    assert stage(known_hosts="conf/known_hosts").known_hosts == "/shop/conf/known_hosts"


LISTEN = {
    "a port": ("8080", 8080),
    "address and port": ("127.0.0.1:8081", 8081),
    "IPv6": ("[::1]:8082", 8082),
    "words after it": ("443 ssl default_server", 443),
}


@pytest.mark.parametrize(("listen", "port"), LISTEN.values(), ids=LISTEN)
def test_a_proxy_is_asked_at_the_port_it_listens_on(listen: str, port: int) -> None:
    assert stage(listen=listen).listen_port == port


@pytest.mark.parametrize("processes", [1, 2, PORT_STEP])
def test_no_two_slots_share_a_port(processes: int) -> None:
    app = App(slots=tuple("abcdefghi"), processes=processes)
    every = [port for slot in app.slots for port in app.ports(slot)]
    assert len(every) == len(set(every)) == 9 * processes
    assert app.ports("b")[0] == app.port_base + PORT_STEP


def test_nginx_gets_to_the_site_by_one_file() -> None:
    assert stage(nginx="own").paths.entry == "/srv/my-shop/nginx/nginx.conf"
    assert stage(nginx="system").paths.entry == "/etc/nginx/conf.d/my-shop.conf"


NAMES = {"none": ("_", "localhost"), "one": ("shop.example", "shop.example"), "two": ("a.example b", "a.example")}


@pytest.mark.parametrize(("names", "header"), NAMES.values(), ids=NAMES)
def test_a_proxy_is_asked_with_the_first_name_of_the_site(names: str, header: str) -> None:
    assert stage(server_name=names).host_header == header


def test_every_path_on_a_host_is_below_the_prefix_and_has_one_name() -> None:
    paths = stage().paths
    assert all(
        path.startswith("/srv/my-shop") for name, path in paths.variables.items() if name not in ("entry", "boot_unit")
    )
    assert paths.slot("b") == "/srv/my-shop/slots/b"
    assert paths.socket("b") == "/srv/my-shop/slots/b/run/supervisor.sock"
    with pytest.raises(AttributeError, match="there is no path called nowhere"):
        _ = paths.nowhere


LOCKS = {
    "every proxy": (["h1"], ["p1", "p2"], ["p1", "p2"]),
    "in whatever order": (["h1"], ["p2", "p1"], ["p1", "p2"]),
    "without one on three hosts": (["h4", "h3", "h2", "h1"], [], ["h1", "h2", "h3"]),
    "of which most stay when there is one more": (["h4", "h3", "h2", "h1", "h0"], [], ["h0", "h1", "h2"]),
    "or on those that there are": (["h1"], [], ["h1"]),
}


@pytest.mark.parametrize(("app", "proxy", "hosts"), LOCKS.values(), ids=LOCKS)
def test_the_lock_lies_where_two_who_take_it_meet(app: list[str], proxy: list[str], hosts: list[str]) -> None:
    assert [host.name for host in stage(app=app, proxy=proxy).lock_hosts] == hosts


SHARES = {"a number": 3, "a percentage": "10%", "all": "100%", "none": 0}


@pytest.mark.parametrize("share", SHARES.values(), ids=SHARES)
def test_a_share_of_hosts_is_a_number_or_a_percentage(share: int | str) -> None:
    assert stage(max_failures=share).max_failures == share


@pytest.mark.parametrize("share", [-1, "10", "101%", "x%", 1.5, True, "-1%"])
def test_anything_else_is_no_share(share: Any) -> None:
    (line,) = complaints({"stages": {"live": STAGE | {"canary": share}}})
    assert line.startswith("stages.live.canary: must be a number of hosts, or a share of them like")


def test_both_files_are_read_from_the_folder(tmp_path: Path) -> None:
    write(tmp_path, '[stages.local]\napp = ["local"]\n', '[project]\nname = "my-shop"\nversion = "1.4"\n')
    project = config.load(tmp_path)
    assert (project.root, project.name, project.static_version) == (tmp_path, "my-shop", "1.4")
    assert project.stage("local").prefix == "/srv/my-shop"


def test_a_project_can_be_in_a_folder_of_its_repository(tmp_path: Path) -> None:
    (tmp_path / "library").mkdir()
    (tmp_path / "library/pyproject.toml").write_text('[project]\nname = "my-library"\nversion = "1"\n')
    (tmp_path / "release.toml").write_text('[project]\ndirectory = "library"\n')
    assert config.load(tmp_path).name == "my-library"


FILES = {
    "no release.toml": (None, "", "release.toml is missing", "run this in the folder of a project"),
    "release.toml that is not TOML": ("[stages", "", "release.toml is not TOML", "correct it"),
    "pyproject.toml without a name": (
        "",
        "[tool.x]\n",
        "./pyproject.toml has no [project] name (PEP 621)",
        "add it; the wheel and the slot are named after it",
    ),
    "[project] that is no table": (
        "project = 1\n",
        '[project]\nname = "x"\nversion = "1"\n',
        "release.toml: 1 to mend",
        "corr",
    ),
    "a version of setup.py's": (
        "",
        '[project]\nname = "x"\ndynamic = ["version"]\n[build-system]\nrequires = ["setuptools"]\n',
        "./pyproject.toml: nothing there gives a wheel the version of its release",
        "a static version in [project]; or dynamic",
    ),
    "a version without quotes": (
        "",
        '[project]\nname = "x"\nversion = 1.0\n',
        "./pyproject.toml: project.version must be a text",
        "quote it",
    ),
}


@pytest.mark.parametrize(("release", "pyproject", "what", "next_step"), FILES.values(), ids=FILES)
def test_a_file_that_cannot_be_used_is_named(
    tmp_path: Path, release: str | None, pyproject: str, what: str, next_step: str
) -> None:
    if release is not None:
        write(tmp_path, release, pyproject)
    with pytest.raises(ConfigError) as caught:
        config.load(tmp_path)
    assert what in caught.value.what
    assert caught.value.next_step.startswith(next_step)


TOLD = {
    "an attribute": '[tool.setuptools.dynamic]\nversion = {attr = "shop.VERSION"}\n',
    "another backend": '[build-system]\nrequires = ["flit_core"]\nbuild-backend = "flit_core.buildapi"\n',
    "a stamp": '[build-system]\nrequires = ["setuptools", "setuptools_scm[toml]>=8"]\n',
}


@pytest.mark.parametrize("where", TOLD.values(), ids=TOLD)
def test_a_version_that_pyproject_tells_of_is_left_to_the_build(tmp_path: Path, where: str) -> None:
    write(tmp_path, "", f'[project]\nname = "x"\ndynamic = ["version"]\n{where}')
    assert config.load(tmp_path).static_version == ""


def test_values_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        stage().parallel = 1


# --- the documentation

DOCS = (real.ROOT / "docs/release-toml.md").read_text("utf-8")
DOCUMENTED: dict[str, type[Table]] = {
    "index": Index,
    "app": App,
    "app.run.NAME": Once,
    "app.programs.NAME": Program,
    "stages.NAME": StageTable,
    "stages.NAME.tls": Tls,
    "forge": Forge,
}
DERIVED = {
    "access_log",
    "listen",
    "prefix",
    "profile",
    "bind",
    "user",
    "url",
    "name",
    "namespace",
    "python",
    "index",
    "known_hosts",
}
"""Their defaults follow from something else, which the documentation says in words."""


def rows(table: str) -> dict[str, str]:
    """Key -> default, as the documentation has them for a table."""
    section = DOCS.partition(f"## [{table}]")[2].partition("\n## ")[0]
    found = re.findall(r"^\| (`[^|]+`) \| ([^|]*)\|", section, re.MULTILINE)
    pairs = [(re.findall(r"`(\w+)`", keys), default.strip()) for keys, default in found]
    shared = {key: default for keys, default in pairs if len(keys) == 1 for key in keys}
    for keys, default in pairs:
        if len(keys) > 1:
            shared |= dict(zip(keys, default.split(", ") if ", " in default else [default] * len(keys), strict=False))
    return shared


@pytest.mark.parametrize("table", DOCUMENTED)
def test_the_documentation_has_every_key_with_its_default(table: str) -> None:
    model, told = DOCUMENTED[table], rows(table)
    known = {*model.model_fields} - ({*App.model_fields} if model is StageTable else set())
    assert told.keys() == known
    for key in known - DERIVED:
        default = model.model_fields[key].default
        if default is not PydanticUndefined and default not in ("", None):
            assert told[key].strip("`") == json.dumps(default), key


def test_the_example_of_the_documentation_is_a_configuration() -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", DOCS, re.DOTALL)
    found = parse(tomllib.loads(example))
    assert list(found.stages) == ["local", "production"]
    assert found.forge is not None

"""nginx accepts what is rendered for it, and serves what it was told to; a switch is the renaming of one link."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import re
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests

import real
from releaselib.config.inventory import Host
from releaselib.config.stage import Stage
from releaselib.config.tables import Tls
from releaselib.decide.problems import of_proxy, problems
from releaselib.decide.seen import ProxySeen, Served
from releaselib.errors import CommandFailed, ConfigError
from releaselib.hosts import nginx, site
from releaselib.hosts.connection import Remote
from releaselib.hosts.facts import look
from releaselib.hosts.fleet import Fleet
from releaselib.hosts.health import question
from rig import wait_for
from rig.visitors import Visitors

TEMPLATE = real.template("nginx.conf.j2")
NAMES = {
    "a word": ("shop", "shop"),
    "a dash": ("my-shop", "my_shop"),
    "a dot": ("my.shop", "my_shop"),
    "a digit in front": ("2to3", "_2to3"),
}


@pytest.mark.parametrize(("project", "name"), NAMES.values(), ids=NAMES)
def test_a_project_has_a_name_that_nginx_can_use(project: str, name: str) -> None:
    assert site.identifier(project) == name


def test_visitors_are_sent_to_every_process_of_the_slot() -> None:
    stage = real.stage(Path("/shop"), app=["10.0.0.[1:2]", "fd00::7"], proxy=["p1"], processes=2)
    assert site.servers(stage, stage.app, "b") == [
        "10.0.0.1:8810",
        "10.0.0.2:8810",
        "[fd00::7]:8810",
        "10.0.0.1:8811",
        "10.0.0.2:8811",
        "[fd00::7]:8811",
    ]
    assert site.servers(stage, (Host(address="local"),), "a")[0] == "127.0.0.1:8800"
    assert site.servers(stage, stage.app[:1], "a") == ["10.0.0.1:8800", "10.0.0.1:8801"]
    old = ["10.0.0.2:9000", "10.0.0.2:9001"]  # of another port_base
    assert site.servers(stage, stage.app[:1], "a", old) == [
        "10.0.0.1:8800",
        "10.0.0.2:9000",
        "10.0.0.1:8801",
        "10.0.0.2:9001",
    ]


def served(version: str, *servers: str, hosts: tuple[str, ...] = ("local",)) -> Served:
    return Served(real.release(version, int(version[0]), staged=int(version[0])), hosts, servers)


BOTH = {"a": served("1.0", "10.0.0.1:8800"), "b": served("2.0", "10.0.0.1:8810")}


def test_a_slot_that_visitors_get_is_served_though_release_toml_has_it_no_more() -> None:
    """Else the configuration of the next release, loaded before its switch, would send them nowhere."""
    stage = real.stage(Path("/shop"), slots=["a", "b"])
    files = site.configuration(TEMPLATE, stage, BOTH | {"c": served("3.0", "10.0.0.1:8820")}).files
    assert f'if (-f "{stage.paths.live}/c") {{ set $my_shop_slot my_shop_c; }}' in files["server.conf"]
    assert "upstream my_shop_c {" in files["http.conf"]


@pytest.mark.parametrize("slots", ["a", "ab", "abc"])
def test_a_request_finds_a_slot_whenever_the_link_is_renamed_while_it_is_looked_for(slots: str) -> None:
    """nginx asks the file system once for each line: the link may mean another slot from one line to the next."""
    stage = real.stage(Path("/shop"))
    known = {slot: served("1.0", "10.0.0.1:8800") for slot in slots}
    text = site.configuration(TEMPLATE, stage, known).files["server.conf"]
    asked = re.findall(rf'if \(-f "{stage.paths.live}/(\w+)"\) {{ set \$my_shop_slot my_shop_(.); }}', text)
    for old, new in itertools.product(slots, repeat=2):
        for moment in range(len(asked) + 1):
            means = [old] * moment + [new] * (len(asked) - moment)
            (*_, got) = [slot for now, (file, slot) in zip(means, asked, strict=True) if file in ("release", now)]
            assert got in (old, new), f"{old} to {new} before question {moment} of {asked}"


def test_a_slot_that_is_new_is_known_before_its_first_release() -> None:
    """So a switch to it needs no reload, and whoever has connected to a worker before one gets it, too."""
    stage = real.stage(Path("/shop"), app=["10.0.0.[1:3]"], proxy=["p1"], slots=["a", "b", "c"], processes=1)
    known = {"a": served("1.0", "10.0.0.1:8800", "10.0.0.3:8800", hosts=("10.0.0.1", "10.0.0.3"))}
    conf = site.configuration(TEMPLATE, stage, known)
    upstreams = dict(re.findall(r"upstream my_shop_(\w) \{(.*?)keepalive", conf.files["http.conf"], re.DOTALL))
    found = {slot: re.findall(r"server (\S+);", text) for slot, text in upstreams.items()}
    assert found == {slot: [f"10.0.0.1:88{n}0", f"10.0.0.3:88{n}0"] for n, slot in enumerate("abc")}
    later = known | {"b": served("2.0", "10.0.0.1:8810", "10.0.0.3:8810", hosts=("10.0.0.1", "10.0.0.3"))}
    assert site.configuration(TEMPLATE, stage, later) == conf
    assert site.ahead(stage, {}) == site.ahead(stage, {"a": served("1.0", hosts=("gone",))}) == {}


def test_one_canary_of_very_many_hosts_has_a_share() -> None:
    """nginx refuses a share of 0.0%, and takes two digits behind the point."""
    stage = real.stage(Path("/shop"), app=["10.0.[0:9].[1:250]"], proxy=["p1"], canary=1)
    known = {"a": served("1.0", "10.0.0.1:8800", hosts=("10.0.0.1",))}
    assert "{ 0.04% 1; * " in site.configuration(TEMPLATE, stage, known).files["http.conf"]


def test_a_configuration_is_another_one_only_when_nginx_must_load_it() -> None:
    stage = real.stage(Path("/shop"))
    first = site.configuration(TEMPLATE, stage, BOTH)
    later = {slot: replace(one, release=real.release("9.0")) for slot, one in BOTH.items()}
    assert site.configuration(TEMPLATE, stage, later) == first, "another release on the same hosts"
    wider = BOTH | {"b": served("2.0", "10.0.0.1:8810", "10.0.0.2:8810")}
    named = stage.model_copy(update={"server_name": "shop.example"})
    others = (
        site.configuration(TEMPLATE, stage, wider),
        site.configuration(TEMPLATE, named, BOTH),
        site.configuration(TEMPLATE + "# changed\n", stage, BOTH),
    )
    assert len({first.digest, *(one.digest for one in others)}) == 4
    assert f'"{first.digest}"' in first.files["http.conf"]


WRONG = {
    "a name that is not given": ("{{ upstrem }}", "'upstrem' is undefined"),
    "an open tag": ("{% if %}", "Expected an expression"),
    "a sum of words and numbers": ("{{ listen + 1 }}", "can only concatenate str"),
}


@pytest.mark.parametrize(("text", "words"), WRONG.values(), ids=WRONG)
def test_a_site_that_cannot_be_rendered_is_told_with_the_names_there_are(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        site.text(TEMPLATE + text, real.stage(Path("/shop")))
    assert caught.value.exit_code == 2
    assert caught.value.what.startswith("release.d/nginx.conf.j2: ")
    assert words in caught.value.what
    assert caught.value.next_step == (
        "names that can be used: http_conf, listen, name, project, server_conf, server_name"
    )


def test_a_site_of_an_older_template_is_refused_with_what_brings_the_new_one() -> None:
    old = 'include "{{ upstream_file }}";\nserver { location / { proxy_pass http://{{ upstream }}; } }\n'
    with pytest.raises(ConfigError) as caught:
        site.text(old, real.stage(Path("/shop")))
    assert caught.value.what == (
        "release.d/nginx.conf.j2 includes no http_conf and no server_conf: it is of an older template"
    )
    assert caught.value.next_step.startswith("fab template.update brings the new one")


SITES: dict[str, tuple[str, dict[str, Any], dict[str, Served]]] = {
    "before the first release": ("my-shop", {}, {}),
    "one slot": ("my-shop", {}, {"a": served("1.0", "10.0.0.1:8800", "10.0.0.2:8800")}),
    "two slots": ("my-shop", {}, BOTH),
    "IPv6": ("my-shop", {}, {"a": served("1.0", "[fd00::7]:8800")}),
    "a name with a digit in front": ("2to3", {}, BOTH),
    "all slots": ("my-shop", {"slots": list("abcdefghi")}, BOTH),
    "a canary": ("my-shop", {"canary": 1}, BOTH),
    "a canary before the first release": ("my-shop", {"canary": 1}, {}),
    "going back by itself": ("my-shop", {"auto_rollback": True}, BOTH),
    "ACME alone": ("my-shop", {"tls": {}}, BOTH),
    "static files": ("2to3", {"static": {"url": "/my.app/static/"}, "canary": 1}, BOTH),
}


@pytest.mark.parametrize(("project", "keys", "known"), SITES.values(), ids=SITES)
def test_nginx_accepts_the_site_of_every_project(
    nginx_program: str, short: Path, project: str, keys: dict[str, Any], known: dict[str, Served]
) -> None:
    stage = real.stage(short, listen="127.0.0.1:18080", server_name="shop.example www.shop.example", **keys)
    stage = stage.model_copy(update={"project": project})
    folder = Path(stage.paths.nginx)
    (folder / "confs/x").mkdir(parents=True)
    (folder / "conf").symlink_to("confs/x")
    (folder / "nginx.conf").write_text(site.own(stage))
    for name, text in site.configuration(TEMPLATE, stage, known).files.items():
        (folder / "conf" / name).write_text(text)
    judge = [nginx_program, "-t", "-p", f"{folder}/", "-c", f"{folder}/nginx.conf", "-e", "stderr"]
    done = subprocess.run(judge, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "warn" not in done.stderr


# --- on a real nginx, which is this machine's own and belongs to one test


class Shop:
    """Two slots with a process each, and an nginx in front of them that knows of none yet."""

    def __init__(self, fleet: Fleet) -> None:
        self.stage: Stage = fleet.stage
        self.remote: Remote = fleet.remote(self.stage.proxy[0])
        self.url = self.stage.address
        self.folder = Path(self.stage.paths.nginx)
        self.known: dict[str, Served] = {}
        self.old: real.Web
        self.new: real.Web

    def slot(self, name: str, version: str, *servers: str) -> Served:
        return served(version, *(servers or (f"127.0.0.1:{self.stage.ports(name)[0]}",)))

    def elsewhere(self, slot: str) -> str:
        """The process of a slot by another name: for that nginx is reloaded."""
        return f"localhost:{self.stage.ports(slot)[0]}"

    def learn(self, slot: str, version: str, *servers: str, template: str = TEMPLATE, adopt: str = "") -> None:
        """Have nginx know a slot, after it has seen it healthy."""
        new = self.slot(slot, version, *servers)
        known = self.known | {slot: new}
        conf = site.configuration(template, self.stage, known)
        asked = question(self.stage, new.servers, version)
        nginx.configure(self.remote, conf, known, adopt=adopt, health=asked)
        self.known = known

    def switch(self, slot: str) -> None:
        nginx.switch(self.remote, slot, site.line(self.stage, slot, self.known[slot]) if slot else "")

    def ask(self, path: str = "/healthz") -> tuple[int, str]:
        answer = requests.get(f"{self.url}{path}")
        return answer.status_code, answer.text.strip()

    def version(self) -> str:
        return str(requests.get(f"{self.url}/healthz").json()["version"])

    def serves(self) -> str:
        return requests.get(f"{self.stage.loopback}/-/release").text.strip()

    def seen(self) -> ProxySeen:
        (proxy,) = look(Fleet(self.stage), ()).proxy.values()
        return proxy

    def files(self) -> dict[str, bytes]:
        """All that nginx reads."""
        wanted = [*self.folder.glob("*.conf"), *(self.folder / "conf").resolve().glob("*")]
        return {str(path): path.read_bytes() for path in wanted if path.is_file()}

    def title(self, pid: int) -> str:
        """What a process says that it is; nothing, when it has ended."""
        try:
            return Path(f"/proc/{pid}/cmdline").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return ""

    def workers(self) -> set[str]:
        """The pids of nginx's workers: a reload makes new ones."""
        pid = (self.folder / "nginx.pid").read_text().strip()
        return set(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


@pytest.fixture
def shop(nginx_program: str, short: Path) -> Iterator[Shop]:
    port = real.free_port(100)
    table = {"port_base": port, "processes": 1, "listen": f"127.0.0.1:{port + 90}", "health_timeout": 1}
    made = Shop(Fleet(real.stage(short, **table)))
    with (
        real.Web({"/healthz": real.healthy("1.0"), "/slow": (200, "slow")}, port=port) as made.old,
        real.Web({"/healthz": real.healthy("2.0")}, port=port + 10) as made.new,
    ):
        yield made
        real.end_nginx(made.stage)


@pytest.fixture
def live(shop: Shop) -> Shop:
    """The same with release 1.0 live in slot a, and slot b known."""
    shop.learn("a", "1.0")
    shop.switch("a")
    shop.learn("b", "2.0")
    return shop


def test_before_the_first_switch_visitors_get_a_page_that_says_so(shop: Shop) -> None:
    shop.learn("a", "1.0")
    status, page = shop.ask()
    assert status == 503
    assert "Nothing is released here yet" in page
    assert shop.seen().slot == ""


def test_what_visitors_asked_for_is_for_the_owner_and_what_workers_read_is_not(live: Shop) -> None:
    logs = {path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in live.folder.glob("*.log")}
    assert logs == {"access.log": "0o600", "error.log": "0o600"}
    read = [*(live.folder / "conf").resolve().iterdir(), live.folder / "slots/a/release"]
    assert {oct(stat.S_IMODE(path.stat().st_mode)) for path in read} == {"0o644"}


def test_a_proxy_is_told_what_to_ask_however_much_that_is(live: Shop) -> None:
    """As of 1,000 hosts with four processes each: more than one argument of a command can hold."""
    targets = [f"127.0.{n // 250}.{n % 250 + 1}:9" for n in range(4000)]
    with pytest.raises(CommandFailed, match="does not see every process healthy") as caught:
        nginx.ready(live.remote, question(live.stage, targets, "1.0"))
    assert all(f'"{target}"' in caught.value.cause for target in targets)


def test_a_switch_and_the_way_back_reload_nothing(live: Shop) -> None:
    workers, files = live.workers(), live.files()
    assert (live.version(), live.serves()) == ("1.0", "a 1.0 1 my-shop test")
    for _ in range(3):
        live.switch("b")
        assert (live.version(), live.serves()) == ("2.0", "b 2.0 2 my-shop test")
        live.switch("a")
        assert (live.version(), live.serves()) == ("1.0", "a 1.0 1 my-shop test")
    assert (live.workers(), live.files()) == (workers, files)


def test_ten_switches_lose_no_request_of_any_visitor(live: Shop) -> None:
    port = int(live.stage.listen.rpartition(":")[2])
    with Visitors(["127.0.0.1"], kinds=("naive", "naive", "new"), port=port, pause=0.001) as visitors:
        for slot in "ba" * 5:
            enough = visitors.sent + 30
            live.switch(slot)
            while visitors.sent < enough:
                assert not visitors.failed
    assert visitors.failed == []
    assert {version for _, _, version in visitors.answers} == {"1.0", "2.0"}


def test_nginx_is_reloaded_only_when_hosts_ports_or_the_site_have_changed(live: Shop) -> None:
    workers = live.workers()
    live.learn("b", "2.0")
    assert live.workers() == workers
    live.learn("b", "2.0", f"127.0.0.1:{live.stage.ports('b')[0]}", f"localhost:{live.stage.ports('b')[0]}")
    assert live.workers() != workers
    assert (live.version(), live.seen().works) == ("1.0", True), "nothing was switched"


def test_no_worker_with_the_old_configuration_takes_requests_when_the_new_one_is_loaded(shop: Shop) -> None:
    """It would send visitors to a slot that it does not know, a moment later."""
    shop.learn("a", "1.0")
    shop.switch("a")
    old = [int(pid) for pid in shop.workers()]
    for pid in old:
        os.kill(pid, signal.SIGSTOP)
    with ThreadPoolExecutor() as pool:
        try:
            learned = pool.submit(shop.learn, "b", "2.0", shop.elsewhere("b"))
            wait_for(lambda: shop.workers() > {str(pid) for pid in old}, "new workers")
            with pytest.raises(TimeoutError):
                learned.result(timeout=2)
        finally:
            for pid in old:
                os.kill(pid, signal.SIGCONT)
        learned.result()
    titles = [shop.title(pid) for pid in old]
    assert not [title for title in titles if "worker process" in title and "shutting down" not in title]


def test_a_worker_that_goes_on_with_the_old_configuration_is_told_and_the_new_one_is_taken_back(shop: Shop) -> None:
    shop.learn("a", "1.0")
    shop.switch("a")
    digest, old = shop.ask("/-/config"), [int(pid) for pid in shop.workers()]
    for pid in old:
        os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(CommandFailed, match=r"worker \d+ of nginx goes on with the configuration from before"):
            shop.learn("b", "2.0", shop.elsewhere("b"))
        wait_for(lambda: shop.ask("/-/config") == digest, "the configuration from before")
    finally:
        for pid in old:
            os.kill(pid, signal.SIGCONT)
    shop.learn("b", "2.0", shop.elsewhere("b"))
    shop.switch("b")
    assert shop.version() == "2.0"


def test_who_connected_before_a_reload_and_asks_after_the_switch_is_answered(shop: Shop) -> None:
    """As browsers do; the worker that has the connection knew the slot before it was there."""
    shop.learn("a", "1.0")
    shop.switch("a")
    early = [http.client.HTTPConnection("127.0.0.1", shop.stage.listen_port) for _ in range(4)]
    for one in early:
        one.connect()
        one.sock.sendall(b"GET /healthz HTTP/1.1\r\n")
    shop.learn("b", "2.0", shop.elsewhere("b"))
    shop.switch("b")
    assert shop.version() == "2.0"
    for one in early:
        one.sock.sendall(b"Host: localhost\r\nConnection: close\r\n\r\n")
        answer = http.client.HTTPResponse(one.sock)
        answer.begin()
        assert (answer.status, json.load(answer)["version"]) == (200, "2.0")
        one.close()


def test_what_is_prepared_changes_nothing_for_visitors_and_is_known_afterwards(live: Shop) -> None:
    seen = live.seen()
    assert (seen.slot, seen.version, seen.works) == ("a", "1.0", True)
    assert {slot: one.release.version for slot, one in seen.slots.items()} == {"a": "1.0", "b": "2.0"}
    assert seen.slots["b"].servers == (f"127.0.0.1:{live.stage.ports('b')[0]}",)
    view = look(Fleet(live.stage), live.stage.app)
    assert all("(slot " in words for words in problems(view, live.stage)), "the processes of this test hold ports"


def test_a_proxy_that_does_not_see_every_process_prepares_nothing(live: Shop) -> None:
    before, known = live.files(), live.seen().slots
    with pytest.raises(CommandFailed) as caught:
        live.learn("b", "3.0", "127.0.0.1:9", f"127.0.0.1:{live.stage.ports('b')[0]}")
    assert caught.value.what == "local: this proxy does not see every process healthy; nothing was switched"
    assert "answered version 2.0, not 3.0" in caught.value.cause
    assert "127.0.0.1:9" in caught.value.cause
    assert (live.files(), live.seen().slots) == (before, known)


@pytest.mark.parametrize("reloaded", [False, True])
def test_what_cannot_be_laid_down_on_a_proxy_is_told_with_its_place(live: Shop, reloaded: bool) -> None:
    (live.folder / "slots/b/release").unlink()
    in_the_way = live.folder / "slots/b/release.new"
    in_the_way.mkdir()
    with pytest.raises(CommandFailed) as caught:
        live.learn("b", "2.0", *[live.elsewhere("b")] * reloaded)
    assert caught.value.what == "local: its files cannot be written"
    assert f"Is a directory: '{in_the_way}'" in caught.value.cause
    assert f"cannot write to {live.folder}" in caught.value.cause
    assert "Traceback" not in caught.value.cause
    assert live.version() == "1.0"


def test_a_slot_that_was_not_made_ready_cannot_be_switched_to(live: Shop) -> None:
    live.known["c"] = live.slot("c", "3.0")
    with pytest.raises(CommandFailed) as caught:
        live.switch("c")
    assert caught.value.what == "local: the slot was not made ready on this proxy; nothing was switched"
    assert live.version() == "1.0"


def test_a_site_that_nginx_refuses_leaves_the_old_one_byte_for_byte(live: Shop) -> None:
    before, workers = live.files(), live.workers()
    with pytest.raises(CommandFailed) as caught:
        live.learn("b", "2.0", template=TEMPLATE.replace("server_tokens", "server_tokenz"))
    assert caught.value.what == "local: nginx does not accept the configuration; the old one is back in place"
    assert 'unknown directive "server_tokenz"' in caught.value.cause
    assert (live.files(), live.workers(), live.version()) == (before, workers, "1.0")
    assert not list(live.folder.glob("new.*"))
    live.switch("b")
    assert live.version() == "2.0", "what was known before can still be switched to"


def test_a_slot_that_nginx_does_not_know_yet_is_not_laid_down(live: Shop) -> None:
    (live.folder / "slots/b/b").unlink()
    with pytest.raises(CommandFailed):
        live.learn("b", "2.0", template=f"{TEMPLATE}\nno_such_directive on;\n")
    assert not (live.folder / "slots/b/b").exists()


def test_the_first_site_that_nginx_refuses_is_taken_away(shop: Shop) -> None:
    with pytest.raises(CommandFailed):
        shop.learn("a", "1.0", template=TEMPLATE + "garbage;\n")
    assert not (shop.folder / "conf").exists()
    shop.learn("a", "1.0")
    shop.switch("a")
    assert shop.version() == "1.0"


def test_somebody_elses_broken_site_stops_no_switch_that_needs_no_reload(live: Shop) -> None:
    main = live.folder / "nginx.conf"
    good = main.read_text()
    main.write_text(good.replace("http {", "http {\n    include /nowhere/broken.conf;"))
    live.switch("b")
    assert live.version() == "2.0"
    nginx.ready(live.remote, question(live.stage, live.known["a"].servers, "1.0"))
    live.switch("a")
    assert live.version() == "1.0"


@pytest.mark.parametrize("taken", ["listen", "probe"])
def test_a_port_that_is_taken_is_told_by_nginx_and_nothing_is_switched(shop: Shop, taken: str) -> None:
    port = {"listen": shop.stage.listen_port, "probe": shop.stage.probe_port}[taken]
    with real.Web({}, port=port), pytest.raises(CommandFailed) as caught:
        shop.learn("a", "1.0")
    assert f"bind() to 127.0.0.1:{port} failed" in caught.value.cause
    shop.learn("a", "1.0")


def test_a_configuration_that_nginx_says_it_takes_but_does_not_is_found(live: Shop) -> None:
    """`nginx -t` and the reload exit 0 where another process holds a port of the new configuration."""
    before, changed = (
        live.files(),
        TEMPLATE.replace("listen {{ listen }};", "listen {{ listen }}; listen 127.0.0.1:{};"),
    )
    with real.Web({}) as other, pytest.raises(CommandFailed) as caught:
        live.learn("b", "2.0", template=changed.replace("{};", f"{other.port};"))
    assert caught.value.what == "local: nginx does not answer as it should"
    assert f"bind() to 127.0.0.1:{other.port} failed" in caught.value.cause
    assert (live.files(), live.version()) == (before, "1.0")
    live.switch("b")
    assert live.version() == "2.0"


def test_another_site_with_the_same_name_is_found_before_it_loses_its_visitors(
    live: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    main = live.folder / "nginx.conf"
    theirs = f"server {{ listen {live.stage.listen}; server_name shop.example; return 200 theirs; }}"
    main.write_text(main.read_text().replace("http {", f"http {{ {theirs}"))
    live.stage = live.stage.model_copy(update={"server_name": "shop.example"})
    live.remote.stage = live.stage
    own = site.own

    def with_theirs(stage: Stage) -> str:
        return own(stage).replace("http {", f"http {{ {theirs}")

    monkeypatch.setattr(site, "own", with_theirs)
    with pytest.raises(CommandFailed) as caught:
        live.learn("b", "2.0")
    assert "another site of this nginx has the server name shop.example on the same port already" in caught.value.cause
    assert live.version() == "1.0"


def test_a_folder_that_the_workers_cannot_read_is_found_when_the_site_is_set_up(shop: Shop) -> None:
    if os.geteuid():
        pytest.skip("the workers of another user are those of the tests")
    with tempfile.TemporaryDirectory() as folder:
        stage = shop.stage.model_copy(update={"prefix": f"{folder}/run", "app": (Host(address="h1"),)})
        shop.stage = shop.remote.stage = stage  # no stage of a developer's machine
        with pytest.raises(CommandFailed) as caught:
            shop.learn("a", "1.0", f"127.0.0.1:{stage.ports('a')[0]}")
        assert "can its workers read" in caught.value.cause
        Path(folder).chmod(0o755)
        shop.learn("a", "1.0", f"127.0.0.1:{stage.ports('a')[0]}")
        before = loaded(stage)
        Path(folder).chmod(0o700)
        with pytest.raises(CommandFailed, match="nginx does not answer as it should"):
            shop.learn("a", "1.0", f"localhost:{stage.ports('a')[0]}")
        Path(folder).chmod(0o755)
        wait_for(lambda: loaded(stage) == before, "nginx to have the configuration from before")
        real.end_nginx(stage)


def loaded(stage: Stage) -> str:
    """The configuration that nginx runs with, by its own word; it is the one that lies there."""
    told = requests.get(f"{stage.loopback}/-/config").text.strip()
    return told if Path(stage.paths.conf).readlink().name == told else ""


CUT_OFF = """#!/bin/sh
for pid in $(ps -o ppid= $PPID) $PPID; do
    case $(ps -o comm= $pid) in *sh) kill -{signal} $pid ;; esac
done
exec {nginx} "$@"
"""


@pytest.mark.parametrize("cut", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_trial_that_is_cut_off_is_undone_at_once_or_by_the_next_one(
    live: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nginx_program: str, cut: int
) -> None:
    before, changed = live.files(), TEMPLATE + "# changed\n"
    program = tmp_path / "nginx"
    program.write_text(CUT_OFF.format(signal=int(cut), nginx=nginx_program))
    program.chmod(0o755)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        with pytest.raises(CommandFailed):
            live.learn("b", "2.0", template=changed)
    assert (live.files() == before) == (cut != signal.SIGKILL)
    assert live.version() == "1.0"
    nginx.ready(live.remote, question(live.stage, live.known["b"].servers, "2.0"))
    assert live.files() == before
    live.learn("b", "2.0", template=changed)
    assert live.seen().works


def test_an_nginx_that_is_off_is_started_with_what_visitors_got_before(live: Shop) -> None:
    real.end_nginx(live.stage)
    seen = live.seen()
    assert (seen.slot, seen.works) == ("a", False)
    live.learn("b", "2.0")
    assert (live.version(), live.seen().works) == ("1.0", True)


def test_a_stage_that_was_switched_by_reloads_is_taken_over_with_what_visitors_got(live: Shop) -> None:
    """The link is missing; the slot that its old file means is adopted before nginx is reloaded."""
    (live.folder / "live").unlink()
    (live.folder / "upstream.conf").write_text("# a 1.0\nupstream my_shop {\n    server 127.0.0.1:8800;\n}\n")
    live.learn("b", "2.0", template=TEMPLATE + "# changed\n", adopt="a")
    assert (live.version(), live.seen().slot) == ("1.0", "a")
    assert not (live.folder / "upstream.conf").exists()


# --- open requests


def in_flight(shop: Shop) -> tuple[threading.Thread, list[requests.Response]]:
    """A request that the app has begun to answer."""
    answers: list[requests.Response] = []
    visitor = threading.Thread(target=lambda: answers.append(requests.get(f"{shop.url}/slow")))
    visitor.start()
    shop.old.asked.wait()
    return visitor, answers


def hasty(shop: Shop) -> Remote:
    shop.remote.stage = shop.stage.model_copy(update={"drain_timeout": 0})
    return shop.remote


def test_a_request_that_was_in_flight_at_a_switch_is_counted_and_goes_on_with_the_old_slot(live: Shop) -> None:
    visitor, answers = in_flight(live)
    live.switch("b")
    assert live.version() == "2.0"
    assert nginx.open_requests(hasty(live), "a") == 1
    live.old.go.set()
    visitor.join()
    live.remote.stage = live.stage
    assert nginx.open_requests(live.remote, "a") == 0
    assert [answer.text for answer in answers] == ["slow"]


def test_a_connection_that_is_upgraded_is_counted_as_long_as_it_is_open(live: Shop) -> None:
    echo = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = echo.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
            while data := connection.recv(100):
                connection.sendall(data.upper())

    threading.Thread(target=serve, daemon=True).start()
    conf = site.configuration(
        TEMPLATE, live.stage, live.known | {"b": live.slot("b", "2.0", f"127.0.0.1:{echo.getsockname()[1]}")}
    )
    nginx.configure(live.remote, conf, live.known)
    live.switch("b")
    with socket.create_connection(("127.0.0.1", live.stage.listen_port)) as visitor:
        visitor.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
        assert visitor.recv(65536).startswith(b"HTTP/1.1 101")
        live.switch("a")
        for word in (b"one", b"two"):
            visitor.sendall(word)
            assert visitor.recv(100) == word.upper(), "it goes on over the switch"
        assert nginx.open_requests(hasty(live), "b") == 1
    live.remote.stage = live.stage
    assert nginx.open_requests(live.remote, "b") == 0


def test_a_slot_is_forgotten_once_no_request_is_open_to_it(live: Shop) -> None:
    assert nginx.retire(live.remote, "b") == 0
    assert set(live.seen().slots) == {"a"}
    with pytest.raises(CommandFailed, match="was not made ready"):
        live.switch("b")
    assert nginx.retire(live.remote, "c") == 0, "there is nothing to forget"


def test_no_visitor_is_sent_to_a_slot_any_more_while_it_is_waited_for_those_who_are_there(live: Shop) -> None:
    """A canary's share went on to come there until the slot was forgotten, and was cut off with it."""
    visitor, answers = in_flight(live)
    live.switch("b")
    nginx.canary(live.remote, "a")
    link = Path(live.stage.paths.variables["canary"])
    with ThreadPoolExecutor(1) as pool:
        left = pool.submit(nginx.retire, live.remote, "a")
        wait_for(lambda: not link.is_symlink(), "the canary to be gone")
        assert not left.done(), "a request is open"
        live.old.go.set()
        assert left.result() == 0
    visitor.join()
    assert [answer.text for answer in answers] == ["slow"]


def test_the_slot_that_visitors_get_is_never_forgotten(live: Shop) -> None:
    with pytest.raises(CommandFailed) as caught:
        nginx.retire(live.remote, "a")
    assert caught.value.what == "local: visitors are served from that slot"
    assert set(live.seen().slots) == {"a", "b"}


# --- maintenance, canary, watching


def test_maintenance_is_on_and_off_at_once_and_the_proxy_can_still_be_asked(live: Shop) -> None:
    workers = live.workers()
    nginx.maintenance(live.remote, "Back at <noon>.")
    answer = requests.get(f"{live.url}/anything")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "60")
    assert "Back at &lt;noon&gt;." in answer.text
    assert (live.serves(), "noon" in live.seen().maintenance) == ("a 1.0 1 my-shop test", True)
    nginx.maintenance(live.remote, "")
    assert (live.version(), live.seen().maintenance, live.workers()) == ("1.0", "", workers)


def test_strangers_are_told_nothing_of_what_is_served(live: Shop) -> None:
    """The public address is another one than the loopback's; here nginx is asked by this machine's own."""
    real.end_nginx(live.stage)
    live.stage = live.stage.model_copy(update={"listen": str(live.stage.listen_port)})
    live.remote.stage = live.stage
    live.learn("b", "2.0")
    address = subprocess.run(["hostname", "-I"], capture_output=True, text=True).stdout.split()
    if not address:
        pytest.skip("this machine has no address but the loopback's")
    for path in ("/-/release", "/-/config", "/-/ready"):
        assert requests.get(f"http://{address[0]}:{live.stage.listen_port}{path}").status_code == 403
    assert requests.get(f"http://{address[0]}:{live.stage.listen_port}/healthz").status_code == 200


@pytest.fixture
def canaries(shop: Shop) -> Callable[[], dict[str, int]]:
    """A stage with a canary of one host in two; gives how many of many visitors get each version."""
    hosts = (Host(address="local"), Host(address="localhost"))
    shop.stage = shop.stage.model_copy(update={"canary": 1, "app": hosts})
    shop.remote.stage = shop.stage
    both = ("local", "localhost")
    shop.known = {"a": replace(shop.slot("a", "1.0"), hosts=both), "b": replace(shop.slot("b", "2.0"), hosts=both)}
    nginx.configure(shop.remote, site.configuration(TEMPLATE, shop.stage, shop.known), shop.known)
    shop.switch("a")

    def got() -> dict[str, int]:
        versions = [shop.version() for _ in range(60)]
        return {version: versions.count(version) for version in set(versions)}

    return got


def test_a_share_of_visitors_gets_the_canary_until_it_ends_or_all_get_it(
    shop: Shop, canaries: Callable[[], dict[str, int]]
) -> None:
    assert canaries() == {"1.0": 60}
    workers = shop.workers()
    nginx.canary(shop.remote, "b")
    shared = canaries()
    assert set(shared) == {"1.0", "2.0"}
    assert 10 < shared["2.0"] < 50
    assert shop.seen().canary == "b"
    nginx.canary(shop.remote, "")
    assert canaries() == {"1.0": 60}
    nginx.canary(shop.remote, "b")
    shop.switch("b")
    assert canaries() == {"2.0": 60}
    shop.switch("a")
    assert canaries() == {"1.0": 60}, "the canary has ended with the switch"
    assert shop.workers() == workers


def test_what_visitors_get_is_counted_by_slot_while_somebody_watches(
    shop: Shop, canaries: Callable[[], dict[str, int]]
) -> None:
    assert nginx.watch(shop.remote, "start") == {}
    nginx.canary(shop.remote, "b")
    shared = canaries()
    shop.new.pages["/broken"] = (500, "no")
    broken = [requests.get(f"{shop.url}/broken").status_code for _ in range(40)].count(500)
    seen = nginx.watch(shop.remote, "read")
    assert set(seen) == {"my_shop_a", "my_shop_canary_b"}
    assert sum(one.requests for one in seen.values()) == 100
    assert (seen["my_shop_a"].errors, seen["my_shop_canary_b"].errors) == (0, broken)
    assert seen["my_shop_canary_b"].requests == shared["2.0"] + broken
    assert 0 <= seen["my_shop_a"].slow < 1
    log, watching = Path(shop.stage.paths.watch_log), Path(shop.stage.paths.watching)
    watching.write_text(f"{log.stat().st_size}\n")  # as it starts with a log that is nginx's own
    assert nginx.watch(shop.remote, "read") == {}
    nginx.watch(shop.remote, "stop")
    written = log.read_bytes()
    canaries()
    assert log.read_bytes() == written


def test_nginx_can_be_tested_stopped_started_and_reloaded(live: Shop) -> None:
    for action in ("test", "stop", "stop", "start", "start", "reload"):
        nginx.control(live.remote, action)
        if action == "stop":
            with pytest.raises(requests.ConnectionError):
                live.version()
        else:
            assert live.version() == "1.0"


def test_nginx_says_itself_what_it_does_not_accept(live: Shop) -> None:
    (live.folder / "nginx.conf").write_text("garbage;")
    for action in ("test", "reload"):
        with pytest.raises(CommandFailed, match=r"nginx") as caught:
            nginx.control(live.remote, action)
        assert 'unknown directive "garbage"' in caught.value.cause
    assert live.version() == "1.0"


# --- https


@pytest.fixture
def secure(nginx_program: str, short: Path) -> Iterator[Shop]:
    port, files = real.free_port(100), real.certificate(short / "tls", "localhost")
    tls = {**files, "http": f"127.0.0.1:{port + 89}", "hsts": 600}
    table = {"port_base": port, "processes": 1, "listen": f"127.0.0.1:{port + 90}", "health_timeout": 1}
    made = Shop(Fleet(real.stage(short, **table, tls=tls, server_name="localhost")))
    with real.Web({"/healthz": real.healthy("1.0")}, port=port) as made.old:
        made.learn("a", "1.0")
        made.switch("a")
        yield made
        real.end_nginx(made.stage)


def test_visitors_come_by_https_and_who_does_not_is_sent_there(secure: Shop) -> None:
    assert secure.stage.tls
    tls, url = secure.stage.tls, f"https://localhost:{secure.stage.listen_port}"
    trusted = tls.certificate
    answer = requests.get(f"{url}/healthz", verify=trusted)
    assert (answer.status_code, answer.json()["version"]) == (200, "1.0")
    assert answer.headers["Strict-Transport-Security"] == "max-age=600"
    assert secure.old.schemes[-1] == "https"
    requests.get(f"{secure.stage.loopback}/healthz")
    assert secure.old.schemes[-1] == "https", "the proof asks as visitors do"
    plain = f"http://{tls.http.replace('127.0.0.1', 'localhost')}"
    moved = requests.get(f"{plain}/some?page=2", allow_redirects=False)
    assert (moved.status_code, moved.headers["Location"]) == (301, f"{url}/some?page=2")
    challenge = secure.folder / "acme/.well-known/acme-challenge/token"
    challenge.parent.mkdir(parents=True)
    challenge.write_text("proof")
    assert requests.get(f"{plain}/.well-known/acme-challenge/token").text == "proof"
    context = ssl.create_default_context(cafile=trusted)
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection(("127.0.0.1", secure.stage.listen_port)) as connection,
        context.wrap_socket(connection, server_hostname="localhost") as visitor,
    ):
        assert visitor.selected_alpn_protocol() == "h2"


def test_what_is_wrong_with_a_certificate_is_seen(secure: Shop, short: Path) -> None:
    assert secure.stage.tls
    held = Path(secure.stage.tls.certificate)
    seen = secure.seen()
    assert (seen.certificate, of_proxy(seen, secure.stage)) == ({"days": 89, "names": ["localhost"]}, [])
    secure.stage = secure.stage.model_copy(update={"server_name": "localhost shop.example"})
    assert of_proxy(secure.seen(), secure.stage) == ["its certificate is not for shop.example, but for localhost"]
    shutil.copy(real.certificate(short / "other", "*.example")["certificate"], held)
    assert "does not fit the certificate" in of_proxy(secure.seen(), secure.stage)[0]
    held.write_text("garbage")
    assert "no certificate in " in of_proxy(secure.seen(), secure.stage)[0]
    held.unlink()
    assert "no certificate in " in of_proxy(secure.seen(), secure.stage)[0]


def test_the_folder_of_acme_is_served_before_there_is_a_certificate(shop: Shop) -> None:
    shop.stage = shop.stage.model_copy(update={"tls": Tls()})
    shop.remote.stage = shop.stage
    shop.learn("a", "1.0")
    challenge = shop.folder / "acme/.well-known/acme-challenge/token"
    challenge.parent.mkdir(parents=True)
    challenge.write_text("proof")
    assert shop.ask("/.well-known/acme-challenge/token") == (200, "proof")

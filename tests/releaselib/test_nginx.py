"""nginx accepts what is rendered for it, and serves what it was told to."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

import real
from releaselib.config.inventory import Host
from releaselib.config.tables import Stage
from releaselib.decide.problems import problems
from releaselib.errors import CommandFailed, ConfigError
from releaselib.hosts import nginx
from releaselib.hosts.connection import Remote
from releaselib.hosts.facts import look
from releaselib.hosts.fleet import Fleet
from releaselib.hosts.health import question

NAMES = {
    "a word": ("shop", "shop"),
    "a dash": ("my-shop", "my_shop"),
    "a dot": ("my.shop", "my_shop"),
    "a digit in front": ("2to3", "_2to3"),
}


@pytest.mark.parametrize(("project", "name"), NAMES.values(), ids=NAMES)
def test_a_project_has_a_name_that_nginx_can_use(project: str, name: str) -> None:
    assert nginx.identifier(project) == name


def test_an_upstream_tells_its_processes_and_what_it_serves() -> None:
    assert nginx.upstream("my-shop", ["10.0.0.1:8800", "[fd00::7]:8801"], "a 1.0") == (
        "# a 1.0\n"
        'map "" $my_shop_release { default "a 1.0"; }\n'
        "upstream my_shop {\n"
        "    server 10.0.0.1:8800;\n"
        "    server [fd00::7]:8801;\n"
        "    keepalive 32;\n"
        "}\n"
    )


def test_an_upstream_without_processes_serves_nothing() -> None:
    assert "    server 127.0.0.1:9 down;\n" in nginx.upstream("my-shop", [], "-")


def test_visitors_are_sent_to_every_process_of_the_slot() -> None:
    stage = real.stage(Path("/shop"), app=["10.0.0.[1:2]", "fd00::7"], proxy=["p1"], processes=2)
    assert nginx.servers(stage, stage.app, "b") == [
        "10.0.0.1:8810",
        "10.0.0.2:8810",
        "[fd00::7]:8810",
        "10.0.0.1:8811",
        "10.0.0.2:8811",
        "[fd00::7]:8811",
    ]
    assert nginx.servers(stage, (Host(address="local"),), "a")[0] == "127.0.0.1:8800"
    assert nginx.servers(stage, stage.app[:1], "a") == ["10.0.0.1:8800", "10.0.0.1:8801"]


@pytest.mark.parametrize("template", ["{{ upstrem }}", "{% if %}", "{{ listen + 1 }}"])
def test_a_site_that_cannot_be_rendered_is_told_with_the_names_there_are(template: str) -> None:
    with pytest.raises(ConfigError) as caught:
        nginx.site(template, real.stage(Path("/shop")))
    assert caught.value.exit_code == 2
    assert caught.value.what.startswith("release.d/nginx.conf.j2: ")
    assert caught.value.next_step == (
        "names that can be used: listen, project, release_variable, server_name, upstream, upstream_file"
    )


SERVED = {
    "before the first switch": ("my-shop", [], "-"),
    "two hosts": ("my-shop", ["10.0.0.1:8800", "10.0.0.2:8800"], "a 2026.11.23.1"),
    "a version with a name": ("my-shop", ["10.0.0.1:8800"], "b 1.0+fix.login"),
    "IPv6": ("my-shop", ["[fd00::7]:8800"], "i 1!2.0rc1"),
    "a name with a digit in front": ("2to3", ["10.0.0.1:8800"], "a 1.0"),
}


@pytest.mark.parametrize(("project", "servers", "serves"), SERVED.values(), ids=SERVED)
def test_nginx_accepts_site_and_upstream_of_every_project(
    nginx_program: str, short: Path, project: str, servers: list[str], serves: str
) -> None:
    stage = real.stage(short, listen="127.0.0.1:18080", server_name="shop.example www.shop.example")
    stage = stage.model_copy(update={"project": project})
    folder = Path(stage.paths.nginx)
    folder.mkdir(parents=True)
    (folder / "nginx.conf").write_text(nginx.own(stage))
    (folder / "site.conf").write_text(nginx.site(real.template("nginx.conf.j2"), stage))
    (folder / "upstream.conf").write_text(nginx.upstream(project, servers, serves))
    judge = [nginx_program, "-t", "-p", f"{folder}/", "-c", f"{folder}/nginx.conf", "-e", "stderr"]
    done = subprocess.run(judge, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "warn" not in done.stderr


# --- on a real nginx, which is this machine's own and belongs to one test


class Shop:
    """Two slots with a process each, and an nginx in front of them that is not set up yet."""

    def __init__(self, fleet: Fleet) -> None:
        self.stage: Stage = fleet.stage
        self.remote: Remote = fleet.remote(self.stage.proxy[0])
        self.url = self.stage.loopback

    def set_up(self) -> None:
        nginx.setup(self.remote, nginx.site(real.template("nginx.conf.j2"), self.stage))

    def prepare(self, slot: str, version: str) -> None:
        servers = nginx.servers(self.stage, self.stage.app, slot)
        text = nginx.upstream(real.PROJECT, servers, f"{slot} {version}")
        nginx.prepare(self.remote, text, question(self.stage, slot, version))

    def switch(self, serves: str, *, back: bool = False) -> None:
        nginx.switch(self.remote, serves, back=back)

    def serves(self) -> str:
        return requests.get(f"{self.url}/-/release").text.strip()

    def version(self) -> str:
        return str(requests.get(f"{self.url}/healthz").json()["version"])


@pytest.fixture
def shop(nginx_program: str, short: Path) -> Iterator[Shop]:
    port = real.free_port(20)
    fleet = Fleet(real.stage(short, port_base=port, processes=1, listen=f"127.0.0.1:{real.free_port()}"))
    made = Shop(fleet)
    with (
        real.Web({"/healthz": real.healthy("1.0")}, port=port),
        real.Web({"/healthz": real.healthy("2.0")}, port=port + 10),
    ):
        yield made
        real.end_nginx(made.stage)


def test_a_proxy_is_set_up_switched_and_switched_back(shop: Shop) -> None:
    shop.set_up()
    assert shop.serves() == "-"
    shop.prepare("a", "1.0")
    assert shop.serves() == "-", "to prepare changes nothing for visitors"
    shop.switch("a 1.0")
    assert (shop.serves(), shop.version()) == ("a 1.0", "1.0")
    shop.prepare("b", "2.0")
    shop.switch("b 2.0")
    assert (shop.serves(), shop.version()) == ("b 2.0", "2.0")
    shop.switch("a 1.0", back=True)
    assert (shop.serves(), shop.version()) == ("a 1.0", "1.0")
    assert nginx.drain(shop.remote) == 0


def test_what_a_proxy_serves_is_seen_in_a_look_and_stays_when_it_is_set_up_again(shop: Shop) -> None:
    shop.set_up()
    fleet = Fleet(shop.stage)
    view = look(fleet, shop.stage.app)
    (proxy,) = view.proxy.values()
    assert (proxy.slot, proxy.version, proxy.site) == ("", "", True)
    shop.prepare("b", "2.0")
    shop.switch("b 2.0")
    shop.set_up()
    view = look(fleet, shop.stage.app)
    (proxy,) = view.proxy.values()
    assert (proxy.slot, proxy.version, proxy.site) == ("b", "2.0", True)
    assert all("(slot " in words for words in problems(view, shop.stage)), (
        "the processes of this test hold their ports"
    )


def test_a_proxy_that_does_not_see_the_processes_is_not_switched(shop: Shop) -> None:
    shop.set_up()
    with pytest.raises(CommandFailed) as caught:
        shop.prepare("b", "3.0")
    assert caught.value.exit_code == 5
    assert caught.value.what == "local: this proxy does not see every process healthy; nothing was switched"
    assert "answered version 2.0, not 3.0" in caught.value.cause
    assert caught.value.next_step.startswith("can this proxy reach the app hosts' ports?")


def test_nginx_says_itself_what_it_does_not_accept(shop: Shop) -> None:
    with pytest.raises(CommandFailed) as caught:
        nginx.setup(shop.remote, "server { lissen 80; }")
    assert caught.value.what == (
        "local: nginx does not accept the configuration; the old one is back in place"
    )
    assert 'unknown directive "lissen"' in caught.value.cause
    assert caught.value.next_step == "mend release.d/nginx.conf.j2, then fab nginx.setup"


def test_nginx_can_be_tested_stopped_started_and_reloaded(shop: Shop) -> None:
    shop.set_up()
    for action in ("test", "stop", "stop", "start", "start"):
        nginx.control(shop.remote, action)
        if action == "stop":
            with pytest.raises(requests.ConnectionError):
                shop.serves()
        else:
            assert shop.serves() == "-"

"""Fixtures that give a test real hosts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import chain
from pathlib import Path

import pytest

from rig import Fleet, Host, supported, wait_for
from rig.visitors import Visitors
from rig.world import World, bake, world

from .shop import Shop

Hosts = Callable[..., list[Host]]
CROWD = ("new", "naive", "naive", "websocket")
"""The visitors of each proxy of a shop."""


@pytest.fixture(scope="session")
def can_make_hosts() -> None:
    """Skip the test where no hosts can be made; with CI set, fail it."""
    if reason := supported():
        stop = pytest.fail if os.environ.get("CI") else pytest.skip
        stop(reason)


@pytest.fixture
def fleet(tmp_path: Path, can_make_hosts: None) -> Iterator[Fleet]:
    """An empty fleet."""
    with Fleet(tmp_path / "fleet") as made:
        yield made


@pytest.fixture
def hosts(fleet: Fleet) -> Hosts:
    """A maker of hosts: `hosts(5)` gives app1 to app5, `hosts(app=5, proxy=2)` two proxies more.

    With `disk="64m"` each has a disk of its own, which can be filled.
    """

    def make(app: int = 0, *, disk: str = "", **others: int) -> list[Host]:
        counts = {"app": app, **others}
        made = (fleet.add_many(count, role, disk) for role, count in counts.items())
        return list(chain.from_iterable(made))

    return make


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an index that is kept for all tests, so that dependencies are fetched once."""
    return tmp_path_factory.mktemp("index")


@pytest.fixture
def team(tmp_path: Path, packages: Path, can_make_hosts: None) -> Iterator[World]:
    """A fleet without hosts yet, and an index at its gateway."""
    with world(tmp_path / "fleet", packages) as made:
        yield made


@pytest.fixture(scope="session")
def opened(tmp_path_factory: pytest.TempPathFactory, can_make_hosts: None) -> Iterator[Shop]:
    """A shop on four app hosts and two proxies, released twice; all tests of a worker share it.

    It has an index of its own: one folder cannot be served at the gateways of two fleets at once.
    """
    folder = tmp_path_factory.mktemp("shop")
    with ExitStack() as stack:
        team = stack.enter_context(world(folder / "fleet", folder / "index"))
        app = [*team.fleet.add_many(3, "app"), team.fleet.add("app4", disk="400m")]
        proxy = [team.fleet.add("proxy1"), team.fleet.add("proxy2", disk="40m")]
        shop = Shop(team, bake(team, folder, flavour="tornado"), app, proxy, [])
        code = Path(__file__).with_name("app.py").read_text("utf-8")
        (shop.project.folder / "src/my_service/app.py").write_text(code, "utf-8")
        shop.project.configure(team.stage(app, proxy, processes=1, health_timeout=10, drain_timeout=3))
        shop.project.fab("index.sync", "--stage", "test")
        for _ in range(2):
            shop.project.commit("Work")
            shop.project.fab("release", "--stage", "test")
            shop.versions += shop.served()
        yield shop


@pytest.fixture
def shop(opened: Shop, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """The shop under a constant load, of which no request may be lost but those that a test says may be.

    It must be whole again at the end of the test.
    """
    for name, value in opened.world.env.items():
        monkeypatch.setenv(name, value)
    assert len(opened.served()) == 1
    opened.make_whole()
    opened.excused.clear()
    with Visitors([host.address for host in opened.proxy], kinds=CROWD, pause=0.1) as opened.visitors:
        yield opened
        heard = opened.visitors.answers
        wait_for(lambda: {one[1] for one in heard} == set(opened.visitors.addresses), "an answer through each proxy")
    opened.require_nobody_lost()
    assert all(host.is_on for host in opened.world.fleet.hosts.values())
    assert opened.is_free()

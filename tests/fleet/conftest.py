"""Fixtures that give a test real hosts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

import pytest

from rig import Fleet, Host, supported
from rig.world import World, world

Hosts = Callable[..., list[Host]]


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

"""What can be done with slots besides releases: of which hosts it is said, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import real
from releaselib.actions import slots
from releaselib.config import Project
from releaselib.config.stage import Stage
from releaselib.decide.release import Wanted
from releaselib.decide.seen import Served
from releaselib.decide.view import View
from releaselib.errors import HostsFailed, Refused
from releaselib.hosts import health, nginx, slot
from releaselib.hosts.fleet import Fleet

A1, B2 = real.release("1.0", 1), real.release("2.0", 2)
PROJECT = Project(root=Path("/shop"), name=real.PROJECT)


def stage(**keys: Any) -> Stage:
    return real.stage(Path("/shop"), **{"app": ["app1", "app2"], "proxy": ["proxy1", "proxy2"], **keys})


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Callable[[View], list[str]]:
    """Have a view be what is seen; what is done on hosts then comes into the list."""

    def see(view: View) -> list[str]:
        done: list[str] = []

        @contextmanager
        def session(*_: object, **__: object) -> Iterator[SimpleNamespace]:
            yield SimpleNamespace(
                stage=stage(), fleet=Fleet(stage()), look=lambda *_: view, locked=lambda *_, **__: nullcontext()
            )

        monkeypatch.setattr(slots, "session", session)
        monkeypatch.setattr(Fleet, "remote", lambda self, host: SimpleNamespace(host=host))
        monkeypatch.setattr(health, "check", lambda remote, name: done.append(f"{remote.host.name} {name}"))
        monkeypatch.setattr(nginx, "retire", lambda remote, slot: done.append(f"{remote.host.name} forgets {slot}"))
        monkeypatch.setattr(
            slot, "act", lambda remote, action, *names: done.append(f"{remote.host.name} {action} {' '.join(names)}")
        )
        return done

    return see


def test_a_slot_is_not_called_healthy_on_a_host_that_holds_another_release(seen: Callable[[View], list[str]]) -> None:
    view = real.seen({"a": A1, "b": B2}, proxies=["b 2.0", "b 2.0"], hosts=2)
    first, second = view.app.items()
    other = replace(second[1], slots={**second[1].slots, "b": replace(second[1].slots["b"], release=A1)})
    asked = seen(replace(view, app=dict([first, (second[0], other)])))
    with pytest.raises(HostsFailed, match=r"app2: slot b does not hold 2\.0 there"):
        slots.validate(PROJECT, "production")
    assert asked == ["app1 b"]


def test_all_of_a_host_is_removed_that_no_visitor_is_sent_to(seen: Callable[[View], list[str]]) -> None:
    view = real.seen({"a": A1, "b": B2}, proxies=["b 2.0", "b 2.0"])  # of app1 alone
    done = seen(view)
    with pytest.raises(Refused, match="visitors are served from app1"):
        slots.remove(PROJECT, "production", Wanted(hosts="app*"), everything=True)
    assert done == []
    slots.remove(PROJECT, "production", Wanted(hosts="app2"), everything=True)
    assert sorted(done) == ["app2 remove a b", "proxy1 forgets a", "proxy2 forgets a"]


def test_nothing_of_a_host_is_removed_that_any_proxy_sends_visitors_to(seen: Callable[[View], list[str]]) -> None:
    """To the canary's slot, too, and while the proxies disagree."""
    split = real.seen({"a": A1, "b": B2}, proxies=["a 1.0", "b 2.0"], hosts=2)
    view = real.seen({"a": A1, "b": B2}, proxies=["b 2.0", "b 2.0"])
    of_canary = {"b": Served(B2, ("app1",), ()), "a": Served(A1, ("app2",), ())}
    canary = {host: replace(one, canary="a", slots=of_canary) for host, one in view.proxy.items()}
    for one in (split, replace(view, proxy=canary)):
        done = seen(one)
        with pytest.raises(Refused, match="app2"):
            slots.remove(PROJECT, "production", Wanted(hosts="app2"), everything=True)
        assert done == []

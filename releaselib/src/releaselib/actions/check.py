"""The check before an action: what it needs to see, and everything that stands against it, told at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from releaselib import index
from releaselib.actions.session import Session
from releaselib.config.inventory import Host, select
from releaselib.config.stage import Stage
from releaselib.decide.budget import Budget
from releaselib.decide.files import uv_wheel
from releaselib.decide.plan import PHASES
from releaselib.decide.problems import bare, problems, require_proxies
from releaselib.decide.release import Wanted
from releaselib.decide.view import View
from releaselib.errors import HostsFailed, Refused, ReleaseError
from releaselib.progress import say
from releaselib.wheels.source import Source, find

T = TypeVar("T")


def checked(
    at: Session, hosts: Sequence[Host], source: Callable[[], T] | None = None, *, needs_index: bool = True
) -> tuple[View, T | None]:
    """What was seen of these app hosts and every proxy, and what ``source`` found.

    Raises the one error, or Refused with all that stands against it.
    """
    at.clock.phase("check")
    found: list[ReleaseError] = []
    what = attempt(found, source) if source else None
    if needs_index:
        attempt(found, lambda: index.of(at.stage.index).ping(at.project.name))
    view = at.look(hosts)
    lines = problems(view, at.stage)
    if needs_index and (without := bare(view.app)) and not found:
        lines += [] if uv_wheel(index.of(at.stage.index).files("uv"), view.any_app.machine) else without
    if lines:
        ready = "mend these, then run it again"
        found.append(Refused("hosts are not ready", cause="\n".join(lines), next_step=ready))
    attempt(found, lambda: require_proxies(view, at.stage))
    attempt(found, lambda: _within_budget(at, view, hosts))
    raise_all(found)
    return view, what


def _within_budget(at: Session, view: View, hosts: Sequence[Host]) -> None:
    lost = {host: one for host, one in view.lost.items() if host in hosts}
    kind = Refused if all(one.unready for one in lost.values()) else HostsFailed
    budget = Budget(at.stage.max_failures, len(hosts))
    for line in budget.require({host: one.words for host, one in lost.items()}, kind):
        say(line)


def raise_all(found: Sequence[ReleaseError]) -> None:
    """Raise the one error, or Refused with all of several."""
    if len(found) == 1:
        raise found[0]
    if found:
        raise Refused(
            f"{len(found)} things stand against it; nothing was changed",
            cause="\n".join(str(problem) for problem in found),
            next_step="mend these, then run it again",
        )


def attempt(found: list[ReleaseError], act: Callable[[], T]) -> T | None:
    """Do it; where it fails there is one more error that was found."""
    try:
        return act()
    except ReleaseError as error:
        found.append(error)
        return None


@dataclass
class Seen:
    """What a plan is made from; who needs to see more than was looked at looks again."""

    at: Session
    action: str
    wanted: Wanted
    view: View
    source: Source | None = None

    @property
    def hosts(self) -> tuple[Host, ...]:
        """The app hosts that are meant: see :func:`meant`."""
        return meant(self.at.stage, self.action, self.wanted)

    def all(self) -> View:
        """The view with the app hosts, too."""
        if self.at.stage.proxy and not self.view.app:
            self.view, _ = checked(self.at, self.hosts, needs_index=False)
        return self.view


def meant(stage: Stage, action: str, wanted: Wanted) -> tuple[Host, ...]:
    """The app hosts that an action is for; a switch is for all but those excluded. Raises ConfigError. Pure."""
    return select(stage.app, "" if action in ("switch", "rollback") else wanted.hosts, wanted.exclude)


def looked_at(stage: Stage, action: str, wanted: Wanted) -> tuple[Host, ...]:
    """The app hosts that an action needs to see. Going back and switching need the proxies alone, as long
    as they know enough. Pure.
    """
    hosts = meant(stage, action, wanted)
    return () if stage.proxy and "stage" not in PHASES[action] else hosts


def checked_for(at: Session, action: str, wanted: Wanted) -> Seen:
    """The check before an action, of what that needs: see :func:`checked`."""
    hosts = looked_at(at.stage, action, wanted)
    if "build" not in PHASES[action]:
        view, _ = checked(at, hosts, needs_index="stage" in PHASES[action])
        return Seen(at, action, wanted, view)
    if action == "release" and not at.stage.local:  # a quickdeploy makes no page there
        from releaselib.actions import repository  # here: see release.py

        repository.require_token(at.project)
    view, found = checked(at, hosts, lambda: find(at.project.root, wanted.ref))
    return Seen(at, action, wanted, view, found)

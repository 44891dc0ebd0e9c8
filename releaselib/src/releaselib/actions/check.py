"""The check before an action: everything that stands against it, told at once."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from releaselib import index
from releaselib.actions.session import Session
from releaselib.config.inventory import Host
from releaselib.decide.budget import Budget
from releaselib.decide.files import uv_wheel
from releaselib.decide.problems import bare, problems, require_proxies
from releaselib.decide.view import View
from releaselib.errors import HostsFailed, Refused, ReleaseError
from releaselib.progress import say

T = TypeVar("T")


def checked(
    at: Session, hosts: Sequence[Host], source: Callable[[], T] | None = None, *, needs_index: bool = True
) -> tuple[View, T | None]:
    """What was seen of these app hosts and every proxy, and what ``source`` found.

    Raises the one error, or Refused with all that stands against it.
    """
    at.clock.phase("check")
    found: list[ReleaseError] = []
    what = _attempt(found, source) if source else None
    if needs_index:
        _attempt(found, lambda: index.of(at.stage.index).ping(at.project.name))
    view = at.look(hosts)
    lines = problems(view, at.stage)
    if needs_index and (without := bare(view.app)) and not found:
        lines += [] if uv_wheel(index.of(at.stage.index).files("uv"), view.any_app.machine) else without
    if lines:
        ready = "mend these, then run it again"
        found.append(Refused("hosts are not ready", cause="\n".join(lines), next_step=ready))
    _attempt(found, lambda: require_proxies(view, at.stage))
    _attempt(found, lambda: _within_budget(at, view, hosts))
    if len(found) == 1:
        raise found[0]
    if found:
        raise Refused(
            f"{len(found)} things stand against it; nothing was changed",
            cause="\n".join(str(problem) for problem in found),
            next_step="mend these, then run it again",
        )
    return view, what


def _within_budget(at: Session, view: View, hosts: Sequence[Host]) -> None:
    lost = {host: one for host, one in view.lost.items() if host in hosts}
    kind = Refused if all(one.unready for one in lost.values()) else HostsFailed
    budget = Budget(at.stage.max_failures, len(hosts))
    for line in budget.require({host: one.words for host, one in lost.items()}, kind):
        say(line)


def _attempt(found: list[ReleaseError], act: Callable[[], T]) -> T | None:
    try:
        return act()
    except ReleaseError as error:
        found.append(error)
        return None

"""Places where a project's fabfile adds its own work to a release.

Each hook is a plain function that takes the :class:`releaselib.decide.plan.Plan` (``on_failure`` also the
error), and ``hosts`` where it has a parameter of that name: ``hosts.run("command")`` runs a shell line on the
plan's app hosts and gives host -> what it printed. It is registered by a decorator::

    from releaselib import hooks

    @hooks.post_switch
    def announce(plan):
        print(f"{plan.release.version} is live on {plan.stage}")

``validate`` and then ``post_deploy`` come when the new slot is healthy on its hosts and nothing is switched yet.
A hook that raises stops the release where it stands; nothing has been switched before ``post_switch``.
"""

import inspect
import traceback
from collections.abc import Callable
from typing import Any, TypeVar

from releaselib.errors import HookFailed, ReleaseError
from releaselib.process import tail

Hook = TypeVar("Hook", bound=Callable[..., Any])
_hooks: dict[str, list[Callable[..., Any]]] = {}


def _registrar(name: str) -> Callable[[Hook], Hook]:
    def register(function: Hook) -> Hook:
        _hooks.setdefault(name, []).append(function)
        return function

    register.__name__ = name
    return register


pre_build = _registrar("pre_build")
pre_deploy = _registrar("pre_deploy")
post_deploy = _registrar("post_deploy")
post_switch = _registrar("post_switch")
validate = _registrar("validate")
on_failure = _registrar("on_failure")


def registered(name: str) -> bool:
    """Whether there is a hook of that name."""
    return bool(_hooks.get(name))


def run(name: str, *args: object, **more: object) -> None:
    """Call the hooks of that name in the order in which they were registered, each with what it has parameters for of
    ``more``. Raises HookFailed.
    """
    for hook in _hooks.get(name, []):
        try:
            known = inspect.signature(hook).parameters if more else {}
            hook(*args, **{key: value for key, value in more.items() if key in known})
        except ReleaseError:
            raise
        except (Exception, SystemExit) as error:
            lines = traceback.format_exception(error)
            raise HookFailed(
                f"the hook {getattr(hook, '__name__', hook)} ({name}) failed: {type(error).__name__}: {error}",
                cause=tail("".join(lines), 6),
                next_step="mend the hook in fabfile.py, then run it again; fab status shows what is where",
            ) from error

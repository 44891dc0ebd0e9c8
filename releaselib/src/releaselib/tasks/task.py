"""How a function becomes a task: help for each option, errors in words, exit codes, ``--json``."""

import functools
import inspect
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from fabric import task as fabric_task
from invoke import Collection

from releaselib import errors, output, progress

Function = TypeVar("Function", bound=Callable[..., Any])

COMMON = {
    "stage": "the stage of release.toml to work on (default: local)",
    "json": "print the result as JSON, which the next command can take",
    "quiet": "no progress, results only",
    "hosts": "only these hosts: names or globs with commas between",
    "exclude": "not these hosts: names or globs with commas between",
    "wait": "seconds to wait for somebody else's lock (default: none)",
    "yes": "stop also what visitors are served from",
    "slot": "the slot to work on: a, b, ...",
    "version": "a version (PEP 440)",
    "ref": "a branch, tag or commit; HEAD of a clean branch without it",
    "name": "a label for the version, like fixbug",
    "profile": "the word handed to the supervisord template",
}

namespace = Collection()
"""All tasks, grouped as in ``fab --list``."""


def task(group: str = "", name: str = "", **help_: str) -> Callable[[Function], Function]:
    """Make a task of a function: help for each option, errors in words, ``--json`` and ``--quiet``."""

    def wrap(function: Function) -> Function:
        @functools.wraps(function)
        def body(_: Any, *args: Any, json: bool = False, quiet: bool = False, **options: Any) -> None:
            progress.set_quiet(quiet)
            with_errors(lambda: _show(lambda: function(*args, **options), json), options.get("stage", ""))

        signature = inspect.signature(function)
        both = inspect.Parameter.POSITIONAL_OR_KEYWORD
        switches = [inspect.Parameter(one, both, default=False) for one in ("json", "quiet")]
        options = [*signature.parameters.values(), *switches]
        context = inspect.Parameter("context", both)
        body.__signature__ = signature.replace(parameters=[context, *options])  # type: ignore[attr-defined]
        words = {option.name: {**COMMON, **help_}[option.name] for option in options}
        made = fabric_task(name=name or function.__name__.strip("_"), auto_shortflags=False, help=words)(body)
        _group(group).add_task(made)
        return function

    return wrap


def _group(name: str) -> Collection:
    if name and name not in namespace.collections:
        namespace.add_collection(Collection(name), name)
    return namespace.collections[name] if name else namespace


def with_errors(act: Callable[[], None], stage: str = "") -> None:
    """Run, turn a ReleaseError into its words on stderr and its exit code, an interrupt into 130.

    ``stage`` is the one that it works on, if any.
    """
    try:
        act()
    except errors.ReleaseError as error:
        _tell(output.harmless(f"error: {error}"))
        sys.exit(error.exit_code)
    except BrokenPipeError:  # the reader of a pipe, like head, has seen enough
        _say_no_more()
        sys.exit(141)
    except KeyboardInterrupt as error:
        status = errors.on_stage("fab status", stage) if stage not in ("", "local") else "fab status"
        _tell(f"interrupted; {status} shows what is where")
        sys.exit(128 + getattr(error, "number", 2))


def _tell(words: str) -> None:
    """Print to stderr, if it takes anything: the terminal may be gone, or the disk of a log full."""
    with suppress(OSError):
        print(words, file=sys.stderr, flush=True)  # noqa: T201


def _say_no_more() -> None:
    """Have what stdout did not take go nowhere: Python would try again at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _show(act: Callable[[], Any], as_json: bool) -> None:
    """Print what it returns; of some hosts that failed the answers of the others, before that is told."""
    try:
        value = act()
    except errors.HostsFailed as error:
        try:
            _print(error.answers or None, as_json)
        except (errors.ReleaseError, BrokenPipeError):  # what failed is to be told whatever takes the answers
            _say_no_more()
        raise
    _print(value, as_json)


def _print(value: Any, as_json: bool) -> None:
    if value is None:
        return
    try:
        output.show(output.as_json(value) if as_json else output.as_text(value))
    except BrokenPipeError:
        raise
    except OSError as error:
        _say_no_more()
        what = f"all went well, but what is to be told cannot be written to standard output: {error.strerror}"
        raise errors.ReleaseError(what, next_step="fab status") from None

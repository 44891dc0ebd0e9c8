"""What people and programs read: progress to stderr, results to stdout.

``--quiet`` silences progress, ``--json`` prints a result as JSON that the next command can take.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Sequence
from typing import Any

_quiet = False


def set_quiet(quiet: bool) -> None:
    """Silence :func:`say` for the rest of this process, or not."""
    global _quiet
    _quiet = quiet


def say(line: str) -> None:
    """A line of progress."""
    if not _quiet:
        print(line, file=sys.stderr, flush=True)  # noqa: T201


def show(text: str) -> None:
    """A result."""
    print(text, flush=True)  # noqa: T201


def as_json(value: Any) -> str:
    """Any value of this library as JSON text."""
    return json.dumps(value, default=_plain, indent=2)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    if hasattr(value, "model_dump"):  # of pydantic, which costs too much to import it for this
        return value.model_dump()
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    return str(value)


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns as wide as their longest cell; the empty table is the empty text."""
    if not rows:
        return ""
    cells = [list(head), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[n]) for row in cells) for n in range(len(head))]
    return "\n".join(
        "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in cells
    )


class Clock:
    """Seconds a phase, in the order in which the phases ran."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._phase = ""
        self._since = 0.0

    def named(self, words: str) -> str:
        """These words with the running phase in front, unless it stands there."""
        return words if words.startswith(self._phase) else f"{self._phase}: {words}"

    def phase(self, name: str) -> None:
        """End the running phase and begin the next; the empty name only ends it."""
        now = time.monotonic()
        if self._phase:
            spent = self.seconds.get(self._phase, 0.0) + now - self._since
            self.seconds[self._phase] = round(spent, 2)
        if name and name != self._phase:
            say(f"[{name}]")
        self._phase, self._since = name, now

"""Results: to stdout, as text for people or as JSON that the next command can take.

A value that has words of its own has them as ``str(value)``, in a list as ``value.line``.
"""

import dataclasses
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def harmless(text: str) -> str:
    """A text without what a terminal would obey (ECMA-48): of control characters tabs and line ends stay. Pure."""
    return CONTROL.sub("", text.replace("\r\n", "\n"))


def show(text: str) -> None:
    """A result."""
    print(harmless(text), flush=True)  # noqa: T201


def teller(*, named: bool) -> Callable[[str, str], None]:
    """Shows lines as they come, ``named`` with the host that said it: on a terminal in a colour of its own."""
    colours: dict[str, str] = {}

    def tell(host: str, line: str) -> None:
        colour = colours.setdefault(host, f"\x1b[{31 + len(colours) % 6}m")
        name = f"{colour}{host}\x1b[0m" if sys.stdout.isatty() else host
        print(*[f"{name}:"] * named, harmless(line), flush=True)  # noqa: T201

    return tell


def as_text(value: Any) -> str:
    """Any value of this library in words: of a list one a line, of a table its keys and values."""
    if isinstance(value, Mapping):
        return "\n".join(f"{key}: {words}" for key, words in value.items())
    if isinstance(value, list):
        return "\n".join(str(getattr(one, "line", one)) for one in value) or "nothing"
    return str(value)


def as_json(value: Any) -> str:
    """Any value of this library as JSON text."""
    return json.dumps(value, default=_plain, indent=2)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    if hasattr(value, "model_dump"):  # of pydantic, which costs too much to import it for this
        return value.model_dump()
    return sorted(value) if isinstance(value, set | frozenset) else str(value)


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns as wide as their longest cell; the empty table is the empty text."""
    cells = [list(head), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[n]) for row in cells) for n in range(len(head))]
    lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join(lines) if rows else ""

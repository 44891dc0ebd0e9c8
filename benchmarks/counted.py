"""counted.py FILE WORDS...: `fab WORDS...`; the file then holds the connections and scripts of it, as JSON."""

from __future__ import annotations

import collections
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fabric.main import program

from releaselib.hosts.ssh import Ssh

FILE, *WORDS = sys.argv[1:]
counts: collections.Counter[str] = collections.Counter()


def counting(what: str, act: Callable[..., Any]) -> Callable[..., Any]:
    """The same, counted."""

    def counted(*words: Any, **options: Any) -> Any:
        counts[what] += 1
        return act(*words, **options)

    return counted


if __name__ == "__main__":
    for name, what in (("__init__", "connections"), ("start", "scripts")):
        setattr(Ssh, name, counting(what, getattr(Ssh, name)))
    try:
        program.run(["fab", *WORDS])
    finally:
        Path(FILE).write_text(json.dumps(counts))

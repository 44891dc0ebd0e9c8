"""Refuse, before a file is written, what no project can be made of.

The rules are those of `answers.py`; cookiecutter has met them once already, while it asked, except
when it replays old answers. A folder with changes that nobody committed is refused here.
"""

import json
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

ANSWERS: dict[str, Any] = json.loads(r"""{{ cookiecutter | tojson }}""")
TEMPLATE = Path(json.loads(r"""{{ [template_root] | tojson }}""")[0])


def uncommitted() -> list[str]:
    """For flavour init: the first lines of `git status`, when something is not committed."""
    if ANSWERS["flavour"] != "init" or "_commit" in ANSWERS:
        return []
    try:
        status = subprocess.run(["git", "status", "--porcelain"], capture_output=True, text=True, check=False)
    except OSError:
        return []
    changes = status.stdout.splitlines()
    first = "; ".join(changes[:5])
    why = f"{Path.cwd()} has changes that are not committed ({first}); commit or stash them first"
    return [why] if changes else []


rules = runpy.run_path(str(TEMPLATE / "hooks" / "answers.py"))
found = rules["problems"](ANSWERS) + uncommitted()
Path(__file__).unlink(missing_ok=True)  # cookiecutter leaves the rendered hook behind
if found:
    print(rules["refusal"](found), file=sys.stderr)
    sys.exit(1)

"""Finish the project: lock, `.cruft.json`, git repository, first commit. The steps are in `finish.py`.

A hook that fails makes cookiecutter delete the project, so this one never does.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

ANSWERS: dict[str, Any] = json.loads(r"""{{ cookiecutter | tojson }}""")
TEMPLATE, ASKS = json.loads(r"""{{ [template_root, asks] | tojson }}""")

try:
    sys.path.insert(0, str(Path(TEMPLATE) / "hooks"))
    sys.dont_write_bytecode = True
    from finish import finish

    finish(ANSWERS, Path(TEMPLATE), asks=ASKS)
except BaseException as error:
    print(
        f"The project is complete on this machine, but the last steps stopped: {error!r}\n"
        "Look at `git status`; what may be missing: git init -b main; git add --all;"
        " git commit -m 'First commit'; fab repo.create",
        file=sys.stderr,
    )
finally:
    Path(__file__).unlink(missing_ok=True)  # cookiecutter leaves the rendered hook behind
    sys.stdout.flush()
    os._exit(0)

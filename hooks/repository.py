"""Create the repository on the forge and push to it, for `finish.py`.

Arguments: LIBRARY FORGE URL NAMESPACE NAME VISIBILITY DESCRIPTION.

The same code as `fab repo.create`: releaselib.forge, out of the folder LIBRARY. The token is in the
environment. Needs requests and GitPython, so `finish.py` runs it with an interpreter that has them.
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    library, kind, url, namespace, name, visibility, description = sys.argv[1:]
    sys.dont_write_bytecode = True
    sys.path.insert(0, library)
    from releaselib.errors import ReleaseError
    from releaselib.forge import Target, create_repository, find_token

    try:
        target = Target(kind, name, namespace, url, visibility, description)
        made = create_repository(Path.cwd(), target, find_token(kind))
    except ReleaseError as error:
        sys.exit(str(error))
    print(f"{made.web_url}: {made.state}")

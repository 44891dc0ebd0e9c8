"""``python -m releaselib.wheels.build_frontend FOLDER OUT``: a build by itself, seeing nothing but what it is given.

It makes the sdist, and the wheel out of that, as ``python -m build`` does (PEP 517), but both in one isolated
environment: to make a second one, and to compile setuptools in it, takes longer than the wheel itself.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from build import BuildBackendException, BuildException, ProjectBuilder
from build.env import DefaultIsolatedEnv


def build(folder: Path, out: Path) -> None:
    """Build sdist and wheel into ``out``. Raises what `build` raises."""
    with DefaultIsolatedEnv(installer="uv") as env, tempfile.TemporaryDirectory() as scratch:
        source = ProjectBuilder.from_isolated_env(env, folder)
        env.install(source.build_system_requires)
        env.install(source.get_requires_for_build("sdist"))
        shutil.unpack_archive(source.build("sdist", out), scratch)
        (unpacked,) = Path(scratch).iterdir()
        sdist = ProjectBuilder.from_isolated_env(env, unpacked)
        env.install(sdist.get_requires_for_build("wheel"))
        sdist.build("wheel", out)


if __name__ == "__main__":
    try:
        build(Path(sys.argv[1]), Path(sys.argv[2]))
    except subprocess.CalledProcessError as error:  # of uv: its words are those of the cause
        sys.exit(f"{error.stderr.decode(errors='replace')}\n{error}")
    except (BuildException, BuildBackendException) as error:
        sys.exit(f"\n{error}")

"""common_install.py: virtualenvs and what is pinned in them, from the index that the stage names and from no other."""

import os
import subprocess
import sys


class Installer:
    """Installs as it is told, and with nothing that the host has set. What starts later has no part of its environment.

    index: the URL to install from; egress: the proxy to it, or ""; netrc: a file with what it is read with;
    cache: a folder; uv: the program, or "" where pip is to do it.
    """

    def __init__(self, index, egress, netrc, cache, uv):
        self.index, self.uv = index, uv
        proxies = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("UV_", "PIP_")) and name.lower() not in proxies  # they may name another index
        }
        # Each by its name: for an address in numbers uv asks the proxy in spite of no_proxy='*'.
        self.environment.update({"http_proxy": egress, "https_proxy": egress} if egress else {"no_proxy": "*"})
        self.environment.update(PIP_CONFIG_FILE=os.devnull, UV_NO_CONFIG="1", UV_NO_PROGRESS="1", NETRC=netrc)
        self.environment.update(UV_PYTHON_DOWNLOADS="never", UV_CACHE_DIR=cache)

    def run(self, *argv):
        """The exit code of a program; what it says is on stderr. It may outlive this, and holds the host's lock."""
        null = subprocess.DEVNULL
        try:
            code = subprocess.call(argv, env=self.environment, stdin=null, stdout=sys.stderr, close_fds=False)
        except OSError as error:  # it is of another machine, say
            print(error, file=sys.stderr)
            return 126
        if code < 0:
            print("%s was killed by signal %d; by 9 where there was no memory left" % (argv[0], -code), file=sys.stderr)
        return code

    def virtualenv(self, folder):
        """Whether there is one now."""
        uv = (self.uv, "venv", "-q", "--python", sys.executable, folder)
        return not self.run(*(uv if self.uv else (sys.executable, "-m", "venv", folder)))

    def wheels(self, folder, requirements):
        """Whether a virtualenv has what is pinned in a file now."""
        python, pinned = folder + "/bin/python", ("--no-deps", "--only-binary", ":all:", "--require-hashes", "-r")
        if self.uv:
            install = (self.uv, "pip", "install", "-q", "--python", python, "--default-index", self.index)
        else:
            install = (python, "-m", "pip", "install", "-q", "--no-compile", "--isolated", *self.trusted())
            install += ("--disable-pip-version-check", "--index-url", self.index)
        return not self.run(*install, *pinned, requirements)

    def trusted(self):
        """pip reads an index without TLS only from a host that is named so; one with TLS is always verified."""
        scheme, _, rest = self.index.partition("://")
        place = rest.partition("/")[0].rpartition("@")[2]
        host = place.partition("]")[0] + "]" if place.startswith("[") else place.partition(":")[0]
        return ("--trusted-host", host) if scheme == "http" else ()

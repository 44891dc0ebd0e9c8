"""slot_console.py FOLDER COMMAND: becomes a program (with its words) in the environment of the slot's first program.

No shell stands between: it would take ctrl-c for itself, too.
"""

import os
import shlex
import sys

from supervisor.options import ServerOptions

FOLDER, COMMAND = sys.argv[1:]
options = ServerOptions()
options.realize(["-c", FOLDER + "/supervisord.conf"])
environment = options.process_group_configs[0].process_configs[0].environment or {}
path = "%s/venv/bin:%s" % (FOLDER, os.environ.get("PATH", os.defpath))
os.environ.update({**environment, "PATH": path})
words = shlex.split(COMMAND)
os.execvp(words[0], words)

"""slot_pause.py NEW OLD: ends the processes of the slot OLD. Its supervisord waits for NEW, in which its socket and its
pid are then, where one that is started now would be just the same; else nothing happens.

To start one costs as much as a quarter of all else that a release does on a host.
"""

import os
import re
import sys

from common_rpc import read, rpc

NEW, OLD = sys.argv[1:]
OWN = re.compile(rb"(SSH_\w+|XDG_SESSION\w*|NETRC|PWD|OLDPWD|SHLVL|_|PYTHONPYCACHEPREFIX)=")
"""What belongs to one login, and what start_slot sets."""


def inherited(pid):
    """What a process has from whoever started it: environment, without the settings; limits; user and groups."""
    names = re.findall(rb"^export (\w+)=", read(OLD + "/environment"), re.MULTILINE)
    environment = [one for one in read("/proc/%s/environ" % pid).split(b"\0") if not OWN.match(one)]
    status = read("/proc/%s/status" % pid).splitlines()
    return (
        sorted(one for one in environment if one.partition(b"=")[0] not in names),
        read("/proc/%s/limits" % pid),
        [line for line in status if line.startswith((b"Uid:", b"Gid:", b"Groups:"))],
    )


def told(folder):
    """What its files tell it at its start, and not again: settings, and all of its configuration but the processes."""
    return read(folder + "/environment"), read(folder + "/supervisord.conf").partition(b"[program:")[0]


pid = read(OLD + "/run/supervisord.pid").strip().decode()
if told(OLD) == told(NEW) and inherited(pid) == inherited("self"):
    limits = re.findall(rb"^stopwaitsecs *= *(\d+)", read(OLD + "/supervisord.conf"), re.MULTILINE)
    try:
        rpc(OLD + "/run/supervisor.sock", "stopAllProcesses", max(map(int, limits or [40])) + 5)
        os.link(OLD + "/run/supervisor.sock", NEW + "/run/supervisor.sock")
        with open(NEW + "/run/supervisord.pid", "w") as file:
            file.write(pid)  # without a line's end, by which slot_resume.py tells it from its own
    except OSError as error:
        print(error, file=sys.stderr)

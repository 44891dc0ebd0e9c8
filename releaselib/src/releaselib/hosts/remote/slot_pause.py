"""slot_pause.py NEW OLD: ends the processes of the slot OLD. Its supervisord waits for NEW, in which its socket and its
pid are then, where one that is started now would be just the same. Else it is as it was, or partly ended.

To start one costs as much as a quarter of all else that a release does on a host.
"""

import contextlib
import os
import re
import sys
import time

from common_rpc import read, rpc

NEW, OLD = sys.argv[1:]
OWN = re.compile(
    rb"(SSH_(CLIENT|CONNECTION|TTY|AUTH_SOCK|AGENT_PID|ORIGINAL_COMMAND|USER_AUTH)|XDG_SESSION\w*"
    rb"|PWD|OLDPWD|SHLVL|_|PYTHONPYCACHEPREFIX)="
)
"""What belongs to one login, and what start_slot sets."""
CONF = "/supervisord.conf"
PROCESSES = b"[program:", b"[group:", b"[fcgi-program:"
SPECIAL = re.compile(rb"^(\[include\]|\[eventlistener:|priority *[=:])", re.MULTILINE | re.IGNORECASE)
"""What is in no file that is looked at, or ends in an order of its own."""
STOP = re.compile(rb"^stopwaitsecs *[=:] *(\d+)", re.MULTILINE | re.IGNORECASE)
STATUS = (b"Uid:", b"Gid:", b"Groups:", b"NoNewPrivs:", b"Cpus_allowed:")
AT_WORK = re.compile(rb">(RUNNING|STARTING|STOPPING|BACKOFF)<")


def inherited(pid):
    """What a process has from whoever started it: environment, without the settings; limits; niceness; user, groups,
    CPUs."""
    names = re.findall(rb"^export (\w+)=", read(OLD + "/environment"), re.MULTILINE)
    environment = [one for one in read("/proc/%d/environ" % pid).split(b"\0") if not OWN.match(one)]
    status = read("/proc/%d/status" % pid).splitlines()
    return (
        sorted(one for one in environment if one.partition(b"=")[0] not in names),
        read("/proc/%d/limits" % pid),
        read("/proc/%d/oom_score_adj" % pid),
        os.getpriority(os.PRIO_PROCESS, pid),
        [line for line in status if line.startswith(STATUS)],
    )


def told(folder):
    """What its files tell it at its start, and not again: settings, and all of its configuration but the processes."""
    sections = re.split(rb"\n(?=\[)", read(folder + CONF))
    return read(folder + "/environment"), [one for one in sections if not one.startswith(PROCESSES)]


def end_processes(seconds):
    """End all, and those that start again meanwhile: what has ended by itself does so at the next turn."""
    end, quiet = time.monotonic() + seconds, 0
    while quiet < 2:
        at_work = AT_WORK.search(rpc(OLD + "/run/supervisor.sock", "getAllProcessInfo", 5))
        quiet = 0 if at_work else quiet + 1
        if at_work:
            rpc(OLD + "/run/supervisor.sock", "stopAllProcesses", max(1, end - time.monotonic()))
            if time.monotonic() > end:
                raise OSError("its processes do not end")
            time.sleep(0.02)


pid, before, after = (read(path) for path in (OLD + "/run/supervisord.pid", OLD + CONF, NEW + CONF))
try:
    alike = told(OLD) == told(NEW) and inherited(int(pid)) == inherited(os.getpid())
    if alike and not SPECIAL.search(before + after):
        with open(NEW + "/run/supervisord.pid", "wb") as file:  # first: what is told to end nothing is known of else
            file.write(pid.strip())  # without a line's end, by which slot_resume.py tells it from its own
        with contextlib.suppress(FileNotFoundError):
            os.remove(OLD + "/runs")
        end_processes(max(map(int, STOP.findall(before) or [40])) + 5)
        os.link(OLD + "/run/supervisor.sock", NEW + "/run/supervisor.sock")  # last: by it that is known to be done
except (OSError, ValueError) as error:
    print(error, file=sys.stderr)

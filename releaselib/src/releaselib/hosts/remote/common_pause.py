"""common_pause.py: has a supervisord go on with the next release, where one that is started now would be just the same.

To start one costs as much as a quarter of all else that a release does on a host.
"""

import contextlib
import os
import re
import sys
import time

from common_end import longest
from common_rpc import knock, read, rpc

OWN = re.compile(
    rb"(SSH_(CLIENT|CONNECTION|TTY|AUTH_SOCK|AGENT_PID|ORIGINAL_COMMAND|USER_AUTH)|XDG_SESSION\w*"
    rb"|PWD|OLDPWD|SHLVL|_|PYTHONPYCACHEPREFIX)="
)
"""What belongs to one login, and what start_slot sets."""
CONF = "/supervisord.conf"
PID = "/run/supervisord.pid"
SOCKET = "/run/supervisor.sock"
PROCESSES = b"[program:", b"[group:", b"[fcgi-program:"
SPECIAL = re.compile(rb"^(\[include\]|\[eventlistener:|priority *[=:])", re.MULTILINE | re.IGNORECASE)
"""What is in no file that is looked at, or ends in an order of its own."""
STATUS = (b"Uid:", b"Gid:", b"Groups:", b"NoNewPrivs:", b"Cpus_allowed:")
AT_WORK = re.compile(rb">(RUNNING|STARTING|STOPPING|BACKOFF)<")


def pause(pid, old, new):
    """End the processes of the slot in the folder old, whose supervisord that is: it waits for the folder new then, in
    which its socket and its pid are. False where another one must be started: then it is as it was, or partly ended."""
    before, after = read(old + CONF), read(new + CONF)
    try:
        alike = told(old) == told(new) and inherited(pid, old) == inherited(os.getpid(), old)
        if not alike or SPECIAL.search(before + after):
            return False
        with open(new + PID, "wb") as file:  # first: what is told to end nothing is known of else
            file.write(b"%d" % pid)  # without a line's end, by which resume tells it from its own
        with contextlib.suppress(FileNotFoundError):
            os.remove(old + "/runs")
        end_processes(old + SOCKET, longest(before))
        os.link(old + SOCKET, new + SOCKET)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return False
    return True


def inherited(pid, folder):
    """What a process has from whoever started it: environment, without the settings; limits; niceness; user, groups,
    CPUs."""
    names = re.findall(rb"^export (\w+)=", read(folder + "/environment"), re.MULTILINE)
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


def end_processes(socket, seconds):
    """End all, and those that start again meanwhile: what has ended by itself does so at the next turn."""
    end, quiet = time.monotonic() + seconds, 0
    while quiet < 2:
        at_work = AT_WORK.search(rpc(socket, "getAllProcessInfo", 5))
        quiet = 0 if at_work else quiet + 1
        if at_work:
            rpc(socket, "stopAllProcesses", max(1, end - time.monotonic()))
            if time.monotonic() > end:
                raise OSError("its processes do not end")
            time.sleep(0.02)


def resume(pid, folder):
    """Have the supervisord that waits for this folder read its configuration and start the processes, and mark the slot
    as one that runs. False when it does not, or ends over it."""
    end = time.monotonic() + 10
    try:
        rpc(folder + SOCKET, "restart", 10)
        while not read(folder + PID).endswith(b"\n"):  # it writes it last
            os.kill(pid, 0)
            if time.monotonic() > end:
                raise OSError("it does not start again")
            knock(folder + SOCKET)
            time.sleep(0.01)
        open(folder + "/runs", "w").close()  # after a reboot, too; before health is waited for, as those processes run
    except ProcessLookupError:  # why it ended is told when another one is started
        return False
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return False
    return True

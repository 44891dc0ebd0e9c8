"""common_end.py: ends a supervisord."""

import contextlib
import os
import re
import select
import signal
import sys
import time

from common_rpc import knock, read, rpc

STOP = re.compile(rb"^stopwaitsecs *[=:] *(\d+)", re.MULTILINE | re.IGNORECASE)


def longest(*confs):
    """Seconds that the processes of these configurations may take to end, and some more; supervisor's default is 10."""
    return max([10, *map(int, STOP.findall(b"\n".join(confs)))]) + 5


def end(pid, folder):
    """End the supervisord of a slot, which waits for its processes, and wake it meanwhile: else it looks after them
    once a second. By force, when it takes too long: then each of them too, with all that it has started."""
    seconds, groups = longest(read(folder + "/supervisord.conf")), []
    by_force = time.monotonic() + seconds
    with contextlib.suppress(OSError):  # all at once: by itself it tells one after the other
        rpc(folder + "/run/supervisor.sock", "stopAllProcesses", seconds)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
        while True:
            late = time.monotonic() - by_force
            if late > 5:
                sys.exit("process %d does not end" % pid)
            if late > 0:
                groups = groups or read("/proc/%d/task/%d/children" % (pid, pid)).split()
                os.kill(pid, signal.SIGKILL)
            os.kill(pid, 0)
            knock(folder + "/run/supervisor.sock")
            select.select((), (), (), 0.05)  # as time.sleep, which fails under faketime
    for group in groups:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(int(group), signal.SIGKILL)

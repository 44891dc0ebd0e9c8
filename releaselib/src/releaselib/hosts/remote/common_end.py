"""common_end.py: ends a supervisord."""

import contextlib
import os
import re
import select
import signal
import sys
import time

from common_rpc import knock, read

STOP = re.compile(rb"^stopwaitsecs *[=:] *(\d+)", re.MULTILINE | re.IGNORECASE)


def longest(*confs):
    """Seconds that the processes of these configurations may take to end, and some more."""
    return max(map(int, STOP.findall(b"\n".join(confs)) or [40])) + 5


def end(pid, folder):
    """End the supervisord of a slot, which waits for its processes, and wake it meanwhile: else it looks after them
    once a second. By force, when it takes too long."""
    by_force = time.monotonic() + longest(read(folder + "/supervisord.conf"))
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
        while True:
            late = time.monotonic() - by_force
            if late > 5:
                sys.exit("process %d does not end" % pid)
            os.kill(pid, signal.SIGKILL if late > 0 else 0)
            knock(folder + "/run/supervisor.sock")
            select.select((), (), (), 0.05)  # as time.sleep, which fails under faketime

"""common_knock.py PID SOCKET: tells a supervisord to end, and wakes it again and again until its process has,
or does not hear it."""

import contextlib
import os
import signal
import socket
import sys
import time

pid, path = sys.argv[1:]
end = time.monotonic() + 10  # it looks after itself, too, once a second
with contextlib.suppress(OSError, ValueError):  # it has ended, and with it its pid file
    os.kill(int(pid), signal.SIGTERM)
    while time.monotonic() < end:
        os.kill(int(pid), 0)
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as knock:
            knock.settimeout(1)
            knock.connect(path)
        time.sleep(0.05)

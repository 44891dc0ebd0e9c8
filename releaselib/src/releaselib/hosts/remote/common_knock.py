"""common_knock.py PID SOCKET: wakes a supervisord again and again until its process has ended."""

import contextlib
import os
import socket
import sys
import time

end = time.monotonic() + 45
with contextlib.suppress(ProcessLookupError):
    while time.monotonic() < end:
        os.kill(int(sys.argv[1]), 0)
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as knock:
            knock.connect(sys.argv[2])
        time.sleep(0.05)

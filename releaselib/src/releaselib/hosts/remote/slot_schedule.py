"""slot_schedule.py SCHEDULE COMMAND: runs a shell line at the times of a schedule (crontab(5)), never beside itself.

When it is told to end it lets the line that is at work come to its own end.
"""

import datetime
import signal
import subprocess
import sys
import threading

from cronsim import CronSim

SCHEDULE, COMMAND = sys.argv[1:]
over = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: over.set())
while not over.is_set():
    due = next(CronSim(SCHEDULE, datetime.datetime.now()))
    while not over.is_set() and datetime.datetime.now() < due:
        over.wait(1)  # not all at once: the clock may be set meanwhile
    if not over.is_set():
        print("%s: %s" % (due, COMMAND), flush=True)
        code = subprocess.Popen(["sh", "-c", COMMAND], stdin=subprocess.DEVNULL).wait()
        print("%s: exit code %s" % (due, code), flush=True)

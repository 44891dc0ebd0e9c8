"""slot_resume.py FOLDER: has the supervisord that waits for this slot read its configuration and start the processes,
and marks the slot as one that runs. Exit code 3 when it does not, or ends over it."""

import os
import sys
import time

from common_rpc import knock, read, rpc

FOLDER = sys.argv.pop(1)  # what comes after it looks at the others
end = time.monotonic() + 10
try:
    pid = int(read(FOLDER + "/run/supervisord.pid"))
    rpc(FOLDER + "/run/supervisor.sock", "restart", 10)
    while not read(FOLDER + "/run/supervisord.pid").endswith(b"\n"):  # it writes it last
        os.kill(pid, 0)
        if time.monotonic() > end:
            raise OSError("it does not start again")
        knock(FOLDER + "/run/supervisor.sock")
        time.sleep(0.01)
    open(FOLDER + "/runs", "w").close()  # after a reboot, too; before health is waited for, as those processes run
except ProcessLookupError:  # why it ended is told when another one is started
    sys.exit(3)
except (OSError, ValueError) as error:
    print(error, file=sys.stderr)
    sys.exit(3)

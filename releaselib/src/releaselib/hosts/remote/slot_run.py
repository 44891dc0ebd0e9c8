"""slot_run.py FOLDER < JSON: runs a command with the environment of the slot's first program, read by supervisor.

JSON: {"command": a shell line, "timeout": seconds, "name": of the log that keeps its output, "secrets": names of
settings whose values no line shows}
Prints "> LINE" for each line as it comes, and "." every two seconds; its exit code is the command's, or 124 when
its time is over.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading

from supervisor.options import ServerOptions

FOLDER, WANTED = sys.argv[1], json.loads(sys.stdin.readline())
options = ServerOptions()
options.realize(["-c", FOLDER + "/supervisord.conf"])
program = options.process_group_configs[0].process_configs[0]
path = "%s/venv/bin:%s" % (FOLDER, os.environ.get("PATH", os.defpath))
process = subprocess.Popen(
    ["sh", "-c", WANTED["command"]],
    env={**os.environ, **(program.environment or {}), "PATH": path},
    stdin=subprocess.DEVNULL,
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    start_new_session=True,
)
secrets = [os.environ.get(name, "") for name in WANTED["secrets"]]
blank = sorted((line for value in secrets for line in value.splitlines() if len(line) > 3), key=len, reverse=True)
talking, over, late = threading.Lock(), threading.Event(), threading.Event()


def say(line):
    """Print one line at once, whoever says it."""
    with talking:
        print(line, flush=True)


def end():
    """End the command with all that it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def beat():
    """Give signs of life, and end the command when its time is over or nobody listens any more."""
    waited = 0
    while not over.wait(2):
        waited += 2
        try:
            say(".")
        except OSError:
            end()
        if waited >= WANTED["timeout"]:
            late.set()
            end()


threading.Thread(target=beat, daemon=True).start()
with open("%s/log/run-%s.log" % (FOLDER, WANTED["name"]), "ab") as log:
    for line in process.stdout:
        text = line.decode("utf-8", "replace").rstrip("\n")
        for value in blank:
            text = text.replace(value, "***")
        log.write(text.encode() + b"\n")
        log.flush()
        try:
            say("> " + text)
        except OSError:  # nobody listens any more
            end()
            break
code = process.wait()
over.set()
if late.is_set():
    say("> no end after %s s" % WANTED["timeout"])
sys.exit(124 if late.is_set() else code if code >= 0 else 128 - code)

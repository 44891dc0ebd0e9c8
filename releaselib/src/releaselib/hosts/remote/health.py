"""health.py [SECONDS] < JSON: asks every target until each is healthy; exit code 0 when enough are.

JSON: {"targets": ["127.0.0.1:8800" or "127.0.0.1:8802/path", ...], "path": "/healthz", "version": "" or the one to see,
"headers": {name: value}, "status": the one to see, "body": "" or what the answer must hold,
"timeout": seconds (unless they are given as a word), "allowed": how many may fail,
"wake": the socket of the supervisor that starts them, or ""}
Prints what those that are not healthy answered last, as JSON: {target: words}.
"""

import json
import sys
import threading
import time

from common_http import get
from common_rpc import knock, rpc

WANTED = json.load(sys.stdin)
TIMEOUT = float((*sys.argv[1:], WANTED["timeout"])[0])
HEADERS, STATUS, BODY = WANTED.get("headers", {}), WANTED.get("status", 200), WANTED.get("body", "")
GIVEN_UP = threading.Event()


def wrong(target):
    """What is wrong with the answer of a target now; nothing when it is healthy."""
    place, slash, path = target.partition("/")  # a program beside those that visitors get has a path of its own
    try:
        # What a process answers itself is asked for: nobody goes elsewhere.
        status, _, told, body = get(place, slash + path or WANTED["path"], HEADERS, 5)
    except Exception as error:
        return "no answer: %s" % error
    if slash and status == 200:
        return ""
    if slash or status != STATUS:
        moved = "to %s " % told["location"] if "location" in told else ""
        return ("answered %s %s%s" % (status, moved, body[:300].decode("utf-8", "replace"))).strip()
    if BODY not in body.decode("utf-8", "replace"):
        return "answered without %r: %s" % (BODY, body[:300].decode("utf-8", "replace"))
    if not WANTED["version"]:
        return ""
    try:
        version = json.loads(body.decode("utf-8"))["version"]
    except (ValueError, KeyError, TypeError):
        return "answered without a version: %s" % body[:300].decode("utf-8", "replace")
    return "" if version == WANTED["version"] else "answered version %s, not %s" % (version, WANTED["version"])


def wait(target):
    """Ask a target until it is healthy, time is up, or somebody has given up."""
    end = time.monotonic() + TIMEOUT
    pause = 0.05
    while True:
        words = wrong(target)
        if not words or time.monotonic() > end or GIVEN_UP.wait(pause):
            return words
        pause = min(pause * 1.5, 0.5)


def hopeless():
    """Whether the supervisor has given up a process."""
    try:
        return b">FATAL<" in rpc(WANTED["wake"], "getAllProcessInfo", 5)
    except OSError:  # it does not listen yet
        return False


def watch():
    """Give up early once a process is beyond hope."""
    while WANTED["wake"] and not GIVEN_UP.wait(2):
        if hopeless():
            GIVEN_UP.set()


def wake():
    """Knock at the supervisor's socket: it starts its processes at the next turn of a loop that takes
    a second when nothing happens."""
    end = time.monotonic() + 5
    while WANTED["wake"] and time.monotonic() < end and not GIVEN_UP.wait(0.05):
        knock(WANTED["wake"])


def ask():
    """Take one target after the other, as several do at once."""
    for target in TARGETS:
        found[target] = wait(target)


TARGETS, found = iter(WANTED["targets"]), {}
asking = [threading.Thread(target=ask) for _ in WANTED["targets"][:32]]
for thread in (*asking, *(threading.Thread(target=work, daemon=True) for work in (watch, wake))):
    thread.start()
for thread in asking:
    thread.join()
GIVEN_UP.set()
failing = {target: found[target] for target in WANTED["targets"] if found[target]}
print(json.dumps(failing))
sys.exit(len(failing) > WANTED["allowed"])

"""health.py [SECONDS] < JSON: asks every target until each is healthy; exit code 0 when enough are.

JSON: {"targets": ["127.0.0.1:8800" or "127.0.0.1:8802/path", ...], "path": "/healthz", "version": "" or the one to see,
"headers": {name: value}, "status": the one to see, "body": "" or what the answer must hold,
"timeout": seconds (unless they are given as a word), "allowed": how many may fail,
"dead": a command that exits 0 when waiting is in vain, or [], "wake": the socket of the supervisor, or ""}
Prints what those that are not healthy answered last, as JSON: {target: words}.
"""

import concurrent.futures
import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

WANTED = json.load(sys.stdin)
TIMEOUT = float((*sys.argv[1:], WANTED["timeout"])[0])
HEADERS, STATUS, BODY = WANTED.get("headers", {}), WANTED.get("status", 200), WANTED.get("body", "")


class Unmoved(urllib.request.HTTPRedirectHandler):
    """Goes nowhere else: what a process answers itself is asked for."""

    def redirect_request(self, *_):
        return None


OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}), Unmoved)
GIVEN_UP = threading.Event()


def wrong(target):
    """What is wrong with the answer of a target now; nothing when it is healthy."""
    place, slash, path = target.partition("/")  # a program beside those that visitors get has a path of its own
    request = urllib.request.Request("http://%s%s" % (place, slash + path or WANTED["path"]), headers=HEADERS)
    try:
        try:
            answer = OPENER.open(request, timeout=5)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            status, to, body = answer.status, answer.headers.get("Location"), answer.read()
    except Exception as error:
        return "no answer: %s" % getattr(error, "reason", error)
    if slash and status == 200:
        return ""
    if slash or status != STATUS:
        moved = "to %s " % to if to else ""
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


def watch():
    """Give up early once the supervisor says that a process is beyond hope."""
    while WANTED["dead"] and not GIVEN_UP.wait(2):
        if subprocess.call(WANTED["dead"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0:
            GIVEN_UP.set()


def wake():
    """Knock at the supervisor's socket: it starts its processes at the next turn of a loop that takes
    a second when nothing happens."""
    end = time.monotonic() + 5
    while WANTED["wake"] and time.monotonic() < end and not GIVEN_UP.wait(0.05):
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as knock:
            knock.connect(WANTED["wake"])


for work in (watch, wake):
    threading.Thread(target=work, daemon=True).start()
with concurrent.futures.ThreadPoolExecutor(min(32, max(1, len(WANTED["targets"])))) as pool:
    found = dict(zip(WANTED["targets"], pool.map(wait, WANTED["targets"])))
GIVEN_UP.set()
failing = {target: words for target, words in found.items() if words}
print(json.dumps(failing))
sys.exit(len(failing) > WANTED["allowed"])

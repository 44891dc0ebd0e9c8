"""common_health.py: asks processes for their health."""

import contextlib
import json
import socket
import threading
import time

from common_http import get
from common_rpc import knock, states


class Health:
    """Asks every target until each is healthy, as it is told:

    {"targets": ["127.0.0.1:8800" or "127.0.0.1:8802/path", ...], "path": "/healthz", "version": "" or the one to see,
    "headers": {name: value}, "status": the one to see, "body": "" or what the answer must hold,
    "timeout": seconds, "allowed": how many may fail, "wake": the socket of the supervisor that starts them, or "",
    "programs": [name of a process that nothing else tells of, ...], "elsewhere": [one that runs in the live slot, ...]}
    """

    def __init__(self, told):
        self.told = told
        self.headers, self.status, self.body = told.get("headers", {}), told.get("status", 200), told.get("body", "")
        self.end = 0
        self.given_up = threading.Event()
        self.left, self.found = iter(told["targets"]), {}

    def failing(self, seconds=None):
        """What those that are not healthy in so many seconds answered last, {target: words}, with what their supervisor
        says of {process: words}, and whether these are too many."""
        self.end = time.monotonic() + float(self.told["timeout"] if seconds is None else seconds)
        asking = [threading.Thread(target=self.ask) for _ in self.told["targets"][:32]]
        for thread in (*asking, *(threading.Thread(target=work, daemon=True) for work in (self.watch, self.wake))):
            thread.start()
        for thread in asking:
            thread.join()
        failing = {target: self.found[target] for target in self.told["targets"] if self.found[target]}
        given_up = self.troubled() if self.told["wake"] else {}
        self.given_up.set()
        return {**failing, **given_up}, len(failing) > self.told["allowed"] or bool(given_up)

    def taken(self):
        """Where somebody answers before anything is started, in {target: words}: he would be taken for it, as what the
        slot had before may be that did not end with its supervisor. What is ending has a moment for that."""
        end, found = time.monotonic() + 5, {}
        for target in self.told["targets"]:
            address, _, port = target.partition("/")[0].rpartition(":")
            with contextlib.suppress(OSError):
                while not found.get(target):  # as bytes: see common_http.py
                    socket.create_connection((address.strip("[]").encode("ascii"), int(port)), 1).close()
                    if time.monotonic() > end:
                        found[target] = "something else listens there; what, tells ss -ltnp 'sport = :%s'" % port
                    time.sleep(0.05)
        return found

    def ask(self):
        """Take one target after the other, as several do at once."""
        for target in self.left:
            self.found[target] = self.wait(target)

    def wait(self, target):
        """Ask a target until it is healthy, time is up, or somebody has given up."""
        pause = 0.05
        while True:
            words = self.wrong(target)
            if not words or time.monotonic() > self.end or self.given_up.wait(pause):
                return words
            pause = min(pause * 1.5, 0.5)

    def wrong(self, target):
        """What is wrong with the answer of a target now; nothing when it is healthy."""
        place, slash, path = target.partition("/")  # a program beside those that visitors get has a path of its own
        try:
            # What a process answers itself is asked for: nobody goes elsewhere.
            status, _, told, body = get(place, slash + path or self.told["path"], self.headers, 5)
        except Exception as error:
            return "no answer: %s" % error
        if slash and status == 200:
            return ""
        text = body.decode("utf-8", "replace")
        if slash or status != self.status:
            moved = "to %s " % told["location"] if "location" in told else ""
            return ("answered %s %s%s" % (status, moved, text[:300])).strip()
        if self.body not in text:
            return "answered without %r: %s" % (self.body, text[:300])
        if not self.told["version"]:
            return ""
        try:
            version = json.loads(body.decode("utf-8"))["version"]
        except (ValueError, KeyError, TypeError):
            return "answered without a version: %s" % text[:300]
        return (
            "" if version == self.told["version"] else "answered version %s, not %s" % (version, self.told["version"])
        )

    def troubled(self):
        """What its supervisor says of each process that does not run, once it has given one up or time is up: that
        a target answers tells nothing of those beside it, or of one that ended when it had left a child behind."""
        end, fell = max(self.end, time.monotonic() + 3), set()
        while True:
            told, late = self.states(), time.monotonic() > end
            if told is None and late:
                return {"supervisord": "does not answer at %s" % self.told["wake"]}
            found = told or {}
            fallen = {name for name, (state, _) in found.items() if state in ("FATAL", "BACKOFF")}
            fell |= fallen
            starting = {name for name, (state, _) in found.items() if state == "STARTING"}
            wrong = fallen | starting & fell  # to be tried again is not to run
            hopeless = any(found[name][0] == "FATAL" for name in fallen)
            waited_for = told is None or wrong or starting & set(self.told.get("programs", ()))
            if hopeless or late or not waited_for:
                return {name: "supervisor says %s %s" % found[name] for name in sorted(fallen if hopeless else wrong)}
            time.sleep(0.1)

    def states(self):
        """What the supervisor says of the processes that are to run; None while it does not answer."""
        try:
            found = states(self.told["wake"])
        except OSError:
            return None
        return {name: one for name, one in found.items() if name not in self.told.get("elsewhere", ())}

    def watch(self):
        """Give up early once a process is beyond hope."""
        while self.told["wake"] and not self.given_up.wait(2):
            if any(state == "FATAL" for state, _ in (self.states() or {}).values()):
                self.given_up.set()

    def wake(self):
        """Knock at the supervisor's socket: it starts its processes at the next turn of a loop that takes
        a second when nothing happens. Ever more seldom, as each knock costs it as much as a turn."""
        pause = 0.02
        while self.told["wake"] and pause < 1 and not self.given_up.wait(pause):
            knock(self.told["wake"])
            pause *= 2

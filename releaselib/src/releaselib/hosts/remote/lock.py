"""lock.py LOCK JOURNAL FENCE FROZEN PATIENCE HOLDER LAST: holds the lock of a stage, and writes its journal.

Says in one line of JSON what it found ("state": "locked" or "held"; "fence": the number of the lock before), and what
number it has kept for this lock: the next one, where LAST is "yes". Then it takes a line at a time and answers each:
pulse; fence N; write EVENT; copy [LINE, ...]; freeze WHY; thaw. The lock is free when standard input ends, or when
nothing was heard for PATIENCE seconds: then the holder has lost its power or its network.
"""

import contextlib
import fcntl
import json
import os
import select
import sys
import time

LOCK, JOURNAL, FENCE, FROZEN, PATIENCE, HOLDER, LAST = sys.argv[1:]


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def put(path, text):
    """A file with this text, at once, so that a power cut leaves the old one or the new one."""
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.rename(path + ".new", path)


def number(text):
    """What a power cut left half written is none."""
    return int(text) if text.strip().isdecimal() else 0


def append(line):
    with open(JOURNAL, "ab+") as file:
        file.seek(max(0, file.tell() - 1))
        cut_off = file.read() not in (b"", b"\n")  # by a crash: it must not swallow this one
        file.write((("\n" if cut_off else "") + line + "\n").encode())
        file.flush()
        os.fsync(file.fileno())


def thaw():
    if os.path.exists(FROZEN):
        os.remove(FROZEN)


ACTS = {
    "pulse": lambda rest: None,
    "fence": lambda rest: put(FENCE, rest),
    "write": append,
    "copy": lambda rest: put(JOURNAL, "".join(line + "\n" for line in json.loads(rest))),
    "freeze": lambda rest: put(FROZEN, rest),
    "thaw": lambda rest: thaw(),
}


def say(words):
    print(words, flush=True)


def taken():
    """Whether the lock is ours now; whoever only looks holds it for a moment."""
    end = time.monotonic() + 1
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > end:
                return False
            time.sleep(0.05)


os.umask(0o077)
lock = open(LOCK, "a")  # noqa: SIM115  held until the end
if not taken():
    say(json.dumps({"state": "held", "holder": read(LOCK) or "somebody"}))
    sys.exit(75)
lock.truncate(0)
lock.write(HOLDER)
lock.flush()
if os.path.exists(JOURNAL):
    os.chmod(JOURNAL, 0o600)  # one of an older library
text = read(JOURNAL).rstrip("\n")
lines = text.split("\n") if text else []
found = {"state": "locked", "fence": number(read(FENCE)), "kept": 0, "frozen": read(FROZEN)}
if LAST == "yes":
    with contextlib.suppress(OSError):  # the holder, who hears that none was kept, tells it once more and hears why
        put(FENCE, str(found["fence"] + 1))
        found["kept"] = found["fence"] + 1
say(json.dumps(dict(found, lines=len(lines), last=lines[-1] if lines else "")))
waiting = b""
while select.select([0], [], [], float(PATIENCE))[0]:
    data = os.read(0, 1 << 20)
    if not data:
        break
    *whole, waiting = (waiting + data).split(b"\n")
    for line in whole:
        act, _, rest = line.decode("utf-8").partition(" ")
        try:
            ACTS[act](rest)
            say("done")
        except OSError as error:
            say("failed: %s" % error)

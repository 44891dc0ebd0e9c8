"""facts.py < JSON: what a host holds now, as one JSON object. Changes nothing.

JSON: {"paths": name -> path, "ports": {slot: [port, ...]}, "probe": url or "", "host": Host header,
"journal": how many last lines of it, 0 where there is none}
"""

import fcntl
import glob
import json
import os
import platform
import re
import shutil
import sys
import urllib.request

WANTED = json.load(sys.stdin)
PATHS = WANTED["paths"]


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""


def command(pid):
    return read("/proc/%s/cmdline" % pid).replace("\0", " ").strip()


def parent(pid):
    return read("/proc/%s/stat" % pid).rpartition(")")[2].split()[1:2]


def listeners():
    """Port -> inode of every listening TCP socket."""
    found = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in read(table).splitlines()[1:]:
            part = line.split()
            if part[3] == "0A":
                found[int(part[1].rpartition(":")[2], 16)] = part[9]
    return found


def owners(inodes):
    """Inode -> pid, for the sockets whose process this user may look at."""
    found = {}
    for fd in glob.glob("/proc/[0-9]*/fd/*"):
        try:
            target = os.readlink(fd)
        except OSError:
            continue
        if target.startswith("socket:[") and target[8:-1] in inodes:
            found.setdefault(target[8:-1], fd.split("/")[2])
    return found


def family(pid):
    """The pid and its ancestors."""
    line = []
    while pid and pid != "0" and pid not in line:
        line.append(pid)
        pid = (parent(pid) or [""])[0]
    return line


def slot(name):
    folder = os.path.join(PATHS["slots"], name)
    pid = read(os.path.join(folder, "run", "supervisord.pid")).strip()
    running = bool(pid) and os.path.join(folder, "supervisord.conf") in command(pid)
    try:
        release = json.loads(read(os.path.join(folder, "release.json")))
    except ValueError:  # none, or cut off by a crash
        release = None
    healthy = os.path.exists(os.path.join(folder, "healthy"))
    return {"pid": pid, "release": release, "running": running, "healthy": healthy}


def ports(slots):
    """Every wanted port that somebody listens on: who, and whether it is the slot itself."""
    found = []
    sockets = listeners()
    holders = owners(set(sockets.values()))
    for name, numbers in WANTED["ports"].items():
        for port in numbers:
            if port in sockets:
                pid = holders.get(sockets[port], "")
                mine = slots[name]["running"] and slots[name]["pid"] in family(pid)
                words = command(pid) if pid else ""
                found.append({"port": port, "slot": name, "pid": pid, "command": words, "ours": mine})
    return found


def serving():
    """Which release nginx says it sends visitors to: "SLOT VERSION", "-", or "" when it does not answer."""
    request = urllib.request.Request(WANTED["probe"] + "/-/release", headers={"Host": WANTED["host"]})
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=5) as answer:
            text = answer.read(200).decode().strip()
        return text if re.match(r"(-|[a-z] \S+)$", text) else ""  # else it is somebody else's page
    except Exception:
        return ""


def draining():
    """How many old nginx workers still finish requests."""
    found = [command(path.split("/")[2]) for path in glob.glob("/proc/[0-9]*/cmdline")]
    return sum(line.startswith("nginx: worker process is shutting down") for line in found)


def locked():
    """Whether somebody holds the lock of the stage now."""
    try:
        with open(PATHS["stage_lock"]) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # there is none
        return False
    return False


facts = {
    "locked": locked(),
    "python": platform.python_version(),
    "machine": platform.machine(),
    "journal": read(PATHS["journal"]).rstrip().split("\n")[-WANTED["journal"] :] if WANTED["journal"] else [],
}
if WANTED["ports"]:
    facts["slots"] = {name: slot(name) for name in WANTED["ports"]}
    facts["ports"] = ports(facts["slots"])
if WANTED["probe"]:
    path = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"
    answer = serving()
    served = ("" if answer == "-" else answer).partition(" ")
    number = int(WANTED["probe"].rpartition(":")[2])
    inode = listeners().get(number)
    pid = owners({inode}).get(inode, "")
    facts["proxy"] = {
        "slot": served[0],
        "version": served[2],
        "site": os.path.exists(PATHS["site"]),
        "draining": draining(),
        "file": read(PATHS["upstream"]).partition("\n")[0].lstrip("# ").partition(" ")[0].strip("-"),
        "program": shutil.which("nginx", path=path) or "",
        "listener": command(pid) if pid else "a process of another user" if inode else "",
        "answers": bool(answer),
    }
print(json.dumps(facts))

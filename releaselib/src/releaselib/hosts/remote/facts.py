"""facts.py JSON BOOT: what a host holds now, as one JSON object. Changes nothing.

JSON: {"paths": name -> path, "ports": {slot: [port, ...]}, "probe": url or "", "listen": [port, ...],
"tls": [certificate, key] or [], "journal": how many last lines of it, 0 where there is none, "sudo": whether root is
needed}. BOOT: what starts the slots again after a restart of the machine; "systemd", "cron" or "".
Each host runs it with each look, so that what takes long to import, and only some need, is imported only there.
"""

import fcntl
import itertools
import json
import os
import re
import sys

from common_certificate import certificate
from common_http import get
from common_rpc import states
from common_sockets import listeners

WANTED = json.loads(sys.argv[1])
PATHS = WANTED["paths"]
SOCKETS = listeners()


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""


def names(folder):
    try:
        return os.listdir(folder)
    except OSError:
        return []


def command(pid):
    return read("/proc/%s/cmdline" % pid).replace("\0", " ").strip()


def parent(pid):
    return read("/proc/%s/stat" % pid).rpartition(")")[2].split()[1:2]


def children(pid):
    return read("/proc/%s/task/%s/children" % (pid, pid)).split()


def owners(inodes, likely=()):
    """Inode -> pid, for the sockets whose process this user may look at; the likely ones are looked at first."""
    found = {}
    for pid in itertools.chain(likely, (name for name in os.listdir("/proc") if name.isdigit())):
        if len(found) == len(inodes):
            break
        folder = "/proc/%s/fd" % pid
        for fd in names(folder):
            try:
                target = os.readlink(os.path.join(folder, fd))
            except OSError:
                continue
            if target.startswith("socket:[") and target[8:-1] in inodes:
                found.setdefault(target[8:-1], pid)
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
    alive = bool(pid) and os.path.join(folder, "supervisord.conf") in command(pid)
    running = alive and os.path.exists(os.path.join(folder, "runs"))  # else it waits for a release that was cut off
    try:
        release = json.loads(read(os.path.join(folder, "release.json")))
    except ValueError:  # none, or cut off by a crash
        release = None
    healthy = os.path.exists(os.path.join(folder, "healthy"))
    live = read(os.path.join(folder, "live")).split()
    found = {"pid": pid, "alive": alive, "release": release, "running": running, "healthy": healthy, "live": live}
    return dict(found, down=down(os.path.join(folder, "run", "supervisor.sock")) if running else {})


def down(supervisor):
    """What a supervisor says of each process that it has given up or tries again, {process: words}."""
    try:
        told = states(supervisor)
    except OSError as error:
        return {"supervisord": "does not answer: %s" % error}
    return {
        name: ("supervisor says %s %s" % one).strip() for name, one in told.items() if one[0] in ("BACKOFF", "FATAL")
    }


def ports(slots):
    """Every wanted port that somebody listens on: who, and whether it is the slot itself."""
    found = []
    wanted = {SOCKETS[port] for numbers in WANTED["ports"].values() for port in numbers if port in SOCKETS}
    running = [slots[name]["pid"] for name in slots if slots[name]["alive"]]
    holders = owners(wanted, [child for pid in running for child in children(pid)])
    for name, numbers in WANTED["ports"].items():
        for port in numbers:
            if port in SOCKETS:
                pid = holders.get(SOCKETS[port], "")
                mine = slots[name]["alive"] and slots[name]["pid"] in family(pid)
                words = command(pid) if pid else ""
                found.append({"port": port, "slot": name, "pid": pid, "command": words, "ours": mine})
    return found


def ask(path):
    """What nginx answers the proxy itself, or nothing."""
    try:
        status, _, _, body = get(WANTED["probe"].partition("://")[2], path, {}, 5)
    except (OSError, ValueError):
        return ""
    return body[:1000].decode("utf-8", "replace").strip() if status == 200 else ""


def target(link):
    """Where a link leads to, without the folder; nothing where there is none."""
    try:
        return os.path.basename(os.readlink(link))
    except OSError:
        return ""


def served():
    """What is known here of each slot."""
    found = {}
    for slot in names(PATHS["served"]):
        try:
            known = json.loads(read(os.path.join(PATHS["served"], slot, "release.json")))
        except ValueError:  # none, or cut off by a crash
            continue
        if os.path.exists(os.path.join(PATHS["served"], slot, slot)):
            found[slot] = known
    return found


def old():
    """Slot, version and processes of a stage that was switched by reloads, out of its upstream file."""
    text = read(PATHS["old_upstream"])
    slot, _, version = text.partition("\n")[0].lstrip("# ").partition(" ")
    return {"slot": slot.strip("-"), "version": version, "servers": re.findall(r"server (\S+:\d+);", text)}


def listener(port):
    """The command of whoever listens on a port; nothing where nobody does."""
    inode = SOCKETS.get(port)
    if not inode:
        return ""
    pid = owners({inode}).get(inode, "")
    return command(pid) if pid else "a process of another user"


def has(module):
    """Whether Python's standard library has it: Debian brings some of it in packages of their own."""
    return any(os.path.isdir(os.path.join(folder, module)) for folder in sys.path)


def sudo():
    """Why sudo does not work here without a password; nothing where it does."""
    import subprocess

    try:
        done = subprocess.run(["sudo", "-n", "true"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except OSError as error:
        return str(error)
    return done.stdout.decode("utf-8", "replace").strip() if done.returncode else ""


def locked():
    """Who holds the lock of the stage now, since when and for what, if anybody."""
    try:
        with open(PATHS["stage_lock"]) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return read(PATHS["stage_lock"]) or "somebody"
    except OSError:  # there is none
        return ""
    return ""


journal = read(PATHS["journal"]).rstrip().split("\n") if WANTED["journal"] else []
fence = read(PATHS["fence_file"]).strip()
facts = {
    "locked": locked(),
    "python": sys.version.split()[0],
    "machine": os.uname().machine,
    "journal": journal[-WANTED["journal"] :] if WANTED["journal"] else [],
    "lines": len(journal),
    "fence": int(fence) if fence.isdecimal() else 0,
    "frozen": read(PATHS["frozen"]),
    "boot": sys.argv[2],
}
if WANTED["ports"]:
    facts["venv"] = has("venv") and has("ensurepip")
    facts["slots"] = {name: slot(name) for name in WANTED["ports"]}
    facts["ports"] = ports(facts["slots"])
if WANTED["probe"]:
    import shutil

    facts["proxy"] = {
        "sudo": sudo() if WANTED["sudo"] and os.getuid() else "",
        "program": shutil.which("nginx") or "",
        "listeners": {port: listener(port) for port in WANTED["listen"]},
        "conf": target(PATHS["conf"]),
        "loaded": ask("/-/config"),
        "link": target(PATHS["live"]),
        "canary": target(PATHS["canary"]),
        "answer": ask("/-/release"),
        "slots": served(),
        "old": old(),
        "certificate": certificate(WANTED["tls"], WANTED["sudo"]),
        "maintenance": read(os.path.join(PATHS["pages"], "maintenance.html")),
    }
print(json.dumps(facts))

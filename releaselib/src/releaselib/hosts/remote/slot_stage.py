"""slot_stage.py FOLDER TOOLS CACHE DIGEST START INDEX EGRESS UV_URL UV_SHA256 < files, as JSON

Installs a release in the slot FOLDER, and has it run where the supervisord that is there can go on: all in one Python,
as each costs its start. The exit codes are those of hosts/scripts.py; 3 says that it is installed and to be started.
Prints "kept" for a slot that held exactly this (DIGEST), healthy; as JSON what is not healthy, if anything is.
"""

import contextlib
import json
import os
import subprocess
import sys
import zlib

from common_bytecode import link_bytecode
from common_end import end
from common_fail import fail
from common_fetch import fetch
from common_health import Health
from common_install import Installer
from common_pause import CONF, PID, pause, resume
from common_rpc import read
from common_unpack import unpack

FOLDER, TOOLS, CACHE, DIGEST, START, INDEX, EGRESS, UV_URL, UV_SHA256 = sys.argv[1:]
NEW = FOLDER + ".new"
UV = "%s/uv-%s" % (TOOLS, UV_SHA256) if UV_URL else ""
UNSYNCED = CACHE + "/unsynced"
"""Tells the boot of the machine in which a release put something in the cache, until that is on the disk."""
BOOT = read("/proc/sys/kernel/random/boot_id")
INSTALLER = Installer(INDEX, EGRESS, FOLDER + "/netrc", CACHE, UV)


def main():
    """Leave a slot that holds exactly this, healthy, as it is; build any other anew."""
    write_files()
    pid = supervisord() if START == "yes" else 0
    if holds(pid):
        os.rename(NEW + "/release.json", FOLDER + "/release.json")
        remove(NEW)
        print("kept")
        return
    use_cache(anew=os.path.exists(UNSYNCED) and read(UNSYNCED) != BOOT)  # a power cut left it damaged
    waits = replace(pid)
    if UV:
        fetch_uv()
    tools = name_of_tools()
    made = whole(tools)
    if waits and not (made and os.fsencode(tools) in command(pid)):
        end(pid, FOLDER)
        waits = False
    if not made:
        make_tools(tools)
    os.symlink(tools, FOLDER + "/tools")
    INSTALLER.virtualenv(FOLDER + "/venv") or fail(72, "cannot make the virtualenv of the slot")
    INSTALLER.wheels(FOLDER + "/venv", FOLDER + "/requirements.txt") or fail(72, "cannot install the release")
    with contextlib.suppress(FileNotFoundError):
        os.remove(FOLDER + "/netrc")
    if START == "yes":
        asked = health()
        if taken := asked.taken():
            fail(84, "\n".join("%s: %s" % one for one in taken.items()))
        if not (waits and resume(pid, FOLDER)):
            sys.exit(3)
        failing, too_many = asked.failing()
        print(json.dumps(failing))
        sys.exit(74 if too_many else 0)


def write_files():
    """The slot's folder, empty but for its files. What the app writes there, its logs too, is for its user alone."""
    for path in (NEW + "/run", NEW + "/log", TOOLS, CACHE):
        os.makedirs(path, exist_ok=True)
    os.chmod(NEW, 0o700)
    os.chmod(NEW + "/run", 0o700)
    unpack(NEW)


def holds(pid):
    """Whether the slot holds exactly this, and is healthy where it is to run."""
    if read(FOLDER + "/healthy").strip() != DIGEST.encode():
        return False
    with contextlib.suppress(ValueError, KeyError):  # a power cut left no whole health.json
        return START != "yes" or (bool(pid) and not health().failing(0)[1])
    return False


def replace(pid):
    """Put the new folder in place of the old one. Whether the supervisord that runs in that waits for it now."""
    waits = bool(pid) and pause(pid, FOLDER, NEW)
    if not waits:
        with contextlib.suppress(FileNotFoundError):
            os.remove(FOLDER + "/runs")
        pid = supervisord()
        if pid:
            end(pid, FOLDER)
    with contextlib.suppress(FileNotFoundError):
        os.remove(FOLDER + "/healthy")  # first: what a power cut leaves of the rest is no release
    remove(FOLDER)
    os.rename(NEW, FOLDER)
    return waits


def use_cache(*, anew):
    """Have it known that the cache holds what is not on the disk, until it is; or begin another one."""
    if anew:  # what is in it: the folder may be a mount point, and what is live may write its bytecode there
        remove(*(os.path.join(CACHE, name) for name in os.listdir(CACHE)))
    with open(UNSYNCED, "wb") as file:
        file.write(BOOT)
    with contextlib.suppress(OSError):  # it saves time, and nothing else
        link_bytecode(CACHE + "/bytecode")


def fetch_uv():
    """Have uv there, as long as when it was made."""
    with contextlib.suppress(OSError, ValueError):
        if os.path.getsize(UV) == int(read(UV + ".size")):
            return
    try:
        fetch(UV_URL, UV_SHA256, UV, EGRESS, FOLDER + "/netrc")
    except OSError:
        raise
    except Exception as error:  # of the network, or of what came from it
        fail(71, "%s\ncannot fetch uv from the index" % error)


def name_of_tools():
    """The virtualenv of supervisor, which belongs to the Python that it was made with."""
    parts = (sys.version, sys.base_prefix, read(FOLDER + "/tools.txt").decode())
    return "%s/%08x" % (TOOLS, zlib.crc32("\n".join(parts).encode()))


def whole(tools):
    """Whether they are as they were made: also after a power cut. To start each would cost three Pythons."""
    ready = read(tools + "/ready")
    return bool(ready) and ready == listed(tools)


def listed(folder):
    """Its files by size, without links that lead nowhere any more."""
    found = []
    for path, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__"]
        for file in (os.path.join(path, name) for name in files if name != "ready"):
            with contextlib.suppress(OSError):
                found.append("%d %s" % (os.stat(file).st_size, file))
    return os.fsencode("\n".join(sorted(found)))


def make_tools(tools):
    """Make them, once a host: they are kept. Damaged ones stay for the slots that have them, when none can be made."""
    damaged = tools + ".damaged"
    if os.path.exists(tools):
        use_cache(anew=True)  # uv links the same files into each virtualenv: they are broken there, too
        os.path.exists(damaged) or os.rename(tools, damaged)
    remove(tools)
    if not (INSTALLER.virtualenv(tools) and INSTALLER.wheels(tools, FOLDER + "/tools.txt")):
        if os.path.exists(damaged):
            remove(tools)
            os.rename(damaged, tools)
        fail(71, "cannot install the tools")
    with open(tools + "/ready", "wb") as file:
        file.write(listed(tools))
    remove(damaged)


def health():
    """What is to be asked in the slot."""
    return Health(json.loads(read(FOLDER + "/health.json").decode()))


def supervisord():
    """The pid of the slot's supervisord; 0 where none runs. A pid file outlives a power cut."""
    pid = read(FOLDER + PID).strip()
    return int(pid) if pid.isdigit() and os.fsencode(FOLDER + CONF) in command(int(pid)) else 0


def command(pid):
    """What a process was started as."""
    return read("/proc/%d/cmdline" % pid)


def remove(*paths):
    """Remove what is there."""
    subprocess.call(("rm", "-rf", *paths))


try:
    main()
except OSError as error:
    fail(70, error)

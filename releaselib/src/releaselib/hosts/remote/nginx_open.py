"""nginx_open.py HTTP_CONF SLOT SECONDS: waits until no connection is open from here to an upstream whose name ends
in SLOT, and prints how many there are after that many seconds. An idle connection that nginx keeps is closed
after the upstream's keepalive_timeout, so what is left is at work."""

import re
import socket
import sys
import time

file, name, seconds = sys.argv[1:]


def servers():
    """(address as /proc/net/tcp has it, port) of every process of the upstream."""
    try:
        with open(file, encoding="utf-8") as conf:
            text = conf.read()
    except OSError:  # nothing was released here yet
        return set()
    block = re.search(r"upstream \w+%s \{(.*?)\}" % re.escape(name), text, re.DOTALL)
    found = set()
    for server in re.findall(r"server (\S+);", block.group(1) if block else ""):
        host, _, port = server.rpartition(":")
        try:
            places = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
        except OSError:  # a name that is gone has no connection either
            continue
        for family, _, _, _, place in places:
            raw = socket.inet_pton(family, place[0])
            words = [raw[n : n + 4][::-1].hex().upper() for n in range(0, len(raw), 4)]
            found.add(("".join(words), int(port)))
            if family == socket.AF_INET:
                found.add(("0000000000000000FFFF0000" + words[0], int(port)))
    return found


def count(wanted):
    number = 0
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table) as lines:
                rows = [line.split() for line in lines][1:]
        except OSError:
            continue
        for row in rows:
            address, port = row[2].split(":")
            number += row[3] == "01" and (address, int(port, 16)) in wanted
    return number


wanted = servers()
end = time.monotonic() + float(seconds)
while True:
    left = count(wanted)
    if not left or time.monotonic() > end:
        break
    time.sleep(0.1)
print(left)

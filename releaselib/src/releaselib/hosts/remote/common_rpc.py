"""common_rpc.py: asks a supervisord over its socket (XML-RPC, as its manual has it). The import of the library for that
would take longer than the answer."""

import contextlib
import re
import socket
import time

OF_EACH = re.compile(
    b".*?".join(
        rb"<name>%s</name>\s*<value><string>(.*?)</string>" % one
        for one in (b"name", b"group", b"statename", b"spawnerr")
    ),
    re.DOTALL,
)


def rpc(path, method, seconds):
    """What it answers; raises OSError when it does not within so many seconds, or answers with a fault.

    It looks at its processes once a second, and at once when somebody knocks at its socket.
    """
    body = b"<methodCall><methodName>supervisor.%s</methodName></methodCall>" % method.encode()
    head = b"POST /RPC2 HTTP/1.0\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n" % len(body)
    end, told = time.monotonic() + seconds, b""
    with socket.socket(socket.AF_UNIX) as asked:
        asked.settimeout(0.05)
        asked.connect(path)
        asked.sendall(head + body)
        while b"</methodResponse>" not in told:
            if time.monotonic() > end:
                raise OSError("no answer to %s" % method)
            try:
                piece = asked.recv(65536)
            except socket.timeout:
                knock(path)
                continue
            if not piece:
                break
            told += piece
    if b" 200 " not in told[:20] or b"<fault>" in told or b"</methodResponse>" not in told:
        raise OSError("it does not %s" % method)
    return told


def states(path):
    """What it says of each of its processes, {name: (state, why)}; raises OSError as rpc does."""
    found = {}
    for one in OF_EACH.findall(rpc(path, "getAllProcessInfo", 5)):
        name, group, state, why = (words.decode("utf-8", "replace") for words in one)
        found[name if name == group else "%s:%s" % (group, name)] = state, why
    return found


def knock(path):
    """Wake it."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as door:
        door.settimeout(1)
        door.connect(path)


def read(path):
    """A file as bytes; nothing where there is none."""
    with contextlib.suppress(OSError), open(path, "rb") as file:
        return file.read()
    return b""

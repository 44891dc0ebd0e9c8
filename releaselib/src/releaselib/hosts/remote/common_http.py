"""common_http.py: one question over HTTP/1.1 (RFC 9112), without TLS, and its answer.

http.client and urllib.request bring TLS and mail: importing them takes longer than all that is asked here.
"""

import io
import socket
import time

MOST = 10_000_000
"""Bytes of an answer that are read."""


class Answer(io.RawIOBase):
    """What a connection brings until a moment; whoever sends it bit by bit gets no longer."""

    def __init__(self, connection, end):
        self.connection, self.end, self.taken = connection, end, 0

    def readable(self):
        return True

    def readinto(self, buffer):
        left = self.end - time.monotonic()
        try:
            if left <= 0 or self.taken > MOST:
                raise socket.timeout
            self.connection.settimeout(left)
            count = self.connection.recv_into(buffer)
        except socket.timeout:
            raise TimeoutError("no end of the answer, after %s bytes of it" % self.taken) from None
        self.taken += count
        return count


def get(place, path, headers, seconds):
    """Ask address:port for a path. Returns status, reason, headers (in small letters) and body.

    Raises OSError and ValueError for what is no whole answer within so many seconds, and 10 MB.
    """
    address, _, port = place.rpartition(":")
    given = {name.lower() for name in headers}
    own = {"Host": place, "User-Agent": "releaselib", "Accept-Encoding": "identity", "Connection": "close"}
    lines = [*headers.items(), *((name, value) for name, value in own.items() if name.lower() not in given)]
    words = ["GET %s HTTP/1.1" % path, *("%s: %s" % line for line in lines), "", ""]
    end = time.monotonic() + seconds
    # As bytes: for a text Python imports its rules for names in other letters, which takes longer than the answer.
    with socket.create_connection((address.strip("[]").encode("ascii"), int(port)), seconds) as connection:
        connection.sendall("\r\n".join(words).encode("latin-1"))
        with io.BufferedReader(Answer(connection, end), 65536) as answer:
            status = 100
            while status < 200:  # what only says that an answer will follow
                status, reason = _status(_line(answer))
                fields = dict(iter(lambda: _field(_line(answer)), None))
            return status, reason, fields, b"" if status in (204, 304) else _body(answer, fields)


def _line(answer):
    line = answer.readline()
    if not line.endswith(b"\n"):
        raise ConnectionError("the answer ended within a line" if line else "closed without an answer")
    return line


def _status(line):
    protocol, _, rest = line.decode("latin-1").strip().partition(" ")
    number, _, reason = rest.partition(" ")
    if not protocol.startswith("HTTP/") or not number.isdigit():
        raise ValueError("not HTTP: %r" % line[:100])
    return int(number), reason


def _field(line):
    """A header; None behind the last one."""
    name, _, value = line.decode("latin-1").partition(":")
    return (name.strip().lower(), value.strip()) if line.strip() else None


def _body(answer, fields):
    if "chunked" in fields.get("transfer-encoding", "").lower():
        chunks = iter(lambda: _whole(answer, int(_line(answer).partition(b";")[0], 16) + 2)[:-2], b"")
        return b"".join(chunks)
    if "content-length" in fields:
        return _whole(answer, int(fields["content-length"]))
    return answer.read()


def _whole(answer, size):
    if size > MOST:
        raise ValueError("an answer of %s bytes" % size)
    data = answer.read(size)
    if len(data) < size:
        raise ConnectionError("the answer ended after %s of %s bytes" % (len(data), size))
    return data

"""common_http.py: one question over HTTP/1.1 (RFC 9112), without TLS, and its answer.

http.client and urllib.request bring TLS and mail: importing them takes longer than all that is asked here.
"""

import socket


def get(place, path, headers, seconds):
    """Ask address:port for a path. Returns status, reason, headers (in small letters) and body.

    Raises OSError and ValueError for what is no whole answer; it may say nothing for so many seconds.
    """
    address, _, port = place.rpartition(":")
    lines = ["%s: %s" % one for one in dict(headers, Connection="close").items()]
    if not any(name.lower() == "host" for name in headers):
        lines.insert(0, "Host: " + place)
    words = ["GET %s HTTP/1.1" % path, *lines, "", ""]
    with socket.create_connection((address.strip("[]"), int(port)), seconds) as connection:
        connection.sendall("\r\n".join(words).encode("latin-1"))
        with connection.makefile("rb") as answer:
            status = 100
            while status < 200:  # what only says that an answer will follow
                status, reason = _status(answer.readline())
                fields = dict(iter(lambda: _field(answer.readline()), None))
            return status, reason, fields, _body(answer, fields)


def _status(line):
    if not line:
        raise ConnectionError("the connection was closed without an answer")
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
    if "chunked" in fields.get("transfer-encoding", ""):
        chunks = iter(lambda: _whole(answer, int(answer.readline().partition(b";")[0], 16) + 2)[:-2], b"")
        return b"".join(chunks)
    if "content-length" in fields:
        return _whole(answer, int(fields["content-length"]))
    return answer.read()


def _whole(answer, size):
    data = answer.read(size)
    if len(data) < size:
        raise ConnectionError("the answer ended after %s of %s bytes" % (len(data), size))
    return data

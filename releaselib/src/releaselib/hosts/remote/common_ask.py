"""common_ask.py: asks nginx what it has loaded."""

import time

from common_http import get


def unexpected(seconds, asked):
    """Ask each URL until the answer is the expected one, [(url, expected), ...], one after the other.

    Returns what else was answered for so many seconds, in words; nothing when it was not.
    """
    end = time.monotonic() + seconds
    for url, expected in asked:
        while True:
            told = answer(url)
            if told == expected:
                break
            if time.monotonic() > end:
                return "nginx answers at %s: %s (expected: %s)" % (url, told, expected)
            time.sleep(0.02)
    return ""


def answer(url):
    """What is answered there, or what is wrong."""
    place, _, path = url.partition("://")[2].partition("/")
    try:
        status, reason, _, body = get(place, "/" + path, {}, 5)
    except Exception as error:
        return str(error)
    return body.decode("utf-8", "replace").strip() if status == 200 else "%s %s" % (status, reason)

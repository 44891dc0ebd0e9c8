"""nginx_ask.py SECONDS (URL EXPECTED)...: asks one after the other until the answer is the expected one."""

import sys
import time

from common_http import get

end = time.monotonic() + float(sys.argv[1])


def answer(url):
    place, _, path = url.partition("://")[2].partition("/")
    try:
        status, reason, _, body = get(place, "/" + path, {}, 5)
    except Exception as error:
        return str(error)
    return body.decode("utf-8", "replace").strip() if status == 200 else "%s %s" % (status, reason)


for url, expected in zip(sys.argv[2::2], sys.argv[3::2]):
    while True:
        told = answer(url)
        if told == expected:
            break
        if time.monotonic() > end:
            sys.exit("nginx answers at %s: %s (expected: %s)" % (url, told, expected))
        time.sleep(0.02)

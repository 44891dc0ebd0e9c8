"""nginx_ask.py SECONDS (URL EXPECTED)...: asks one after the other until the answer is the expected one."""

import sys
import time
import urllib.error
import urllib.request

opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
end = time.monotonic() + float(sys.argv[1])


def answer(url):
    try:
        return opener.open(url, timeout=5).read().decode("utf-8", "replace").strip()
    except urllib.error.HTTPError as error:
        return "%s %s" % (error.code, error.reason)
    except Exception as error:
        return str(error)


for url, expected in zip(sys.argv[2::2], sys.argv[3::2]):
    while True:
        told = answer(url)
        if told == expected:
            break
        if time.monotonic() > end:
            sys.exit("nginx answers at %s: %s (expected: %s)" % (url, told, expected))
        time.sleep(0.02)

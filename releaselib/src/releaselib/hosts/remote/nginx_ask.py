"""nginx_ask.py URL EXPECTED SECONDS: asks until the answer is the expected one."""

import sys
import time
import urllib.error
import urllib.request

url, expected, seconds = sys.argv[1:]
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
end = time.monotonic() + float(seconds)
while True:
    try:
        answer = opener.open(url, timeout=5).read().decode("utf-8", "replace").strip()
    except urllib.error.HTTPError as error:
        answer = "%s %s" % (error.code, error.reason)
    except Exception as error:
        answer = str(error)
    if answer == expected:
        break
    if time.monotonic() > end:
        sys.exit("nginx answers at %s: %s (expected: %s)" % (url, answer, expected))
    time.sleep(0.02)

"""nginx_ask.py URL HOST SERVES SECONDS: asks nginx until it says three times in a row that it serves that."""

import sys
import time
import urllib.request

url, host, serves, seconds = sys.argv[1:]
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
end, seen, last = time.monotonic() + float(seconds), 0, ""
while seen < 3:
    try:
        request = urllib.request.Request(url + "/-/release", headers={"Host": host})
        last = opener.open(request, timeout=2).read().decode().strip()
    except Exception as error:
        last = str(error)
    seen = seen + 1 if last == serves else 0
    if time.monotonic() > end:
        sys.exit("nginx still answers: %s (expected: %s)" % (last, serves))
    time.sleep(0.02)

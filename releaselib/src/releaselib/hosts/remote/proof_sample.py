"""proof_sample.py URL HOST PATH ENOUGH: request after request, about 100 a second.

Says "sampling" after its FIRST answers, of which those that fail show that the old release does. A line "switched"
on standard input opens the second bucket; it ends when that holds ENOUGH requests, or standard input ends.
Prints {"during": counts, "after": counts, "failed": {"first": [words, ...], "during": ..., "after": ...}}; counts maps
the version that the answers tell ("-" where they tell none) to their number.
"""

import collections
import json
import select
import sys
import time
import urllib.request

URL, HOST, PATH = sys.argv[1:4]
ENOUGH = int(sys.argv[4])
FIRST = 5
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def version(body):
    try:
        return str(json.loads(body.decode("utf-8"))["version"])
    except (ValueError, KeyError, TypeError):
        return "-"


def sample(counts, failed):
    begun = time.monotonic()
    try:
        request = urllib.request.Request(URL + PATH, headers={"Host": HOST})
        with OPENER.open(request, timeout=10) as answer:
            counts[version(answer.read())] += 1
    except Exception as error:
        failed.append("%s after %.2f s" % (error, time.monotonic() - begun))


buckets = {"during": collections.Counter(), "after": collections.Counter()}
failed = {"first": [], "during": [], "after": []}
now = "during"
sent = 0
while sum(buckets[now].values()) < FIRST and not failed["first"]:
    sample(buckets[now], failed["first"])
print("sampling", flush=True)
while sent < ENOUGH:
    if select.select([sys.stdin], [], [], 0.01)[0]:
        line = sys.stdin.readline()
        if not line:
            break
        now = "after"
    sample(buckets[now], failed[now])
    sent += now == "after"
print(json.dumps(dict(buckets, failed=failed)))

"""proof_sample.py URL HOST PATH STATUS ENOUGH BEFORE: request after request, about 100 a second. An answer of 400 and
more is a failure, unless it is STATUS; so is a redirect, unless BEFORE a switch the old release answered by one.

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

from common_http import get

URL, HOST, PATH = sys.argv[1:4]
STATUS, ENOUGH = int(sys.argv[4]), int(sys.argv[5])
BEFORE = sys.argv[6] == "yes"
FIRST = 5
FINE = {STATUS, *range(200, 300)}


FAILED = {"first": [], "during": [], "after": []}


def version(body):
    try:
        return str(json.loads(body.decode("utf-8"))["version"])
    except (ValueError, KeyError, TypeError):
        return "-"


def sample(counts, when):
    begun = time.monotonic()
    try:
        status, reason, _, body = get(URL.partition("://")[2], PATH, {"Host": HOST}, 10)
        if BEFORE and when == "first" and status < 400:
            FINE.add(status)
        words = "" if status in FINE else "answered %s %s" % (status, reason)
    except Exception as error:
        words = str(error)
    if words:
        FAILED[when].append("%s after %.2f s" % (words, time.monotonic() - begun))
    else:
        counts[version(body)] += 1


buckets = {"during": collections.Counter(), "after": collections.Counter()}
now = "during"
sent = 0
while sum(buckets[now].values()) < FIRST and not FAILED["first"]:
    sample(buckets[now], "first")
print("sampling", flush=True)
while sent < ENOUGH:
    if select.select([sys.stdin], [], [], 0.01)[0]:
        line = sys.stdin.readline()
        if not line:
            break
        now = "after"
    sample(buckets[now], now)
    sent += now == "after"
print(json.dumps(dict(buckets, failed=FAILED)))

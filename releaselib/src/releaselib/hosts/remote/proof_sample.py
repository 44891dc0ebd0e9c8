"""proof_sample.py URL HOST PATH ENOUGH: request after request, about 100 a second, until standard input ends.

Says "sampling" after its first answer. A line "switched" on standard input opens the second bucket,
and "enough" is said when that holds ENOUGH requests.
Prints {"during": counts, "after": counts, "failed": [words, ...]}; counts maps the version that the
answers tell ("-" where they tell none) to their number.
"""

import collections
import json
import select
import sys
import time
import urllib.request

URL, HOST, PATH = sys.argv[1:4]
ENOUGH = int(sys.argv[4])
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
failed = []
now = "during"
sent = 0
sample(buckets[now], failed)
print("sampling", flush=True)
while True:
    if select.select([sys.stdin], [], [], 0.01)[0]:
        line = sys.stdin.readline()
        if not line:
            break
        now = "after"
    sample(buckets[now], failed)
    sent += now == "after"
    if now == "after" and sent == ENOUGH:
        print("enough", flush=True)
print(json.dumps(dict(buckets, failed=failed)))

"""nginx_watch.py LOG WATCHING: counts the lines "TIME STATUS SECONDS UPSTREAM" that came since the watching began (the
file has the bytes that were there), and prints {upstream: [requests, errors, seconds that 95 of 100 took at most]}."""

import collections
import json
import sys

times, errors = collections.defaultdict(list), collections.Counter()
try:
    with open(sys.argv[2]) as watching, open(sys.argv[1], "rb") as log:
        log.seek(int(watching.read() or 0))
        for line in log:
            part = line.decode("utf-8", "replace").split()
            if len(part) == 4:  # the last one may be half written
                times[part[3]].append(float(part[2]))
                errors[part[3]] += part[1].startswith("5")
except OSError:  # nobody has come yet
    pass
found = {}
for name, seconds in times.items():
    seconds.sort()
    found[name] = [len(seconds), errors[name], seconds[int(len(seconds) * 0.95)] if seconds else 0.0]
print(json.dumps(found))

"""health.py [SECONDS] < JSON: asks every target until each is healthy, in the time that is told or in so many seconds.
Prints what those that are not healthy answered last, as JSON: {target: words}. Exit code 74 when these are too many."""

import json
import sys

from common_health import Health

failing, too_many = Health(json.load(sys.stdin)).failing(*sys.argv[1:])
print(json.dumps(failing))
sys.exit(74 if too_many else 0)

"""static_read.py SLOT FOLDER < a path for each line: see static_read.sh.

The folder is looked for in the slot, then among what is installed. A link that leads out of the slot is no file of it.
"""

import base64
import glob
import hashlib
import json
import os
import sys

slot, folder = os.path.realpath(sys.argv[1]), sys.argv[2]
places = [
    os.path.join(slot, folder),
    *sorted(glob.glob(glob.escape(slot) + "/venv/lib/python3*/site-packages/" + folder)),
]
root = next(filter(os.path.isdir, places), "")
if not root:
    sys.exit(1)
found = {}
for where, _, names in os.walk(root):
    for name in names:
        path = os.path.join(where, name)
        if os.path.isfile(path) and os.path.realpath(path).startswith(slot + "/"):
            with open(path, "rb") as file:
                content = file.read()
            found[os.path.relpath(path, root)] = [hashlib.sha256(content).hexdigest(), len(content)]
print(json.dumps(found), flush=True)
for line in sys.stdin:
    with open(os.path.join(root, line.rstrip("\n")), "rb") as file:
        print("+" + base64.b64encode(file.read()).decode(), flush=True)

"""slot_settings.py FILE < {"key": text}: {name: HMAC-SHA256 of its value, ...} as JSON; empty without the file."""

import hashlib
import hmac
import json
import os
import shlex
import sys

KEY = json.load(sys.stdin)["key"].encode()
words = []
if os.path.exists(sys.argv[1]):
    with open(sys.argv[1], encoding="utf-8") as file:
        words = [word for word in shlex.split(file.read()) if word != "export"]
values = dict(word.split("=", 1) for word in words)
print(json.dumps({name: hmac.new(KEY, value.encode(), hashlib.sha256).hexdigest() for name, value in values.items()}))

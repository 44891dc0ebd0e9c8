"""common_unpack.py FOLDER < {name: text or value, ...}: writes the files, readable by their owner only."""

import json
import os
import sys

for name, content in json.load(sys.stdin).items():
    path = os.path.join(sys.argv[1], name)
    text = content if isinstance(content, str) else json.dumps(content)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)

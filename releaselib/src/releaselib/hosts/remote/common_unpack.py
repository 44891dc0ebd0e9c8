"""common_unpack.py: writes files that came as JSON."""

import json
import os
import sys


def unpack(folder):
    """Write the files of standard input, {name: text or value, ...}, readable by their owner only, but for
    {"text": ..., "mode": ...}, which has a mode of its own. Returns them."""
    given = json.load(sys.stdin)
    for name, content in given.items():
        path = os.path.join(folder, name)
        mode, text = "0600", content if isinstance(content, str) else json.dumps(content)
        if isinstance(content, dict) and set(content) == {"text", "mode"}:
            mode, text = content["mode"], content["text"]
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, int(mode, 8))
    return given

"""common_lay.py: lays down what nginx reads, which it may do at any moment."""

import json
import os


def lay(folder, name, text):
    """Put a file in place at once, unless it is there as it should be."""
    path = os.path.join(folder, name)
    try:
        with open(path, encoding="utf-8") as file:
            if file.read() == text:
                return
    except OSError:
        pass
    os.makedirs(folder, exist_ok=True)
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.rename(path + ".new", path)


def lay_slots(folder, slots):
    """Make a folder in it for each slot, {name: {"line": what nginx answers while it is live, a release's fields}}:
    that line, the release, and the file by which nginx knows it."""
    for name, told in slots.items():
        of = os.path.join(folder, name)
        lay(of, "release", told["line"] + "\n")
        lay(of, "release.json", json.dumps({key: value for key, value in told.items() if key != "line"}))
        lay(of, name, "")  # last: from here on it can be switched to

"""nginx_lay.py NEW CONF SERVED: makes the folder CONF out of the file NEW/conf, and a folder of SERVED for each
slot in NEW/slots: what nginx answers while it is live, its release, and the file by which nginx knows it."""

import json
import os
import sys

new, conf, served = sys.argv[1:]


def read(name):
    with open(os.path.join(new, name), encoding="utf-8") as file:
        return json.load(file)


def write(folder, name, text):
    """Put a file in place at once, unless it is there as it should be; nginx may read it at any moment."""
    path = os.path.join(folder, name)
    try:
        with open(path, encoding="utf-8") as file:
            if file.read() == text:
                return
    except OSError:
        pass
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.rename(path + ".new", path)


os.makedirs(conf, exist_ok=True)
for name, text in read("conf").items():
    write(conf, name, text)
for slot, known in read("slots").items():
    folder = os.path.join(served, slot)
    os.makedirs(folder, exist_ok=True)
    write(folder, "release", known.pop("line") + "\n")
    write(folder, "release.json", json.dumps(known))
    write(folder, slot, "")  # last: from here on it can be switched to

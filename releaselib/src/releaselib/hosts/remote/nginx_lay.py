"""nginx_lay.py conf NEW FOLDER: makes the folder out of the file NEW/conf.
nginx_lay.py slots NEW FOLDER SLOT...: makes a folder in it for each slot in NEW/slots, or only for these: what nginx
answers while it is live, its release, and the file by which nginx knows it."""

import json
import os
import sys

what, new, folder, *only = sys.argv[1:]


def write(folder, name, text):
    """Put a file in place at once, unless it is there as it should be; nginx may read it at any moment."""
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


with open(os.path.join(new, what), encoding="utf-8") as given:
    items = json.load(given)
for name, value in items.items():
    if what == "conf":
        write(folder, name, value)
    elif not only or name in only:
        slot = os.path.join(folder, name)
        write(slot, "release", value.pop("line") + "\n")
        write(slot, "release.json", json.dumps(value))
        write(slot, name, "")  # last: from here on it can be switched to

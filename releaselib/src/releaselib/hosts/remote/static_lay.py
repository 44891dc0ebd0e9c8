"""static_lay.py FOLDER SLOT URL DAYS < JSON: see static_lay.sh.

FOLDER/files/SHA-256    each content once; all the others are hard links to it
FOLDER/trees/DIGEST     the files of a release by their paths at the site; FOLDER/SLOT is a link to that of the slot
FOLDER/kept             the files of all trees, the newest of each path: a page may be of a release that was before
"""

import base64
import hashlib
import json
import os
import shutil
import sys
import time

FOLDER, SLOT, URL, DAYS = sys.argv[1:]
given = json.load(sys.stdin)
store, trees, kept = (os.path.join(FOLDER, name) for name in ("files", "trees", "kept"))
for one in (store, trees, kept):
    os.makedirs(one, exist_ok=True)


def below(folder):
    """Every file below a folder, by its path in it."""
    for where, _, names in os.walk(folder):
        for name in names:
            yield os.path.relpath(os.path.join(where, name), folder)


def link(digest, path):
    """Have a file at a path, at once; nginx may read it at any moment. What was a folder once can be a file now."""
    above = os.path.dirname(path)
    while not os.path.isdir(above):
        if os.path.exists(above):
            os.unlink(above)
        above = os.path.dirname(above)
    if os.path.isdir(path):
        shutil.rmtree(path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.lexists(path + ".new"):
        os.unlink(path + ".new")
    os.link(os.path.join(store, digest), path + ".new")
    os.rename(path + ".new", path)
    if os.path.lexists(path + ".new"):  # rename(2) of two links to one file does nothing
        os.unlink(path + ".new")


for digest, text in given["content"].items():
    path = os.path.join(store, digest)
    content = base64.b64decode(text)
    if hashlib.sha256(content).hexdigest() != digest:
        sys.exit("a static file arrived as something else")
    with open(path + ".new", "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.chmod(path + ".new", 0o644)
    # nginx makes ETag and Last-Modified of the time: by the content it is the same on every proxy.
    when = int(digest[:8], 16) % 1500000000
    os.utime(path + ".new", (when, when))
    os.rename(path + ".new", path)

files = given["files"]
lacking = sorted({digest for digest in files.values() if not os.path.exists(os.path.join(store, digest))})
print(json.dumps(lacking))
if lacking:
    sys.exit()

now = time.time()
named = hashlib.sha256(json.dumps([URL, files], sort_keys=True).encode()).hexdigest()[:16]
tree = os.path.join(trees, named)
if not os.path.isdir(tree):
    shutil.rmtree(tree + ".new", ignore_errors=True)
    os.makedirs(tree + ".new" + URL)
    for path, digest in files.items():
        link(digest, tree + ".new" + URL + path)
    os.rename(tree + ".new", tree)
for path, digest in files.items():
    if not os.path.exists(kept + URL + path) or not os.path.samefile(kept + URL + path, os.path.join(store, digest)):
        link(digest, kept + URL + path)


def in_use():
    """The trees that slots have now."""
    links = (os.path.join(FOLDER, name) for name in os.listdir(FOLDER))
    return {os.path.basename(os.readlink(path)) for path in links if os.path.islink(path)}


for name in in_use():  # from here on the days of what this slot had are counted
    if os.path.isdir(os.path.join(trees, name)):
        os.utime(os.path.join(trees, name), (now, now))
mine = os.path.join(FOLDER, SLOT)
if os.path.lexists(mine + ".new"):
    os.unlink(mine + ".new")
os.symlink("trees/" + named, mine + ".new")
os.rename(mine + ".new", mine)

used = in_use()
for name in os.listdir(trees):
    path = os.path.join(trees, name)
    if name not in used and os.stat(path).st_mtime < now - 86400 * float(DAYS):
        shutil.rmtree(path)
left = {path for name in os.listdir(trees) for path in below(os.path.join(trees, name))}
for path in set(below(kept)) - left:
    os.unlink(os.path.join(kept, path))
for name in os.listdir(store):
    if os.stat(os.path.join(store, name)).st_nlink == 1:
        os.unlink(os.path.join(store, name))

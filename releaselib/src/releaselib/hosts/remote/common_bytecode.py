"""common_bytecode.py: has the processes of slots find the bytecode that this Python has of its own library. Else each
host would compile once more what is used of it."""

import os
import sys

RARE = {"site-packages", "dist-packages", "test", "tests", "idlelib", "lib2to3", "ensurepip", "tkinter"}
RARE |= {"distutils", "encodings", "pydoc_data", "curses", "turtledemo", "msilib", "__phello__"}


def link_bytecode(folder):
    """Link it below a folder, as PYTHONPYCACHEPREFIX has it, unless that was done."""
    ending, library = ".%s.pyc" % sys.implementation.cache_tag, os.path.dirname(os.__file__)
    if os.path.exists(folder + library):
        return
    for path, folders, _ in os.walk(library):
        folders[:] = [name for name in folders if name not in RARE]
        if "__pycache__" not in folders:
            continue
        folders.remove("__pycache__")
        made, kept = os.path.join(path, "__pycache__"), folder + path
        if not folders:
            os.makedirs(os.path.dirname(kept), exist_ok=True)
            os.symlink(made, kept)  # one link, as each takes its time
            continue
        os.makedirs(kept, exist_ok=True)
        for name in (name for name in os.listdir(made) if name.endswith(ending)):
            os.symlink(os.path.join(made, name), os.path.join(kept, name))

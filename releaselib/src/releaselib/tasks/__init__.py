"""Fabric's face: tasks parse, call and print; nothing is decided here.

A generated fabfile.py takes ``namespace`` from here. A task is a typed function that calls one of those that
the library promises; these are imported when they are called, so that listing the tasks costs nothing.
"""

import atexit
import gc

from releaselib.tasks import by_hand, releases, single
from releaselib.tasks.task import namespace

__all__ = ["by_hand", "namespace", "releases", "single"]

# Python looks for unused objects each time there are 700 more: in a command that is over soon that finds nothing, and
# takes a tenth of its start. At its end it looks at all that was imported, twice: that takes another tenth.
gc.set_threshold(100_000, 20, 20)
atexit.register(gc.freeze)

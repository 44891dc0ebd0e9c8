"""Real hosts on this machine, for tests, the demo and benchmarks (Linux, as root): see README.md."""

from __future__ import annotations

from rig.ground import RigError, supported, sweep, wait_for
from rig.hosts import Fleet, Host

__all__ = ["Fleet", "Host", "RigError", "supported", "sweep", "wait_for"]

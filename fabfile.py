"""releaselib is built and published with its own tasks: `fab build --json | fab publish`."""

from releaselib.tasks import namespace

__all__ = ["namespace"]

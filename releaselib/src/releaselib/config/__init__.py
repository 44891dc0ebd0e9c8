"""What release.toml says, as frozen values; nothing of what is seen, decided or done."""

from releaselib.config.file import Project, load, parse

__all__ = ["Project", "load", "parse"]

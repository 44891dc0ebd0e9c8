"""Commit -> wheel -> pins: git, the build, the resolution; knows no index but by its address, and no host."""

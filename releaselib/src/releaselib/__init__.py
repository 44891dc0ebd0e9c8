"""Release Python projects to plain Linux servers through the team's own package index.

Every feature is a plain function in a module of its own, named here so that it can be taken out and
used alone; nothing is imported before it is asked for, so ``import releaselib`` costs nothing.
"""

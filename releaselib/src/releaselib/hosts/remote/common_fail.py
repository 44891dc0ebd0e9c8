"""common_fail.py: how a program ends that fails."""

import sys


def fail(code, words):
    """End with these words."""
    print(words, file=sys.stderr)
    sys.exit(code)

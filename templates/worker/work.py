"""What this worker does."""

import logging

from .about import PROJECT, about

log = logging.getLogger(__name__)


def work() -> None:
    """One piece of work: take the next message of a queue here, or look what is due.

    While a release is under way the worker of the old slot and that of the new one run side by
    side, so two of them must not harm each other.
    """
    log.info("%s %s is at work", PROJECT, about()["version"])

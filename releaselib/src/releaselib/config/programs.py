"""The tables [app.programs.NAME]: what runs in a slot beside the processes that visitors are sent to."""

from datetime import datetime
from typing import Annotated

from cronsim import CronSim, CronSimError
from pydantic import Field, model_validator

from releaselib.config.table import Table, must

EPOCH = datetime(2000, 1, 1)


def _is_schedule(text: str) -> bool:
    try:
        CronSim(text, EPOCH)
    except CronSimError:
        return False
    return True


class Program(Table):
    """A program of a slot: its command, how many processes, where, and whether it may run beside itself.

    In ``command`` {port}, {bind}, {slot_dir} and {number} are filled in. ``stop_seconds`` are what a process may take
    to end. What is ``live_only`` runs in the live slot and in no other; of what is ``one_host`` one host of the stage
    has it. A ``schedule`` (five fields, as of crontab(5)) runs the command at these times, and never beside itself.
    """

    command: Annotated[str, must(str.strip, "is empty")]
    processes: int = Field(default=1, ge=1, le=100)
    port: bool = False
    health: str = ""
    hosts: tuple[str, ...] = Field(default=(), strict=False)
    stop_seconds: int = Field(default=40, ge=1, le=86400)
    live_only: bool = False
    one_host: bool = False
    schedule: Annotated[str, must(lambda v: not v or _is_schedule(v), "is no schedule like */5 * * * *: {}")] = ""

    @model_validator(mode="after")
    def _whole(self) -> "Program":
        if self.health.startswith("/") and not self.port:
            raise ValueError("health is a path, but the program has no port: set port = true, or give a command")
        if self.health.startswith("/") and self.waits:
            raise ValueError("health of what starts with the switch only is a command, not a path")
        if self.schedule and (self.port or self.health or self.processes > 1):
            raise ValueError("what runs by a schedule has no port, no health and one process")
        return self

    @property
    def waits(self) -> bool:
        """Whether it starts with the switch only, after the old one has stopped."""
        return self.live_only or self.one_host or bool(self.schedule)

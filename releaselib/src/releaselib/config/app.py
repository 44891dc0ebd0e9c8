"""The table [app]: what runs in a slot, how its health is asked, and what runs once for a release."""

import re
import shlex
from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import Field, model_validator

from releaselib.config.programs import Program
from releaselib.config.table import Name, Table, must

SLOTS = "abcdefghi"
PORT_STEP = 10
"""Distance between the first ports of two neighbouring slots, and so the most processes of one."""


Header = Annotated[str, must(lambda v: re.fullmatch(r"[A-Za-z0-9-]+", v), "is no name of a header: {}")]
Line = Annotated[str, must(lambda v: v.isprintable() and v.isascii(), "must be one line of ASCII")]


def _readable(read: Callable[[str], object]) -> Callable[[str], bool]:
    """Whether a text can be read so."""

    def check(text: str) -> bool:
        try:
            read(text)
        except ValueError:
            return False
        return True

    return check


def _requirement(text: str) -> object:
    from packaging.requirements import Requirement  # here: it takes long, and few projects have any

    return Requirement(text)


Requirements = Annotated[
    tuple[Annotated[str, must(_readable(_requirement), "is no requirement like gunicorn>=23: {}")], ...],
    Field(strict=False),
]


class Once(Table):
    """A command that runs once for a release, in its slot: where, when, and for how many seconds at most."""

    command: Annotated[
        str, must(str.strip, "is empty"), must(_readable(shlex.split), "is no command line, a quote is open: {}")
    ]
    when: Literal["before_start", "before_switch", "after_switch"] = "before_switch"
    on: Literal["one", "all"] = "one"
    timeout: int = Field(default=600, ge=1)
    always: bool = False


class Static(Table):
    """Files that nginx on the proxies serves: where visitors find them, and the folder that has them in a slot.

    ``folder`` lies in the slot, or among what is installed there. Those of a release that was replaced are served for
    ``keep_days`` more.
    """

    url: Annotated[
        str, must(lambda v: re.fullmatch(r"(/[\w.-]+)+/", v), "must be a path between slashes, like /static/: {}")
    ] = "/static/"
    folder: Annotated[
        str,
        must(
            lambda v: re.fullmatch(r"[\w.-]+(/[\w.-]+)*", v) and ".." not in v.split("/"),
            "must be a plain path within the slot, like static or my_shop/static: {}",
        ),
    ] = "static"
    keep_days: int = Field(default=7, ge=0, le=3650)


Word = Annotated[str, must(lambda v: re.fullmatch(r"[a-z][a-z0-9_-]*", v), "is no name in small letters: {}")]


class App(Table):
    """What runs in a slot; a stage can override each of these."""

    slots: Annotated[
        tuple[str, ...],
        Field(strict=False),
        must(
            lambda v: len(v) > 1 and len(set(v)) == len(v) and set(v) <= set(SLOTS),
            f"must be two or more different letters out of {', '.join(SLOTS)}",
        ),
    ] = ("a", "b")
    port_base: int = Field(default=8800, ge=1024, le=65300)
    processes: Annotated[
        int,
        Field(ge=1),
        must(lambda v: v <= PORT_STEP, f"slots would share ports: each has {PORT_STEP}, {{}} are asked for"),
    ] = 2
    health: Annotated[
        str, must(lambda v: v.startswith("/"), "must be a path that starts with a slash, like /healthz: {}")
    ] = "/healthz"
    health_headers: dict[Header, Line] = Field(default_factory=dict)
    health_status: int = Field(default=200, ge=200, le=599)
    health_body: str = ""
    health_version: bool = True
    health_timeout: int = Field(default=30, ge=1, le=3600)
    requires: Requirements = ()
    overlap: bool = True
    console: Annotated[
        str, must(str.strip, "is empty"), must(_readable(shlex.split), "is no command line, a quote is open: {}")
    ] = "python"
    env: dict[Name, str] = Field(default_factory=dict)
    secrets: tuple[Name, ...] = Field(default=(), strict=False)
    secrets_command: Annotated[str, must(_readable(shlex.split), "is no command line, a quote is open: {}")] = ""
    run: dict[Word, Once] = Field(default_factory=dict)
    programs: dict[Word, Program] = Field(default_factory=dict)
    static: Static | None = None

    @model_validator(mode="after")
    def _has_ports(self) -> "App":
        used = self.processes + sum(one.processes for one in self.programs.values() if one.port)
        if used > PORT_STEP:
            raise ValueError(f"slots would share ports: each has {PORT_STEP}, processes and programs want {used}")
        return self

    def ports(self, slot: str) -> list[int]:
        """The ports of a slot, one a process: slot a has port_base, slot b ten more, and so on."""
        first = self.port_base + PORT_STEP * SLOTS.index(slot)
        return list(range(first, first + self.processes))

    def all_ports(self, slot: str) -> list[int]:
        """The ports of everything in a slot."""
        return [*self.ports(slot), *(port for name in self.programs for port in self.ports_of(name, slot))]

    def ports_of(self, program: str, slot: str) -> list[int]:
        """The ports of a program in a slot, behind those of its processes and of the programs before; or none."""
        first = self.ports(slot)[-1] + 1
        for name, one in self.programs.items():
            if name == program:
                return list(range(first, first + one.processes)) if one.port else []
            first += one.processes if one.port else 0
        return []

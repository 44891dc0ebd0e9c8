"""Everything that can go wrong, as one tree of exceptions.

::

    ReleaseError            1
    ├── ConfigError         2   release.toml, a template or the command line is wrong
    ├── Refused             3   a precondition does not hold; nothing was changed
    ├── Locked              4   somebody else holds the lock of the stage
    ├── CommandFailed       5   a command failed on a host (or on this machine)
    ├── HostsFailed         6   too many hosts failed; no switch was made (after one it is 5)
    ├── ServiceFailed       7   the index or the forge failed
    │   ├── IndexFailed
    │   └── ForgeFailed
    └── HookFailed          8   a function of the project's own fabfile failed

The number is the exit code of the command that meets the error. An error says what happened, shows
the cause in the failing tool's own words, and names the next command to type.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType


class ReleaseError(Exception):
    """The root of the tree.

    ``what`` is one sentence with place and phase, ``cause`` the last lines of whatever failed,
    ``next_step`` what to type or change now.
    """

    exit_code = 1

    def __init__(self, what: str, *, cause: str = "", next_step: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.cause = cause.rstrip()
        self.next_step = next_step

    def __str__(self) -> str:
        lines = [self.what]
        lines += ["    " + line for line in self.cause.splitlines()]
        if self.next_step:
            lines.append(f"next: {self.next_step}")
        return "\n".join(lines)


def several(errors: Mapping[str, object], whole: int = 3) -> str:
    """Errors by host as one cause: each once, with all the hosts where it is the same but for its numbers.

    The first ones are whole, of the others there is the first line, so that all are named.
    """
    hosts: dict[str, list[str]] = {}
    for name, error in errors.items():
        hosts.setdefault(re.sub(r"\d+", "0", str(error).replace(name, "")), []).append(name)
    lines = []
    for number, names in enumerate(hosts.values()):
        text = str(errors[names[0]])
        lines.append(text if number < whole else text.partition("\n")[0])
        lines += [f"the same on {', '.join(names[1:])}"] * bool(names[1:])
    return "\n".join(lines)


STAGELESS = ("index.serve", "repo.", "template.update", "help")
"""The tasks that take no stage."""


def on_stage(words: str, stage: str) -> str:
    """A next step in which every command of `fab` names the stage, so that it can be typed as it stands. Pure."""

    def named(found: re.Match[str]) -> str:
        command, task = found[0], found[1]
        if "--stage" in command or task.startswith(STAGELESS):
            return command
        return command.replace(task, f"{task} --stage {stage}", 1)

    return re.sub(r"\bfab ([a-z]+(?:\.[a-z]+)?)(?: -(?:[^;:,)|\n]|,(?=\S))*)?", named, words)


class ConfigError(ReleaseError):
    """release.toml, a template or the command line is wrong."""

    exit_code = 2


class Refused(ReleaseError):
    """A precondition does not hold; nothing was changed."""

    exit_code = 3


class Locked(ReleaseError):
    """Somebody else holds the lock of the stage."""

    exit_code = 4


class CommandFailed(ReleaseError):
    """A command failed on a host, or on this machine."""

    exit_code = 5


class HostsFailed(ReleaseError):
    """More hosts failed than the failure budget allows; no switch was made, or all was taken back.

    ``answers`` are those of the other hosts, where each was asked for one: host -> answer.
    """

    exit_code = 6
    answers: Mapping[str, object] = MappingProxyType({})


class ServiceFailed(ReleaseError):
    """A service that a release needs failed."""

    exit_code = 7


class IndexFailed(ServiceFailed):
    """The package index failed or holds something unexpected."""


class ForgeFailed(ServiceFailed):
    """GitLab or GitHub failed or refused."""


class HookFailed(ReleaseError):
    """A hook of the project's own raised something."""

    exit_code = 8

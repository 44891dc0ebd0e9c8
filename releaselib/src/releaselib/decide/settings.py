"""What a release finds in its environment: plain values and secrets, with where each comes from."""

import json
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Setting:
    """A variable of the environment; its value is in no repr, so in no log and no traceback of ours."""

    name: str
    value: str = field(repr=False)
    source: str


@dataclass(frozen=True)
class Shown:
    """A setting for people: its name, where its value comes from, and how that stands beside the live slot."""

    name: str
    source: str
    beside: str

    @property
    def line(self) -> str:
        """The same in one line."""
        return f"{self.name}: {self.beside}" + (f", from {self.source}" if self.source else "")


PLAIN = "release.toml"
"""The source of settings that are no secrets."""
FILE = "environment"
"""Its name in a slot."""


def as_file(settings: Iterable[Setting]) -> str:
    """The file of a slot from which its programs get them: lines of sh, sorted, each value quoted. Pure."""
    return "".join(f"export {one.name}={shlex.quote(one.value)}\n" for one in sorted(settings, key=lambda s: s.name))


def on_host(settings: Iterable[Setting], env: Mapping[str, str], folder: str) -> list[Setting]:
    """The settings with those that one host has for itself; in plain ones {slot_dir} is that folder. Pure."""
    here = [one for one in settings if one.name not in env]
    here += [Setting(name, value, PLAIN) for name, value in env.items()]
    return [replace(one, value=one.value.replace("{slot_dir}", folder)) if one.source == PLAIN else one for one in here]


def found(
    plain: Mapping[str, str], secrets: Iterable[str], sources: Mapping[str, Mapping[str, str]]
) -> tuple[list[Setting], list[str]]:
    """The settings, and the names of the secrets that no source has or that are empty. Pure.

    ``sources`` maps a source in words to what it holds; the first one that has a secret counts. A secret comes
    before a plain value of its name.
    """
    names = dict.fromkeys(secrets)
    holders = {name: next((words for words, held in sources.items() if held.get(name)), "") for name in names}
    settings = [Setting(name, sources[words][name], words) for name, words in holders.items() if words]
    settings += [Setting(name, value, PLAIN) for name, value in plain.items() if name not in names]
    return settings, [name for name, words in holders.items() if not words]


SHORTEST = 4
"""Characters of a value that is told apart from any other word."""


def blanked(text: str, settings: Iterable[Setting]) -> str:
    """The text without the values of secrets, which an app may have told in its last words. Pure."""
    values = {line for one in settings if one.source != PLAIN for line in one.value.splitlines()}
    for value in sorted((value for value in values if len(value) >= SHORTEST), key=len, reverse=True):
        text = text.replace(value, "***")
    return text


def compared(mine: Mapping[str, str], held: Mapping[str, str]) -> dict[str, str]:
    """How each setting stands beside what a slot holds: same, differs, new there, or gone from here. Pure."""
    both = {name: "same" if held[name] == mine[name] else "differs" for name in mine if name in held}
    return dict(sorted((dict.fromkeys(mine, "new") | dict.fromkeys(held, "gone") | both).items()))


def from_json(text: str) -> dict[str, str]:
    """A JSON object of strings and numbers, as programs for secrets print it. Raises ValueError."""
    table = json.loads(text)
    if not isinstance(table, dict) or not all(isinstance(value, str | int | float) for value in table.values()):
        raise ValueError("it is no JSON object of names and values")
    return {name: str(value) for name, value in table.items()}

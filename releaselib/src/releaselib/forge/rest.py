"""Requests and answers as values, and what the forges have in common. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote


@dataclass(frozen=True)
class Request:
    """One request; ``path`` is below the root of the interface."""

    method: str
    path: str
    body: Mapping[str, Any] | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Answer:
    """One answer that came whole."""

    status: int
    data: Any = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Repository:
    """A repository as the forge describes it."""

    path: str
    visibility: str
    ssh_url: str
    closed: str = ""
    """Why nothing can be pushed to it: archived, or marked for deletion."""


@dataclass(frozen=True)
class Variable:
    """A variable for CI jobs; a secret one is masked, or encrypted where the forge can do that."""

    name: str
    value: str = field(repr=False)
    secret: bool = True


def words(data: Any) -> str:
    """What an answer says in words, whatever shape the forge gave it."""
    if isinstance(data, Mapping):
        if "field" in data and "message" not in data:
            return f"{data['field']} {data.get('code', '')}".strip()
        keys = ("message", "error", "error_description", "errors")
        kept = [data[key] for key in keys if data.get(key)]
        return "; ".join(filter(None, map(words, kept))) or _pairs(data)
    if isinstance(data, (list, tuple)):
        return "; ".join(filter(None, map(words, data)))
    text = "" if data is None else str(data)
    return "".join(letter if letter.isprintable() else " " for letter in text)[:500].strip()


def _pairs(data: Mapping[str, Any]) -> str:
    return "; ".join(f"{key} {words(value)}" for key, value in data.items())


def below(*parts: str) -> str:
    """A path of the interface, each part of it quoted."""
    return "".join("/" + quote(part, safe="") for part in parts)


def archived(data: Any) -> str:
    """Why nothing can be pushed to a repository, as both forges say it."""
    return "archived" if data.get("archived") else ""

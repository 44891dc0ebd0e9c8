"""Where the repository is to be, and the secret that opens the door to it.

Pure: nothing here talks to anybody. Bad values are refused before anything else happens.
"""

import contextlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from releaselib.errors import ConfigError, Refused, ReleaseError

COMMAND = "fab repo.create"
PUBLIC = {"gitlab": "https://gitlab.com", "github": "https://github.com"}
TITLES = {"gitlab": "GitLab", "github": "GitHub"}
SCOPES = {"gitlab": "api", "github": "repo and workflow"}
TOKENS = {"gitlab": "GITLAB_TOKEN", "github": "GITHUB_TOKEN"}
VISIBILITIES = {"gitlab": ("private", "internal", "public"), "github": ("private", "public")}
LONGEST_DESCRIPTION = 350

_URL = re.compile(r"https?://([A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?(/[\w.~-]+)*")
_SEGMENT = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9_.][A-Za-z0-9_.-]*")
_NAME = re.compile(r"(?!.*(\.git|\.atom|\.)$)[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", re.IGNORECASE)


@dataclass(frozen=True)
class Target:
    """A repository on a forge, which may not be there yet.

    An empty ``namespace`` is the user whose token it is, an empty ``url`` the public server.
    """

    kind: str
    name: str
    namespace: str = ""
    url: str = ""
    visibility: str = "private"
    description: str = ""

    def __post_init__(self) -> None:
        if self.kind not in PUBLIC:
            raise ConfigError(f"forge must be one of {', '.join(PUBLIC)}, not {self.kind!r}")
        self._set("url", _server(self.url or PUBLIC[self.kind]))
        self._set("namespace", self.namespace.strip("/"))
        self._set("description", " ".join(self.description.split())[:LONGEST_DESCRIPTION])
        _check_names(self)

    def _set(self, name: str, value: str) -> None:
        object.__setattr__(self, name, value)

    @property
    def path(self) -> str:
        """The repository's path on its server."""
        return f"{self.namespace}/{self.name}"

    @property
    def web_url(self) -> str:
        """The page of the repository."""
        return f"{self.url}/{self.path}"

    @property
    def remote_url(self) -> str:
        """What git pushes to over HTTPS; without user and token."""
        return f"{self.web_url}.git"

    @property
    def origin(self) -> str:
        """Scheme and host of the server: whom the token may be shown to."""
        return "{0.scheme}://{0.netloc}".format(urlsplit(self.url))

    @property
    def title(self) -> str:
        """The forge in a sentence."""
        return f"{TITLES[self.kind]} at {self.url}"

    @property
    def token_variable(self) -> str:
        """The environment variable that holds the token."""
        return TOKENS[self.kind]


def _server(url: str) -> str:
    address = (url if "://" in url else f"https://{url}").rstrip("/")
    if not _URL.fullmatch(address):  # the value may hold a password: it is not repeated
        raise ConfigError(
            "forge_url must be an address like https://git.example.com, without user, password, query and blanks"
        )
    return address


def _check_names(target: Target) -> None:
    allowed = VISIBILITIES[target.kind]
    if target.visibility not in allowed:
        raise ConfigError(
            f"visibility on {TITLES[target.kind]} must be one of {', '.join(allowed)}, not {target.visibility!r}"
        )
    segments = target.namespace.split("/") if target.namespace else []
    if not all(_SEGMENT.fullmatch(segment) for segment in segments):
        raise ConfigError(f"namespace {target.namespace!r} is no user, group or organisation")
    if target.kind == "github" and len(segments) > 1:
        raise ConfigError(f"namespace {target.namespace!r}: {TITLES['github']} has no subgroups")
    if not _NAME.fullmatch(target.name):
        raise ConfigError(
            f"{target.name!r} is no name for a repository: letters, digits, "
            "'-', '_' and '.' only, no '-' first, no '.git' last, 100 at most"
        )


class Token:
    """A secret that shows itself to nobody by accident: not printed, logged or pickled."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        value = value.strip()
        if not value or not value.isascii() or not value.isprintable() or " " in value:
            raise Refused("the token is empty or holds blanks or characters that no token has", next_step=COMMAND)
        self._value = value

    def reveal(self) -> str:
        """The secret itself, for the one header or environment variable that needs it."""
        return self._value

    def mask(self, text: str) -> str:
        """A text from elsewhere, without the secret."""
        return text.replace(self._value, "***")

    def __repr__(self) -> str:
        return "Token(***)"

    def __reduce__(self) -> str:
        raise TypeError("a token is not to be stored")


def find_token(kind: str, environment: Mapping[str, str] = os.environ) -> Token:
    """The token out of the environment; refused in words where there is none."""
    value = environment.get(TOKENS[kind], "").strip()
    if not value:
        raise Refused(
            f"no token for {TITLES[kind]}: {TOKENS[kind]} is not set in the environment; "
            "nothing was created or pushed, the project is complete on this machine",
            next_step=f"export {TOKENS[kind]}=... (with the scope {SCOPES[kind]}), then: {COMMAND}",
        )
    return Token(value)


@contextlib.contextmanager
def accounted(lines: Callable[[], list[str]], again: str = COMMAND) -> Iterator[None]:
    """Add to any error what is there and what is not, and the one command that goes on."""
    try:
        yield
    except ReleaseError as error:
        error.cause = "\n".join(filter(None, [error.cause, *lines()]))
        error.next_step = error.next_step or again
        raise

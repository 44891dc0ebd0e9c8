"""Requests sent and answers judged: one connection each, no retry, no redirect followed.

The token goes into one header and nowhere else. Errors of `requests` hold the request with its
headers, so none of them leaves this module, not even as the context of another.
"""

import os
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any, NoReturn, TypeVar
from urllib.parse import urlsplit

import requests
from requests.auth import AuthBase
from urllib3.exceptions import HTTPError

from releaselib.errors import ForgeFailed
from releaselib.forge.github import GitHub
from releaselib.forge.gitlab import GitLab
from releaselib.forge.rest import Answer, Request, words
from releaselib.forge.target import Target, Token

CA_FILES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "GIT_SSL_CAINFO")

T = TypeVar("T")
Say = Callable[[str], object]


class Unclear(ForgeFailed):
    """Nobody can say what the forge did with the request: it gave no answer, or half of one."""


@dataclass(frozen=True)
class Patience:
    """Seconds to wait: to connect, for each answer, and before each look after an unclear one."""

    connect: float = 10
    read: float = 30
    pauses: tuple[float, ...] = (0, 1, 3)


PATIENCE = Patience()


class Bearer(AuthBase):
    """Adds the token's header; also keeps `requests` from putting ~/.netrc in its place."""

    def __init__(self, token: Token) -> None:
        self.token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self.token.reveal()}"
        return request


class Client:
    """Speaks to the forge of a target with a token."""

    def __init__(self, target: Target, token: Token, patience: Patience) -> None:
        self.target = target
        self.dialect = GitLab(target) if target.kind == "gitlab" else GitHub(target)
        self.token = token
        self.patience = patience

    def ask(self, request: Request, doing: str) -> Answer:
        """The forge's answer, whatever its status; raises when there is none to work with."""
        answer = self._exchange(request)
        if isinstance(answer, str):
            raise Unclear(f"{self.target.title} gave no usable answer (while {doing})", cause=self.token.mask(answer))
        trouble = _trouble(answer, self.target)
        if trouble:
            self.refuse(answer, doing, trouble)
        return answer

    def ask_quietly(self, request: Request | None) -> Answer | None:
        """The answer to a question that not every server and token can answer."""
        answer = self._exchange(request) if request else None
        return answer if isinstance(answer, Answer) else None

    def expect(self, request: Request, statuses: Collection[int], doing: str) -> Answer:
        """The forge's answer, which must have one of the statuses."""
        answer = self.ask(request, doing)
        if answer.status not in statuses:
            self.refuse(answer, doing)
        return answer

    def refuse(self, answer: Answer, doing: str, why: str = "") -> NoReturn:
        """Raise what an answer means that is not the one hoped for."""
        error = Unclear if answer.status >= 500 or answer.status == 408 else ForgeFailed
        meaning = why or MEANINGS.get(answer.status, "would not do it")
        raise error(
            f"{self.target.title} {meaning} (while {doing})",
            cause=self.token.mask(f"{answer.status} {words(answer.data)}"),
        )

    def read(self, reader: Callable[[Any], T], answer: Answer, doing: str) -> T:
        """A value out of an answer; Unclear when the answer has another shape."""
        try:
            return reader(answer.data)
        except (KeyError, TypeError, AttributeError):
            pass
        raise Unclear(
            f"{self.target.title} answered something that is no answer of its interface "
            f"(while {doing}); is that the address of such a server?"
        )

    def _exchange(self, request: Request) -> Answer | str:
        """The answer, or in words why there is none."""
        try:
            response = requests.request(
                request.method,
                self.dialect.root + request.path,
                json=request.body,
                headers={**self.dialect.headers, "User-Agent": "releaselib"},
                auth=Bearer(self.token),
                timeout=(self.patience.connect, self.patience.read),
                verify=ca_file(os.environ) or True,
                allow_redirects=False,
            )
            data = _data(response)
        except (OSError, ValueError, HTTPError) as error:
            return reason(error)
        return Answer(response.status_code, data, response.headers)


def sign_in(target: Target, token: Token, patience: Patience) -> tuple[Client, Answer]:
    """A client whose target has a namespace, and who the token says that it belongs to."""
    doing = "asking whose the token is"
    client = Client(target, token, patience)
    who = client.expect(client.dialect.whoami, (200,), doing)
    login = client.read(client.dialect.login, who, doing)
    return Client(replace(target, namespace=target.namespace or login), token, patience), who


def connect(target: Target, token: Token, patience: Patience) -> Client:
    """A client whose target has a namespace; asks for it only where it is not given."""
    if target.namespace:
        return Client(target, token, patience)
    return sign_in(target, token, patience)[0]


def tell(line: str) -> None:
    """A line of progress, to stderr."""
    sys.stderr.write(line + "\n")


def _data(response: requests.Response) -> Any:
    """What an answer holds; only one that says "done" must be JSON."""
    if not response.content:
        return None
    try:
        return response.json()
    except ValueError:
        if 200 <= response.status_code < 300:
            raise
        return " ".join(response.text[:200].split())


def ca_file(environment: Mapping[str, str]) -> str:
    """The file with the certificate authorities to trust, when the environment names one."""
    return next((environment[name] for name in CA_FILES if environment.get(name)), "")


def reason(error: BaseException) -> str:
    """The innermost cause: `requests` wraps it several times over."""
    inner = getattr(error, "reason", None)
    wrapped = [cause for cause in (inner, *error.args) if isinstance(cause, BaseException)]
    return reason(wrapped[0]) if wrapped else f"{type(error).__name__}: {words(str(error))}"


MEANINGS = {
    400: "would not accept the request",
    403: "does not allow that to the owner of the token, or to this token",
    404: "knows nothing there, or does not show it to the owner of the token",
    409: "says that it is there already",
    422: "would not accept the request",
}


def _trouble(answer: Answer, target: Target) -> str:
    """What keeps any request from being answered, in words; empty when nothing does."""
    if 300 <= answer.status < 400:
        return (
            f"answered with a redirect to {_place(answer.headers.get('location', ''))}, "
            "which is not followed with the token: correct the address of the forge, or the namespace"
        )
    if answer.status == 401:
        return f"refused the token: it is wrong, expired or revoked; put a good one into {target.token_variable}"
    if rate_limited(answer):
        return f"has had too many requests; its limit ends {limit_ends(answer.headers)}"
    if answer.status >= 500 or answer.status == 408:
        return "has trouble itself"
    return ""


def rate_limited(answer: Answer) -> bool:
    """Whether the forge asks to come back later."""
    signs = (
        answer.headers.get("x-ratelimit-remaining") == "0",
        "retry-after" in answer.headers,
        "rate limit" in words(answer.data).lower(),
    )
    return answer.status == 429 or (answer.status == 403 and any(signs))


def limit_ends(headers: Mapping[str, str]) -> str:
    """When requests are answered again, as far as the forge says so."""
    after = headers.get("retry-after", "")
    if after:
        return f"in {after} seconds" if after.isdecimal() else f"at {words(after)}"
    reset = headers.get("x-ratelimit-reset") or headers.get("ratelimit-reset") or ""
    if reset.isdecimal() and len(reset) < 12:
        return f"at {datetime.fromtimestamp(int(reset), timezone.utc):%Y-%m-%d %H:%M:%S} UTC"
    return "at a time that it does not tell"


def _place(location: str) -> str:
    try:
        url = urlsplit(location)
        return words(f"{url.scheme}://{url.hostname or ''}{url.path}")
    except ValueError:
        return "another place"

"""A release on the forge, with the notes that the changelog has for it."""

import re

from releaselib.forge.client import PATIENCE, Client, Patience, Say, Unclear, connect, tell
from releaselib.forge.target import Target, Token, accounted

HEADING = re.compile(r"##\s+\[?v?(?P<version>[^\]\s]+)\]?")
FENCE = re.compile(r"\s{0,3}(```|~~~)")
LINK = re.compile(r"\s{0,3}\[[^\]]+\]:\s")


def notes_from_changelog(text: str, version: str) -> str:
    """What a changelog (keepachangelog.com) says about a version, or else about what is unreleased.

    Empty when it says nothing about either. Pure.
    """
    sections = _sections(text)
    return sections.get(version.removeprefix("v").lower(), sections.get("unreleased", ""))


def _sections(text: str) -> dict[str, str]:
    sections: dict[str, list[str]] = {}
    lines: list[str] = []
    fenced = False
    for line in text.splitlines():
        fenced ^= bool(FENCE.match(line))
        heading = None if fenced else HEADING.match(line)
        if heading:
            lines = sections.setdefault(heading["version"].lower(), [])
        elif fenced or not LINK.match(line):
            lines.append(line)
    return {version: "\n".join(lines).strip() for version, lines in sections.items()}


def make_release(
    target: Target, tag: str, notes: str, token: Token, *, say: Say = tell, patience: Patience = PATIENCE
) -> str:
    """Make the release of a tag that is pushed already; one that is there is left as it is.

    Returns the address of its page.
    """
    account = ["the tag and the packages are as they were; the release on the forge is not made"]
    with accounted(lambda: account, f"fab repo.release --version {tag.removeprefix('v')}"):
        client = connect(target, token, patience)
        page = _page(client, tag) or _make(client, tag, notes)
        say(f"release {tag}: {page}")
        return page


def _page(client: Client, tag: str) -> str:
    """The address of the release, if it is there."""
    doing = f"looking for the release {tag}"
    answer = client.expect(client.dialect.release(tag), (200, 404), doing)
    return client.read(client.dialect.release_url, answer, doing) if answer.status == 200 else ""


def _make(client: Client, tag: str, notes: str) -> str:
    """Exactly one POST; when it is unclear or somebody else was faster, the forge is asked."""
    doing = f"making the release {tag}"
    try:
        answer = client.ask(client.dialect.make_release(tag, notes), doing)
        if answer.status == 201:
            return client.read(client.dialect.release_url, answer, doing)
    except Unclear as error:
        page = _page(client, tag)
        if page:
            return page
        raise error from None
    return _page(client, tag) or client.refuse(answer, doing)

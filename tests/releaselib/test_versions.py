"""The next version follows from the ones there are, and is always PEP 440."""

from __future__ import annotations

import datetime

import pytest
from packaging.version import Version

from releaselib.decide.versions import chosen, following, is_meant, known, latest, parse
from releaselib.errors import ConfigError, Refused

TODAY = datetime.date(2026, 11, 23)

FOLLOWING: dict[str, tuple[list[str], str, str]] = {
    "the first of all": ([], "", "2026.11.23.1"),
    "the second of the day": (["2026.11.23.1"], "", "2026.11.23.2"),
    "numbers, not text": (["2026.11.23.9", "2026.11.23.10"], "", "2026.11.23.11"),
    "whatever the order": (["2026.11.23.3", "2026.11.23.1", "2026.11.23.2"], "", "2026.11.23.4"),
    "a gap is not filled": (["2026.11.23.1", "2026.11.23.5"], "", "2026.11.23.6"),
    "from 1 on another day": (["2026.11.22.7"], "", "2026.11.23.1"),
    "from 1 in another year": (["2025.12.31.12"], "", "2026.11.23.1"),
    "months count before days": (["2026.9.30.3"], "", "2026.11.23.1"),
    "a name that was used counts": (["2026.11.23.1+fixbug"], "", "2026.11.23.2"),
    "with a name": (["2026.11.23.1"], "fixbug", "2026.11.23.2+fixbug"),
    "with a name in parts": ([], "Fix_Login-2", "2026.11.23.1+fix.login.2"),
    "a clock that is behind": (["2026.11.24.3"], "", "2026.11.24.4"),
    "a clock that is a year behind": (["2027.1.1.1", "2026.11.23.8"], "", "2027.1.1.2"),
    "tags with a v": (["v2026.11.23.1"], "", "2026.11.23.2"),
    "tags of another kind": (["nightly", "deploy-7", "", "1.4.2", "0.9"], "", "2026.11.23.1"),
    "versions of another scheme": (["2026.11.23", "3000.1"], "", "2026.11.23.1"),
    "a development release of it": (["2026.11.23.2.dev1"], "", "2026.11.23.3"),
}


@pytest.mark.parametrize(("texts", "name", "version"), FOLLOWING.values(), ids=FOLLOWING)
def test_the_next_version_counts_up_within_the_day(texts: list[str], name: str, version: str) -> None:
    assert following(texts, TODAY, name) == version
    assert str(Version(version)) == version


@pytest.mark.parametrize("texts", [row[0] for row in FOLLOWING.values()], ids=FOLLOWING)
def test_the_next_version_is_above_every_one_of_its_scheme(texts: list[str]) -> None:
    mine = Version(following(texts, TODAY))
    assert all(mine > old for old in known(texts) if len(old.release) == 4)


@pytest.mark.parametrize("name", ["fix bug", "fix/bug", "+x", "ä", "-x", "x..y", "x\n", " "])
def test_a_name_that_cannot_stand_in_a_version_is_refused(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        following([], TODAY, name)
    assert caught.value.exit_code == 2
    assert caught.value.what.startswith(f"{name!r} cannot stand in a version")
    assert caught.value.next_step == "use a name like fixbug"


@pytest.mark.parametrize("text", ["", "one", "1.0 final", "1.0+", "2026-11-23-1", "1.0+a+b"])
def test_what_is_not_pep_440_is_refused(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert caught.value.exit_code == 2
    assert caught.value.what == f"{text!r} is no version (PEP 440)"
    assert caught.value.next_step == "give one like 2026.11.23.1 or 1.4.2"


LATEST = {
    "nothing": ([], ""),
    "numbers, not text": (["1.9", "1.10"], "1.10"),
    "a local version is above its own": (["1.0", "1.0+fix"], "1.0+fix"),
    "a candidate is below": (["1.0", "1.0rc1"], "1.0"),
    "other words": (["nightly", "0.1"], "0.1"),
}


@pytest.mark.parametrize(("texts", "version"), LATEST.values(), ids=LATEST)
def test_the_latest_version_is_the_highest(texts: list[str], version: str) -> None:
    assert latest(texts) == version


CHOSEN = {
    "the next": ("", "", "", "2026.11.23.2"),
    "the next with a name": ("", "fixbug", "", "2026.11.23.2+fixbug"),
    "the one asked for": ("1.4", "", "", "1.4"),
    "the one asked for, as PEP 440 writes it": ("v1.4-rc1", "", "", "1.4rc1"),
    "the one asked for with a name": ("1.4", "fixbug", "", "1.4+fixbug"),
    "the static one": ("", "", "0.10.2", "0.10.2"),
    "the static one asked for in other words": ("v1.0.0", "", "1.0.0", "1.0.0"),
}


@pytest.mark.parametrize(("asked", "name", "static", "version"), CHOSEN.values(), ids=CHOSEN)
def test_the_version_is_static_or_asked_for_or_the_next(asked: str, name: str, static: str, version: str) -> None:
    assert chosen(asked=asked, name=name, static=static, existing=["2026.11.23.1"], today=TODAY) == version


@pytest.mark.parametrize(("asked", "name", "wish"), [("2.0", "", "2.0"), ("", "fix", "+fix")])
def test_a_static_version_is_not_stamped_over(asked: str, name: str, wish: str) -> None:
    with pytest.raises(Refused) as caught:
        chosen(asked=asked, name=name, static="1.0", existing=[], today=TODAY)
    assert caught.value.exit_code == 3
    assert caught.value.what == (f"pyproject.toml has the static version 1.0; {wish} cannot be stamped into the build")
    assert caught.value.next_step == "change [project] version in pyproject.toml and commit it"


@pytest.mark.parametrize(
    ("asked", "name", "static"), [("x", "", ""), ("1.0", "a b", ""), ("", "", "unknown"), ("1.0+a", "b", "")]
)
def test_no_wish_gives_something_else_than_a_version(asked: str, name: str, static: str) -> None:
    with pytest.raises(ConfigError):
        chosen(asked=asked, name=name, static=static, existing=[], today=TODAY)


MEANT = {
    "no wish": ("2026.11.23.1", "", "", True),
    "one with a name, without a wish": ("2026.11.23.1+fix", "", "", False),
    "the name": ("2026.11.23.1+fix.bug", "", "Fix-Bug", True),
    "another name": ("2026.11.23.1+fix", "", "bug", False),
    "the version": ("1.0rc1", "1.0-RC1", "", True),
    "another version": ("1.0", "1.1", "", False),
    "version and name": ("1.0+fix.bug", "1.0", "fix-bug", True),
    "version without its name": ("1.0+fix", "1.0", "", False),
}


@pytest.mark.parametrize(("version", "asked", "name", "meant"), MEANT.values(), ids=MEANT)
def test_what_is_asked_for_is_recognised_however_it_is_written(
    version: str, asked: str, name: str, meant: bool
) -> None:
    assert is_meant(version, asked, name) == meant

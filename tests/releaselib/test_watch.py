"""A new release is worse for visitors when they get more errors, or wait longer, than from the old one."""

from __future__ import annotations

import pytest

from releaselib.decide.watch import Traffic, failing, together, unseen, worse

GOOD = Traffic(1000, 2, 0.1)
CASES: dict[str, tuple[Traffic, Traffic, str]] = {
    "nothing": (Traffic(100, 0, 0.1), GOOD, ""),
    "no visitor at all": (Traffic(), GOOD, ""),
    "nothing to compare with": (Traffic(100, 0, 0.1), Traffic(), ""),
    "errors beside nothing": (Traffic(100, 5, 0.1), Traffic(), "5.0% of the answers are 5xx"),
    "more errors than may be": (Traffic(100, 3, 0.1), GOOD, "3.0% of the answers are 5xx (bound: 1%"),
    "as many as may be": (Traffic(300, 3, 0.1), GOOD, ""),
    "many, but no more than before": (Traffic(100, 5, 0.1), Traffic(100, 5, 0.1), ""),
    "one visitor's bad luck": (Traffic(3, 1, 0.1), GOOD, ""),
    "all of few": (Traffic(3, 3, 0.1), GOOD, "100.0% of the answers are 5xx"),
    "slower": (Traffic(100, 0, 0.5), GOOD, "95% of the answers take up to 0.50 s (old release: 0.10 s)"),
    "a little slower": (Traffic(100, 0, 0.29), GOOD, ""),
    "slower, of too few": (Traffic(19, 0, 9.0), GOOD, ""),
}


@pytest.mark.parametrize(("new", "old", "words"), CASES.values(), ids=CASES)
def test_a_release_is_judged_beside_the_old_one(new: Traffic, old: Traffic, words: str) -> None:
    found = worse(new, old, "1%")
    assert bool(found) == bool(words)
    assert words in "".join(found)
    assert failing(new, old, "1%") == [one for one in found if "5xx" in one], "times are compared of the same time only"


def test_the_traffic_of_all_proxies_counts_and_the_slowest_of_them() -> None:
    assert together([Traffic(10, 1, 0.2), Traffic(30, 0, 0.5)]) == Traffic(40, 1, 0.5)
    assert together([]) == Traffic()
    assert str(Traffic(40, 1, 0.5)) == "40 requests, 1 of them 5xx (2.5%), 95% within 0.50 s"


@pytest.mark.parametrize(("new", "old", "told"), [(0, 100, True), (0, 99, False), (1, 100, False), (0, 0, False)])
def test_a_canary_that_no_visitor_got_shows_nothing(new: int, old: int, told: bool) -> None:
    assert bool(unseen(Traffic(new), Traffic(old), 20.0)) == told

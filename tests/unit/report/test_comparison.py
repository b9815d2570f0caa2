"""Two runs of the same: what changed, and what is chance."""

from __future__ import annotations

import math
import random

import pytest

from sidecar.report.verdict.comparison import Compared, compare
from sidecar.report.verdict.thresholds import Spread, Times

GAMMA = 1.02


def times(draw: random.Random, count: int, middle: float) -> Times:
    """Times of a log-normal spread around a middle, in ms."""
    counts: dict[int, int] = {}
    for _ in range(count):
        index = math.ceil(math.log(draw.lognormvariate(math.log(middle), 0.4)) / math.log(GAMMA))
        counts[index] = counts.get(index, 0) + 1
    return Times(GAMMA, counts)


def run(seed: int, *, slower: float = 1.0, failed: int = 0, count: int = 2000) -> list[Spread]:
    draw = random.Random(seed)  # noqa: S311  no secret
    return [
        Spread("GET", "/cart", times(draw, count, 60.0), Times(GAMMA, {100: failed} if failed else {})),
        Spread("GET", "/pay", times(draw, count, 60.0 * slower), Times(GAMMA)),
        Spread("GET", "/rare", times(draw, 20, 60.0 * slower), Times(GAMMA)),
    ]


def names(found: Compared) -> set[tuple[str, str]]:
    return {(change.name, change.figure) for change in found.changes}


@pytest.mark.parametrize("seed", range(20))
def test_two_runs_of_the_same_have_not_changed(seed: int) -> None:
    found = compare(run(seed), run(seed + 1000))
    assert found.changes == ()
    assert (found.same, found.unsure) == (2, ("GET /rare",))


@pytest.mark.parametrize("seed", range(20))
def test_a_request_that_became_slower_by_a_third_is_named_and_no_other(seed: int) -> None:
    found = compare(run(seed), run(seed + 1000, slower=1.3))
    assert names(found) == {("/pay", "median"), ("/pay", "p95")}
    assert all(change.is_worse for change in found.changes)


def test_one_that_became_faster_is_told_and_is_no_worse() -> None:
    found = compare(run(1, slower=1.5), run(2))
    assert {change.is_worse for change in found.changes} == {False}
    assert found.changes[0].text.startswith("GET /pay: ")


def test_failures_that_came_are_told_and_a_few_by_chance_are_not() -> None:
    assert names(compare(run(1), run(2, failed=200))) == {("/cart", "fail_ratio")}
    assert names(compare(run(1, failed=10), run(2, failed=14))) == set()


def test_what_is_new_or_gone_is_said() -> None:
    found = compare(run(1)[:1], run(2)[1:2])
    assert (found.new, found.gone, found.same) == (("GET /pay",), ("GET /cart",), 0)

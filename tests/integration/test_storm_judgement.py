"""How truth and account of a storm are compared: the comparison itself must be able to say no. No engine needed."""

from dataclasses import replace

import pytest

from tests.integration.storm.account import Account, Seen, Span
from tests.integration.storm.judgement import judge, table
from tests.integration.storm.truth import Life, Truth, lines_of, lives_of, nanoseconds

SECOND = 1_000_000_000
LIVED_ON = Truth("parent", "parent", (Life(0, None, (SECOND, 2 * SECOND), main=False),))
FIRST, THEN = (Life(began, began + 1, (began + 1,), main=True) for began in (SECOND, 2 * SECOND))
DIED = Truth("main", "main", (FIRST, THEN))
FLASH = Truth("flash", "flash", (Life(0, 1000, (1000,), main=True),))


def kills(container: str, count: int, kind: str = "oom_kill") -> Seen:
    return Seen(
        container, kind, "final", container, count, count, 0, None, "storm", {"container": container, "at": "then"}
    )


def problems(truth: Truth, *incidents: Seen, blind: tuple[Span, ...] = (), host_kills: int = 99) -> list[str]:
    return judge([truth], Account(incidents, blind), host_kills, {"storm"}).problems


@pytest.mark.parametrize(("truth", "counted"), [(LIVED_ON, 2), (DIED, 2), (FLASH, 1)])
def test_an_account_that_is_equal_is_right(truth: Truth, counted: int) -> None:
    assert problems(truth, kills(truth.container_id, counted)) == []


def test_a_kill_that_the_container_outlived_must_be_there() -> None:
    assert "parent: 1 missing" in problems(LIVED_ON, kills("parent", 1), kills("", 1, "unattributed_oom_kill"))


def test_one_more_than_happened_is_wrong_however_it_died() -> None:
    assert problems(DIED, kills("main", 3)) == ["main: 1 more than happened"]


def test_children_that_went_with_their_container_need_not_be_told_apart() -> None:
    together = Truth("both", "both", (Life(0, SECOND, (SECOND - 2, SECOND - 1, SECOND), main=True),))
    assert (together.least, together.most) == (1, 3)


def test_a_kill_on_another_container_is_wrong() -> None:
    assert "a kill on the wrong container: other" in problems(LIVED_ON, kills("parent", 2), kills("other", 1))


def test_a_strangers_kill_is_not_judged() -> None:
    assert problems(LIVED_ON, kills("parent", 2), replace(kills("stranger", 1), project="another")) == []


def test_a_kill_in_a_blind_span_may_be_unplaced_but_must_be_told() -> None:
    blind = (Span(0, 5 * SECOND, "sidecar", covered=False),)
    told = kills("", 1, "unattributed_oom_kill")
    many = Truth("parent", "parent", (Life(0, None, tuple(range(SECOND, SECOND + 40)), main=False),))
    assert problems(many, kills("parent", 39), told, blind=blind) == []
    assert "only 0 are said to be" in " ".join(problems(many, kills("parent", 39), blind=blind))


@pytest.mark.parametrize(("source", "is_wrong"), [("sidecar", False), ("events", True)])
def test_only_kills_while_the_sidecar_did_not_run_stand_outside_the_share(source: str, *, is_wrong: bool) -> None:
    blind = (Span(0, 5 * SECOND, source, covered=False),)
    many = Truth("parent", "parent", (Life(0, None, tuple(range(SECOND, SECOND + 10)), main=False),))
    said = problems(many, kills("parent", 8), kills("", 2, "unattributed_oom_kill"), blind=blind)
    assert ("more than 5 %" in " ".join(said)) is is_wrong


def test_a_span_that_was_made_up_for_excuses_nothing() -> None:
    blind = (Span(0, 5 * SECOND, "sidecar", covered=True),)
    assert "parent: 1 missing" in problems(LIVED_ON, kills("parent", 1), blind=blind)


def test_more_than_one_in_twenty_unplaced_is_too_much_even_of_short_lives() -> None:
    assert "more than 5 %" in " ".join(problems(FLASH, kills("", 1, "unattributed_oom_kill")))


def test_a_kernel_that_counted_fewer_than_the_victims_says_that_the_truth_is_wrong() -> None:
    assert "the kernel counted 1" in " ".join(problems(LIVED_ON, kills("parent", 2), host_kills=1))


def test_a_log_is_cut_into_lives_and_the_one_that_goes_on_lost_nothing() -> None:
    log = "\n".join(
        f'{{"what": "{what}", "ns": {number}}}'
        for number, what in enumerate(["start", "loss", "eating", "start", "eating", "start", "done"])
    )
    first, second, third = lives_of(lines_of(log), None)
    assert (first.kills, first.main, first.ended_ns) == ((1, 2), True, 2)
    assert (second.kills, second.main) == ((4,), True)
    assert (third.kills, third.main, third.ended_ns) == ((), False, None)


def test_time_stamps_keep_their_nanoseconds() -> None:
    assert nanoseconds("2026-11-22T18:00:00.123456789Z") % SECOND == 123_456_789
    assert nanoseconds("2026-11-22T18:00:00Z") % SECOND == 0


def test_the_table_names_each_container_and_what_is_wrong() -> None:
    text = table(judge([LIVED_ON, FLASH], Account((kills("parent", 3), kills("flash", 1)), ()), 3, {"storm"}))
    assert "parent: 1 more than happened" in text
    assert "flash" in text

"""Which lines of a log that is read again are new, and what a flood leaves."""

from __future__ import annotations

from sidecar.engine.log_lines import LineRateLimiter, LogDeduplicator, RawLine
from sidecar.model.history import LogCursor, LogPosition

S = 1_000_000_000
NOW = 1_795_000_000 * S


def line(ns: int, stream: int = 1, raw: bytes = b"text") -> RawLine:
    return RawLine(ns, stream, raw, len(raw))


def news(sieve: LogDeduplicator, lines: list[RawLine]) -> list[RawLine]:
    return [one for one in lines if sieve.new(one)]


def test_read_again_each_line_is_let_through_once_though_the_streams_are_out_of_order() -> None:
    first = [line(NOW + 5, 2), line(NOW + 3), line(NOW + 4)]
    sieve = LogDeduplicator()
    assert news(sieve, first) == first
    later = [line(NOW + 6), line(NOW + 7, 2)]
    resumed = LogDeduplicator(sieve.cursor())
    assert news(resumed, [*first, *later]) == later


def test_lines_of_the_same_nanosecond_are_counted() -> None:
    sieve = LogDeduplicator()
    news(sieve, [line(NOW), line(NOW)])
    assert sieve.cursor() == LogCursor({"1": LogPosition(NOW, 2)})
    sieve.reopened()
    assert len(news(sieve, [line(NOW), line(NOW), line(NOW)])) == 1
    assert sieve.cursor() == LogCursor({"1": LogPosition(NOW, 3)})


def test_a_clock_set_back_hides_no_line_of_an_open_log() -> None:
    sieve = LogDeduplicator()
    assert len(news(sieve, [line(NOW), line(NOW - 3600 * S), line(NOW - 3599 * S)])) == 3


def test_a_late_line_of_a_stream_is_asked_for_again_with_the_slower_of_the_two() -> None:
    sieve = LogDeduplicator(LogCursor({"1": LogPosition(NOW - 2 * S), "2": LogPosition(NOW)}))
    assert sieve.since(NOW) == "1794999998.000000000"


def test_a_stream_that_fell_silent_long_ago_does_not_have_the_whole_log_read_again() -> None:
    sieve = LogDeduplicator(LogCursor({"1": LogPosition(NOW - 7200 * S), "2": LogPosition(NOW + 1)}))
    assert sieve.since(NOW) == "1794999995.000000001"


def test_a_cursor_in_the_future_is_given_up_for_the_present() -> None:
    sieve = LogDeduplicator(LogCursor({"1": LogPosition(NOW + 3600 * S)}))
    assert sieve.since(NOW) == "1795000000.000000000"
    assert sieve.new(line(NOW + 1))


def test_an_unread_log_is_read_from_its_beginning() -> None:
    assert LogDeduplicator().since(NOW) is None


def test_a_flood_is_capped_by_the_second_and_says_what_is_missing() -> None:
    dam = LineRateLimiter(most_lines=3)
    assert [dam.admit(line(NOW + number)) for number in range(5)] == [True, True, True, False, False]
    assert dam.notice(line(NOW + 9)) is None  # still that second
    notice = dam.notice(line(NOW + S))
    assert notice is not None
    assert notice[0] == NOW + 4
    assert notice[1].startswith("… 2 lines left out")
    assert dam.admit(line(NOW + S))
    assert not dam.holds


def test_few_but_huge_lines_are_a_flood_too() -> None:
    dam = LineRateLimiter(most_bytes=1000)
    assert [dam.admit(line(NOW, raw=b"x" * 600)) for _ in range(3)] == [True, False, False]


def test_a_flood_that_was_skipped_says_that_there_was_more() -> None:
    dam = LineRateLimiter(most_lines=1)
    assert [dam.admit(line(NOW)) for _ in range(2)] == [True, False]
    dam.skip()
    notice = dam.notice()
    assert notice is not None
    assert notice[1].startswith("… at least 1 line left out")

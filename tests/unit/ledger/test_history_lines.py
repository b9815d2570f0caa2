"""Log lines: kept with their cursors, found by any text, the last of them at hand as evidence."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from sidecar.ledger.history import History
from sidecar.model.history import STDERR, LogCursor, LogPosition, LogQuery, StoredLine
from sidecar.model.incident import MemorySample
from tests.fakes.ledger_samples import NOW, NOW_NS, PATIENCE_SECONDS, clock, container_id, later, line, sample


def keep(history: History, *lines: StoredLine) -> None:
    history.add_lines(lines)
    assert history.flush(PATIENCE_SECONDS)


def texts(found: list[StoredLine]) -> list[str]:
    return [stored_line.text for stored_line in found]


def test_lines_are_found_as_they_came_newest_first(history: History) -> None:
    first, second = line("first ☃", 1, stream=STDERR), line("second", 2, number=2, project=None, service=None)
    keep(history, second, first)
    assert history.search() == [second, first]
    assert history.search(LogQuery(limit=1)) == [second]


def test_lines_of_one_nanosecond_keep_their_order(history: History) -> None:
    keep(history, line("a"), line("b"))
    keep(history, line("c"))
    assert texts(history.search()) == ["c", "b", "a"]
    assert texts(history.search(LogQuery(container=container_id(1)))) == ["c", "b", "a"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("100%", ["100% of 1_000"]),
        ("%", ["100% of 1_000"]),
        ("1_0", ["100% of 1_000"]),
        ("\\", ["C:\\temp"]),
        ("\\t", ["C:\\temp"]),
        ("'; DROP TABLE lines; --", ["x'; DROP TABLE lines; --"]),
        ("TEMP", ["C:\\temp"]),
        ("[a-z]*", []),
        ("a" * 60_000, []),
    ],
)
def test_a_text_is_looked_for_as_it_stands(history: History, text: str, expected: list[str]) -> None:
    keep(history, line("100 of 1000"), line("100% of 1_000"), line("C:\\temp"), line("x'; DROP TABLE lines; --"))
    assert texts(history.search(LogQuery(text))) == expected


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("locust-worker-1", ["of 1"]),
        (container_id(2), ["of 2"]),
        ("f" * 12, ["of f"]),
        ("locust-worker", ["of 2", "of 1"]),
        ("shop", ["of f"]),
        ("", []),
        ("%", []),
    ],
)
def test_lines_are_of_a_container_by_name_id_or_service(history: History, wanted: str, expected: list[str]) -> None:
    other = line("of f", 3, container_id="f" * 64, name="shop-1", service="shop")
    keep(history, line("of 1", 1), line("of 2", 2, number=2), other)
    assert texts(history.search(LogQuery(container=wanted))) == expected


@pytest.mark.parametrize("container", [None, "locust-worker-1"])
@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        (later(1), None, ["3", "2", "1"]),
        (later(1.001), None, ["3", "2"]),
        (None, later(2), ["2", "1", "0"]),
        (later(1), later(1), ["1"]),
        (later(9), None, []),
    ],
)
def test_lines_are_those_of_the_span(
    history: History, container: str | None, since: datetime | None, until: datetime | None, expected: list[str]
) -> None:
    keep(history, *(line(str(second), second) for second in range(4)))
    assert texts(history.search(LogQuery(since=since, until=until, container=container))) == expected


def test_a_line_within_the_last_microsecond_of_the_span_is_in_it(history: History) -> None:
    keep(history, line("in", ns=NOW_NS + 999), line("out", ns=NOW_NS + 1000))
    assert texts(history.search(LogQuery(until=NOW))) == ["in"]


def test_the_limit_holds_across_a_services_containers(history: History) -> None:
    keep(history, *(line(str(second), second, number=second % 3) for second in range(9)))
    assert texts(history.search(LogQuery(container="locust-worker", limit=4))) == ["8", "7", "6", "5"]


def test_cursors_are_there_after_a_restart(tmp_path: Path) -> None:
    cursor = LogCursor({"1": LogPosition(NOW_NS, 3), "2": LogPosition(NOW_NS + 1)})
    first = History(tmp_path, clock)
    first.start()
    first.add_lines([line("a")], {container_id(1): LogCursor({"1": LogPosition(1)}), container_id(2): LogCursor()})
    first.add_lines([], {container_id(1): cursor})
    first.close()
    again = History(tmp_path, clock)
    assert again.cursors() == {container_id(1): cursor, container_id(2): LogCursor()}
    assert texts(again.search()) == ["a"]
    again.close()


def test_the_last_of_a_container_is_at_hand_before_it_is_written(tmp_path: Path) -> None:
    history = History(tmp_path, clock)  # its writer is not started
    for second in range(5):
        history.add_round(later(second), [sample(1, working_set_bytes=second), sample(2)])
    found = history.recent(container_id(1), later(3), 2)
    assert [one.working_set_bytes for one in found] == [2, 3]
    assert history.recent(container_id(3), later(3)) == ()
    history.close()


def test_the_last_of_a_container_reaches_back_before_a_restart_without_repetition(tmp_path: Path) -> None:
    first = History(tmp_path, clock)
    first.start()
    for second in range(4):
        first.add_round(later(second), [sample(1, working_set_bytes=second)])
    first.close()
    again = History(tmp_path, clock)
    again.start()
    again.add_round(later(4), [sample(1, working_set_bytes=4)])
    assert again.flush(PATIENCE_SECONDS)
    found = again.recent(container_id(1), later(60), 3)
    assert found == tuple(MemorySample(later(second), second, sample().usage_bytes) for second in (2, 3, 4))
    again.close()


def test_lines_go_when_they_are_too_old(tmp_path: Path) -> None:
    history = History(tmp_path, clock)
    history.add_lines([line("old", -31 * 86_400), line("young", -29 * 86_400)])
    history.start()
    assert history.flush(PATIENCE_SECONDS)
    history.close()
    assert texts(history.search()) == ["young"]
    history.close()

"""What is done after each answer, and when the next try is; nothing here waits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from locust_kit.push.post import PushAnswer

from tests.unit.plugin.push.pushing import Bench, files

DOWN = PushAnswer(broken="ConnectionError")


def test_tries_slow_down_and_the_key_stays_and_the_order_too(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [DOWN, PushAnswer(500), PushAnswer(503), PushAnswer(408)])
    bench.put(2)
    bench.put(1)
    assert bench.drain() == [1, 2, 4, 8]
    assert bench.receiver.keys == ["run-1-1"] * 5 + ["run-1-2"]
    assert (bench.counts.retries, bench.counts.sent_rows, bench.counts.sent_batches) == (4, 3, 2)
    assert bench.counts.document()["last_ok_at"] == "2027-01-15T08:00:00Z"


def test_new_rows_do_not_shorten_a_pause(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [DOWN])
    bench.put(1)
    assert bench.sender.step() == 1
    bench.put(1)
    bench.now += 0.25
    assert bench.sender.step() == 0.75
    assert len(bench.receiver.keys) == 1


def test_a_success_makes_the_next_pause_short_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [DOWN, DOWN, PushAnswer(200), DOWN])
    bench.put(1)
    bench.put(1)
    assert bench.drain() == [1, 2, 1]


def test_retry_after_comes_before_our_own_pause(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [PushAnswer(429, "7"), PushAnswer(503, "86400"), PushAnswer(429, "0")])
    bench.put(1)
    assert bench.drain() == [7, 300, 4]


def test_the_end_of_a_run_tries_at_once_and_often_for_some_seconds(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [DOWN] * 12)
    bench.put(1)
    for _ in range(6):
        bench.now += bench.sender.step() or 0
    assert bench.sender.step() == 60
    bench.sender.hurry()
    assert [bench.sender.step(), bench.sender.step()] == [1, 1]
    bench.now += 1
    assert bench.sender.step() == 1
    bench.now += 5
    assert bench.sender.step() == 60


def test_the_end_of_a_run_does_not_override_what_the_receiver_asks(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [PushAnswer(429, "100")])
    bench.put(1)
    assert bench.sender.step() == 100
    bench.sender.hurry()
    assert bench.sender.step() == 100


def test_a_conflict_is_a_batch_that_is_there_already(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [PushAnswer(409)])
    bench.put(3)
    bench.drain()
    assert (bench.counts.sent_rows, bench.counts.refused_rows, files(tmp_path)) == (3, 0, [])


@pytest.mark.parametrize("status", [401, 403, 302, 308])
def test_a_refused_key_or_address_keeps_the_batch_and_says_the_status_once(
    tmp_path: Path, caplog: Any, status: int
) -> None:
    bench = Bench(tmp_path, [PushAnswer(status)] * 3)
    bench.put(2)
    assert bench.drain() == [60, 60, 60]
    assert bench.receiver.keys == ["run-1-1"] * 4
    assert caplog.text.count(f"status {status}") == 1
    assert (bench.counts.sent_rows, bench.counts.refused_rows) == (2, 0)


def test_a_batch_that_is_too_large_is_cut_until_it_is_not(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [PushAnswer(413), PushAnswer(413), PushAnswer(200), PushAnswer(500)])
    bench.put(5)
    bench.put(1)
    bench.drain()
    sent = [key.removeprefix("run-1-") for key in bench.receiver.keys]
    assert sent == ["1", "1.1", "1.1.1", "1.1.2", "1.1.2", "1.2", "2"]
    accepted = [bench.receiver.bodies[place] for place in (2, 4, 5, 6)]
    rows = [row["message"] for body in accepted for row in json.loads(body)["failures"]]
    assert rows == ["row 0", "row 1", "row 2", "row 3", "row 4", "row 0"]
    assert (bench.counts.sent_rows, bench.counts.sent_batches, files(tmp_path)) == (6, 4, [])


def test_a_row_that_is_too_large_by_itself_is_refused(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [PushAnswer(413)] * 3)
    bench.put(2)
    bench.drain()
    assert (bench.counts.sent_rows, bench.counts.refused_rows, files(tmp_path)) == (0, 2, [])


def test_a_refused_batch_is_given_up_counted_and_logged_once(tmp_path: Path, caplog: Any) -> None:
    bench = Bench(tmp_path, [PushAnswer(422), PushAnswer(200), PushAnswer(422)])
    for rows in (1, 2, 4):
        bench.put(rows)
    assert bench.drain() == []
    assert (bench.counts.sent_rows, bench.counts.refused_rows, bench.counts.retries) == (2, 5, 0)
    assert caplog.text.count("status 422") == 1
    assert bench.counts.last_error == "status 422"


def test_an_outage_that_lasts_is_logged_once_and_another_one_again(tmp_path: Path, caplog: Any) -> None:
    bench = Bench(tmp_path, [DOWN] * 2)
    bench.put(1)
    bench.drain()
    assert caplog.text == ""
    for outages in (1, 2):
        bench.receiver.answers = [DOWN] * 9
        bench.put(1)
        bench.drain()
        assert caplog.text.count("wait in the spool: ConnectionError") == outages


def test_a_batch_that_somebody_removed_is_counted_as_dropped(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.put(3)
    bench.put(1)
    (tmp_path / "run-1/push/000001.json").unlink()
    bench.drain()
    assert (bench.counts.dropped_rows, bench.counts.sent_rows) == (3, 1)


def test_a_spool_that_cannot_be_read_for_now_is_tried_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.put(3)
    file = tmp_path / "run-1/push/000001.json"
    content = file.read_bytes()
    file.unlink()
    file.mkdir()
    assert bench.sender.step() == 1
    assert bench.counts.last_error == "cannot read the spool: Is a directory"
    file.rmdir()
    file.write_bytes(content)
    bench.drain()
    assert bench.counts.sent_rows == 3

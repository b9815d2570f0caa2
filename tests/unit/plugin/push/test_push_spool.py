"""The batches on the disk: whole, found again, cut in two, and bounded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.unit.plugin.push.pushing import Bench, files, records


def test_a_batch_is_on_the_disk_before_it_is_sent_and_gone_after(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.put(3)
    assert files(tmp_path) == ["run-1/push/000001.json"]
    assert (bench.receiver.keys, bench.sender.waiting_rows) == ([], 3)
    on_disk = (tmp_path / "run-1/push/000001.json").read_bytes()
    assert bench.sender.waiting_bytes == len(on_disk)
    bench.drain()
    assert (files(tmp_path), bench.receiver.bodies, bench.sender.waiting_bytes) == ([], [on_disk], 0)
    sent = json.loads(on_disk)
    assert (sent["run_id"], sent["batch"], sent["labels"]) == ("run-1", 1, {"team": "shop"})
    assert sent["failures"] == [record.document() for record in records(3)]


def test_a_batch_has_up_to_500_rows_of_one_run(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.queue.add("run-1", records(1001))
    bench.queue.add("run-2", records(2))
    bench.queue.spool()
    bench.drain()
    batches = [
        (key, len(json.loads(body)["failures"]))
        for key, body in zip(bench.receiver.keys, bench.receiver.bodies, strict=True)
    ]
    assert batches == [("run-1-1", 500), ("run-1-2", 500), ("run-1-3", 1), ("run-2-1", 2)]


def test_rows_wait_for_more_when_only_full_batches_are_wanted(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.queue.add("run-1", records(501))
    bench.queue.spool(500)
    assert (bench.sender.waiting_rows, bench.queue.queued) == (500, 1)


def test_the_newest_batch_is_dropped_counted_and_logged_once_when_the_spool_is_full(
    tmp_path: Path, caplog: Any
) -> None:
    bench = Bench(tmp_path, spool_bytes=1000)
    for rows in (2, 3, 4):
        bench.put(rows)
    assert (bench.sender.waiting_rows, bench.counts.dropped_rows) == (2, 7)
    assert caplog.text.count("the spool is full (PUSH_SPOOL_MEGABYTES)") == 1
    bench.drain()
    bench.put(2)
    bench.drain()
    assert bench.receiver.keys == ["run-1-1", "run-1-4"]


def test_rows_beyond_the_queue_are_dropped_and_counted(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.queue.add("run-1", records(1) * 60_000)
    assert (bench.queue.queued, bench.counts.dropped_rows) == (50_000, 10_000)


def test_a_disk_that_cannot_be_written_drops_and_counts(tmp_path: Path, caplog: Any) -> None:
    (tmp_path / "run-1").write_text("in the way")
    bench = Bench(tmp_path)
    bench.put(3)
    bench.put(2)
    assert (bench.counts.dropped_rows, bench.sender.step()) == (5, None)
    assert caplog.text.count("cannot write the spool") == 1


def test_what_an_earlier_master_left_is_sent_first_under_the_same_keys(tmp_path: Path) -> None:
    before = Bench(tmp_path)
    before.put(2, "run-1")
    before.put(3, "run-1")
    before.put(1, "run-0")
    after = Bench(tmp_path)
    after.put(4, "run-2")
    assert after.sender.waiting_rows == 10
    after.drain()
    assert after.receiver.keys == ["run-0-1", "run-1-1", "run-1-2", "run-2-1"]
    assert (after.counts.sent_rows, files(tmp_path)) == (10, [])


def test_what_is_no_batch_is_left_alone_and_half_a_write_is_removed(tmp_path: Path, caplog: Any) -> None:
    folder = tmp_path / "run-1" / "push"
    folder.mkdir(parents=True)
    (folder / "000001.json").write_text("{")
    (folder / "000002.json").write_text('{"no": "rows"}')
    (folder / "000003.partial").write_text("{")
    (folder / "notes.txt").write_text("mine")
    bench = Bench(tmp_path)
    bench.queue.spool()
    assert bench.sender.step() is None
    assert "ignoring 2 files in the spool" in caplog.text
    assert files(tmp_path) == ["run-1/push/000001.json", "run-1/push/000002.json", "run-1/push/notes.txt"]


def test_halves_beside_their_whole_are_a_cut_that_broke_off(tmp_path: Path) -> None:
    before = Bench(tmp_path)
    before.put(4)
    whole = (tmp_path / "run-1/push/000001.json").read_bytes()
    (tmp_path / "run-1/push/000001.1.json").write_bytes(whole)
    (tmp_path / "run-1/push/000001.2.1.json").write_bytes(whole)
    after = Bench(tmp_path)
    after.queue.spool()
    assert (after.sender.waiting_rows, files(tmp_path)) == (4, ["run-1/push/000001.json"])

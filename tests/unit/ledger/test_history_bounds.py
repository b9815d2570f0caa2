"""History never makes its caller wait and never grows without bound; what that costs is counted and said."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from sidecar.ledger.database import used_bytes
from sidecar.ledger.history import History
from sidecar.ledger.history_reader import HistoryReader
from sidecar.ledger.history_writer import Dropped, HistoryWriter, Pending, RoundSamples, Work
from sidecar.ledger.schema import Retention
from sidecar.model.history import LogCursor, LogPosition, LogQuery
from tests.fakes.ledger_samples import MIB, NOW, PATIENCE_SECONDS, clock, container_id, later, line, sample
from tests.paths import ROOT

SAMPLES = 100_000


def test_beyond_the_bound_the_oldest_samples_are_dropped_before_any_line() -> None:
    pending = Pending(most_bytes=10_000)
    pending.add_lines([line("x" * 700), line("y" * 700)], {})
    for number in range(20):
        pending.add_round(RoundSamples(number, [sample(), sample()]))
    work = pending.take()
    assert [one.at_ms for one in work.rounds] == [14, 15, 16, 17, 18, 19]
    assert len(work.lines[0]) == 2
    assert pending.dropped() == Dropped(samples=28, lines=0)


def test_a_flood_of_lines_drops_all_samples_first_then_the_oldest_lines() -> None:
    pending = Pending(most_bytes=10_000)
    pending.add_round(RoundSamples(1, [sample()]))
    for number in range(20):
        pending.add_lines([line(str(number) * 700)], {"c": LogCursor({"1": LogPosition(number)})})
    work = pending.take()
    assert work.rounds == ()
    assert work.lines[-1][0].text.startswith("19")
    assert pending.dropped() == Dropped(samples=1, lines=20 - len(work.lines))
    assert work.cursors == {"c": LogCursor({"1": LogPosition(19)})}


def test_what_was_taken_makes_room() -> None:
    pending = Pending(most_bytes=10_000)
    for number in range(100):
        pending.add_round(RoundSamples(number, [sample()] * 5))
        assert pending.take()
    assert not pending.take()
    assert pending.dropped() == Dropped()


def test_a_caller_is_not_kept_waiting_by_a_file_that_another_holds(tmp_path: Path) -> None:
    history = History(tmp_path, clock, most_waiting_bytes=100_000)
    history.start()
    history.add_round(NOW, [sample()])
    assert history.flush(PATIENCE_SECONDS)
    other = sqlite3.connect(tmp_path / "history.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for second in range(2000):  # each of them returns although nothing can be written
        history.add_round(later(second), [sample()])
        history.add_lines([line(f"line {second}", second)])
    assert not history.flush(0.01)
    assert history.dropped.samples > 0
    assert history.dropped.lines > 0
    other.execute("ROLLBACK")
    other.close()
    assert history.flush(PATIENCE_SECONDS)
    assert history.search(LogQuery(limit=1))[0].text == "line 1999"
    history.close()


def test_what_cannot_be_kept_does_not_end_the_writing(history: History, caplog: pytest.LogCaptureFixture) -> None:
    history.add_lines([line("half a character \ud800")])
    assert history.flush(PATIENCE_SECONDS)
    assert "history cannot store this data" in caplog.text
    history.add_lines([line("whole")])
    assert history.flush(PATIENCE_SECONDS)
    assert [one.text for one in history.search()] == ["whole"]


def test_closing_writes_what_waits(tmp_path: Path) -> None:
    history = History(tmp_path, clock)
    history.start()
    history.add_round(NOW, [sample()])
    history.add_lines([line("last words")], {container_id(1): LogCursor({"1": LogPosition(7)})})
    history.close()
    reader = HistoryReader(tmp_path)
    assert reader.search()[0].text == "last words"
    assert len(reader.series(since=NOW, until=later(1), points=1)) == 1
    reader.close()


def test_of_too_much_the_oldest_samples_and_lines_go(tmp_path: Path) -> None:
    writer = HistoryWriter(tmp_path, lambda: later(4000), Retention(megabytes=8))
    for second in range(4000):
        rounds = (RoundSamples(int(later(second).timestamp()) * 1000, tuple(sample(number) for number in range(5))),)
        writer.write(Work(rounds=rounds, lines=((line("x" * 2000 + str(second), second),),)))
    writer.prune()
    assert 7.5 * MIB < used_bytes(writer._connection) <= 8 * MIB
    reader = HistoryReader(tmp_path)
    left = reader.search(LogQuery(limit=10_000))
    assert 1000 < len(left) < 4000
    assert left[0].text.endswith("3999")
    points = reader.series(since=NOW, until=later(4000), points=4000)[0].points
    assert abs((points[0].at - later(4000 - len(left))).total_seconds()) <= 1
    reader.close()
    writer.close()


def test_a_file_full_of_long_lines_only_is_cut_as_well(tmp_path: Path) -> None:
    writer = HistoryWriter(tmp_path, clock, Retention(megabytes=8))
    writer.write(Work(lines=(tuple(line("x" * 16_000, second) for second in range(900)),)))
    writer.prune()
    reader = HistoryReader(tmp_path)
    assert 100 < len(reader.search(LogQuery(limit=1000))) < 600
    reader.close()
    writer.close()


def test_a_hundred_thousand_samples_leave_memory_flat(tmp_path: Path) -> None:
    script = f"""
import resource, sys
from pathlib import Path
from sidecar.ledger.history import History
from tests.fakes.ledger_samples import clock, later, line, sample
history = History(Path(sys.argv[1]), clock)
history.start()
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
rows = [sample(number) for number in range(60)]
for one in range({SAMPLES} // 60):
    history.add_round(later(2 * one), rows)
    history.add_lines([line("x" * 100 + str(one), 2 * one)])
    if one % 50 == 49:
        assert history.flush(60)
    if one == {SAMPLES} // 60 // 5:
        early = peak()
assert not history.dropped.samples
print(early, peak())
history.close()
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    early_kib, late_kib = (int(word) for word in done.stdout.split())
    assert late_kib - early_kib < 6 * 1024

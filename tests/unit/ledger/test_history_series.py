"""Figures over time: steps, edges, and that averages of 30 seconds tell what the samples told."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sidecar.common.times import millis
from sidecar.ledger.history import History
from sidecar.ledger.history_reader import HistoryReader
from sidecar.ledger.history_writer import HistoryWriter, RoundSamples, Work
from sidecar.ledger.schema import Retention
from sidecar.model.history import SeriesPoint, run_point_of, samples_of
from sidecar.model.snapshot import Container, Snapshot
from tests.fakes.ledger_samples import MIB, NOW, PATIENCE_SECONDS, container_id, later, line, run_point, sample

SLOT = timedelta(seconds=30)


class Written:
    """A writer and a reader of one file, with a clock that the test sets."""

    def __init__(self, folder: Path, retention: Retention | None = None) -> None:
        self.now = NOW
        self.writer = HistoryWriter(folder, lambda: self.now, retention or Retention())
        self.reader = HistoryReader(folder)

    def put(self, at: datetime, **changes: Any) -> None:
        self.writer.write(Work(rounds=(RoundSamples(millis(at), (sample(**changes),)),)))

    def points(self, since: datetime, until: datetime, points: int) -> tuple[SeriesPoint, ...]:
        found = self.reader.series(since=since, until=until, points=points)
        return found[0].points if found else ()

    def table(self, name: str) -> int:
        return int(self.writer._connection.execute(f"SELECT COUNT(*) FROM {name}").fetchone()[0])  # noqa: S608 ours

    def close(self) -> None:
        self.reader.close()
        self.writer.close()


@pytest.fixture
def written(tmp_path: Path) -> Any:
    made = Written(tmp_path)
    yield made
    made.close()


def rounded(point: SeriesPoint) -> SeriesPoint:
    assert point.cpu_percent is not None
    return replace(point, cpu_percent=round(point.cpu_percent, 9))


def test_a_round_is_found_again_as_it_was(history: History) -> None:
    history.add_round(
        NOW, [sample(1), sample(2, limit_bytes=None, cpu_percent=None, throttled_percent=None, index=None)]
    )
    assert history.flush(PATIENCE_SECONDS)
    second, first = history.series(since=NOW, until=later(10), points=5)
    assert (first.container_id, first.name, first.project, first.service, first.index) == (
        container_id(1),
        "locust-worker-1",
        "locust",
        "locust-worker",
        1,
    )
    assert first.points == (SeriesPoint(NOW, 100 * MIB, 100 * MIB, 120 * MIB, 256 * MIB, 50.0, 50.0, 0.0),)
    assert second.points == (SeriesPoint(NOW, 100 * MIB, 100 * MIB, 120 * MIB, None, None, None, None),)


def test_a_step_holds_averages_and_peaks_of_its_samples(written: Written) -> None:
    for second, size in ((0, 10), (4, 30), (9.999, 20), (10, 1000)):
        written.put(
            later(second), working_set_bytes=size, usage_bytes=size * 2, cpu_percent=size, throttled_percent=size
        )
    first, second_ = written.points(NOW, later(20), 2)
    assert first == SeriesPoint(NOW, 20, 30, 60, 256 * MIB, 20.0, 30.0, 30.0)
    assert (second_.at, second_.working_set_max_bytes) == (later(10), 1000)


def test_the_span_holds_its_start_and_not_its_end(written: Written) -> None:
    for second in (-0.001, 0, 59.999, 60):
        written.put(later(second))
    assert [point.at for point in written.points(NOW, later(60), 1000)] == [NOW, later(59.999)]


def test_no_more_points_come_than_were_asked_for(written: Written) -> None:
    for second in range(100):
        written.put(later(second), working_set_bytes=second)
    found = written.points(NOW, later(100), 7)
    assert len(found) == 7
    assert found[-1].working_set_max_bytes == 99
    assert [one.at for one in found] == sorted(one.at for one in found)


def test_a_figure_that_is_not_known_counts_for_nothing(written: Written) -> None:
    written.put(NOW, cpu_percent=None)
    written.put(later(1), cpu_percent=30.0)
    assert written.points(NOW, later(2), 1)[0].cpu_percent == 30.0


def test_samples_older_than_two_hours_become_averages_of_whole_slots(written: Written) -> None:
    for second in range(0, 90, 2):
        written.put(later(second), working_set_bytes=second, usage_bytes=second, cpu_percent=float(second))
    written.now = NOW + timedelta(hours=2, seconds=59)  # the slot from 30 on is not two hours old as a whole
    written.writer.prune()
    assert (written.table("averages"), written.table("samples")) == (1, 30)
    first, *rest = written.points(NOW, later(90), 90)
    assert first == SeriesPoint(NOW, 14, 28, 28, 256 * MIB, 14.0, 28.0, 0.0)
    assert [one.at for one in rest] == [later(second) for second in range(30, 90, 2)]


def test_averages_and_samples_together_tell_what_the_samples_told(written: Written) -> None:
    for second in range(0, 240, 2):
        written.put(
            later(second),
            working_set_bytes=second**2,
            usage_bytes=second,
            cpu_percent=None if second % 4 or second < 20 else float(second),
        )
    before = written.points(NOW, later(240), 2)
    written.now = NOW + timedelta(hours=2, seconds=90)
    written.writer.prune()
    assert written.table("averages") == 3
    assert list(map(rounded, written.points(NOW, later(240), 2))) == list(map(rounded, before))


def test_a_slot_that_began_before_the_span_is_counted_at_its_start(written: Written) -> None:
    written.put(NOW)
    written.put(later(29))
    written.put(later(30))
    written.now = NOW + timedelta(hours=3)
    written.writer.prune()
    assert [point.at for point in written.points(later(10), later(100), 9)] == [later(10), later(30)]
    assert [point.at for point in written.points(later(30), later(100), 9)] == [later(30)]
    assert [point.at for point in written.points(NOW, later(30), 9)] == [NOW]


def test_a_sample_that_comes_late_is_added_to_its_slot(written: Written) -> None:
    written.put(NOW, working_set_bytes=10, cpu_percent=None)
    written.put(later(1), working_set_bytes=20, cpu_percent=10.0)
    written.now = NOW + timedelta(hours=3)
    written.writer.prune()
    written.put(later(2), working_set_bytes=60, cpu_percent=40.0, throttled_percent=None)
    written.writer.prune()
    assert written.points(NOW, later(30), 1) == (SeriesPoint(NOW, 30, 60, 120 * MIB, 256 * MIB, 25.0, 40.0, 0.0),)


def test_a_container_is_known_again_after_a_write_that_failed(written: Written) -> None:
    poisoned = Work(rounds=(RoundSamples(millis(NOW), (sample(),)),), lines=((line("half a character \ud800"),),))
    with pytest.raises(UnicodeEncodeError):
        written.writer.write(poisoned)
    written.put(NOW)
    assert len(written.points(NOW, later(1), 1)) == 1


def test_series_are_of_the_project_asked_for(history: History) -> None:
    history.add_round(NOW, [sample(1), sample(2), sample(3, project="shop")])
    assert history.flush(PATIENCE_SECONDS)

    def found(**asked: Any) -> list[str]:
        return [one.container_id for one in history.series(since=NOW, until=later(1), points=1, **asked)]

    assert found() == [container_id(1), container_id(2), container_id(3)]
    assert found(project="shop") == [container_id(3)]


def test_a_renamed_container_has_its_new_name(history: History) -> None:
    history.add_round(NOW, [sample(1)])
    history.add_round(later(1), [sample(1, name="renamed")])
    assert history.flush(PATIENCE_SECONDS)
    (one,) = history.series(since=NOW, until=later(10), points=10)
    assert (one.name, len(one.points)) == ("renamed", 2)


def test_numbers_beyond_what_a_file_can_hold_are_kept_at_the_largest(history: History) -> None:
    history.add_round(NOW, [sample(1, limit_bytes=2**64 - 1, network_rx_bytes=2**80)])
    assert history.flush(PATIENCE_SECONDS)
    assert history.series(since=NOW, until=later(1), points=1)[0].points[0].limit_bytes == 2**63 - 1


def test_the_run_is_told_by_its_last_state_its_peaks_and_its_mean_rates(written: Written) -> None:
    spawning = run_point(NOW, state="spawning", users=10, rps=10.0, p95_ms=None, workers=4)
    running = run_point(later(5), state="running", users=20, rps=30.0, p95_ms=9.0, workers=3, fail_per_second=1.0)
    written.writer.write(Work(run_points=(spawning, running)))
    expected = [run_point(NOW, state="running", users=20, rps=20.0, p95_ms=9.0, workers=3, fail_per_second=0.5)]
    assert written.reader.run_series(since=NOW, until=later(10), points=1) == expected
    assert written.reader.run_series(since=NOW, until=later(10), points=2) == [spawning, running]
    written.now = NOW + timedelta(hours=3)
    written.writer.prune()
    assert written.reader.run_series(since=NOW, until=later(10), points=2) == expected


def test_figures_go_when_they_are_too_old_and_containers_with_them(written: Written) -> None:
    written.put(NOW - timedelta(days=31), number=1)
    written.put(NOW - timedelta(days=29), number=2)
    written.writer.prune()
    found = written.reader.series(since=NOW - timedelta(days=40), until=NOW, points=10)
    assert [one.container_id for one in found] == [container_id(2)]
    assert written.table("containers") == 1
    written.put(NOW, number=1)
    assert len(written.reader.series(since=NOW, until=later(1), points=1)) == 1


def test_a_snapshot_gives_samples_of_containers_with_figures_only() -> None:
    running = Container(
        "locust-worker", 1, "w-1", "a" * 64, "running", memory_working_set_bytes=1, memory_usage_bytes=2
    )
    exited = Container("locust-worker", 2, "w-2", "b" * 64, "exited")
    snapshot = Snapshot("locust", NOW, stale=False, interval_seconds=2.0, containers=(running, exited))
    (made,) = samples_of(snapshot)
    assert (made.container_id, made.project, made.working_set_bytes, made.usage_bytes) == ("a" * 64, "locust", 1, 2)
    assert run_point_of(snapshot) is None

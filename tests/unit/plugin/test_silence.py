"""Workers that are there and report nothing."""

from __future__ import annotations

from locust_kit.silence import Silence, WorkerAtWork

BOTH = [WorkerAtWork("w-1", 5), WorkerAtWork("w-2", 5)]


def watched(seconds: int, *, heard: dict[str, set[int]], workers: list[WorkerAtWork] = BOTH) -> Silence:
    """A run of so many seconds; `heard` are the seconds in which a worker reported."""
    silence = Silence()
    silence.begin(1000.0)
    for second in range(1, seconds + 1):
        for worker, at in heard.items():
            if second in at:
                silence.heard(worker)
        silence.look(workers, 1000.0 + second)
    return silence


EVERY_3 = set(range(3, 100, 3))


def test_workers_that_report_every_3_s_are_not_silent() -> None:
    silence = watched(60, heard={"w-1": EVERY_3, "w-2": EVERY_3})
    silence.end(["w-1", "w-2"], 1060.0)
    assert silence.document() == []


def test_a_worker_that_stops_reporting_is_silent_after_10_s_and_for_as_long_as_it_lasts() -> None:
    assert watched(12, heard={"w-1": EVERY_3, "w-2": {3}}).document() == []
    (found,) = watched(40, heard={"w-1": EVERY_3, "w-2": {3}}).document()
    assert (found["worker"], found["at"], found["users"]) == ("w-2", "1970-01-01T00:16:43.000Z", 5)
    assert 36 <= found["seconds"] <= 38


def test_each_silence_of_a_worker_is_told_apart() -> None:
    found = watched(60, heard={"w-1": EVERY_3, "w-2": {3, 30, 33, 36}}).document()
    assert [silent["worker"] for silent in found] == ["w-2", "w-2"]


def test_a_master_that_stood_still_blames_nobody() -> None:
    silence = Silence()
    silence.begin(1000.0)
    for at in (1001.0, 1002.0, 1060.0, 1061.0):
        silence.look(BOTH, at)
    assert silence.document() == []


def test_a_worker_whose_heartbeats_stopped_is_not_looked_at_and_begins_anew() -> None:
    silence = Silence()
    silence.begin(1000.0)
    for second in range(1, 30):
        silence.look(BOTH if second % 8 else BOTH[:1], 1000.0 + second)
        silence.heard("w-1")
    assert silence.document() == []


def test_a_worker_that_never_reported_in_a_short_run_was_silent() -> None:
    silence = watched(5, heard={"w-1": EVERY_3})
    silence.end(["w-1", "w-2"], 1006.0)
    (found,) = silence.document()
    assert (found["worker"], found["seconds"]) == ("w-2", 6.0)


def test_the_next_run_inherits_nothing() -> None:
    silence = watched(40, heard={})
    assert silence.workers == 2
    silence.begin(2000.0)
    assert (silence.document(), silence.workers) == ([], 0)

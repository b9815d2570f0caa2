"""Growth is a fit, and only a straight and steep one is a leak; collections are counted as they happen."""

from __future__ import annotations

import gc
import random
import tracemalloc

import pytest
from locust_kit.memory import Memory, growth_of, resident_bytes

MIB = 1 << 20


def line(seconds: int, start: int = 100 * MIB, a_minute: float = 0.0, noise: float = 0.0) -> list[tuple[float, int]]:
    chance = random.Random(7)  # noqa: S311
    return [
        (float(at), int(start + a_minute * at / 60 + noise * (chance.random() - 0.5))) for at in range(0, seconds, 2)
    ]


@pytest.mark.parametrize(
    ("samples", "verdict"),
    [
        ([], "too early"),
        (line(100, a_minute=50 * MIB), "too early"),
        (line(300), "steady"),
        (line(300, noise=20 * MIB), "steady"),
        (line(300, a_minute=0.5 * MIB), "steady"),
        (line(300, a_minute=10 * MIB), "leak"),
        (line(300, a_minute=10 * MIB, noise=8 * MIB), "leak"),
        (line(600, start=1000 * MIB, a_minute=5 * MIB), "steady"),  # half a per cent a minute of a large process
    ],
)
def test_a_leak_is_straight_and_steep(samples: list[tuple[float, int]], verdict: str) -> None:
    assert growth_of(samples).verdict == verdict


def test_one_jump_is_no_leak_though_last_minus_first_says_so() -> None:
    jumped = [(at, size + (60 * MIB if at > 290 else 0)) for at, size in line(300)]
    assert growth_of(jumped).verdict == "steady"


def test_the_slope_is_that_of_the_line() -> None:
    found = growth_of(line(300, a_minute=10 * MIB))
    assert found.bytes_per_minute == pytest.approx(10 * MIB, rel=0.01)
    assert found.explained == pytest.approx(1.0, abs=1e-6)


def test_the_warm_up_is_left_out() -> None:
    memory = Memory(begun=100.0)
    for at in (100.0, 129.0, 130.0, 131.0):
        memory.sample(at, 1)
    assert [at for at, _ in memory.samples] == [130.0, 131.0]


def test_collections_are_counted_and_timed() -> None:
    memory = Memory()
    memory.watch()
    try:
        gc.collect()
        gc.collect()
    finally:
        gc.callbacks.remove(memory.on_collection)
    assert memory.collections >= 2
    assert 0 < memory.longest_seconds <= memory.paused_seconds


def test_a_document_of_a_real_process() -> None:
    memory = Memory()
    memory.collect()
    found = memory.document(memory.begun + 10)
    assert found["rss_bytes"] == pytest.approx(resident_bytes(), rel=0.2)
    assert found["verdict"] == "too early"
    assert found["gc_freed_at_stop_bytes"] >= 0


def test_what_is_there_as_a_run_starts_is_frozen_when_asked_for() -> None:
    try:
        Memory.of({}).settle()
        assert gc.get_freeze_count() == 0
        Memory.of({"KIT_GC_FREEZE": "1"}).settle()
        assert gc.get_freeze_count() > 1000
    finally:
        gc.unfreeze()


def test_thresholds_are_pythons_own_unless_given() -> None:
    before = gc.get_threshold()
    memory = Memory.of({"KIT_GC_THRESHOLDS": "5000,20"})
    try:
        memory.watch()
        assert gc.get_threshold()[:2] == (5000, 20)
    finally:
        gc.callbacks.remove(memory.on_collection)
        gc.set_threshold(*before)
    for text in ("", "x", "1,,2"):
        assert Memory.of({"KIT_GC_THRESHOLDS": text}).thresholds == ()


def test_the_lines_that_hold_the_most_are_reported_only_when_asked_for() -> None:
    memory = Memory.of({"KIT_TRACE_MEMORY": "1"})
    memory.watch()
    try:
        kept = [str(number) * 10 for number in range(100_000)]
        memory.collect()
    finally:
        gc.callbacks.remove(memory.on_collection)
        tracemalloc.stop()
    assert any("test_worker_memory.py" in line for line in memory.document(memory.begun)["top_lines"])
    assert len(kept) == 100_000
    plain = Memory()
    plain.collect()
    assert plain.document(plain.begun)["top_lines"] == []

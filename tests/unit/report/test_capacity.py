"""What a run says of larger ones."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sidecar.model.history import RecordedSeries
from sidecar.report.verdict.capacity import Measured, advise, measure
from tests.fakes.run_scene import MIB, clean, container

MEASURED = Measured(
    users=200, workers=2, rps=400.0, base_bytes=60.0 * MIB, bytes_per_user=0.1 * MIB, cpu_per_user=0.004,
    cpu_per_request_ms=2.0, steady_seconds=120.0,
)  # fmt: skip


def grown(number: int, to_mib: int, cpu: float) -> RecordedSeries:
    """A worker of 60 MiB before its users."""
    flat = container(number, cpu_percent=cpu)
    first, *rest = flat.points
    peak = to_mib * MIB
    return replace(flat, points=(first, *(replace(one, working_set_max_bytes=peak) for one in rest)))


def test_a_users_memory_is_what_a_worker_grew_by_and_cpu_is_that_of_the_steady_time() -> None:
    found = measure(clean().moments, (grown(1, 65, 40.0), grown(2, 65, 60.0)))
    assert found is not None
    assert (found.users, found.workers) == (50, 2)
    assert found.bytes_per_user == pytest.approx(5 * MIB / 25)
    assert found.cpu_per_user == pytest.approx(1.0 / 50)
    assert found.cpu_per_request_ms == pytest.approx(10.0)


def test_without_users_or_watching_nothing_is_said() -> None:
    assert measure((), (container(1),)) is None
    assert measure(clean().moments, ()) is None
    assert measure(clean().moments, (container(1, service="locust-master"),)) is None


@pytest.mark.parametrize(
    ("users", "limit", "cores", "settings", "first"),
    [
        (400, 256 * MIB, 4, "WORKERS=3 WORKER_MEMORY=128M", "CPU of a worker"),  # 1.6 cores / 0.7
        (1000, 100 * MIB, 8, "WORKERS=7 WORKER_MEMORY=128M", "memory of a worker"),  # 15 MiB a worker for users
        (
            1000,
            512 * MIB,
            4,
            "WORKERS=6 WORKER_MEMORY=128M",
            "the machine's 4 CPU cores: sending alone needs 4.0",
        ),
    ],
)
def test_the_first_limit_decides(users: int, limit: int, cores: int, settings: str, first: str) -> None:
    found = advise(MEASURED, users, limit, cores)
    assert (found.settings, found.first_limit) == (settings, first)


def test_how_sure_it_is_depends_on_the_run_and_on_how_far_it_reaches() -> None:
    assert advise(MEASURED, 800, None, None).confidence == "fair"
    assert advise(MEASURED, 5000, None, None).why == "5000 users are 25 times as many as in this run"
    short = replace(MEASURED, steady_seconds=20.0, users=40)
    assert advise(short, 40, None, None).confidence == "rough"
    assert "only 20 users per worker" in advise(short, 40, None, None).why

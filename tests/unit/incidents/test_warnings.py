"""Each rule: when it speaks, when it is silent, and how badly."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from sidecar.incidents.warnings import Known, warnings
from sidecar.model.observation import PluginStatus
from sidecar.model.snapshot import Container, Worker
from tests.fakes import sidecar_samples as samples
from tests.fakes.sidecar_samples import container, dead

MASTER = container("locust-master")
WORKER = container("locust-worker")


def known(*containers: Container, **changes: Any) -> Known:
    made = Known(samples.NOW, (MASTER, *containers), samples.locust(len(containers)), None, samples.host())
    return replace(made, **changes)


def texts(situation: Known) -> list[str]:
    return [f"{warning.severity}: {warning.text}" for warning in warnings(situation)]


def test_a_healthy_stack_has_no_warning() -> None:
    assert texts(known(WORKER)) == []


@pytest.mark.parametrize(("percent", "expected"), [(89.9, 0), (90.0, 1), (99.0, 1)])
def test_memory_is_warned_of_from_ninety_percent_of_the_limit(percent: float, expected: int) -> None:
    found = warnings(known(replace(WORKER, memory_percent=percent)))
    assert len(found) == expected
    assert all(one.container == WORKER.name and one.severity == "warn" for one in found)


def test_memory_without_a_limit_is_not_warned_of() -> None:
    assert texts(known(replace(WORKER, memory_percent=95.0, memory_limit_bytes=None))) == []


def test_an_unhealthy_container_is_an_error() -> None:
    assert texts(known(replace(WORKER, health="unhealthy"))) == ["error: locust-worker-1 is unhealthy"]


def test_a_container_that_keeps_restarting_is_an_error_with_count_and_code() -> None:
    (found,) = texts(known(replace(WORKER, state="restarting", health=None, restarts=4, exit_code=3)))
    assert found == "error: locust-worker-1 keeps restarting (4 times so far, last exit code 3)"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (137, "error: locust-worker-1 has exited with code 137 (SIGKILL)"),
        (1, "error: locust-worker-1 has exited with code 1"),
        (0, "warn: locust-worker-1 has exited with code 0"),
    ],
)
def test_an_exited_worker_is_told_with_its_code(code: int, expected: str) -> None:
    assert texts(known(dead("locust-worker", 1, code))) == [expected]


def test_a_paused_container_is_told() -> None:
    assert texts(known(replace(WORKER, state="paused"))) == ["warn: locust-worker-1 is paused"]


def test_a_stack_without_master_is_an_error() -> None:
    assert texts(known(containers=(WORKER,))) == ["error: there is no locust-master container: make up"]


def test_fewer_connected_workers_than_running_ones_are_told_with_both_numbers() -> None:
    figures = samples.locust(4, workers_connected=3)
    assert texts(known(WORKER, locust=figures)) == ["warn: only 3 of 4 running workers are connected to the master"]


def test_more_connected_than_running_is_no_warning() -> None:
    # LOCUST_PROCESSES makes several Locust workers out of one container.
    assert texts(known(WORKER, locust=samples.locust(2, workers_connected=4))) == []


def test_a_remote_worker_stands_in_for_none_of_this_machine() -> None:
    here = samples.locust(2).workers[0]
    far = replace(here, id="load2_ab", container=None, remote=True)
    short = samples.locust(2, workers_connected=2, workers=(here, far))
    assert texts(known(WORKER, locust=short)) == ["warn: only 1 of 2 running workers are connected to the master"]
    more = samples.locust(1, workers_connected=2, workers=(here, far))
    assert texts(known(WORKER, locust=more)) == []


def test_workers_with_an_older_locustfile_are_counted_and_the_mend_is_named() -> None:
    workers = tuple(
        Worker(f"{number}_a", None, "ready", 0, 0.0, 0, ("flows/login.py",) if number < 3 else ())
        for number in range(4)
    )
    figures = samples.locust(4, workers=workers, locustfile_changed=("flows/login.py",))
    assert texts(known(WORKER, locust=figures)) == [
        "warn: 3 of 4 workers run an older flows/login.py than the one on disk: make reload"
    ]


def test_an_older_locustfile_on_the_master_alone_is_told_too() -> None:
    figures = samples.locust(4, locustfile_changed=("locustfile.py",))
    assert texts(known(WORKER, locust=figures)) == [
        "warn: the master runs an older locustfile.py than the one on disk: make reload"
    ]


@pytest.mark.parametrize(("percent", "expected"), [(89.9, 0), (93.0, 1)])
def test_a_worker_near_a_whole_core_is_told(percent: float, expected: int) -> None:
    assert len(texts(known(replace(WORKER, cpu_percent=percent)))) == expected


def test_a_busy_container_that_is_no_generator_is_not_told() -> None:
    assert texts(known(WORKER, replace(container("mock-target"), cpu_percent=180.0))) == []


def test_several_processes_in_a_container_are_judged_one_by_one() -> None:
    def processes(*percents: float) -> tuple[Worker, ...]:
        return tuple(Worker(f"{n}_a", WORKER.name, "running", 1, percent, 0) for n, percent in enumerate(percents))

    busy = replace(WORKER, cpu_percent=160.0)
    assert texts(known(busy, locust=samples.locust(1, workers=processes(80.0, 80.0)))) == []
    (found,) = texts(known(busy, locust=samples.locust(1, workers=processes(60.0, 95.0))))
    assert "uses 95% of a core" in found


def test_a_throttled_worker_is_told_even_when_it_is_far_from_a_core() -> None:
    (found,) = texts(known(replace(WORKER, cpu_percent=50.0, cpu_limit_percent=50.0, throttled_percent=40.0)))
    assert found.startswith("warn: locust-worker-1 is throttled by its CPU limit 40% of the time")


@pytest.mark.parametrize(("percent", "expected"), [(89.0, []), (91.0, ["warn"]), (98.0, ["error"])])
def test_a_filling_disk_is_a_warning_then_an_error(percent: float, expected: list[str]) -> None:
    found = warnings(known(WORKER, host=samples.host(disk_used_percent=percent)))
    assert [one.severity for one in found] == expected


def test_a_restart_is_told_for_five_minutes() -> None:
    fresh = replace(WORKER, restarts=2, started_at=samples.NOW - timedelta(minutes=1))
    assert texts(known(fresh)) == ["warn: locust-worker-1 has been restarted 2 times, last in these 5 minutes"]
    assert texts(known(replace(fresh, started_at=samples.NOW - timedelta(minutes=6)))) == []


def test_a_silent_master_is_an_error_with_the_reason() -> None:
    (found,) = texts(known(WORKER, locust=None, locust_error="the master asks for a login"))
    assert found == "error: no figures from Locust: the master asks for a login"


def test_a_master_that_has_only_just_started_may_be_silent() -> None:
    starting = replace(MASTER, started_at=samples.NOW - timedelta(seconds=5))
    assert texts(known(containers=(starting, WORKER), locust=None, locust_error="refused")) == []


def test_stale_data_is_told_first_and_draws_no_conclusions_from_absence() -> None:
    situation = known(containers=(), locust=None, locust_error="x", stale=True, unread=("Docker does not answer: x",))
    assert texts(situation) == ["error: Docker does not answer: x"]


def test_errors_come_before_warnings() -> None:
    found = warnings(known(replace(WORKER, memory_percent=95.0), dead("locust-worker", 2, 1)))
    assert [one.severity for one in found] == ["error", "warn"]


def waiting(seconds: int, quiet_seconds: int, *, users: int = 10, **judge: Any) -> list[tuple[str, str]]:
    row = {"method": "POST", "name": "/checkout", "waiting": [[1, 2], [seconds, 5]]}
    account = {"endpoints": [{"method": "GET", "name": "/fast", "cut": 3}, row], "quiet_seconds": quiet_seconds}
    plugin = PluginStatus(None, judge=judge, meters={"requests": account})
    locust = replace(samples.locust(1), users=users)
    return [(warning.severity, warning.text) for warning in warnings(known(WORKER, locust=locust, plugin=plugin))]


def test_requests_that_wait_for_long_are_told_while_they_wait() -> None:
    assert waiting(9, 9) == waiting(14, 14, users=0) == waiting(14, 14, stuck_seconds=0) == []
    assert waiting(14, 2) == [("warn", "5 requests of POST /checkout without an answer, the oldest for 14 s")]
    text = "no request finished for 12 s while 10 users are there: POST /checkout has waited 14 s"
    assert waiting(14, 12) == [("error", text)]
    assert waiting(14, 12, stuck_seconds="20") == []


def test_workers_whose_figures_are_missing_are_said_while_users_are_there() -> None:
    silent = {"worker": "w-1", "at": "2026-11-27T01:02:13Z", "seconds": 21.3, "users": 5}
    refused = [{"worker": "w-2", "reason": "no", "count": 3, "changes_figures": changes} for changes in (True, False)]
    plugin = PluginStatus(None, meters={"reports": {"silent_workers": [silent], "refused": refused}})
    assert texts(known(WORKER, plugin=plugin)) == [
        "error: worker w-1 sent no statistics for 21 s, with 5 users",
        "error: 3 reports of workers could not be counted: the master's log says why",
    ]
    assert texts(known(WORKER, plugin=plugin, locust=replace(samples.locust(1), users=0))) == []
    assert texts(known(WORKER, plugin=replace(plugin, meters={"reports": {}}))) == []

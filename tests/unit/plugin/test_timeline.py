"""How many workers there should be, by what the containers of those that are there were told."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

from locust.runners import STATE_INIT, STATE_MISSING, MasterRunner, WorkerNode
from locust_kit import timeline


def expected(*workers: tuple[str, str, int]) -> tuple[int, int]:
    """Return workers_expected and worker_hosts for (id, state, processes)."""
    clients = {name: WorkerNode(name, state) for name, state, _ in workers}
    runner = cast("MasterRunner", SimpleNamespace(clients=clients))
    for name, _, processes in workers:
        if processes:
            timeline.note_processes(runner, name, processes)
    connected = [worker for worker in clients.values() if worker.state != STATE_MISSING]
    found = timeline._expected(connected)
    return found["workers_expected"], found["worker_hosts"]


def test_a_worker_alone_in_its_container_is_one() -> None:
    assert expected(("a_1", STATE_INIT, 1), ("b_1", STATE_INIT, 0)) == (2, 2)


def test_a_process_that_is_gone_is_still_expected_while_its_container_has_another() -> None:
    workers = [("a_1", STATE_INIT, 2), ("a_2", STATE_MISSING, 2), ("b_1", STATE_INIT, 2), ("b_2", STATE_INIT, 0)]
    assert expected(*workers) == (4, 2)


def test_a_container_that_is_gone_is_not_expected() -> None:
    assert expected(("a_1", STATE_MISSING, 2), ("a_2", STATE_MISSING, 2), ("b_1", STATE_INIT, 2)) == (2, 1)


def test_a_worker_that_the_master_does_not_know_is_passed_over() -> None:
    timeline.note_processes(cast("MasterRunner", SimpleNamespace(clients={})), "a_1", 2)

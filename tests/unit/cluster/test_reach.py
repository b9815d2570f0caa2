"""The two things that a sidecar asks of the network itself."""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import replace
from datetime import timedelta
from typing import cast

import pytest

from sidecar.client.reader import MonitorError
from sidecar.cluster import member
from sidecar.cluster.member import Prober, reach
from sidecar.cluster.peer_client import PeerClient, addresses
from sidecar.model.cluster import NodeReport, Reach
from sidecar.swarm import evidence
from tests.fakes.fake_master import FakeMaster
from tests.ports import free_port
from tests.unit.cluster.cluster_scene import NOW, report, worker


def test_a_name_is_asked_for_all_its_addresses_and_one_that_nobody_has_for_none() -> None:
    assert "127.0.0.1" in addresses("localhost", 8090)
    assert addresses("tasks.monitor.invalid", 8090) == ()


def test_a_port_that_listens_is_reached_and_else_it_is_said_why_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = reach("127.0.0.1", server.getsockname()[1], lambda: NOW)
    assert (found.error, found.at) == (None, NOW)
    assert found.took_ms is not None
    assert reach("127.0.0.1", free_port(), lambda: NOW).error == "Connection refused"
    assert reach("master.invalid", 5557, lambda: NOW).error == "no such name: master.invalid"


def test_the_last_attempt_is_known() -> None:
    tried = threading.Event()

    def attempt() -> object:
        tried.set()
        return reach("127.0.0.1", free_port(), lambda: NOW)

    prober = Prober(attempt)  # type: ignore[arg-type]
    assert prober.known() is None
    prober.start()
    try:
        assert tried.wait(10)
    finally:
        prober.stop()


def test_a_failed_attempt_is_followed_by_the_next_one_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(member, "REACH_AGAIN_SECONDS", 0.01)
    attempts = iter([Reach(NOW, error="no such name: locust-master"), Reach(NOW, took_ms=1.0)])
    prober = Prober(lambda: next(attempts))
    prober.start()
    try:
        deadline = time.monotonic() + 8  # less than the ten seconds between attempts that go well
        while (known := prober.known()) is None or known.error:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        prober.stop()


def test_a_failure_from_before_the_question_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "_POLL_SECONDS", 0.0)
    early, late = NOW - timedelta(seconds=3), NOW + timedelta(seconds=1)
    reaches = [Reach(early, error="no such name: locust-master"), Reach(late, took_ms=1.0)]
    reports = iter([replace(report("node2", worker(1)), at=NOW, reach=attempt) for attempt in reaches])

    class Client:
        def report(self, _mark: int | None) -> NodeReport:
            return next(reports)

    seen = evidence._with_fresh_reach(cast("PeerClient", Client()))
    assert seen.reach == reaches[1]


@pytest.mark.parametrize(
    ("path", "said"), [("closed", "connection refused"), ("foreign", "something else answers there")]
)
def test_what_is_no_sidecar_of_this_cluster_is_told_in_a_few_words(path: str, said: str) -> None:
    master = FakeMaster()
    port = master.port if path == "foreign" else free_port()
    client = PeerClient("127.0.0.1", port, "token", "node1")
    try:
        with pytest.raises(MonitorError, match=said):
            client.report(None)
    finally:
        client.close()
        master.close()

"""The two things that a sidecar asks of the network itself."""

from __future__ import annotations

import socket
import threading

import pytest

from sidecar.cluster.node_status import Prober, reach
from sidecar.cluster.peer_client import PeerClient, PeerError, addresses
from tests.fakes.fake_master import FakeMaster
from tests.ports import free_port
from tests.unit.cluster.cluster_scene import NOW


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


@pytest.mark.parametrize(
    ("path", "said"), [("closed", "connection refused"), ("foreign", "it answers with status 404")]
)
def test_what_is_no_sidecar_of_this_cluster_is_told_in_a_few_words(path: str, said: str) -> None:
    master = FakeMaster()
    port = master.port if path == "foreign" else free_port()
    client = PeerClient("127.0.0.1", port, "token", "node1")
    try:
        with pytest.raises(PeerError, match=said):
            client.report(None)
    finally:
        client.close()
        master.close()

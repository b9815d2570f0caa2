"""The mock target's real image, hardened as in the stack."""

from __future__ import annotations

import socket
import ssl
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.integration._containers import HARDENED, container, engine_absent, health, need_image, run_docker, wait_until
from tests.process.mock_target._talk import Target

if TYPE_CHECKING:
    from collections.abc import Iterator

IMAGE = "locust-kit/mock-target:local"
PUBLISHED = ("--publish", "127.0.0.1::8080", "--publish", "127.0.0.1::8443")

pytestmark = pytest.mark.skipif(bool(engine_absent()), reason=engine_absent())


@pytest.fixture(scope="module")
def running() -> Iterator[str]:
    with container(need_image(IMAGE), "--init", *HARDENED, *PUBLISHED) as container_id:
        yield container_id


@pytest.fixture(scope="module")
def target(running: str) -> Target:
    return published(running)


def published(container_id: str) -> Target:
    """Where the container is reached, once it listens."""
    wait_until(lambda: '"http_port"' in run_docker("logs", container_id), "the mock target listens")
    http, https = (int(run_docker("port", container_id, port).rpartition(":")[2]) for port in ("8080", "8443"))
    return Target(http, https)


def test_it_becomes_healthy(running: str) -> None:
    wait_until(lambda: health(running) == "healthy", "the mock target is healthy")


def test_it_runs_without_root_and_without_capabilities(running: str) -> None:
    status = dict(
        line.split(":\t", 1)
        for line in run_docker("exec", running, "cat", "/proc/self/status").splitlines()
        if ":\t" in line
    )
    assert status["Uid"].split() == ["10001"] * 4
    assert status["Gid"].split() == ["10001"] * 4
    assert int(status["CapEff"], 16) == 0
    assert int(status["CapBnd"], 16) == 0


def test_both_doors_answer_and_count_together(target: Target) -> None:
    target.reset()
    assert target.hear("/api/data").status == 200
    assert target.hear("/api/data", tls=True).status == 200
    truncated = target.hear("/truncate?bytes=100", tls=True)
    assert (truncated.headers["content-length"], len(truncated.body)) == ("100", 50)
    assert target.counts()["behaviours"] == {"ok": 2, "truncate": 1}


def test_a_reset_is_a_real_one_for_other_containers(running: str, target: Target) -> None:
    target.reset()
    # From inside: the engine's own forwarder between host and container would make an ordinary end of it.
    look = "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/reset', timeout=5)"
    done = subprocess.run(
        ["docker", "exec", running, "/opt/venv/bin/python3", "-c", look],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert "ConnectionResetError" in done.stderr
    assert target.counts()["behaviours"] == {"reset": 1}


@pytest.mark.parametrize("name", ["mock-target", "localhost"])
def test_its_certificate_names_it(target: Target, name: str) -> None:
    assert target.https_port is not None
    certificate = ssl.get_server_certificate(("127.0.0.1", target.https_port), timeout=10)
    trusting = ssl.create_default_context(cadata=certificate)
    plain = socket.create_connection(("127.0.0.1", target.https_port), timeout=10)
    with trusting.wrap_socket(plain, server_hostname=name) as line:
        assert line.version() in {"TLSv1.2", "TLSv1.3"}


def test_its_certificate_is_a_new_one_at_each_start(target: Target) -> None:
    assert target.https_port is not None
    first = ssl.get_server_certificate(("127.0.0.1", target.https_port), timeout=10)
    with container(IMAGE, *HARDENED, *PUBLISHED) as other:
        port = published(other).https_port
        assert port is not None
        assert ssl.get_server_certificate(("127.0.0.1", port), timeout=10) != first


@pytest.mark.parametrize("options", [("--init",), ()], ids=["with init", "as process 1"])
def test_it_ends_by_itself_with_a_connection_hanging(options: tuple[str, ...]) -> None:
    with container(need_image(IMAGE), *options, *HARDENED, *PUBLISHED) as container_id:
        target = published(container_id)
        with target.connect() as line:
            line.sendall(b"GET /hang HTTP/1.1\r\nHost: x\r\n\r\n")
            wait_until(lambda: target.counts()["hanging_now"] == 1, "it hangs")
            run_docker("stop", "--time", "10", container_id)  # which kills what has not ended by then: 137
        assert run_docker("inspect", "--format", "{{.State.ExitCode}}", container_id) == "0"

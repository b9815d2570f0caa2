"""The docker-proxy's real image before the real engine, asked in raw bytes: no client tidies a path up on its way."""

from __future__ import annotations

import time
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import pytest
from docker.client import DockerClient
from docker.errors import APIError

from tests.integration._containers import (
    container,
    engine_absent,
    health,
    need_image,
    run_docker,
    succeeds,
    volume,
    wait_until,
)
from tests.integration._proxy import (
    CONFIG,
    ENGINE,
    IMAGE,
    OPTIONS,
    Proxy,
    ask,
    body_of,
    connect,
    engine_group,
    nobody,
    proxy,
    read_to_end,
    request,
    status_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(bool(engine_absent()), reason=engine_absent())

SILENT_EVENTS = "GET /v1.44/events?filters=%7B%22event%22%3A%5B%22nothing%22%5D%7D HTTP/1.1"


@pytest.fixture(scope="module", params=["nobody", "root"])
def door(request: pytest.FixtureRequest) -> Iterator[Proxy]:
    """The proxy under both users it may get: nobody in the socket's group, and root without a capability."""
    with proxy(nobody() if request.param == "nobody" else "0:0") as running:
        yield running


@pytest.mark.parametrize(
    "target",
    [
        "/version",
        "/v1.44/version",
        "/v1.44/containers/json",
        "/v1.44/containers/json?limit=-1&all=1&size=0&trunc_cmd=0",
        "/v1.44/containers/json?filters=%7B%22label%22%3A+%5B%22com.docker.compose.project%3Dkit-test-door%22%5D%7D",
        "/v1.44/containers/ID/json",
        "/v1.44/containers/ID/stats?stream=0&one-shot=1",
        "/v1.44/containers/ID/logs?stdout=1&tail=5",
        "/v1.44/events?since=1&until=2",
    ],
)
def test_what_a_monitor_reads_is_allowed(door: Proxy, target: str) -> None:
    assert status_of(ask(door, request(f"GET {target.replace('ID', door.container_id)} HTTP/1.1"))) == 200


@pytest.mark.parametrize(
    "target",
    [
        # what the engine has beyond a monitor's needs
        "/v1.44/containers/ID/top",
        "/v1.44/containers/ID/export",
        "/v1.44/containers/ID/archive?path=/etc/passwd",
        "/v1.44/containers/ID/attach/ws",
        "/v1.44/containers/ID/changes",
        "/v1.44/info",
        "/v1.44/_ping",
        "/v1.44/images/json",
        "/v1.44/volumes",
        "/v1.44/networks",
        "/v1.44/secrets",
        "/v1.44/system/df",
        "/v1.44/exec/ID/json",
        "/v1.44/containers/ID",
        "/v1.44/containers",
        "/",
        # what is allowed with a version only, and versions that are none
        "/_ping",
        "/info",
        "/containers/json",
        "/containers/ID/json",
        "/events",
        "/version?x=1",
        "/v2.0/version",
        "/v1.4444/version",
        "/v1./version",
        "/v1x44/version",
        "/V1.44/version",
        "/v1.44/VERSION",
        # tricks with the path
        "//version",
        "/./version",
        "/version/",
        "/version/..",
        "//v1.44/version",
        "/v1.44//version",
        "/v1.44/version/",
        "/v1.44/./version",
        "/v1.44/version;x",
        "/v1.44/containers/../images/json",
        "/v1.44/containers/%2e%2e/json",
        "/v1.44/containers/%2E%2E/json",
        "/v1.44/containers/..%2fimages/json",
        "/v1.44/containers/ID%2ftop/json",
        "/v1.44/containers/ID%2F..%2F../json",
        "/v1.44/%76ersion",
        "/%76ersion",
        "/v1.44/containers/ID/top/../json",
        "/v1.44/containers/ID/json/",
        "/v1.44/containers/ID//json",
        "/v1.44/containers//json",
        "/v1.44/containers/.ID/json",
        "/v1.44/containers/./json",
        "/v1.44/containers/-ID/json",
        "/v1.44/containers/" + "a" * 129 + "/json",
        "/v1.44/containers/ID%00/json",
        "/v1.44/containers/ID\\top/json",
        "/x/../version",
        "/v1.44/events/../version",
        # targets that are not a path
        "http://engine/version",
        "http://engine/v1.44/version",
        "HTTP://engine/v1.44/version",
    ],
)
def test_any_other_path_is_refused_in_one_line_that_names_it(door: Proxy, target: str) -> None:
    asked = target.replace("ID", door.container_id)
    answer = ask(door, request(f"GET {asked} HTTP/1.1"))
    assert status_of(answer) == 403
    assert b"\r\ncontent-type: text/plain\r\n" in answer
    assert body_of(answer) == f"docker-proxy: refused: GET {asked[:200]} is not among the GETs a monitor needs\n"


@pytest.mark.parametrize(
    "method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "get", "Get", "GETS", "GE", "FOO"]
)
@pytest.mark.parametrize(
    "target", ["/version", "/v1.44/version", "/v1.44/containers/ID/stop", "/v1.44/containers/create"]
)
def test_any_other_method_is_refused(door: Proxy, method: str, target: str) -> None:
    answer = ask(door, request(f"{method} {target.replace('ID', door.container_id)} HTTP/1.1"))
    assert status_of(answer) == 403
    assert body_of(answer).startswith(f"docker-proxy: refused: {method} /v")
    assert run_docker("inspect", "--format", "{{.State.Running}}", door.container_id) == "true"


def test_a_head_is_refused_without_a_body(door: Proxy) -> None:
    answer = ask(door, request("HEAD /v1.44/version HTTP/1.1"))
    assert (status_of(answer), body_of(answer)) == (403, "")


@pytest.mark.parametrize(
    "headers",
    [
        ("Content-Length: 0",),
        ("Content-Length: 5",),
        ("Transfer-Encoding: chunked",),
        ("Content-Length: 5", "Transfer-Encoding: chunked"),
        ("Upgrade: tcp",),
        ("Upgrade: websocket",),
        ("Connection: Upgrade", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"),
        ("Connection: uPgRaDe",),
        ("Expect: 100-continue",),
    ],
    ids=", ".join,
)
def test_a_body_or_an_upgrade_is_refused(door: Proxy, headers: tuple[str, ...]) -> None:
    # A whole body in either form, so that nothing is left to wait for.
    answer = ask(door, request("GET /v1.44/version HTTP/1.1", *headers) + b"0\r\n\r\n")
    assert status_of(answer) == 403
    assert body_of(answer) == "docker-proxy: refused: a body or an upgrade; a monitor only reads\n"


@pytest.mark.parametrize(
    "raw",
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /version\r\n\r\n",
        b"GET * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET http://engine HTTP/1.1\r\nHost: engine\r\nConnection: close\r\n\r\n",
        b"GET unix:///version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /v1.44/version HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\n\r\n",
        b"GET version HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v1.44/version#fragment HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /v1.44/version?a=\x01 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v1.44/version\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v1.44/version\xc0\xae HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v1.44/version HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        b"GET /v1.44/version HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET /v1.44/version HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n",
        b"CONNECT engine:2375 HTTP/1.1\r\nHost: engine:2375\r\nConnection: close\r\n\r\n",
        b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64,
    ],
    ids=lambda raw: repr(raw[:40]),
)
def test_what_is_not_a_proper_request_is_refused(door: Proxy, raw: bytes) -> None:
    answer = ask(door, raw)
    assert status_of(answer) in {400, 403}
    assert b"ApiVersion" not in answer
    assert b"Containers" not in answer


def test_each_request_of_a_connection_is_judged_by_itself(door: Proxy) -> None:
    stop = f"POST /v1.44/containers/{door.container_id}/stop HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answers = ask(door, b"GET /v1.44/version HTTP/1.1\r\nHost: x\r\n\r\n" + stop.encode())
    assert answers.count(b"HTTP/1.1 ") == 2
    assert (status_of(answers), b"HTTP/1.1 403 Forbidden" in answers) == (200, True)


def test_a_request_hidden_in_a_body_does_not_reach_the_engine(door: Proxy) -> None:
    hidden = f"POST /v1.44/containers/{door.container_id}/stop HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = ask(door, request("GET /v1.44/version HTTP/1.1", f"Content-Length: {len(hidden)}") + hidden.encode())
    assert (status_of(answer), answer.count(b"HTTP/1.1 ")) == (403, 1)
    assert run_docker("inspect", "--format", "{{.State.Running}}", door.container_id) == "true"


def test_docker_py_reads_through_it_and_can_do_nothing_else(door: Proxy) -> None:
    with closing(DockerClient(f"unix://{door.socket_path}", version="auto", timeout=10)) as client:
        assert client.version()["Version"] == run_docker("version", "--format", "{{.Server.Version}}")
        mine = client.containers.get(door.container_id)
        assert mine.id in {each.id for each in client.containers.list(sparse=True)}
        figures = mine.stats(stream=False)
        assert isinstance(figures, dict)
        assert figures["id"] == door.container_id
        assert mine.logs() == b""
        with pytest.raises(APIError, match="403") as refused:
            mine.stop()
        assert "docker-proxy: refused: POST /v1." in str(refused.value.explanation)
        with pytest.raises(APIError, match="403"):
            client.images.list()


def test_it_has_no_network_and_listens_on_no_port(door: Proxy) -> None:
    interfaces = run_docker("exec", door.container_id, "cat", "/proc/net/dev").splitlines()[2:]
    assert [line.split(":")[0].strip() for line in interfaces] == ["lo"]
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        assert run_docker("exec", door.container_id, "cat", table).count("\n") == 0, "only the table's head"


def test_it_has_no_capability(door: Proxy) -> None:
    status = run_docker("exec", door.container_id, "cat", "/proc/1/status")
    assert "CapEff:\t0000000000000000\n" in status


def test_it_becomes_healthy_and_says_nothing(door: Proxy) -> None:
    wait_until(lambda: health(door.container_id) == "healthy", "the proxy is healthy")
    assert run_docker("logs", door.container_id) == ""


def test_hundreds_of_streams_fit(door: Proxy) -> None:
    with ExitStack() as opened:
        lines = [opened.enter_context(connect(door.socket_path)) for _number in range(200)]
        for line in lines:
            line.sendall(request(f"GET /v1.44/containers/{door.container_id}/stats?stream=1 HTTP/1.1"))
        assert {status_of(line.recv(12)) for line in lines} == {200}
        assert status_of(ask(door, request("GET /v1.44/version HTTP/1.1"))) == 200


def listeners() -> int:
    """How many event streams the engine serves."""
    return int(run_docker("info", "--format", "{{.NEventsListener}}"))


def test_a_client_that_leaves_a_quiet_stream_frees_the_engine_of_it(door: Proxy) -> None:
    before = listeners()
    with ExitStack() as opened:
        for _number in range(20):
            line = opened.enter_context(connect(door.socket_path))
            line.sendall(request(SILENT_EVENTS))
            assert status_of(line.recv(4096)) == 200
        assert listeners() >= before + 15, "other tests' streams may end meanwhile"
    wait_until(lambda: listeners() < before + 5, "the engine's streams end with their clients")


def test_a_quiet_stream_outlives_every_other_timeout(tmp_path: Path) -> None:
    text = CONFIG.read_text()
    assert "timeout client 60s" in text
    assert "timeout server 60s" in text
    hasty = tmp_path / "haproxy.cfg"
    hasty.write_text(text.replace("60s", "1s"))
    tmp_path.chmod(0o755)
    hasty.chmod(0o644)
    with (
        proxy(nobody(), "--volume", f"{hasty}:/etc/docker-proxy/haproxy.cfg:ro") as running,
        ExitStack() as opened,
    ):
        logs = f"GET /v1.44/containers/{running.container_id}/logs?follow=1&stdout=1 HTTP/1.1"
        streams = [opened.enter_context(connect(running.socket_path, patience=4)) for _number in range(2)]
        for line, asked in zip(streams, (SILENT_EVENTS, logs), strict=True):
            line.sendall(request(asked))
            assert status_of(line.recv(4096)) == 200
        for line in streams:
            with pytest.raises(TimeoutError):
                line.recv(1)


def test_an_event_comes_through_at_once(door: Proxy) -> None:
    with connect(door.socket_path) as line:
        line.sendall(request("GET /v1.44/events HTTP/1.1"))
        assert status_of(line.recv(4096)) == 200
        begin = time.monotonic()
        with container(need_image(IMAGE), *OPTIONS, "--entrypoint", "true") as other:
            heard = b""
            while other.encode() not in heard:
                heard += line.recv(65_536)
        assert time.monotonic() - begin < 10


@pytest.mark.parametrize("init", [True, False], ids=["with init", "as process 1"])
def test_it_ends_within_two_seconds_with_open_streams(*, init: bool) -> None:
    with proxy(nobody(), init=init) as running, connect(running.socket_path) as line:
        line.sendall(request(SILENT_EVENTS))
        assert status_of(line.recv(4096)) == 200
        begin = time.monotonic()
        run_docker("stop", "--time", "10", running.container_id)
        assert time.monotonic() - begin < 2
        assert read_to_end(line) in {b"", b"0\r\n\r\n"}
        assert run_docker("inspect", "--format", "{{.State.ExitCode}}", running.container_id) == "0"


def test_without_an_engine_it_says_so_and_its_check_fails() -> None:
    with proxy("0:0", engine=False) as running:
        answer = ask(running, request("GET /version HTTP/1.1"))
        assert (status_of(answer), body_of(answer)) == (503, "docker-proxy: the engine does not answer on its socket\n")
        assert not succeeds("exec", running.container_id, "perl", "/etc/docker-proxy/health")


def test_a_fresh_volume_lets_any_user_in_and_a_left_socket_does_not_stop_the_next() -> None:
    with volume() as name:
        mount = ("--volume", f"{name}:/run/docker-proxy")
        for user in ("0:0", nobody(), "0:0", f"12345:{engine_group()}"):
            with container(need_image(IMAGE), "--init", "--user", user, *OPTIONS, *mount, *ENGINE) as container_id:
                wait_until(lambda: reads_version(mount), f"the sidecar's user reads through a proxy of {user}")
                assert run_docker("logs", container_id) == ""
                run_docker("kill", container_id)


def reads_version(mount: tuple[str, ...]) -> bool:
    """Whether a stripped container under the sidecar's user, with the volume read-only, gets through."""
    look = ("run", "--rm", "--user", "10001:10001", *OPTIONS, *mount[:1], f"{mount[1]}:ro", "--entrypoint", "perl")
    return succeeds(*look, IMAGE, "/etc/docker-proxy/health")


def test_stat_is_in_the_image_and_no_client_of_the_network_is() -> None:
    look = ("run", "--rm", *OPTIONS, "--entrypoint", "sh", need_image(IMAGE), "-c")
    assert run_docker(*look, "stat -c %a /run/docker-proxy") == "777"
    assert run_docker(*look, "for each in curl wget nc socat; do command -v $each || true; done") == ""

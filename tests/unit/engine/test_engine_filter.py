"""The filter of the docker-proxy: what it accepts, what it cuts, and that the monitor misses nothing."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
import urllib.parse
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import engine_filter
import pytest
from engine_filter import Filter, RefusedError, checked, cut_entry, cut_event, cut_inspect

from sidecar.engine import labels
from sidecar.engine.events import FILTERS, parse_line
from sidecar.engine.payload import inspected, inspection, listed, owners
from tests.fakes.fake_tree import DATA

WATCHED = frozenset({"locust", "shop"})
ID, OTHER = "ab" * 32, "cd" * 32
MEMBER = {"com.docker.compose.project": "locust", "com.docker.compose.container-number": "1"}
FOREIGN = {**MEMBER, "com.docker.compose.project": "bank", "note": "s3cret"}
INSPECT = {"Id": ID, "Name": "/x", "Config": {"Labels": MEMBER, "Env": ["A=s3cret"]}, "Mounts": ["s3cret"]}


def asked(target: str) -> str:
    return checked(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode(), WATCHED).target


def query(**values: Any) -> str:
    return urllib.parse.urlencode({name: json.dumps(value) for name, value in values.items()})


@pytest.mark.parametrize(
    "target",
    [
        "/version",
        "/v1.44/version",
        "/v1.44/containers/json",
        "/v1.44/containers/json?limit=-1&all=1&size=0&trunc_cmd=0",
        f"/v1.44/containers/json?{query(filters={'label': ['com.docker.compose.project=locust']})}",
        f"/v1.44/containers/json?{query(filters={'label': ['com.docker.compose.project=shop']})}",
        f"/v1.44/containers/json?{query(filters={'label': ['com.docker.stack.namespace=locust']})}",
        f"/v1.44/events?{query(filters=FILTERS)}&since=1796109051.754293505",
        f"/v1.44/events?since=1.0&until=1796109051&{query(filters={})}",
        f"/v1.44/containers/{ID}/json",
        f"/v1.44/containers/{ID}/logs?stdout=1&stderr=1&timestamps=1&follow=1&since=1.5&tail=100",
        f"/v1.44/containers/{ID}/stats?stream=false&one-shot=true",
    ],
)
def test_each_request_of_the_monitor_is_sent_as_it_came(target: str) -> None:
    assert asked(target) == target


@pytest.mark.parametrize(
    "target",
    [
        "/info",
        "/v1.44/_ping",
        "/v1.44/containers/locust-monitor-1/json",
        f"/v1.44/containers/{ID[:12]}/json",
        f"/v1.44/containers/{ID}/json?size=1",
        f"/v1.44/containers/json?{query(filters={'label': ['com.docker.compose.project=bank']})}",
        f"/v1.44/containers/json?{query(filters={'name': ['x']})}",
        f"/v1.44/containers/json?{query(filters=[])}",
        f"/v1.44/events?{query(filters={'label': ['x']})}",
        f"/v1.44/events?{query(filters={'event': ['exec_start: x']})}",
        "/v1.44/events?since=1&since=2",
        "/v1.44/events?since=1\u0661",
        "/v1.44/containers/json?all=1&filters",
    ],
)
def test_any_other_request_is_refused(target: str) -> None:
    with pytest.raises(RefusedError):
        asked(target)


def test_the_filter_judges_by_the_labels_that_the_monitor_reads() -> None:
    ours = {value for name, value in vars(labels).items() if name.endswith("_LABEL")}
    assert ours == engine_filter.LABELS
    cases: list[dict[str, str]] = [
        MEMBER,
        FOREIGN,
        {"com.docker.compose.project": "locust"},
        {labels.SWARM_SERVICE_LABEL: "locust_monitor", labels.STACK_LABEL: "locust"},
        {labels.SWARM_SERVICE_LABEL: "bank_web", labels.STACK_LABEL: "bank", **MEMBER},
        {labels.STACK_LABEL: "locust"},
        {},
    ]
    projects = [engine_filter.project_of(case) for case in cases]
    assert projects == [labels.owner("x", case).project for case in cases]
    assert projects == ["locust", "bank", None, "locust", "bank", None, None]


def test_the_monitor_reads_a_cut_inspect_as_the_whole_one() -> None:
    paths = sorted(path for path in DATA.glob("*/*inspect*.json"))
    assert paths
    for path in paths:
        whole = json.loads(path.read_text())
        cut = cut_inspect(whole)
        assert (inspection(cut, 7), inspected(cut)) == (inspection(whole, 7), inspected(whole))
        assert "Env" not in cut["Config"]


def test_the_monitor_reads_a_cut_list_as_the_whole_one_but_only_owners_of_others() -> None:
    entry = {"Id": ID, "Names": ["/a"], "Image": "i", "State": "running", "Status": "Up", "Labels": MEMBER}
    other = {**entry, "Id": OTHER, "Labels": FOREIGN, "Command": "s3cret", "Mounts": [{"Source": "/s3cret"}]}
    cut = [cut_entry(entry, WATCHED), cut_entry(other, WATCHED)]
    assert listed(cut[:1]) == listed([entry])
    assert owners(cut) == owners([entry, other])
    assert set(cut[1]) == {"Id", "Names", "Labels"}
    assert "s3cret" not in json.dumps(cut)


@pytest.mark.parametrize("action", ["die", "oom", "kill", "health_status: unhealthy"])
def test_the_monitor_reads_a_cut_event_as_the_whole_one(action: str) -> None:
    attributes = {**FOREIGN, "name": "a", "exitCode": "137", "signal": "9", "image": "s3cret", "execID": "s3cret"}
    event = {"Type": "container", "Action": action, "time": 1, "timeNano": 1_000_000_001}
    line = json.dumps({**event, "Actor": {"ID": ID, "Attributes": attributes}, "from": "s3cret"}).encode()
    whole, cut = parse_line(line, 5), parse_line(cut_event(line), 5)
    assert whole is not None
    assert cut is not None
    assert {**vars_of(cut), "raw": ""} == {**vars_of(whole), "raw": ""}
    assert "s3cret" not in cut.raw


def vars_of(event: object) -> dict[str, Any]:
    return {name: getattr(event, name) for name in event.__slots__}  # type: ignore[attr-defined]


def test_the_command_of_an_exec_and_events_of_other_kinds_are_cut_to_their_time() -> None:
    event = {"Type": "container", "Action": "exec_start: cat s3cret", "timeNano": 7, "Actor": {"ID": ID}}
    assert b"s3cret" not in cut_event(json.dumps(event).encode())
    event = {"Type": "network", "Action": "connect", "timeNano": 7, "Actor": {"ID": "s3cret"}}
    assert json.loads(cut_event(json.dumps(event).encode())) == {"Type": "network", "timeNano": 7}


Scene = Callable[["World"], Awaitable[None]]


class World:
    """The filter in front of an engine that answers from a table; `gone` counts the clients that left the engine."""

    def __init__(self, folder: Path) -> None:
        self.engine, self.door = str(folder / "engine"), str(folder / "door")
        self.answers: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.held = asyncio.Event()
        self.gone = asyncio.Event()

    async def play(self, scene: Scene) -> None:
        engine = await asyncio.start_unix_server(self._answer, self.engine)
        ours = Filter(self.engine, WATCHED)
        door = await asyncio.start_unix_server(ours.serve, self.door)
        async with engine, door:
            await asyncio.wait_for(scene(self), 30)
            ours.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
        self.asked.append(target)
        writer.write(self.answers[target])
        if "follow" in target or "events" in target:  # a stream: quiet until the client leaves, or the end is allowed
            left, held = asyncio.ensure_future(reader.read(1)), asyncio.ensure_future(self.held.wait())
            await asyncio.wait((left, held), return_when=asyncio.FIRST_COMPLETED)
            if left.done():
                self.gone.set()
        writer.close()

    async def get(self, target: str) -> bytes:
        reader, writer = await self.open(target)
        answer = await reader.read()
        writer.close()
        return answer

    async def open(self, target: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_unix_connection(self.door)
        writer.write(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        return reader, writer


def whole(document: object, status: str = "200 OK") -> bytes:
    body = json.dumps(document).encode()
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def play(scene: Scene) -> None:
    with tempfile.TemporaryDirectory(prefix="kit-filter-") as folder:  # a socket's path has at most 107 characters

        async def main() -> None:
            await World(Path(folder)).play(scene)

        asyncio.run(main())


def test_logs_of_a_container_that_leaves_and_come_pass_at_once_and_end_with_their_client() -> None:
    async def scene(world: World) -> None:
        logs = f"/v1.44/containers/{ID}/logs?follow=1"
        world.answers = {f"/v1.44/containers/{ID}/json": whole(INSPECT)}
        world.answers[logs] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n"
        for _ in range(2):
            reader, writer = await world.open(logs)
            assert await reader.readuntil(b"hi\r\n") == world.answers[logs]
            writer.close()
            await world.gone.wait()
            world.gone.clear()
        assert world.asked == [f"/v1.44/containers/{ID}/json", logs, logs], "the owner is asked for once"

    play(scene)


def test_an_event_passes_at_once_and_the_stream_ends_when_the_engine_does() -> None:
    async def scene(world: World) -> None:
        line = b'{"Type":"container","Action":"die","Actor":{"Attributes":{"note":"s3cret"}}}\n'
        chunks = b"%x\r\n%b\r\n" % (len(line), line)
        world.answers["/v1.44/events"] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks
        reader, writer = await world.open("/v1.44/events")
        assert b"s3cret" not in await reader.readuntil(b'"die","Actor":{"Attributes":{}}}\n\r\n')
        world.held.set()
        assert not await reader.read(), "no last chunk: the engine broke off"
        writer.close()

    play(scene)


@pytest.mark.parametrize("part", ["json", "logs", "stats"])
@pytest.mark.parametrize(
    ("document", "status", "text"),
    [
        ({**INSPECT, "Config": {"Labels": FOREIGN}}, 403, b"is not of a watched project (locust, shop)"),
        ({**INSPECT, "Config": {"Labels": {"com.docker.compose.project": "locust"}}}, 403, b"is not of a watched"),
        ({**INSPECT, "Config": None}, 403, b"is not of a watched project"),
        ({**INSPECT, "Id": OTHER}, 404, b"no such container"),
    ],
)
def test_another_projects_container_is_refused(part: str, document: object, status: int, text: bytes) -> None:
    async def scene(world: World) -> None:
        world.answers = {f"/v1.44/containers/{ID}/json": whole(document)}
        for _ in range(2):
            answer = await world.get(f"/v1.44/containers/{ID}/{part}")
            assert answer.startswith(b"HTTP/1.1 %d " % status)
            assert b"\r\n\r\ndocker-proxy: " in answer
            assert text in answer

    play(scene)


def test_without_an_engine_the_answer_is_503() -> None:
    async def scene(world: World) -> None:
        os.unlink(world.engine)  # noqa: PTH108
        assert b"503 Service Unavailable" in await world.get("/version")

    play(scene)

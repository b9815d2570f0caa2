"""The door's filter before the real engine: nothing of another project's container crosses but id, name and owner."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.integration._containers import container, engine_absent, need_image, run_docker, wait_until
from tests.integration._proxy import IMAGE, MEMBER, PROJECT, Proxy, ask, body_of, connect, proxy, request, status_of

pytestmark = pytest.mark.skipif(bool(engine_absent()), reason=engine_absent())

SECRET = "hunter2-of-another-project"  # noqa: S105  planted
OWNER, SERVICE = "com.docker.compose.project", "com.docker.compose.service"
NUMBER = "com.docker.compose.container-number"


@dataclass(frozen=True)
class World:
    """A door, a container of another project, and one that only inherits the watched project's label."""

    door: Proxy
    foreign: str
    inherited: str

    @property
    def name(self) -> str:
        return run_docker("inspect", "--format", "{{.Name}}", self.foreign).lstrip("/")


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    secrets = ("--env", f"PASSWORD={SECRET}", "--label", f"note={SECRET}", "--hostname", SECRET[:20])
    quiet = ("--network", "none", "--no-healthcheck", "--tmpfs", f"/{SECRET}", "--entrypoint", "sh")
    command = ("-c", f"echo {SECRET}; exec sleep 600")
    other = ("--label", "com.docker.compose.project=another", "--label", f"{NUMBER}=1")
    with (
        proxy("0:0", "--no-healthcheck") as door,
        container(need_image(IMAGE), *secrets, *quiet, *other, command=command) as foreign,
        container(IMAGE, *secrets, *quiet, *MEMBER[:2], command=command) as inherited,
    ):
        wait_until(lambda: SECRET in run_docker("logs", foreign), "the foreign container printed its secret")
        yield World(door, foreign, inherited)


def filters(value: object) -> str:
    return urllib.parse.quote_plus(value if isinstance(value, str) else json.dumps(value))


OURS = f"com.docker.compose.project={PROJECT}"
# ID: the foreign container's id. NAME: its name. OWN: a watched container's id. INHERITED: the one without a number.
TRIES = [
    *(f"/v1.44/containers/{who}/{part}" for who in ("ID", "INHERITED") for part in ("json", "logs?stdout=1", "stats")),
    *(f"/v1.44/containers/{who}/json" for who in ("NAME", "%4eAME", "NAME%00", "/NAME", "%2fNAME", "another", "SHORT")),
    *(f"/v1.44/containers/{who}/logs?stdout=1" for who in ("NAME", "SHORT", "OWN,ID", "OWN%2f..%2fID", "OWN/../ID")),
    *(f"/v1.44/containers/{who}/stats?stream=0" for who in ("NAME", "SHORT", "UPPER", "ID0", " ID", "ID%20", "+ID")),
    *(f"/v{version}/containers/ID/json" for version in ("1.24", "1.30", "1.45", "1.999", "1.0", "1.44/v1.44")),
    *(f"/{path}/containers/ID/json" for path in ("", "v1.44/", "v1.44/.", "v1.44/x/..", "./v1.44", "v1.44%2f")),
    *(f"{host}/v1.44/containers/ID/json" for host in ("http://x", "unix://x", "http://user@x", "HTTP://x:80", "//x")),
    *(f"/v1.44/containers/ID/{part}" for part in ("top", "export", "changes", "archive?path=/", "attach/ws", "JSON")),
    *(f"/v1.44/containers/ID/json{end}" for end in ("?size=1", "?", "#x", ";x", "/", "%20", "%00", "?a=b&a=c", "&x")),
    "/v1.44/containers/OWN/json?id=ID",
    "/v1.44/containers/OWN/logs?stdout=1&container=ID",
    "/v1.44/containers/OWN/logs?stdout=1&details=1",
    "/v1.44/containers/OWN/logs?stdout=1&stdout=0",
    "/v1.44/containers/OWN/stats?stream=0%26id=ID",
    "/v1.44/containers/OWN/logs?stdout=1&tail=5%0d%0aHost:x",
    "/v1.44/containers/json?size=1",
    "/v1.44/containers/json?all=1&all=0",
    "/v1.44/containers/json?before=NAME",
    *(
        f"/v1.44/containers/json?all=1&filters={filters(value)}"
        for value in (
            {"label": ["com.docker.compose.project=another"]},
            {"label": [OURS, "note=guess"]},
            {"label": ["note"]},
            {"label": {OURS: True}},
            {"label": {"note=guess": True}},
            {"label": OURS},
            {"label": [f"{OURS} "]},
            {"label": [["x"]]},
            {"label": [None]},
            {"Label": [OURS]},
            {"name": ["kit-test"]},
            {"id": ["ID"]},
            {"ancestor": [IMAGE]},
            {"volume": ["/"]},
            {"network": ["none"]},
            {"label": [OURS], "status": ["running"]},
            [OURS],
            "null",
            "{",
            '{"label": ["' + OURS + '"]}{"name": ["x"]}',
            '{"label": ["note"], "label": ["x"]}',
            "[" * 3000,
        )
    ),
    f"/v1.44/containers/json?filters={filters({'label': [OURS]})}&filters=%7B%7D",
    *(
        f"/v1.44/events?since=1&until=2&filters={filters(value)}"
        for value in (
            {"container": ["ID"]},
            {"label": ["note"]},
            {"image": [IMAGE]},
            {"event": ["exec_start: guess"]},
            {"type": ["secret"]},
            {"type": "container"},
            {"daemon": ["x"]},
        )
    ),
    "/v1.44/events?since=1&until=2&since=3",
    "/v1.44/events?since=1&until=2&x=1",
    "/v1.44/events?since=-1m&until=2",
    "/v1.44/events?since=1&until=2;filters=x",
]


def test_there_are_sixty_tries() -> None:
    assert len(set(TRIES)) == len(TRIES) >= 90


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
def test_no_try_passes(world: World, method: str) -> None:
    names = {"ID": world.foreign, "NAME": world.name, "OWN": world.door.container_id, "SHORT": world.foreign[:12]}
    names |= {"INHERITED": world.inherited, "UPPER": world.foreign.upper()}
    passed = []
    for target in TRIES:
        asked = target
        for word in ("INHERITED", "SHORT", "UPPER", "OWN", "NAME", "ID"):
            asked = asked.replace(word, names[word])
        answer = ask(world.door, request(f"{method} {asked} HTTP/1.1"))
        if not answer or status_of(answer) not in (400, 403, 404) or SECRET in answer.decode("latin-1"):
            passed.append((target, answer[:300]))
    assert passed == []


@pytest.mark.parametrize(
    "raw",
    [
        "GET /version HTTP/1.1\r\nHost: x\r\nContent-Length: {n}\r\n\r\n{hidden}",
        "GET /version HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}",
        "GET /version HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n{hidden}",
        "GET /version HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: {n}\r\n\r\n{hidden}",
        "GET /version HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n{hidden}",
        "GET /version HTTP/1.1\r\nHost: x\r\nX: y\n\n{hidden}",
        "GET /version HTTP/1.1\nHost: x\n\n{hidden}",
        "GET /version HTTP/1.1\r\nHost: x\r\n\r\n{hidden}",
        "GET /v1.44/containers/{own}/logs?follow=0&stdout=1 HTTP/1.1\r\nHost: x\r\n\r\n{hidden}",
        "GET /v1.44/containers/{own}/json HTTP/1.1\r\nHost: x\r\nX-HTTP-Method-Override: POST\r\n\r\n{hidden}",
        "GET /v1.44/containers/{own}/json\x0b/../../{id}/json HTTP/1.1\r\nHost: x\r\n\r\n{hidden}",
        "GET /v1.44/containers/{id}/json HTTP/1.0\r\n\r\n{hidden}",
        "GET  /v1.44/containers/{id}/json HTTP/1.1\r\nHost: x\r\n\r\n{hidden}",
        "GET /v1.44/containers/{id}/json HTTP/0.9\r\n\r\n",
        "GET /v1.44/containers/{id}/json\r\n\r\n",
        "GET /v1.44/containers/{id}/json HTTP/2.0\r\nHost: x\r\n\r\n",
    ],
)
def test_no_hidden_request_passes(world: World, raw: str) -> None:
    hidden = f"GET /v1.44/containers/{world.foreign}/json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    raw = raw.replace("Host: x", "Host: x\r\nConnection: close", 1)
    sent = raw.format(n=len(hidden), hidden=hidden, id=world.foreign, own=world.door.container_id)
    assert SECRET not in ask(world.door, sent.encode("latin-1")).decode("latin-1")


def test_the_list_has_only_id_name_and_owner_of_another_projects_container(world: World) -> None:
    body = body_of(ask(world.door, request("GET /v1.44/containers/json HTTP/1.1")))
    listed = {entry["Id"]: entry for entry in json.loads(body)}
    labels = json.loads(run_docker("inspect", "--format", "{{json .Config.Labels}}", world.foreign))
    other = {name: labels[name] for name in labels if name in {OWNER, SERVICE, NUMBER}}  # the image may give a service
    assert other.items() >= {OWNER: "another", NUMBER: "1"}.items()
    assert listed[world.foreign] == {"Id": world.foreign, "Names": [f"/{world.name}"], "Labels": other}
    assert listed[world.door.container_id]["State"] == "running"
    assert SECRET not in body


def test_an_inspect_of_a_watched_container_has_no_environment_no_mounts_and_no_arguments(world: World) -> None:
    answer = ask(world.door, request(f"GET /v1.44/containers/{world.door.container_id}/json HTTP/1.1"))
    document = json.loads(body_of(answer))
    assert set(document) == {"Id", "Name", "RestartCount", "State", "HostConfig", "Config"}
    assert set(document["Config"]) == {"Hostname", "Tty", "Labels"}


def test_the_events_of_another_projects_container_have_no_command_and_no_label_of_its_own(world: World) -> None:
    with connect(world.door.socket_path) as line:
        line.sendall(request("GET /v1.44/events HTTP/1.1"))
        assert status_of(line.recv(4096)) == 200
        run_docker("exec", world.foreign, "echo", SECRET)
        run_docker("pause", world.foreign)
        heard = b""
        while b'"pause"' not in heard:
            heard += line.recv(65_536)
        run_docker("unpause", world.foreign)
    assert b'"exec_start"' in heard
    assert world.foreign.encode() in heard
    assert SECRET.encode() not in heard

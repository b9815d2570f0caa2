"""The incidents in Locust's own web UI: a real Flask application, and a sidecar that may be anything."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import gevent
import pytest
from flask import Flask, Response, jsonify
from locust_kit import incidents_tab
from locust_kit.incidents_tab import KEY, IncidentsTab, rows_of
from locust_kit.web_tab import with_rows

INCIDENT = {
    "id": "a1", "at": "2026-11-22T18:20:01.123Z", "kind": "oom_kill", "container": "kit-locust-worker-2", "count": 3,
    "text": "OOM-killed 3 times",
}  # fmt: skip
ROW = {
    "time": "2026-11-22 18:20:01", "kind": "OOM kill", "container": "kit-locust-worker-2", "count": 3,
    "text": "OOM-killed 3 times",
}  # fmt: skip


class Sidecar(HTTPServer):
    body = json.dumps({"incidents": [INCIDENT]}).encode()
    status = 200
    asked: list[str]


class _Handler(BaseHTTPRequestHandler):
    server: Sidecar

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def sidecar(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sidecar]:
    """A sidecar that answers, on a slow machine after more than the second that a silent one is given."""
    monkeypatch.setattr(incidents_tab, "_TIMEOUT_SECONDS", 30.0)
    server = Sidecar(("127.0.0.1", 0), _Handler)
    server.asked = []
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def no_greenlets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gevent, "spawn", lambda *_: None)


def url(server: HTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_port}"


def free_url() -> str:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{reserved.getsockname()[1]}"


def application(base: str = "", arguments: dict[str, Any] | None = None) -> Flask:
    app = Flask("ui")

    @app.route(f"{base}/stats/requests")
    def stats() -> Response:
        return jsonify({"stats": [], "extended_stats": [{"key": "another", "data": [1]}]})

    @app.route(f"{base}/page")
    def page() -> str:
        return "a page"

    incidents_tab.install(app, {} if arguments is None else arguments, base)
    return app


def test_incidents_become_rows(sidecar: Sidecar) -> None:
    tab = IncidentsTab(url(sidecar))
    tab.ask()
    assert tab.rows() == [ROW]
    assert sidecar.asked == ["/api/incidents?limit=50&evidence=0"]


def test_an_empty_list_of_incidents_has_a_remark() -> None:
    assert [row["text"] for row in rows_of({"incidents": []})] == ["no incidents so far"]


@pytest.mark.parametrize(
    "document", [None, 3, [], {}, {"incidents": 7}, {"incidents": [1, None]}, {"incidents": {"a": 1}}]
)
def test_a_document_of_another_form_is_survived(document: Any) -> None:
    assert len(rows_of(document)) == 1


def test_odd_fields_of_an_incident_are_survived() -> None:
    (row,) = rows_of({"incidents": [{"at": 5, "kind": None, "count": {"a": 1}, "text": ["x" * 10_000]}]})
    assert len(row["text"]) == 500
    assert row["count"] == ""


def test_a_missing_sidecar_has_a_remark() -> None:
    tab = IncidentsTab(free_url())
    tab.ask()
    assert [row["text"] for row in tab.rows()] == [f"cannot connect to the monitor at {tab._url}: Connection refused"]


@pytest.mark.parametrize(
    ("status", "body"), [(503, b"{}"), (200, b"<html>"), (200, b"[" * 100_000), (200, b" " * (2 << 20))]
)
def test_an_odd_answer_of_the_sidecar_has_a_remark_and_known_rows_stay(
    sidecar: Sidecar, status: int, body: bytes
) -> None:
    tab = IncidentsTab(url(sidecar))
    tab.ask()
    sidecar.status, sidecar.body = status, body
    tab.ask()
    remark, row = tab.rows()
    assert remark["text"].startswith(f"the monitor at {url(sidecar)} ")
    assert remark["text"].endswith("; the rows below may be outdated")
    assert row == ROW


def test_a_silent_sidecar_is_given_up() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        tab = IncidentsTab(f"http://127.0.0.1:{listener.getsockname()[1]}")
        tab.ask()
    assert "does not answer within 1 s" in tab.rows()[0]["text"]


@pytest.mark.usefixtures("no_greenlets")
@pytest.mark.parametrize("base", ["", "/load"])
def test_the_uis_own_polling_carries_the_rows_beside_those_of_others(base: str) -> None:
    client = application(base).test_client()
    for _ in range(2):
        stats = client.get(f"{base}/stats/requests").get_json()["extended_stats"]
        assert [entry["key"] for entry in stats] == ["another", "incidents"]
        assert stats[1]["data"][0]["text"] == "connecting to the monitor …"
    assert client.get(f"{base}/page").get_data() == b"a page"


@pytest.mark.usefixtures("no_greenlets")
def test_the_sidecars_own_reading_carries_no_rows() -> None:
    answer = application().test_client().get("/stats/requests", headers={"User-Agent": "locust-kit"})
    assert [entry["key"] for entry in answer.get_json()["extended_stats"]] == ["another"]


@pytest.mark.usefixtures("no_greenlets")
@pytest.mark.parametrize(
    ("method", "path", "looked"),
    [("GET", "/load/", True), ("GET", "/load/stats/requests", True), ("HEAD", "/load/", False), ("GET", "/x", False)],
)
def test_only_the_pages_of_the_ui_count_as_looking(
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    path: str,
    looked: bool,  # noqa: FBT001  a parameter
) -> None:
    seen: list[bool] = []
    monkeypatch.setattr(IncidentsTab, "seen", lambda _: seen.append(True))
    application("/load").test_client().open(path, method=method)
    assert bool(seen) == looked


@pytest.mark.usefixtures("no_greenlets")
def test_tabs_of_others_stay() -> None:
    arguments: dict[str, Any] = {"extended_tabs": [{"title": "Mine", "key": "mine"}], "other": 1}
    application(arguments=arguments)
    assert [tab["key"] for tab in arguments["extended_tabs"]] == ["mine", "incidents"]
    assert [column["key"] for column in arguments["extended_tables"][0]["structure"]] == list(ROW)
    assert arguments["other"] == 1


def test_an_answer_kept_by_locust_does_not_gather_rows() -> None:
    once = with_rows(b'{"stats": []}', KEY, [{"kind": "old"}])
    assert json.loads(with_rows(once, KEY, [ROW])) == {
        "stats": [],
        "extended_stats": [{"key": "incidents", "data": [ROW]}],
    }


def test_nobody_looking_asks_nothing(sidecar: Sidecar) -> None:
    tab = IncidentsTab(url(sidecar))
    tab._looked_at = float("-inf")
    asking = gevent.spawn(tab.keep_asking)
    gevent.sleep(0)
    assert sidecar.asked == []
    tab.seen()
    with gevent.Timeout(30):
        while tab.rows() != [ROW]:
            gevent.sleep(0.01)
    asking.kill()

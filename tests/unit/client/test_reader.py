"""What a command on the host asks the sidecar for, beside the Snapshot."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from sidecar.client.documents import LogLines
from sidecar.client.reader import MonitorError, SidecarReader, UnknownError
from sidecar.model import document
from sidecar.model.snapshot import LogLine
from tests.fakes import sidecar_samples as samples

KILL = samples.oom_story(samples.NOW)[2]


class Pretend(BaseHTTPRequestHandler):
    """A sidecar with one log and one incident."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        lines = tuple(LogLine(samples.NOW - timedelta(seconds=age), "s", "a name", str(age)) for age in range(5))
        answers = {
            "/api/logs?container=a+name&limit=3": document.dumps(LogLines(samples.NOW, lines, more=False)),
            f"/api/incidents/{KILL.id}": document.dumps(KILL),
            "/api/incidents/odd": b'{"schema_version":1}',
        }
        body = answers.get(self.path, b'{"error":"none"}')
        self.send_response(200 if self.path in answers else 404)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def reader() -> Iterator[SidecarReader]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Pretend)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    made = SidecarReader(server.server_address[1])
    yield made
    made.close()
    server.shutdown()
    server.server_close()


def test_a_log_is_returned_oldest_first_and_its_newest_lines_when_more_came(reader: SidecarReader) -> None:
    assert [line.text for line in reader.logs("a name", 3)] == ["2", "1", "0"]


def test_an_incident_comes_with_its_evidence(reader: SidecarReader) -> None:
    assert reader.incident(KILL.id) == KILL


def test_an_unknown_incident_is_told_apart_from_a_sidecar_that_is_down(reader: SidecarReader) -> None:
    with pytest.raises(UnknownError, match="does not know this id"):
        reader.incident("a/../b?c")
    assert reader.incident(KILL.id) == KILL  # the connection is still good


def test_an_answer_of_another_shape_is_an_error_with_the_field(reader: SidecarReader) -> None:
    with pytest.raises(MonitorError, match="no field id"):
        reader.incident("odd")

"""`kit incidents`: its words, its lines, and the document as it came."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import pytest

from sidecar.cli import incidents as verb
from sidecar.cli.__main__ import main
from sidecar.client.documents import IncidentList
from sidecar.common.errors import SettingError
from sidecar.model import document
from sidecar.model.incident import EvidenceItem, ExitReason, Incident, IncidentKind, MemorySample, Severity
from sidecar.model.snapshot import Blind
from tests.fakes.sidecar_samples import MIB, NOW, running

ID = "0123456789abcdef"
KILL = Incident(
    ID,
    IncidentKind.OOM_KILL,
    Severity.ERROR,
    NOW,
    "locust-worker-1 was OOM-killed",
    until=NOW,
    container="locust-locust-worker-1",
    container_id="c" * 64,
    reason=ExitReason.OOM,
    exit_code=137,
    count=3,
    memory_at_death_bytes=250 * MIB,
    memory_limit_bytes=256 * MIB,
    workers=("abc_1",),
    users_lost=50,
    evidence=(
        EvidenceItem("memory", "the last readings", samples=(MemorySample(NOW, 240 * MIB, 250 * MIB),)),
        EvidenceItem("log", "the last lines", lines=("one\x1b[31m", "two")),
    ),
)
HIGH = Incident("f" * 16, IncidentKind.MEMORY_HIGH, Severity.WARN, NOW + timedelta(seconds=9), "worker-2 used 91%")


@pytest.fixture(autouse=True)
def _in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


class Sidecar:
    """A pretend sidecar with two incidents; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, list[str]]] = []
        self.found: tuple[Incident, ...] = (HIGH, KILL)
        self.blind: tuple[Blind, ...] = ()
        pretend = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = pretend._answer(self.path)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                kept = replace(KILL, person_note=sent["note"])
                body = document.dumps(kept)
                self.send_response(200 if self.path == f"/api/incidents/{ID}/note" else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                del args

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, path: str) -> tuple[int, bytes]:
        parts = urlsplit(path)
        if parts.path == "/api/snapshot":
            return 200, document.dumps(running())
        if parts.path == "/api/incidents":
            self.asked.append(parse_qs(parts.query))
            return 200, document.dumps(IncidentList("locust", NOW, self.found, self.blind))
        known = parts.path == f"/api/incidents/{ID}"
        return (200, document.dumps(KILL)) if known else (404, b'{"error":"no"}')


@pytest.fixture
def sidecar() -> Iterator[Sidecar]:
    server = Sidecar()
    yield server
    server.close()


Kit = Callable[..., str]


@pytest.fixture
def kit(sidecar: Sidecar, capsys: pytest.CaptureFixture[str]) -> Kit:
    def call(*words: str, code: int = 0, **environ: str) -> str:
        assert main(["incidents", f"MONITOR_PORT={sidecar.port}", *words], environ) == code
        said = capsys.readouterr()
        return said.err if code else said.out

    return call


def test_incidents_are_one_line_each_newest_last(kit: Kit) -> None:
    assert kit().splitlines() == [
        f"2026-11-22 15:04:05  {ID}  error  OOM kill  locust-worker-1 was OOM-killed",
        f"2026-11-22 15:04:14  {'f' * 16}  warn   memory high  worker-2 used 91% (ongoing)",
    ]


def test_json_is_the_document_as_it_came(kit: Kit) -> None:
    found = json.loads(kit("--json"))
    assert [incident["id"] for incident in found["incidents"]] == ["f" * 16, ID]
    assert found["schema_version"] == 1


@pytest.mark.parametrize(
    ("words", "environ"),
    [
        (("--since", "2026-11-22T15:00:00Z"), {}),
        (("--since=2026-11-22T15:00:00Z",), {}),
        (("SINCE=2026-11-22T15:00:00Z",), {}),
        ((), {"MAKEFLAGS": " -- SINCE=x", "SINCE": "2026-11-22T15:00:00Z"}),
    ],
)
def test_a_time_may_be_given_in_several_ways(
    words: tuple[str, ...], environ: dict[str, str], kit: Kit, sidecar: Sidecar
) -> None:
    kit(*words, **environ)
    assert sidecar.asked[-1]["since"] == ["2026-11-22T15:00:00.000Z"]


def test_an_inherited_since_means_nothing(kit: Kit, sidecar: Sidecar) -> None:
    kit(SINCE="2026-11-22T15:00:00Z")
    assert "since" not in sidecar.asked[-1]


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("10m", 600), ("2h ago", 7200), ("1d", 86400), ("10 m", 600)]
)
def test_a_time_may_be_so_long_ago(text: str, seconds: int) -> None:
    assert verb.moment(text, NOW) == NOW - timedelta(seconds=seconds)


def test_a_time_without_a_zone_is_utc() -> None:
    assert verb.moment("2026-11-22T15:00:00", NOW) == datetime(2026, 11, 22, 15, tzinfo=UTC)


@pytest.mark.parametrize("text", ["yesterday", "10x", "-5m", f"{'9' * 30}d"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(SettingError, match="SINCE is"):
        verb.moment(text, NOW)


@pytest.mark.parametrize("words", [("--since",), ("bogus",), ("--jsn",), ("abc123",)])
def test_a_word_that_means_nothing_is_one_line(words: tuple[str, ...], kit: Kit) -> None:
    assert len(kit(*words, code=2).splitlines()) == 1


@pytest.mark.parametrize("word", [ID, f"ID={ID}"])
def test_one_incident_is_told_with_its_evidence(word: str, kit: Kit) -> None:
    text = kit(word)
    wanted = (
        "3",
        "at death 250 MiB, limit 256 MiB",
        "oom, exit code 137",
        "abc_1",
        "50",
        "working set 240 MiB",
        "| two",
    )
    assert [one for one in wanted if one not in text] == []
    assert "\x1b" not in text


def test_an_incident_that_is_none_is_one_line(kit: Kit) -> None:
    assert "unknown incident" in kit("e" * 16, code=2)


def test_no_incident_is_said(kit: Kit, sidecar: Sidecar) -> None:
    sidecar.found = ()
    assert kit("--since", "2026-11-22T15:00:00Z") == "no incidents since 2026-11-22 15:00:00\n"


def test_a_sidecar_that_cannot_see_says_so(kit: Kit, sidecar: Sidecar) -> None:
    since = NOW - timedelta(minutes=1)
    over = Blind(since, NOW, "events", covered=True, text="the stream was cut")
    sidecar.blind = (over, replace(over, until=None, text="Docker does not answer"))
    said = [line for line in kit().splitlines() if line.startswith("no data")]
    assert said == ["no data since 2026-11-22 15:03:05: Docker does not answer"]


@pytest.mark.parametrize("words", [(ID, "NOTE=the größe 🦀"), (f"ID={ID}", "NOTE=the größe 🦀")])
def test_a_note_is_written_down_and_shown(kit: Kit, words: tuple[str, ...]) -> None:
    assert "your note  the größe 🦀" in kit(*words)


def test_a_note_on_an_unknown_incident_says_so(kit: Kit) -> None:
    assert "unknown incident" in kit("f" * 16, "NOTE=x", code=2)


@pytest.mark.parametrize(
    ("words", "error"), [(("NOTE=x",), "NOTE needs an incident"), ((ID, "NOTE= "), "0 characters")]
)
def test_a_note_that_cannot_be_kept_is_refused(kit: Kit, words: tuple[str, ...], error: str) -> None:
    assert error in kit(*words, code=2)

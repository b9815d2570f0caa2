"""The past as the web server reads it from a real ledger."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from sidecar.ledger.history import History
from sidecar.ledger.ledger import Ledger
from sidecar.ledger.ledger_reader import LedgerArchive
from sidecar.model.history import IncidentQuery, LogQuery, RunPoint, Sample, StoredLine
from sidecar.model.incident import EvidenceItem, Incident, IncidentKind, Severity
from sidecar.model.snapshot import Blind
from tests.fakes.ledger_samples import clock

NOW = clock()


def blind(number: int, severity: Severity, *, ended: bool = True) -> Incident:
    at = NOW - timedelta(minutes=10 - number)
    until = at + timedelta(seconds=20) if ended else None
    evidence = (EvidenceItem("span", "events", at, ("refused",)),)
    return Incident(
        f"blind-{number}", IncidentKind.BLIND, severity, at, f"span {number}", until=until, evidence=evidence
    )


def test_incidents_and_their_blind_spans_come_from_the_ledger(ledger: Ledger, tmp_path: Path, history: History) -> None:
    kept = [blind(1, Severity.INFO), blind(2, Severity.WARN), blind(3, Severity.WARN, ended=False)]
    with ledger.commit() as batch:
        for incident in kept:
            batch.upsert(incident)
    past = LedgerArchive(tmp_path, history)
    assert past.incidents(IncidentQuery(limit=2)) == [kept[2], kept[1]]
    assert past.incident("blind-1") == kept[0]
    assert past.incident("blind-9") is None
    assert past.blind(None, None) == [
        Blind(kept[0].at, kept[0].until, "events", covered=True, text="span 1"),
        Blind(kept[1].at, kept[1].until, "events", covered=False, text="span 2"),
        Blind(kept[2].at, None, "events", covered=False, text="span 3"),
    ]
    assert [span.text for span in past.blind(kept[1].at, NOW)] == ["span 2", "span 3"]


def test_series_and_lines_come_from_the_history(tmp_path: Path, history: History) -> None:
    at = NOW - timedelta(seconds=30)
    history.add_round(at, [Sample("c" * 64, "locust-web-1", "locust", "web", 1, 50, 60, 100, 12.0, 3.0)])
    history.add_run_point(RunPoint(at, "running", 40, 80.0, 0.0, 12.0, 48.0, 2))
    ns = int(at.timestamp()) * 10**9
    history.add_lines([StoredLine(ns, "c" * 64, "found it", "locust-web-1", "locust", "web")])
    assert history.flush(10)
    past = LedgerArchive(tmp_path, history)
    (series,) = past.series(NOW - timedelta(minutes=1), NOW, 60)
    assert (series.name, series.points[0].working_set_max_bytes, series.points[0].limit_bytes) == (
        "locust-web-1",
        50,
        100,
    )
    (point,) = past.run_series(NOW - timedelta(minutes=1), NOW, 60)
    assert (point.users, point.rps) == (40, 80.0)
    assert [line.text for line in past.search(LogQuery("FOUND", container="web"))] == ["found it"]
    assert past.search(LogQuery("lost")) == []

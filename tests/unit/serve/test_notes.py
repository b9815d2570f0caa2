"""A person's note on an incident: what the route takes, what it refuses, and that it answers once the note is kept."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest
from starlette.applications import Starlette

from sidecar.model.incident import Incident
from sidecar.monitor.board import Board
from sidecar.serve import api as notes
from sidecar.serve.app import make_app
from tests.fakes.asking import Answer, post
from tests.fakes.sidecar_samples import NOW
from tests.unit.serve.test_api import INCIDENT, PretendPast

PATH = f"/api/incidents/{INCIDENT.id}/note"


class Noted(PretendPast):
    """A past that keeps notes, `late` readings after it was told."""

    def __init__(self, late: int = 0) -> None:
        super().__init__()
        self.late = late
        self.text: str | None = None

    def note(self, incident_id: str, text: str) -> None:
        assert incident_id == INCIDENT.id
        self.text = text

    def incident(self, incident_id: str) -> Incident | None:
        if incident_id != INCIDENT.id:
            return None
        if self.text is not None:
            self.late -= 1
        return replace(INCIDENT, person_note=self.text if self.late < 0 else None)


def app_over(past: Noted | None) -> Starlette:
    note = past.note if past else None
    return make_app(Board(lambda: NOW), asyncio.Event(), archive=past, clock=lambda: NOW, note=note)


def sent(past: Noted | None, note: object, path: str = PATH) -> Answer:
    return post(app_over(past), path, json.dumps({"note": note}).encode())


def test_a_note_is_kept_and_the_incident_comes_back_with_it() -> None:
    past = Noted(late=2)
    answer = sent(past, "  the cache\x1b[31m was\ncold ")
    assert (answer.status, answer.json["person_note"]) == (200, "the cache was cold")
    assert past.text == "the cache was cold"


def test_the_longest_note_is_taken_in_any_script() -> None:
    assert sent(Noted(), "\U0001f980" * 500).status == 200


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", "the body is not JSON"),
        (b"[" * 5000, "the body is not JSON"),
        (b"\xff", "the body is not JSON"),
        (b'"text"', "the body has no note"),
        (b'{"note": 7}', "the body has no note"),
        (b'{"note": "a", "more": 1}', "the body has no note, or other fields too"),
        (b'{"note": " "}', "the note has 0 characters; expected: {"),
        (json.dumps({"note": "x" * 501}).encode(), "the note has 501 characters"),
    ],
)
def test_what_is_no_note_is_refused_in_one_line(body: bytes, error: str) -> None:
    past = Noted()
    answer = post(app_over(past), PATH, body)
    assert answer.status == 400
    assert answer.json["error"].startswith(error)
    assert past.text is None


def test_a_body_that_is_too_large_is_refused() -> None:
    assert sent(Noted(), "x" * 9000).status == 413


def test_a_form_of_another_site_cannot_write() -> None:
    past = Noted()
    assert post(app_over(past), PATH, b'{"note": "x"}', "text/plain").status == 415
    assert past.text is None


def test_an_unknown_incident_is_a_404() -> None:
    assert sent(Noted(), "x", "/api/incidents/ffffffffffffffff/note").status == 404


def test_without_a_ledger_it_says_so() -> None:
    answer = sent(None, "x")
    assert (answer.status, answer.json["error"]) == (
        503,
        "there is no ledger: the monitor was started without one",
    )


def test_a_note_that_is_not_on_the_disk_in_time_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notes, "_PATIENCE_SECONDS", 0.1)
    answer = sent(Noted(late=10**6), "x")
    assert answer.status == 503
    assert "may still be written" in answer.json["error"]

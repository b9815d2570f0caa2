"""The routes over the past: incidents, log lines, series, runs with their reports, and a person's note on an incident.

SQLite is used in threads, never in the event loop: Starlette calls a function that is no coroutine in a thread.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from sidecar.client.documents import (
    Axis,
    HistoryDocument,
    IncidentList,
    LogLines,
    Recording,
    container_columns,
    log_line,
    run_columns,
    without_evidence,
)
from sidecar.common import strict_json
from sidecar.common.errors import LedgerError
from sidecar.ledger.ledger_reader import LedgerArchive
from sidecar.model.history import DEFAULT_LIMIT, IncidentQuery, LogQuery
from sidecar.model.incident import NOTE_WANTED, note_line
from sidecar.monitor.board import Board
from sidecar.report.render import html
from sidecar.report.runs.reports import Ask, Reports
from sidecar.serve.requests import (
    BAD_REQUEST,
    NOT_FOUND,
    TOO_LARGE,
    WRONG_TYPE,
    ParameterError,
    Parameters,
    json_answer,
    problem,
    record_answer,
)

_MOST_BYTES = 8192  # a note of emoji, escaped, takes 6000
_PATIENCE_SECONDS, _PAUSE_SECONDS = 5.0, 0.05
_NO_LEDGER = "there is no ledger: the monitor was started without one"
_WANTED = f'{{"note": "{NOTE_WANTED}"}}'

Note = Callable[[str, str], None]


def _note_in(body: bytes) -> str:
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        raise ParameterError(f"the body is not JSON; expected: {_WANTED}") from None
    note = given.get("note") if isinstance(given, dict) and set(given) == {"note"} else None
    if not isinstance(note, str):
        raise ParameterError(f"the body has no note, or other fields too; expected: {_WANTED}")
    try:
        return note_line(note)
    except ValueError as error:
        raise ParameterError(f"{error}; expected: {_WANTED}") from None


_DEFAULT_SPAN = timedelta(minutes=15)
_LONGEST_SPAN = timedelta(days=366)
_MOST_INCIDENTS, _MOST_LINES, _MOST_POINTS = 5000, 2000, 2000


@dataclass(frozen=True, slots=True)
class Api:
    """The routes under /api that read the archive, and `note`, which writes to it. Without a ledger, both are None.

    `recording` returns whether incidents can be recorded.
    """

    board: Board
    archive: LedgerArchive | None
    clock: Callable[[], datetime]
    note: Note | None
    recording: Callable[[], Recording] = Recording

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/api/incidents", self._incidents),
            Route("/api/incidents/{incident_id}", self._incident),
            Route("/api/incidents/{incident_id}/note", self._take_note, methods=["POST"]),
            Route("/api/logs", self._logs),
            Route("/api/history", self._history),
        ]

    async def _take_note(self, request: Request) -> Response:
        """Answer with the incident and its note, once both are on disk.

        A page of another site cannot send JSON here: the browser would ask first, and this server never agrees.
        """
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return problem(WRONG_TYPE, "the content type is not application/json")
        body = bytearray()
        try:
            async for part in request.stream():
                body += part
                if len(body) > _MOST_BYTES:
                    return problem(TOO_LARGE, f"the note is larger than {_MOST_BYTES} bytes; expected: {_WANTED}")
        except ClientDisconnect:
            return problem(BAD_REQUEST, "the connection ended before the end of the note")
        return await asyncio.to_thread(self._keep_note, request.path_params["incident_id"], _note_in(bytes(body)))

    def _keep_note(self, incident_id: str, text: str) -> Response:
        archive = self._open()
        if self.note is None:
            raise LedgerError(_NO_LEDGER)
        if archive.incident(incident_id) is None:
            return _no_such_incident(incident_id)
        self.note(incident_id, text)
        end = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < end:
            incident = archive.incident(incident_id)
            if incident is not None and incident.person_note == text:
                return record_answer(incident)
            time.sleep(_PAUSE_SECONDS)
        raise LedgerError(f"the note was not written to disk within {_PATIENCE_SECONDS:g} s; it may still be written")

    def _incidents(self, request: Request) -> Response:
        known = ("since", "until", "kind", "project", "limit", "helpers", "evidence")
        asked = Parameters(request.query_params, known)
        since, until = asked.span()
        query = IncidentQuery(
            since=since,
            until=until,
            kinds=asked.kinds(),
            project=asked.text("project") or None,
            limit=asked.whole("limit", DEFAULT_LIMIT, _MOST_INCIDENTS),
            helpers=asked.flag("helpers", default=False),
        )
        whole = asked.flag("evidence", default=True)
        archive = self._open()
        incidents = archive.incidents(query)
        return record_answer(
            IncidentList(
                project=self._project(),
                at=self.clock(),
                incidents=tuple(incidents if whole else map(without_evidence, incidents)),
                blind=tuple(archive.blind(since, until)),
                recording=self.recording(),
            )
        )

    def _incident(self, request: Request) -> Response:
        Parameters(request.query_params, ())
        wanted = request.path_params["incident_id"]
        incident = self._open().incident(wanted)
        return _no_such_incident(wanted) if incident is None else record_answer(incident)

    def _logs(self, request: Request) -> Response:
        asked = Parameters(request.query_params, ("q", "container", "since", "until", "limit"))
        since, until = asked.span()
        query = LogQuery(
            text=asked.text("q"),
            container=asked.text("container") or None,
            since=since,
            until=until,
            limit=asked.whole("limit", DEFAULT_LIMIT, _MOST_LINES),
        )
        lines = self._open().search(replace(query, limit=query.limit + 1))  # one more line shows whether there are more
        return record_answer(
            LogLines(self.clock(), tuple(map(log_line, lines[: query.limit])), more=len(lines) > query.limit)
        )

    def _history(self, request: Request) -> Response:
        asked = Parameters(request.query_params, ("since", "until", "points"))
        points = asked.whole("points", 300, _MOST_POINTS)
        since, until = asked.span()
        until = until or self.clock()
        since = since or until - _DEFAULT_SPAN
        if not timedelta(0) < until - since <= _LONGEST_SPAN:
            wanted = f"up to {_LONGEST_SPAN.days} days, with since before until"
            raise ParameterError(f"the span is {until - since}; expected: {wanted}")
        return record_answer(self._made_history(since, until, points))

    def _made_history(self, since: datetime, until: datetime, points: int) -> HistoryDocument:
        archive = self._open()
        series = archive.series(since, until, points)
        run = archive.run_series(since, until, points)
        moments = {point.at for container_series in series for point in container_series.points} | {
            point.at for point in run
        }
        axis = Axis(since, until, points, moments)
        query = IncidentQuery(since=since, until=until, limit=_MOST_INCIDENTS)
        return HistoryDocument(
            project=self._project(),
            since=since,
            until=until,
            step_seconds=axis.step_seconds,
            at=axis.at,
            containers=tuple(container_columns(container_series, axis) for container_series in series),
            run=run_columns(run, axis),
            incidents=tuple(map(without_evidence, archive.incidents(query))),
            blind=tuple(archive.blind(since, until)),
        )

    def _open(self) -> LedgerArchive:
        if self.archive is None:
            raise LedgerError(_NO_LEDGER)
        return self.archive

    def _project(self) -> str | None:
        snapshot = self.board.current()
        return snapshot.project if snapshot else None


def _no_such_incident(incident_id: str) -> Response:
    return problem(NOT_FOUND, f"incident is {incident_id!r:.40}; expected: the id of an incident in /api/incidents")


_MOST_RUNS, _MOST_USERS = 500, 10_000_000
# The page is one file with its style in it, and no script.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


class Runs:
    """The routes. Starlette calls these functions in threads."""

    def __init__(self, reports: Reports) -> None:
        self._reports = reports

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/api/runs", self._list),
            Route("/api/runs/{run_id}", self._report),
            Route("/runs/{run_id}", self._page),
        ]

    def _list(self, request: Request) -> Response:
        limit = Parameters(request.query_params, ("limit",)).whole("limit", 50, _MOST_RUNS)
        return _json(self._reports.listing(self._reports.ids()[-limit:][::-1]))

    def _report(self, request: Request) -> Response:
        asked = Parameters(request.query_params, ("anew", "judge", "baseline", "users"))
        ask = Ask(
            anew=asked.flag("anew", default=False),
            judge=_words(asked.text("judge")),
            baseline=asked.text("baseline"),
            users=asked.whole("users", 0, _MOST_USERS) if asked.text("users") else 0,
        )
        return _json(self._reports.of(request.path_params["run_id"], ask))

    def _page(self, request: Request) -> Response:
        text = html.render(self._reports.of(request.path_params["run_id"]))
        return Response(text, media_type="text/html", headers={"content-security-policy": _POLICY})


def _words(text: str) -> dict[str, Any] | None:
    """Read other criteria, in the form of run.json; None for the run's own criteria."""
    try:
        judge = json.loads(text) if text else None
    except ValueError:
        judge = text
    if judge is not None and not isinstance(judge, dict):
        raise ParameterError(f"judge is {text!r:.60}; expected: a JSON object")
    return judge


def _json(report: object) -> Response:
    return json_answer(strict_json.dumps(report, ensure_ascii=False).encode())

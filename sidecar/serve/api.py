"""The JSON routes over the past: incidents, log lines, series. SQLite is used in threads, never in the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sidecar.client.documents import (
    Axis,
    HistoryDocument,
    IncidentList,
    LogLines,
    container_columns,
    log_line,
    run_columns,
    without_evidence,
)
from sidecar.common.errors import LedgerError
from sidecar.model import document
from sidecar.model.history import DEFAULT_LIMIT, IncidentQuery, LogQuery
from sidecar.serve.answers import BAD_REQUEST, NOT_FOUND, UNAVAILABLE, json_answer, problem
from sidecar.serve.archive import Archive, BoardView
from sidecar.serve.notes import Note, NoteTaker
from sidecar.serve.parameters import ParameterError, Parameters

_DEFAULT_SPAN = timedelta(minutes=15)
_LONGEST_SPAN = timedelta(days=366)
_MOST_INCIDENTS, _MOST_LINES, _MOST_POINTS = 5000, 2000, 2000

Handler = Callable[[Request], Response]


class Api:
    """The routes under /api that read the archive, and `note` on it. Both are None while there is no ledger."""

    def __init__(
        self, board: BoardView, archive: Archive | None, clock: Callable[[], datetime], note: Note | None
    ) -> None:
        self._board = board
        self._notes = NoteTaker(archive, note)
        self._archive = archive
        self._clock = clock

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/api/incidents", _threaded(self._incidents)),
            Route("/api/incidents/{incident_id}", _threaded(self._incident)),
            Route("/api/incidents/{incident_id}/note", self._notes.take, methods=["POST"]),
            Route("/api/logs", _threaded(self._logs)),
            Route("/api/history", _threaded(self._history)),
        ]

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
        found = archive.incidents(query)
        return _answer(
            IncidentList(
                project=self._project(),
                at=self._clock(),
                incidents=tuple(found if whole else map(without_evidence, found)),
                blind=tuple(archive.blind(since, until)),
            )
        )

    def _incident(self, request: Request) -> Response:
        Parameters(request.query_params, ())
        wanted = request.path_params["incident_id"]
        found = self._open().incident(wanted)
        if found is None:
            return problem(NOT_FOUND, f"incident is {wanted!r:.40}; wanted: the id of one in /api/incidents")
        return _answer(found)

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
        found = self._open().search(replace(query, limit=query.limit + 1))  # one more tells whether there are more
        return _answer(
            LogLines(self._clock(), tuple(map(log_line, found[: query.limit])), more=len(found) > query.limit)
        )

    def _history(self, request: Request) -> Response:
        asked = Parameters(request.query_params, ("since", "until", "points"))
        points = asked.whole("points", 300, _MOST_POINTS)
        since, until = asked.span()
        until = until or self._clock()
        since = since or until - _DEFAULT_SPAN
        if not timedelta(0) < until - since <= _LONGEST_SPAN:
            wanted = f"up to {_LONGEST_SPAN.days} days, with since before until"
            raise ParameterError(f"the span is {until - since}; wanted: {wanted}")
        return _answer(self._made_history(since, until, points))

    def _made_history(self, since: datetime, until: datetime, points: int) -> HistoryDocument:
        archive = self._open()
        series = archive.series(since, until, points)
        run = archive.run_series(since, until, points)
        moments = {point.at for one in series for point in one.points} | {point.at for point in run}
        axis = Axis(since, until, points, moments)
        query = IncidentQuery(since=since, until=until, limit=_MOST_INCIDENTS)
        return HistoryDocument(
            project=self._project(),
            since=since,
            until=until,
            step_seconds=axis.step_seconds,
            at=axis.at,
            containers=tuple(container_columns(one, axis) for one in series),
            run=run_columns(run, axis),
            incidents=tuple(map(without_evidence, archive.incidents(query))),
            blind=tuple(archive.blind(since, until)),
        )

    def _open(self) -> Archive:
        if self._archive is None:
            raise LedgerError("there is no ledger: the sidecar was started without one")
        return self._archive

    def _project(self) -> str | None:
        snapshot = self._board.current()
        return snapshot.project if snapshot else None


def _answer(record: object) -> Response:
    return json_answer(document.dumps(record))


def _threaded(handler: Handler) -> Callable[[Request], object]:
    """Run a handler in a thread, and answer with its errors."""

    async def answer(request: Request) -> Response:
        try:
            return await asyncio.to_thread(handler, request)
        except ParameterError as error:
            return problem(BAD_REQUEST, str(error))
        except LedgerError as error:
            return problem(UNAVAILABLE, error.line())

    return answer

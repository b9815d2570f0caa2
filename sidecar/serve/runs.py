"""The routes over runs: the list, a run's report as JSON, and as a page."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sidecar.common import strict_json
from sidecar.report.render import html
from sidecar.report.runs.reports import Ask, Reports
from sidecar.serve.requests import ParameterError, Parameters, json_answer

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
        newest = self._reports.ids()[-limit:][::-1]
        return _json({"schema_version": 1, "runs": [self._reports.gist(run_id) for run_id in newest]})

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
    """Read by what to judge, as the plugin writes it down in run.json; None to judge by that."""
    try:
        judge = json.loads(text) if text else None
    except ValueError:
        judge = text
    if judge is not None and not isinstance(judge, dict):
        raise ParameterError(f"judge is {text!r:.60}; wanted: a JSON object")
    return judge


def _json(report: object) -> Response:
    return json_answer(strict_json.dumps(report, ensure_ascii=False).encode())

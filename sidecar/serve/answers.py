"""How the routes answer: a document, or one line that says what is wrong."""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

from sidecar.model.snapshot import SCHEMA_VERSION

BAD_REQUEST, NOT_FOUND, TOO_LARGE, WRONG_TYPE, UNAVAILABLE = 400, 404, 413, 415, 503

_NO_STORE = {"cache-control": "no-store"}


def problem(status: int, text: str) -> Response:
    """Answer with one line that says what is wrong."""
    return JSONResponse({"schema_version": SCHEMA_VERSION, "error": text}, status_code=status, headers=_NO_STORE)


def json_answer(body: bytes) -> Response:
    """Answer with a document."""
    return Response(body, media_type="application/json", headers=_NO_STORE)

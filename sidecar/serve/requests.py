"""Read requests strictly, and answer with a document, or with one line: what is wrong and what is expected."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sidecar.common.errors import KitError, LedgerError
from sidecar.common.times import parse_time
from sidecar.model import document
from sidecar.model.incident import IncidentKind
from sidecar.model.snapshot import SCHEMA_VERSION
from sidecar.report.runs.record import NoSuchRunError

BAD_REQUEST, NOT_FOUND, TOO_LARGE, WRONG_TYPE, UNAVAILABLE = 400, 404, 413, 415, 503

_NO_STORE = {"cache-control": "no-store"}


def problem(status: int, text: str) -> Response:
    """Answer with one line that says what is wrong."""
    return JSONResponse({"schema_version": SCHEMA_VERSION, "error": text}, status_code=status, headers=_NO_STORE)


def json_answer(body: bytes) -> Response:
    """Answer with a document."""
    return Response(body, media_type="application/json", headers=_NO_STORE)


def record_answer(record: object) -> Response:
    """Answer with a record of the model."""
    return json_answer(document.dumps(record))


_SHOWN_CHARACTERS = 60
_LONGEST_TEXT = 200
_YEARS = range(1970, 9999)  # spans are added to and taken from these without an overflow


class ParameterError(ValueError):
    """An unusable parameter or body. The text is the answer's `error`."""


class Parameters:
    """The query string of one request."""

    def __init__(self, query: QueryParams, known: Collection[str]) -> None:
        """Take a query.

        Raises:
            ParameterError: an unknown parameter, because a typing mistake would silently change the request.
        """
        self._query = query
        for name in query:
            if name not in known:
                raise ParameterError(
                    f"parameter {_shown(name)} is unknown; expected: {', '.join(known) or 'no parameter'}"
                )

    def time(self, name: str) -> datetime | None:
        """Read an RFC 3339 time; None if it is not given."""
        text = self._query.get(name)
        if not text:
            return None
        try:
            at = parse_time(text.replace(" ", "+"))  # a "+" that was not escaped arrives as a space
        except (ValueError, OverflowError) as error:
            raise _wrong(name, text, "an RFC 3339 time, as in 2026-11-22T15:04:05Z") from error
        if at.year not in _YEARS:
            raise _wrong(name, text, f"a time from {_YEARS.start} to {_YEARS.stop - 1}")
        return at

    def span(self) -> tuple[datetime | None, datetime | None]:
        """Read `since` and `until`, in this order in time."""
        since, until = self.time("since"), self.time("until")
        if since is not None and until is not None and since >= until:
            raise _wrong("since", self._query["since"], f"a time before until={self._query['until']}")
        return since, until

    def whole(self, name: str, default: int, most: int, least: int = 1) -> int:
        """Read a whole number from `least` to `most`."""
        text = self._query.get(name)
        if not text:
            return default
        if text.isascii() and text.isdigit() and len(text) <= len(str(most)) and least <= int(text) <= most:
            return int(text)
        raise _wrong(name, text, f"a whole number from {least} to {most}")

    def flag(self, name: str, *, default: bool) -> bool:
        """Read 0 or 1."""
        text = self._query.get(name)
        if not text:
            return default
        if text in {"0", "1"}:
            return text == "1"
        raise _wrong(name, text, "0 or 1")

    def text(self, name: str) -> str:
        """Read a text; "" if it is not given."""
        text = self._query.get(name, "")
        if len(text) > _LONGEST_TEXT:
            raise _wrong(name, text, f"at most {_LONGEST_TEXT} characters")
        return text

    def kinds(self) -> tuple[IncidentKind, ...]:
        """Read kinds of incidents: `kind` once with commas, or several times."""
        words = [word for text in self._query.getlist("kind") for word in text.split(",") if word]
        try:
            return tuple(IncidentKind(word) for word in words)
        except ValueError as error:
            wrong = next(word for word in words if word not in set(IncidentKind))
            raise _wrong("kind", wrong, f"one of {', '.join(IncidentKind)}") from error


def _wrong(name: str, seen: str, wanted: str) -> ParameterError:
    return ParameterError(f"{name} is {_shown(seen)}; expected: {wanted}")


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…")


def refused(_: Request, error: Exception) -> Response:
    """Answer with one line on an error that a route has raised."""
    if isinstance(error, KitError):
        return problem(NOT_FOUND if isinstance(error, NoSuchRunError) else UNAVAILABLE, error.line())
    return problem(BAD_REQUEST, str(error))


EXCEPTION_HANDLERS = dict.fromkeys((ParameterError, NoSuchRunError, LedgerError), refused)

"""The one thing that can be written through the API: what a person learnt about an incident."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from sidecar.common.errors import LedgerError
from sidecar.model import document
from sidecar.model.incident import NOTE_WANTED, Incident, note_line
from sidecar.serve.answers import BAD_REQUEST, NOT_FOUND, TOO_LARGE, UNAVAILABLE, WRONG_TYPE, json_answer, problem
from sidecar.serve.archive import Archive

_MOST_BYTES = 8192  # a note of emoji, escaped, takes 6000
_PATIENCE_SECONDS, _PAUSE_SECONDS = 5.0, 0.05
_WANTED = f'{{"note": "{NOTE_WANTED}"}}'

Note = Callable[[str, str], None]


class BadNoteError(ValueError):
    """A note that cannot be taken; the text is the answer's `error`."""


class NoteTaker:
    """Takes notes. `note` has one put on an incident, soon; it is there when `archive` shows it."""

    def __init__(self, archive: Archive | None, note: Note | None) -> None:
        self._archive = archive
        self._note = note

    async def take(self, request: Request) -> Response:
        """Answer with the incident and its note, once both are on the disk.

        A page of another site cannot send JSON here: the browser would ask first, and nothing here answers that.
        """
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return problem(WRONG_TYPE, "the content type is not application/json")
        body = bytearray()
        try:
            async for part in request.stream():
                body += part
                if len(body) > _MOST_BYTES:
                    return problem(TOO_LARGE, f"the note is larger than {_MOST_BYTES} bytes; wanted: {_WANTED}")
            text = _text(bytes(body))
        except ClientDisconnect:
            return problem(BAD_REQUEST, "the connection ended within the note")
        except BadNoteError as error:
            return problem(BAD_REQUEST, str(error))
        try:
            return await asyncio.to_thread(self._kept, request.path_params["incident_id"], text)
        except LedgerError as error:
            return problem(UNAVAILABLE, error.line())

    def _kept(self, incident_id: str, text: str) -> Response:
        if self._archive is None or self._note is None:
            raise LedgerError("there is no ledger: the sidecar was started without one")
        if self._archive.incident(incident_id) is None:
            return problem(NOT_FOUND, f"incident is {incident_id!r:.40}; wanted: the id of one in /api/incidents")
        self._note(incident_id, text)
        return json_answer(document.dumps(self._with_note(self._archive, incident_id, text)))

    @staticmethod
    def _with_note(archive: Archive, incident_id: str, text: str) -> Incident:
        end = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < end:
            found = archive.incident(incident_id)
            if found is not None and found.person_note == text:
                return found
            time.sleep(_PAUSE_SECONDS)
        raise LedgerError(f"the note was not on the disk within {_PATIENCE_SECONDS:g} s; it may still come")


def _text(body: bytes) -> str:
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        raise BadNoteError(f"the body is no JSON; wanted: {_WANTED}") from None
    note = given.get("note") if isinstance(given, dict) and set(given) == {"note"} else None
    if not isinstance(note, str):
        raise BadNoteError(f"the body holds no note, or more than that; wanted: {_WANTED}")
    try:
        return note_line(note)
    except ValueError as error:
        raise BadNoteError(f"{error}; wanted: {_WANTED}") from None

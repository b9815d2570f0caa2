"""Server-sent events: the whole state on connect, then each Snapshot and each incident as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from sidecar.client.documents import without_evidence
from sidecar.model import document
from sidecar.model.incident import Incident
from sidecar.monitor.board import Board

# A comment line this often tells both ends, and any proxy between them, that the stream lives.
_KEEP_ALIVE_SECONDS = 15.0
_RETRY_MILLISECONDS = 1000  # a browser's own pause before it connects again is three to five seconds


async def events(
    board: Board, stopping: asyncio.Event, written: Callable[[Incident], bytes] | None = None
) -> AsyncIterator[bytes]:
    """Yield the state at once and after each change; a reader that connects late misses nothing.

    `snapshot` is the whole Snapshot, `incident` one incident that came or changed, without its evidence
    (/api/incidents/ID has it; `written` makes the event, for many readers once). `reload` says that this reader was
    too slow and should read /api/incidents anew.
    """
    written = written or Written()
    yield f"retry: {_RETRY_MILLISECONDS}\n\n".encode()
    mark = board.incidents_since(None).mark
    seen, sent = -1, None
    while not stopping.is_set():
        if board.version == seen:
            try:
                await asyncio.wait_for(board.changed(seen), _KEEP_ALIVE_SECONDS)
            except TimeoutError:
                yield b": still here\n\n"
            continue
        seen = board.version
        news, snapshot = board.incidents_since(mark), board.json()
        mark = news.mark
        if not news.complete:
            yield event("reload", b"{}")
        for incident in news.incidents:
            yield written(incident)
        if snapshot is not None and snapshot is not sent:  # an incident alone does not send everything again
            sent = snapshot
            yield event("snapshot", snapshot)


class Written:
    """Incidents as events, each written once for all readers: a storm before many readers would stop everything else.

    For one event loop.
    """

    def __init__(self, most: int = 2000) -> None:
        self._most = most
        self._kept: dict[
            int, tuple[Incident, bytes]
        ] = {}  # by identity; the incident is held, so that its id stays its

    def __call__(self, incident: Incident) -> bytes:
        """Return the event."""
        kept = self._kept.get(id(incident))
        if kept is None:
            kept = (incident, event("incident", document.dumps(without_evidence(incident))))
            self._kept[id(incident)] = kept
            if len(self._kept) > self._most:
                del self._kept[next(iter(self._kept))]
        return kept[1]


def event(name: str, data: bytes) -> bytes:
    """Write one event; the data is one line, as all of our documents are."""
    return b"event: " + name.encode() + b"\ndata: " + data + b"\n\n"

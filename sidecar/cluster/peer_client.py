"""The client of another node's monitor: the addresses behind a name, and a kept-alive connection to each."""

from __future__ import annotations

import http.client
import socket
from typing import TypeVar
from urllib.parse import urlencode

from sidecar.client.documents import IncidentList
from sidecar.common.errors import why_unreachable
from sidecar.model import document
from sidecar.model.cluster import NodeReport
from sidecar.model.document import DocumentError
from sidecar.model.incident import Incident

T = TypeVar("T")

TIMEOUT_SECONDS = 3.0
_NO_ANSWER = f"no answer within {TIMEOUT_SECONDS:.0f} s"
MOST_BYTES = 16 * 1024 * 1024
MOST_INCIDENTS = 5000
LEADER_HEADER = "x-kit-leader"


class PeerError(Exception):
    """A node gave no report; the text is the reason, in a few words."""


class PeerClient:
    """Asks one sidecar. For one thread at a time."""

    def __init__(self, address: str, port: int, token: str, own_node: str, timeout: float = TIMEOUT_SECONDS) -> None:
        self._connection = http.client.HTTPConnection(address, port, timeout=timeout)
        self._headers = {"Authorization": f"Bearer {token}", LEADER_HEADER: own_node}
        self.received_bytes = 0

    def report(self, mark: int | None) -> NodeReport:
        """Ask for the report of its node; `mark` is that of its last report, None for the first.

        Raises:
            PeerError: no answer, or not a report.
        """
        query = "" if mark is None else f"?{urlencode({'mark': mark})}"
        return _read(NodeReport, self._get(f"/api/node{query}"))

    def incidents(self) -> tuple[Incident, ...]:
        """Ask for all that its ledger holds, newest first, at most MOST_INCIDENTS.

        Raises:
            PeerError: no answer, or no such list.
        """
        query = urlencode({"limit": MOST_INCIDENTS, "helpers": 1})
        return _read(IncidentList, self._get(f"/api/incidents?{query}")).incidents

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _get(self, path: str) -> bytes:
        try:
            self._connection.request("GET", path, headers=self._headers)
            answer = self._connection.getresponse()
            body = answer.read(MOST_BYTES)
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise PeerError(why_unreachable(error, _NO_ANSWER)) from error
        self.received_bytes += len(body)
        if answer.status == http.client.UNAUTHORIZED:
            raise PeerError("it has another token: a stack of another swarm-up")
        if answer.status != http.client.OK:
            raise PeerError(f"it answers with status {answer.status}")
        return body


def _read(kind: type[T], body: bytes) -> T:
    try:
        return document.loads_as(kind, body, "word")
    except DocumentError as error:
        raise PeerError(f"its answer cannot be read: {error}") from error


def addresses(name: str, port: int) -> tuple[str, ...]:
    """Return the addresses of a name; an empty tuple when it cannot be resolved."""
    try:
        address_infos = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except OSError:
        return ()
    return tuple(sorted({str(address_info[4][0]) for address_info in address_infos}))

"""The client of another node's monitor, and the addresses behind a name."""

from __future__ import annotations

import socket
from urllib.parse import urlencode

from sidecar.client.reader import NODE, SidecarReader
from sidecar.model.cluster import NodeReport

LEADER_HEADER = "x-kit-leader"


class PeerClient(SidecarReader):
    """Reads the monitor of another node, for the leader. For one thread at a time."""

    def __init__(self, address: str, port: int, token: str, own_node: str, timeout_seconds: float = 3.0) -> None:
        super().__init__(port, timeout_seconds, host=address, token=token)
        self._headers[LEADER_HEADER] = own_node

    def report(self, mark: int | None) -> NodeReport:
        """Request the report of the node; `mark` is the mark of its last report, None for the first.

        Raises:
            MonitorError: no answer, or not a report.
        """
        query = "" if mark is None else f"?{urlencode({'mark': mark})}"
        return self._read(NodeReport, f"{NODE}{query}", "report")


def addresses(name: str, port: int) -> tuple[str, ...]:
    """Return the addresses of a name; an empty tuple when it cannot be resolved."""
    try:
        address_infos = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except OSError:
        return ()
    return tuple(sorted({str(address_info[4][0]) for address_info in address_infos}))

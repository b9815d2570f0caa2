"""The addresses behind a name, asked of the resolver each time: tasks come and go."""

from __future__ import annotations

import socket


def addresses(name: str, port: int) -> tuple[str, ...]:
    """Return the addresses of a name; none where nobody bears it, or nobody can say."""
    try:
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except OSError:
        return ()
    return tuple(sorted({str(one[4][0]) for one in found}))

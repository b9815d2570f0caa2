"""Ports of loopback to listen on, or to find nobody at."""

import random
import socket

_EPHEMERAL = 32768  # from here on Linux gives ports to outgoing connections, and to whoever asks for any port
_LOWEST = 20000


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on, and that the kernel gives to nobody by itself."""
    while True:
        port = random.randrange(_LOWEST, _EPHEMERAL)  # noqa: S311  not for secrets
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port

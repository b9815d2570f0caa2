"""Exit 0 if the master's web server gives a valid HTTP answer of any status, including a redirect to a login."""

import os
import socket
import sys


def answer() -> bytes:
    """Return the first bytes of the answer to a HEAD request, over TLS if the web UI has a certificate."""
    port = int(os.environ.get("LOCUST_WEB_PORT") or 8089)
    with socket.create_connection(("127.0.0.1", port), timeout=4) as connection:
        stream = connection
        if os.environ.get("LOCUST_TLS_CERT"):
            import ssl  # noqa: PLC0415  it takes 0.1 s, and only TLS needs it

            context = ssl._create_unverified_context()  # noqa: S323, SLF001  the check is about the server, not its certificate
            stream = context.wrap_socket(connection)
        stream.sendall(b"HEAD / HTTP/1.0\r\nHost: localhost\r\n\r\n")
        return stream.recv(16)


try:
    first = answer()
except OSError as error:
    sys.exit(f"the web server does not answer: {error}")
if not first.startswith(b"HTTP/"):
    sys.exit(f"not an HTTP answer: {first!r}")
print("answers")

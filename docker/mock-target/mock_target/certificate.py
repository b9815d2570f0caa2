"""A self-signed certificate, made at start.

The openssl command makes it, because it has a tenth of the size of a suitable Python package.
"""

from __future__ import annotations

import ssl
import subprocess
import tempfile

NAMES = "DNS:mock-target,DNS:localhost,IP:127.0.0.1"
REQUEST = (
    "req -x509 -days 3650 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes "
    f"-subj /CN=mock-target -addext subjectAltName={NAMES} -keyout - -out -"
)


def server_context() -> ssl.SSLContext:
    """Make a TLS context with a fresh key and certificate for `mock-target` and `localhost`.

    Both pass through one private file in the temporary folder (memory in the container). It is removed before return.

    Raises:
        OSError: the openssl command is missing.
        subprocess.SubprocessError: the command failed, or took longer than 10 s.

    """
    with tempfile.NamedTemporaryFile(suffix=".pem") as pem:
        subprocess.run(
            ["openssl", *REQUEST.split()],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=pem,
            stderr=subprocess.DEVNULL,
            timeout=10,
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem.name)
    return context

"""`python3 -m mock_target`: serves until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import asyncio
import signal
import subprocess
import sys

import uvloop

from mock_target.certificate import server_context
from mock_target.server import Ports, serve


async def run(options: argparse.Namespace) -> None:
    """Serve with the given options until a signal arrives."""
    context = None if options.no_tls else server_context()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await serve(options.host, Ports(options.http_port, options.https_port), context, stop)


def main() -> int:
    """Run the command line; return 1 and print one line if it cannot serve."""
    parser = argparse.ArgumentParser(prog="mock_target", description="A server whose paths choose its behaviour.")
    parser.add_argument("--host", default="0.0.0.0", help="address to listen on (default: all)")  # noqa: S104 - in a container
    parser.add_argument("--http-port", type=int, default=8080, help="0 uses a free port (default: 8080)")
    parser.add_argument("--https-port", type=int, default=8443, help="0 uses a free port (default: 8443)")
    parser.add_argument("--no-tls", action="store_true", help="HTTP only, without the openssl command")
    options = parser.parse_args()
    try:
        uvloop.run(run(options))
    except (OSError, subprocess.SubprocessError) as error:
        print(f"mock-target: cannot serve: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

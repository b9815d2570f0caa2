"""Has this machine answer for each public name that an example asks for; no other name is found.

On PYTHONPATH of each Locust of these tests: `STAND_IN_PORTS=80:40001,443:40002` says which ports stand for which.
"""

import _socket
import os
from typing import Any

_PORTS = dict(pair.split(":") for pair in os.environ.get("STAND_IN_PORTS", "").split(",") if pair)
_LOCAL = ("127.0.0.1", "localhost", "0.0.0.0", "::", "*", "", None)
_found = _socket.getaddrinfo


def _stand_in(host: Any, port: Any, *rest: Any, **more: Any) -> Any:
    name = host.decode() if isinstance(host, bytes) else host
    if name in _LOCAL or name == _socket.gethostname():
        return _found(host, port, *rest, **more)
    if name.endswith(".invalid") or str(port) not in _PORTS:
        raise _socket.gaierror(_socket.EAI_NONAME, "Name or service not known")
    return _found("127.0.0.1", _PORTS[str(port)], *rest, **more)


if _PORTS:
    _socket.getaddrinfo = _stand_in

"""Ask a real TLS server with both HTTP users, contexts shared or not; print what came of it, as JSON."""

# ruff: noqa: I001, FBT001, FBT003 -- gevent first
from __future__ import annotations

from tests.unit.plugin.loopback import serving

import json
import os
import ssl
import sys
from typing import Any

from locust import FastHttpUser, HttpUser, task
from locust.env import Environment
from locust.event import Events

from locust_kit import shared_tls

USERS = 20
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


def answer(link: Any) -> None:
    link.recv(4096)
    link.sendall(ANSWER)
    link.close()


def asked(kind: type[HttpUser | FastHttpUser], url: str, verify: bool | str, own: Any = None) -> list[Any]:
    """How many of the users had an answer, and how many contexts their connections rest on."""
    environment = Environment(events=Events())
    failed: list[BaseException] = []
    environment.events.request.add_listener(lambda exception, **_: failed.append(exception) if exception else None)

    class Asking(kind):  # type: ignore[misc, valid-type]
        host = "http://unused"
        insecure = not verify
        ssl_context_factory = staticmethod(own) if own else None

        @task
        def nothing(self) -> None: ...

    users = [Asking(environment) for _ in range(USERS)]
    for user in users:
        user.client.get(url, **({"verify": verify} if kind is HttpUser else {}))
    return [USERS - len(failed), len({id(context_of(user, kind)) for user in users})]


def context_of(user: Any, kind: type) -> Any:
    if kind is FastHttpUser:
        (client,) = user.client.client.clientpool.clients.values()
        return client._connection_pool.ssl_context
    pools = user.client.get_adapter("https://").poolmanager.pools
    return pools[next(iter(pools.keys()))].conn_kw.get("ssl_context") or user


def main(pem: str) -> None:
    said = shared_tls.install(os.environ)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    url = f"https://localhost:{serving(answer, context)}/"
    found: dict[str, Any] = {"said": said}
    for kind in (HttpUser, FastHttpUser):
        for verify in (False, True):
            found[f"{kind.__name__} {'verifies' if verify else 'does not'}"] = asked(kind, url, verify)
    found["HttpUser has authorities of its own"] = asked(HttpUser, url, pem)
    trusting = ssl.create_default_context(cafile=pem)
    found["FastHttpUser has a context of its own"] = asked(FastHttpUser, url, True, lambda **_: trusting)
    found["that context was used"] = trusting.session_stats()["connect_good"]
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])

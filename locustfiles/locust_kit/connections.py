"""Time-outs and pools for the HTTP users of a process, from the environment; what a test says itself comes first.

`self.client.timeout = 5` does nothing: requests has no such attribute. An HttpUser waits for ever by itself, a
FastHttpUser for 60 s.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from locust import FastHttpUser
from locust.clients import HttpSession, LocustHttpAdapter


@dataclass(frozen=True)
class Connections:
    """Seconds for a connection and for each wait for an answer, connections kept for a user; None is Locust's own."""

    connect_seconds: float | None = None
    read_seconds: float | None = None
    pool_size: int | None = None

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Connections:
        """Those of an environment, which the kit's settings have filled in."""
        connect, read = environ.get("KIT_CONNECT_TIMEOUT"), environ.get("KIT_READ_TIMEOUT")
        size = environ.get("KIT_POOL_SIZE")
        return cls(float(connect) if connect else None, float(read) if read else None, int(size) if size else None)

    def install(self) -> str:
        """Apply them to every user that is made from now on; returns what was done, in one line, "" for nothing."""
        if self.connect_seconds is not None:
            FastHttpUser.connection_timeout = self.connect_seconds
        if self.read_seconds is not None:
            FastHttpUser.network_timeout = self.read_seconds
        if self.connect_seconds is not None or self.read_seconds is not None:
            HttpSession.request = self._with_timeout(HttpSession.request)  # type: ignore[method-assign]
        if self.pool_size is not None:
            FastHttpUser.concurrency = self.pool_size
            LocustHttpAdapter.__init__ = self._with_pool(LocustHttpAdapter.__init__)  # type: ignore[method-assign]
        told = {
            "connect within": self.connect_seconds,
            "answer within": self.read_seconds,
            "connections a user": self.pool_size,
        }
        return ", ".join(f"{what} {value:g}" for what, value in told.items() if value is not None)

    def _with_timeout(self, request: Callable[..., Any]) -> Callable[..., Any]:
        own = (self.connect_seconds, self.read_seconds)

        @functools.wraps(request)
        def bounded(session: Any, *args: Any, **kwargs: Any) -> Any:
            kwargs.setdefault("timeout", own)
            return request(session, *args, **kwargs)

        return bounded

    def _with_pool(self, init: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(init)
        def sized(adapter: Any, *args: Any, **kwargs: Any) -> None:
            kwargs = {"pool_connections": self.pool_size, "pool_maxsize": self.pool_size, **kwargs}
            init(adapter, *args, **kwargs)

        return sized

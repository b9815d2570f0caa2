"""Time-outs, pool size and retries as settings that both clients use.

FastHttpUser has class attributes for them. The plugin changes their defaults, so a class's own value still overrides
them. HttpUser has no such attributes (`self.client.timeout = 3` has no effect in requests), so the plugin sets them on
the adapters that Locust mounts. A request's own `timeout=` overrides the setting. As in requests, None is the same as
no `timeout=`, and (None, None) waits forever.

Retries hide failures, so RETRIED counts each of them. A client retries only if the request cannot be executed twice:

- HttpUser: if the connection failed; later failures only for idempotent methods.
- FastHttpUser: after a time-out or a broken pipe of an idempotent method, as geventhttpclient decides.

If the server closes without an answer, geventhttpclient sends an idempotent request again, up to pool size + 1 times,
even with 0 retries. RETRIED does not count these attempts; meters/flights.py does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Self

from locust import FastHttpUser
from locust.clients import HttpSession, LocustHttpAdapter
from locust.contrib.fasthttp import LocustUserAgent
from urllib3.connectionpool import ConnectionPool
from urllib3.exceptions import MaxRetryError, ProtocolError, ReadTimeoutError
from urllib3.response import BaseHTTPResponse
from urllib3.util import Retry

from locust_kit import env
from locust_kit.patches import Patches, change_each
from locust_kit.texts import plural

CONNECT_TIMEOUT = "KIT_CONNECT_TIMEOUT"
READ_TIMEOUT = "KIT_READ_TIMEOUT"
POOL_SIZE = "KIT_POOL_SIZE"
RETRIES = "KIT_RETRIES"

INIT_POSITIONS = 1
"""The number of LocustHttpAdapter's arguments before those of requests' own adapter: pool_manager."""
SEND_POSITIONS = 3
"""The number of HTTPAdapter.send's arguments up to its time-out: request, stream, timeout."""

FAILED_MARK = "_locust_kit_failed"
"""An attribute of a FastHttpUser's request whose last attempt failed."""


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """The settings of the user; None keeps Locust's default."""

    connect_timeout: float | None = None
    """Seconds to connect, TLS included."""
    read_timeout: float | None = None
    """Longest time without data, not of the whole response."""
    pool_size: int | None = None
    """Connections to one host: FastHttpUser opens at most so many, HttpUser keeps at most so many."""
    retries: int = 0

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> ConnectionSettings:
        """Read the variables; an empty one counts as unset. Raises ValueError that names an invalid one."""
        return cls(
            _seconds(environ, CONNECT_TIMEOUT),
            _seconds(environ, READ_TIMEOUT),
            _whole(environ, POOL_SIZE, 1),
            _whole(environ, RETRIES, 0) or 0,
        )


@dataclass
class Retried:
    """Counts the further attempts since this process began."""

    http_user: int = 0
    fast_http_user: int = 0
    listener: Callable[[], None] | None = None
    """Called at each attempt, in the greenlet of its request."""
    _returned: int = 0

    @property
    def total(self) -> int:
        """Return the retries of both clients."""
        return self.http_user + self.fast_http_user

    def again(self, client: str) -> None:
        """Count one attempt; `client` is the name of its count."""
        setattr(self, client, getattr(self, client) + 1)
        if self.listener:
            self.listener()

    def since_last_call(self) -> int:
        """Return the number of attempts since the last call."""
        before, self._returned = self._returned, self.total
        return self.total - before


RETRIED = Retried()
"""This process's count."""


def retry_note(count: int) -> str:
    """Describe the effect of retries: a client measures from its first attempt to the end of its last."""
    return (
        f"{plural(count, 'further attempt')}; the time of such a request includes all its attempts, "
        "and its outcome is that of the last one"
    )


class CountedRetry(Retry):
    """A Retry that counts each retry; the last failure has the same type as without retries."""

    @classmethod
    def times(cls, number: int) -> CountedRetry:
        """Allow so many retries, but not after a refused certificate (`other`) or a 503 with Retry-After."""
        return cls(total=number, other=0, respect_retry_after_header=False)

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: BaseHTTPResponse | None = None,
        error: Exception | None = None,
        _pool: ConnectionPool | None = None,
        _stacktrace: TracebackType | None = None,
    ) -> Self:
        """Return the retries left after a failure; raise if no retry is left. urllib3 calls this."""
        try:
            left = super().increment(method, url, response, error, _pool, _stacktrace)
        except MaxRetryError:
            if isinstance(error, ReadTimeoutError | ProtocolError):
                raise error from None
            raise
        RETRIED.again("http_user")
        return left


def install(settings: ConnectionSettings) -> str:
    """Change both clients for all later users of this process. Return one line that describes the result.

    If a client does not have the expected form, it keeps Locust's default, and the line shows the reason.
    """
    if settings == ConnectionSettings():
        return "connections: Locust's defaults"
    changes = {
        "FastHttpUser": partial(_change_fast, settings),
        "HttpUser": partial(_change_requests, settings),
    }
    return change_each(changes, _described(settings))


def _described(settings: ConnectionSettings) -> str:
    parts = []
    if settings.connect_timeout is not None:
        parts.append(f"connect time-out {settings.connect_timeout:g} s")
    if settings.read_timeout is not None:
        parts.append(f"read time-out {settings.read_timeout:g} s")
    if settings.pool_size is not None:
        parts.append(f"pool size {settings.pool_size}")
    if settings.retries:
        parts.append(f"at most {settings.retries} retries, counted")
    return ", ".join(parts)


def _change_fast(settings: ConnectionSettings) -> None:
    attributes = {
        "connection_timeout": settings.connect_timeout,
        "network_timeout": settings.read_timeout,
        "concurrency": settings.pool_size,
        "max_retries": settings.retries or None,
    }
    with Patches() as patches:
        for name, value in attributes.items():
            if value is not None:
                patches.put(FastHttpUser, name, value)
        if settings.retries:
            patches.wrap(LocustUserAgent, "_urlopen", _attempt)


def _attempt(original: Callable[..., Any], agent: LocustUserAgent, request: Any) -> Any:
    if vars(request).pop(FAILED_MARK, False):
        RETRIED.again("fast_http_user")
    try:
        return original(agent, request)
    except BaseException:
        vars(request)[FAILED_MARK] = True
        raise


def _change_requests(settings: ConnectionSettings) -> None:
    timeout = (settings.connect_timeout, settings.read_timeout)
    arguments: dict[str, Any] = {}
    if settings.pool_size is not None:
        arguments["pool_maxsize"] = settings.pool_size
    if settings.retries:
        arguments["max_retries"] = CountedRetry.times(settings.retries)

    def begin(original: Callable[..., None], adapter: LocustHttpAdapter, *args: Any, **kwargs: Any) -> None:
        original(adapter, *args, **(kwargs if len(args) > INIT_POSITIONS else arguments | kwargs))

    def send(original: Callable[..., Any], adapter: LocustHttpAdapter, *args: Any, **kwargs: Any) -> Any:
        if len(args) < SEND_POSITIONS and kwargs.get("timeout") is None:
            kwargs["timeout"] = timeout
        return original(adapter, *args, **kwargs)

    with Patches() as patches:
        if arguments:
            patches.wrap(LocustHttpAdapter, "__init__", begin)
        if timeout != (None, None):
            patches.wrap(LocustHttpAdapter, "send", send)
        HttpSession("http://locust-kit.invalid", None, None)


def _seconds(environ: Mapping[str, str], name: str) -> float | None:
    text = environ.get(name)
    if not text:
        return None
    try:
        return env.positive(text)
    except ValueError:
        raise ValueError(f"{name} is {text!r}; expected: a number of seconds above 0") from None


def _whole(environ: Mapping[str, str], name: str, least: int) -> int | None:
    text = environ.get(name)
    if not text:
        return None
    try:
        value = env.whole(text)
    except ValueError:
        value = -1
    if value < least:
        raise ValueError(f"{name} is {text!r}; expected: a whole number from {least} on")
    return value

"""Time-outs, pool size and retries as settings that both clients really obey.

FastHttpUser has class attributes for all of them: their defaults change, so a class's own value wins by inheritance.
HttpUser has none (`self.client.timeout = 3` does nothing in requests): the adapters that Locust mounts get them. There
a request's own `timeout=` wins; None is the same as no `timeout=`, as in requests, and (None, None) waits for ever.

Retries hide failures, so each is counted in RETRIED. They happen where another attempt may help and cannot do a thing
twice: HttpUser when the connection failed, and after that for idempotent methods only; FastHttpUser after a time-out or
a broken pipe of an idempotent method, as geventhttpclient decides it. What geventhttpclient does even at 0 retries is
not in this count but in that of meters/flights.py: when the server closes without an answer, it sends an idempotent
request again, up to pool size + 1 times.
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
"""LocustHttpAdapter's arguments before those of requests' own adapter: pool_manager."""
SEND_POSITIONS = 3
"""HTTPAdapter.send's arguments up to its time-out: request, stream, timeout."""

FAILED_MARK = "_locust_kit_failed"
"""An attribute of a FastHttpUser's request whose last attempt failed."""


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """What the user set; None leaves it to Locust."""

    connect_timeout: float | None = None
    """Seconds to connect, TLS included."""
    read_timeout: float | None = None
    """Seconds of silence, not of the whole response."""
    pool_size: int | None = None
    """Connections to one host: for FastHttpUser the most at once, for HttpUser the most that are kept."""
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
    """Attempts that were made again since this process began."""

    http_user: int = 0
    fast_http_user: int = 0
    listener: Callable[[], None] | None = None
    """Is called at each, in the greenlet of its request."""
    _returned: int = 0

    @property
    def total(self) -> int:
        """Return the retries of both clients."""
        return self.http_user + self.fast_http_user

    def again(self, client: str) -> None:
        """Count one; `client` is the name of its count."""
        setattr(self, client, getattr(self, client) + 1)
        if self.listener:
            self.listener()

    def since_last_call(self) -> int:
        """Return how many came since the last call."""
        before, self._returned = self._returned, self.total
        return self.total - before


RETRIED = Retried()
"""This process's count."""


def retry_note(count: int) -> str:
    """Say what retries mean for a run's figures: a client measures from its first try to the end of its last."""
    return (
        f"{plural(count, 'further attempt')}; the time of such a request includes all its attempts, "
        "and its outcome is that of the last one"
    )


class CountedRetry(Retry):
    """A Retry that counts each retry, and leaves the last failure the type that it would have without retries."""

    @classmethod
    def times(cls, number: int) -> CountedRetry:
        """Allow so many retries, but none of a refused certificate (`other`) or of a 503 with Retry-After."""
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
        """Return what is left after a failure; raise when nothing is left. urllib3 calls it."""
        try:
            left = super().increment(method, url, response, error, _pool, _stacktrace)
        except MaxRetryError:
            if isinstance(error, ReadTimeoutError | ProtocolError):
                raise error from None
            raise
        RETRIED.again("http_user")
        return left


def install(settings: ConnectionSettings) -> str:
    """Change both clients of this process for the users to come. Returns one line that says what holds now.

    A client that is not as expected stays as Locust has it, and the line says why.
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

"""Classify a failure from its exception and status code: by type, errno and place, never by words in a message.

Clients wrap the system's errors: requests wraps urllib3's errors, which wrap the socket's errors. geventhttpclient
keeps the cause as the context. So the whole chain is checked, and the system's own error number (errno) counts most.
"""

from __future__ import annotations

import asyncio
import errno
import http.client
import json
import socket
import ssl
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import requests
import urllib3
from geventhttpclient.response import HTTPConnectionClosed, HTTPParseError
from geventhttpclient.useragent import RetriesExceeded, UnsupportedRedirectSchemeError
from locust.contrib.fasthttp import LocustBadStatusCode
from locust.exception import CatchResponseError, ResponseError

from locust_kit.failures.classes import FailureClass
from locust_kit.target_guard import TargetNotAllowedError

_CLIENT_ERRORS, _SERVER_ERRORS, _STATUS_END = 400, 500, 600
_MOST_CAUSES = 16

_BY_ERRNO: dict[int, FailureClass] = {
    errno.ECONNREFUSED: FailureClass.CONNECTION_REFUSED,
    errno.ECONNRESET: FailureClass.CONNECTION_RESET,
    errno.ECONNABORTED: FailureClass.CONNECTION_RESET,
    errno.EPIPE: FailureClass.CONNECTION_RESET,
    errno.ENOTCONN: FailureClass.CONNECTION_RESET,
    errno.ETIMEDOUT: FailureClass.CONNECTION_TIMEOUT,
    errno.EHOSTUNREACH: FailureClass.CONNECTION_TIMEOUT,
    errno.ENETUNREACH: FailureClass.CONNECTION_TIMEOUT,
    errno.EHOSTDOWN: FailureClass.CONNECTION_TIMEOUT,
    errno.EMFILE: FailureClass.GENERATOR,
    errno.ENFILE: FailureClass.GENERATOR,
    errno.EADDRNOTAVAIL: FailureClass.GENERATOR,
    errno.EADDRINUSE: FailureClass.GENERATOR,
    errno.ENOBUFS: FailureClass.GENERATOR,
    errno.ENOMEM: FailureClass.GENERATOR,
    errno.EAGAIN: FailureClass.GENERATOR,
}
# The first match counts, from the outermost exception of the chain inwards.
_BY_TYPE: tuple[tuple[tuple[type[BaseException], ...], FailureClass], ...] = (
    ((requests.exceptions.TooManyRedirects,), FailureClass.REDIRECT_LOOP),
    ((requests.exceptions.ConnectTimeout, urllib3.exceptions.ConnectTimeoutError), FailureClass.CONNECTION_TIMEOUT),
    ((ssl.SSLError, requests.exceptions.SSLError, urllib3.exceptions.SSLError), FailureClass.TLS),
    ((requests.exceptions.ReadTimeout, urllib3.exceptions.ReadTimeoutError), FailureClass.READ_TIMEOUT),
    (
        (requests.exceptions.ContentDecodingError, urllib3.exceptions.DecodeError, zlib.error, UnicodeDecodeError),
        FailureClass.INVALID_CONTENT,
    ),
    ((json.JSONDecodeError, requests.exceptions.JSONDecodeError), FailureClass.INVALID_CONTENT),
    ((MemoryError,), FailureClass.GENERATOR),
    ((http.client.RemoteDisconnected,), FailureClass.CONNECTION_RESET),
    ((urllib3.exceptions.InvalidChunkLength, urllib3.exceptions.InvalidHeader), FailureClass.INVALID_CONTENT),
    ((asyncio.IncompleteReadError,), FailureClass.INCOMPLETE_RESPONSE),
    ((http.client.IncompleteRead, requests.exceptions.ChunkedEncodingError), FailureClass.INCOMPLETE_RESPONSE),
    ((http.client.HTTPException, urllib3.exceptions.ProtocolError), FailureClass.INVALID_CONTENT),
)
# Without an errno: asyncio, aiohttp and websocket clients raise these.
_BY_CONNECTION: tuple[tuple[type[OSError], FailureClass], ...] = (
    (ConnectionRefusedError, FailureClass.CONNECTION_REFUSED),
    (ConnectionResetError, FailureClass.CONNECTION_RESET),
    (ConnectionAbortedError, FailureClass.CONNECTION_RESET),
    (BrokenPipeError, FailureClass.CONNECTION_RESET),
)
# Of clients that are not in the image: a test's own requirements install them.
_BY_NAME: dict[str, FailureClass] = {
    "aiohttp.ServerDisconnectedError": FailureClass.CONNECTION_RESET,
    "aiohttp.ConnectionTimeoutError": FailureClass.CONNECTION_TIMEOUT,
    "aiohttp.ServerTimeoutError": FailureClass.READ_TIMEOUT,
    "aiohttp.ClientConnectorDNSError": FailureClass.DNS,
    "aiohttp.ClientPayloadError": FailureClass.INCOMPLETE_RESPONSE,
    "httpx.ConnectTimeout": FailureClass.CONNECTION_TIMEOUT,
    "httpx.ReadTimeout": FailureClass.READ_TIMEOUT,
    "httpx.RemoteProtocolError": FailureClass.CONNECTION_RESET,
    "websocket.WebSocketConnectionClosedException": FailureClass.CONNECTION_RESET,
    "websocket.WebSocketTimeoutException": FailureClass.READ_TIMEOUT,
    "websocket.WebSocketAddressException": FailureClass.DNS,
    "websockets.ConnectionClosedError": FailureClass.CONNECTION_RESET,
}
# The first match anywhere in the chain counts, before the exceptions that wrap it.
_INNERMOST = (
    urllib3.exceptions.InvalidChunkLength,
    urllib3.exceptions.InvalidHeader,
    ssl.SSLCertVerificationError,
    zlib.error,
)
# The two HTTP clients have different types for these; the detail is one that both clients know.
_CLOSED, _STATUS_LINE, _LENGTH, _CHUNK_SIZE = "closed", "status line", "Content-Length", "chunk size"
_DETAILS: dict[type[BaseException], str] = {
    requests.exceptions.TooManyRedirects: "",
    http.client.RemoteDisconnected: _CLOSED,
    HTTPConnectionClosed: _CLOSED,
    http.client.BadStatusLine: _STATUS_LINE,
    urllib3.exceptions.InvalidHeader: _LENGTH,
    urllib3.exceptions.InvalidChunkLength: _CHUNK_SIZE,
    http.client.IncompleteRead: "",
    requests.exceptions.ChunkedEncodingError: "",
}
_BY_PARSER = {4: _LENGTH, 8: _STATUS_LINE, 9: _STATUS_LINE, 11: _LENGTH, 12: _CHUNK_SIZE, 13: _STATUS_LINE}  # llhttp's
_CUT_HEAD = 14  # llhttp's HPE_INVALID_EOF_STATE
_CONNECTING = frozenset(
    {"connect", "create_connection", "_connect_socket", "_create_socket", "_new_conn", "do_handshake"}
)


class Classification(NamedTuple):
    """A class of failure, and a detail within it: a status code, an errno's name, or an exception's type."""

    kind: FailureClass
    detail: str


_MOST_KNOWN = 512
_KNOWN: dict[tuple[type[BaseException], int | None, int], Classification] = {}
"""A cache by type, errno and status for exceptions that wrap no other exception: most failures are of this kind."""


def classify(exception: BaseException, status: int) -> Classification:
    """Classify a failed request.

    Args:
        exception: the exception that the client reported.
        status: the response's status code; 0 without a response.

    """
    if isinstance(exception, CatchResponseError) or (type(exception) is ResponseError and not status):
        return Classification(FailureClass.ASSERTION, str(status) if status else "")
    if not _stands_alone(exception):
        return _of_chain(list(_causes(exception)), status)
    key = type(exception), exception.errno if isinstance(exception, OSError) else None, status
    known = _KNOWN.get(key)
    if known is None:
        known = _of_chain([exception], status)
        if len(_KNOWN) < _MOST_KNOWN:
            _KNOWN[key] = known
    return known


def _stands_alone(exception: BaseException) -> bool:
    """Return whether it wraps no other exception. False for a bare time-out, which its traceback classifies."""
    if exception.__cause__ is not None or exception.__context__ is not None or type(exception) is TimeoutError:
        return False
    if isinstance(exception, BaseExceptionGroup | HTTPParseError):  # its members or number are more precise
        return False
    for arg in exception.args:
        if isinstance(arg, BaseException):
            return False
    return not isinstance(getattr(exception, "reason", None), BaseException) and not isinstance(
        getattr(exception, "original", None), BaseException
    )


def _of_chain(chain: list[BaseException], status: int) -> Classification:
    if any(isinstance(link, TargetNotAllowedError) for link in chain):
        return Classification(FailureClass.TARGET_NOT_ALLOWED, "")
    group = next((link for link in chain if isinstance(link, BaseExceptionGroup)), None)
    if group is not None:
        kinds = {_of_chain(list(_causes(member)), status) for member in group.exceptions}
        return kinds.pop() if len(kinds) == 1 else Classification(FailureClass.OTHER, type(group).__name__)
    return (
        _by_system(chain)
        or _by_timeout(chain)
        or _by_type(chain, status)
        or _by_status(status)
        or Classification(FailureClass.OTHER, type(chain[0]).__name__)
    )


def _causes(exception: BaseException) -> Iterator[BaseException]:
    """Yield the exception and the exceptions that it wraps in any way, the outermost first."""
    waiting: list[BaseException] = [exception]
    seen: set[int] = set()
    while waiting and len(seen) < _MOST_CAUSES:
        link = waiting.pop(0)
        if id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        inner = (
            link.__cause__,
            link.__context__,
            getattr(link, "reason", None),
            getattr(link, "original", None),
            *link.args,
        )
        waiting += [cause for cause in inner if isinstance(cause, BaseException)]


def _by_system(chain: list[BaseException]) -> Classification | None:
    for link in chain:
        if isinstance(link, socket.gaierror):
            temporary = link.errno == socket.EAI_AGAIN
            return Classification(
                FailureClass.GENERATOR if temporary else FailureClass.DNS, _name_of_lookup(link.errno)
            )
    for link in chain:
        if isinstance(link, ssl.SSLEOFError | ssl.SSLZeroReturnError):  # under TLS, a closed connection has no errno
            return Classification(FailureClass.CONNECTION_RESET, type(link).__name__)
        if isinstance(link, OSError) and not isinstance(link, ssl.SSLError) and link.errno in _BY_ERRNO:
            return Classification(_BY_ERRNO[link.errno], errno.errorcode[link.errno])
    for link in chain:
        for kind, of_kind in _BY_CONNECTION:
            if type(link) is kind:
                return Classification(of_kind, kind.__name__)
    return None


def _name_of_lookup(number: int | None) -> str:
    return next((name for name in _LOOK_UPS if getattr(socket, name, None) == number), f"EAI {number}")


_LOOK_UPS = ("EAI_AGAIN", "EAI_NONAME", "EAI_NODATA", "EAI_FAIL", "EAI_FAMILY", "EAI_MEMORY", "EAI_SYSTEM")


def _by_timeout(chain: list[BaseException]) -> Classification | None:
    """Classify a bare time-out by the place that raised it: its type does not show the kind."""
    for link in chain:
        if type(link) is TimeoutError:
            kind = FailureClass.CONNECTION_TIMEOUT if _was_connecting(link) else FailureClass.READ_TIMEOUT
            return Classification(kind, "")
    return None


def _was_connecting(error: BaseException) -> bool:
    place = error.__traceback__
    while place is not None:
        if place.tb_frame.f_code.co_name in _CONNECTING:
            return True
        place = place.tb_next
    return False


def _by_type(chain: list[BaseException], status: int) -> Classification | None:
    links = [*(link for link in chain if isinstance(link, _INNERMOST)), *chain]
    return next(filter(None, (_of_type(link, chain, status) for link in links)), None)


def _of_type(link: BaseException, chain: list[BaseException], status: int) -> Classification | None:
    if isinstance(link, HTTPConnectionClosed):
        return Classification(FailureClass.CONNECTION_RESET, _CLOSED)
    if isinstance(link, HTTPParseError):
        return _of_parser(link, chain, status)
    refused = isinstance(link, UnsupportedRedirectSchemeError) or came_from_redirect(link)
    if refused or (isinstance(link, RetriesExceeded) and len(chain) == 1):  # with any other reason it wraps that
        return Classification(FailureClass.REDIRECT_REFUSED if refused else FailureClass.REDIRECT_LOOP, "")
    for types, kind in _BY_TYPE:
        if isinstance(link, types):
            return Classification(kind, _DETAILS.get(type(link), _name(type(link))))
    return _by_name(link)


def _by_name(link: BaseException) -> Classification | None:
    for base in type(link).__mro__:
        named = _BY_NAME.get(f"{base.__module__.partition('.')[0]}.{base.__name__}")
        if named:
            return Classification(named, base.__name__)
    return None


def _of_parser(error: HTTPParseError, chain: list[BaseException], status: int) -> Classification:
    """Separate an answer that is not HTTP from one that was cut off: the parser uses one type with a number for both.

    Without a number, the connection was closed: during an answer, or before it began.
    """
    number = error.args[1] if len(error.args) > 1 else None
    began = status or number == _CUT_HEAD or any(isinstance(link, LocustBadStatusCode) for link in chain)
    if began:
        return Classification(FailureClass.INCOMPLETE_RESPONSE, "")
    if number is None:
        return Classification(FailureClass.CONNECTION_RESET, _CLOSED)
    return Classification(FailureClass.INVALID_CONTENT, _BY_PARSER.get(number, type(error).__name__))


def came_from_redirect(error: BaseException) -> bool:
    """Return whether requests raised it because of the address of a redirect."""
    if not isinstance(error, ValueError):  # as InvalidSchema and InvalidURL are
        return False
    place = error.__traceback__
    while place is not None:
        if place.tb_frame.f_code.co_name == "resolve_redirects":
            return True
        place = place.tb_next
    return False


def _name(kind: type[BaseException]) -> str:
    """Return a type's name, with its module if the name alone is too general (zlib.error)."""
    return kind.__name__ if kind.__name__ != "error" else f"{kind.__module__}.error"


def _by_status(status: int) -> Classification | None:
    if _CLIENT_ERRORS <= status < _SERVER_ERRORS:
        return Classification(FailureClass.CLIENT_ERROR, str(status))
    if _SERVER_ERRORS <= status < _STATUS_END:
        return Classification(FailureClass.SERVER_ERROR, str(status))
    return Classification(FailureClass.OTHER, str(status)) if status >= _STATUS_END else None

"""From an exception and a status code to a class of failure: by type, errno and place, never by words in a message.

Clients wrap what the system said: requests wraps urllib3's errors, those wrap the socket's; geventhttpclient keeps the
cause as the context. So the whole chain is looked at, and what the system itself said (an errno) is worth most.
"""

from __future__ import annotations

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
from geventhttpclient.useragent import RetriesExceeded
from locust.exception import CatchResponseError, ResponseError

from locust_kit.failures.classes import FailureClass

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
# The first that fits, from the outermost exception of the chain inwards.
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
    ((http.client.RemoteDisconnected,), FailureClass.CONNECTION_RESET),
    ((http.client.IncompleteRead, requests.exceptions.ChunkedEncodingError), FailureClass.INCOMPLETE_RESPONSE),
    ((http.client.HTTPException, urllib3.exceptions.ProtocolError), FailureClass.INVALID_CONTENT),
)
_CONNECTING = frozenset(
    {"connect", "create_connection", "_connect_socket", "_create_socket", "_new_conn", "do_handshake"}
)


class Classification(NamedTuple):
    """A class of failure, and a detail within it: a status code, an errno's name, or an exception's type."""

    kind: FailureClass
    detail: str


_MOST_KNOWN = 512
_KNOWN: dict[tuple[type[BaseException], int | None, int], Classification] = {}
"""By type, errno and status, which is all there is to an exception that wraps no other: most failures are of these."""


def classify(exception: BaseException, status: int) -> Classification:
    """Classify a failed request.

    Args:
        exception: what the client reported.
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
    """Return whether it wraps no other. Never true of a bare time-out, which its traceback classifies."""
    if exception.__cause__ is not None or exception.__context__ is not None or type(exception) is TimeoutError:
        return False
    for arg in exception.args:
        if isinstance(arg, BaseException):
            return False
    return not isinstance(getattr(exception, "reason", None), BaseException) and not isinstance(
        getattr(exception, "original", None), BaseException
    )


def _of_chain(chain: list[BaseException], status: int) -> Classification:
    return (
        _by_system(chain)
        or _by_timeout(chain)
        or _by_type(chain, status)
        or _by_status(status)
        or Classification(FailureClass.OTHER, type(chain[0]).__name__)
    )


def _causes(exception: BaseException) -> Iterator[BaseException]:
    """Yield the exception and what it wraps, in whichever way its library does that, the outermost first."""
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
        if isinstance(link, ssl.SSLEOFError | ssl.SSLZeroReturnError):  # under TLS, a hang-up has no errno
            return Classification(FailureClass.CONNECTION_RESET, type(link).__name__)
        if isinstance(link, OSError) and not isinstance(link, ssl.SSLError) and link.errno in _BY_ERRNO:
            return Classification(_BY_ERRNO[link.errno], errno.errorcode[link.errno])
    return None


def _name_of_lookup(number: int | None) -> str:
    return next((name for name in _LOOK_UPS if getattr(socket, name, None) == number), f"EAI {number}")


_LOOK_UPS = ("EAI_AGAIN", "EAI_NONAME", "EAI_NODATA", "EAI_FAIL", "EAI_FAMILY", "EAI_MEMORY", "EAI_SYSTEM")


def _by_timeout(chain: list[BaseException]) -> Classification | None:
    """Classify a bare time-out by the place it came from: it says nothing of its kind itself."""
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
    for link in chain:
        if isinstance(link, HTTPConnectionClosed):
            return Classification(FailureClass.CONNECTION_RESET, type(link).__name__)
        if isinstance(link, HTTPParseError):  # one type for an answer that is no HTTP and for one that was cut off
            return Classification(
                FailureClass.INCOMPLETE_RESPONSE if status else FailureClass.INVALID_CONTENT,
                type(link).__name__,
            )
        if isinstance(link, RetriesExceeded) and len(chain) == 1:  # with any other reason it wraps that
            return Classification(FailureClass.REDIRECT_LOOP, "")
        for types, kind in _BY_TYPE:
            if isinstance(link, types):
                return Classification(kind, type(link).__name__)
    return None


def _by_status(status: int) -> Classification | None:
    if _CLIENT_ERRORS <= status < _SERVER_ERRORS:
        return Classification(FailureClass.CLIENT_ERROR, str(status))
    if _SERVER_ERRORS <= status < _STATUS_END:
        return Classification(FailureClass.SERVER_ERROR, str(status))
    return None

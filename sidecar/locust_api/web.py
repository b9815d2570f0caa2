"""GETs to the Locust master's web server: kept alive, over TLS, and behind its login.

A master's certificate is most often self-signed, and for a name that only the browser outside uses. So a name without
a dot, which only the stack's own network resolves, is not verified, nor is loopback; any other host is.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import re
import socket
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from urllib.parse import SplitResult, urlencode, urljoin, urlsplit

from sidecar.locust_api.answers import MasterError

MOST_BYTES = 4 * 1024 * 1024  # 500 rows and 500 errors are far below; more is not an answer but an accident
_READ_BYTES = 64 * 1024
_LOGIN_PAUSE_SECONDS = 30.0  # after a refusal: a wrong password sent each round locks accounts elsewhere
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_AUTH_ARGS = re.compile(r"window\.authArgs\s*=\s*")
_USUAL_CALLBACK = "/login"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the master's login page asks for. An empty user name: there is none."""

    username: str = ""
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class WebAnswer:
    """One answer; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def asks_for_login(self) -> bool:
        """Tell whether this is the redirect that a master with --web-login answers strangers with."""
        path = urlsplit(self.headers.get("location", "")).path
        redirect = http.client.MULTIPLE_CHOICES <= self.status < http.client.BAD_REQUEST
        return redirect and path.rstrip("/").endswith("/login")


class LocustWeb:
    """One kept-alive connection to the master at `url`; no wait in it is longer than `timeout_seconds`.

    Not for use from two threads at once.
    """

    def __init__(
        self, url: str, credentials: Credentials, timeout_seconds: float, monotonic: Callable[[], float]
    ) -> None:
        self._url: SplitResult = urlsplit(url)
        self._credentials = credentials
        self._timeout_seconds = timeout_seconds
        self._monotonic = monotonic
        self._connection: http.client.HTTPConnection | None = None
        self._under_way: http.client.HTTPConnection | None = None
        self._tls: ssl.SSLContext | None = None
        self._cookies: dict[str, str] = {}
        self._next_login = 0.0

    def get(self, path: str) -> WebAnswer:
        """GET a path below the base path, logging in where that is asked for and can be done.

        Raises:
            MasterError: no answer, or none without a login.
        """
        target = self._url.path.rstrip("/") + path
        answer = self._request("GET", target)
        if not answer.asks_for_login():
            return answer
        self._log_in(answer.headers["location"])
        answer = self._request("GET", target)
        if answer.asks_for_login():
            self._next_login = self._monotonic() + _LOGIN_PAUSE_SECONDS
            raise MasterError("the master refuses the login: are LOCUST_WEB_USERNAME and LOCUST_WEB_PASSWORD right?")
        return answer

    def cut(self) -> None:
        """End a request that is under way, at once. For any thread."""
        link = self._under_way.sock if self._under_way is not None else None
        if link is not None:
            with suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _log_in(self, login_page: str) -> None:
        """Fill in the form that the login page shows; the session's cookie is kept."""
        if not self._credentials.username:
            raise MasterError("the master asks for a login: set LOCUST_WEB_USERNAME and LOCUST_WEB_PASSWORD")
        if self._monotonic() < self._next_login:
            raise MasterError("the master refuses the login: are LOCUST_WEB_USERNAME and LOCUST_WEB_PASSWORD right?")
        page = self._request("GET", self._own(login_page))
        target, fields = login_form(page.body.decode("utf-8", "replace"))
        form = {fields[0]: self._credentials.username, fields[1]: self._credentials.password}
        self._request("POST", self._own(target), urlencode(form).encode())

    def _own(self, location: str) -> str:
        """Return the target of a link of the master's; a password goes to no other server."""
        there = urlsplit(urljoin(self._url.geturl(), location))
        if there.netloc != self._url.netloc or there.scheme != self._url.scheme:
            raise MasterError("the master asks for a login at another server, which cannot be done from here")
        return there.path + (f"?{there.query}" if there.query else "")

    def _request(self, method: str, target: str, form: bytes | None = None) -> WebAnswer:
        where = self._url.netloc
        try:
            return self._fresh_or_kept(method, target, form)
        except TimeoutError as error:
            raise MasterError(f"{where} did not answer within {self._timeout_seconds:g} s") from error
        except socket.gaierror as error:
            raise MasterError(f"the name {self._url.hostname} is not known: is the master running?") from error
        except ConnectionRefusedError as error:
            raise MasterError(f"{where} refuses connections: is the master starting?") from error
        except ssl.SSLCertVerificationError as error:
            raise MasterError(f"the certificate of {where} cannot be trusted: {error.verify_message}") from error
        except ssl.SSLError as error:
            raise MasterError(f"{where} does not speak TLS as it should: {error.reason or error}") from error
        except ConnectionResetError as error:  # http.client.RemoteDisconnected, too
            hint = "" if self._url.scheme == "https" else ": does it want https (LOCUST_TLS_CERT)?"
            raise MasterError(f"{where} hung up without an answer{hint}") from error
        except OSError as error:
            raise MasterError(f"{where} cannot be reached: {error.strerror or error}") from error
        except (http.client.HTTPException, ValueError) as error:  # ValueError: a header that cannot be
            raise MasterError(f"{where} does not speak HTTP: {type(error).__name__}") from error

    def _fresh_or_kept(self, method: str, target: str, form: bytes | None) -> WebAnswer:
        """Use the kept connection; a kept one that the master has closed meanwhile is replaced once."""
        kept, self._connection = self._connection, None
        if kept is not None:
            try:
                return self._exchange(kept, method, target, form)
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                kept.close()
        return self._exchange(self._connect(), method, target, form)

    def _exchange(
        self, connection: http.client.HTTPConnection, method: str, target: str, form: bytes | None
    ) -> WebAnswer:
        headers = {"Accept": "application/json", "User-Agent": "locust-kit"} | (_FORM if form is not None else {})
        if self._cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        self._under_way = connection
        try:
            connection.request(method, target, form, headers)
            answer = connection.getresponse()
            body = self._body(answer)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        self._keep_cookies(answer.headers.get_all("Set-Cookie", []))
        return WebAnswer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, body)

    def _body(self, answer: http.client.HTTPResponse) -> bytes:
        """Read the body, at most so much of it and for no longer than three time-outs: a trickle is no answer."""
        body, end = bytearray(), self._monotonic() + 3 * self._timeout_seconds
        while part := answer.read1(_READ_BYTES):
            body += part
            if len(body) > MOST_BYTES:
                raise MasterError(f"the master's answer is longer than {MOST_BYTES >> 20} MiB")
            if self._monotonic() > end:
                raise TimeoutError
        answer.read()  # nothing is left; it lets the connection be used again, which read1() alone does not
        return bytes(body)

    def _keep_cookies(self, headers: list[str]) -> None:
        for header in headers:
            try:
                found = SimpleCookie(header)
            except CookieError:
                continue
            self._cookies.update({name: morsel.coded_value for name, morsel in found.items()})

    def _connect(self) -> http.client.HTTPConnection:
        host, port = self._url.hostname or "", self._url.port
        if self._url.scheme != "https":
            return http.client.HTTPConnection(host, port, timeout=self._timeout_seconds)
        if self._tls is None:
            self._tls = tls_context(host)
        return http.client.HTTPSConnection(host, port, timeout=self._timeout_seconds, context=self._tls)


def tls_context(host: str) -> ssl.SSLContext:
    """Return how to speak TLS with this host: unverified for a name of the stack's own network and for loopback."""
    if not _is_ours(host):
        return ssl.create_default_context()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _is_ours(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return "." not in host


def login_form(page: str) -> tuple[str, tuple[str, str]]:
    """Find where Locust's login page sends its form, and how it calls user name and password.

    The page's form is drawn by its script from `window.authArgs`: a callback with the usual two fields, or a custom
    form. A page that says neither is taken for one that has the usual form.
    """
    found = _AUTH_ARGS.search(page)
    try:
        arguments = json.JSONDecoder().raw_decode(page, found.end())[0] if found else {}
    except (ValueError, RecursionError):
        arguments = {}
    if not isinstance(arguments, dict):
        arguments = {}
    custom = arguments.get("custom_form")
    if isinstance(custom, dict) and isinstance(custom.get("callback_url"), str):
        return custom["callback_url"], _field_names(custom.get("inputs"))
    callback = arguments.get("username_password_callback")
    return (callback if isinstance(callback, str) and callback else _USUAL_CALLBACK), ("username", "password")


def _field_names(inputs: object) -> tuple[str, str]:
    """Tell the two fields of a custom form apart: the secret one is the password."""
    rows = [row for row in inputs if isinstance(row, dict)] if isinstance(inputs, list) else []
    secret = next((str(row.get("name")) for row in rows if row.get("is_secret")), "password")
    plain = next((str(row.get("name")) for row in rows if not row.get("is_secret")), "username")
    return plain, secret

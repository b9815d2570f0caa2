"""One connection to the Locust master's web server: kept alive, over TLS, and behind its login.

A master's certificate is often self-signed, and for a name that only the browser outside uses. So certificates are not
verified for loopback, and for names without a dot, which only the stack's own network resolves. All others are.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import re
import socket
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, field
from http.cookies import CookieError, SimpleCookie
from urllib.parse import SplitResult, urlencode, urljoin, urlsplit

from sidecar.common.errors import StackError
from sidecar.common.web_guard import authorization

MOST_BYTES = 4 * 1024 * 1024  # 500 rows and 500 errors are far below; more is an accident
_READ_BYTES = 64 * 1024
_LOGIN_PAUSE_SECONDS = 30.0  # after a refusal: a wrong password sent each round locks accounts elsewhere
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_AUTH_ARGS = re.compile(r"window\.authArgs\s*=\s*")
_USUAL_CALLBACK = "/login"
ASKS_FOR_LOGIN = "the master's web API asks for a login"
LOGIN_FIX = "set LOCUST_WEB_USERNAME and LOCUST_WEB_PASSWORD in .env, then make up"
_LOGIN_REFUSED = "the master refuses the login: are LOCUST_WEB_USERNAME and LOCUST_WEB_PASSWORD right?"


class MasterError(StackError):
    """The master's web API did not give the requested answer.

    Args:
        what: the failure as a command reports it.
        reason: its likely cause, as the monitor shows it instead of figures.
        where: the master's URL.
        fix: the next command.

    """

    def __init__(self, what: str, *, reason: str = "", where: str = "", fix: str = "") -> None:
        super().__init__(what, where=where, fix=fix)
        self.reason = reason or what


class MasterDownError(MasterError):
    """Nothing listens, or the connection broke."""


class MasterSlowError(MasterError):
    """No answer in time. Under load the master's page may only be slow."""


class MasterGuardedError(MasterError):
    """The API needs a login, or something other than Locust's API answers."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """User name and password for the master's login page; an empty user name means no login.

    `page_password` is that of WEB_PASSWORD, which each request carries.
    """

    username: str = ""
    password: str = field(default="", repr=False)
    page_password: str = field(default="", repr=False)


_ANONYMOUS = Credentials()


@dataclass(frozen=True, slots=True)
class MasterAnswer:
    """One HTTP answer; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_redirect(self) -> bool:
        """Whether the status is a redirect."""
        return http.client.MULTIPLE_CHOICES <= self.status < http.client.BAD_REQUEST

    def asks_for_login(self) -> bool:
        """Return whether this is the redirect to the login page of a master with --web-login."""
        path = urlsplit(self.headers.get("location", "")).path
        return self.is_redirect and path.rstrip("/").endswith("/login")


@dataclass(eq=False)
class MasterConnection:
    """One connection to the master at `url`. No wait is longer than its time-out.

    Not for use from two threads at once, except `cut`.

    Args:
        url: where the master's web server is, base path included (`https://locust-master:8089/load`).
        timeout_seconds: how long a wait may last, unless the request sets another time.
        credentials: for its login page (--web-login), if it has one.
        monotonic: a monotonic clock in seconds.
        keep_alive: keep the connection between requests, and read at most 4 MiB: for frequent reads.
        verify: whether to verify the certificate; None: except for loopback and the stack's own network.

    """

    url: str
    timeout_seconds: float = 5.0
    _: KW_ONLY
    credentials: Credentials = _ANONYMOUS
    monotonic: Callable[[], float] = time.monotonic
    keep_alive: bool = False
    verify: bool | None = None

    def __post_init__(self) -> None:
        """Take the URL apart; the connection is opened by the first request."""
        self.url = self.url.rstrip("/") + "/"
        self._url: SplitResult = urlsplit(self.url)
        if self.verify is None:
            self.verify = must_verify(self._url.hostname or "")
        self._connection: http.client.HTTPConnection | None = None
        self._under_way: http.client.HTTPConnection | None = None
        self._tls: ssl.SSLContext | None = None
        self._cookies: dict[str, str] = {}
        self._next_login = 0.0

    def request(
        self,
        method: str,
        path: str,
        form: Sequence[tuple[str, str]] | None = None,
        timeout_seconds: float | None = None,
    ) -> MasterAnswer:
        """Send one request for a path below the base path; log in first if the master asks for it.

        Raises:
            MasterDownError: nothing listens, or the connection broke.
            MasterSlowError: no answer in time.
            MasterGuardedError: the master asks for a login that is unknown or refused.
            MasterError: the answer is too long.

        """
        body = None if form is None else urlencode(form).encode()
        target, seconds = self._url.path.rstrip("/") + path, timeout_seconds or self.timeout_seconds
        answer = self._request(method, target, body, seconds)
        if not answer.asks_for_login():
            return answer
        self._log_in(answer.headers["location"])
        answer = self._request(method, target, body, seconds)
        if answer.asks_for_login():
            self._next_login = self.monotonic() + _LOGIN_PAUSE_SECONDS
            raise self._guarded(_LOGIN_REFUSED, "the master refuses the login")
        return answer

    def cut(self) -> None:
        """End a running request at once. For any thread."""
        link = self._under_way.sock if self._under_way is not None else None
        if link is not None:
            with suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _guarded(self, reason: str, what: str = ASKS_FOR_LOGIN) -> MasterGuardedError:
        return MasterGuardedError(what, reason=reason, where=self.url, fix=LOGIN_FIX)

    def _log_in(self, login_page: str) -> None:
        """Fill in the form that the login page shows; the session's cookie is kept."""
        if not self.credentials.username:
            raise self._guarded("the master asks for a login: set LOCUST_WEB_USERNAME and LOCUST_WEB_PASSWORD")
        if self.monotonic() < self._next_login:
            raise self._guarded(_LOGIN_REFUSED, "the master refuses the login")
        page = self._request("GET", self._own(login_page), None, self.timeout_seconds)
        target, form = login_form(page.body.decode("utf-8", "replace"), self.credentials)
        self._request("POST", self._own(target), urlencode(form).encode(), self.timeout_seconds)

    def _own(self, location: str) -> str:
        """Return the target of a link of the master. A password goes to no other server."""
        there = urlsplit(urljoin(self.url, location))
        if there.netloc != self._url.netloc or there.scheme != self._url.scheme:
            raise self._guarded("the master's login is on another server, where the kit cannot log in")
        return there.path + (f"?{there.query}" if there.query else "")

    def _request(self, method: str, target: str, form: bytes | None, timeout_seconds: float) -> MasterAnswer:
        try:
            return self._fresh_or_kept(method, target, form, timeout_seconds)
        except TimeoutError:
            path = target.removeprefix(self._url.path.rstrip("/"))
            raise MasterSlowError(
                f"the master did not answer {path} in time",
                reason=f"{self._url.netloc} did not answer within {timeout_seconds:g} s",
                where=self.url,
            ) from None
        except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: an invalid header
            raise MasterDownError(
                "no Locust master answers", reason=self._why(error), where=self.url, fix="make up"
            ) from error
        finally:
            if not self.keep_alive:
                self.close()

    def _why(self, error: Exception) -> str:
        """Return the likely cause of a request that failed."""
        match error:
            case socket.gaierror():
                return f"the name {self._url.hostname} is not known: is the master running?"
            case ConnectionRefusedError():
                seen = "refuses connections: is the master starting?"
            case ssl.SSLCertVerificationError():
                return f"the certificate of {self._url.netloc} cannot be trusted: {error.verify_message}"
            case ssl.SSLError():
                seen = f"does not speak TLS correctly: {error.reason or error}"
            case ConnectionResetError():  # http.client.RemoteDisconnected, too
                hint = "" if self._url.scheme == "https" else ": does it need https (LOCUST_TLS_CERT)?"
                seen = f"closed the connection without an answer{hint}"
            case OSError():
                seen = f"cannot be reached: {error.strerror or error}"
            case _:
                seen = f"does not speak HTTP: {type(error).__name__}"
        return f"{self._url.netloc} {seen}"

    def _fresh_or_kept(self, method: str, target: str, form: bytes | None, timeout_seconds: float) -> MasterAnswer:
        """Use the kept connection. If the master has closed it meanwhile, replace it once."""
        kept, self._connection = self._connection, None
        if kept is not None:
            try:
                return self._exchange(kept, method, target, form, timeout_seconds)
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                kept.close()
        return self._exchange(self._connect(timeout_seconds), method, target, form, timeout_seconds)

    def _exchange(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        target: str,
        form: bytes | None,
        timeout_seconds: float,
    ) -> MasterAnswer:
        headers = {"Accept": "application/json", "User-Agent": "locust-kit"} | (_FORM if form is not None else {})
        headers |= authorization(self.credentials.page_password)
        if self._cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        self._under_way = connection
        try:
            connection.request(method, target, form, headers)
            answer = connection.getresponse()
            body = self._body(answer, timeout_seconds)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        self._keep_cookies(answer.headers.get_all("Set-Cookie", []))
        return MasterAnswer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, body)

    def _body(self, answer: http.client.HTTPResponse, timeout_seconds: float) -> bytes:
        """Read the body with a size limit, for at most three time-outs: a trickle does not count as an answer."""
        body, end = bytearray(), self.monotonic() + 3 * timeout_seconds
        while part := answer.read1(_READ_BYTES):
            body += part
            if self.keep_alive and len(body) > MOST_BYTES:
                raise MasterError(f"the master's answer is longer than {MOST_BYTES >> 20} MiB")
            if self.monotonic() > end:
                raise TimeoutError
        answer.read()  # nothing is left; it lets the connection be used again, which read1() alone does not
        return bytes(body)

    def _keep_cookies(self, headers: list[str]) -> None:
        for header in headers:
            try:
                cookie = SimpleCookie(header)
            except CookieError:
                continue
            self._cookies.update({name: morsel.coded_value for name, morsel in cookie.items()})

    def _connect(self, timeout_seconds: float) -> http.client.HTTPConnection:
        host, port = self._url.hostname or "", self._url.port
        if self._url.scheme != "https":
            return http.client.HTTPConnection(host, port, timeout=timeout_seconds)
        if self._tls is None:
            self._tls = tls_context(verify=bool(self.verify))
        return http.client.HTTPSConnection(host, port, timeout=timeout_seconds, context=self._tls)


def tls_context(*, verify: bool) -> ssl.SSLContext:
    """Return a context that verifies certificates and names, or neither."""
    if verify:
        return ssl.create_default_context()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # loads no certificates, which takes 20 ms
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def must_verify(host: str) -> bool:
    """Return whether to verify a host's certificate: not for loopback and the stack's own network."""
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return "." in host


def login_form(page: str, credentials: Credentials) -> tuple[str, dict[str, str]]:
    """Find where Locust's login page sends its form, and fill it in.

    The page's script draws the form from `window.authArgs`: a callback with the usual two fields, or a custom form.
    A page without either is treated as one with the usual form.
    """
    start = _AUTH_ARGS.search(page)
    try:
        arguments = json.JSONDecoder().raw_decode(page, start.end())[0] if start else {}
    except (ValueError, RecursionError):
        arguments = {}
    if not isinstance(arguments, dict):
        arguments = {}
    custom = arguments.get("custom_form")
    if isinstance(custom, dict) and isinstance(custom.get("callback_url"), str):
        return custom["callback_url"], _filled(custom.get("inputs"), credentials)
    callback = arguments.get("username_password_callback")
    usual = {"username": credentials.username, "password": credentials.password}
    return (callback if isinstance(callback, str) and callback else _USUAL_CALLBACK), usual


def _filled(inputs: object, credentials: Credentials) -> dict[str, str]:
    """Fill in a custom form: the first text field takes the user name, each secret one the password."""
    form, username = {}, credentials.username
    for row in inputs if isinstance(inputs, list) else []:
        if not isinstance(row, dict):
            continue
        name, default, choices = str(row.get("name")), row.get("default_value"), row.get("choices")
        if row.get("is_secret"):
            form[name] = credentials.password
        elif isinstance(choices, list) and choices:
            form[name] = str(default or choices[0])
        elif isinstance(default, bool):
            form |= {name: "on"} if default else {}
        else:
            form[name], username = username or str(default or ""), ""
    return form

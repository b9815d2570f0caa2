"""A small client of the master's web API: standard library only, a time-out on each call, JSON or an error."""

from __future__ import annotations

import http.client
import json
import re
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from sidecar.common.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_TEMPLATE_ARGS = re.compile(r"templateArgs\s*=\s*(\{.*\})")
_REDIRECTS = range(300, 400)


class WebError(StackError):
    """The master's web API did not give what was asked for."""


class WebDownError(WebError):
    """Nothing listens, or the connection broke."""


class WebSlowError(WebError):
    """No answer in time: under load the master's page is slow, and slow is not dead."""


class WebGuardedError(WebError):
    """The API wants a login, or is somewhere else than expected."""


@dataclass(frozen=True)
class MasterResponse:
    """One HTTP answer."""

    status: int
    content_type: str
    body: bytes


@dataclass(frozen=True)
class Place:
    """Where the master's web API is."""

    port: int
    base: str = ""
    tls: bool = False
    host: str = "127.0.0.1"

    def __str__(self) -> str:
        """The URL for a person."""
        return f"http{'s' if self.tls else ''}://{self.host}:{self.port}{self.base}/"


def place(port: int, env: Mapping[str, str]) -> Place:
    """Where the API of a master with this LOCUST_* environment is published."""
    base = env.get("LOCUST_WEB_BASE_PATH", "").strip("/")
    tls = bool(env.get("LOCUST_TLS_CERT") and env.get("LOCUST_TLS_KEY"))
    return Place(port, f"/{base}" if base else "", tls)


class Web:
    """Calls to one master."""

    def __init__(self, where: Place, timeout: float = 5.0) -> None:
        self.where = where
        self._timeout = timeout

    def request(
        self, method: str, path: str, form: Sequence[tuple[str, str]] = (), timeout: float | None = None
    ) -> MasterResponse:
        """One request.

        Raises:
            WebDownError: nothing listens or the connection broke.
            WebSlowError: no answer within `timeout` seconds.

        """
        connection = self._connect(timeout or self._timeout)
        body = urlencode(form) if method == "POST" else None
        headers = {"Content-Type": "application/x-www-form-urlencoded"} if body is not None else {}
        try:
            connection.request(method, self.where.base + path, body=body, headers=headers)
            answer = connection.getresponse()
            return MasterResponse(answer.status, answer.headers.get_content_type(), answer.read())
        except TimeoutError:
            raise WebSlowError(f"the master did not answer {path} in time", where=str(self.where)) from None
        except (OSError, http.client.HTTPException):
            raise WebDownError("no Locust master answers", where=str(self.where), fix="make up") from None
        finally:
            connection.close()

    def _connect(self, timeout: float) -> http.client.HTTPConnection:
        if not self.where.tls:
            return http.client.HTTPConnection(self.where.host, self.where.port, timeout=timeout)
        context = ssl.create_default_context()
        context.check_hostname = False  # loopback only, and the certificate is the user's own, often self-signed
        context.verify_mode = ssl.CERT_NONE
        return http.client.HTTPSConnection(self.where.host, self.where.port, timeout=timeout, context=context)

    def json(self, path: str, timeout: float | None = None) -> dict[str, Any]:
        """The JSON object at a path.

        Raises:
            WebGuardedError: a login page or another page came instead.

        """
        return self._as_json(self.request("GET", path, timeout=timeout), path)

    def _as_json(self, answer: MasterResponse, path: str) -> dict[str, Any]:
        if answer.status == http.client.OK and answer.content_type == "application/json":
            found = json.loads(answer.body)
            if isinstance(found, dict):
                return found
        if answer.status in _REDIRECTS or b"Locust auth exception" in answer.body:
            raise WebGuardedError("the master's web API asks for a login", where=str(self.where))
        raise WebGuardedError(f"{path} answered {answer.status} {answer.content_type}, not JSON", where=str(self.where))

    def worker_count(self) -> int:
        """How many workers are registered at the master, missing ones left out."""
        return int(self.json("/worker-count")["worker_count"])

    def stats(self) -> dict[str, Any]:
        """The state of the run with all its figures; up to 2 seconds old."""
        return self.json("/stats/requests")

    def status(self) -> dict[str, Any] | None:
        """What the kit's plugin says, None on a master without it."""
        try:
            return self.json("/locust-kit/status")
        except WebGuardedError:
            return None

    def page_settings(self) -> dict[str, Any]:
        """What the master tells its own page: classes, shapes, version; empty when the page is another one."""
        answer = self.request("GET", "/")
        match = _TEMPLATE_ARGS.search(answer.body.decode(errors="replace"))
        try:
            found = json.loads(match[1]) if match else {}
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def swarm(self, form: Sequence[tuple[str, str]]) -> dict[str, Any]:
        """Start a run; the master's answer, whose `success` may be false."""
        return self._as_json(self.request("POST", "/swarm", form, timeout=15), "/swarm")

    def stop(self) -> None:
        """Stop the run. Locust before 2.47 wants GET here and says so with 405.

        The answer comes when the last user has stopped, which may take as long as the stop timeout and more.
        """
        answer = self.request("POST", "/stop", timeout=90)
        if answer.status == http.client.METHOD_NOT_ALLOWED:
            self.request("GET", "/stop", timeout=90)

    def downloads(self) -> Iterator[tuple[str, bytes]]:
        """(file name, content) of each report that the master can give; what it cannot give is left out."""
        for name, path in (
            ("locust_report.html", "/stats/report?download=1&theme=light"),
            ("requests.csv", "/stats/requests/csv"),
            ("failures.csv", "/stats/failures/csv"),
            ("exceptions.csv", "/exceptions/csv"),
            ("failure_groups.json", "/locust-kit/failure_groups.json"),
            ("failure_analysis.csv", "/locust-kit/failure_analysis.csv"),
            ("performance.json", "/locust-kit/performance.json"),
        ):
            try:
                answer = self.request("GET", path, timeout=30)
            except WebError:
                continue
            if answer.status == http.client.OK and b"Locust auth exception" not in answer.body[:100]:
                yield name, answer.body

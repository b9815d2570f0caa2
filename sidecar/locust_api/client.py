"""The client of a Locust master: its web API, and the kit's plugin beside it, for the host's commands and the monitor.

A master behind a login redirects. A master with a half configured login answers 200 with a sentence. A foreign server
may answer anything. Each case is a MasterError with the reason. `read` never raises.
"""

from __future__ import annotations

import http.client
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from sidecar.common import strict_json
from sidecar.common.text import clean
from sidecar.common.visible_text import csv_cell_or_number
from sidecar.locust_api.connection import (
    ASKS_FOR_LOGIN,
    MasterAnswer,
    MasterConnection,
    MasterDownError,
    MasterError,
    MasterGuardedError,
    MasterSlowError,
)

if TYPE_CHECKING:  # the host's commands do without the model, which takes 25 ms to load
    from sidecar.model.observation import LocustReading

_AUTH_ERROR = b"Locust auth exception"
_TEXT_CHARACTERS = 300
_DOWNLOAD_SECONDS = 30.0
_USER_INFO = re.compile(rb"(https?://)[^\s/?#'\"<>]*@")
_TEMPLATE_ARGS = re.compile(r"templateArgs\s*=\s*(\{.*\})")
_DOWNLOADS = (
    ("locust_report.html", "/stats/report?download=1&theme=light"),
    ("requests.csv", "/stats/requests/csv"),
    ("failures.csv", "/stats/failures/csv"),
    ("exceptions.csv", "/exceptions/csv"),
    ("failure_groups.json", "/locust-kit/failure_groups.json"),
    ("failure_analysis.csv", "/locust-kit/failure_analysis.csv"),
    ("performance.json", "/locust-kit/performance.json"),
)

_TABLES_OF_LOCUST = frozenset({"requests.csv", "failures.csv", "exceptions.csv"})


def master_url(port: int, env: Mapping[str, str], host: str = "127.0.0.1") -> str:
    """Return where a master with this LOCUST_* environment serves its web API, with a slash at the end."""
    base = env.get("LOCUST_WEB_BASE_PATH", "").strip("/")
    scheme = "https" if env.get("LOCUST_TLS_CERT") and env.get("LOCUST_TLS_KEY") else "http"
    return f"{scheme}://{host}:{port}/{base}/" if base else f"{scheme}://{host}:{port}/"


class LocustApi(MasterConnection):
    """Calls to the master over one connection."""

    def read(self) -> LocustReading:
        """Read figures and status once: the plugin has both. Never raises because of the master.

        A company's own Locust image need not have the plugin; an older plugin has no figures.
        """
        from sidecar.locust_api.answers import parse_plugin, parse_stats  # noqa: PLC0415  loads the model
        from sidecar.model.observation import LocustReading  # noqa: PLC0415  the same

        try:
            status = self._status_or_nothing()
            figures = status.get("figures")
            stats = parse_stats(figures if isinstance(figures, dict) else self.stats())
        except MasterError as error:
            return LocustReading(stats=None, error=error.reason, plugin=None)
        return LocustReading(stats=stats, error=None, plugin=parse_plugin(status) if status else None)

    def json(self, path: str, timeout: float | None = None) -> dict[str, Any]:
        """Return the JSON object at a path.

        Raises:
            MasterGuardedError: a login page or another page came instead.
            MasterError: no answer, or not in time.

        """
        return json_object(self.request("GET", path, timeout_seconds=timeout), path, self.url)

    def worker_count(self) -> int:
        """Return how many workers are registered at the master, missing ones left out."""
        return int(self.json("/worker-count")["worker_count"])

    def stats(self) -> dict[str, Any]:
        """Return the state of the run with all its figures; up to 2 seconds old."""
        return self.json("/stats/requests")

    def status(self) -> dict[str, Any] | None:
        """Return the status of the kit's plugin, None on a master without it."""
        try:
            return self.json("/locust-kit/status")
        except MasterGuardedError:
            return None

    def _status_or_nothing(self) -> dict[str, Any]:
        """Return the status, or nothing if it is unusable: the figures have their own page."""
        try:
            return self.status() or {}
        except (MasterDownError, MasterSlowError):
            raise
        except MasterError:
            return {}

    def page_settings(self) -> dict[str, Any]:
        """Return the settings in the master's own page: classes, shapes, version; empty if the page has none."""
        answer = self.request("GET", "/")
        match = _TEMPLATE_ARGS.search(answer.body.decode(errors="replace"))
        try:
            arguments = strict_json.loads(match[1]) if match else {}
        except ValueError:
            return {}
        return arguments if isinstance(arguments, dict) else {}

    def swarm(self, form: Sequence[tuple[str, str]]) -> dict[str, Any]:
        """Start a run; return the master's answer, whose `success` may be false."""
        return json_object(self.request("POST", "/swarm", form, 15), "/swarm", self.url)

    def stop(self, by: str = "", timeout_seconds: float = 90) -> None:
        """Stop the run, and pass on who stops it. Locust before 2.47 needs GET here and answers 405.

        The answer comes after the last user has stopped, which may take longer than the stop timeout. The master
        continues to stop even if nobody waits for it.
        """
        path = f"/stop?kit_stopped_by={quote(by)}" if by else "/stop"
        answer = self.request("POST", path, (), timeout_seconds)
        if answer.status == http.client.METHOD_NOT_ALLOWED:
            self.request("GET", path, timeout_seconds=timeout_seconds)

    def downloads(self) -> Iterator[tuple[str, bytes, str]]:
        """Yield name and content of each file of a run on the master, and as third why it cannot be read."""
        for name, path in _DOWNLOADS:
            try:
                answer = self.request("GET", path, timeout_seconds=_DOWNLOAD_SECONDS)
            except MasterError as error:
                yield name, b"", error.reason
                continue
            is_good = answer.status == http.client.OK and _AUTH_ERROR not in answer.body[:100]
            if is_good or not (path.startswith("/locust-kit/") and answer.status == http.client.NOT_FOUND):
                start = clean(answer.body[:60].decode("utf-8", "replace"))
                body = _USER_INFO.sub(rb"\1***@", answer.body)  # Locust's report shows HOST
                yield (
                    name,
                    _plain_table(body) if name in _TABLES_OF_LOCUST else body,
                    "" if is_good else f"the master answers with status {answer.status}: {start!r}",
                )


def _plain_table(body: bytes) -> bytes:
    """Return a table of Locust whose cells do nothing in a terminal or a spreadsheet. Tracebacks keep their lines."""
    import csv  # noqa: PLC0415  for the end of a run only

    csv.field_size_limit(max(len(body), csv.field_size_limit()))
    rows = list(csv.reader(io.StringIO(body.decode("utf-8", "replace"), newline="")))
    keep = ["\n" if name == "Traceback" else "" for name in (rows or [[]])[0]]
    plain = [list(map(csv_cell_or_number, row, chain(keep, repeat("")))) for row in rows]
    if plain == rows:
        return body
    file = io.StringIO()
    csv.writer(file).writerows(plain)
    return file.getvalue().encode()


def json_object(answer: MasterAnswer, path: str, url: str) -> dict[str, Any]:
    """Return the JSON object in an answer.

    Raises:
        MasterGuardedError: a redirect, another status than 200, or no JSON object.

    """
    content_type = answer.headers.get("content-type", "")
    reason = _no_json_reason(answer, content_type)
    if reason:
        kind = content_type.partition(";")[0].strip().lower() or "text/plain"
        what, fix = f"{path} answered {answer.status} {kind}, not JSON", ""
        if answer.is_redirect:
            what = ASKS_FOR_LOGIN
        elif _AUTH_ERROR in answer.body:
            what, fix = "LOCUST_WEB_LOGIN is set, but the locustfile sets up no login", "make diagnose"
        raise MasterGuardedError(what, reason=reason, where=url, fix=fix)
    try:
        value = strict_json.loads(answer.body)
    except (ValueError, RecursionError) as error:
        raise MasterGuardedError(
            f"{path} answered invalid JSON", reason="the master's JSON is invalid", where=url
        ) from error
    if not isinstance(value, dict):
        raise MasterGuardedError(
            f"{path} answered JSON that is not an object", reason="the master's JSON is not an object", where=url
        )
    return value


def _no_json_reason(answer: MasterAnswer, content_type: str) -> str:
    """Return the likely cause why an answer has no JSON; empty if it claims to have some."""
    if answer.is_redirect:
        return f"the master redirects to {clean(answer.headers.get('location', '')[:_TEXT_CHARACTERS])[:80]!r}"
    if answer.status == http.client.NOT_FOUND:
        return "the master answers with status 404: is LOCUST_WEB_BASE_PATH in its own environment only?"
    if answer.status != http.client.OK:
        return f"the master answers with status {answer.status}"
    if not answer.body:
        return "the master's answer is empty"
    if "json" not in content_type.lower():
        start = clean(answer.body[:60].decode("utf-8", "replace"))
        kind = clean(content_type[:_TEXT_CHARACTERS]) or "an unnamed type"
        return f"the master answers {kind} instead of JSON: {start!r}"
    return ""

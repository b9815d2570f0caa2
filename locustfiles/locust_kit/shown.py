"""Remove secrets from what Locust itself shows: exceptions of users, the lines of its log, and HOST on its page."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
import traceback
from types import TracebackType
from typing import Any

from flask import Flask, Response, request
from locust.env import Environment
from locust.rpc import Message
from locust.runners import LocalRunner, WorkerRunner
from werkzeug.datastructures import ImmutableMultiDict

from locust_kit.arguments import secrets_of
from locust_kit.failures.settings import Cleaner
from locust_kit.guard import guarded, listen_first, position_of
from locust_kit.redaction import rules, without_user_info
from locust_kit.texts import safe

logger = logging.getLogger("locust_kit")

_MOST_RAISED = 500
_LONGEST_SAID, _LONGEST_TRACEBACK = 1000, 100_000
_REMEMBERED = 500
_PER_SECOND = 150_000  # units of Cleaner: about 50 ms in each second
_LONGEST_LINE, _SHORT_LINE = 10_000, 300
_LISTENERS = ("WorkerRunner.__init__.<locals>.on_user_error", "LocalRunner.__init__.<locals>.on_user_error")


class ShownExceptions:
    """The exceptions in tasks, as Locust shows them: one row for each traceback, with the first exception's text."""

    def __init__(self, environment: Environment, clean: Cleaner) -> None:
        self._environment = environment
        self._clean = clean
        self._raised: dict[str, tuple[str, str]] = {}

    def listen(self) -> None:
        """Replace Locust's own listener."""
        event = self._environment.events.user_error
        places = [position_of(event, name) for name in _LISTENERS]
        for place in places:
            if place is not None:
                event._handlers[place] = guarded(self._on_user_error)  # noqa: SLF001  there is no public way
        if isinstance(self._environment.runner, WorkerRunner | LocalRunner) and set(places) == {None}:
            logger.warning(
                "locust-kit: cannot find Locust's listener to exceptions, so its page may show secrets of them"
            )

    def _on_user_error(self, exception: BaseException, tb: TracebackType | None, **_: Any) -> None:
        where = "".join(traceback.format_tb(tb))[-_LONGEST_TRACEBACK:]
        if where not in self._raised:
            if len(self._raised) >= _MOST_RAISED:
                self._raised.clear()
            self._raised[where] = self._clean(safe(exception, _LONGEST_SAID)), self._clean(where)
        said, shown = self._raised[where]
        runner: Any = self._environment.runner
        if isinstance(runner, WorkerRunner):
            runner.client.send(Message("exception", {"msg": said, "traceback": shown}, runner.client_id))
        else:
            runner.log_exception("local", said, shown)


class LogFilter(logging.Filter):
    """Removes secrets from each record. Above some milliseconds in a second, it cuts texts instead of cleaning more."""

    def __init__(self) -> None:
        super().__init__()
        self._clean = Cleaner(os.environ, _REMEMBERED)
        self._formatter = logging.Formatter()
        self._second, self._spent = 0, 0

    def install(self, environment: Environment) -> None:
        """Filter what Locust's own handlers print. Its tables of statistics have clean names already."""
        listen_first(environment.events.test_start, guarded(lambda **_: self._clean.know(secrets_of(environment))))
        for name in ("", "locust"):
            for handler in logging.getLogger(name).handlers:
                handler.addFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        """Clean the record in place; keep it."""
        try:
            if record.exc_info and not record.exc_text:
                record.exc_text = self._formatter.formatException(record.exc_info)
            record.msg, record.args = self._shown(record.getMessage()), ()
            record.exc_text = record.exc_text and self._shown(record.exc_text)
        except Exception as error:  # noqa: BLE001  a log call of the test may have too few arguments
            record.msg, record.args = f"(a log line without text: {type(error).__name__})", ()
        return True

    def _shown(self, text: str) -> str:
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._spent = second, self._clean.spent
        most = _LONGEST_LINE if self._clean.spent - self._spent < _PER_SECOND else _SHORT_LINE
        rest = len(text) - most
        return self._clean(text) if rest <= 0 else f"{self._clean(text[:most])}... ({rest} characters cut)"


class HiddenHosts:
    """Masks user and password of HOST on Locust's page and in its report.

    The page sends the masked host back when a person starts a run; the run then uses the real one.
    """

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._real: dict[str, str] = {}

    def install(self, app: Flask) -> None:
        """Follow each request to the page, and the report that `--html` writes."""
        app.before_request(self._before)
        app.after_request(self._after)
        main: Any = sys.modules.get("locust.main")
        if report := getattr(main, "get_html_report", None):
            main.get_html_report = lambda *given, **named: self._masked(report(*given, **named))

    def _hosts(self) -> dict[str, str]:
        """Return each host with a user that was seen so far, by its masked form."""
        for host in (*(user.host for user in self._environment.user_classes), self._environment.host):
            if isinstance(host, str) and (masked := without_user_info(host)) != host:
                self._real[masked] = host
        return self._real

    def _masked(self, text: str) -> str:
        for masked, host in self._hosts().items():
            hidden = f"{rules().mask}@"
            start, _, rest = masked.partition(hidden)
            user = f"//{host[len(start) : len(host) - len(rest)]}"
            for form in (user, json.dumps(user)[1:-1], json.dumps(user)[1:-1].replace("&", "\\u0026")):
                text = text.replace(form, f"//{hidden}")
        return text

    def _before(self) -> None:
        if request.method == "POST" and request.path.endswith("/swarm") and self._hosts():
            real = self._real.get(request.form.get("host", ""))
            if real:
                values = {**request.form.to_dict(flat=False), "host": [real]}
                request.form = ImmutableMultiDict(values)

    def _after(self, response: Response) -> Response:
        if self._hosts() and not response.direct_passthrough:
            response.set_data(self._masked(response.get_data(as_text=True)))
            for name in ("Content-Disposition", "Location"):
                if name in response.headers:
                    response.headers[name] = self._masked(response.headers[name])
        return response

"""Count the requests in a process with users: a worker, or a Locust without workers."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from typing import Any

from locust.env import Environment

from locust_kit import clean_request
from locust_kit.arguments import secrets_of
from locust_kit.cost import EVERY, Cost
from locust_kit.failures.capture import Capture
from locust_kit.failures.mask import LONGEST
from locust_kit.failures.settings import CaptureSettings, Cleaner
from locust_kit.guard import WarnOnce, follow_resets, guarded, listen_first
from locust_kit.locust_tables import MOST_ERRORS, WorkerErrors
from locust_kit.meters.stopping import AFTER_THE_END
from locust_kit.performance import MOST_ENDPOINTS, Performance, SlowLimits
from locust_kit.shown import ShownExceptions
from locust_kit.texts import OTHERS, safe

logger = logging.getLogger("locust_kit")

PERFORMANCE_KEY = "performance"
_REMEMBERED = 1024  # texts without secrets: most failures repeat texts and addresses of others


class RequestCounters:
    """The failures and times of this process's requests, and the cost of counting them."""

    def __init__(self) -> None:
        self._clean = Cleaner(os.environ, _REMEMBERED)
        self._clean_shown = Cleaner(os.environ, 2 * MOST_ERRORS + 1)
        self._names: dict[str, str] = {}  # as they came → without secrets
        self.cost = Cost()
        self._failures = Capture(CaptureSettings.of(os.environ), self._clean)
        self._times = Performance(SlowLimits.of(os.environ))
        self._errors = WorkerErrors()
        self._locust: Environment | None = None  # its statistics count here
        self._warn_of_failures = WarnOnce("counting failures")
        self._warn_of_times = WarnOnce("counting times")
        self._warn_of_the_end = WarnOnce("counting requests after the end")

    def listen(self, environment: Environment) -> None:
        """Count requests from the moment on at which Locust's own statistics start at 0."""
        events = environment.events
        if clean_request.take_over(environment):
            self._locust = environment
        elif environment.runner is not None:
            logger.warning(
                "locust-kit: cannot find Locust's request listener, so values that it cannot count are not cleaned"
            )
        listen_first(events.request, self.on_request)  # guarded itself
        listen_first(events.user_error, guarded(self.on_user_error))
        ShownExceptions(environment, self._clean_shown).listen()
        listen_first(events.test_start, guarded(self._begin))
        follow_resets(environment, self.forget)

    def on_request(
        self,
        request_type: str = "",
        name: str = "",
        response_time: float | None = None,
        response_length: int | None = 0,
        exception: Any = None,
        response: Any = None,
        context: Mapping[Any, Any] | None = None,
        url: str | None = None,
        **_: Any,
    ) -> None:
        """Count a request in the plugin's statistics, and in Locust's, instead of Locust's own listener.

        One listener does both, since a second one costs each successful request 1 µs. So it has its own guards, and
        it measures the plugin's time of one call in `EVERY` itself.
        """
        if not clean_request.is_clean(request_type, name, response_time, response_length):
            request_type, name, response_time, length = clean_request.clean(
                request_type, name, response_time, response_length
            )
        else:
            length = response_length or 0
        shown = self._names.get(name)
        name = self._shown(name) if shown is None else shown
        has_failed = exception is not None and clean_request.is_failed(exception)
        text = self._text(request_type, name, exception) if has_failed else None
        if self._locust is not None:
            stats: Any = self._locust.stats  # its annotations know no request without a time
            stats.log_request(request_type, name, response_time, length)
            if has_failed:
                stats.log_error(request_type, name, text)
        if AFTER_THE_END.is_on and self._is_no_load(request_type, name, response_time, length, text):
            return
        cost = self.cost
        cost.calls += 1
        began = 0.0 if cost.calls % EVERY else cost.clock()
        try:
            self._times.on_request(request_type, name, response_time, has_failed)
        except Exception as error:  # noqa: BLE001  whatever it is, the run goes on
            self._warn_of_times(error)
        if has_failed:
            try:
                self._failures.on_request(request_type, name, response_time, length, exception, response, context, url)
            except Exception as error:  # noqa: BLE001  as above
                self._warn_of_failures(error)
        if began:
            cost.took(began)

    def _shown(self, name: str) -> str:
        """Return a request's name without secrets, for Locust's statistics and the plugin's."""
        try:
            shown = self._clean_shown(name)
        except Exception as error:  # noqa: BLE001  as above
            self._warn_of_failures(error)
            return OTHERS
        if len(self._names) >= MOST_ENDPOINTS:
            self._names.clear()
        self._names[name] = shown
        return shown

    def _text(self, request_type: str, name: str, exception: Any) -> str:
        """Return an error's name in Locust's table; `(others)` if that fails, because Locust must count it."""
        try:
            said = clean_request.clean_error(exception)
            return self._clean_shown(self._errors.text(request_type, name, said, lambda: self._masked(exception)))
        except Exception as error:  # noqa: BLE001  as above
            self._warn_of_failures(error)
            return OTHERS

    def _masked(self, exception: Any) -> str:
        """Return an error's text as Locust writes it, masked where it differs from request to request."""
        masked = self._failures.masker.masked(safe(exception, 2 * LONGEST), time.time())
        return OTHERS if masked is None else f"{type(exception).__name__}({masked!r})"

    def _is_no_load(self, *request: Any) -> bool:
        try:
            return AFTER_THE_END.count_if_no_load(*request)
        except Exception as error:  # noqa: BLE001  as above
            self._warn_of_the_end(error)
            return False

    def on_user_error(self, **passed: Any) -> None:
        """Count an exception in a task."""
        self._failures.on_user_error(**passed)

    def _begin(self, environment: Environment, **_: Any) -> None:
        self.forget()
        self._errors.begin()
        secrets = secrets_of(environment)
        self._clean.know(secrets)
        self._clean_shown.know(secrets)
        self._names.clear()

    def forget(self, **_: Any) -> None:
        """Delete unreported counts when Locust resets its own statistics: at the start or a reset of a run."""
        self.report()

    def report(self, *, in_slices: bool = False) -> dict[str, Any]:
        """Return the counts since the last report in the wire format. The time it takes is part of the cost.

        `in_slices`: let users run meanwhile; the next report has their requests of that time.
        """
        pause = (self.cost.pause,) if in_slices else ()
        times = self._times.taken()  # of the same moment as the failures
        return self.cost.measure(
            lambda: {**self._failures.report(*pause), PERFORMANCE_KEY: self._times.rows(times, *pause)}
        )

"""What counts requests in a process that has users: a worker, or a Locust without workers."""

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
from locust_kit.locust_tables import WorkerErrors
from locust_kit.meters.stopping import AFTER_THE_END
from locust_kit.performance import MOST_ENDPOINTS, Performance, SlowLimits
from locust_kit.texts import OTHERS, safe

logger = logging.getLogger("locust_kit")

PERFORMANCE_KEY = "performance"
_REMEMBERED = 1024  # texts without secrets: most failures say what others said before, at the same address


class RequestCounters:
    """The failures and the times of this process's requests, and what counting them costs."""

    def __init__(self) -> None:
        self._clean = Cleaner(os.environ, _REMEMBERED)
        self._clean_names = Cleaner(os.environ, MOST_ENDPOINTS)
        self.cost = Cost()
        self._failures = Capture(CaptureSettings.of(os.environ), self._clean)
        self._times = Performance(SlowLimits.of(os.environ), self._clean_names)
        self._errors = WorkerErrors()
        self._locust: Environment | None = None  # whose statistics count here
        self._warn_of_failures = WarnOnce("counting failures")
        self._warn_of_times = WarnOnce("counting times")
        self._warn_of_the_end = WarnOnce("counting what comes after the end")

    def listen(self, environment: Environment) -> None:
        """Count requests from the moments on at which Locust's own statistics start at 0."""
        events = environment.events
        if clean_request.take_over(environment):
            self._locust = environment
        elif environment.runner is not None:
            logger.warning(
                "locust-kit: Locust's request listener was not found: values that it cannot count are not corrected"
            )
        listen_first(events.request, self.on_request)  # guarded itself
        listen_first(events.user_error, guarded(self.on_user_error))
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
        """Count a request in Locust's statistics, in place of its own listener, and in the plugin's.

        One listener for both, since each one more costs a good request 1 µs. So it has guards of its own; the plugin's
        times of one call in `EVERY` are measured in here.
        """
        if not clean_request.is_clean(request_type, name, response_time, response_length):
            request_type, name, response_time, length = clean_request.clean(
                request_type, name, response_time, response_length
            )
        else:
            length = response_length or 0
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

    def _text(self, request_type: str, name: str, exception: Any) -> str:
        """Return what an error is called in Locust's table; `(others)` where that fails: Locust has to count it."""
        try:
            said = clean_request.clean_error(exception)
            return self._errors.text(request_type, name, said, lambda: self._masked(exception))
        except Exception as error:  # noqa: BLE001  as above
            self._warn_of_failures(error)
            return OTHERS

    def _masked(self, exception: Any) -> str:
        """Return an error's text as Locust writes it, without what differs from one request to the next."""
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
        self._clean_names.know(secrets)

    def forget(self, **_: Any) -> None:
        """Drop what was not reported yet, when Locust drops its own statistics: as a run starts, or is reset."""
        self.report()

    def report(self, *, in_slices: bool = False) -> dict[str, Any]:
        """Return what came since the last report, for the wire. The time it takes is part of the cost.

        `in_slices`: let users go on meanwhile; what happens to them then is in the next report.
        """
        pause = (self.cost.pause,) if in_slices else ()
        times = self._times.taken()  # of the same moment as the failures
        return self.cost.measure(
            lambda: {**self._failures.report(*pause), PERFORMANCE_KEY: self._times.rows(times, *pause)}
        )

"""How long a run's load lasted, by the master's clock. All rates are per second of this time.

It begins with the run, or with the last reset of Locust's statistics. It ends when the run begins to stop. Locust's own
rates end with the last request, and use the workers' clocks.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import gevent
from locust.env import Environment

from locust_kit.run_folder import rfc3339

STOPPED_BY = "kit_stopped_by"
"""The argument of Locust's /stop in which the host's command names what stopped a run: Ctrl-C, or a signal."""
_LONGEST = 40


class LoadClock:
    """The clock of the current run, or of the last one."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._timer: Any = None
        self.begin()

    def begin(self) -> None:
        """Begin a run."""
        self._began: float = time.monotonic()
        self._ended: float | None = None
        self._counted_since = datetime.now(UTC)
        self._is_reset = False
        self._ended_at: datetime | None = None
        self._by_timer = False
        self._stopped_by = ""

    def reset(self, **_: Any) -> None:
        """Begin again: Locust's statistics were reset."""
        if self._ended is None:
            self._began, self._counted_since, self._is_reset = time.monotonic(), datetime.now(UTC), True

    def look(self) -> None:
        """Remember the timer that will end the run: Locust forgets it before it stops the run."""
        web_ui = self._environment.web_ui
        self._timer = getattr(web_ui, "_run_time_greenlet", None) if web_ui else None

    def stop(self) -> None:
        """End the load: the run begins to stop. Only the first call of a run counts."""
        if self._ended is None:
            self._ended, self._ended_at = time.monotonic(), datetime.now(UTC)
            self._by_timer = self._timer is not None and self._timer is gevent.getcurrent()
            self._stopped_by = _stopped_by()

    @property
    def has_ended(self) -> bool:
        """Return whether the load of the run has ended."""
        return self._ended is not None

    @property
    def seconds(self) -> float:
        """The time of the load so far."""
        return (time.monotonic() if self._ended is None else self._ended) - self._began

    @property
    def span(self) -> tuple[float, float]:
        """Start and end of the time in which requests count (seconds since 1970); its length is by a steady clock."""
        since = self._counted_since.timestamp()
        return since, since + self.seconds

    @property
    def stopping_seconds(self) -> float | None:
        """Seconds since the load ended; None before that."""
        return None if self._ended is None else round(time.monotonic() - self._ended, 1)

    def document(self) -> dict[str, Any]:
        """Return when the load ended, how long it lasted, and what ended it."""
        return {
            "load_ended_at": rfc3339(self._ended_at) if self._ended_at else None,
            "load_seconds": round(self.seconds, 3),
            "counted_since": rfc3339(self._counted_since) if self._is_reset else None,
            "ended_by_timer": self._by_timer,
            "stopped_by": self._stopped_by,
        }


def _stopped_by() -> str:
    """Return the cause that the request to stop the run names; "" if it names no cause."""
    from flask import has_request_context, request  # noqa: PLC0415  a master has it loaded, a worker need not

    return str(request.args.get(STOPPED_BY, ""))[:_LONGEST] if has_request_context() else ""

"""The plugin's part of a worker's report to the master: the names of what is in it, and what Locust can send."""

from __future__ import annotations

from typing import Any

from locust.rpc.protocol import Message

from locust_kit.guard import WarnOnce

REPORT_KEY = "locust_kit"
"""The plugin's place in Locust's own report; what follows are the names within."""
FILES_KEY, FAILURES_KEY, MEMORY_KEY, COST_KEY, RETRIES_KEY = "files", "failures", "memory", "cost", "retries"
METERS_KEY = "meters"


class ReportParts:
    """A check of each part of a report. One that Locust cannot send would take the worker's statistics with it."""

    def __init__(self) -> None:
        self._warnings: dict[str, WarnOnce] = {}

    def sendable(self, parts: dict[str, Any]) -> dict[str, Any]:
        """Return the parts that Locust can send; warn once of each other one."""
        return {name: part for name, part in parts.items() if self._can_be_sent(name, part)}

    def _can_be_sent(self, name: str, part: Any) -> bool:
        try:
            Message("stats", part, "").serialize()
        except Exception as error:  # noqa: BLE001  whatever Locust would raise, and more
            self._warnings.setdefault(name, WarnOnce(f"the report of {name}"))(error)
            return False
        return True

"""The Locust master's web API, and the kit's plugin beside it, read with distrust.

A master behind a login redirects, one whose login is half configured answers 200 with a sentence, a foreign server may
answer anything at all, and the names of the percentiles have moved once already: each of these ends in a reading
without figures and a text that says why, never in an exception.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from sidecar.locust_api.answers import MasterError, Payload, checked_json, parse_plugin, parse_stats
from sidecar.locust_api.web import Credentials, LocustWeb
from sidecar.model.observation import LocustReading, PluginStatus

_ANONYMOUS = Credentials()


class LocustApi:
    """Reads the master at `url`, base path included, over one kept-alive connection.

    Not for use from two threads at once.

    Args:
        url: where the master's web server is (`https://locust-master:8089/load`).
        timeout_seconds: how long any wait for it may last.
        credentials: for its login page (--web-login), if it has one.
        monotonic: a clock in seconds that never jumps.
    """

    def __init__(
        self,
        url: str,
        timeout_seconds: float = 2.0,
        *,
        credentials: Credentials = _ANONYMOUS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._web = LocustWeb(url, credentials, timeout_seconds, monotonic)

    def read(self) -> LocustReading:
        """Visit the master once. Never raises for what the master does or fails to do."""
        try:
            stats = parse_stats(self._json("/stats/requests"))
        except MasterError as error:
            return LocustReading(stats=None, error=str(error), plugin=None)
        return LocustReading(stats=stats, error=None, plugin=self._plugin())

    def cut(self) -> None:
        """End a reading that is under way. For any thread."""
        self._web.cut()

    def close(self) -> None:
        """Close the connection; the next reading opens another."""
        self._web.close()

    def _plugin(self) -> PluginStatus | None:
        try:
            return parse_plugin(self._json("/locust-kit/status"))
        except MasterError:
            return None  # a company's own Locust image need not have the plugin

    def _json(self, path: str) -> Payload:
        answer = self._web.get(path)
        return checked_json(answer.status, answer.headers, answer.body)

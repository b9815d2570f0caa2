"""One forecast a container, from round to round. Pure but for what it remembers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from sidecar.incidents.forecast import Forecast
from sidecar.model.snapshot import Container

Life = tuple[datetime | None, int]  # the start, and the OOM kills so far: memory begins anew after each


class Forecasts:
    """The forecasts of all containers. A restart, or an OOM kill that the container outlived, begins a new one."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Life, Forecast]] = {}

    def update(self, containers: Iterable[Container]) -> Mapping[str, float]:
        """Take one round's readings; return the seconds to the OOM kill by container id, where one is to be expected.

        A container that is not among `containers` is forgotten; one without figures keeps what is known.
        """
        before, self._kept = self._kept, {}
        found: dict[str, float] = {}
        for container in containers:
            life = (container.started_at, container.oom_kills or 0)
            known = before.get(container.id)
            forecast = known[1] if known and known[0] == life else _begin(container, known[0] if known else None)
            self._kept[container.id] = (life, forecast)
            eta = _add(forecast, container)
            if eta is not None:
                found[container.id] = eta
        return found


def _begin(container: Container, before: Life | None) -> Forecast:
    same_start = before is not None and before[0] == container.started_at
    if container.started_at is None or same_start:
        return Forecast()  # after a kill inside, what is left did not begin at nothing
    return Forecast(container.started_at.timestamp())


def _add(forecast: Forecast, container: Container) -> float | None:
    at, working_set, usage = container.sampled_at, container.memory_working_set_bytes, container.memory_usage_bytes
    if container.state != "running" or at is None or working_set is None or usage is None:
        return None
    return forecast.add(at.timestamp(), working_set, usage, container.memory_limit_bytes)

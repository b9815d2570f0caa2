"""What a process with users measures of its own load, beyond what Locust counts.

Each meter counts from the run's start on. A worker reports the counts so far, so a report that is lost loses nothing,
and the last report of a worker that died still holds. The master keeps the newest document of each worker for the run
under way, and merges them into `end.json` (`meters`), the status document and each second of the timeline.

A meter's document is plain JSON: counts, seconds, names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from locust.env import Environment

from locust_kit.meters.pacing import PacingMeter
from locust_kit.meters.users import UserMeter

Document = dict[str, Any]
ByWorker = Mapping[str, Document]

RUN_FIELD = "kit_run_id"
"""The option by which the master tells its workers which run begins: Locust sends its options with the users."""


class Meter(Protocol):
    """One thing that is measured. Its class is made once in a process."""

    name: str
    """Its place in a report, in `end.json` and in a row of the timeline."""

    def listen(self, environment: Environment) -> None:
        """Register for Locust's events."""

    def begin(self) -> None:
        """Forget what was counted: a run begins."""

    def document(self) -> Document:
        """Return what was counted since the run's start."""

    @staticmethod
    def merged(by_worker: ByWorker) -> Document:
        """Return the documents of all workers as one, on the master."""

    @staticmethod
    def moment(merged: Document) -> Document:
        """Return the few figures of a merged document that belong into each second of the timeline."""


METERS: tuple[type[Meter], ...] = (UserMeter, PacingMeter)


class Meters:
    """All meters of a process with users."""

    def __init__(self) -> None:
        self._meters = [meter() for meter in METERS]
        self._options: Any = None

    def listen(self, environment: Environment) -> None:
        """Register each meter for Locust's events; begin anew with each run."""
        self._options = environment.parsed_options
        for meter in self._meters:
            meter.listen(environment)

    def begin(self, **_: Any) -> None:
        """Begin a run in each meter."""
        for meter in self._meters:
            meter.begin()

    def document(self) -> Document:
        """Return the documents of all meters by name, and the run that they are of."""
        run_id = str(getattr(self._options, RUN_FIELD, "") or "")
        return {"run_id": run_id, **{meter.name: meter.document() for meter in self._meters}}


class MeterReadings:
    """On the master: the newest document of each worker, of the run under way."""

    def __init__(self) -> None:
        self._run_id = ""
        self._by_meter: dict[str, dict[str, Document]] = {}

    def begin(self, run_id: str) -> None:
        """Begin a run: what workers still send of the run before is passed over."""
        self._run_id = run_id
        self._by_meter = {meter.name: {} for meter in METERS}

    def take(self, worker: str, document: Document) -> None:
        """Keep the newest document of a worker; one of another run is passed over."""
        if document.get("run_id") != self._run_id:
            return
        for name, by_worker in self._by_meter.items():
            if isinstance(document.get(name), dict):
                by_worker[worker] = document[name]

    def merged(self) -> Document:
        """Return what all workers measured together, by meter."""
        return {meter.name: meter.merged(self._by_meter.get(meter.name, {})) for meter in METERS}

    def moment(self) -> Document:
        """Return the figures for this second of the timeline, by meter."""
        return {meter.name: meter.moment(meter.merged(self._by_meter.get(meter.name, {}))) for meter in METERS}

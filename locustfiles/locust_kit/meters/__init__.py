"""Meters: what a process with users measures of its own load, in addition to Locust's counts.

Each meter counts from the start of the run. A worker reports the counts so far, so a lost report loses nothing, and the
last report of a worker that died is still valid. The master keeps the newest document of each worker for the current
run. It merges them into `end.json` (`meters`), the status document and each second of the timeline.

A meter's document is plain JSON: counts, seconds, names; no figure is negative. `never_falls` of a class names the
figures that only grow: the master refuses a report in which one of them decreased.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Container, Iterator, Mapping
from typing import Any, Protocol

from locust.env import Environment

from locust_kit import report_check
from locust_kit.guard import WarnOnce
from locust_kit.meters.cleaned import CleanedMeter
from locust_kit.meters.disk import DiskMeter
from locust_kit.meters.loop import LoopMeter
from locust_kit.meters.pacing import PacingMeter
from locust_kit.meters.requests import RequestMeter
from locust_kit.meters.stopping import Stopping
from locust_kit.meters.users import UserMeter
from locust_kit.refusals import Refusals
from locust_kit.report_check import ImpossibleError
from locust_kit.silence import Silence
from locust_kit.worker_report import METERS_KEY

Document = dict[str, Any]
ByWorker = Mapping[str, Document]

RUN_FIELD, LABELS_FIELD = "kit_run_id", "kit_run_labels"
"""The options in which the master names the new run to its workers: Locust sends its options with the users."""

REPORTS = "reports"
"""The field for the master's own data about its workers' reports, beside the meters."""


class Meter(Protocol):
    """One kind of measurement. A process makes one instance of its class."""

    name: str
    """Its field in a report, in `end.json` and in a row of the timeline."""

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
        """Return the figures of a merged document for each second of the timeline."""


METERS: tuple[type[Meter], ...] = (UserMeter, PacingMeter, LoopMeter, Stopping, RequestMeter, CleanedMeter, DiskMeter)


class Meters:
    """All meters of a process with users."""

    def __init__(self) -> None:
        self._meters = [meter() for meter in METERS]
        self._options: Any = None
        self._run_id = ""
        self._warnings: dict[str, WarnOnce] = {}

    def listen(self, environment: Environment) -> None:
        """Register each meter for Locust's events; begin again with each run."""
        self._options = environment.parsed_options
        for meter in self._meters:
            meter.listen(environment)

    def begin(self, **_: Any) -> None:
        """Begin a run in each meter: until then all reports belong to the run before, whatever the options name."""
        self._run_id = str(getattr(self._options, RUN_FIELD, "") or "")
        self._each(lambda meter: meter.begin())

    def document(self) -> Document:
        """Return the documents of all meters by name, and their run."""
        documents: Document = {"run_id": self._run_id}
        self._each(lambda meter: documents.update({meter.name: meter.document()}))
        return documents

    def _each(self, step: Callable[[Meter], None]) -> None:
        """Call `step` for each meter; a failure of one does not affect the others."""
        for meter in self._meters:
            try:
                step(meter)
            except Exception as error:  # noqa: BLE001  whatever it is, the run goes on
                self._warnings.setdefault(meter.name, WarnOnce(f"the meter {meter.name}"))(error)


class MeterReadings:
    """On the master: the newest document of each worker for the current run, and the refused reports."""

    def __init__(self) -> None:
        self._run_id = ""
        self._by_meter: dict[str, dict[str, Document]] = {}
        self.refusals = Refusals()
        self.silence = Silence()

    def begin(self, run_id: str) -> None:
        """Begin a run: ignore documents that workers still send for the run before."""
        self._run_id = run_id
        self._by_meter = {meter.name: {} for meter in METERS}
        self.refusals.begin()
        self.silence.begin(time.time())

    @property
    def run_id(self) -> str:
        """Return the id of the current or the last run; "" before the first."""
        return self._run_id

    def is_of_another_run(self, document: Any) -> bool:
        """Return whether a worker's document names another run than the current one."""
        run_id = document.get("run_id") if isinstance(document, dict) else ""
        return bool(run_id and self._run_id and run_id != self._run_id)

    def check(self, worker: str, document: Document) -> None:
        """Check that each document of a worker can be merged.

        Raises:
            ImpossibleError: a document cannot be merged, has a negative figure, or a count that decreased.

        """
        if document.get("run_id") != self._run_id:
            return
        for meter in METERS:
            if meter.name in document:
                before = self._by_meter.get(meter.name, {}).get(worker, {})
                _check(meter, worker, document[meter.name], before)

    def take(self, worker: str, document: Document) -> None:
        """Keep the newest document of a worker; ignore a document of another run."""
        if document.get("run_id") != self._run_id:
            return
        for name, by_worker in self._by_meter.items():
            if isinstance(document.get(name), dict):
                by_worker[worker] = document[name]

    def of(self, meter: type[Meter]) -> Document:
        """Return the merged document of one meter over all workers."""
        return _merged(meter, self._by_meter.get(meter.name, {}))

    def merged(self) -> Document:
        """Return the merged documents over all workers by meter, and the refused reports."""
        documents = {meter.name: self.of(meter) for meter in METERS}
        reports = {"refused": self.refusals.document(), "silent_workers": self.silence.document()}
        return {**documents, REPORTS: reports}

    def moment(self) -> Document:
        """Return the figures for this second of the timeline, by meter."""
        moments = {meter.name: meter.moment(self.of(meter)) for meter in METERS}
        reports = {"refused": self.refusals.changed_figures, "silent_workers": self.silence.workers}
        return {**moments, REPORTS: reports}


def _check(meter: type[Meter], worker: str, document: Any, before: Document) -> None:
    if not isinstance(document, dict):
        raise ImpossibleError(f"{METERS_KEY}: {meter.name} is not an object", document)
    for name in _fallen(before, document, getattr(meter, "never_falls", ())):
        raise ImpossibleError(f"{METERS_KEY}: {meter.name}: {name} decreased")
    try:
        merged = meter.merged({worker: document})
        report_check.document([merged, meter.moment(merged)], f"{METERS_KEY}: {meter.name}", least=0)
    except ImpossibleError:
        raise
    except Exception as error:
        raise ImpossibleError(f"{METERS_KEY}: {meter.name} has an unexpected form", error) from error


def _fallen(before: Document, after: Document, names: Container[str]) -> Iterator[str]:
    """Yield the figures of these names, at any depth, that are lower than before."""
    for name, was in before.items():
        now = after.get(name)
        if isinstance(was, dict) and isinstance(now, dict):
            yield from _fallen(was, now, names)
        elif name in names and isinstance(was, int | float) and isinstance(now, int | float) and now < was:
            yield name


def _merged(meter: type[Meter], by_worker: ByWorker) -> Document:
    """Merge the documents of all workers; if they do not fit together, merge as many as possible."""
    try:
        return meter.merged(by_worker)
    except Exception:  # noqa: BLE001  each was checked by itself: documents of different versions of a worker
        together: dict[str, Document] = {}
        for worker, document in by_worker.items():
            with contextlib.suppress(Exception):
                meter.merged({**together, worker: document})
                together[worker] = document
        return meter.merged(together) if together else {}

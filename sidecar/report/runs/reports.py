"""The report of each run: made on request, and stored beside the run once it cannot change any more."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from sidecar.common import atomic, strict_json
from sidecar.common.errors import KitError
from sidecar.common.repeated import Repeated
from sidecar.ledger.ledger_reader import LedgerArchive
from sidecar.report import document
from sidecar.report.runs import record as disk
from sidecar.report.runs.record import NoSuchRunError, UnreadableRunError
from sidecar.report.verdict import comparison
from sidecar.report.verdict.evidence import recorded_to_the_end

_log = logging.getLogger(__name__)

FILE = "report.json"
_LOOK_SECONDS = 2.0
_SETTLED_SECONDS = 7.0  # after a run's end, incidents of its last second are known
_MOST_CAUGHT_UP = 20


@dataclass(frozen=True, slots=True)
class Ask:
    """What a request asks of a report. Only a plain report is stored.

    `anew` makes the report even if one is stored. `judge` holds criteria that replace the run's own. `baseline` is the
    id of a run to compare it with, or "". `users` is a number of users to size for; 0 means multiples of the run's own.
    """

    anew: bool = False
    judge: Mapping[str, Any] | None = None
    baseline: str = ""
    users: int = 0


PLAIN, ANEW = Ask(), Ask(anew=True)


@dataclass
class Reports:
    """Makes reports of a folder of runs and a ledger, from any thread.

    Attributes:
        runs: where the plugin keeps a folder for each run.
        archive: the ledger; None without a ledger.
        project: the Compose project.
        clock: the time of day.
        kit_version: this kit's own version, for the report.
        look_seconds: the interval of the monitor's rounds.
        unwritten: returns what is missing on disk of a run, by its id and end; "" if nothing is.
        recording_error: why the monitor cannot record incidents now; "" if it can.

    """

    runs: Path
    archive: LedgerArchive | None
    project: str
    clock: Callable[[], datetime]
    kit_version: str = ""
    look_seconds: float = 2.0
    unwritten: Callable[[str, datetime], str] = lambda *_: ""
    recording_error: Callable[[], str] = str
    _words: dict[str, tuple[str, tuple[str, ...]]] = field(init=False, default_factory=dict)
    _judged: dict[str, datetime | None] = field(init=False, default_factory=dict)
    _unrecorded: dict[str, datetime] = field(init=False, default_factory=dict)

    def ids(self) -> list[str]:
        """Return the ids of all runs, oldest first."""
        return disk.ids(self.runs)

    def of(self, run_id: str, ask: Ask = PLAIN) -> dict[str, Any]:
        """Return the report of a run.

        Raises:
            NoSuchRunError: there is no such run, or no such baseline.
            UnreadableRunError: the files of the run are damaged.

        """
        kept = self._kept(run_id) if ask == PLAIN else {}
        if kept:
            return kept
        try:
            return self._made(run_id, ask)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            _log.exception("the files of run %s are damaged", run_id)
            why = f"its files are damaged: {type(error).__name__}: {error}"
            raise UnreadableRunError(f"run {run_id} cannot be read: {why:.200}") from error

    def _made(self, run_id: str, ask: Ask) -> dict[str, Any]:
        record = disk.gather(self.runs, run_id, self.archive, self.project, self.clock, self.look_seconds)
        unwritten = self.unwritten(run_id, record.until)
        record = replace(record, unwritten=unwritten, recording_error=self.recording_error())
        if ask.judge:
            record = replace(record, begin={**record.begin, "judge": ask.judge})
        made = document.make(record, self.project, os.cpu_count(), self.kit_version, users=ask.users)
        if ask.baseline:
            before = disk.read(self.runs, ask.baseline, self.clock())
            made["comparison"] = comparison.document(before, record)
        is_plain = ask in (PLAIN, ANEW)
        last = disk.last_change(self.runs / run_id)
        is_whole = recorded_to_the_end(record) and not (record.unwatched or record.unwritten)
        if is_plain and record.settled and not record.is_running and is_whole and self._is_quiet(last):
            self._keep(run_id, made)
        elif not recorded_to_the_end(record):
            self._unrecorded[run_id] = record.until
        return made

    def word(self, run_id: str) -> tuple[str, tuple[str, ...]] | None:
        """Return verdict and reasons of a run whose verdict is final; None for other runs. Reads no disk."""
        return self._words.get(run_id)

    def newest_host(self) -> str:
        """Return the target of the newest run; "" without a run, or if its classes have several."""
        newest = next(reversed(self.ids()), "")
        host = str(disk.document(self.runs / newest / "run.json").get("host") or "") if newest else ""
        return host if host.startswith(("http://", "https://")) else ""

    def gist(self, run_id: str) -> dict[str, Any]:
        """Return a run in short, for a list.

        Raises:
            NoSuchRunError: there is no such run.

        """
        report = self.of(run_id)
        names = ("run_id", "state", "verdict", "passed", "started_at", "ended_at", "duration_seconds", "labels")
        figures = report["figures"]
        return {
            **{name: report[name] for name in names},
            "host": report["settings"]["host"],
            **{name: figures.get(name) for name in ("requests", "fail_ratio", "p95_ms", "requests_per_second")},
        }

    def listing(self, run_ids: Iterable[str]) -> dict[str, Any]:
        """Return runs in short, and beside them the runs that cannot be read, with the reason."""
        runs, unreadable = [], []
        for run_id in run_ids:
            try:
                runs.append(self.gist(run_id))
            except NoSuchRunError as error:
                unreadable.append({"run_id": run_id, "reason": error.line()})
        return {"schema_version": 1, "runs": runs, "unreadable": unreadable}

    def catch_up(self) -> None:
        """Judge the newest ended runs without a final verdict, and again once their incidents are recorded."""
        recorded_until = self.archive.recorded_until() if self._unrecorded and self.archive else None
        for run_id in [
            run_id for run_id, until in self._unrecorded.items() if recorded_until and until <= recorded_until
        ]:
            del self._unrecorded[run_id]
            self._judged.pop(run_id, None)
        for run_id in self.ids()[-_MOST_CAUGHT_UP:]:
            last = disk.last_change(self.runs / run_id)
            if self._is_quiet(last) and self._judged.get(run_id) != last:
                self._judged[run_id] = last
                try:
                    self.of(run_id)
                except NoSuchRunError as error:
                    _log.warning("a run could not be judged: %s", error.line())

    def _is_quiet(self, last: datetime | None) -> bool:
        """Return whether a run's last sign is old enough that all of it is known."""
        return last is not None and (self.clock() - last).total_seconds() > _SETTLED_SECONDS

    def _kept(self, run_id: str) -> dict[str, Any]:
        """Return the stored report, unless the run has a newer sign."""
        if not disk.RUN_ID.fullmatch(run_id):
            return {}
        path = self.runs / run_id
        kept, last = disk.document(path / FILE), disk.last_change(path)
        if kept.get("schema_version") != document.SCHEMA_VERSION:
            return {}
        if last is None or last.timestamp() > (path / FILE).stat().st_mtime:
            return {}
        self._words[run_id] = (str(kept["verdict"]), tuple(kept["reasons"]))
        return kept

    def _keep(self, run_id: str, made: dict[str, Any]) -> None:
        try:
            atomic.write_text(self.runs / run_id / FILE, strict_json.dumps(made, ensure_ascii=False) + "\n")
        except OSError as error:
            _log.warning("the report of %s cannot be kept: %s", run_id, error.strerror or error)
        self._words[run_id] = (made["verdict"], tuple(made["reasons"]))


class Judge(Repeated):
    """Judges each run soon after its end, however it was started."""

    def __init__(self, reports: Reports) -> None:
        self._reports, self._reported = reports, ""
        super().__init__("judge", first_in_seconds=_LOOK_SECONDS)

    def stop(self, patience_seconds: float | None = None) -> None:
        """Stop after the run that is being judged."""
        super().stop(patience_seconds)

    def turn(self) -> float:
        """Judge ended runs; log once why that fails."""
        problem = ""
        try:
            self._reports.catch_up()
        except KitError as error:
            problem = error.line()
        if problem and problem != self._reported:
            _log.warning("a run could not be judged: %s", problem)
        self._reported = problem
        return _LOOK_SECONDS

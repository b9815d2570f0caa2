"""The same facts, seen live, from the disk, and by `run` alone, are judged alike, but for what a view cannot know."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.client.documents import IncidentList
from sidecar.client.reader import MonitorError, SidecarReader
from sidecar.commands import follow
from sidecar.commands.follow import RunObserved
from sidecar.commands.plan import MasterInfo, RunPlan
from sidecar.commands.seen import FinishedRun, record_of
from sidecar.common.times import format_time
from sidecar.ledger.ledger_reader import EVERYTHING, LedgerArchive
from sidecar.model.history import IncidentQuery, RecordedSeries
from sidecar.model.incident import FINAL, ExitReason, Incident, IncidentKind, Severity
from sidecar.model.observation import PluginStatus
from sidecar.model.run_record import RunRecord, Unknown
from sidecar.model.snapshot import EndpointStats, Locust, RunStatus
from sidecar.model.threshold import parse
from sidecar.report.runs.record import gather
from sidecar.report.verdict.judge import Verdict, judge, live_record, so_far
from sidecar.settings import load
from tests.fakes.run_scene import START, after, container, incident

RUN = "20261127T010203Z-ab12"
RATE = 10

# What a view must have seen for a reason of this kind that is no incident.
NEEDED = {
    "broke_off": {Unknown.END},
    "master_restart": {Unknown.END},
    "worker_lost": {Unknown.WORKERS},
    "workers_missing": {Unknown.SECONDS, Unknown.CONTAINERS},
    "target_not_allowed": {Unknown.CLASSES},
    "generator_limits": {Unknown.CLASSES},
    "generator_cpu": {Unknown.SECONDS},
    "throttled": {Unknown.CONTAINERS},
    "users_short": {Unknown.USERS},
    "ended_early": {Unknown.END, Unknown.PLAN},
    "no_requests": {Unknown.END},
    "few_samples": {Unknown.END},
}
# Of these each view has words of its own: whose monitor was not there, what the master did.
OWN_WORDS = {"blind", "broke_off", "master_restart"}


@dataclass(frozen=True)
class Facts:
    """What happened in a run of `seconds`."""

    requests: int
    failures: int
    limit: float
    thresholds: str
    on_invalid: str
    seconds: int
    run_time: int
    wanted: int
    most: int
    gone_before: frozenset[str]
    lost: frozenset[str]
    incidents: tuple[Incident, ...]
    watched: bool
    master: str  # "", restarted or lost
    generator: int
    busy: bool
    throttled: bool
    raised: int

    @property
    def words(self) -> dict[str, Any]:
        return {
            "fail_ratio_limit": self.limit,
            "task_error_ratio_limit": 0.0,
            "thresholds": self.thresholds,
            "on_invalid": self.on_invalid,
        }

    @property
    def groups(self) -> dict[str, Any]:
        groups = [
            {"class": "task_error", "detail": "", "message": "no cart", "count": self.raised},
            {"class": "generator", "detail": "EMFILE", "message": "too many", "count": self.generator},
        ]
        return {
            "classes": {"generator": self.generator} if self.generator else {},
            "groups": [group for group in groups if group["count"]],
        }

    @property
    def performance(self) -> dict[str, Any]:
        good = {"buckets": {"100": self.requests}}
        return {"gamma": 1.02, "endpoints": [{"method": "GET", "name": "/a", "good": good}]}

    @property
    def stats(self) -> dict[str, Any]:
        """The answer of a master's /stats/requests."""
        row = {
            "method": "GET", "name": "/a", "num_requests": self.requests, "num_failures": self.failures,
            "total_rps": 2.0, "avg_response_time": 5.5, "min_response_time": 1, "max_response_time": 9,
        }  # fmt: skip
        return {"stats": [row, {**row, "method": "", "name": "Aggregated"}]}


THRESHOLDS = ["", "requests>=100", "?requests>=1000 failures<5", "p95<800 max<5", "p99<2s"]
IDS = st.frozensets(st.sampled_from(["w-1", "w-2", "w-3"]), max_size=2)
KINDS = (
    IncidentKind.OOM_KILL, IncidentKind.RESTART, IncidentKind.EXIT, IncidentKind.MASTER_RESTART,
    IncidentKind.WORKER_LOST, IncidentKind.WORKER_LEFT, IncidentKind.BLIND, IncidentKind.THROTTLED,
)  # fmt: skip


@st.composite
def incidents(draw: st.DrawFn) -> Incident:
    kind = draw(st.sampled_from(KINDS))
    second = draw(st.integers(-5, 12))
    return incident(
        kind,
        float(second),
        id=f"{kind}-{draw(st.integers(0, 3))}-{second}",
        service=draw(st.sampled_from(["locust-worker", "locust-master", "shop-db", None])),
        severity=draw(st.sampled_from([Severity.ERROR, Severity.INFO])),
        reason=draw(st.sampled_from([None, ExitReason.CRASHED, ExitReason.STOPPED])),
        count=draw(st.integers(0, 2)),
        helper=draw(st.booleans()),
        workers=tuple(draw(IDS)) if kind is IncidentKind.WORKER_LOST else (),
        project=draw(st.sampled_from(["locust", "locust", None, "shop"])),
        until=after(second),
        state=FINAL,
    )


@st.composite
def facts(draw: st.DrawFn) -> Facts:
    requests = draw(st.sampled_from([0, 1, 40, 150]))
    seconds = draw(st.integers(13, 70))
    gone = draw(IDS)
    return Facts(
        requests=requests,
        failures=draw(st.integers(0, requests)),
        limit=draw(st.sampled_from([0.0, 0.01, 0.5, 1.0])),
        thresholds=draw(st.sampled_from(THRESHOLDS)),
        on_invalid=draw(st.sampled_from(["fail", "warn"])),
        seconds=seconds,
        run_time=draw(st.sampled_from([0, seconds, 70])),
        wanted=draw(st.sampled_from([20, 50, 1000])),
        most=draw(st.sampled_from([0, 20, 50, 1000])),
        gone_before=gone,
        lost=draw(IDS) - gone,
        incidents=tuple(draw(st.lists(incidents(), max_size=4, unique_by=lambda made: made.id))),
        watched=draw(st.booleans()),
        master=draw(st.sampled_from(["", "", "", "restarted", "lost"])),
        generator=draw(st.sampled_from([0, 0, 7])),
        busy=draw(st.booleans()),
        throttled=draw(st.booleans()),
        raised=draw(st.sampled_from([0, 3])),
    )


def on_the_disk(what: Facts) -> RunRecord:
    """Write the run as the plugin leaves it, and read it with a ledger that knows the rest."""
    plan = {"users": what.wanted, "spawn_rate_per_second": RATE, "run_time_seconds": what.run_time}
    begin = {"run_id": RUN, "started_at": format_time(START), "plan": plan, "judge": what.words, "workers_at_start": 2}
    figures: dict[str, Any] = {"requests": what.requests, "failures": what.failures, "min_ms": 1, "max_ms": 9}
    figures = {**figures, "requests_per_second": 2.0}
    endpoint = {"method": "GET", "name": "/a", **figures}
    end = {"ended_at": format_time(after(what.seconds)), "most_users": what.most, "quit": what.master == "restarted"}
    lines = [
        {
            "at": format_time(after(second)), "state": "running", "users": what.most, "target_users": what.wanted,
            "workers": 2, "cpu_percent": 99.0 if what.busy else 10.0,
            "missing": sorted(what.gone_before | (what.lost if second > 5 else frozenset())),
        }
        for second in range(what.seconds + 1)
    ]  # fmt: skip
    files: dict[str, Any] = {
        "run.json": begin,
        "statistics.json": {"figures": figures, "endpoints": [endpoint]},
        "failure_groups.json": what.groups,
        "performance.json": what.performance,
        **({} if what.master == "lost" else {"end.json": end}),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / RUN
        path.mkdir()
        for name, content in files.items():
            (path / name).write_text(json.dumps(content))
        (path / "timeline.ndjson").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        archive = Ledger(what) if what.watched else None
        return gather(Path(folder), RUN, archive, "locust", lambda: after(600), 2.0)


class Ledger(LedgerArchive):
    """A ledger with the incidents of these facts, and figures of two workers."""

    def __init__(self, what: Facts) -> None:
        self._what = what

    def incidents(self, query: IncidentQuery = EVERYTHING) -> Sequence[Incident]:
        del query
        return self._what.incidents

    def recorded_until(self) -> datetime | None:
        return None

    def series(
        self, since: datetime, until: datetime, points: int, project: str | None = None
    ) -> Sequence[RecordedSeries]:
        del since, until, points, project
        return tuple(
            container(number, until=self._what.seconds, throttled_percent=60.0 if self._what.throttled else 0.0)
            for number in (1, 2)
        )


class Master:
    """What is asked of a master after a run, with the plugin or without."""

    def __init__(self, what: Facts, *, plugin: bool) -> None:
        self._what, self._plugin = what, plugin

    def status(self) -> Mapping[str, Any] | None:
        return {"failures": self._what.groups} if self._plugin else None

    def json(self, path: str) -> Mapping[str, Any]:
        if path == "/exceptions":
            return {"exceptions": [{"count": self._what.raised, "msg": "no cart"}] if self._what.raised else []}
        return self._what.performance if self._plugin else {}


def by_run_alone(what: Facts, root: Path, *, plugin: bool, attached: bool) -> RunRecord:
    """Put together what `run` saw each second, and what the monitor tells over HTTP."""
    words = [f"FAIL_RATIO={what.limit}", f"SPAWN_RATE={RATE}", f"ON_INVALID={what.on_invalid}"]
    chosen = load([*words, *(["ATTACH=1"] if attached else [])], {}, root)
    observed = RunObserved(
        started=True,
        ended=True,
        figures=what.stats,
        gone_before=what.gone_before,
        missing=what.lost,
        most_users=what.most,
        master_lost={"": "", "restarted": follow.RESTARTED, "lost": follow.LOST}[what.master],
    )
    plan = RunPlan(0 if attached else what.wanted, RATE, what.run_time, "", (), "", class_picker=False)
    about = MasterInfo((), {}, "", False, (), 0, "", "2.47.0", "")  # noqa: FBT003  no class picker
    done = FinishedRun(plan, about, RUN, observed, START, what.seconds, "", {}, parse(what.thresholds))
    known = [one for one in what.incidents if one.at <= after(what.seconds)]

    def answer(_: SidecarReader, **__: object) -> IncidentList:
        if not what.watched:
            raise MonitorError("connection refused")
        return IncidentList("locust", START, tuple(known), ())

    with patch.object(SidecarReader, "incident_list", answer):
        return record_of(Master(what, plugin=plugin), chosen, done, lambda _: None)  # type: ignore[arg-type]


def live(what: Facts) -> tuple[PluginStatus, Locust]:
    """What the monitor reads of a run: the plugin's status, of an older version, and the master's figures."""
    total = EndpointStats("", "Aggregated", what.requests, what.failures, 2.0, None) if what.requests else None
    ratio = what.failures / what.requests if what.requests else 0.0
    return (
        PluginStatus(RunStatus(RUN, "running", START)),
        Locust("running", what.most, 2.0, 0.0, ratio, None, None, 2, 2, total=total),
    )


def normal(kind: str, text: str, known: Sequence[str]) -> tuple[str, str]:
    """A reason without the words that only one view can have."""
    if text in known:
        return kind, text
    return kind, "" if kind in OWN_WORDS else re.sub(r"^stopped by .+? after", "stopped after", text)


def told(verdict: Verdict, what: Facts) -> list[tuple[str, str]]:
    known = [one.text for one in what.incidents]
    found = [normal(reason.kind, reason.text, known) for reason in verdict.broken]
    if what.master:  # a new master does not know what the users' code raised under the old one
        found = [(kind, text.partition(";")[0] if kind == "no_requests" else text) for kind, text in found]
    return found


def knowable(verdict: Verdict, what: Facts, unknown: frozenset[Unknown]) -> list[tuple[str, str]]:
    """The reasons of the view that knows all, less those that need what this one did not see."""
    of_incidents = {one.text for one in what.incidents}
    found = zip(told(verdict, what), verdict.broken, strict=True)
    return [reason for reason, full in found if full.text in of_incidents or not NEEDED.get(full.kind, set()) & unknown]


def by_figures(what: Facts, view: RunRecord, whole: Verdict) -> tuple[str, int]:
    """Word and exit code as if nothing had broken."""
    unknown = view.unknown
    if any(group["class"] == "task_error" for group in view.groups.get("groups", ())):
        return "FAIL", 1
    if what.requests and what.failures / what.requests > what.limit:
        return "FAIL", 1
    fails = [one for one in whole.thresholds if one.is_known and not one.passed and not one.threshold.is_soft]
    return ("FAIL", 3) if fails and Unknown.END not in unknown else ("PASS", 0)


def agrees(view: RunRecord, whole: RunRecord, what: Facts) -> None:
    """Hold a view's verdict against that of the view that knows all."""
    verdict, full = judge(view), judge(whole)
    expected = knowable(full, what, view.unknown)
    assert told(verdict, what) == expected
    word, code = by_figures(what, view, full)
    is_fatal = what.on_invalid == "fail" or view.unknown == frozenset(Unknown)  # a live view does not know ON_INVALID
    if expected:
        word, code = "INVALID", 4 if is_fatal else code
    assert (verdict.word, verdict.exit_code) == (word, code)
    dropped = [full for full in told(full, what) if full not in expected]
    assert not dropped or view.unknown, "what a view could not know, its record says"


@settings(deadline=None, derandomize=True, max_examples=150)
@given(facts(), st.booleans(), st.booleans())
def test_run_alone_judges_as_the_disk_does(what: Facts, plugin: bool, attached: bool) -> None:  # noqa: FBT001
    with tempfile.TemporaryDirectory() as root:
        seen = by_run_alone(what, Path(root), plugin=plugin, attached=attached)
    assert (Unknown.PLAN in seen.unknown) == attached
    whole = on_the_disk(what)
    if Unknown.TIMES in seen.unknown and Unknown.END not in seen.unknown:  # a percentile without times is no pass
        whole = replace(whole, performance={})
    agrees(seen, whole, what)


@settings(deadline=None, derandomize=True, max_examples=150)
@given(facts())
def test_the_live_view_judges_as_the_disk_does(what: Facts) -> None:
    what = replace(what, watched=True, gone_before=frozenset())  # the monitor itself is who watches
    run, locust = live(what)
    known = [one for one in what.incidents if one.project in (None, "locust")]
    record = live_record(run, locust, known, what.limit)
    assert record.unknown == frozenset(Unknown)
    agrees(record, on_the_disk(what), what)
    shown, verdict = so_far(run, locust, known, what.limit), judge(record)
    if shown is None:
        assert (what.requests, verdict.broken) == (0, ())
    else:
        assert (shown.word, [*shown.reasons] if verdict.broken else []) == (
            verdict.word,
            [reason.text for reason in verdict.broken],
        )


@settings(deadline=None, derandomize=True, max_examples=100)
@given(facts())
def test_the_disk_knows_all(what: Facts) -> None:
    record = on_the_disk(what)
    assert record.unknown == frozenset()
    agrees(record, record, what)

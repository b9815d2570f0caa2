"""One monitor, wired together: the streams, the recorder, the rounds, and the ledger."""

from __future__ import annotations

import logging
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from sidecar.client.documents import Recording
from sidecar.cluster.member import ClusterMember
from sidecar.common import process
from sidecar.common.errors import EngineError, LedgerError
from sidecar.common.records import shared
from sidecar.common.times import SECOND_NS
from sidecar.common.units import plural
from sidecar.common.version import KIT_VERSION
from sidecar.engine.cgroups import Cgroups
from sidecar.engine.container_reader import ContainerReader, monitor_engine
from sidecar.engine.events import EventStream
from sidecar.engine.host import HostReader
from sidecar.engine.kernel import KernelWatch
from sidecar.incidents.conditions import Conditions
from sidecar.incidents.gaps import LEDGER as LEDGER_GAP
from sidecar.incidents.gaps import blind_seconds
from sidecar.incidents.reducer import IncidentReducer
from sidecar.ledger.database import file_bytes
from sidecar.ledger.ledger import Ledger
from sidecar.ledger.ledger_reader import LedgerArchive
from sidecar.ledger.schema import HISTORY, LEDGER, Retention
from sidecar.ledger.store import PATIENCE_SECONDS, can_be_kept, open_store
from sidecar.locust_api.client import LocustApi
from sidecar.locust_api.connection import Credentials
from sidecar.model.history import IncidentQuery
from sidecar.model.incident import Incident, IncidentKind
from sidecar.model.observation import PluginStatus, SelfMetrics
from sidecar.model.signal import DockerEvent, Noted, OwnerLearned, Signal, Unreadable
from sidecar.model.snapshot import Blind, VerdictSoFar
from sidecar.monitor import health
from sidecar.monitor.assembly import Recorded
from sidecar.monitor.container_poller import UnreadableCounters
from sidecar.monitor.context import Context
from sidecar.monitor.followers import Followers
from sidecar.monitor.health import CheckedEndpoint, HealthChecker
from sidecar.monitor.recorder import EVENTS_ALIVE, LagMeter, Recorder
from sidecar.monitor.round_sink import RoundSink
from sidecar.monitor.sampler import Round, RoundPlan, Sampler, Sources
from sidecar.monitor.series import CounterSeries
from sidecar.notify.notifier import make_notifier
from sidecar.report.runs.reports import Judge, Reports
from sidecar.report.verdict.evidence import record_problem
from sidecar.settings.monitor import WatchSettings

_log = logging.getLogger(__name__)

_VMSTAT, _BOOT_ID = Path("/proc/vmstat"), Path("/proc/sys/kernel/random/boot_id")
_RECENT_NS = 600 * SECOND_NS
_MOST_SPANS = 1000
_LOOK_FOR_ROOM_SECONDS = 10.0
_ALERTED_BEFORE, _A_DAY = timedelta(days=2), timedelta(days=1)
_NEWS = timedelta(minutes=15)
# Read earlier events first: they show when the changes of the counters happened.
_REPLAY_SECONDS = 3.0
_REPLAY_TAKES_SECONDS = 0.3

Publish = Callable[[Sequence[Incident]], None]


class Sidecar:
    """The parts of one monitor. `publish` gets incidents after their commit, from the recorder's thread.

    Raises:
        EngineError: DOCKER_HOST is no unix socket.
        LedgerError: no folder is writable. If only the ledger's own is not, that is one of the `problems`.
    """

    def __init__(self, settings: WatchSettings, pool: Executor, publish: Publish) -> None:
        self._retention = Retention(settings.ledger_days, settings.ledger_megabytes)
        self._ledger_folder, self._next_look = Path(settings.ledger_folder), time.monotonic() + _LOOK_FOR_ROOM_SECONDS
        self._started_at = now()
        self._publish = publish
        self._blind_seconds, self._unplaced = 0.0, 0
        self._guard, self._ending = threading.Lock(), False
        self._stops: list[Callable[[], None]] = []
        credentials = Credentials(settings.locust_web_username, settings.locust_web_password, settings.web_password)
        self._locust = LocustApi(settings.locust_url, 2.0, credentials=credentials, keep_alive=True)
        self._store = open_store(self._ledger_folder, now, self._retention, _spare_folder, patience=PATIENCE_SECONDS)
        if self._store.trouble:
            _log.error("%s", self._store.trouble)
        self._ledger, self.history = self._store.ledger, self._store.history
        self.archive = LedgerArchive(self._store.folder, self.history)
        is_swarm = settings.cluster is not None
        self._containers = ContainerReader(
            monitor_engine(settings.docker_url),
            settings.project,
            watch_project=settings.watch_project,
            is_swarm=is_swarm,
        )
        streams = monitor_engine(settings.docker_url)  # of its own: stop() cuts the rounds before the streams end
        self._followers = Followers(streams, self.history)
        self._context = Context(self.history, self._followers)
        self.series = CounterSeries()
        self._lag = LagMeter()
        cgroups = Cgroups(Path(settings.cgroup_root))
        self._engine_loses_kills = cgroups.version != 1
        self._kernel = KernelWatch(cgroups, vmstat=_VMSTAT, boot_id=_BOOT_ID, put=self._put, now_ns=time.time_ns)
        self._unreadable = UnreadableCounters(self._kernel.counts)
        self._recent = self._ledger.open_incidents(time.time_ns() - _RECENT_NS)
        self._events = EventStream(streams, since_ns=_known_until(self._ledger), put=self._put, now_ns=time.time_ns)
        self._recorder = self._make_recorder(settings)
        self.cluster = self._make_cluster(settings)
        alerted = self.archive.incidents(IncidentQuery(since=now() - _ALERTED_BEFORE, limit=1000))
        self._notifier = make_notifier(settings, alerted, os.environ, clock=now, monotonic=time.monotonic)
        self._sampler = self._make_sampler(settings, pool)
        self._round_sink = self._make_round_sink(settings)
        self._plugin: PluginStatus | None = None
        self.reports = self._make_reports(settings)
        self._judge = Judge(self.reports)
        self._health = self._make_health(settings) if settings.health_seconds else None

    def start(self) -> None:
        """Start to watch. Replay events since the last stop first, as far as the engine remembers them."""
        self._begin(self.history.start, lambda: None)  # the store stops it last
        self._begin(self._followers.start, self._followers.stop)
        if self._notifier is not None:
            self._begin(self._notifier.start, self._notifier.stop)
        self._begin(lambda: self._recorder.start(self._recent), self._recorder.stop)
        self._begin(self._events.start, self._events.stop)
        if self._events.wait_until_up(_REPLAY_SECONDS):
            time.sleep(_REPLAY_TAKES_SECONDS)
        self._track_everyone()
        self._begin(self._kernel.start, self._kernel.stop)
        self._begin(self._judge.start, self._judge.stop)
        if self._health is not None:
            self._begin(self._health.start, self._health.stop)
        if self.cluster is not None:
            self._begin(self.cluster.start, self.cluster.stop)

    def stop(self) -> None:
        """Stop, also in the middle of a start. On return, everything seen so far is on disk."""
        with self._guard:
            self._ending = True
        self._containers.cut()  # a round that waits for a slow engine is not waited for
        self._locust.cut()
        while self._stops:
            self._stops.pop()()
        self._store.close()
        self._containers.close()

    def _begin(self, start: Callable[[], None], stop: Callable[[], None]) -> None:
        """Start a part, unless the monitor was stopped meanwhile. Parts are stopped in reverse order."""
        with self._guard:
            if not self._ending:
                start()
                self._stops.append(stop)

    def round(self) -> Round:
        """Make one round, with the health checks and the final verdict of an ended run."""
        made = self._sampler.sample()
        self._look_for_room()
        if self.cluster is not None:
            self.cluster.publisher.take(made.snapshot)
        if self._health is not None:
            made = replace(made, snapshot=replace(made.snapshot, health=self._health.known()))
        run, self._plugin = made.snapshot.run, made.plugin
        if run is not None and (verdict := self.reports.word(run.run_id)) is not None:
            made = replace(made, snapshot=replace(made.snapshot, verdict=VerdictSoFar(*verdict)))
        self._round_sink.take(made)
        if made.reading is not None:
            running = (readings.listed for readings in made.reading.containers if readings.listed.state == "running")
            self._unreadable.look({listed.id: listed.name for listed in running})
        return made

    def recording(self) -> Recording:
        """Return up to when incidents are on disk, and since when and why they cannot be written."""
        known = self._recorder.known()
        since = next((span.since for span in known.blind if _is_ledger_gap(span)), None)
        if self._store.trouble:
            return Recording(None, self._started_at, self._store.trouble)
        return Recording(known.recorded_until, since, known.problem)

    def _unwritten(self, run_id: str, until: datetime) -> str:
        """Return what is missing on disk of a run that ended then; "" if nothing is.

        The monitor and the plugin know it. Problems of another node since then affect no earlier run.
        """
        plugin = self._plugin
        is_newest = plugin is not None and plugin.run is not None and plugin.run.run_id == run_id
        elsewhere = self.cluster.blind() if self.cluster else ()
        gaps = (span for span in elsewhere if _is_ledger_gap(span) and span.since <= until)
        of_nodes = (f"node {span.node}: {span.text}" for span in gaps)
        return (record_problem(plugin) if plugin and is_newest else "") or self._store.trouble or next(of_nodes, "")

    def _look_for_room(self) -> None:
        """End this process once the ledger's folder is writable. The next process uses this folder."""
        if self._store.trouble and time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + _LOOK_FOR_ROOM_SECONDS
            if can_be_kept(self._ledger_folder, now, self._retention):
                _log.warning(
                    "%s can be written again: the monitor restarts to keep its ledger there", self._ledger_folder
                )
                os.kill(os.getpid(), signal.SIGTERM)

    def recorded(self) -> Recorded:
        """Return the incidents on disk, with the blind spans of other nodes."""
        known = self._recorder.known()
        blind = self.cluster.blind() if self.cluster else ()
        return replace(known, blind=(*known.blind, *blind)) if blind else known

    def own(self) -> SelfMetrics:
        """Return the monitor's metrics about itself. Reads the ledger."""
        try:
            blind = self.archive.incidents(IncidentQuery(kinds=(IncidentKind.BLIND,), limit=_MOST_SPANS))
            query = IncidentQuery(kinds=(IncidentKind.UNATTRIBUTED_OOM_KILL,), limit=_MOST_SPANS)
            unplaced = self.archive.incidents(query)
        except LedgerError as error:  # all other figures are still worth a scrape
            _log.warning("%s", error.line())
            blind, unplaced = [], []
        # The ledger forgets after a month; a counter that falls would look like a restart.
        self._blind_seconds = max(self._blind_seconds, blind_seconds(blind, now()))
        self._unplaced = max(self._unplaced, sum(incident.count for incident in unplaced))
        tally = self._notifier.tally() if self._notifier else None
        return SelfMetrics(
            started_at=self._started_at,
            cpu_seconds=process.cpu_seconds(),
            memory_bytes=process.memory_bytes(),
            blind_seconds=self._blind_seconds,
            unattributed_kills=self._unplaced,
            event_lag=self._lag.reading(),
            journal_bytes=sum(file_bytes(self._store.folder, schema) for schema in (LEDGER, HISTORY)),
            ledger_kept=not (self._store.trouble or self._recorder.known().problem),
            dropped_samples=self.history.dropped.samples,
            alerts_sent=tally.sent if tally else 0,
            alerts_dropped=tally.dropped if tally else 0,
            alerts_failed=tally.failed if tally else 0,
        )

    def _put(self, signal: Signal) -> None:
        """Process a signal in the stream's own thread, so that a dying container's counter is read in time."""
        self._recorder.put(signal)
        if not isinstance(signal, DockerEvent):
            return
        if signal.action in {"oom", "die"}:
            reading = self._kernel.read(signal.container_id)
            self._recorder.put(reading or Unreadable(time.time_ns(), signal.container_id))
        elif signal.action == "start":
            self._kernel.track(signal.container_id)
            self._followers.started(signal.container_id)
        elif signal.action == "destroy":
            self._kernel.forget(signal.container_id)
        self._sampler.inspect_soon(signal.container_id)

    def _publish_recorded(self, incidents: Sequence[Incident]) -> None:
        if self._notifier is not None:
            self._notifier.put([incident for incident in incidents if self._is_news(incident)])
        self._publish(incidents)

    def _is_news(self, incident: Incident) -> bool:
        """Return whether to alert. In a cluster only the leader alerts, and not for old incidents of other ledgers."""
        if self.cluster is None:
            return True
        return self.cluster.leads and now() - (incident.until or incident.at) < _NEWS

    def _track_everyone(self) -> None:
        try:
            for container_id, owner in self._containers.everyone():
                self._recorder.put(OwnerLearned(container_id, owner))
                self._kernel.track(container_id)
        except EngineError as error:
            _log.warning("%s", error.line())

    def problems(self) -> list[str]:
        """Return a sentence for each part of the monitor that does not work."""
        alerting = self._notifier.problems if self._notifier else ()
        dropped = self.history.dropped
        what = f"{plural(dropped.samples, 'sample')} and {plural(dropped.lines, 'log line')}"
        lost = f"{what} were not kept: the disk is too slow"
        return [
            *([self._store.trouble] if self._store.trouble else []),
            *self._kernel.problems(),
            *self._unreadable.problems(),
            *self._ledger.notes,
            *self.history.notes,
            *([self.history.trouble] if self.history.trouble else []),
            *([lost] if dropped.samples or dropped.lines else []),
            *alerting,
        ]

    def _make_recorder(self, settings: WatchSettings) -> Recorder:
        projects = [name for name in (settings.project, settings.watch_project) if name]
        reducer = self._make_reducer(projects)
        reducer.began(time.time_ns())
        return Recorder(
            self._ledger,
            reducer,
            alive_ns=self._events.alive_ns,
            publish=self._publish_recorded,
            oom_kills=self.archive.oom_kills(),
            lag=self._lag,
            node=settings.cluster.node if settings.cluster else "",
            now_ns=time.time_ns,
        )

    def _make_cluster(self, settings: WatchSettings) -> ClusterMember | None:
        if settings.cluster is None:
            return None
        put, recorded = self._recorder.put, self._recorder.known
        return ClusterMember(settings.cluster, settings.project, settings.interval, put=put, recorded=recorded, now=now)

    def note(self, incident_id: str, text: str) -> None:
        """Queue a person's note on an incident. The recorder writes it in its next turn."""
        self._recorder.put(Noted(incident_id, text))

    def health(self) -> list[str]:
        """Return all `problems`, and why incidents cannot be recorded now, if so."""
        problem = self._recorder.known().problem
        return [*([problem] if problem else []), *self.problems()]

    def _make_reducer(self, projects: Sequence[str]) -> IncidentReducer:
        """Restore the rules' state if it can be read. Without it, events of the meantime are judged less precisely."""
        make = partial(
            IncidentReducer,
            projects,
            self._context.enrich,
            incidents=self._recent,
            engine_loses_kills=self._engine_loses_kills,
        )
        try:
            return make(state=self._ledger.state())
        except (LedgerError, ValueError, KeyError, TypeError, AttributeError) as error:
            _log.warning("the state before the last stop cannot be read: %s: %s", type(error).__name__, error)
            return make()

    def _make_sampler(self, settings: WatchSettings, pool: Executor) -> Sampler:
        sources = Sources(
            engine=self._containers,
            locust=self._locust,
            host=HostReader(time.monotonic, net_dev=Path(settings.host_net_dev)),
            pool=pool,
            logs=self._followers,
            recorded=self._recorder.known,
            problems=self.problems,
            cluster=self.cluster,
        )
        plan = RoundPlan(**shared(settings, RoundPlan), interval_seconds=settings.interval)
        return Sampler(sources, plan, clock=now, monotonic=time.monotonic)

    def _make_reports(self, settings: WatchSettings) -> Reports:
        return Reports(
            Path(settings.runs_folder),
            self.archive,
            settings.project,
            now,
            KIT_VERSION,
            settings.interval,
            unwritten=self._unwritten,
            recording_error=lambda: self._recorder.known().problem,
        )

    def _make_health(self, settings: WatchSettings) -> HealthChecker:
        page = settings.web_password
        own = CheckedEndpoint(health.SIDECAR, f"http://127.0.0.1:{settings.listen[1]}/healthz", page)
        fixed = (
            CheckedEndpoint(health.MASTER, f"{settings.locust_url}/", page),
            CheckedEndpoint(health.STATISTICS, f"{settings.locust_url}/stats/requests", page),
            own,
        )
        named = tuple(CheckedEndpoint(name, url) for name, url in settings.health_urls)

        def what() -> list[CheckedEndpoint]:
            if self.cluster is not None and not self.cluster.leads:
                return [own]
            host = self.reports.newest_host() if settings.health_target else ""
            return [*fixed, *([CheckedEndpoint(health.TARGET, host)] if host else []), *named]

        try:
            earlier = self.history.health(since=now() - _A_DAY, until=now())
        except LedgerError as error:
            _log.warning("%s", error.line())
            earlier = []
        return HealthChecker(what, self.history.add_health, earlier, now, settings.health_seconds)

    def _make_round_sink(self, settings: WatchSettings) -> RoundSink:
        conditions = Conditions(settings.fail_threshold)
        conditions.restore(self._recent)
        return RoundSink(
            context=self._context,
            history=self.history,
            followers=self._followers,
            series=self.series,
            conditions=conditions,
            recorded=self._recorder.known,
            put=self._recorder.put,
            track=self._kernel.track,
            now_ns=time.time_ns,
        )


def _is_ledger_gap(span: Blind) -> bool:
    return span.source == LEDGER_GAP and span.until is None


def _spare_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="locust-kit-ledger-"))


def _known_until(ledger: Ledger) -> int | None:
    """Up to when the ledger has every event: its newest one, or the last moment at which the stream was up to date."""
    try:
        marks = [ledger.last_event_ns() or 0, ledger.state(EVENTS_ALIVE).get(EVENTS_ALIVE) or 0]
    except LedgerError as error:
        _log.warning("%s", error.line())
        return None
    return max(marks) or None


def now() -> datetime:
    """Return the time of day, in UTC."""
    return datetime.now(UTC)

"""A container's history: its runs, each with a start, the evidence of OOM kills, and an exit. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, TypeVar

from sidecar.common.times import SECOND_NS
from sidecar.model.signal import Owner

_TERMINATING = frozenset({2, 3, 6, 9, 15})
_STOP_TAKES_NS = 90 * SECOND_NS  # a stop's grace time is 10 s by default and rarely more than a minute
_KEPT_NS = 15 * SECOND_NS  # a late event, or the host's count, can still belong to a run that has ended
_MOST_RUNS = 64
STARTED_DIFFERS_NS = 3 * SECOND_NS // 2  # Docker stamps the start event a little later than StartedAt

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RunStart:
    """Identifies one start of the container.

    Attributes:
        key: the part of incident ids that names this start: its time as first known. It never changes.
        started_ns: its start by the engine's clock; None until its event or an inspect shows it.
        cgroup: the inode of its cgroup; None until a reading of the kernel's counters has shown it.
        cgroup_seen_ns: the first reading that showed the cgroup.

    """

    key: str
    started_ns: int | None = None
    cgroup: int | None = None
    cgroup_seen_ns: int = 0


@dataclass(slots=True)
class KillEvidence:
    """The evidence of a run's OOM kills: the kernel's counter, Docker's `oom` events, and the incidents made of them.

    Attributes:
        kernel: the kernel's counter at its last reading; None before the first.
        counted: kills that are recorded in incidents.
        guessed: the part of `counted` that rests on an event or an exit, because the counter could not be read.
        guessed_ns: when the last guess was made.
        unshown: kills from before the container's owner was known.
        unshown_ns: the first of them.
        grown_ns: the reading that last showed more kills.
        grown_since_ns: the reading of all counters before `grown_ns`.
        oom_ns: the last `oom` event.
        awaited: kills that the counter has shown, and whose `oom` event has not come yet.
        unawaited_ns: the last event that no kill had announced.
        pending: the times of `oom` events for which no kill was found yet.
        incident: the id of the newest incident of kills.
        incident_before: the id of the one before it.
        peak_bytes: the most memory that the run has used, if the kernel reports it.

    """

    kernel: int | None = None
    counted: int = 0
    guessed: int = 0
    guessed_ns: int = 0
    unshown: int = 0
    unshown_ns: int = 0
    grown_ns: int = 0
    grown_since_ns: int = 0
    oom_ns: int = 0
    awaited: int = 0
    unawaited_ns: int = 0
    pending: list[int] = field(default_factory=list)
    incident: str | None = None
    incident_before: str | None = None
    peak_bytes: int | None = None

    def last_ns(self) -> int:
        """Return when the last sign of a kill was seen; 0 for never."""
        return max(self.oom_ns, self.grown_ns, self.guessed_ns)


@dataclass(frozen=True, slots=True)
class RunExit:
    """How a run ended, and whether somebody asked it to end.

    Attributes:
        asked_ns: the last signal that asks a process to end; 0 for never.
        asked_signal: the number of that signal; None if the image chooses it.
        died_ns: its end; None while it is running.
        exit_code: None if nobody saw it.
        reason: an ExitReason; None while a SIGKILL is not explained.
        settled: whether the reason is final.
        exit_incident: the id of the incident of the exit, if no start followed at once.
        restart_incident: the id of the incident of the start that followed.

    """

    asked_ns: int = 0
    asked_signal: int | None = None
    died_ns: int | None = None
    exit_code: int | None = None
    reason: str | None = None
    settled: bool = False
    exit_incident: str | None = None
    restart_incident: str | None = None


@dataclass(slots=True)
class ContainerRun:
    """One start of a container, up to its end.

    ::

        start event, new cgroup, inspect                       stop, kill
                    │                                              │
                    ▼                                              ▼
                 RUNNING ───────────────────────────────────► STOP REQUESTED
        exit.died_ns is None                            exit.asked_ns > 0, died_ns None
             │      ▲   └─ oom event, counter grows: `kills`       │
             │      └───────── more than 90 s without an end ──────┤
             ▼                                                     ▼
           ENDED ◄──────────────── die, or an inspect ─────────────┘
        exit.died_ns is set; exit.reason may still change: an `oom` event, a `stop`
        or the host's count can be late, and takes it back to here until it is
             │
             ▼  3.5 s later, with Docker's events arriving
          SETTLED  (exit.settled)  ──► forgotten after 15 s, unless it is the newest run
    """

    container_id: str
    owner: Owner
    start: RunStart
    kills: KillEvidence = field(default_factory=KillEvidence)
    exit: RunExit = RunExit()
    memory_limit_bytes: int | None = None

    @property
    def alive(self) -> bool:
        """Return whether no exit was seen so far."""
        return self.exit.died_ns is None

    def stop_requested(self) -> bool:
        """Return whether somebody asked it to end, shortly before it did."""
        return self.exit.died_ns is not None and 0 < self.exit.asked_ns >= self.exit.died_ns - _STOP_TAKES_NS

    def request_stop(self, ns: int, signal: int | None) -> None:
        """Note that a signal was sent to it; None is a `stop` or `restart`, whose signal the image chooses."""
        if signal is None or signal in _TERMINATING:
            self.exit = replace(self.exit, asked_ns=ns, asked_signal=signal or self.exit.asked_signal)

    def to_json(self) -> dict[str, Any]:
        """Return the whole run for the ledger, in one flat object: its keys are a contract with older monitors."""
        flat = {**asdict(self.start), **asdict(self.kills), **asdict(self.exit)}
        return {
            "container_id": self.container_id,
            "owner": asdict(self.owner),
            "memory_limit_bytes": self.memory_limit_bytes,
            **flat,
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> ContainerRun:
        """Read what `to_json` wrote; unknown keys are ignored."""
        return cls(
            container_id=value["container_id"],
            owner=Owner(**value["owner"]),
            start=_part(RunStart, value),
            kills=_part(KillEvidence, value),
            exit=_part(RunExit, value),
            memory_limit_bytes=value.get("memory_limit_bytes"),
        )


def _part(record: type[T], value: dict[str, Any]) -> T:
    names = {each.name for each in fields(record)}  # type: ignore[arg-type]  # a dataclass: there is no bound for one
    return record(**{name: item for name, item in value.items() if name in names})


@dataclass(slots=True)
class ContainerHistory:
    """One container: its last few runs, oldest first, and its restart count by the engine."""

    container_id: str
    owner: Owner
    runs: list[ContainerRun] = field(default_factory=list)
    restarts: int | None = None
    unseen_since_ns: int = 0
    destroyed_ns: int = 0

    @property
    def current(self) -> ContainerRun | None:
        """Return the newest run; None before the first."""
        return self.runs[-1] if self.runs else None

    def is_quiet(self) -> bool:
        """Return whether the passing of time changes nothing about it. Most containers are quiet most of the time."""
        return len(self.runs) == 1 and self.runs[0].alive and not self.runs[0].kills.pending

    def owned_by(self, owner: Owner) -> None:
        """Set the owner, which is better known now: a reading of the kernel's counters has only the id."""
        self.owner = owner
        for run in self.runs:
            run.owner = owner

    def begin(self, key: str, started_ns: int | None) -> ContainerRun:
        """Start a new run."""
        before = self.current
        run = ContainerRun(self.container_id, self.owner, RunStart(key, started_ns))
        if before is not None:
            run.memory_limit_bytes = before.memory_limit_bytes
        self.runs = [*self.runs, run][-_MOST_RUNS:]
        return run

    def forget(self, now_ns: int) -> None:
        """Forget runs that ended long ago; the newest stays."""
        kept = [run for run in self.runs[:-1] if run.alive or (run.exit.died_ns or 0) > now_ns - _KEPT_NS]
        self.runs = kept + self.runs[-1:]

    def dying(self) -> ContainerRun | None:
        """Return the run that a newly reported exit belongs to: the oldest run without an exit."""
        return next((run for run in self.runs if run.alive), None)

    def end(self, at_ns: int) -> ContainerRun:
        """Return the run that ended at this time.

        A cgroup that was first seen after the end belongs to the next start. A run that was too short for its own to be
        read, and whose end comes late, was given it by mistake. Then one run becomes two here.
        """
        run = self.dying() or self.begin(f"end-{at_ns}", None)
        if run.start.cgroup is None or run.start.cgroup_seen_ns <= at_ns:
            return run
        ended = ContainerRun(self.container_id, self.owner, replace(run.start, cgroup=None, cgroup_seen_ns=0))
        ended.memory_limit_bytes = run.memory_limit_bytes
        ended.exit = RunExit(asked_ns=run.exit.asked_ns, asked_signal=run.exit.asked_signal)
        run.start = replace(run.start, key=f"cgroup-{run.start.cgroup}", started_ns=None)
        run.exit = replace(run.exit, asked_ns=0)
        _split_kills(run.kills, ended.kills, at_ns)
        self.runs.insert(self.runs.index(run), ended)
        return ended

    def starting(self, at_ns: int) -> ContainerRun | None:
        """Return the run that this start belongs to, if the kernel's counters or an inspect have shown it first."""
        for run in self.runs:
            known = run.start.started_ns is not None and 0 <= at_ns - run.start.started_ns < STARTED_DIFFERS_NS
            if run.alive and (run.start.started_ns is None or known):
                return run
        return None

    def before(self, run: ContainerRun) -> ContainerRun | None:
        """Return the run before this one; None for the first."""
        place = self.runs.index(run)
        return self.runs[place - 1] if place else None

    def of_cgroup(self, cgroup: int, at_ns: int) -> ContainerRun:
        """Find or begin the run of this cgroup: each start makes a cgroup of its own.

        A reading can see the new cgroup before the events of the old one's end and of the new start.
        """
        for run in self.runs:
            if run.start.cgroup == cgroup:
                return run
        current = self.current
        if current is None or not current.alive or current.start.cgroup is not None:
            current = self.begin(f"cgroup-{cgroup}", None)
        current.start = replace(current.start, cgroup=cgroup, cgroup_seen_ns=at_ns)
        return current

    def to_json(self) -> dict[str, Any]:
        """Return the whole history for the ledger; its keys are a contract with older monitors."""
        return {
            "container_id": self.container_id,
            "owner": asdict(self.owner),
            "lives": [run.to_json() for run in self.runs],
            "restarts": self.restarts,
            "destroyed_ns": self.destroyed_ns,
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> ContainerHistory:
        """Read what `to_json` wrote."""
        return cls(
            container_id=value["container_id"],
            owner=Owner(**value["owner"]),
            runs=[ContainerRun.from_json(run) for run in value["lives"]],
            restarts=value.get("restarts"),
            destroyed_ns=value.get("destroyed_ns", 0),
        )


def _split_kills(later: KillEvidence, ended: KillEvidence, at_ns: int) -> None:
    """Move to the ended run the kills that were recorded for the run after it by mistake."""
    ended.pending = [ns for ns in later.pending if ns <= at_ns]
    ended.oom_ns = later.oom_ns if later.oom_ns <= at_ns else 0
    later.pending = [ns for ns in later.pending if ns > at_ns]
    if later.guessed and later.guessed_ns <= at_ns:
        ended.guessed = ended.counted = later.guessed
        ended.guessed_ns, ended.incident = later.guessed_ns, later.incident
        later.counted, later.guessed, later.guessed_ns = later.counted - later.guessed, 0, 0
        later.incident = later.incident if later.counted else None

"""A container's lives: each start of it is one, with a kernel counter and an end of its own. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from sidecar.common.times import SECOND_NS
from sidecar.model.signal import Owner

_TERMINATING = frozenset({2, 3, 6, 9, 15})
_ASKED_WITHIN_NS = 90 * SECOND_NS  # a stop's grace time is 10 s by default and rarely more than a minute
_KEPT_NS = 15 * SECOND_NS  # an ended life can still be what a late event, or the host's count, speaks of
_MOST_LIVES = 64
STARTED_DIFFERS_NS = 3 * SECOND_NS // 2  # the start event is stamped a little after StartedAt


@dataclass(slots=True)
class ContainerRun:
    """One start of a container, up to its end.

    `key` is its mark in incident ids: the start as it was first known. `counted` are the OOM kills recorded in it, of
    which `guessed` rest on an event or an exit because the kernel's counter was not there to be read; `kernel` is that
    counter when it last was. `grown_ns` is the reading that last found more kills, `asked_ns` the last signal that asks
    a process to end. `pending` are the times of `oom` events that no kill has been found for yet; `awaited` is the
    reverse: kills found in the counter whose event is still to come. `unawaited_ns` is the last event that was not.
    `unshown` kills came before it was known whose container it is, the first of them at `unshown_ns`.
    """

    container_id: str
    owner: Owner
    key: str
    started_ns: int | None = None
    cgroup: int | None = None
    cgroup_seen_ns: int = 0
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
    asked_ns: int = 0
    asked_signal: int | None = None
    died_ns: int | None = None
    exit_code: int | None = None
    reason: str | None = None
    settled: bool = False
    incident: str | None = None
    incident_before: str | None = None
    exit_incident: str | None = None
    restart_incident: str | None = None
    memory_limit_bytes: int | None = None
    peak_bytes: int | None = None

    @property
    def alive(self) -> bool:
        """Whether its end has not been seen."""
        return self.died_ns is None

    def was_asked(self) -> bool:
        """Whether somebody asked it to end, shortly before it did."""
        return self.died_ns is not None and 0 < self.asked_ns >= self.died_ns - _ASKED_WITHIN_NS

    def ask(self, ns: int, signal: int | None) -> None:
        """Note that a signal was sent to it; None is a `stop` or `restart`, whose signal the image chooses."""
        if signal is None or signal in _TERMINATING:
            self.asked_ns, self.asked_signal = ns, signal or self.asked_signal

    def last_kill_ns(self) -> int:
        """When the last sign of an OOM kill in it was seen; 0 for never."""
        return max(self.oom_ns, self.grown_ns, self.guessed_ns)

    def to_json(self) -> dict[str, Any]:
        """Everything, for the ledger."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> ContainerRun:
        """Read what `to_json` wrote; fields that are unknown here are passed over."""
        known = {one.name for one in fields(cls)}
        kept = {name: item for name, item in value.items() if name in known}
        return cls(**{**kept, "owner": Owner(**kept["owner"])})


@dataclass(slots=True)
class ContainerHistory:
    """One container: its last few lives, oldest first, and how often the engine says it was restarted."""

    container_id: str
    owner: Owner
    lives: list[ContainerRun] = field(default_factory=list)
    restarts: int | None = None
    unseen_since_ns: int = 0
    destroyed_ns: int = 0

    @property
    def current(self) -> ContainerRun | None:
        """The newest life."""
        return self.lives[-1] if self.lives else None

    def is_quiet(self) -> bool:
        """Whether time alone changes nothing about it: most containers, most of the time."""
        return len(self.lives) == 1 and self.lives[0].alive and not self.lives[0].pending

    def owned_by(self, owner: Owner) -> None:
        """Take better knowledge of whose container it is: a reading of the kernel knows nothing but the id."""
        self.owner = owner
        for life in self.lives:
            life.owner = owner

    def begin(self, key: str, started_ns: int | None) -> ContainerRun:
        """Start a new life."""
        before = self.current
        life = ContainerRun(self.container_id, self.owner, key, started_ns)
        if before is not None:
            life.memory_limit_bytes = before.memory_limit_bytes
        self.lives = [*self.lives, life][-_MOST_LIVES:]
        return life

    def forget(self, now_ns: int) -> None:
        """Let go of lives that ended long ago; the newest stays."""
        kept = [life for life in self.lives[:-1] if life.alive or (life.died_ns or 0) > now_ns - _KEPT_NS]
        self.lives = kept + self.lives[-1:]

    def dying(self) -> ContainerRun | None:
        """The life that an end now reported belongs to: the oldest that has none yet."""
        return next((life for life in self.lives if life.alive), None)

    def end(self, at_ns: int) -> ContainerRun:
        """Return the life that ended at this time.

        A cgroup that was first seen after the end is the next start's: a life too short for its own to be read, and of
        which the end was told late, has been given it by mistake. Then the two are told apart here.
        """
        life = self.dying() or self.begin(f"end-{at_ns}", None)
        if life.cgroup is None or life.cgroup_seen_ns <= at_ns:
            return life
        ended = ContainerRun(self.container_id, self.owner, life.key, life.started_ns)
        ended.memory_limit_bytes = life.memory_limit_bytes
        ended.asked_ns, ended.asked_signal = life.asked_ns, life.asked_signal
        ended.pending = [ns for ns in life.pending if ns <= at_ns]
        ended.oom_ns = life.oom_ns if life.oom_ns <= at_ns else 0
        life.key, life.started_ns, life.asked_ns = f"cgroup-{life.cgroup}", None, 0
        life.pending = [ns for ns in life.pending if ns > at_ns]
        if life.guessed and life.guessed_ns <= at_ns:
            ended.guessed = ended.counted = life.guessed
            ended.guessed_ns, ended.incident = life.guessed_ns, life.incident
            life.counted, life.guessed, life.guessed_ns = life.counted - life.guessed, 0, 0
            life.incident = None if not life.counted else life.incident
        self.lives.insert(self.lives.index(life), ended)
        return ended

    def starting(self, at_ns: int) -> ContainerRun | None:
        """The life that this start belongs to, when the kernel's counters or an inspect have shown it first."""
        for life in self.lives:
            known = life.started_ns is not None and 0 <= at_ns - life.started_ns < STARTED_DIFFERS_NS
            if life.alive and (life.started_ns is None or known):
                return life
        return None

    def before(self, life: ContainerRun) -> ContainerRun | None:
        """The life before this one."""
        place = self.lives.index(life)
        return self.lives[place - 1] if place else None

    def of_cgroup(self, cgroup: int, at_ns: int) -> ContainerRun:
        """Find or begin the life whose cgroup this is: each start makes a cgroup of its own.

        A reading can see the new cgroup before the engine has told of the old one's end or of the new start.
        """
        for life in self.lives:
            if life.cgroup == cgroup:
                return life
        current = self.current
        if current is None or not current.alive or current.cgroup is not None:
            current = self.begin(f"cgroup-{cgroup}", None)
        current.cgroup, current.cgroup_seen_ns = cgroup, at_ns
        return current

    def to_json(self) -> dict[str, Any]:
        """Everything, for the ledger."""
        return {
            "container_id": self.container_id,
            "owner": asdict(self.owner),
            "lives": [life.to_json() for life in self.lives],
            "restarts": self.restarts,
            "destroyed_ns": self.destroyed_ns,
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> ContainerHistory:
        """Read what `to_json` wrote."""
        return cls(
            container_id=value["container_id"],
            owner=Owner(**value["owner"]),
            lives=[ContainerRun.from_json(life) for life in value["lives"]],
            restarts=value.get("restarts"),
            destroyed_ns=value.get("destroyed_ns", 0),
        )

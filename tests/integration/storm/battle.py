"""A storm of OOM kills in three waves: what happens in it, and the truth about it afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from tests.integration.stacks import until
from tests.integration.storm import kernel
from tests.integration.storm.account import Account, account
from tests.integration.storm.judgement import Judgement, judge
from tests.integration.storm.truth import Truth, resting, truth_of
from tests.integration.storm.victims import DIE_AT_ONCE, Shape, Victim, Ward, eater

MAIN_QUICK = Shape("main", eater("main", "4", "0.2"), restart="on-failure")
MAIN_SLOW = Shape("main-slow", eater("main", "3", "1.3"), restart="always")
PARENT = Shape("parent", eater("parent", "6", "0.5"))
FIGHT = Shape("fight", eater("fight", "4", "4"), memory="64m")
EXEC = Shape("exec", eater("wait"), exec_kids=3)
BOTH = Shape("both", eater("both", "2", "2"), restart="on-failure")
EXITS = Shape("exits", eater("exits", "1", "3"))
FLASH = Shape("flash", DIE_AT_ONCE, restart="on-failure:2", memory="24m")
ONE_OFF = Shape("one-off", DIE_AT_ONCE, memory="24m", one_off=True)
BYSTANDER = Shape("bystander", eater("wait"))
PROBED = Shape("probed", eater("wait"), probed=True)

Waves = tuple[tuple[Shape, ...], tuple[Shape, ...], tuple[Shape, ...]]
SHORT: Waves = (  # 54 kills
    (PROBED, MAIN_SLOW, PARENT, FIGHT, BYSTANDER),
    (FLASH, ONE_OFF, MAIN_QUICK),
    (BOTH, EXITS, EXEC, FLASH, ONE_OFF, PARENT),
)
FULL: Waves = (  # 229 kills
    (*[PROBED] * 3, *[MAIN_SLOW] * 3, *[PARENT] * 6, *[FIGHT] * 3, BYSTANDER, BYSTANDER),
    (*[FLASH] * 2, *[ONE_OFF] * 4, *[MAIN_QUICK] * 3, FIGHT, EXEC),
    (*[BOTH] * 3, *[EXITS] * 3, EXEC, *[FLASH] * 3, *[ONE_OFF] * 4, *[PARENT] * 5, FIGHT, MAIN_QUICK),
)
CALM_SECONDS = 5.0  # longer than the sidecar takes to settle what it was told late


@dataclass(slots=True)
class Battle:
    """One storm that goes on in a ward. `patience_seconds`: how long to wait for each part of it to come to its end."""

    ward: Ward
    victims: list[Victim] = field(default_factory=list)
    kills_before: int = field(default_factory=kernel.host_kills)
    began_ns: int = field(default_factory=time.time_ns)
    patience_seconds: float = 120.0

    def wave(self, shapes: tuple[Shape, ...]) -> None:
        """Have this happen too."""
        self.victims += [self.ward.admit(shape) for shape in shapes]

    def over(self) -> None:
        """Wait until nothing more can happen."""
        for victim in self.victims:
            if victim.said is None:
                until(partial(resting, victim), self.patience_seconds, f"{victim.shape.name} to come to rest")

    def fight(self, waves: Waves, between: tuple[Callable[[], object], Callable[[], object]]) -> None:
        """All three waves, and what is to be done after the first and after the second, while it goes on."""
        self.wave(waves[0])
        between[0]()
        self.wave(waves[1])
        between[1]()
        self.wave(waves[2])
        self.over()

    def truths(self) -> list[Truth]:
        """What happened."""
        return [truth_of(victim) for victim in self.victims]

    def host_kills(self) -> int:
        """OOM kills that the kernel counted since the storm began, strangers' among them."""
        return kernel.host_kills() - self.kills_before

    def judged(self, port: int, *more_projects: str) -> Judgement:
        """Hold the truth against the account of the sidecar at this port, once that has come to rest.

        Args:
            port: of the sidecar's API, on loopback.
            more_projects: Compose projects of the test beside the ward's own.
        """
        truths = self.truths()
        calm = Calm()
        until(
            lambda: calm.at_rest(account(port)), self.patience_seconds, "the sidecar's counts to be final and to stay"
        )
        assert calm.last is not None
        return judge(truths, calm.last.since(self.began_ns), self.host_kills(), {self.ward.project, *more_projects})


@dataclass(slots=True)
class Calm:
    """Watches an account until nothing in it has changed for a while. `last` is the newest one."""

    last: Account | None = None
    since: float = 0.0

    def at_rest(self, now: Account | None) -> bool:
        """Take a newer account; tell whether its counts are final and have been the same for long enough."""
        if now is None or self.last is None or counts(now) != counts(self.last):
            self.last, self.since = now, time.monotonic()
            return False
        self.last = now
        return now.settled() and time.monotonic() - self.since >= CALM_SECONDS


def counts(one: Account) -> list[tuple[str, int]]:
    """What must not change any more."""
    return sorted((kill.id, kill.count) for kind in ("oom_kill", "unattributed_oom_kill") for kill in one.of_kind(kind))

"""What the tests of the push share: rows, a world that stands still, and a receiver that is made up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from locust_kit.failures.classes import FailureClass
from locust_kit.failures.records import Record
from locust_kit.push.counts import PushCounts
from locust_kit.push.pace import RetryPace
from locust_kit.push.post import PushAnswer
from locust_kit.push.row_queue import RowQueue
from locust_kit.push.sender import BatchSender, PushRuntime
from locust_kit.push.spool import Spool

NOW = 1_800_000_000.0


def record(number: int = 0) -> Record:
    return Record(
        at=NOW,
        user_class="Shopper",
        method="GET",
        name="/cart",
        url="http://shop.example/cart",
        status=500,
        response_ms=12.34,
        length=0,
        exception="HTTPError",
        message=f"row {number}",
        kind=FailureClass.SERVER_ERROR,
        detail="500",
    )


def records(count: int) -> list[Record]:
    return [record(number) for number in range(count)]


def at_once(work: Callable[..., Any], *args: Any) -> Any:
    return work(*args)


@dataclass
class Receiver:
    """Answers with the statuses given, then with 200; keeps what it got."""

    answers: list[PushAnswer] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)

    def __call__(self, body: bytes, idempotency_key: str) -> PushAnswer:
        self.bodies.append(body)
        self.keys.append(idempotency_key)
        return self.answers.pop(0) if self.answers else PushAnswer(200)


class Bench:
    """A spool, a sender and a queue in a world whose clock is moved by hand; chance is always at its most."""

    def __init__(self, runs: Path, answers: Sequence[PushAnswer] = (), spool_bytes: int = 10**9) -> None:
        self.now = 1000.0
        self.receiver = Receiver(list(answers))
        self.counts = PushCounts()
        self.spool = Spool(runs)
        self.spool.labels["run-1"] = {"team": "shop"}
        runtime = PushRuntime(lambda: self.now, lambda: NOW, lambda: 1.0, at_once)
        self.sender = BatchSender(self.spool, self.receiver, self.counts, RetryPace(), runtime)
        self.queue = RowQueue(self.spool, self.sender, self.counts, spool_bytes, runtime)

    def put(self, rows: int, run_id: str = "run-1") -> None:
        self.queue.add(run_id, records(rows))
        self.queue.spool()

    def drain(self, most_steps: int = 100) -> list[float]:
        """Step until nothing waits, each time when it is due; the pauses on the way."""
        pauses: list[float] = []
        for _ in range(most_steps):
            pause = self.sender.step()
            if pause is None:
                return pauses
            if pause:
                pauses.append(pause)
            self.now += pause
        raise AssertionError(f"still waiting after {most_steps} steps")


def files(runs: Path) -> list[str]:
    return sorted(str(path.relative_to(runs)) for path in runs.rglob("*") if path.is_file())

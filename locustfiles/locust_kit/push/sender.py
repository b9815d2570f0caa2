"""Send the batches of the spool in order, one at a time; each answer decides when the next attempt is."""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from locust_kit.disk import off_loop
from locust_kit.push.batch import Spooled
from locust_kit.push.counts import PushCounts
from locust_kit.push.pace import RetryPace
from locust_kit.push.post import BatchFate, Post, PushAnswer
from locust_kit.push.spool import Spool

_LASTING = 3  # failed attempts in a row before a log line: a single one is not worth it


@dataclass(frozen=True, slots=True)
class PushRuntime:
    """Clocks, random numbers and the disk's thread, passed in so that tests need not wait.

    `clock` is monotonic, `wall` is since 1970, both in seconds; `random` is from 0 to 1.
    """

    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    random: Callable[[], float] = random.random
    off_loop: Callable[..., Any] = off_loop


class BatchSender:
    """The waiting batches, and when the first may be sent. `step` never sleeps: it returns how long to sleep."""

    def __init__(self, spool: Spool, post: Post, counts: PushCounts, pace: RetryPace, runtime: PushRuntime) -> None:
        self._spool = spool
        self._post = post
        self._counts = counts
        self._pace = pace
        self._runtime = runtime
        self._waiting: deque[Spooled] = deque()
        self._failures = 0
        self._not_before = 0.0
        self._pause_is_requested = False  # the end of a run does not shorten such a pause
        self._hurry_until = 0.0

    @property
    def waiting_rows(self) -> int:
        """Return how many rows are in the spool."""
        return sum(batch.rows for batch in self._waiting)

    @property
    def waiting_bytes(self) -> int:
        """Return how many bytes are in the spool."""
        return sum(batch.size for batch in self._waiting)

    def add(self, *batches: Spooled) -> None:
        """Append batches to the waiting ones."""
        self._waiting.extend(batches)

    def hurry(self) -> None:
        """At the end of a run, try again at once, and use the shortest pauses for some seconds."""
        self._hurry_until = self._runtime.clock() + self._pace.hurry
        if not self._pause_is_requested:
            self._not_before = 0.0

    def step(self) -> float | None:
        """Send the first batch if it is time; return the seconds until the next step, None if no batch waits."""
        if not self._waiting:
            return None
        early = self._not_before - self._runtime.clock()
        if early > 0:
            return early
        head = self._waiting[0]
        try:
            content = self._runtime.off_loop(head.path.read_bytes)
        except FileNotFoundError:
            return self._lose(head, "the file of a batch is missing in the spool; its rows are lost")
        except OSError as error:
            return self._again(PushAnswer(broken=f"cannot read the spool: {error.strerror}"))
        return self._after(head, self._post(content, head.batch.idempotency_key))

    def _after(self, head: Spooled, answer: PushAnswer) -> float:
        fate = answer.fate
        if fate is BatchFate.AGAIN:
            return self._again(answer)
        if fate is BatchFate.KEPT:
            return self._keep(answer)
        if fate is BatchFate.TAKEN:
            return self._taken(head)
        if fate is BatchFate.TOO_LARGE and head.rows > 1:
            return self._split(head)
        self._counts.last_error = answer.text
        self._counts.refused_rows += head.rows
        self._counts.log_once(f"the receiver rejects batches, so they are dropped: {answer.text}")
        return self._done(head)

    def _taken(self, head: Spooled) -> float:
        self._counts.accepted(head.rows, self._runtime.wall())
        return self._done(head)

    def _done(self, head: Spooled) -> float:
        self._waiting.popleft()
        self._at_once()
        try:
            self._runtime.off_loop(head.path.unlink)
        except OSError as error:
            self._counts.log_once(f"cannot delete a sent batch, so the next master sends it again: {error.strerror}")
        return 0.0

    def _lose(self, head: Spooled, why: str) -> float:
        self._counts.dropped_rows += head.rows
        self._counts.log_once(why)
        self._waiting.popleft()
        return 0.0

    def _split(self, head: Spooled) -> float:
        try:
            halves = self._runtime.off_loop(self._spool.split, head)
        except OSError as error:
            return self._again(PushAnswer(broken=f"cannot cut a batch that is too large: {error.strerror}"))
        except (ValueError, KeyError):
            return self._lose(head, "the file of a batch in the spool is damaged; its rows are lost")
        self._waiting.popleft()
        self._waiting.extendleft(reversed(halves))
        self._at_once()
        return 0.0

    def _again(self, answer: PushAnswer) -> float:
        self._failures += 1
        if self._failures == _LASTING:
            self._counts.log_once_an_outage(
                f"the receiver does not accept batches; they wait in the spool: {answer.text}"
            )
        asked = self._pace.asked(answer.retry_after, self._runtime.wall())
        in_a_hurry = self._runtime.clock() < self._hurry_until
        own = self._pace.backoff(1 if in_a_hurry else self._failures, self._runtime.random)
        return self._pause(answer, asked or own, is_requested=asked > 0)

    def _keep(self, answer: PushAnswer) -> float:
        self._failures += 1
        self._counts.log_once_an_outage(
            f"the receiver rejects the key or redirects; batches wait in the spool: {answer.text}"
        )
        return self._pause(answer, self._pace.most, is_requested=True)

    def _pause(self, answer: PushAnswer, seconds: float, *, is_requested: bool) -> float:
        self._counts.retries += 1
        self._counts.last_error = answer.text
        self._not_before = self._runtime.clock() + seconds
        self._pause_is_requested = is_requested
        return seconds

    def _at_once(self) -> None:
        self._failures, self._not_before, self._pause_is_requested = 0, 0.0, False

"""Sends the batches of the spool in order, one at a time, and decides after each answer when to try next."""

from __future__ import annotations

from collections import deque

from .answers import BatchFate, PushAnswer
from .batch import Spooled
from .counts import Counts
from .outside import Outside
from .pace import RetryPace
from .post import Post
from .spool import Spool

_LASTING = 3  # failed tries in a row that are worth a line: one alone is nothing to look after


class BatchSender:
    """What waits, and when it may be tried. `step` never sleeps: it says how long to."""

    def __init__(self, spool: Spool, post: Post, counts: Counts, pace: RetryPace, outside: Outside) -> None:
        self._spool = spool
        self._post = post
        self._counts = counts
        self._pace = pace
        self._outside = outside
        self._waiting: deque[Spooled] = deque()
        self._failures = 0
        self._not_before = 0.0
        self._is_asked = False  # whether the pause is the receiver's wish, which a run's end does not override
        self._hurry_until = 0.0

    @property
    def waiting_rows(self) -> int:
        """Rows in the spool."""
        return sum(one.rows for one in self._waiting)

    @property
    def waiting_bytes(self) -> int:
        """Bytes in the spool."""
        return sum(one.size for one in self._waiting)

    def add(self, *batches: Spooled) -> None:
        """Have batches sent after those that wait already."""
        self._waiting.extend(batches)

    def hurry(self) -> None:
        """Try again at once, and with the shortest pauses for some seconds: a run has ended."""
        self._hurry_until = self._outside.clock() + self._pace.hurry
        if not self._is_asked:
            self._not_before = 0.0

    def step(self) -> float | None:
        """Try the first batch if it is time; return the seconds until the next step, None when nothing waits."""
        if not self._waiting:
            return None
        early = self._not_before - self._outside.clock()
        if early > 0:
            return early
        head = self._waiting[0]
        try:
            content = self._outside.off_loop(head.path.read_bytes)
        except FileNotFoundError:
            return self._lose(head, "a batch is gone from the spool")
        except OSError as error:
            return self._again(PushAnswer(broken=f"the spool cannot be read: {error.strerror}"))
        return self._after(head, self._post(content, head.batch.idempotency_key))

    def _after(self, head: Spooled, answer: PushAnswer) -> float:
        verdict = answer.verdict
        if verdict is BatchFate.AGAIN:
            return self._again(answer)
        if verdict is BatchFate.KEPT:
            return self._keep(answer)
        if verdict is BatchFate.TAKEN:
            return self._taken(head)
        if verdict is BatchFate.TOO_LARGE and head.rows > 1:
            return self._split(head)
        self._counts.last_error = answer.told
        self._counts.refused_rows += head.rows
        self._counts.say_once(f"the receiver refuses batches, which are given up: {answer.told}")
        return self._done(head)

    def _taken(self, head: Spooled) -> float:
        self._counts.accepted(head.rows, self._outside.wall())
        return self._done(head)

    def _done(self, head: Spooled) -> float:
        self._waiting.popleft()
        self._at_once()
        try:
            self._outside.off_loop(head.path.unlink)
        except OSError as error:
            self._counts.say_once(f"a batch stays in the spool, and the next master sends it again: {error.strerror}")
        return 0.0

    def _lose(self, head: Spooled, why: str) -> float:
        self._counts.dropped_rows += head.rows
        self._counts.say_once(why)
        self._waiting.popleft()
        return 0.0

    def _split(self, head: Spooled) -> float:
        try:
            halves = self._outside.off_loop(self._spool.split, head)
        except OSError as error:
            return self._again(PushAnswer(broken=f"a batch too large cannot be cut: {error.strerror}"))
        except (ValueError, KeyError):
            return self._lose(head, "a batch in the spool is no document any more")
        self._waiting.popleft()
        self._waiting.extendleft(reversed(halves))
        self._at_once()
        return 0.0

    def _again(self, answer: PushAnswer) -> float:
        self._failures += 1
        if self._failures == _LASTING:
            self._counts.say_once_an_outage(
                f"the receiver does not accept batches, which wait in the spool: {answer.told}"
            )
        asked = self._pace.asked(answer.retry_after, self._outside.wall())
        in_a_hurry = self._outside.clock() < self._hurry_until
        own = self._pace.backoff(1 if in_a_hurry else self._failures, self._outside.random)
        return self._pause(answer, asked or own, is_asked=asked > 0)

    def _keep(self, answer: PushAnswer) -> float:
        self._failures += 1
        self._counts.say_once_an_outage(
            f"the receiver does not take the key or the address, batches are kept: {answer.told}"
        )
        return self._pause(answer, self._pace.most, is_asked=True)

    def _pause(self, answer: PushAnswer, seconds: float, *, is_asked: bool) -> float:
        self._counts.retries += 1
        self._counts.last_error = answer.told
        self._not_before = self._outside.clock() + seconds
        self._is_asked = is_asked
        return seconds

    def _at_once(self) -> None:
        self._failures, self._not_before, self._is_asked = 0, 0.0, False

"""From recorded incidents to sent messages, in a thread of its own, so that a slow receiver delays nothing else."""

from __future__ import annotations

import json
import logging
import queue
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Protocol

from sidecar.common.backoff import Backoff
from sidecar.common.repeated import Repeated
from sidecar.model.incident import Incident
from sidecar.notify.policy import AlertPolicy, Message
from sidecar.settings import SECRET_FILES
from sidecar.settings.monitor import WatchSettings

_log = logging.getLogger(__name__)

_ROOT = Path(__file__).resolve().parents[2]
# Apprise gives a receiver 4 s to connect and 4 s between two bytes of its answer. Loading Apprise takes 1 s of CPU
# time, which can take many seconds on a machine under load.
TIMEOUT_SECONDS = 45.0
MOST_QUEUED = 1000  # batches of incidents
MOST_MESSAGES = 20
MOST_TRIES = 6  # 2 s, 4 s, ... 32 s apart: about a minute in all
_LONGEST_WAIT_SECONDS = 60.0
_PATIENCE = Backoff(first_seconds=2.0, most_seconds=60.0)


class MessageSender:
    """Sends with `sidecar.notify.send`.

    Args:
        environ: the monitor's environment, for proxies and certificates; secrets are not passed on.
        timeout_seconds: how long one message may take, for all receivers together.
    """

    def __init__(self, environ: Mapping[str, str], timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._environ = {name: value for name, value in environ.items() if name not in SECRET_FILES.values()}
        self._timeout_seconds = timeout_seconds
        self._lock = Lock()
        self._process: subprocess.Popen[str] | None = None
        self._closed = False

    def send(self, urls: Sequence[str], message: Message | None) -> tuple[str, ...]:
        """Send a message to all URLs at the same time; return for each "" or the reason of the failure.

        Without a message nothing is sent, and the reasons name the URLs that Apprise does not understand.
        """
        job = {"urls": list(urls), "title": "", "body": "", "type": ""}
        if message is not None:
            job |= {"title": message.title, "body": message.body, "type": message.tone.value}
        try:
            output = self._run(json.dumps(job))
        except OSError as error:
            return (f"the sending process could not be started: {error.strerror}",) * len(urls)
        answers = dict(_answers(output))
        return tuple(answers.get(number, "no answer in time") for number in range(len(urls)))

    def close(self) -> None:
        """End the current sending, and start no other. For any thread."""
        with self._lock:
            self._closed = True
            if self._process is not None:
                self._process.kill()

    def _run(self, job: str) -> str:
        with self._lock:
            if self._closed:
                return ""
            process = self._process = subprocess.Popen(
                [sys.executable, "-m", "sidecar.notify.send"],
                cwd=_ROOT,
                env=self._environ,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # a traceback shows the arguments that caused it
                text=True,
            )
        try:
            output, _ = process.communicate(job, timeout=self._timeout_seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()  # answers that came before stay valid
        finally:
            with self._lock:
                self._process = None
        return output


def _answers(output: str) -> list[tuple[int, str]]:
    """Read the lines of the sending process. Half a line, from a process that was ended, is ignored."""
    answers = []
    for line in output.splitlines():
        try:
            answer = json.loads(line)
            answers.append((int(answer["url"]), "" if answer["sent"] else str(answer["why"])))
        except (ValueError, KeyError, TypeError):
            continue
    return answers


class Transport(Protocol):
    """Sends a message to its receivers."""

    def send(self, urls: Sequence[str], message: Message | None) -> tuple[str, ...]:
        """Return "" or the reason of the failure for each URL; without a message, only check the URLs."""

    def close(self) -> None:
        """End the current sending."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How many messages had which result, counted for each receiver, and how many incidents got no message."""

    sent: int = 0
    failed: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class _Outgoing:
    """A message on its way, with the numbers of the URLs that have not taken it yet."""

    message: Message
    urls: tuple[int, ...]
    backoff: Backoff


@dataclass(eq=False)
class Notifier(Repeated):
    """Takes incidents with `put`, from any thread, and sends the messages that its policy makes of them.

    Args:
        urls: the receivers; they are secrets, so logs show only their numbers.
        policy: decides what is worth a message.
        sender: sends.
        clock: the time of day.
        monotonic: a clock in seconds that never jumps.
    """

    urls: Sequence[str] = field(repr=False)
    policy: AlertPolicy
    sender: Transport
    _: KW_ONLY
    clock: Callable[[], datetime]
    monotonic: Callable[[], float]

    def __post_init__(self) -> None:
        """Prepare the thread; nothing is sent before `start`."""
        self._queue: queue.Queue[tuple[Incident, ...] | None] = queue.Queue(MOST_QUEUED)
        self._outbox: deque[_Outgoing] = deque()
        self._is_checked = False
        self._unqueued = 0
        self._tally = Tally()
        self.problems: tuple[str, ...] = ()  # one sentence for each URL that cannot work; known soon after the start
        super().__init__("notifier")

    def put(self, incidents: Iterable[Incident]) -> None:
        """Hand over recorded incidents. Never waits: incidents that a full queue cannot take are counted."""
        # Without their evidence, which no message shows and which would fill the queue.
        batch = tuple(replace(incident, evidence=()) for incident in incidents if self.policy.wants(incident))
        if not batch:
            return
        try:
            self._queue.put_nowait(batch)
        except queue.Full:
            self._unqueued += len(batch)

    def stop(self, patience_seconds: float | None = 1.0) -> None:
        """End within a second; messages that are not sent by then are lost."""
        self._stopping.set()
        self.sender.close()
        with suppress(queue.Full):  # a full queue wakes the thread as well
            self._queue.put_nowait(None)
        super().stop(patience_seconds)

    def tally(self) -> Tally:
        """Return the results of all messages so far."""
        return replace(self._tally, dropped=self._tally.dropped + self._unqueued + self.policy.dropped)

    def _check(self) -> None:
        answers = self.sender.send(self.urls, None)
        self.problems = tuple(
            f"ALERT_URLS number {number} is {why}"
            for number, why in enumerate(answers, 1)
            if why.startswith("not under")
        )
        for problem in self.problems:
            _log.error("%s", problem)

    def turn(self) -> float:
        """Wait for incidents or for the next message that is due, and process them."""
        if not self._is_checked:
            self._check()
            self._is_checked = True
        try:
            batch = self._queue.get(timeout=self._pause_seconds())
        except queue.Empty:
            batch = ()
        now = self.clock()
        self.policy.take(batch or (), now)
        if message := self.policy.due(now):
            self._post(message)
        self._send_next()
        return 0.0

    def _pause_seconds(self) -> float:
        now = self.clock()
        waits = [_LONGEST_WAIT_SECONDS]
        if (at := self.policy.next_at(now)) is not None:
            waits.append((at - now).total_seconds())
        waits += [outgoing.backoff.next_try_seconds - self.monotonic() for outgoing in self._outbox]
        return max(0.0, min(waits))

    def _post(self, message: Message) -> None:
        if len(self._outbox) == MOST_MESSAGES:
            self._outbox.popleft()
            self._tally = replace(self._tally, dropped=self._tally.dropped + 1)
        self._outbox.append(_Outgoing(message, tuple(range(len(self.urls))), _PATIENCE))

    def _send_next(self) -> None:
        """Try one message that is due; new ones come first. A message that failed waits longer each time."""
        now = self.monotonic()
        due = [outgoing for outgoing in self._outbox if outgoing.backoff.due(now)]
        if not due:
            return
        outgoing = min(due, key=lambda outgoing: outgoing.backoff.failures)
        self._outbox.remove(outgoing)
        answers = self.sender.send([self.urls[number] for number in outgoing.urls], outgoing.message)
        failed = {number: why for number, why in zip(outgoing.urls, answers, strict=True) if why}
        self._tally = replace(self._tally, sent=self._tally.sent + len(outgoing.urls) - len(failed))
        if not failed or self._stopping.is_set():
            return
        backoff = outgoing.backoff.failed(self.monotonic())
        reasons = ", ".join(f"number {number + 1}: {why}" for number, why in failed.items())
        if backoff.failures >= MOST_TRIES:
            self._tally = replace(self._tally, failed=self._tally.failed + len(failed))
            _log.error("an alert was dropped after %d tries: ALERT_URLS %s", backoff.failures, reasons)
            return
        _log.warning("an alert was not delivered and will be sent again: ALERT_URLS %s", reasons)
        self._outbox.append(replace(outgoing, urls=tuple(failed), backoff=backoff))


def make_notifier(
    settings: WatchSettings,
    recorded: Iterable[Incident],
    environ: Mapping[str, str],
    *,
    clock: Callable[[], datetime],
    monotonic: Callable[[], float],
) -> Notifier | None:
    """Return the notifier, not yet started; None without ALERT_URLS.

    Args:
        settings: the receivers, the kinds of incidents, and the cool-down.
        recorded: incidents of the last days that an earlier monitor recorded; they are not reported again.
        environ: the monitor's environment.
        clock: the time of day.
        monotonic: a clock in seconds that never jumps.
    """
    if not settings.alert_urls:
        return None
    policy = AlertPolicy(settings.project, settings.alert_kinds, settings.alert_cooldown_seconds)
    policy.restore(recorded)
    return Notifier(settings.alert_urls, policy, MessageSender(environ), clock=clock, monotonic=monotonic)

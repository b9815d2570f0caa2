"""The engine's container events as they happen, with every gap reported.

The stream ends for many reasons. The daemon or the proxy stops (end of file), or the proxy hangs (no data). The engine
drops events if a reader takes more than 0.1 s, and then the stream goes on with a hole.

There are two threads. One only reads, parses and puts. The other asks every two seconds, on its own connection, which
events the engine remembers since the last proof. That proves three things at once: the way through the proxy is open,
the engine answers, and the stream has delivered all its events.
"""

from __future__ import annotations

import json
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator

from sidecar.common.backoff import Backoff
from sidecar.common.errors import EngineError
from sidecar.common.text import clean
from sidecar.common.times import SECOND_NS, unix_time
from sidecar.common.units import plural
from sidecar.engine.docker_engine import DockerEngine, EngineStream, Filters, Query
from sidecar.engine.fields import OddAnswerError, Payload, full_id, label, label_number, record
from sidecar.engine.labels import owner
from sidecar.engine.transport import BrokenAnswerError
from sidecar.model.signal import DockerEvent, Signal, StreamDown, StreamUp

# All events of a container's life and death. exec_* is left out: each health check alone makes three of them.
VERBS = (
    "create",
    "start",
    "die",
    "oom",
    "kill",
    "stop",
    "restart",
    "destroy",
    "pause",
    "unpause",
    "rename",
    "health_status",
)
_LATEST_NS = 2**63 - 1  # the largest value of a column in the journal
FILTERS = {"type": ["container"], "event": list(VERBS)}


def parse_event(payload: Payload, *, raw: str = "", received_ns: int = 0) -> DockerEvent | None:
    """Read one event; None if it is not a container's, not one of our actions, or not in the form of an event.

    A container's labels are among the attributes and override Docker's own: a label `exitCode` may hold anything. This
    function must not raise: an event that breaks the stream would be read again and break it again, for ever.
    """
    action, _, health = label(payload, "Action").partition(":")
    if payload.get("Type") != "container" or action not in VERBS:
        return None
    try:
        actor = record(payload.get("Actor"), "Actor")
        container_id, attributes = full_id(actor.get("ID")), record(actor.get("Attributes"), "Attributes")
    except OddAnswerError:
        return None
    if not (ns := event_ns(payload)):
        return None
    return DockerEvent(
        ns=ns,
        action=action,
        container_id=container_id,
        owner=owner(label(attributes, "name"), attributes),
        exit_code=label_number(attributes, "exitCode") if action == "die" else None,
        signal=label_number(attributes, "signal") if action == "kill" else None,
        health=clean(health.strip()) or None,
        received_ns=received_ns,
        raw=raw,
    )


def parse_line(line: bytes, received_ns: int) -> DockerEvent | None:
    """Read one line of the stream; None if it is not one of our events, or not a JSON object."""
    payload = read_line(line)
    return parse_event(payload, raw=line.decode("utf-8", "replace"), received_ns=received_ns) if payload else None


def read_line(line: bytes) -> Payload | None:
    """Read the JSON object of one line; None for anything else, because one bad line must not end the stream."""
    try:
        payload = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return payload if isinstance(payload, dict) else None


def event_ns(payload: Payload) -> int:
    """Return when the event happened, in nanoseconds since 1970; 0 if it has no time."""
    return _moment(payload.get("timeNano"), 1) or _moment(payload.get("time"), SECOND_NS)


def _moment(value: object, unit_ns: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        return 0
    return value * unit_ns if 0 < value * unit_ns <= _LATEST_NS else 0


_log = logging.getLogger(__name__)

# Docker may publish events a little out of the order of their stamps. The journal drops repeated ones.
_OVERLAP_NS = SECOND_NS
_EVER_NS = SECOND_NS  # a moment before all that an engine remembers
_FAILED_PROBES = 2  # one probe may be slow on an overloaded machine; a hung proxy fails them all
# Not longer, because the engine forgets within seconds while many health checks run. A try costs next to nothing.
_LONGEST_PAUSE_SECONDS = 1.0
_REMEMBERED_KEYS = 4096
_LONGEST_LINE_BYTES = 1 << 20  # an event has its container's labels; a longer one is skipped
_PROBLEMS = (OSError, EngineError)

Key = tuple[int, str, str]


class EventStream:
    """Puts an Event for each container event of the engine, StreamDown when it breaks, StreamUp when it is back.

    A reconnect overlaps, so it may put events twice. Their identity is (ns, action, container_id).

    Args:
        engine: the engine to read. The stream is down while it does not answer or shares no API version.
        since_ns: the time up to which the ledger has everything; None if it has nothing.
        put: takes each signal; called in the stream's threads, and must not block.
        now_ns: the clock, in nanoseconds since 1970.
        probe_seconds: how often the watchdog asks.
        timeout_seconds: how long the opening or a probe may wait for its answer.
    """

    def __init__(
        self,
        engine: DockerEngine,
        *,
        since_ns: int | None,
        put: Callable[[Signal], None],
        now_ns: Callable[[], int],
        probe_seconds: float = 2.0,
        timeout_seconds: float = 3.0,
    ) -> None:
        self._engine, self._put, self._now_ns = engine, put, now_ns
        self._probe_seconds, self._timeout_seconds = probe_seconds, timeout_seconds
        self._since_ns = since_ns  # the last event read: the next opening asks for a replay from there
        self._alive_ns = since_ns  # up to when nothing is missing, as far as the stream knows
        self._proven_ns = since_ns or 0  # up to when the watchdog has proven it
        self._feed: EngineStream | None = None
        self._is_up: bool | None = None  # None: neither was reported yet
        self._given_up = ""  # why the watchdog has cut the stream
        self._guard = threading.Lock()  # for all that both threads use: the feed, the keys, the three times
        self._keys: set[Key] = set()
        self._order: deque[Key] = deque()
        self._missing: set[Key] = set()
        self._stopping = threading.Event()
        self._was_up = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Start to read and to watch."""
        for name, work in (("events", self._read_on), ("events-watchdog", self._watch_on)):
            thread = threading.Thread(target=work, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """End both threads; returns within a second or so, a quiet stream or not."""
        self._stopping.set()
        self._was_up.set()  # no thread must wait for it any more
        self._cut()
        for thread in self._threads:
            thread.join(timeout=1.0)

    def wait_until_up(self, seconds: float) -> bool:
        """Wait until the stream was open for the first time; return False if that took longer."""
        return self._was_up.wait(seconds)

    def alive_ns(self) -> int:
        """Return up to when every event was put; 0 if nothing is known yet.

        A writer must read it first, and only then take the signals out of the queue. Otherwise the ledger would claim a
        later time than it has.
        """
        with self._guard:
            return self._alive_ns or 0

    def _read_on(self) -> None:
        backoff = Backoff(first_seconds=0.1, most_seconds=_LONGEST_PAUSE_SECONDS)
        while not self._stopping.is_set():
            opened_ns = self._now_ns()
            why = self._session()
            if self._stopping.is_set():
                return
            self._say_down(why)
            if self._now_ns() - opened_ns >= SECOND_NS:
                backoff = backoff.succeeded()
            now = self._now_ns() / SECOND_NS
            backoff = backoff.failed(now)
            self._stopping.wait(backoff.next_try_seconds - now)

    def _session(self) -> str:
        """Open the stream and read it to its end; return why it ended."""
        try:
            feed = self._open()
            for line in _lines(feed):
                self._take(line)
        except BrokenAnswerError:  # an end without a last chunk: how engines and proxies stop
            return self._given_up or "the stream ended"
        except _PROBLEMS as error:
            return self._given_up or str(error) or type(error).__name__
        except Exception as error:  # noqa: BLE001 -- the top of a stream: no error may end it for good
            _log.exception("the event stream broke")
            return f"{type(error).__name__}: {error}"
        else:
            return self._given_up or "the stream ended"
        finally:
            with self._guard:
                ended, self._feed = self._feed, None
            if ended is not None:
                ended.close()

    def _open(self) -> EngineStream:
        with self._guard:
            known_ns = self._alive_ns
            since_ns = None if self._since_ns is None else self._since_ns - _OVERLAP_NS
            lost_time = known_ns is not None and known_ns > self._now_ns() + _OVERLAP_NS
            if lost_time:  # the clock was set back: nobody knows from when on events are missing
                since_ns, self._alive_ns, self._proven_ns = _EVER_NS, self._now_ns(), self._now_ns()
            since = None if since_ns is None else unix_time(since_ns)
            query: Query = {"filters": json.dumps(FILTERS), "since": since}
            feed = EngineStream(self._engine, "events", "/events", query, self._timeout_seconds)
            self._feed, self._given_up = feed, ""
        if self._stopping.is_set():  # stop() may have run before there was a feed
            feed.cut()
        self._engine.api_version()  # before the moment from which on the stream listens
        opened_ns = self._now_ns()
        feed.open()
        covered = known_ns is None or (not lost_time and self._reaches_back_to(known_ns))
        with self._guard:
            self._missing.clear()
            if known_ns is None:
                self._alive_ns = self._since_ns = self._proven_ns = opened_ns
        self._is_up = True
        self._was_up.set()
        self._put(StreamUp(self._now_ns(), since_ns, covered))
        return feed

    def _reaches_back_to(self, known_ns: int) -> bool:
        """Return whether the engine's buffer holds all events since `known_ns`.

        The buffer is a queue in the daemon's memory. While it has an event from before that moment, it has all later
        ones, and the daemon did not restart. Such an event always existed: the monitor's own start. The stream is open
        before this check, so an event that drops out in between can only turn a true into a false.
        """
        held = self._remembered(1, self._now_ns(), {})
        return any(event_ns(payload) <= known_ns for payload in map(read_line, held) if payload)

    def _take(self, line: bytes) -> None:
        event = parse_line(line, self._now_ns())
        if event is None:
            return
        self._put(event)
        with self._guard:
            self._remember(_key(event))
            # The last event read, not the latest stamp: after a clock was set back, later events must not be hidden.
            self._since_ns = event.ns
            self._alive_ns = max(self._alive_ns or 0, event.ns)

    def _remember(self, key: Key) -> None:
        if key not in self._keys:
            self._keys.add(key)
            self._order.append(key)
            if len(self._order) > _REMEMBERED_KEYS:
                self._keys.discard(self._order.popleft())

    def _say_down(self, why: str) -> None:
        if self._is_up is not False:
            self._is_up = False
            self._put(StreamDown(self.alive_ns() or self._now_ns(), why))

    def _watch_on(self) -> None:
        failures = 0
        while not self._stopping.wait(self._probe_seconds):
            with self._guard:
                feed = self._feed if self._is_up else None
            if feed is None:
                failures = 0
                continue
            try:
                self._probe(feed)
                failures = 0
            except _PROBLEMS:
                failures += 1
            except Exception:  # noqa: BLE001 -- the top of a thread
                _log.exception("the event stream's watchdog failed")
                failures += 1
            if failures >= _FAILED_PROBES:
                failures = 0
                self._give_up(feed, "Docker does not answer any more")

    def _remembered(self, since_ns: int, until_ns: int, filters: Filters) -> list[bytes]:
        return self._engine.events(unix_time(since_ns), unix_time(until_ns), filters, self._timeout_seconds)

    def _probe(self, feed: EngineStream) -> None:
        """Ask which events the engine remembers since the last proof, and compare them with the stream's."""
        asked_ns = self._now_ns()
        proven_ns = min(self._proven_ns, asked_ns)  # a clock was set back: `since` must not be after `until`
        held = self._remembered(proven_ns, asked_ns, FILTERS)
        remembered = {_key(event) for line in held if (event := parse_line(line, 0)) and event.ns > proven_ns}
        with self._guard:
            if feed is not self._feed:
                return
            missing = remembered - self._keys
            deaf = missing & self._missing  # missing in two probes: at the first one they may have been on their way
            self._missing = missing
            if not missing:
                self._proven_ns = asked_ns
                self._alive_ns = max(self._alive_ns or 0, asked_ns)
            elif deaf:
                # Events were dropped on the way. The engine still remembers them, so go back to before them.
                self._since_ns = self._alive_ns = min(ns for ns, _, _ in deaf) - 1
        if deaf:
            self._give_up(feed, f"the stream left out {plural(len(deaf), 'event')}")

    def _give_up(self, feed: EngineStream, why: str) -> None:
        self._given_up = why
        feed.cut()

    def _cut(self) -> None:
        with self._guard:
            feed = self._feed
        if feed is not None:
            feed.cut()


def _key(event: DockerEvent) -> Key:
    return event.ns, event.action, event.container_id


def _lines(stream: EngineStream) -> Iterator[bytes]:
    """Yield each whole line of a stream as it comes, until the stream ends."""
    rest = b""
    while part := stream.read():
        *whole, rest = (rest + part).split(b"\n")
        for line in whole:
            if line.strip():
                yield line
        if len(rest) > _LONGEST_LINE_BYTES:
            rest = b""  # the rest of this line is the end of a JSON string, not an event

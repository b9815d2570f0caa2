"""Check the messages between master and workers, so that an unreadable or impossible message ends neither of them.

Locust reads each message in one greenlet. An exception ends this greenlet for good, and then the master receives
nothing more. So the plugin checks each message before Locust handles it. It counts and skips messages that would
break Locust.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import gevent
import zmq
from locust.exception import RPCError, RPCReceiveError
from locust.rpc.protocol import Message
from locust.rpc.zmqrpc import BaseSocket, Server
from locust.runners import (
    STATE_CLEANUP,
    STATE_INIT,
    STATE_RUNNING,
    STATE_SPAWNING,
    STATE_STOPPED,
    STATE_STOPPING,
    MasterRunner,
)
from msgpack.exceptions import ExtraData
from zmq.error import ZMQError

from locust_kit.guard import WarnOnce
from locust_kit.patches import Patches
from locust_kit.refusals import Refusals
from locust_kit.report_check import ImpossibleError, number, users
from locust_kit.texts import sendable

LARGEST_BYTES = 32 << 20
"""Largest message to the master: libzmq closes the connection of a sender of a larger one before it is in memory."""

_YIELD_SECONDS = 0.02
_LONGEST_TYPE, _LONGEST_ID, _LONGEST_VERSION = 200, 1000, 100
_LONGEST_MESSAGE, _LONGEST_TRACEBACK, _MOST_LOG_LINES = 10_000, 100_000, 2000
_STATES = {STATE_INIT, STATE_SPAWNING, STATE_RUNNING, STATE_CLEANUP, STATE_STOPPING, STATE_STOPPED}

Received = tuple[str, Any]


def _heartbeat(data: Any, _: str) -> None:
    if not isinstance(data, dict) or data.get("state") not in _STATES:
        raise ImpossibleError("a heartbeat with an unknown state", data)
    number(data.get("current_cpu_usage"), "heartbeat: current_cpu_usage", most=1e6)
    number(data.get("current_memory_usage", 0), "heartbeat: current_memory_usage")


def _ready(version: Any, _: str) -> None:
    if version and version != -1 and not (isinstance(version, str) and len(version) <= _LONGEST_VERSION):
        raise ImpossibleError("client_ready: not a Locust version", version)


def _spawned(data: Any, _: str) -> None:
    if not isinstance(data, dict):
        raise ImpossibleError("spawning_complete without users", data)
    users(data.get("user_classes_count"))


def _logs(data: Any, worker: str) -> None:
    lines = data.get("logs") if isinstance(data, dict) else None
    if not isinstance(lines, list) or len(lines) > _MOST_LOG_LINES or not all(type(line) is str for line in lines):
        raise ImpossibleError("logs: not lines of a log", data)
    if data.get("worker_id") != worker:
        raise ImpossibleError("logs of another worker", data.get("worker_id"))


def _raised(data: Any, _: str) -> None:
    if not (isinstance(data, dict) and type(data.get("msg")) is str and type(data.get("traceback")) is str):
        raise ImpossibleError("exception: message and traceback must be texts", data)
    data.update(msg=data["msg"][:_LONGEST_MESSAGE], traceback=data["traceback"][-_LONGEST_TRACEBACK:])


def _locustfile(data: Any, _: str) -> None:
    if not (isinstance(data, dict) and isinstance(data.get("version"), str)):
        raise ImpossibleError("locustfile: not a Locust version", data)


def _anything(_: Any, __: str) -> None:
    """Accept any data: Locust does not read it, or another check reads it."""


_KNOWN: dict[str, Callable[[Any, str], None]] = {
    "client_ready": _ready,
    "client_stopped": _anything,
    "exception": _raised,
    "heartbeat": _heartbeat,
    "locustfile": _locustfile,
    "logs": _logs,
    "quit": _anything,
    "spawning": _anything,
    "spawning_complete": _spawned,
    "stats": _anything,  # intake.py checks reports before Locust hands them out
}


class Inbox:
    """Checks each message on the master before Locust handles it."""

    def __init__(self, runner: MasterRunner, refusals: Refusals) -> None:
        self._runner = runner
        self._refusals = refusals
        self._yielded = time.monotonic()

    def listen(self) -> None:
        """Check all messages from the sockets of this process before Locust gets them."""
        runner: Any = self._runner
        handle = runner.handle_message

        def handled(client_id: str, message: Any) -> None:
            try:
                handle(client_id, message)
            except Exception as error:  # noqa: BLE001  whatever it is, Locust must hear the next message
                self._refusals.add(client_id, f"{message.type}: {type(error).__name__}", error)

        runner.handle_message = handled
        _Installed.inbox = self

    def receive(self, receive: Callable[[], Received]) -> Received:
        """Return the next message that Locust can handle."""
        while True:
            self._let_others_run()
            worker = "somebody"
            try:
                worker, message = receive()
                self._check(worker, message)
            except ImpossibleError as refused:
                self._refusals.add(worker, refused.reason, refused.value)
            except RPCReceiveError as error:
                self._refusals.add(error.addr or worker, "not a Locust message", _first_cause(error))
            except (RPCError, ZMQError):
                raise  # the socket itself: Locust makes a new one
            except Exception as error:  # noqa: BLE001  whatever can be wrong with what came from a network
                self._refusals.add(worker, "not a Locust message", error)
            else:
                return worker, message

    def _check(self, worker: str, message: Any) -> None:
        if type(message.type) is not str or len(message.type) > _LONGEST_TYPE:
            raise ImpossibleError("a message without a type", message.type)
        if message.node_id != worker:
            raise ImpossibleError(f"{message.type} in the name of another worker", message.node_id)
        if len(worker) > _LONGEST_ID:
            raise ImpossibleError(f"a worker id longer than {_LONGEST_ID} characters")
        check = _KNOWN.get(message.type) or (_anything if message.type in self._runner.custom_messages else None)
        if check is None:
            raise ImpossibleError("a message of an unknown type", message.type)
        check(message.data, worker)

    def _let_others_run(self) -> None:
        """Let other greenlets run now and then: reading a waiting message does not yield."""
        if time.monotonic() - self._yielded > _YIELD_SECONDS:
            gevent.sleep(0)
            self._yielded = time.monotonic()


def _first_cause(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


class _Installed:
    """The inbox of this process; without one, Locust receives every message unchecked."""

    inbox: Inbox | None = None


def install() -> None:
    """Patch Locust's sockets before it opens one. Raises AttributeError if this Locust has other sockets."""
    warn = WarnOnce("reading a message")

    def limited(original: Callable[..., None], socket: Any, kind: int, *rest: Any) -> None:
        original(socket, kind, *rest)
        if kind == zmq.ROUTER:
            socket.socket.setsockopt(zmq.MAXMSGSIZE, LARGEST_BYTES)

    def received(original: Callable[..., Received], server: Server) -> Received:
        inbox = _Installed.inbox
        return inbox.receive(lambda: original(server)) if inbox else original(server)

    def unserialized(original: Callable[[bytes], Message], data: bytes) -> Message:
        try:
            return original(data)
        except Exception as error:
            broken: Exception = ExtraData(None, b"")  # type: ignore[no-untyped-call]
            raise broken from error  # of all that msgpack raises, Locust expects this

    def serialized(original: Callable[..., bytes], message: Message) -> bytes:
        try:
            return original(message)
        except Exception as error:  # noqa: BLE001  halves of surrogates, and objects of a test's own
            warn(error)
            return original(Message(message.type, sendable(message.data), message.node_id))

    with Patches() as patches:
        patches.wrap(BaseSocket, "__init__", limited)
        patches.wrap(BaseSocket, "recv_from_client", received)
        patches.wrap(Message, "serialize", serialized)
        patches.wrap(Message, "unserialize", unserialized)

"""What a stall of the loop is: code that held it, a machine without a free processor, or many users at once."""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

import gevent
import pytest
from gevent.monkey import get_original
from locust_kit import memory
from locust_kit.meters import watch
from locust_kit.meters.loop import LoopMeter
from locust_kit.meters.stack import GARBAGE_COLLECTION, StackSample, sample
from locust_kit.meters.stall import BLOCKED, BUSY, HOLDS_THE_INTERPRETER, STARVED, Stall

HASH = "locustfile.py:23 log_in → hashlib.pbkdf2_hmac"
GET = "locustfile.py:9 buy → locust.clients.HttpSession.get"
ONE = [StackSample(1, HASH), StackSample(1, HASH)]
SEVERAL = [StackSample(1, HASH), StackSample(2, HASH), StackSample(3, HASH)]
CLIENTS = [
    StackSample(1, GET, is_in_client=True),
    StackSample(2, GET, is_in_client=True),
    StackSample(3, GET, is_in_client=True),
]
IN_THE_LOOP = [StackSample(9, ""), StackSample(9, "")]


@pytest.mark.parametrize(
    ("stall", "parts"),
    [
        (Stall(0.4, 0.0, 0.0, ONE), {BLOCKED: (0.4, HASH)}),  # in a call of the system
        (Stall(0.4, 0.39, 0.0, ONE), {BLOCKED: (0.4, HASH)}),
        (Stall(0.4, 0.39, 0.0, SEVERAL), {BLOCKED: (0.4, HASH)}),  # many users in turn, each for less than 100 ms
        (Stall(0.4, 0.39, 0.0, CLIENTS), {BUSY: (0.4, "")}),
        (Stall(0.4, 0.39, 0.0, IN_THE_LOOP), {BUSY: (0.4, "")}),
        (Stall(0.4, 0.39, 0.0, [CLIENTS[0], CLIENTS[0]]), {BLOCKED: (0.4, GET)}),  # one user's, for all of it
        (Stall(0.4, 0.03, 0.36, CLIENTS), {STARVED: (0.36, "")}),
        (Stall(0.4, 0.03, 0.36, ONE), {STARVED: (0.36, "")}),  # the rest of it is shorter than 100 ms
        (Stall(0.4, 0.2, 0.2, ONE), {BLOCKED: (0.4, HASH)}),  # beside other work on the machine
        (Stall(0.4, 0.01, 0.0, IN_THE_LOOP), {STARVED: (0.4, "")}),  # a paused container
        (Stall(0.4, 0.01, 0.0, CLIENTS), {STARVED: (0.4, "")}),
        (Stall(0.4, 0.01, None, IN_THE_LOOP), {STARVED: (0.4, "")}),  # a kernel that does not tell
        (Stall(0.4, 0.01, None, ONE), {BLOCKED: (0.4, HASH)}),
        (Stall(0.4, 0.39, 0.0, [], 0.4), {BLOCKED: (0.4, HOLDS_THE_INTERPRETER)}),
        (Stall(0.4, 0.39, 0.0, CLIENTS[:1], 0.3), {BLOCKED: (0.4, HOLDS_THE_INTERPRETER)}),
        (Stall(0.4, 0.39, 0.0, ONE[:1], 0.3), {BLOCKED: (0.4, HASH)}),
        (Stall(0.4, 0.15, 0.25, CLIENTS[:1], 0.3), {STARVED: (0.25, ""), BUSY: (0.15, "")}),  # the looks were late, too
        (Stall(0.15, 0.07, 0.08, ONE), {}),
    ],
)
def test_the_cause_of_a_stall_is_told(stall: Stall, parts: dict[str, tuple[float, str]]) -> None:
    found = {kind: (round(seconds, 6), place) for kind, (seconds, place) in stall.parts().items()}
    assert found == parts


def test_stalls_are_counted_by_kind_and_place_and_merged() -> None:
    one, other = LoopMeter(), LoopMeter()
    for seconds in (0.4, 0.6):
        one.add(Stall(seconds, 0.0, 0.0, ONE))
    other.add(Stall(0.3, 0.0, 0.0, ONE))
    other.add(Stall(0.3, 0.0, 0.3, ONE))
    merged = LoopMeter.merged({"w-1": one.document(), "w-2": other.document(), "w-3": LoopMeter().document()})
    assert merged[BLOCKED] == {"count": 3, "seconds": 1.3, "longest_ms": 600}
    assert merged["places"] == [{"place": HASH, **merged[BLOCKED]}]
    assert merged["worst"][BLOCKED] == {
        "worker": "w-1",
        "observed_seconds": 0.0,
        "count": 2,
        "seconds": 1.0,
        "longest_ms": 600,
        "places": [{"place": HASH, "count": 2, "seconds": 1.0, "longest_ms": 600}],
    }
    assert merged["worst"][STARVED]["worker"] == "w-2"
    assert LoopMeter.moment(merged) == {
        "blocked_seconds": 1.0,
        "by_worker": {
            "w-1": {"blocked_seconds": 1.0, "starved_seconds": 0.0},
            "w-2": {"blocked_seconds": 0.3, "starved_seconds": 0.3},
        },
    }
    assert LoopMeter.moment(LoopMeter.merged({})) == {"blocked_seconds": 0.0, "by_worker": {}}


def test_places_and_workers_are_bounded() -> None:
    meter = LoopMeter()
    for number in range(100):
        meter.add(Stall(1.0, 0.0, 0.0, [StackSample(1, f"locustfile.py:{number} f")]))
    document = meter.document()
    assert len(document["places"]) == 21
    assert document["places"][0] == {"place": "other places", "count": 80, "seconds": 80.0, "longest_ms": 1000}
    merged = LoopMeter.merged({f"w-{number}": document for number in range(60)})
    assert len(merged["places"]) == 21
    assert merged[BLOCKED]["count"] == 6000
    assert len(LoopMeter.moment(merged)["by_worker"]) == 5


@pytest.mark.parametrize("bad", [None, 7, "x", {"seconds": float("nan")}, {"seconds": -1}, {"seconds": "9"}, [1]])
def test_what_a_worker_sends_in_another_form_counts_nothing(bad: Any) -> None:
    document = {BLOCKED: bad, STARVED: bad, BUSY: bad, "places": bad, "observed_seconds": bad}
    merged = LoopMeter.merged({"w-1": document, "w-2": {}})
    assert merged[BLOCKED] == {"count": 0, "seconds": 0.0, "longest_ms": 0}
    assert LoopMeter.moment(merged)["by_worker"] == {}


HERE = "tests/unit/plugin/test_loop_meter.py"


def test_a_place_is_the_line_of_the_users_code_and_the_c_code_that_it_called() -> None:
    done = threading.Lock()
    done.acquire()

    def waiting() -> None:
        done.acquire()

    thread = threading.Thread(target=waiting, daemon=True)
    thread.start()
    place, deadline = f"{HERE}:{waiting.__code__.co_firstlineno + 1} waiting → done.acquire", time.monotonic() + 30
    while (found := sample(sys._current_frames()[thread.ident or 0])).place != place:
        assert time.monotonic() < deadline, found
        time.sleep(0.01)
    done.release()
    assert not found.is_in_client


def look() -> StackSample:
    """Where the caller is."""
    return sample(sys._getframe(1))


def test_a_library_is_named_by_the_call_into_it_a_client_by_what_goes_on_inside() -> None:
    seen: list[StackSample] = []
    json.dumps(object(), default=lambda _: seen.append(sample(sys._getframe(1))))
    client: dict[str, Any] = {"__name__": "locust.clients", "look": look}
    exec(compile("def get():\n    return look()", "<frozen library>", "exec"), client)  # noqa: S102
    seen.append(client["get"]())
    function = test_a_library_is_named_by_the_call_into_it_a_client_by_what_goes_on_inside
    first = function.__code__.co_firstlineno
    assert [(found.place, found.is_in_client) for found in seen] == [
        (f"{HERE}:{first + 2} {function.__name__} → json.dumps", False),
        (f"{HERE}:{first + 5} {function.__name__} → locust.clients.get", True),
    ]
    assert len({found.greenlet for found in seen}) == 1


def test_a_pause_of_garbage_collection_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    places = []

    def clock() -> float:
        places.append(look_from(sys._getframe(1)))
        return 0.0

    def look_from(frame: FrameType) -> str:
        return sample(frame).place

    monkeypatch.setattr(time, "perf_counter", clock)
    memory.Memory().on_collection("stop", {})
    assert places == [GARBAGE_COLLECTION]


def test_a_process_that_may_have_no_more_threads_is_not_watched_and_counts_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ticks: list[object] = []

    def original(module: str, name: str) -> Any:
        def limited(*_: Any) -> None:
            raise RuntimeError("can't start new thread")

        return limited if name == "start_new_thread" else get_original(module, name)

    monkeypatch.setattr(watch, "get_original", original)
    monkeypatch.setattr(watch.LoopWatch, "_tick", ticks.append)
    gevent.sleep(0)  # makes the loop, which has files of its own
    meter, files = LoopMeter(), len(list(Path("/proc/self/fd").iterdir()))
    meter.begin()
    gevent.sleep(0)
    assert len(list(Path("/proc/self/fd").iterdir())) == files
    gevent.sleep(3 * watch.TICK_SECONDS)
    assert ticks == []
    assert meter.document()["observed_seconds"] == 0
    assert caplog.messages == [
        "locust-kit: watching the loop failed, the run goes on: RuntimeError: can't start new thread"
    ]

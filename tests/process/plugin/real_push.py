"""Push to receivers on the loopback that misbehave, one after the other; print what came of it, as JSON.

real_push.py all FOLDER      each way of misbehaving, and then what an earlier master left in FOLDER/left
real_push.py leave FOLDER    be that master: nobody listens, and it is gone without a word
"""

# ruff: noqa: I001 -- gevent first
from __future__ import annotations

from tests.process.plugin.loopback import KEPT, serving

import io
import json
import logging
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gevent
from gevent.monkey import get_original

from locust_kit.disk import off_loop
from locust_kit.push.pace import RetryPace
from locust_kit.push.pusher import Pusher
from locust_kit.push.post import poster
from locust_kit.push.settings import PushSettings
from tests.unit.plugin.push.pushing import records

KEY = "hunter2-the-key"
QUERY = "tenant=hunter3"
QUICK = RetryPace(gather=0.05, connect=20, whole=20, first=0.05, most=0.2, longest_asked=0.5, hurry=0.2)
IMPATIENT = replace(QUICK, whole=1.5)
"""For receivers that hang. An answer that is there in time comes within it on a slow machine, too."""
RUN = "20261126T120000Z-ab12"
PATIENCE_SECONDS = 40


class Receiver:
    """Answers each request with the next of its ways, and then accepts; knows batches by their keys."""

    def __init__(self, *ways: str, most_bytes: int = 10**9) -> None:
        self.ways = list(ways)
        self.most_bytes = most_bytes
        self.requests: list[dict[str, str]] = []
        self.accepted: dict[str, list[str]] = {}
        self.accepted_twice = 0
        self.labels: dict[str, str] = {}

    def __call__(self, link: Any) -> None:
        stream = link.makefile("rb")
        while line := stream.readline():
            headers = {"request": line.decode().strip()}
            while header := stream.readline().decode().strip():
                name, _, value = header.partition(": ")
                headers[name.lower()] = value
            body = stream.read(int(headers.get("content-length", "0")))
            self.requests.append(headers)
            way = self.ways.pop(0) if self.ways else ("413" if len(body) > self.most_bytes else "200")
            if way == "hang":
                KEPT.append(link)
                return
            if way in ("200", "cut", "half", "dribble"):
                self.accept(headers["idempotency-key"], body)
            if way == "cut":
                link.shutdown(2)
                return
            if way == "half":
                link.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nha")
                link.shutdown(2)
                return
            if way == "dribble":
                link.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")
                while True:
                    link.sendall(b".")
                    gevent.sleep(0.05)
            status, *more = way.split("|")
            lines = [f"HTTP/1.1 {status} Word", "Content-Length: 2", *more, "", "ok"]
            link.sendall("\r\n".join(lines).encode())

    def accept(self, key: str, body: bytes) -> None:
        self.accepted_twice += key in self.accepted
        document = json.loads(body)
        self.accepted[key] = [row["message"] for row in document["failures"]]
        self.labels = document["labels"]

    @property
    def rows(self) -> list[str]:
        return [row for rows in self.accepted.values() for row in rows]


def started(port: int, folder: Path, spool_bytes: int = 10**8, pace: RetryPace = QUICK) -> Pusher:
    url = f"http://127.0.0.1:{port}/v1/batches?{QUERY}"
    pusher = Pusher(PushSettings(url, KEY, spool_bytes), folder, pace=pace)
    pusher.start()
    return pusher


def until(is_so: Callable[[], bool]) -> bool:
    end = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        if time.monotonic() > end:
            return False
        gevent.sleep(0.01)
    return True


def through(receiver: Receiver, folder: Path, rows: int = 3, pace: RetryPace = QUICK) -> dict[str, Any]:
    """Push rows to a receiver until nothing waits."""
    pusher = started(serving(receiver), folder, pace=pace)
    pusher.take(RUN, records(rows))
    return outcome(pusher, receiver, folder)


def outcome(pusher: Pusher, receiver: Receiver, folder: Path) -> dict[str, Any]:
    # A batch no longer waits once it is accepted; its file goes right after that.
    is_empty = until(lambda: pusher.status()["waiting_rows"] == 0 and not list(folder.rglob("*.json")))
    return {
        "is_empty": is_empty,
        "status": pusher.status(),
        "requests": len(receiver.requests),
        "keys": [request["idempotency-key"] for request in receiver.requests],
        "rows": len(receiver.rows),
        "distinct": len(set(receiver.rows)),
        "accepted_twice": receiver.accepted_twice,
    }


def down_then_up(folder: Path) -> dict[str, Any]:
    receiver = Receiver()
    port = serving(lambda link: link.close())
    pusher = started(port, folder)
    pusher.take(RUN, records(3))
    was_tried = until(lambda: pusher.status()["retries"] >= 2)
    waited = pusher.status()["waiting_rows"]
    swap(pusher, serving(receiver))
    return {**outcome(pusher, receiver, folder), "was_tried": was_tried, "waited": waited}


def swap(pusher: Pusher, port: int) -> None:
    """Have the same pusher find somebody who listens."""
    pusher._sender._post = poster(PushSettings(f"http://127.0.0.1:{port}/v1", KEY), QUICK)


def with_ticks(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What comes of it, and how often another greenlet ran meanwhile."""
    ticks = [0]

    def tick() -> None:
        while True:
            gevent.sleep(0.01)
            ticks[0] += 1

    ticker = gevent.spawn(tick)
    found = work()
    ticker.kill()
    return {**found, "ticks": ticks[0]}


def slow_disk() -> dict[str, Any]:
    def hold_up() -> None:
        get_original("time", "sleep")(0.5)
        raise OSError(28, "No space left on device")

    try:
        off_loop(hold_up)
    except OSError as error:
        return {"raised": error.strerror}
    return {"raised": ""}


def more_than_a_batch(folder: Path) -> dict[str, Any]:
    """Rows that fill one batch and begin another, after which no more come."""
    receiver = Receiver()
    pusher = started(serving(receiver), folder)
    until(lambda: pusher._arrived.linkcount() > 0)  # its greenlet waits for rows
    pusher.take(RUN, records(700))
    return outcome(pusher, receiver, folder)


def redirected(folder: Path) -> dict[str, Any]:
    elsewhere = Receiver()
    place = f"Location: http://127.0.0.1:{serving(elsewhere)}/"
    found = through(Receiver(f"302|{place}", f"307|{place}"), folder)
    return {**found, "elsewhere": len(elsewhere.requests)}


def over_the_limit(folder: Path) -> dict[str, Any]:
    receiver = Receiver(*["503"] * 10_000)
    pusher = started(serving(receiver), folder, spool_bytes=200_000)
    for _ in range(4):
        pusher.take(RUN, records(500))
        until(lambda: pusher._queue.waiting_rows == 0)
    largest = pusher.status()["waiting_bytes"]
    receiver.ways.clear()
    return {**outcome(pusher, receiver, folder), "largest": largest}


def at_the_end(folder: Path) -> dict[str, Any]:
    """A run's end and the master's do not wait for a batch to be full."""
    receiver = Receiver()
    slow = RetryPace(gather=60, first=60, most=60)
    pusher = Pusher(PushSettings(f"http://127.0.0.1:{serving(receiver)}/v1", KEY), folder, pace=slow)
    pusher.start()
    pusher.take(RUN, records(3))
    pusher.flush(environment=None)
    was_sent = until(lambda: pusher.status()["sent_rows"] == 3)
    pusher._sender._not_before = time.monotonic() + 60
    pusher.take(RUN, records(2))
    pusher.keep(environment=None)
    return {"was_sent": was_sent, "kept": [path.name for path in folder.rglob("*.json")]}


def broken_inside(folder: Path) -> dict[str, Any]:
    receiver = Receiver()
    pusher = started(serving(receiver), folder)
    pusher.take(RUN, ["no record"])  # type: ignore[list-item]
    until(lambda: pusher._has_failed)
    pusher.take(RUN, records(2))
    return outcome(pusher, receiver, folder)


def resumed(folder: Path) -> dict[str, Any]:
    receiver = Receiver()
    pusher = started(serving(receiver), folder)
    until(lambda: pusher.status()["sent_rows"] > 0)
    return outcome(pusher, receiver, folder)


def leave(folder: Path) -> dict[str, Any]:
    """Put batches into the spool that nobody takes."""
    pusher = started(serving(lambda link: link.close()), folder / "left")
    pusher.take(RUN, records(700))
    until(lambda: pusher.status()["retries"] > 0)
    pusher.keep()
    return pusher.status()


def everything(folder: Path) -> dict[str, Any]:
    """Each way by itself, all at the same time: most of it is waiting."""
    hanging = Receiver("hang", "dribble")
    ways: dict[str, Callable[[], dict[str, Any]]] = {
        "down then up": lambda: down_then_up(folder / "down"),
        "500": lambda: through(Receiver("500", "502"), folder / "500"),
        "429": lambda: through(Receiver("429|Retry-After: 1"), folder / "429"),
        "hang": lambda: with_ticks(lambda: through(hanging, folder / "hang", pace=IMPATIENT)),
        "more than a batch": lambda: more_than_a_batch(folder / "more"),
        "cut after accepting": lambda: through(Receiver("cut", "half"), folder / "cut", rows=1200),
        "redirect": lambda: redirected(folder / "redirect"),
        "413": lambda: through(Receiver(most_bytes=50_000), folder / "413", rows=500),
        "422": lambda: through(Receiver("422"), folder / "422"),
        "401": lambda: through(Receiver("401", "403"), folder / "401"),
        "over the limit": lambda: over_the_limit(folder / "limit"),
        "end": lambda: at_the_end(folder / "end"),
        "fault": lambda: broken_inside(folder / "fault"),
        "restart": lambda: resumed(folder / "left"),
    }
    slow = with_ticks(slow_disk)
    running = {name: gevent.spawn(way) for name, way in ways.items()}
    return {"slow disk": slow, **{name: greenlet.get() for name, greenlet in running.items()}}


def main() -> None:
    log = io.StringIO()
    logging.basicConfig(stream=log, level=logging.DEBUG)
    what, folder = sys.argv[1], Path(sys.argv[2])
    found = leave(folder) if what == "leave" else everything(folder)
    sys.stdout.write(json.dumps({"found": found, "log": log.getvalue()}))
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()

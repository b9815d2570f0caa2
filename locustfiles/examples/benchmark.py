"""Call one endpoint as fast as one user can, without waiting, and log statistics every thousand requests."""

import logging
import statistics
from collections import deque
from typing import Any

from locust import FastHttpUser, constant, events, task

KEPT = 1000
times_ms: deque[float] = deque(maxlen=KEPT)
counted = 0


class BenchmarkUser(FastHttpUser):
    host = "http://mock-target:8080"
    wait_time = constant(0)

    @task
    def hammer(self) -> None:
        self.client.get("/fast")


@events.request.add_listener
def measure(response_time: float, exception: Any, **_: Any) -> None:
    global counted  # noqa: PLW0603  one process, one counter
    if exception is not None:
        return
    counted += 1
    times_ms.append(response_time)
    if counted % KEPT == 0:
        cuts = statistics.quantiles(times_ms, n=100, method="inclusive")
        logging.info("%d requests, last %d: median %.1f ms, p95 %.1f ms", counted, KEPT, cuts[49], cuts[94])

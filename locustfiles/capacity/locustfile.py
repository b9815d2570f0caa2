"""The test of `make capacity`: it adds users to one endpoint until more users bring no more answers per second.

`parameters.json` beside this file sets the endpoint, the most users, and the length of a step.
"""

import json
from pathlib import Path

from locust import FastHttpUser, LoadTestShape, constant, task

PARAMETERS = json.loads(Path(__file__).with_name("parameters.json").read_text())
LEAST_GAIN = 1.1
FLAT_STEPS = 2


class Caller(FastHttpUser):
    wait_time = constant(0)

    @task
    def call(self) -> None:
        self.client.request(PARAMETERS["method"], PARAMETERS["endpoint"], name=PARAMETERS["endpoint"])


class Doubling(LoadTestShape):
    """1, 2, 4, 8 ... users; ends after two steps in a row that gain less than 10 % answers per second."""

    step = -1
    begun = requests = flat = 0
    rate = 0.0

    def tick(self) -> tuple[int, int] | None:
        elapsed = self.get_run_time()
        if int(elapsed // PARAMETERS["step_seconds"]) > self.step:
            self.note(elapsed)
        users = 2**self.step
        if users > PARAMETERS["most_users"] or self.flat >= FLAT_STEPS:
            return None
        return users, max(1, users)

    def note(self, elapsed: float) -> None:
        """At the end of a step, calculate the answers per second and compare them with the step before."""
        requests = self.runner.stats.total.num_requests if self.runner else 0
        rate = (requests - self.requests) / max(1.0, elapsed - self.begun)
        if self.step > 0:
            self.flat = self.flat + 1 if rate < LEAST_GAIN * self.rate else 0
        self.step, self.begun, self.requests, self.rate = self.step + 1, elapsed, requests, rate

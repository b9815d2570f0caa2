"""One endpoint under ever more users, until more of them bring no more answers: what `make capacity` runs.

`parameters.json` beside this file says which endpoint, up to how many users, and how long a step lasts.
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
    """1, 2, 4, 8 ... users; over when two steps in a row brought less than a tenth more answers a second."""

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
        """A step is over: how many answers came a second, and whether that is more than before."""
        requests = self.runner.stats.total.num_requests if self.runner else 0
        rate = (requests - self.requests) / max(1.0, elapsed - self.begun)
        if self.step > 0:
            self.flat = self.flat + 1 if rate < LEAST_GAIN * self.rate else 0
        self.step, self.begun, self.requests, self.rate = self.step + 1, elapsed, requests, rate

"""A worker that runs out of memory on request: whoever touches the file /tmp/eat in its container has it eat."""

from pathlib import Path

from locust import HttpUser, constant, task

EAT = Path("/tmp/eat")


class Hungry(HttpUser):
    wait_time = constant(0.2)

    @task
    def ask_and_perhaps_eat(self):
        self.client.get("/api/data")
        if EAT.exists():
            b"\1" * (1 << 30)

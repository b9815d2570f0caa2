"""Use Locust's own checks: it counts 4xx, 5xx, time-outs and broken connections as failures by itself."""

from locust import HttpUser, between, task


class PlainUser(HttpUser):
    host = "http://mock-target:8080"
    wait_time = between(0.5, 1.5)

    @task(5)
    def works(self) -> None:
        self.client.get("/api/data")

    @task
    def fails_now_and_then(self) -> None:
        self.client.get("/api/might-fail?ms=50", name="/api/might-fail")

    @task
    def too_slow(self) -> None:
        # (connect, read) seconds. For all requests at once: make up CONNECT_TIMEOUT=3 READ_TIMEOUT=10
        self.client.get("/slow?ms=800", name="/slow", timeout=(3, 0.5))

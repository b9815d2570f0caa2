"""A load shape: three seconds of two users, then the end."""

from locust import HttpUser, LoadTestShape, constant, task


class Walker(HttpUser):
    host = "http://mock-target:8080"
    wait_time = constant(0.2)

    @task
    def health(self):
        self.client.get("/api/health")


class Short(LoadTestShape):
    def tick(self):
        return (2, 2) if self.get_run_time() < 3 else None

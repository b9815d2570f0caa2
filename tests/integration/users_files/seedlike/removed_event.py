"""In the manner of the second seed: an event that Locust removed in 2.15."""

from locust import HttpUser, events, task


@events.request_failure.add_listener
def on_failure(**_):
    pass


class Old(HttpUser):
    host = "http://mock-target:8080"

    @task
    def get(self):
        self.client.get("/api/health")

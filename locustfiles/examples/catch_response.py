"""Decide yourself which answers succeed: check the status, the JSON and its content."""

from locust import HttpUser, between, task


class CarefulUser(HttpUser):
    host = "http://mock-target:8080"
    wait_time = between(0.5, 1.5)

    @task
    def data(self) -> None:
        self.look_at("/api/data")

    @task
    def refused(self) -> None:
        self.look_at("/wrong/success")

    @task
    def cut_off(self) -> None:
        self.look_at("/wrong/json")

    def look_at(self, path: str) -> None:
        with self.client.get(path, catch_response=True) as response:
            if response.status_code != 200:
                response.failure(f"status {response.status_code}")
                return
            try:
                answer = response.json()
            except ValueError as error:
                response.failure(error)  # an exception is classified by its type: invalid_content
                return
            if not answer.get("success"):
                response.failure(f"the API refused: {answer.get('error')}")

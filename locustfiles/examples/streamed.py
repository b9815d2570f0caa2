"""Read a large answer in pieces, so that a worker never keeps the whole answer in memory."""

from locust import HttpUser, between, task

PIECE_BYTES = 64 * 1024


class Downloader(HttpUser):
    host = "http://mock-target:8080"
    wait_time = between(1, 2)

    @task
    def download(self) -> None:
        # Locust's measured time ends with the headers: with stream=True the test reads the body itself.
        with self.client.get("/large-data?mb=5", name="/large-data", stream=True, catch_response=True) as response:
            if response.status_code != 200:
                return  # already a failure, without a body
            received = sum(len(piece) for piece in response.iter_content(PIECE_BYTES))
            if received != 5_000_000:
                response.failure(f"{received} bytes received, expected: 5000000")

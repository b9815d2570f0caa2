"""The scenario that comes with the kit: a small shop's API, against the mock target.

Put your own file beside it and set LOCUSTFILE, or let LOCUSTFILES_DIR point at a folder of yours.
Give your class a `host`, or set HOST in .env or on the command line: `make up HOST=https://staging.example.com`.
"""

from locust import FastHttpUser, between, tag, task


class ShopUser(FastHttpUser):
    """Somebody who looks at data most of the time and now and then does something slow."""

    host = "http://mock-target:8080"
    wait_time = between(0.5, 1.5)

    @task(6)
    @tag("read")
    def read_data(self) -> None:
        # catch_response lets the test decide what a success is: here a 200 with "success": false is a failure.
        with self.client.get("/api/data", catch_response=True) as response:
            if response.status_code == 200 and not response.json().get("success"):
                response.failure("the API said success: false")

    @task(3)
    @tag("read")
    def check_health(self) -> None:
        self.client.get("/api/health")

    @task(1)
    @tag("slow")
    def wait_for_a_report(self) -> None:
        # One name for all, so that the statistics hold one row and not one a parameter.
        self.client.get("/slow?ms=120", name="/slow")

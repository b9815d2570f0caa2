"""The kit's example test: the API of a small shop, against the mock target.

For a test of your own, put your file beside this one and set LOCUSTFILE, or set LOCUSTFILES_DIR to your folder.
Give your class a `host`, or set HOST in .env or on the command line: `make up HOST=https://staging.example.com`.
"""

from locust import FastHttpUser, between, tag, task


class ShopUser(FastHttpUser):
    """A user that mostly reads data and sometimes requests a slow report."""

    host = "http://mock-target:8080"
    wait_time = between(0.5, 1.5)

    @task(6)
    @tag("read")
    def read_data(self) -> None:
        # catch_response lets the test decide which answers succeed: a 200 with "success": false is a failure.
        with self.client.get("/api/data", catch_response=True) as response:
            if response.status_code == 200 and not response.json().get("success"):
                response.failure("the API answered success: false")

    @task(3)
    @tag("read")
    def check_health(self) -> None:
        self.client.get("/api/health")

    @task(1)
    @tag("slow")
    def wait_for_a_report(self) -> None:
        # One name for all URLs, so that the statistics have one row, not one row for each parameter.
        self.client.get("/slow?ms=120", name="/slow")

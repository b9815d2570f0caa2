"""Pass along data about a request: the kit keeps it in the row of a failure and in the examples of its group."""

from itertools import count

from locust import FastHttpUser, between, task

ORDERS = count(1)


class Buyer(FastHttpUser):
    host = "http://mock-target:8080"
    wait_time = between(0.5, 1.5)

    @task
    def order(self) -> None:
        order = next(ORDERS)
        context = {"order": order, "expected": "success"}
        with self.client.get("/wrong/success", name="/order", catch_response=True, context=context) as response:
            if response.status_code == 200 and not response.json().get("success"):
                response.failure(f"order {order} was refused")

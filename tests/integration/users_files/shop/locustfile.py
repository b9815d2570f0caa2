"""A locustfile with a sibling module and a data file beside it, and a setting from the .env beside it."""

import os
from pathlib import Path

from locust import HttpUser, constant, task
from paths import HEALTH

USERS = Path("users.csv").read_text().split()
assert (Path(__file__).parent / "users.csv").exists()


class Buyer(HttpUser):
    host = "http://mock-target:8080"
    wait_time = constant(0.1)

    @task
    def health(self):
        self.client.get(f"{HEALTH}?user={USERS[0]}&shop={os.environ['SHOP_NAME']}", name=f"health of {os.environ['SHOP_NAME']}")

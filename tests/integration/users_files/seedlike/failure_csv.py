"""In the manner of the second seed: failures go to a CSV and to JSON files in the working directory."""

import csv
import json
import os
from datetime import UTC, datetime

from locust import HttpUser, constant, events, task

FAILURES = "failure_analysis.csv"
if not os.path.exists(FAILURES):
    with open(FAILURES, "w", newline="") as file:
        csv.writer(file).writerow(["timestamp", "request_type", "name", "exception", "url"])

os.makedirs("failure_details", exist_ok=True)


@events.request.add_listener
def write_failure(request_type, name, exception, context, **_):
    if exception is None:
        return
    now = datetime.now(UTC).isoformat()
    with open(FAILURES, "a", newline="") as file:
        csv.writer(file).writerow([now, request_type, name, exception, context.get("url", "")])
    with open(f"failure_details/{now}.json", "w") as file:
        json.dump({"at": now, "error": str(exception)}, file)


class Writer(HttpUser):
    host = "http://mock-target:8080"
    wait_time = constant(0.2)

    @task
    def fails(self):
        self.client.get("/status/503", context={"url": "/status/503"})

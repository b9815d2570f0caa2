"""Requests whose names act on a terminal, a page or a spreadsheet."""

from locust import HttpUser, constant, task

NAMES = [
    "/n\x1b[31m", "/n\x1b]8;;http://evil.invalid\x1b\\x", "/n\x00", "/n\x07", "/n\rPASS", "/n\nPASS (exit code 0)",
    "/n\u2028", "/n\u202e", "/n\u2066", "/n\u200b", "/n\ufeff", "/n\x9b31m", "/n\U000e0041", "/n", r"/n\x1b[31m",
    "=1+1", "@ann", "/l" + "o\x1b" * 5000, "<img src=x>", "&lt;b&gt;",
]  # fmt: skip


class Visitor(HttpUser):
    wait_time = constant(0.2)

    @task
    def names(self) -> None:
        for name in NAMES:
            with self.client.get("/", name=name, catch_response=True) as answer:
                answer.failure(f"bad {name[:50]}")

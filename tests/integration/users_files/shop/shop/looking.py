from locust import tag, task

from .base import Base


class Looker(Base):
    @tag("look")
    @task
    def look(self):
        self.client.get("/api/data", name="look")


class Reader(Base):
    @tag("read")
    @task
    def read(self):
        self.client.get("/api/health", name="read")

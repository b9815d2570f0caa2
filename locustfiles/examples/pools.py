"""Share one pool of connections between all users of a worker, and set time-outs for a class.

To set both for every class without changing the file: make up POOL_SIZE=20 CONNECT_TIMEOUT=3 READ_TIMEOUT=10
"""

from geventhttpclient.client import HTTPClientPool
from locust import FastHttpUser, HttpUser, between, task
from urllib3 import PoolManager


class Shared(HttpUser):
    host = "http://mock-target:8080"
    wait_time = between(0.5, 1.5)
    pool_manager = PoolManager(maxsize=20, block=True)  # of the class: all its users share it

    @task
    def look(self) -> None:
        self.client.get("/api/health", timeout=(3, 10))  # `self.client.timeout = 10` has no effect


class SharedFast(FastHttpUser):
    host = "http://mock-target:8080"
    wait_time = between(0.5, 1.5)
    client_pool = HTTPClientPool(concurrency=20, connection_timeout=3, network_timeout=10)

    @task
    def look(self) -> None:
        self.client.get("/api/health")

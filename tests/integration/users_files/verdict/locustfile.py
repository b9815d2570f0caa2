"""A user whose target and whose own faults can be changed between runs: `mode.json` beside this file says how."""

import ctypes
import json
import random
import socket
import time
from pathlib import Path

from locust import HttpUser, constant, task

MODE = Path(__file__).with_name("mode.json")
HELD = []
LIBC = ctypes.CDLL(None)


class Buyer(HttpUser):
    host = "http://mock-target:8080"
    wait_time = constant(0.2)

    def on_start(self):
        self.mode = json.loads(MODE.read_text())
        while len(HELD) < self.mode.get("sockets", 0):
            HELD.append(socket.socket())

    @task
    def buy(self):
        if self.mode.get("raises"):
            raise RuntimeError("no cart today")
        self.client.get(f"/slow?ms={self.mode.get('pay_ms', 50)}", name="/pay")
        self.client.get(self.mode.get("cart", "/fast"), name="/cart")
        if random.random() < 0.1:
            LIBC.usleep(1000 * self.mode.get("blocks_ms", 0))  # gevent cannot switch meanwhile
        end = time.perf_counter() + self.mode.get("busy_seconds", 0.0)
        while time.perf_counter() < end:
            pass

"""Users in whom nothing is wrong, of many shapes: each run of them has to end with PASS."""

import time

import gevent
from locust import (
    FastHttpUser,
    HttpUser,
    SequentialTaskSet,
    TaskSet,
    User,
    between,
    constant,
    constant_pacing,
    constant_throughput,
    events,
    tag,
    task,
)
from locust.exception import RescheduleTask, StopUser

TARGET = "http://mock-target:8080"


class Plain(HttpUser):
    host = TARGET
    wait_time = between(0.05, 0.3)

    @task(3)
    def fast(self):
        self.client.get("/fast")

    @task
    def slow(self):
        self.client.get("/slow?ms=150", name="/slow")


class Fast(FastHttpUser):
    host = TARGET
    wait_time = constant(0.1)

    @task
    def fast(self):
        self.client.get("/fast")


class NoWait(FastHttpUser):
    host = TARGET

    @task
    def slow(self):
        self.client.get("/slow?ms=100", name="/slow")


class Checking(HttpUser):
    host = TARGET
    wait_time = constant(0.2)

    @task
    def inside(self):
        with self.client.get("/api/data", catch_response=True) as answer:
            if not answer.json()["success"]:
                answer.failure("no success")

    @task
    def later(self):
        answer = self.client.get("/status/404", catch_response=True)
        with answer:
            answer.success()

    @task
    def asked(self):
        with self.client.request("GET", "/fast", catch_response=True) as answer:
            answer.success()


class FastChecking(FastHttpUser):
    host = TARGET
    wait_time = constant(0.2)

    @task
    def asked(self):
        with self.rest("GET", "/api/data") as answer:
            assert answer.js["success"]


class Throughput(HttpUser):
    host = TARGET
    wait_time = constant_throughput(2)

    @task
    def fast(self):
        self.client.get("/slow?ms=100", name="/slow")


class Pacing(FastHttpUser):
    host = TARGET
    wait_time = constant_pacing(1.5)

    @task
    def fast(self):
        self.client.get("/slow?ms=300", name="/slow")


class Quiet(HttpUser):
    """A user that does nothing for most of the run."""

    host = TARGET
    wait_time = constant(25)

    @task
    def fast(self):
        self.client.get("/fast")


class Report(HttpUser):
    """Requests that take long each time, and are always answered."""

    host = TARGET
    wait_time = constant(0.5)

    @task
    def report(self):
        self.client.get("/slow?ms=6000", name="/report")

    @task(4)
    def fast(self):
        self.client.get("/fast")


class Finishing(HttpUser):
    """A user that has one thing to do, and then is done."""

    host = TARGET
    wait_time = constant(0.2)

    @task
    def order(self):
        self.client.post("/echo/order", json={"lines": 3})
        raise StopUser


class Leaving(HttpUser):
    """A user who says goodbye, quickly."""

    host = TARGET
    wait_time = constant(0.3)

    def on_start(self):
        self.client.post("/echo/login", json={})

    @task
    def fast(self):
        self.client.get("/fast")

    def on_stop(self):
        self.client.post("/echo/logout", json={})


class Nested(HttpUser):
    host = TARGET
    wait_time = constant(0.1)

    @task
    class Shop(TaskSet):
        @task(5)
        def look(self):
            self.client.get("/fast", name="look")

        @task
        class Order(SequentialTaskSet):
            @task
            def cart(self):
                self.client.post("/echo/cart", json={}, name="cart")

            @task
            def pay(self):
                self.client.post("/echo/pay", json={}, name="pay")
                self.interrupt()

        @task
        def leave(self):
            self.interrupt(reschedule=False)


class Rescheduling(HttpUser):
    host = TARGET
    wait_time = constant(0.2)

    @task
    def again(self):
        self.client.get("/fast")
        raise RescheduleTask


class Parallel(HttpUser):
    """Several requests of one user at the same time."""

    host = TARGET
    wait_time = constant(0.5)

    @task
    def page(self):
        gevent.joinall([gevent.spawn(self.client.get, f"/slow?ms={ms}", name="part") for ms in (50, 100, 150)])


class Streaming(HttpUser):
    host = TARGET
    wait_time = constant(0.5)

    @task
    def large(self):
        with self.client.get("/large-data?mb=1", stream=True, catch_response=True) as answer:
            for _ in answer.iter_content(1 << 16):
                pass
            answer.success()


class Own(User):
    """A client of the test's own, that fires Locust's event itself."""

    wait_time = constant(0.2)

    @task
    def call(self):
        began = time.perf_counter()
        gevent.sleep(0.05)
        self.environment.events.request.fire(
            request_type="RPC",
            name="call",
            response_time=(time.perf_counter() - began) * 1000,
            response_length=12,
            response=None,
            context={},
            exception=None,
        )


class Sometimes(HttpUser):
    """Some requests fail, evenly, and so many may."""

    host = TARGET
    wait_time = constant(0.1)

    def on_start(self):
        self.count = 0

    @task
    def often(self):
        self.count += 1
        self.client.get("/status/503" if self.count % 12 == 0 else "/fast", name="/sometimes")


class Names(FastHttpUser):
    host = TARGET
    wait_time = constant(0.1)

    @task
    def one_of_many(self):
        self.client.get(f"/echo/{time.time_ns() % 300}")


class Tagged(HttpUser):
    host = TARGET
    wait_time = constant(0.2)

    @tag("read")
    @task
    def read(self):
        self.client.get("/fast")

    @tag("write")
    @task
    def write(self):
        self.client.post("/echo/write", json={})


class Redirected(HttpUser):
    """Answers that are no success for a client that does not follow them, and are fine."""

    host = TARGET
    wait_time = constant(0.3)

    @task
    def moved(self):
        self.client.get("/redirect-loop?status=302", allow_redirects=False, name="/moved")


class Thoughtful(HttpUser):
    """Work of the user's own between two requests: 20 ms of processor time, which is no block."""

    host = TARGET
    wait_time = constant(1)

    @task
    def compute(self):
        end = time.process_time() + 0.02
        while time.process_time() < end:
            pass
        self.client.get("/fast")


@events.test_start.add_listener
def prepare(environment, **_):
    gevent.sleep(0.2)


@events.test_stop.add_listener
def upload(environment, **_):
    gevent.sleep(0.5)

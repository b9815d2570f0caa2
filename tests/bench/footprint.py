"""What the plugin costs a worker in memory: a million failures counted, and users over HTTPS with and without the kit.

Each figure is of a process of its own, which does what a worker does: the listener hears the requests, and now and
then a report is made and dropped, as it is when Locust has sent it.
"""

from __future__ import annotations

import tempfile

from tests.bench.servers import serving
from tests.process.plugin.programs import printed

FAILURES, MESSAGES, BETWEEN_REPORTS = 1_000_000, 100_000, 20_000
USERS = 500

_COUNTING = f"""
import locust, requests
from locust.exception import CatchResponseError
from locust_kit.failures.counters import RequestCounters
from locust_kit.memory import resident_bytes
class Answer:
    status_code, url, headers, _content = 503, "http://shop/cart", {{"Server": "shop"}}, b"busy" * 50
counters = RequestCounters()
before = most = resident_bytes()
for number in range({FAILURES}):
    counters.on_request(
        request_type="GET", name="/cart", response_time=12.5, response_length=200, response=Answer, context={{}},
        exception=CatchResponseError(f"no stock for {{chr(97 + number % 26) * (1 + number % {MESSAGES} // 26 % 60)}} "
                                     f"{{'abcdefghij'[number % 10]}}{{number % {MESSAGES}:x}}"),
        url=f"http://shop/cart/{{number}}", start_time=1.0,
    )
    if number % {BETWEEN_REPORTS} == 0:
        most = max(most, resident_bytes())
        counters.report()
print(f"[{{(most - before) / 1e6:.1f}}, {{(resident_bytes() - before) / 1e6:.1f}}]")
"""
_USERS = f"""
import sys
from locust import FastHttpUser
from locust.env import Environment
from locust_kit import shared_tls
from locust_kit.memory import resident_bytes
class Buyer(FastHttpUser):
    host = sys.argv[2]
if sys.argv[1] == "kit":
    shared_tls.install(shared_tls.TlsSettings())
environment = Environment(user_classes=[Buyer])
users = [Buyer(environment) for _ in range({USERS})]
assert all(user.client.get("/").status_code == 200 for user in users)
print(f"{{resident_bytes() / 1e6:.0f}}")
"""
_SERVER = """
import sys
from pathlib import Path
from tests.process.plugin.https_servers import Authority, Server, showing
server = Server(showing(Authority(Path(sys.argv[1])).self_signed("shop")))
print(server.url, flush=True)
server.serve_forever()
"""


def report() -> None:
    """Run the programs, and print what they say."""
    most, after = printed("-c", _COUNTING)
    print(f"  {FAILURES:,} failures, {MESSAGES:,} messages: {most} MB more at most, {after} MB at the end", flush=True)
    with tempfile.TemporaryDirectory() as folder, serving(_SERVER, folder) as url:
        for whose in ("bare", "kit"):
            megabytes = printed("-c", _USERS, whose, url)
            print(f"  {USERS} FastHttpUsers over HTTPS, {whose}: the process holds {megabytes} MB", flush=True)


if __name__ == "__main__":
    report()

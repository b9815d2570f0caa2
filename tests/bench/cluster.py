"""What leading costs: the word that one real sidecar gave, for many nodes, gathered by the real leader's parts.

    python -m tests.bench.cluster [NODES [WORKERS_A_NODE [SECONDS]]]

The nodes are one server on loopback, each at an address of its own (127.1.0.N). The leader is a process of its own: it
asks every two seconds, reads the master's list of all workers, puts the Snapshot together, writes it as JSON once (one
page is open) and keeps each container's figures in a ledger on disk. Counted are its processor time, its memory, and
the bytes of the answers.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from typing import Any

from sidecar.cluster.peer_client import PeerClient
from sidecar.cluster.peer_poller import PeerPoller, Surroundings
from sidecar.ledger.history import History
from sidecar.locust_api.answers import parse_stats
from sidecar.model import document
from sidecar.model.history import samples_of
from sidecar.model.observation import LocustReading
from sidecar.model.snapshot import Node
from sidecar.monitor import assembly
from sidecar.monitor.assembly import NOTHING_RECORDED, Observed
from tests.paths import ROOT

WORD = ROOT / "tests/unit/cluster/data/node_word.json"
INTERVAL_SECONDS = 2.0
SIZES = ((3, 4), (10, 20), (25, 20), (50, 20), (100, 20), (200, 20))
_SECONDS = 20
_PEERS_PORT = 18090


def words(nodes: int, workers: int) -> list[dict[str, Any]]:
    """The recorded word, once for each node, with so many workers on each."""
    recorded = json.loads(WORD.read_text())
    containers = recorded["snapshot"]["containers"]
    worker = next(container for container in containers if container["service"] == "locust-worker")
    rest = [container for container in containers if container["service"] in ("monitor", "docker-proxy")]
    found = []
    for number in range(nodes):
        name = f"node{number + 2}"
        mine = [
            {**worker, "index": index, "name": f"locust-locust-worker-{index}", "id": f"{index:012x}", "node": name}
            for index in range(number * workers + 1, (number + 1) * workers + 1)
        ]
        own = [
            {**one, "name": f"{one['name']}-{number}", "id": f"{place:06x}{number:06x}"}
            for place, one in enumerate(rest, 0xAAAAAA)
        ]
        snapshot = {**recorded["snapshot"], "containers": [*mine, *own], "node": name}
        found.append({**recorded, "node": name, "boot_id": f"boot-{number}", "snapshot": snapshot})
    return found


def serve(nodes: int, workers: int) -> None:
    """Be all the nodes."""
    made = words(nodes, workers)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            number = int(self.connection.getsockname()[0].rpartition(".")[2]) - 1
            now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"
            report = {**made[number], "at": now}
            body = json.dumps(
                report if "/api/node" in self.path else {"project": "locust", "at": now, "incidents": [], "blind": []}
            )
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *args: object) -> None:
            del args

    class Server(ThreadingHTTPServer):
        request_queue_size = 512
        daemon_threads = True

    Server(("0.0.0.0", _PEERS_PORT), Handler).serve_forever()


class CountingClient(PeerClient):
    """A client that knows how much it was sent."""

    received_bytes = 0

    def _answer(self, path: str, sent: bytes | None) -> bytes:
        body = super()._answer(path, sent)
        self.received_bytes += len(body)
        return body


def lead(nodes: int, workers: int, seconds: float) -> None:
    """Be the leader, and print what it took."""
    master = _master_says(nodes, workers)
    addresses = tuple(f"127.1.0.{number + 1}" for number in range(nodes))
    clients: list[Any] = []

    def ask(address: str) -> Any:
        clients.append(CountingClient(address, _PEERS_PORT, "token", "node1"))
        return clients[-1]

    around = Surroundings(
        node="node1",
        project="locust",
        boot_id="boot",
        addresses=lambda: addresses,
        ask=ask,
        put=lambda _: None,
        recorded=lambda: NOTHING_RECORDED,
        led_before=lambda: None,
        now=lambda: datetime.now(UTC),
    )
    poller = PeerPoller(around, INTERVAL_SECONDS)
    poller.lead(leads=True)
    empty_kib = _resident_kib()
    with tempfile.TemporaryDirectory() as folder:
        history = History(Path(folder), lambda: datetime.now(UTC))
        history.start()
        poller.turn()  # connections and ledgers, once
        begun, cpu, received = time.monotonic(), _cpu_seconds(), sum(client.received_bytes for client in clients)
        turns, written = [], 0
        while time.monotonic() - begun < seconds:
            started = time.monotonic()
            poller.turn()
            snapshot = _snapshot(poller, master)
            written = len(document.dumps(snapshot))
            history.add_round(snapshot.at, samples_of(snapshot))
            turns.append(time.monotonic() - started)
            time.sleep(max(0.0, INTERVAL_SECONDS - turns[-1]))
        spent = time.monotonic() - begun
        result = {
            "containers": len(snapshot.containers),
            "cpu_percent": 100 * (_cpu_seconds() - cpu) / spent,
            "memory_mib": _resident_kib() / 1024,
            "empty_mib": empty_kib / 1024,
            "received_kb_per_second": (sum(client.received_bytes for client in clients) - received) / spent / 1000,
            "snapshot_kb": written / 1000,
            "turn_ms": 1000 * median(turns),
            "answering": sum(node.answers for node in snapshot.nodes),
        }
        history.close()
    poller.stop()
    print(json.dumps(result))


def _master_says(nodes: int, workers: int) -> bytes:
    """The master's own list of so many workers, as `/stats/requests` has it."""
    rows = [
        {
            "id": f"{index:012x}_0123456789abcdef0123456789abcdef",
            "state": "running",
            "user_count": 20,
            "cpu_usage": 33.3,
            "memory_usage": 45 << 20,
        }
        for index in range(1, nodes * workers + 1)
    ]
    total = {"name": "Aggregated", "method": "", "num_requests": 100, "num_failures": 0}
    return json.dumps({"state": "running", "user_count": 1, "workers": rows, "stats": [total], "errors": []}).encode()


def _snapshot(poller: PeerPoller, master: bytes) -> Any:
    now = datetime.now(UTC)
    own = Node("node1", answers=True, at=now, leads=True)
    observed = Observed(
        project="locust",
        at=now,
        interval_seconds=INTERVAL_SECONDS,
        engine_read_at=now,
        round_seconds=0.0,
        stale=False,
        containers=(),
        locust=LocustReading(parse_stats(json.loads(master)), None, None),
        host=None,
        log_source=None,
        log=(),
        unread=(),
        node="node1",
        leads=True,
        others=poller.others(own),
    )
    return replace(assembly.snapshot(observed), warnings=())


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _resident_kib() -> int:
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
    return int(fields["VmHWM"].split()[0])


def measure(nodes: int, workers: int, seconds: float = _SECONDS) -> dict[str, Any]:
    """Lead so many nodes in a process of its own."""
    command = [sys.executable, "-m", "tests.bench.cluster"]
    server = subprocess.Popen([*command, "serve", str(nodes), str(workers)])
    try:
        time.sleep(1.5)
        done = subprocess.run(
            [*command, "lead", str(nodes), str(workers), str(seconds)], capture_output=True, text=True, check=True
        )
    finally:
        server.kill()
        server.wait()
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["answering"] == nodes + 1, found  # with the leader's own
    return found


def report(sizes: Sequence[tuple[int, int]] = SIZES) -> None:
    """Print one line a size."""
    print("NODES  WORKERS    CPU   MEMORY  RECEIVED  SNAPSHOT     TURN")
    for nodes, workers in sizes:
        found = measure(nodes, workers)
        print(
            f"{nodes:5}  {nodes * workers:7}  {found['cpu_percent']:4.1f}%  {found['memory_mib']:3.0f} MiB"
            f"  {found['received_kb_per_second']:3.0f} kB/s  {found['snapshot_kb']:5.0f} kB"
            f"  {found['turn_ms']:4.0f} ms",
            flush=True,
        )


def main() -> None:
    """Be one of the processes, or measure."""
    if sys.argv[1:2] == ["serve"]:
        threading.Thread(target=serve, args=(int(sys.argv[2]), int(sys.argv[3])), daemon=True).start()
        while os.getppid() != 1:
            time.sleep(0.5)
    elif sys.argv[1:2] == ["lead"]:
        lead(int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
    else:
        given = [int(one) for one in sys.argv[1:3]]
        report([(given[0], (given[1:] or [20])[0])] if given else SIZES)


if __name__ == "__main__":
    main()

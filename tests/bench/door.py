"""What the filter of the docker-proxy adds to the monitor's requests: medians, one request after the other.

Three ways to one engine: its own socket, HAProxy alone, and HAProxy with the filter, each with one kept-alive client.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from sidecar.engine.raw_statistics import UnixGet
from tests.integration._containers import ENGINE_SOCKET
from tests.integration._proxy import CONFIG, PROJECT, proxy

TURNS, REQUESTS = 5, 60
_LIST = f"/v1.44/containers/json?all=1&filters=%7B%22label%22%3A%5B%22com.docker.compose.project%3D{PROJECT}%22%5D%7D"


def report() -> None:
    """Measure in turns, and print."""
    with tempfile.TemporaryDirectory() as folder:
        bare = Path(folder) / "haproxy.cfg"
        bare.write_text(CONFIG.read_text().replace("/tmp/filter.sock", ENGINE_SOCKET))  # noqa: S108  in the container
        Path(folder).chmod(0o755)
        with proxy("0:0") as door, proxy("0:0", "--volume", f"{bare}:/etc/docker-proxy/haproxy.cfg:ro") as alone:
            ways = {"engine": ENGINE_SOCKET, "HAProxy": str(alone.socket_path), "filter": str(door.socket_path)}
            container = f"/v1.44/containers/{door.container_id}"
            for name, target in (
                ("a list", _LIST),
                ("an inspect", f"{container}/json"),
                ("one reading of statistics", f"{container}/stats?stream=false&one-shot=true"),
            ):
                found = _milliseconds(ways, target)
                print(f"{name:26}" + "  ".join(f"{way} {value:5.2f} ms" for way, value in found.items()), flush=True)


def _milliseconds(ways: dict[str, str], target: str) -> dict[str, float]:
    times: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(TURNS):
        for way, path in ways.items():
            link = UnixGet(path, 10.0)
            for _ in range(REQUESTS):
                began = time.perf_counter()
                status, _body = link.get(target)
                times[way].append(time.perf_counter() - began)
                assert status == 200, (way, target, status)
            link.close()
    return {way: 1000 * statistics.median(found) for way, found in times.items()}

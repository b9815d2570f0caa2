"""Make the pictures and the sample outputs of the documentation again: `scripts/pictures`, then look at them."""

from __future__ import annotations

import base64
import time
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sidecar.incidents import phrases
from sidecar.model.history import RunPoint
from sidecar.model.incident import FINAL, Incident, IncidentKind, Severity
from sidecar.model.snapshot import Container, EndpointStats, Failure, RunStatus, Snapshot, VerdictSoFar
from tests.browser.browser import Browser
from tests.browser.demo_archive import WorldArchive
from tests.browser.demo_world import MIB, OTHER_PROJECT, World
from tests.browser.pretend_sidecar import PretendSidecar, now
from tests.paths import ROOT
from tests.ports import free_port
from tests.shown.samples import PAGES, renewed
from tests.shown.terminal import terminal

_PAGE_WIDTH = 1440
_DRAWN_SECONDS = 3.0  # a chart shows no sign that it is drawn
_FAILING_SECONDS, _BEFORE_RUN_SECONDS = 110.0, 3000.0


class FailingShop(World):
    """A run whose target fails: an API container of the watched shop was OOM-killed, and requests answer 503."""

    def __init__(self, workers: int, at: datetime) -> None:
        super().__init__(workers, at)
        self.killed_at = at - timedelta(seconds=_FAILING_SECONDS)
        self.blind = ()
        kill = self.oom_kill(1, self.killed_at)
        kill = replace(
            kill, project=OTHER_PROJECT, service="api", container="shop-api-2", container_id="c" * 64, workers=(),
            users_lost=None, memory_at_death_bytes=508 * MIB,
        )  # fmt: skip
        kill = replace(kill, text=phrases.oom_kill(kill))
        restart = Incident(
            id="restart000000001", kind=IncidentKind.RESTART, severity=Severity.ERROR, project=OTHER_PROJECT,
            at=self.killed_at + timedelta(seconds=2), until=self.killed_at + timedelta(seconds=2), service="api",
            container="shop-api-2", reason=kill.reason, cause=kill.id, state=FINAL, text="",
        )  # fmt: skip
        restart = replace(restart, text=phrases.restarted(restart, kill.reason, 137, None))
        failing = Incident(
            id="failures00000001", kind=IncidentKind.FAILURE_RATIO, severity=Severity.WARN, project="locust",
            at=self.killed_at + timedelta(seconds=4), state=FINAL,
            text="12.4% of the requests of the last 10 s failed, the limit is 5%",
        )  # fmt: skip
        self.incidents = {one.id: one for one in (kill, restart, failing)}

    def used_bytes(self, index: int, at: datetime) -> int:
        """Return the memory of a worker: none leaks here."""
        return super().used_bytes(index + 10, at)

    def cpu_percent(self, index: int, at: datetime) -> float:
        """Return the CPU of a worker: none is busy here."""
        return super().cpu_percent(index + 10, at)

    def users(self, at: datetime) -> float:
        """Return the users: a ramp of 100 s, some minutes ago."""
        return max(0.0, min(400.0, 4 * ((at - self.began).total_seconds() - _BEFORE_RUN_SECONDS)))

    def fails(self, at: datetime) -> float:
        """Return the failed requests per second."""
        return 61.0 + 9 * (at.timestamp() % 7 - 3) / 3 if at > self.killed_at + timedelta(seconds=2) else 0.0

    def containers(self, at: datetime) -> tuple[Container, ...]:
        """Return the stack, all well, and the shop beside it."""
        ours = tuple(
            replace(one, restarts=0, oom_kills=0, throttled_percent=0.0, oom_eta_seconds=None, started_at=self.began)
            for one in super().containers(at)
            if one.state == "running" and one.project != OTHER_PROJECT
        )
        return *ours, self._api(1, at), self._api(2, at), self._database(ours[0])

    def _api(self, index: int, at: datetime) -> Container:
        limit = 512 * MIB
        leak = max(0.0, (self.killed_at - at).total_seconds())
        used = int((508 - 0.9 * leak) * MIB if index == 2 and leak else (212 + 20 * index) * MIB)
        killed = index == 2 and at > self.killed_at
        return replace(
            super().worker(index + 10, at), project=OTHER_PROJECT, service="api", index=index, name=f"shop-api-{index}",
            id="bc"[index - 1] * 12, memory_limit_bytes=limit, memory_working_set_bytes=max(120 * MIB, used),
            memory_usage_bytes=max(120 * MIB, used) + 4 * MIB, memory_percent=max(120 * MIB, used) / limit * 100,
            cpu_percent=super().cpu_percent(index + 3, at) + 25, oom_kills=int(killed), restarts=int(killed),
            oom_eta_seconds=None,
            started_at=self.killed_at + timedelta(seconds=2) if killed else self.began,
        )  # fmt: skip

    def _database(self, like: Container) -> Container:
        return replace(
            like, project=OTHER_PROJECT, service="postgres", index=1, name="shop-postgres-1", id="d" * 12,
            memory_limit_bytes=None, memory_percent=4.4, cpu_percent=41.0, health=None,
        )  # fmt: skip

    def snapshot(self, at: datetime) -> Snapshot:
        """Return the Snapshot of a moment."""
        made = super().snapshot(at)
        assert made.locust
        began = self.began + timedelta(seconds=_BEFORE_RUN_SECONDS)
        failed = int(61 * (at - self.killed_at).total_seconds())
        requests = failed * 40
        ratio = failed / requests
        text = f"{ratio:.2%} of {requests:,} requests failed, the limit is 1.00%"
        return replace(
            made,
            run=RunStatus(f"{began:%Y%m%dT%H%M%SZ}-ab12", "running", began),
            locust=replace(made.locust, fail_per_second=self.fails(at), fail_ratio=ratio),
            warnings=(),
            verdict=VerdictSoFar("FAIL", (text,)),
            failures=(
                Failure("POST", "/api/orders", "HTTPError('503 Server Error: Service Unavailable')", failed - 212,
                        self.killed_at, at),
                Failure("GET", "/api/cart", "HTTPError('503 Server Error: Service Unavailable')", 212,
                        self.killed_at, at),
            ),
            endpoints=(
                EndpointStats("GET", "/", requests - 3 * failed, 0, 402.8, 22.0),
                EndpointStats("GET", "/api/cart", 2 * failed, 212, 101.9, 148.0),
                EndpointStats("POST", "/api/orders", failed, failed - 212, 75.2, 412.0),
            ),
        )  # fmt: skip


class ShopArchive(WorldArchive):
    """The past of the failing shop."""

    world: FailingShop

    def run_series(self, since: datetime, until: datetime, points: int) -> list[RunPoint]:
        """Return the run's figures."""
        return [
            replace(one, fail_per_second=self.world.fails(one.at)) for one in super().run_series(since, until, points)
        ]


def page() -> bytes:
    """Return a picture of the monitor's page in a real Chromium."""
    port, world = free_port(), FailingShop(2, now() - timedelta(seconds=2))
    sidecar, browser = PretendSidecar(port, ShopArchive(world)), Browser()
    try:
        sidecar.publish(world.snapshot(now()))
        browser.open(f"http://127.0.0.1:{port}", width=_PAGE_WIDTH, height=900)
        browser.shows("#badge", "live")
        browser.shows("#incidents", "OOM kill")
        browser.click("#windows input[value='300']")
        time.sleep(_DRAWN_SECONDS)
        sidecar.publish(world.snapshot(now()))
        time.sleep(_DRAWN_SECONDS)
        browser.run("document.querySelector('#logs').hidden = true")  # the picture would be too high
        height = browser.run("return document.querySelector('#failures').getBoundingClientRect().bottom + 24")
        clip: dict[str, Any] = {"x": 0, "y": 0, "width": _PAGE_WIDTH, "height": height, "scale": 1}
        shot = browser.ask("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True)
        return base64.b64decode(shot["data"])
    finally:
        browser.close()
        sidecar.stop()


def main() -> None:
    """Write everything."""
    for path in PAGES:
        path.write_text(renewed(path.read_text(encoding="utf-8")), encoding="utf-8")
    (ROOT / "docs" / "monitor.svg").write_text(terminal(), encoding="utf-8")
    (ROOT / "docs" / "page.png").write_bytes(page())


if __name__ == "__main__":
    main()

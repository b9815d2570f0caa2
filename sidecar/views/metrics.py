"""Everything that Prometheus gets of one moment, under the names that dashboards and alert rules already know.

Containers as cAdvisor names them, the run as locust_exporter does, the sidecar itself as `locust_kit_`. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable

from sidecar.model.observation import ContainerSeries
from sidecar.model.self_metrics import SelfMetrics
from sidecar.model.snapshot import Snapshot
from sidecar.views import exposition
from sidecar.views.metrics_containers import container_families
from sidecar.views.metrics_locust import locust_families
from sidecar.views.metrics_own import own_families

CONTENT_TYPE = exposition.CONTENT_TYPE


def metrics_text(
    rows: Iterable[ContainerSeries], snapshot: Snapshot | None, own: SelfMetrics, *, legacy: bool = False
) -> str:
    """Write the answer to GET /metrics.

    Args:
        rows: the containers, from `Series.rows()` and for this answer alone.
        snapshot: the newest one, judged for its freshness; None before the first round.
        own: what the sidecar says of itself.
        legacy: add locust_exporter's one name that `promtool check metrics` refuses, for its dashboards
            (`locust_requests_current_fail_per_sec`; its sound twin ends in `_second`).
    """
    # What is old is not said to be of now: Prometheus marks a series that is missing as such, a frozen one it believes.
    fresh = snapshot is not None and not snapshot.stale
    return exposition.text(
        [
            *container_families(rows, fresh=fresh),
            *locust_families(snapshot, legacy=legacy),
            *own_families(own, snapshot),
        ]
    )

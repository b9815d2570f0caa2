"""The sidecar itself, for Prometheus: what it could not see, and what it costs. Pure."""

from __future__ import annotations

from sidecar.model.self_metrics import SelfMetrics
from sidecar.model.snapshot import Snapshot
from sidecar.views.exposition import Family, labels


def own_families(own: SelfMetrics, snapshot: Snapshot | None) -> list[Family]:
    """Make the families of the sidecar."""
    fresh = snapshot is not None and not snapshot.stale
    values: tuple[tuple[str, str, str, float], ...] = (
        (
            "blind_seconds_total",
            "counter",
            "Time for which a source gave nothing and nothing made up for it.",
            own.blind_seconds,
        ),
        (
            "unattributed_oom_kills_total",
            "counter",
            "OOM kills that the kernel counted and that no container explains.",
            own.unattributed_kills,
        ),
        ("engine_up", "gauge", "1 when Docker's figures are fresh, else 0.", int(fresh)),
        ("start_time_seconds", "gauge", "When the sidecar was started.", own.started_at.timestamp()),
        ("cpu_seconds_total", "counter", "Processor time that the sidecar used.", own.cpu_seconds),
        ("memory_bytes", "gauge", "Memory that the sidecar holds (resident).", own.memory_bytes),
        ("journal_bytes", "gauge", "The ledger on disk.", own.journal_bytes),
        (
            "ledger_up",
            "gauge",
            "1 when incidents are written where they outlive the sidecar, else 0.",
            int(own.ledger_kept),
        ),
        ("dropped_samples_total", "counter", "Samples not kept because the disk was slow.", own.dropped_samples),
        ("alerts_sent_total", "counter", "Messages that a receiver took.", own.alerts_sent),
        ("alerts_dropped_total", "counter", "Messages that did not fit into the queue.", own.alerts_dropped),
        ("alerts_failed_total", "counter", "Messages given up after retries.", own.alerts_failed),
    )
    families = []
    for name, kind, text, value in values:
        family = Family(f"locust_kit_{name}", kind, text)
        family.add(value)
        families.append(family)
    return [*families, *_health(snapshot), _lag(own)]


def _health(snapshot: Snapshot | None) -> list[Family]:
    """What answers, and how soon; nothing of a sidecar that asks nobody."""
    up = Family("locust_kit_endpoint_up", "gauge", "1 when an endpoint answered when it was last asked, else 0.")
    took = Family("locust_kit_endpoint_response_seconds", "gauge", "How long an endpoint took to answer.")
    for one in snapshot.health if snapshot else ():
        up.add(int(one.passed), labels({"endpoint": one.name}))
        if one.response_ms is not None:
            took.add(one.response_ms / 1000, labels({"endpoint": one.name}))
    return [up, took]


def _lag(own: SelfMetrics) -> Family:
    lag = own.event_lag
    family = Family(
        "locust_kit_event_lag_seconds", "histogram", "From an event's own time stamp until its incident was on disk."
    )
    for bound, count in lag.upto:
        family.add(count, labels({"le": f"{bound:g}"}), "_bucket")
    family.add(lag.count, labels({"le": "+Inf"}), "_bucket")
    family.add(lag.sum_seconds, suffix="_sum")
    family.add(lag.count, suffix="_count")
    return family

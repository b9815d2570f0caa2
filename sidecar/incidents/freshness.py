"""When data is too old to be drawn as live. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sidecar.model.snapshot import Snapshot

_MISSED_REFRESHES = 3
_LEAST_SECONDS = 6.0  # a busy machine may be late by a refresh or two without anything being wrong


def stale_after_seconds(interval_seconds: float) -> float:
    """How old a snapshot may get before it is no longer the present."""
    return max(_LEAST_SECONDS, _MISSED_REFRESHES * interval_seconds)


def overdue(snapshot: Snapshot, now: datetime) -> bool:
    """Tell whether a snapshot should have been replaced long ago: whoever makes them hangs."""
    return (now - snapshot.at).total_seconds() > stale_after_seconds(snapshot.interval_seconds)


def judged(snapshot: Snapshot, now: datetime) -> Snapshot:
    """Mark a snapshot stale that is overdue for replacement."""
    return snapshot if snapshot.stale or not overdue(snapshot, now) else replace(snapshot, stale=True)


def data_age_seconds(snapshot: Snapshot, now: datetime) -> float | None:
    """Age of the containers' figures; None when Docker has never answered."""
    read_at = snapshot.engine_read_at
    return None if read_at is None else max(0.0, (now - read_at).total_seconds())

"""Requests after the end of a run's load: users say goodbye, listeners clean up. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sidecar.common.units import plural
from sidecar.model.run_record import Document, RunRecord

METER = "stopping"
_MOST_NAMED = 3


def after_the_end(record: RunRecord) -> Document:
    """Return what the workers counted after the end; empty if there was nothing, or it was not counted."""
    return record.meters.get(METER) or {}


def of_load(figures: Document, meters: Mapping[str, Document]) -> dict[str, Any]:
    """Return a master's total figures without the requests after the end, which the master includes."""
    return _less(figures, meters.get(METER) or {})


def endpoints_of_load(endpoints: Iterable[Document], meters: Mapping[str, Document]) -> list[dict[str, Any]]:
    """Return the same for the rows of methods and names. Empty rows are left out."""
    after = {_key(row): row for row in (meters.get(METER) or {}).get("endpoints") or ()}
    left = ((row, _less(row, after.get(_key(row)) or {})) for row in endpoints)
    return [rest for row, rest in left if rest["requests"] or not row["requests"]]


def _key(row: Document) -> tuple[str, str]:
    return str(row.get("method") or ""), str(row.get("name") or "")


def _less(figures: Document, after: Document) -> dict[str, Any]:
    """Return the figures without the requests of `after`. Rates shrink in proportion; times stay."""
    if not after:
        return dict(figures)
    before = int(figures.get("requests") or 0)
    requests = max(0, before - int(after.get("requests") or 0))
    failures = max(0, int(figures.get("failures") or 0) - int(after.get("failures") or 0))
    left: dict[str, Any] = {"requests": requests, "failures": failures}
    if "fail_ratio" in figures:
        left["fail_ratio"] = failures / requests if requests else 0.0
    if "requests_per_second" in figures:
        left["requests_per_second"] = figures["requests_per_second"] * requests / before if before else 0.0
    return {**figures, **left}


def lines(record: RunRecord) -> Iterator[str]:
    """Yield a line on the requests after the end, and one on goodbyes that were cut off."""
    after = after_the_end(record)
    requests, failures = int(after.get("requests") or 0), int(after.get("failures") or 0)
    if requests:
        failed = f", {failures} failed{_errors(after)}" if failures else ""
        yield f"after the end: {plural(requests, 'request')}{failed}; not counted in any rate or percentile"
    if cut := int(after.get("users_cut_off") or 0):
        timeout = float(record.plan.get("stop_timeout_seconds") or 0)
        when = f" after {timeout:g} s" if timeout else ""
        yield f"{plural(cut, 'user')} {'was' if cut == 1 else 'were'} cut off in on_stop{when}: raise STOP_TIMEOUT"


def _errors(after: Document) -> str:
    named = [
        f"{error.get('occurrences')} × {error.get('method') or ''} {error.get('name')}: {error.get('error')}"
        for error in (after.get("errors") or [])[:_MOST_NAMED]
    ]
    return f" ({'; '.join(named)})" if named else ""


def is_within(record: RunRecord, requests: int, failures: int, limit: float | None) -> bool:
    """Return whether the failures of the load and of the time after it are together within the limit.

    Without a failure after the end, the result is True, whatever the load was like.
    """
    after = after_the_end(record)
    failed_after = int(after.get("failures") or 0)
    requests, failures = requests + int(after.get("requests") or 0), failures + failed_after
    return limit is None or not failed_after or not requests or failures / requests <= limit

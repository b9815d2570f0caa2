"""The failures of a run, as a document and as lines for the console."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from locust_kit import SCHEMA_VERSION
from locust_kit.failures.classes import ADVICE, FailureClass
from locust_kit.failures.collection import Collection
from locust_kit.failures.records import rfc3339, trace_url
from locust_kit.texts import plural
from locust_kit.visible_text import harmless, visible

_SHOWN_GROUPS, _SHOWN_ADVICE = 10, 5
_LIVE_GROUPS = 20
_NAME, _MESSAGE = 36, 60


def document(run_id: str, collection: Collection, requests: int) -> dict[str, Any]:
    """Return all groups of a run. `requests` is Locust's own count, failed ones included."""
    failures = collection.failures
    return {
        "schema_version": SCHEMA_VERSION,
        "run_id": run_id,
        "requests": requests,
        "failures": failures,
        "task_errors": collection.task_errors,
        "rows_left_out": collection.lost_rows,
        "in_others": collection.in_others,
        "classes": {str(kind): count for kind, count in collection.by_kind().items()},
        "groups": [
            group.document(key, collection.task_errors if key.kind is FailureClass.TASK_ERROR else failures)
            for key, group in collection.ranked()
        ],
    }


def largest(collection: Collection) -> list[dict[str, Any]]:
    """Return the largest groups, with the trace of their latest example, for the monitor: it asks every two seconds."""
    return [
        {
            "method": key.method,
            "name": key.name,
            "class": key.kind,
            "detail": key.detail,
            "message": key.message,
            "count": group.count,
            "first_seen": rfc3339(group.first),
            "last_seen": rfc3339(group.last),
            "trace_id": (trace := next((one.trace_id for one in reversed(group.examples) if one.trace_id), "")),
            "trace_url": trace_url(trace),
        }
        for key, group in collection.ranked()[:_LIVE_GROUPS]
    ]


def lines(collection: Collection, requests: int) -> Iterator[str]:
    """Yield the lines for the console at the end of a run; no line if nothing failed."""
    if not collection.groups:
        return
    failures = collection.failures
    share = f" ({100 * failures / requests:.1f} % of {requests})" if requests else ""
    errors = f", {plural(collection.task_errors, 'task error')}" if collection.task_errors else ""
    yield f"Failure analysis: {plural(failures, 'failed request')}{share}{errors}"
    if collection.in_others:
        yield f"  (others) counts {collection.in_others} of them, because too many texts differ"
    counts: Counter[tuple[FailureClass, str]] = Counter()
    for key, group in collection.groups.items():
        counts[key.kind, key.detail] += group.count
    for (kind, detail), count in counts.most_common():
        total = collection.task_errors if kind is FailureClass.TASK_ERROR else failures
        yield f"  {kind:<20} {harmless(detail):<24} {count:>9}  {100 * count / total:5.1f} %"
    yield "Largest groups"
    for key, group in collection.ranked()[:_SHOWN_GROUPS]:
        name, message = visible(key.name)[:_NAME], visible(key.message)[:_MESSAGE]
        yield harmless(f"  {group.count:>9}  {key.method} {name}  {key.kind} {key.detail}  {message}")
    yield "What it usually means"
    for kind in list(collection.by_kind())[:_SHOWN_ADVICE]:
        yield f"  {kind}: {ADVICE[kind]}"

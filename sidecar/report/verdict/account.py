"""Account for each request that was sent: reported to Locust, or one of the kinds that its figures leave out. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from sidecar.common.units import plural
from sidecar.model.run_record import RunRecord, objects, whole
from sidecar.report.verdict.goodbye import after_the_end
from sidecar.report.verdict.unanswered import METER, Unanswered

_REPORT_SECONDS = 3  # between two reports of a worker
KINDS = {
    "reported": "reported to Locust",
    "after_the_end": "reported after the end of the load",
    "unreported": "never reported",
    "left": "left their `with` block without a report",
    "unanswered": "never answered",
    "cut": "cut off when their user stopped",
    "in_flight": "still waiting at the last report",
}
"""The outcomes of a request, and their words. Their sum is the number of sent requests."""
MORE = {"redirects": "redirects", "retries": "retries", "resent": "sent again by geventhttpclient"}
"""What was sent in addition."""
_COUNTED = ("unreported", "left", "unanswered", "cut", "in_flight", "raised", *MORE)


def account(record: RunRecord, stuck: tuple[Unanswered, ...]) -> dict[str, Any] | None:
    """Return the account of a run's requests; None if no plugin followed them."""
    meter = record.meters.get(METER)
    if not meter:
        return None
    rows = [_row(row, stuck) for row in objects(meter.get("endpoints"))]
    sums = Counter[str]()
    for row in rows:
        sums.update({name: row[name] for name in _COUNTED})
    reported = whole(meter.get("reported"))
    after = min(reported, whole(after_the_end(record).get("requests")))  # those of clients that nobody follows, too
    sums.update(reported=reported - after, after_the_end=after, left=whole(meter.get("held")))
    sums["retries"] = whole(meter.get("retries"))
    sent = sum(sums[name] for name in KINDS)
    return {
        "sent": sent,
        **{name: sums[name] for name in (*KINDS, *MORE, "raised")},
        "text": _text(sent, sums),
        "endpoints": [row for row in rows if any(row[name] for name in _COUNTED)],
        "sites": [{"place": str(site.get("place")), "count": whole(site.get("count"))} for site in _sites(meter)],
        "lost": list(_lost(record, meter)),
        "not_followed": [str(part) for part in meter.get("not_followed") or []],
    }


def warnings(record: RunRecord) -> Iterator[str]:
    """Yield what the account cannot contain."""
    meter = record.meters.get(METER) or {}
    for lost in _lost(record, meter):
        last = "before its first report" if lost["requests"] is None else "after its last report"
        about = "" if lost["requests"] is None else f", about {plural(lost['requests'], 'request')}"
        most = f"up to {_REPORT_SECONDS} s{about}"
        yield f"worker {lost['worker']} was lost: its requests {last} are not counted ({most})"
    for part in meter.get("not_followed") or []:
        yield f"requests are not followed to their end: {part}"


def _row(row: Mapping[str, Any], stuck: tuple[Unanswered, ...]) -> dict[str, Any]:
    """Return the outcomes of the requests of one method and name; unanswered requests are separate."""
    method, name = str(row.get("method") or ""), str(row.get("name") or "")
    never = next((endpoint for endpoint in stuck if endpoint.key == (method, name)), None)
    counts = {kind: whole(row.get(kind)) for kind in ("unreported", "left", "raised", *MORE)}
    ended, waiting = whole(row.get("cut")) + whole(row.get("given_up")), whole(row.get("in_flight"))
    return {
        "method": method,
        "name": name,
        **counts,
        "unanswered": never.count if never else 0,
        "cut": ended - (never.count - never.waiting if never else 0),
        "in_flight": waiting - (never.waiting if never else 0),
        "oldest_seconds": never.oldest_seconds if never else None,
    }


def _text(sent: int, sums: Mapping[str, int]) -> str:
    parts = " + ".join(f"{sums[name]:,} {said}" for name, said in KINDS.items() if sums[name] or name == "reported")
    more = ", ".join(f"{sums[name]:,} {said}" for name, said in MORE.items() if sums[name])
    return f"{plural(sent, 'request', ',')} sent = {parts}{f'; in addition {more}' if more else ''}"


def _sites(meter: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return sorted(objects(meter.get("sites")), key=lambda site: -whole(site.get("count")))


def _lost(record: RunRecord, meter: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield each worker that was lost, and how many requests it may have sent after its last report.

    The number is None for a worker that was lost before its first report.
    """
    workers = meter.get("workers") or {}
    for worker in sorted(record.workers.lost) if meter else ():
        known = workers.get(worker)
        per_second = whole(known.get("per_second")) if isinstance(known, Mapping) else None
        yield {"worker": worker, "requests": None if per_second is None else _REPORT_SECONDS * per_second}

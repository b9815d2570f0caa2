"""A failed request, and a group of them: lists on the wire, objects in files."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any, NamedTuple

from locust_kit import run_folder
from locust_kit.failures.classes import FailureClass
from locust_kit.texts import attribute, safe

LATEST = 3
_TRACE_ID = re.compile(r"[0-9a-f]{32}")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}.*")


class GroupKey(NamedTuple):
    """The key of a group: two failures with the same key are equal. `message` is masked."""

    method: str
    name: str
    kind: FailureClass
    detail: str
    message: str


@dataclass(slots=True)
class Record:
    """One failed request. `at` is seconds since 1970, `response_ms` Locust's own figure.

    `represents` is the number of failures that this row represents: 1, or more if not all rows of a second are kept.
    """

    at: float
    user_class: str
    method: str
    name: str
    url: str
    status: int
    response_ms: float
    length: int
    exception: str
    message: str
    kind: FailureClass
    detail: str
    worker: str = ""
    represents: float = 1.0
    context: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    trace_id: str = ""

    def document(self) -> dict[str, Any]:
        """Return the record as a line of failures.ndjson, without empty fields."""
        whole = asdict(self)
        whole["class"] = whole.pop("kind")  # its name in all documents; it cannot be the name of an attribute
        whole["trace_url"] = trace_url(self.trace_id)
        filled = {name: value for name, value in whole.items() if value not in ("", {}, 1.0)}
        return {**filled, "at": rfc3339(self.at), "response_ms": round(self.response_ms, 1)}


@dataclass(slots=True)
class FailureGroup:
    """The count, first and last time, workers and examples of equal failures."""

    count: int = 0
    first: float = 0.0
    last: float = 0.0
    workers: dict[str, int] = field(default_factory=dict)
    examples: list[Record] = field(default_factory=list)

    def add(self, count: int, first: float, last: float) -> None:
        """Count failures between two moments."""
        self.first = min(self.first, first) if self.count else first
        self.last = max(self.last, last)
        self.count += count

    def exemplify(self, record: Record) -> None:
        """Keep a record as an example: the first one and the latest three, from any worker."""
        first, *later = sorted([*self.examples, record], key=lambda example: example.at)
        self.examples = [first, *later[-LATEST:]]

    def document(self, key: GroupKey, total: int) -> dict[str, Any]:
        """Return the group for documents; its share is of `total`."""
        return {
            "method": key.method,
            "name": key.name,
            "class": key.kind,
            "detail": key.detail,
            "message": key.message,
            "count": self.count,
            "share": round(self.count / total, 6) if total else 0.0,
            "first_seen": rfc3339(self.first),
            "last_seen": rfc3339(self.last),
            "workers": dict(sorted(self.workers.items())),
            "examples": [record.document() for record in self.examples],
        }


def trace_of(response: Any) -> str:
    """Return the trace id that the request sent to the target (W3C traceparent); "" without one."""
    headers = attribute(attribute(response, "request"), "headers")
    sent = _TRACEPARENT.fullmatch(str(headers.get("traceparent"))) if isinstance(headers, Mapping) else None
    return sent[1] if sent else ""


def trace_url(trace_id: str) -> str:
    """Return the address of a trace, from TRACE_URL; "" if TRACE_URL or the id is empty."""
    return os.environ.get("KIT_TRACE_URL", "").replace("{trace_id}", trace_id) if _TRACE_ID.fullmatch(trace_id) else ""


def rfc3339(seconds: float) -> str:
    """Format seconds since 1970 as UTC with milliseconds."""
    return run_folder.rfc3339(datetime.fromtimestamp(seconds, tz=UTC))


def record_of(row: list[Any]) -> Record:
    """Read a record in the wire format.

    Raises:
        TypeError, ValueError: the row has an unexpected form.

    """
    record = Record(*row)
    record.kind = FailureClass(record.kind)
    return record


def wire(record: Record) -> list[Any]:
    """Return a record in the wire format."""
    return [getattr(record, name) for name in Record.__slots__]


def plain(context: Mapping[Any, Any] | None, most: int = 16, longest: int = 200) -> dict[str, str]:
    """Return the context of a request as a text of limited size."""
    if not isinstance(context, Mapping):
        return {}
    try:
        pairs = list(islice(context.items(), most))
    except Exception:  # noqa: BLE001  a mapping of the test's own may raise anything
        return {}
    return {safe(name, longest): safe(value, longest) for name, value in pairs}

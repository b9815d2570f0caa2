"""What the sidecar says happened, as anybody can read it from /api/incidents."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tests.integration.storm.truth import nanoseconds

EVERYTHING = 5000


@dataclass(frozen=True, slots=True)
class Seen:
    """One incident, as far as a comparison needs it."""

    id: str
    kind: str
    state: str
    container_id: str | None
    count: int
    raw_events: int
    since_ns: int
    until_ns: int | None
    project: str | None
    document: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Span:
    """A span in which the sidecar says that it could not see. `covered`: it was made up for afterwards."""

    since_ns: int
    until_ns: int | None
    source: str
    covered: bool
    text: str = ""

    def holds(self, moment_ns: int, slack_ns: int = 1_000_000_000) -> bool:
        """Whether a moment lies in the span, or so close that clocks and queues explain it."""
        after = moment_ns >= self.since_ns - slack_ns
        return after and (self.until_ns is None or moment_ns <= self.until_ns + slack_ns)


@dataclass(frozen=True, slots=True)
class Account:
    """Everything that the sidecar says."""

    incidents: tuple[Seen, ...]
    blind: tuple[Span, ...]

    def of_kind(self, kind: str) -> tuple[Seen, ...]:
        """The incidents of one kind."""
        return tuple(incident for incident in self.incidents if incident.kind == kind)

    def since(self, moment_ns: int) -> Account:
        """What of it began at this moment or later."""
        return Account(tuple(incident for incident in self.incidents if incident.since_ns >= moment_ns), self.blind)

    def kills(self, container_id: str) -> int:
        """How many OOM kills it has for a container."""
        return sum(one.count for one in self.of_kind("oom_kill") if one.container_id == container_id)

    def unattributed(self) -> int:
        """How many it could not place."""
        return sum(one.count for one in self.of_kind("unattributed_oom_kill"))

    def settled(self) -> bool:
        """Whether no count is provisional any more."""
        counted = (*self.of_kind("oom_kill"), *self.of_kind("unattributed_oom_kill"))
        return all(one.state == "final" for one in counted)


def account(port: int) -> Account | None:
    """The account of the sidecar at a loopback port; None while it does not answer."""
    address = f"http://127.0.0.1:{port}/api/incidents?limit={EVERYTHING}"
    try:
        with urllib.request.urlopen(address, timeout=10) as answer:
            return read(json.load(answer))
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return None


def read(document: dict[str, Any]) -> Account:
    """The document of /api/incidents."""
    return Account(tuple(incidents(document["incidents"])), tuple(spans(document["blind"])))


def incidents(documents: Iterable[dict[str, Any]]) -> Iterable[Seen]:
    """The incidents in it."""
    for document in documents:
        yield Seen(
            id=document["id"],
            kind=document["kind"],
            state=document["state"],
            container_id=document["container_id"],
            count=document["count"],
            raw_events=document["raw_events"],
            since_ns=nanoseconds(document["at"]),
            until_ns=nanoseconds(document["until"]) if document["until"] else None,
            project=document["project"],
            document=document,
        )


def spans(documents: Iterable[dict[str, Any]]) -> Iterable[Span]:
    """The blind spans in it."""
    for document in documents:
        until = nanoseconds(document["until"]) if document["until"] else None
        yield Span(nanoseconds(document["since"]), until, document["source"], document["covered"], document["text"])

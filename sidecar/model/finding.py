"""The result of a diagnosis: findings with evidence and fix, the checks behind them, and a summary."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import msgspec

from sidecar.model.incident import Severity
from sidecar.model.snapshot import SCHEMA_VERSION


class Status(StrEnum):
    """How a check ended. `unknown` means that the check could not be made. It is never `ok`."""

    OK = "ok"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"
    SKIP = "skip"  # pointless, because an earlier check failed
    UNKNOWN = "unknown"


class Confidence(StrEnum):
    """How sure a finding is of its cause."""

    CERTAIN = "certain"  # the cause itself was observed
    LIKELY = "likely"  # its effects were observed, and they fit no other checked cause


@dataclass(frozen=True, slots=True)
class FindingEvidence:
    """One piece of evidence: what was checked, the value seen, the value expected, and when."""

    what: str
    seen: str
    wanted: str = ""
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Fix:
    """How to fix it. Without commands, a person must act as `text` describes.

    The commands are for a shell in the checkout, in this order, and need nothing filled in.
    """

    text: str
    commands: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Consequence:
    """A symptom that a finding explains. It is not a finding itself."""

    slug: str
    title: str
    evidence: tuple[FindingEvidence, ...] = ()


class Finding(msgspec.Struct, frozen=True, rename={"impact": "breaks"}):  # a dataclass cannot rename a key
    """One cause. `affects` names containers, files or addresses; `layer` is that of its check.

    `impact` is what does not work because of it ("breaks" in documents).
    """

    code: str
    slug: str
    layer: str
    severity: Severity
    title: str
    evidence: tuple[FindingEvidence, ...]
    cause: str
    impact: str
    confidence: Confidence
    affects: tuple[str, ...]
    fix: Fix
    consequences: tuple[Consequence, ...] = ()


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check. `text` is what was seen, or why the check could not be made."""

    name: str
    layer: str
    status: Status
    text: str
    findings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Summary:
    """The number of checks by result, and the slug of the root cause: the first finding that is not an info."""

    ok: int
    info: int
    warn: int
    error: int
    skip: int
    unknown: int
    root_cause: str | None


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The whole diagnosis. `workers` and `connected` are counts; None if unknown."""

    project: str
    at: datetime
    seconds: float
    summary: Summary
    findings: tuple[Finding, ...]
    checks: tuple[Check, ...]
    workers: int | None = None
    connected: int | None = None
    notes: tuple[str, ...] = ()
    schema_version: int = SCHEMA_VERSION

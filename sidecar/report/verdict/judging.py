"""By what a run is judged, and the verdict over all that is on the disk of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sidecar.common.spans import Sustained
from sidecar.common.times import format_time
from sidecar.model import threshold
from sidecar.model.run_record import RunRecord
from sidecar.model.threshold import Threshold
from sidecar.report.verdict import broken, decision, thresholds
from sidecar.report.verdict.decision import Facts, Verdict
from sidecar.report.verdict.thresholds import Judged


@dataclass(frozen=True, slots=True)
class Criteria:
    """By what a run is judged, as it was written down at its start."""

    thresholds: tuple[Threshold, ...] = ()
    fail_ratio: float | None = 0.0
    is_fatal: bool = True
    limits: broken.GeneratorLimits = field(default_factory=broken.GeneratorLimits)
    trouble: str = ""


def judging(words: Mapping[str, Any]) -> Criteria:
    """Read the words of run.json; a threshold that cannot be read is a trouble, and no reason to give up."""
    try:
        asked = threshold.parse(str(words.get("thresholds") or ""))
        trouble = ""
    except ValueError as error:
        asked, trouble = (), f"the run's thresholds cannot be read: {error}"
    usual = broken.GeneratorLimits()
    return Criteria(
        asked,
        _fail_ratio(words, asked),
        str(words.get("on_invalid") or "fail") != "warn",
        broken.GeneratorLimits(
            _number(words.get("generator_cpu"), usual.cpu_percent),
            _number(words.get("generator_throttled"), usual.throttled_percent),
            Sustained(
                _number(words.get("sustained_seconds"), usual.sustained.seconds),
                _number(words.get("sustained_share"), usual.sustained.share),
            ),
        ),
        trouble,
    )


def _fail_ratio(words: Mapping[str, Any], asked: tuple[Threshold, ...]) -> float | None:
    """The largest share of failures that passes; None where a threshold over all requests takes its place."""
    if "fail_ratio_limit" in words:
        limit = words["fail_ratio_limit"]
        return None if limit is None else _number(limit, 0.0)
    by_threshold = any(one.metric == "fail_ratio" and not one.tags and not one.is_soft for one in asked)
    return None if by_threshold else _number(words.get("fail_ratio"), 0.0)


def _number(given: object, usual: float) -> float:
    """A number, or a percentage as a share; `usual` for what is none."""
    text = str(given if given is not None else "").strip()
    try:
        return float(text.rstrip("%")) / 100 if text.endswith("%") else float(text)
    except ValueError:
        return usual


def judge(record: RunRecord, by: Criteria) -> tuple[Verdict, tuple[Judged, ...]]:
    """The verdict over what is on the disk of a run, and what came of each threshold."""
    rows = thresholds.rows_of(record.statistics.get("endpoints") or [])
    checked = thresholds.judge(by.thresholds, rows, thresholds.spreads_of(record.performance))
    figures = record.statistics.get("figures") or {}
    facts = Facts(
        requests=int(record.end.get("requests", figures.get("requests", 0))),
        failures=int(record.end.get("failures", figures.get("failures", 0))),
        fail_ratio_limit=by.fail_ratio,
        reasons=broken.reasons(record, by.limits),
        exception=_exception(record.groups),
        thresholds=checked,
        is_fatal=by.is_fatal,
    )
    return decision.decide(facts), checked


def _exception(groups: Mapping[str, Any]) -> str:
    """The most frequent of what users' code raised, in one line; "" for nothing."""
    raised = [group for group in groups.get("groups") or [] if group.get("class") == "task_error"]
    most = max(raised, key=lambda one: int(one.get("count") or 0), default=None)
    return f"{most['count']} × {most.get('message') or most.get('detail')}" if most else ""


def judged_document(verdict: Verdict, checked: Sequence[Judged], by: Criteria) -> dict[str, Any]:
    """The verdict in parts, for programs."""
    return {
        "reasons": [
            {
                "kind": one.kind,
                "text": one.text,
                "at": format_time(one.at) if one.at else None,
                "seconds": None if one.seconds is None else round(one.seconds, 1),
                "share": None if one.share is None else round(one.share, 4),
            }
            for one in verdict.broken
        ],
        "thresholds": [
            {
                "threshold": judged.threshold.text,
                "is_soft": judged.threshold.is_soft,
                "limit": judged.threshold.limit,
                "actual": judged.actual,
                "samples": judged.samples,
                "samples_wanted": judged.samples_wanted,
                "is_known": judged.is_known,
                "passed": judged.passed,
                "text": judged.text,
            }
            for judged in checked
        ],
        "limits": {
            "fail_ratio": by.fail_ratio,
            "generator_cpu_percent": by.limits.cpu_percent,
            "generator_throttled_percent": by.limits.throttled_percent,
            "sustained_seconds": by.limits.sustained.seconds,
            "sustained_share": by.limits.sustained.share,
        },
    }

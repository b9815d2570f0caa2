"""Two runs side by side, as a part of the newer one's document. Pure."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sidecar.model.run_record import RunRecord
from sidecar.report.verdict.comparison import compare
from sidecar.report.verdict.thresholds import spreads_of

_UNLIKE = ("users", "spawn_rate_per_second", "shape_class")


def document(before: RunRecord, after: RunRecord) -> dict[str, Any]:
    """What changed from one run to the other, and whether they asked for the same at all."""
    found = compare(spreads_of(before.performance), spreads_of(after.performance))
    unlike = [
        f"{name} {before.plan.get(name)} then, {after.plan.get(name)} now"
        for name in _UNLIKE
        if before.plan.get(name) != after.plan.get(name)
    ]
    if before.begin.get("host") != after.begin.get("host"):
        unlike.append(f"host {before.begin.get('host')} then, {after.begin.get('host')} now")
    return {
        "baseline": before.run_id,
        "text": _text(len(found.changes), found.same, len(found.unsure), unlike),
        "unlike": unlike,
        "changes": [{**asdict(change), "is_worse": change.is_worse} for change in found.changes],
        "same": found.same,
        "unsure": list(found.unsure),
        "new": list(found.new),
        "gone": list(found.gone),
    }


def _text(changes: int, same: int, unsure: int, unlike: list[str]) -> str:
    told = f"{changes} figures changed by more than chance" if changes else "Nothing changed by more than chance"
    told += f"; {same} request names are as they were"
    told += f", {unsure} had too few requests to tell" if unsure else ""
    return told + (f". Not the same load: {'; '.join(unlike)}" if unlike else "") + "."

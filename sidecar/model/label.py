"""What people call a run by, beside its id: LABELS="env=staging team=shop"."""

from __future__ import annotations

import re
from dataclasses import dataclass

MOST, LONGEST = 16, 200
_NAME = re.compile(r"(?!__)[A-Za-z_][A-Za-z0-9_]{0,62}")
_OURS = ("run_id",)


@dataclass(frozen=True, slots=True)
class RunLabel:
    """One label of a run."""

    name: str
    value: str


def is_name(text: str) -> bool:
    """Whether a label may be called this: as Prometheus has it, and none of our own."""
    return bool(_NAME.fullmatch(text)) and text not in _OURS

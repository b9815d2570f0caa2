"""No document of the sidecar's holds NaN; those of the version before are read as if they held null."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from sidecar.common import strict_json
from sidecar.report.runs import record
from tests.fakes.run_scene import START


def test_nan_and_infinity_are_written_as_null() -> None:
    assert strict_json.dumps({"a": [math.nan, (math.inf, 1.5)], "b": "NaN"}) == '{"a": [null, [null, 1.5]], "b": "NaN"}'
    with pytest.raises(TypeError):
        strict_json.dumps({"a": object()})


def test_a_run_whose_documents_hold_nan_is_read(tmp_path: Path) -> None:
    run = "20261127T010203Z-ab12"
    (tmp_path / run).mkdir()
    (tmp_path / run / "run.json").write_text(json.dumps({"started_at": "2026-11-27T01:02:03Z"}))
    figures = '{"figures": {"requests": 676, "failures": 338, "average_ms": NaN, "max_ms": -Infinity}}'
    (tmp_path / run / "statistics.json").write_text(figures)
    (tmp_path / run / "timeline.ndjson").write_text('{"at": "2026-11-27T01:02:04Z", "rps": NaN, "p95_ms": Infinity}\n')
    found = record.read(tmp_path, run, START)
    assert found.figures == {"requests": 676, "failures": 338, "average_ms": None, "max_ms": None}
    assert (found.moments[0].rps, found.moments[0].p95_ms) == (0.0, None)

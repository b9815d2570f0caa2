"""The counts document."""

from __future__ import annotations

from mock_target.counts import Counts


def test_sums_agree_with_the_rows() -> None:
    counts = Counts()
    for path, behaviour, status in [("/a", "ok", 200), ("/a", "ok", 200), ("/a", "status", 503), ("/b", "reset", None)]:
        counts.record(path, behaviour, status)
    assert counts.document() == {
        "schema_version": 1,
        "requests": 4,
        "hanging_now": 0,
        "paths": {"/a": 3, "/b": 1},
        "behaviours": {"ok": 2, "reset": 1, "status": 1},
        "statuses": {"200": 2, "503": 1, "none": 1},
        "rows": [
            {"path": "/a", "behaviour": "ok", "status": 200, "count": 2},
            {"path": "/a", "behaviour": "status", "status": 503, "count": 1},
            {"path": "/b", "behaviour": "reset", "status": None, "count": 1},
        ],
    }


def test_paths_beyond_the_limit_are_counted_together_and_none_is_lost() -> None:
    counts = Counts(most_paths=2)
    for number in range(10):
        counts.record(f"/{number}", "not_found", 404)
    document = counts.document()
    assert document["paths"] == {"/0": 1, "/1": 1, "(other)": 8}
    assert document["requests"] == 10


def test_a_reset_forgets_what_was_done_but_not_what_hangs() -> None:
    counts = Counts()
    counts.record("/hang", "hang", None)
    counts.hanging_now = 1
    counts.reset()
    document = counts.document()
    assert (document["requests"], document["hanging_now"], document["rows"]) == (0, 1, [])

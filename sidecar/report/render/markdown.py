"""A run as Markdown, for a pull request or a CI job's summary: under 60 KiB whatever happened. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sidecar.common.units import whole_milliseconds

_MOST_BYTES = 59 * 1024
_MOST_ROWS = 30
_LONGEST_CELL = 160
_SPECIAL = str.maketrans({character: f"\\{character}" for character in "\\`*_{}[]()<>#|~"} | {"\n": " ", "\r": " "})
_SIGNS = {"PASS": "✅", "FAIL": "❌", "INVALID": "⚠️"}
_RIGHT, _LEFT = "--:", ":--"


def render(document: Mapping[str, Any]) -> str:
    """Return the text; what goes beyond the limit is cut at a line, and said."""
    kept, left = [], _MOST_BYTES
    for line in _lines(document):
        left -= len(line.encode()) + 1
        if left < 0:
            kept += ["", "Cut here: the rest is in report.json."]
            break
        kept.append(line)
    return "\n".join(kept) + "\n"


def _lines(document: Mapping[str, Any]) -> Iterator[str]:
    word, judged = document["verdict"], document["judged"]
    yield f"## {_SIGNS.get(word, '')} {word}: {_plain(document['run_id'])}"
    yield ""
    yield from (f"- {_plain(reason)}" for reason in document["reasons"][:_MOST_ROWS])
    yield ""
    yield from _table(("Run", "Value"), (_LEFT, _LEFT), _about(document))
    yield from _meanwhile(document)
    if judged["thresholds"]:
        yield "### Thresholds"
        yield ""
        rows = [
            (_outcome(threshold), threshold["threshold"], threshold["text"].partition(": ")[2])
            for threshold in judged["thresholds"]
        ]
        yield from _table(("", "Threshold", "Actual"), (_LEFT, _LEFT, _LEFT), rows)
    yield "### Requests"
    yield ""
    header = ("Name", "Requests", "Failed", "Median", "p95", "p99", "Max", "Requests/s")
    ends = sorted(document["endpoints"], key=lambda endpoint: -endpoint["requests"])
    everything = {"method": "", "name": "all", **document["figures"]}
    yield from _table(
        header, (_LEFT, *[_RIGHT] * 7), [_endpoint(endpoint) for endpoint in (*ends[:_MOST_ROWS], everything)]
    )
    if len(ends) > _MOST_ROWS:
        yield f"{len(ends) - _MOST_ROWS} more names are in report.json."
        yield ""
    if document["failures"]:
        yield "### Failures"
        yield ""
        rows = [
            (str(failure["occurrences"]), f"{failure['method'] or ''} {failure['name']}", str(failure["error"]))
            for failure in document["failures"]
        ]
        yield from _table(("Count", "Request", "Error"), (_RIGHT, _LEFT, _LEFT), rows[:_MOST_ROWS])
        if len(rows) > _MOST_ROWS:
            yield f"{len(rows) - _MOST_ROWS} more kinds are in report.json."


def _meanwhile(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield what happened to the generators, and what the failures have to do with it."""
    if "attribution" not in document:
        return
    breaking = [incident for incident in document["incidents"] if incident["breaks_the_run"]]
    for incident in breaking[:_MOST_ROWS]:
        attribution = f"; {_plain(incident['attribution'])}" if incident["attribution"] else ""
        yield f"- {_plain(str(incident['at'])[11:19])} UTC: {_plain(incident['text'])}{attribution}"
    if breaking:
        yield ""
    yield _plain(document["attribution"]["text"])
    yield ""
    yield from (f"Warning: {_plain(warning)}\n" for warning in document["warnings"])
    compared = document.get("comparison")
    if compared:
        yield f"Against {_plain(compared['baseline'])}: {_plain(compared['text'])}"
        yield ""
        yield from (f"- {_plain(change['text'])}" for change in compared["changes"][:_MOST_ROWS])
        yield ""


def _about(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    settings = document["settings"]
    shape = settings["shape_class"]
    load = (
        f"shape {shape}" if shape else f"{settings['users'] or '?'} users, {settings['spawn_rate_per_second']} a second"
    )
    labels = " ".join(f"{name}={value}" for name, value in document["labels"].items())
    facts = [
        ("Target", settings["host"] or ""),
        ("Load", load),
        ("Time", f"{document['started_at']}, {document['duration_seconds']} s"),
        ("Workers", str(document["workers"]["at_start"])),
        ("Locust", document["locust_version"]),
        ("Labels", labels),
    ]
    return [(name, value) for name, value in facts if value]


def _outcome(threshold: Mapping[str, Any]) -> str:
    if threshold["is_soft"]:
        return "reported"
    return "holds" if threshold["passed"] else "**fails**"


def _endpoint(endpoint: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        f"{endpoint['method'] or ''} {endpoint['name']}".strip(),
        str(endpoint["requests"]),
        f"{endpoint['failures']} ({endpoint['fail_ratio']:.2%})" if endpoint["failures"] else "0",
        *(whole_milliseconds(endpoint[name]) for name in ("median_ms", "p95_ms", "p99_ms", "max_ms")),
        f"{endpoint['requests_per_second']:.1f}",
    )


def _table(header: Sequence[str], sides: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(header)} |"
    yield f"| {' | '.join(sides)} |"
    for row in rows:
        yield f"| {' | '.join(cell if cell == '**fails**' else _plain(cell) for cell in row)} |"
    yield ""


def _plain(text: object) -> str:
    """Return a text that Markdown shows as it is, in one line of bounded length."""
    said = str(text)
    return (said if len(said) <= _LONGEST_CELL else f"{said[:_LONGEST_CELL]}…").translate(_SPECIAL)

"""The pictures of a run, from its document. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from sidecar.common.times import parse_time
from sidecar.common.units import MIB
from sidecar.report.render.plots import ChartMark, ChartSeries, bars, over_time
from sidecar.report.render.shapes import SERIES, Picture, Role

_MOST_CLASSES = len(SERIES) - 1
_MOST_BARS = 10
_REST = "others"
_MOST_GENERATORS = 6

Document = Mapping[str, Any]


def load(document: Document) -> Picture:
    """Draw users over time, with what happened meanwhile."""
    line = document["timeline"]
    chart_series = [
        ChartSeries("users", line["users"], Role.FIRST),
        ChartSeries("workers", line["workers"], Role.SIXTH),
    ]
    return over_time("Users and workers", _at(document), chart_series, marks=marks(document))


def rate(document: Document) -> Picture:
    """Draw requests and failures a second."""
    line = document["timeline"]
    chart_series = [
        ChartSeries("requests a second", line["rps"], Role.THIRD),
        ChartSeries("failures a second", line["fail_per_second"], Role.FOURTH),
    ]
    return over_time("Requests a second", _at(document), chart_series, marks=marks(document))


def latency(document: Document) -> Picture:
    """Draw response times over time."""
    line = document["timeline"]
    chart_series = [ChartSeries("median", line["p50_ms"], Role.FIRST), ChartSeries("p95", line["p95_ms"], Role.SECOND)]
    return over_time("Response times", _at(document), chart_series, unit="ms", marks=marks(document))


def failure_timeline(document: Document) -> Picture:
    """Draw failures over time, by class."""
    line, roles = document["timeline"], class_roles(document)
    columns: dict[str, list[int]] = {}
    for name, column in line["failures"].items():
        shown = name if name in roles else _REST
        before = columns.get(shown, [0] * len(column))
        columns[shown] = [earlier + other for earlier, other in zip(before, column, strict=True)]
    chart_series = [
        ChartSeries(name, column, roles.get(name, SERIES[-1]), is_stacked=True) for name, column in columns.items()
    ]
    unit = f"in each {line['step_seconds']:g} s"
    return over_time("Failures over time", _at(document), chart_series, unit=unit, marks=marks(document))


def failure_types(document: Document) -> Picture:
    """Draw failures by class."""
    roles = class_roles(document)
    counts = Counter({name: int(count) for name, count in document["failure_classes"].items()})
    rows = [(name, count, roles.get(name, SERIES[-1])) for name, count in counts.most_common()]
    return bars("Failures by class", rows, total=sum(counts.values()))


def failure_endpoints(document: Document) -> Picture:
    """Draw the endpoints with the most failures."""
    rows = sorted(
        (
            (f"{endpoint['method'] or ''} {endpoint['name']}".strip(), int(endpoint["failures"]))
            for endpoint in document["endpoints"]
        ),
        key=lambda row: -row[1],
    )
    failing = [(name, count, Role.FOURTH) for name, count in rows if count][:_MOST_BARS]
    return bars("Endpoints with the most failures", failing, total=sum(count for _, count in rows))


FILES = {
    "failure_timeline": failure_timeline,
    "failure_types": failure_types,
    "failure_endpoints": failure_endpoints,
}


def generators(document: Document) -> Iterator[Picture]:
    """Draw CPU, throttling and memory of the busiest containers that made the load."""
    chosen = sorted(document["generators"], key=lambda generator: -(generator["cpu_max_percent"] or 0))[
        :_MOST_GENERATORS
    ]
    if not chosen:
        return
    at = sorted({moment for generator in chosen for moment in generator["at"]})
    seconds = [_seconds(document, moment) for moment in at]
    for title, column, scale, unit in (
        ("CPU of the generators", "cpu_percent", 1.0, "% of a core"),
        ("Throttled", "throttled_percent", 1.0, "% of CPU periods"),
        ("Memory of the generators", "memory_bytes", MIB, "MiB"),
    ):
        chart_series = [
            ChartSeries(generator["container"], _on(at, generator["at"], generator[column], scale), SERIES[number])
            for number, generator in enumerate(chosen)
        ]
        if not any(value for series in chart_series for value in series.values):
            continue
        yield over_time(title, seconds, chart_series, unit=unit, marks=marks(document))


def class_roles(document: Document) -> dict[str, Role]:
    """Choose a colour for each of the most frequent classes, the same in every picture."""
    counts = Counter({name: int(count) for name, count in document["failure_classes"].items()})
    return {name: SERIES[(number + 3) % len(SERIES)] for number, (name, _) in enumerate(counts.most_common(5))}


def marks(document: Document) -> list[ChartMark]:
    """Return a mark for each incident worth one, in order."""
    return [
        ChartMark(
            _seconds(document, shown_incident["at"]),
            shown_incident["text"],
            Role.BAD if shown_incident["breaks_the_run"] else Role.WARN,
            _seconds(document, shown_incident["until"]) if shown_incident["until"] else None,
        )
        for shown_incident in shown_incidents(document)
    ]


def shown_incidents(document: Document) -> list[Mapping[str, Any]]:
    """Return the incidents worth a mark: what broke the run, and what is more than a remark."""
    return [
        incident for incident in document["incidents"] if incident["breaks_the_run"] or incident["severity"] != "info"
    ]


def _at(document: Document) -> list[float]:
    return [_seconds(document, moment) for moment in document["timeline"]["at"]]


def _seconds(document: Document, moment: str) -> float:
    return max(0.0, (parse_time(moment) - parse_time(document["started_at"])).total_seconds())


def _on(axis: list[str], at: list[str], values: list[float | None], scale: float) -> list[float | None]:
    known = dict(zip(at, values, strict=True))
    return [None if (value := known.get(moment)) is None else value / scale for moment in axis]

"""The pictures of a run, from its document. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
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
    """Draw users over time, with the incidents."""
    return _course(document, "Users and workers", (("users", "users", Role.FIRST), ("workers", "workers", Role.SIXTH)))


def rate(document: Document) -> Picture:
    """Draw requests and failures per second."""
    columns = (("requests/s", "rps", Role.THIRD), ("failures/s", "fail_per_second", Role.FOURTH))
    return _course(document, "Requests per second", columns)


def latency(document: Document) -> Picture:
    """Draw response times over time."""
    columns = (("median", "p50_ms", Role.FIRST), ("p95", "p95_ms", Role.SECOND))
    return _course(document, "Response times", columns, unit="ms")


def _course(document: Document, title: str, columns: Iterable[tuple[str, str, Role]], unit: str = "") -> Picture:
    """Draw columns of the timeline, each as (name, column, role)."""
    chart_series = [ChartSeries(name, document["timeline"][column], role) for name, column, role in columns]
    return over_time(title, _at(document), chart_series, unit=unit, marks=marks(document))


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
    unit = f"per {line['step_seconds']:g} s"
    return over_time("Failures over time", _at(document), chart_series, unit=unit, marks=marks(document))


def failure_types(document: Document) -> Picture:
    """Draw failures by class."""
    roles, counts = class_roles(document), _classes(document)
    rows = [(name, count, roles.get(name, SERIES[-1])) for name, count in counts.most_common()]
    return bars("Failures by class", rows, total=counts.total())


def failure_endpoints(document: Document) -> Picture:
    """Draw the endpoints with the most failures."""
    endpoints = document["endpoints"]
    counts = Counter({f"{end['method'] or ''} {end['name']}".strip(" "): int(end["failures"]) for end in endpoints})
    failing = [(name, count, Role.FOURTH) for name, count in counts.most_common(_MOST_BARS) if count]
    return bars("Endpoints with the most failures", failing, total=counts.total())


FILES = {
    "failure_timeline": failure_timeline,
    "failure_types": failure_types,
    "failure_endpoints": failure_endpoints,
}


def generators(document: Document) -> Iterator[Picture]:
    """Draw CPU, throttling and memory of the busiest load generators."""
    busiest = sorted(document["generators"], key=lambda generator: -(generator["cpu_max_percent"] or 0))
    chosen = busiest[:_MOST_GENERATORS]
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
        if any(value for series in chart_series for value in series.values):
            yield over_time(title, seconds, chart_series, unit=unit, marks=marks(document))


def _classes(document: Document) -> Counter[str]:
    return Counter(document["failure_classes"])


def class_roles(document: Document) -> dict[str, Role]:
    """Choose a colour for each of the most frequent classes, the same in every picture."""
    frequent = _classes(document).most_common(_MOST_CLASSES)
    return {name: SERIES[(number + 3) % len(SERIES)] for number, (name, _) in enumerate(frequent)}


def marks(document: Document) -> list[ChartMark]:
    """Return a mark for each important incident, in order."""
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
    """Return the important incidents: those that broke the run, and those above severity info."""
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

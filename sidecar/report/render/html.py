"""A run as one HTML file: no script, nothing fetched from anywhere, for screen and paper, light and dark. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from sidecar.report.render import pictures
from sidecar.report.render.charts import svg
from sidecar.report.render.charts.shapes import Picture

_STYLE = (Path(__file__).parent / "report.css").read_text(encoding="utf-8")
_MOST_ROWS = 100
_MOST_GROUPS = 30
_LONGEST_TEXT = 400
_LONGEST_EXAMPLE = 4000
_MIB = 1 << 20
_SIGNS = {"PASS": "✓", "FAIL": "✗", "INVALID": "!"}
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"

Document = Mapping[str, Any]
Cell = tuple[str, str]
"""A class and HTML."""


def render(document: Document) -> str:
    """The file. Whatever came from outside is text in it, never markup."""
    title = f"{document['verdict']}: {document['run_id']}"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{_t(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="content-security-policy" content="{_POLICY}">'
        f"<style>{_STYLE}</style></head>\n<body>\n<header>{_head(document)}</header>\n<main>\n"
        + "\n".join(filter(None, _sections(document)))
        + f"\n</main>\n<footer>{_foot(document)}</footer>\n</body></html>\n"
    )


def _sections(document: Document) -> Iterator[str]:
    yield _figures(document)
    yield _thresholds(document)
    yield _timeline(document)
    yield _incidents(document)
    yield _compared(document)
    yield _endpoints(document)
    yield _failures(document)
    yield _generators(document)
    yield _capacity(document)
    yield _repeat(document)


def _head(document: Document) -> str:
    word = document["verdict"]
    settings = document["settings"]
    load = f"shape {settings['shape_class']}" if settings["shape_class"] else f"{settings['users'] or '?'} users"
    labels = " ".join(f"{name}={value}" for name, value in document["labels"].items())
    facts = (settings["host"], load, f"{document['duration_seconds']:g} s", document["started_at"], labels)
    items = "".join(f"<li>{_t(reason)}</li>" for reason in document["reasons"])
    state = "" if document["state"] == "ended" else f" <span class='warn'>({_t(document['state'])})</span>"
    return (
        f'<div class="head"><span class="word {word}">{_SIGNS.get(word, "")} {_t(word)}</span>'
        f"<div><h1>Run {_t(document['run_id'])}{state}</h1>"
        f'<div class="faint">{_t(" · ".join(str(fact) for fact in facts if fact))}</div></div></div>'
        f'<ul class="reasons {word}">{items}</ul>'
        + "".join(f'<p class="warn">{_t(warning)}</p>' for warning in document["warnings"])
    )


def _figures(document: Document) -> str:
    found, workers = document["figures"], document["workers"]
    tiles = (
        (f"{found['requests']:,}", "requests"),
        (f"{found['fail_ratio']:.2%}", f"failed ({found['failures']:,})"),
        (f"{found['requests_per_second']:,.1f}", "requests a second"),
        (_ms(found["median_ms"]), "median"),
        (_ms(found["p95_ms"]), "p95"),
        (_ms(found["p99_ms"]), "p99"),
        (f"{workers.get('most_users', workers['users_at_end']):,}", "users at most"),
        (str(workers["at_start"]), "workers at the start"),
    )
    return '<ul class="tiles">' + "".join(f"<li><b>{_t(a)}</b><span>{_t(b)}</span></li>" for a, b in tiles) + "</ul>"


def _thresholds(document: Document) -> str:
    rows = [
        (_outcome(threshold), ("name mono", _t(threshold["threshold"])), ("", _t(threshold["text"].partition(": ")[2])))
        for threshold in document["judged"]["thresholds"]
    ]
    return _section("Thresholds", _table((("", ""), ("", "Threshold"), ("", "Actual")), rows)) if rows else ""


def _outcome(one: Mapping[str, Any]) -> Cell:
    if one["is_soft"]:
        return ("soft", "reported")
    return ("holds", "holds") if one["passed"] else ("fails", "fails")


def _timeline(document: Document) -> str:
    if not document["timeline"]["at"]:
        return ""
    drawn = [pictures.load(document), pictures.rate(document), pictures.latency(document)]
    if document["failure_classes"]:
        drawn.append(pictures.failure_timeline(document))
    note = '<p class="faint">Minutes since the start. Numbers mark the incidents listed below.</p>'
    return _section("Over time", _charts("time", drawn) + (note if pictures.shown_incidents(document) else ""))


def _charts(prefix: str, drawn: Iterable[Picture]) -> str:
    return "".join(svg.render(one, f"{prefix}-{number}") for number, one in enumerate(drawn))


def _incidents(document: Document) -> str:
    shown = pictures.shown_incidents(document)
    text = f"<p>{_t(document['attribution']['text'])}</p>"
    if not shown:
        return _section("What happened meanwhile", f"<p>No incident.</p>{text}")
    items = "".join(
        f"<li><span class='{'bad' if one['breaks_the_run'] else 'warn'}'>{_t(one['text'])}</span>"
        f" <span class='faint'>{_t(str(one['at'])[11:19])} UTC</span>"
        + (f"<br>{_t(one['attribution'])}" if one["attribution"] and document["figures"]["failures"] else "")
        + (f"<br><em>{_t(one['person_note'])}</em>" if one["person_note"] else "")
        + "</li>"
        for one in shown
    )
    return _section("What happened meanwhile", f'{text}<ol class="marks">{items}</ol>')


def _compared(document: Document) -> str:
    found = document.get("comparison")
    if not found:
        return ""
    items = "".join(
        f"<li class='{'bad' if change['is_worse'] else 'holds'}'>{_t(change['text'])}</li>"
        for change in found["changes"]
    )
    return _section(f"Against {found['baseline']}", f"<p>{_t(found['text'])}</p><ul>{items}</ul>")


def _endpoints(document: Document) -> str:
    times = {(endpoint["method"], endpoint["name"]): endpoint for endpoint in document["times"]["endpoints"]}
    ends = sorted(document["endpoints"], key=lambda endpoint: -(endpoint["requests"] * (endpoint["average_ms"] or 0)))
    header = ("Request", "Requests", "Failed", "Req/s", "Median", "p95", "p99", "Max", "p95 good", "p95 failed")
    rows = [
        (
            ("name", _t(f"{end['method'] or ''} {end['name']}".strip())),
            ("n", f"{end['requests']:,}"),
            ("n bad" if end["failures"] else "n", f"{end['failures']:,} ({end['fail_ratio']:.1%})"),
            ("n", f"{end['requests_per_second']:.1f}"),
            *(("n", _ms(end[name])) for name in ("median_ms", "p95_ms", "p99_ms", "max_ms")),
            *(("n", _ms(_part(times, end, part))) for part in ("good", "failed")),
        )
        for end in ends[:_MOST_ROWS]
    ]
    more = f"<p>{len(ends) - _MOST_ROWS} more are in report.json.</p>" if len(ends) > _MOST_ROWS else ""
    slow = "".join(
        f"<li>{_t(bottleneck['method'])} {_t(bottleneck['name'])}: {bottleneck['slow']:,} requests over "
        f"{document['times']['slow_is_over_ms'] or 0:g} ms</li>"
        for bottleneck in document["times"]["bottlenecks"]
    )
    slowest = f"<h3>Slowest</h3><ul>{slow}</ul>" if slow else ""
    caption = "By time spent in them. Good and failed requests apart on the right."
    columns = [("n" if number else "", name) for number, name in enumerate(header)]
    return _section("Requests", _table(columns, rows, caption) + more + slowest)


def _part(times: Mapping[tuple[str, str], Any], one: Mapping[str, Any], part: str) -> object:
    found = times.get((str(one["method"] or ""), str(one["name"]))) or {}
    return (found.get(part) or {}).get("p95_ms")


def _failures(document: Document) -> str:
    if not document["failure_classes"]:
        return ""
    drawn = [pictures.failure_types(document), pictures.failure_endpoints(document)]
    groups = document["failure_groups"]
    rows = "".join(map(_group, groups[:_MOST_GROUPS]))
    more = f"<p>{len(groups) - _MOST_GROUPS} more groups are in report.json.</p>" if len(groups) > _MOST_GROUPS else ""
    return _section("Failures", f"{_charts('failures', drawn)}<h3>Groups</h3>{rows}{more}")


def _group(group: Mapping[str, Any]) -> str:
    title = f"{group['count']:,} × {group['method']} {group['name']}: {group['class']} {group.get('detail') or ''}"
    seen = f"first {str(group.get('first_seen'))[11:19]}, last {str(group.get('last_seen'))[11:19]} UTC"
    examples = "".join(
        f"<pre>{_t(json.dumps(example, indent=1, ensure_ascii=False), _LONGEST_EXAMPLE)}</pre>"
        for example in group.get("examples") or []
    )
    advice = f"<p>{_t(group['advice'])}</p>" if group.get("advice") else ""
    return (
        f"<details><summary>{_t(title)}<br><code>{_t(group.get('message'))}</code></summary>"
        f'<p class="faint">{_t(seen)}</p>{advice}{examples}</details>'
    )


def _generators(document: Document) -> str:
    found = document["generators"]
    if not found:
        return _section("Generators", "<p>Nothing is known of the containers: no sidecar watched them.</p>")
    header = ("Container", "CPU mean", "CPU most", "Throttled most", "Memory most", "Limit")
    rows = [
        (
            ("name", _t(one["container"])),
            *(("n", _percent(one[name])) for name in ("cpu_mean_percent", "cpu_max_percent", "throttled_max_percent")),
            *(("n", _mib(one[name])) for name in ("memory_max_bytes", "memory_limit_bytes")),
        )
        for one in found[:_MOST_ROWS]
    ]
    columns = [("n" if number else "", name) for number, name in enumerate(header)]
    table = _table(columns, rows, "CPU in percent of one core.")
    return _section("Generators", _charts("generators", pictures.generators(document)) + table)


def _capacity(document: Document) -> str:
    found = document["capacity"]
    if not found:
        return ""
    measured = found["measured"]
    each = measured["cpu_per_request_ms"]
    told = (
        f"A user took {measured['bytes_per_user'] / 1024:.0f} KiB beside the {measured['base_bytes'] / _MIB:.0f} MiB "
        f"of a worker at rest" + (f", a request {each:.2f} ms of CPU." if each is not None else ".")
    )
    rows = [
        (
            ("n", f"{one['users']:,}"),
            ("mono", _t(one["settings"])),
            ("", _t(one["first_limit"])),
            ("", _t(f"{one['confidence']}: {one['why']}")),
        )
        for one in found["advice"]
    ]
    header = (("n", "Users"), ("", "Settings"), ("", "First limit"), ("", "How sure"))
    return _section("For more users", f"<p>{_t(told)}</p>{_table(header, rows)}")


def _repeat(document: Document) -> str:
    return _section("Once more", f"<pre>{_t(document['repeat'])}</pre>")


def _foot(document: Document) -> str:
    versions = ", ".join(f"{name} {value}" for name, value in document["versions"].items() if value)
    sha = document["locustfile"].get("sha256") or ""
    quantiles = document["times"]["quantiles"]
    parts = (
        f"Stack {document['project']}. {versions}. Locustfile {sha[:12]}.",
        f"Quantiles of good and failed requests: {quantiles}; the others are Locust's own." if quantiles else "",
        f"Ended {document['ended_at']}.",
    )
    return "".join(f"<p>{_t(part)}</p>" for part in parts if part)


def _section(title: str, inner: str) -> str:
    return f"<section><h2>{_t(title)}</h2>{inner}</section>"


def _table(header: Sequence[Cell], rows: Iterable[Sequence[Cell]], caption: str = "") -> str:
    head = "".join(f'<th scope="col" class="{kind}">{_t(text) or "&nbsp;"}</th>' for kind, text in header)
    body = "".join(
        "<tr>" + "".join(f'<td class="{kind}">{inner}</td>' for kind, inner in row) + "</tr>" for row in rows
    )
    told = f"<caption>{_t(caption)}</caption>" if caption else ""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{_t(caption or "table")}">'
        f"<table>{told}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _t(text: object, longest: int = _LONGEST_TEXT) -> str:
    """A text of bounded length, as text."""
    said = "" if text is None else str(text)
    return escape(said if len(said) <= longest else f"{said[:longest]}…")


def _ms(value: object) -> str:
    return f"{float(value):,.0f} ms" if isinstance(value, int | float) else "–"


def _percent(value: object) -> str:
    return f"{float(value):.0f} %" if isinstance(value, int | float) else "–"


def _mib(value: object) -> str:
    return f"{float(value) / _MIB:,.0f} MiB" if isinstance(value, int | float) else "–"

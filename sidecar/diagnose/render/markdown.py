"""A Diagnosis as Markdown, for an issue, a chat or a pull request. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from sidecar.common.text import clean
from sidecar.model.finding import Diagnosis, Finding


def render(diagnosis: Diagnosis) -> str:
    """The whole diagnosis."""
    return "\n".join(_lines(diagnosis)) + "\n"


def _lines(diagnosis: Diagnosis) -> Iterator[str]:
    counts = diagnosis.summary
    yield f"## Diagnosis of `{diagnosis.project}`, {diagnosis.at:%Y-%m-%d %H:%M:%S} UTC"
    yield ""
    yield f"Root cause: `{counts.root_cause}`." if counts.root_cause else "No cause was found."
    if diagnosis.connected is not None:
        yield f"{diagnosis.connected} workers connected, {diagnosis.workers} run."
    for finding in diagnosis.findings:
        yield ""
        yield from _finding(finding)
    yield ""
    yield "<details><summary>All checks</summary>"
    yield ""
    yield "| layer | check | status | seen |"
    yield "| --- | --- | --- | --- |"
    for one in diagnosis.checks:
        yield f"| {one.layer} | {one.name} | {one.status} | {_cell(one.text)} |"
    yield ""
    yield "</details>"


def _finding(one: Finding) -> Iterator[str]:
    yield f"### {one.severity}: {_plain(one.title)} (`{one.slug}`, {one.code})"
    yield ""
    yield "| seen | value | wanted | at |"
    yield "| --- | --- | --- | --- |"
    for seen in one.evidence:
        at = f"{seen.at:%H:%M:%S}" if seen.at else ""
        yield f"| {_cell(seen.what)} | {_cell(seen.seen)} | {_cell(seen.wanted)} | {at} |"
    yield ""
    yield f"**Why:** {_plain(one.cause)} **Breaks:** {_plain(one.breaks)}"
    for symptom in one.consequences:
        yield f"- hence `{symptom.slug}`: {_plain(symptom.title)}"
    yield ""
    yield f"**Mend:** {_plain(one.fix.text)}"
    if one.fix.commands:
        yield ""
        yield "```sh"
        yield from one.fix.commands
        yield "```"


def _plain(text: str) -> str:
    """Text that Markdown and HTML leave as it is."""
    escaped = clean(text)
    for character in "\\`*_[]<>|":
        escaped = escaped.replace(character, f"\\{character}")
    return escaped


def _cell(text: str) -> str:
    return _plain(text) or " "

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
    for check in diagnosis.checks:
        yield f"| {check.layer} | {check.name} | {check.status} | {_cell(check.text)} |"
    yield ""
    yield "</details>"


def _finding(finding: Finding) -> Iterator[str]:
    yield f"### {finding.severity}: {_plain(finding.title)} (`{finding.slug}`, {finding.code})"
    yield ""
    yield "| seen | value | wanted | at |"
    yield "| --- | --- | --- | --- |"
    for seen in finding.evidence:
        at = f"{seen.at:%H:%M:%S}" if seen.at else ""
        yield f"| {_cell(seen.what)} | {_cell(seen.seen)} | {_cell(seen.wanted)} | {at} |"
    yield ""
    yield f"**Why:** {_plain(finding.cause)} **Breaks:** {_plain(finding.breaks)}"
    for symptom in finding.consequences:
        yield f"- hence `{symptom.slug}`: {_plain(symptom.title)}"
    yield ""
    yield f"**Mend:** {_plain(finding.fix.text)}"
    if finding.fix.commands:
        yield ""
        yield "```sh"
        yield from finding.fix.commands
        yield "```"


def _plain(text: str) -> str:
    """Text that Markdown and HTML leave as it is."""
    escaped = clean(text)
    for character in "\\`*_[]<>|":
        escaped = escaped.replace(character, f"\\{character}")
    return escaped


def _cell(text: str) -> str:
    return _plain(text) or " "

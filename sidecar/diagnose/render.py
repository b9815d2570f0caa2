"""Render a Diagnosis for a terminal and as Markdown, and the catalogue for people. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from sidecar.common.text import in_markdown
from sidecar.common.units import plural
from sidecar.common.visible_text import harmless, visible
from sidecar.diagnose.catalogue import LAYERS, Cause, FixTemplate, TemplateValues, causes, filled
from sidecar.model.finding import Confidence, Diagnosis, Finding, Status
from sidecar.model.incident import Severity

_LABEL, _SLUG = 12, 32  # columns
_NARROWEST, _WIDEST = 40, 100
_COMMAND_INDENT = "      "
_COLOURS = {Severity.ERROR: "1;31", Severity.WARN: "1;33", Severity.INFO: "1;36"}
_WORDS = {Severity.ERROR: "ERROR", Severity.WARN: "WARNING", Severity.INFO: "NOTE"}
# Without these checks it is not known whether workers are connected, so the stack is not reported as well.
_ESSENTIAL = frozenset({"master-answers", "workers", "registered"})


# ---- for a terminal: errors first, each with its cause, its evidence and the commands that fix it --------------------


@dataclass(frozen=True, slots=True)
class Style:
    """Width, colours, and whether all checks are shown. No information depends on colour alone."""

    width: int = 80
    colour: bool = False
    checks: bool = False

    def paint(self, text: str, code: str) -> str:
        """Return the text in a colour if colours are on."""
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour else text

    @property
    def columns(self) -> int:
        """Return the number of columns to use."""
        return max(_NARROWEST, min(_WIDEST, self.width))


def as_text(diagnosis: Diagnosis, style: Style) -> str:
    """Return the whole diagnosis as text."""
    return "\n".join(_lines(diagnosis, style)) + "\n"


def _lines(diagnosis: Diagnosis, style: Style) -> Iterator[str]:
    for finding in diagnosis.findings:
        yield from _finding(finding, style)
        yield ""
    if style.checks:
        yield from _checks(diagnosis, style)
        yield ""
    for note in diagnosis.notes:
        yield from _wrapped(f"Earlier note: {visible(note)}", style)
    yield from _last(diagnosis, style)


def _finding(finding: Finding, style: Style) -> Iterator[str]:
    word = style.paint(_WORDS[finding.severity], _COLOURS[finding.severity])
    confidence = "" if finding.confidence is Confidence.CERTAIN else f"  ({finding.confidence})"
    yield f"{word}  {finding.slug}  {finding.code}{confidence}"
    yield from (style.paint(line, "1") for line in textwrap.wrap(visible(finding.title), style.columns))
    yield ""
    for label, text in _labels(finding):
        yield from _labelled(label, text, style.columns)
    yield ""
    yield from _labelled("fix", finding.fix.text, style.columns)
    if finding.fix.commands:
        yield ""
        yield from (f"{_COMMAND_INDENT}{style.paint(harmless(command), '1')}" for command in finding.fix.commands)


def _labels(finding: Finding) -> Iterator[tuple[str, str]]:
    yield "cause", finding.cause
    for piece in finding.evidence:
        at = f"  [{piece.at.astimezone():%H:%M:%S}]" if piece.at else ""
        yield "evidence", piece.what
        yield "  seen", f"{piece.seen}{at}"
        if piece.wanted:
            yield "  expected", piece.wanted
    yield "impact", finding.impact
    for symptom in finding.consequences:
        yield "caused", f"{symptom.slug}: {symptom.title}"


def _labelled(label: str, text: str, columns: int) -> Iterator[str]:
    """Yield a label and the text beside it. The column below the label stays empty."""
    lines = textwrap.wrap(visible(text), columns - _LABEL - 2, break_long_words=False, break_on_hyphens=False)
    for number, line in enumerate(lines or [""]):
        yield f"  {label if number == 0 else '':<{_LABEL}}{line}".rstrip()


def _wrapped(text: str, style: Style) -> list[str]:
    return textwrap.wrap(text, style.columns, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _checks(diagnosis: Diagnosis, style: Style) -> Iterator[str]:
    layer = ""
    for check in diagnosis.checks:
        if check.layer != layer:
            layer = check.layer
            yield style.paint(layer, "1")
        head = f"  {check.status:<8}{check.name:<22}"
        lines = textwrap.wrap(visible(check.text), max(20, style.columns - len(head)), break_long_words=False) or [""]
        yield f"{head}{lines[0]}"
        yield from (f"{'':<{len(head)}}{line}" for line in lines[1:])


def _last(diagnosis: Diagnosis, style: Style) -> Iterator[str]:
    """Yield the last lines: one line if all is well; else the checks that could not be made, and the counts."""
    counts = diagnosis.summary
    unknown = [check for check in diagnosis.checks if check.status is Status.UNKNOWN]
    is_unsettled = any(check.name in _ESSENTIAL for check in unknown)
    seconds = f"in {diagnosis.seconds:.1f} s"
    if counts.root_cause is None and counts.ok and not is_unsettled:
        missing = ", ".join(f"{check.name} ({visible(check.text)})" for check in unknown)
        more = f"; not checked: {missing}" if missing else ""
        checked = f"{counts.ok + counts.info} checks {seconds}"
        yield from _wrapped(f"All is well: {_workers(diagnosis)}{checked}{more}.", style)
        return
    for check in unknown:
        yield from _wrapped(f"Could not be checked: {check.name} ({visible(check.text)})", style)
    head = f"Root cause: {counts.root_cause}. " if counts.root_cause else ""
    if not head and is_unsettled:
        head = "No fault was found, but the result is incomplete: "
    yield from _wrapped(f"{head}{_workers(diagnosis)}{_counted(diagnosis)} {seconds}.", style)


def _workers(diagnosis: Diagnosis) -> str:
    return "" if diagnosis.connected is None else f"{plural(diagnosis.connected, 'worker')} connected, "


def _counted(diagnosis: Diagnosis) -> str:
    counts = diagnosis.summary
    numbers = (counts.ok + counts.info, counts.warn, counts.error, counts.unknown, counts.skip)
    counted = zip(numbers, ("ok", "warned", "failed", "unknown", "skipped"), strict=True)
    shown = ", ".join(f"{number} {word}" for number, word in counted if number)
    return f"{len(diagnosis.checks)} checks ({shown})"


# ---- as Markdown, for an issue, a chat or a pull request -------------------------------------------------------------


def as_markdown(diagnosis: Diagnosis) -> str:
    """Return the whole diagnosis as Markdown."""
    return "\n".join(_markdown_lines(diagnosis)) + "\n"


def _markdown_lines(diagnosis: Diagnosis) -> Iterator[str]:
    counts = diagnosis.summary
    yield f"## Diagnosis of `{diagnosis.project}`, {diagnosis.at:%Y-%m-%d %H:%M:%S} UTC"
    yield ""
    yield f"Root cause: `{counts.root_cause}`." if counts.root_cause else "No cause was found."
    if diagnosis.connected is not None:
        yield f"{plural(diagnosis.connected, 'worker')} connected, {diagnosis.workers} running."
    for finding in diagnosis.findings:
        yield ""
        yield from _markdown_finding(finding)
    yield ""
    yield "<details><summary>All checks</summary>"
    yield ""
    yield "| layer | check | status | seen |"
    yield "| --- | --- | --- | --- |"
    for check in diagnosis.checks:
        yield f"| {check.layer} | {check.name} | {check.status} | {_cell(check.text)} |"
    yield ""
    yield "</details>"


def _markdown_finding(finding: Finding) -> Iterator[str]:
    yield f"### {finding.severity}: {_plain(finding.title)} (`{finding.slug}`, {finding.code})"
    yield ""
    yield f"**Cause:** {_plain(finding.cause)}"
    yield ""
    yield "| evidence | seen | expected | at |"
    yield "| --- | --- | --- | --- |"
    for piece in finding.evidence:
        at = f"{piece.at:%H:%M:%S}" if piece.at else ""
        yield f"| {_cell(piece.what)} | {_cell(piece.seen)} | {_cell(piece.wanted)} | {at} |"
    yield ""
    yield f"**Impact:** {_plain(finding.impact)}"
    for symptom in finding.consequences:
        yield f"- caused `{symptom.slug}`: {_plain(symptom.title)}"
    yield ""
    yield f"**Fix:** {_plain(finding.fix.text)}"
    if finding.fix.commands:
        yield ""
        yield "```sh"
        yield from map(harmless, finding.fix.commands)
        yield "```"


def _plain(text: str) -> str:
    """Return text that Markdown and HTML leave as it is."""
    return in_markdown(text)


def _cell(text: str) -> str:
    return _plain(text) or " "


# ---- the catalogue itself: `--list` and `--explain SLUG` ------------------------------------------------------------


def listing() -> str:
    """Return the list of all causes by layer, one line each."""
    lines: list[str] = []
    for layer in LAYERS:
        lines.append(layer)
        for cause in causes().values():
            if cause.layer == layer:
                title = textwrap.shorten(filled(cause.title, TemplateValues()), 70, placeholder=" …")
                lines.append(f"  {cause.code}  {cause.slug:<{_SLUG}}{title}")
    return "\n".join(lines) + "\n"


def explanation(cause: Cause, width: int) -> str:
    """Return the whole entry of one cause."""
    return "\n".join(_explain(cause, width)) + "\n"


def _explain(cause: Cause, width: int) -> Iterator[str]:
    values = TemplateValues()

    def labelled(label: str, text: str) -> Iterator[str]:
        return _labelled(label, filled(text, values), width)

    yield f"{cause.slug}  {cause.code}  ({cause.layer})"
    yield from textwrap.wrap(filled(cause.title, values), width)
    yield ""
    yield from labelled("cause", cause.cause)
    yield from labelled("impact", cause.impact)
    if cause.explains:
        yield from labelled("can cause", ", ".join(sorted(cause.explains)))
    fixes: dict[str, FixTemplate] = {}
    for fix in cause.fixes.values():
        fixes.setdefault(fix.text, fix)
    for fix in fixes.values():
        yield ""
        yield from labelled("fix", fix.text)
        yield from (f"{_COMMAND_INDENT}{filled(command, values)}" for command in fix.commands)

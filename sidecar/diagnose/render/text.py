"""A Diagnosis for a terminal: the errors first, each with its evidence and the commands that mend it. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sidecar.common.text import clean
from sidecar.model.finding import Confidence, Diagnosis, Finding, FindingEvidence, Status
from sidecar.model.incident import Severity

_LABEL = 9
_NARROWEST, _WIDEST = 40, 100
_COMMAND_INDENT = "      "
_COLOURS = {Severity.ERROR: "1;31", Severity.WARN: "1;33", Severity.INFO: "1;36"}
# Without these nobody knows that master and workers have found each other: then a stack is not called well.
_ESSENTIAL = frozenset({"master-answers", "workers", "registered"})
_WORDS = {Severity.ERROR: "ERROR", Severity.WARN: "WARNING", Severity.INFO: "NOTE"}


@dataclass(frozen=True)
class Style:
    """How wide, and whether a terminal with colours reads it. Nothing is said by colour alone."""

    width: int = 80
    colour: bool = False
    checks: bool = False

    def paint(self, text: str, code: str) -> str:
        """The text in a colour, where there are colours."""
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour else text

    @property
    def columns(self) -> int:
        """Columns that are used."""
        return max(_NARROWEST, min(_WIDEST, self.width))


def render(diagnosis: Diagnosis, style: Style) -> str:
    """The whole diagnosis as lines of text."""
    return "\n".join(_lines(diagnosis, style)) + "\n"


def _lines(diagnosis: Diagnosis, style: Style) -> Iterator[str]:
    for finding in diagnosis.findings:
        yield from _finding(finding, style)
        yield ""
    if style.checks:
        yield from _checks(diagnosis, style)
        yield ""
    for note in diagnosis.notes:
        yield from _wrapped(f"Noted before: {clean(note)}", style)
    yield from _last(diagnosis, style)


def _finding(finding: Finding, style: Style) -> Iterator[str]:
    word = style.paint(_WORDS[finding.severity], _COLOURS[finding.severity])
    sure = "" if finding.confidence is Confidence.CERTAIN else f"  ({finding.confidence})"
    yield f"{word}  {finding.slug}  {finding.code}{sure}"
    yield from (style.paint(line, "1") for line in textwrap.wrap(clean(finding.title), style.columns))
    yield ""
    for seen in finding.evidence:
        yield from _seen(seen, style)
    yield from _labelled("why", finding.cause, style)
    yield from _labelled("breaks", finding.breaks, style)
    for symptom in finding.consequences:
        yield from _labelled("hence", f"{symptom.slug}: {symptom.title}", style)
    yield ""
    yield from _labelled("mend", finding.fix.text, style)
    if finding.fix.commands:
        yield ""
        yield from (f"{_COMMAND_INDENT}{style.paint(command, '1')}" for command in finding.fix.commands)


def _seen(seen: FindingEvidence, style: Style) -> Iterator[str]:
    at = f"  [{_time(seen.at)}]" if seen.at else ""
    yield from _labelled("seen", f"{seen.what}: {seen.seen}{at}", style)
    if seen.wanted:
        yield from _labelled("wanted", seen.wanted, style)


def _labelled(label: str, text: str, style: Style) -> Iterator[str]:
    """A label and a text beside it, wrapped so that nothing stands below the label."""
    lines = textwrap.wrap(clean(text), style.columns - _LABEL - 2, break_long_words=False, break_on_hyphens=False)
    for number, line in enumerate(lines or [""]):
        yield f"  {label if number == 0 else '':<{_LABEL}}{line}".rstrip()


def _wrapped(text: str, style: Style) -> Iterator[str]:
    return iter(
        textwrap.wrap(text, style.columns, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    )


def _time(at: datetime) -> str:
    return f"{at.astimezone():%H:%M:%S}"


def _checks(diagnosis: Diagnosis, style: Style) -> Iterator[str]:
    layer = ""
    for check in diagnosis.checks:
        if check.layer != layer:
            layer = check.layer
            yield style.paint(layer, "1")
        head = f"  {check.status:<8}{check.name:<22}"
        lines = textwrap.wrap(clean(check.text), max(20, style.columns - len(head)), break_long_words=False) or [""]
        yield f"{head}{lines[0]}"
        yield from (f"{'':<{len(head)}}{line}" for line in lines[1:])


def _last(diagnosis: Diagnosis, style: Style) -> Iterator[str]:
    """Yield the last lines: one calm line when all is well, else what could not be checked, and the sum."""
    counts = diagnosis.summary
    unknown = [check for check in diagnosis.checks if check.status is Status.UNKNOWN]
    is_unsettled = any(check.name in _ESSENTIAL for check in unknown)
    seconds = f"in {diagnosis.seconds:.1f} s"
    if counts.root_cause is None and counts.ok and not is_unsettled:
        missing = ", ".join(f"{check.name} ({clean(check.text)})" for check in unknown)
        more = f"; not checked: {missing}" if missing else ""
        checked = f"{counts.ok + counts.info} checks {seconds}"
        yield from _wrapped(f"All is well: {_workers(diagnosis)}{checked}{more}.", style)
        return
    for check in unknown:
        yield from _wrapped(f"Could not be checked: {check.name} ({clean(check.text)})", style)
    head = f"Root cause: {counts.root_cause}. " if counts.root_cause else ""
    if not head and is_unsettled:
        head = "No fault was found, but it is not known yet whether all is well: "
    yield from _wrapped(f"{head}{_workers(diagnosis)}{_counted(diagnosis)} {seconds}.", style)


def _workers(diagnosis: Diagnosis) -> str:
    if diagnosis.connected is None:
        return ""
    return f"{diagnosis.connected} worker{'s' if diagnosis.connected != 1 else ''} connected, "


def _counted(diagnosis: Diagnosis) -> str:
    counts = diagnosis.summary
    parts = [
        (counts.ok + counts.info, "ok"),
        (counts.warn, "warned"),
        (counts.error, "failed"),
        (counts.unknown, "unknown"),
        (counts.skip, "skipped"),
    ]
    told = ", ".join(f"{count} {word}" for count, word in parts if count)
    return f"{len(diagnosis.checks)} checks ({told})"

"""From Evidence to Diagnosis: every check, then the findings in the order of what depends on what. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence

from sidecar.diagnose.catalogue import Cause, causes, filled
from sidecar.diagnose.evidence import ConfigFacts, Evidence
from sidecar.diagnose.rank import ranked
from sidecar.diagnose.rule import Found, Outcome, Rule
from sidecar.diagnose.rules import (
    configuration,
    containers,
    host,
    locustfile,
    monitor,
    network,
    registration,
    remote,
    resources,
    target,
    topology,
)
from sidecar.diagnose.stack import Stack
from sidecar.model.finding import Check, Diagnosis, Finding, Fix, Status, Summary
from sidecar.model.incident import Severity
from sidecar.settings.model import project_word

RULES: tuple[Rule, ...] = (
    *host.RULES,
    *configuration.RULES,
    *locustfile.RULES,
    *containers.RULES,
    *resources.RULES,
    *topology.RULES,
    *network.RULES,
    *remote.RULES,
    *registration.RULES,
    *target.RULES,
    *monitor.RULES,
)
_STATUS = {Severity.ERROR: Status.ERROR, Severity.WARN: Status.WARN, Severity.INFO: Status.INFO}
_WORST = (Severity.ERROR, Severity.WARN, Severity.INFO)


def diagnose(evidence: Evidence, only: frozenset[str] = frozenset()) -> Diagnosis:
    """Judge the evidence; `only` names checks, layers or slugs, and leaves all others out."""
    stack = Stack(evidence)
    outcomes = [(rule, _outcome(rule, stack)) for rule in RULES]
    findings = ranked([_finding(found, stack) for _, outcome in outcomes for found in outcome.found], stack.master)
    checks = [_check(rule, outcome) for rule, outcome in outcomes]
    if only:
        findings = tuple(
            finding for finding in findings if only & {finding.slug, finding.layer, *_checks_of(finding, checks)}
        )
        slugs = {finding.slug for finding in findings}
        checks = [check for check in checks if only & {check.name, check.layer} or slugs & set(check.findings)]
    return Diagnosis(
        project=evidence.project,
        at=evidence.at,
        seconds=evidence.seconds,
        summary=summary_of(checks, findings),
        findings=findings,
        checks=tuple(checks),
        workers=len(stack.running_workers) if evidence.engine.status == "ok" else None,
        connected=stack.connected,
    )


def _checks_of(finding: Finding, checks: Iterable[Check]) -> set[str]:
    return {check.name for check in checks if finding.slug in check.findings}


def _outcome(rule: Rule, stack: Stack) -> Outcome | _Skipped:
    reason = rule.after(stack)
    return _Skipped(reason) if reason else rule.judge(stack)


class _Skipped(Outcome):
    """A check that had nothing to look at."""


def _check(rule: Rule, outcome: Outcome) -> Check:
    slugs = tuple(dict.fromkeys(found.slug for found in outcome.found))
    return Check(rule.name, rule.layer, status_of(outcome), outcome.text, slugs)


def status_of(outcome: Outcome) -> Status:
    """How a check ended, by the worst that it found."""
    if isinstance(outcome, _Skipped):
        return Status.SKIP
    for severity in _WORST:
        if any(found.severity is severity for found in outcome.found):
            return _STATUS[severity]
    if outcome.unknown:
        return Status.UNKNOWN
    return Status.INFO if outcome.info else Status.OK


def summary_of(checks: Sequence[Check], findings: Sequence[Finding]) -> Summary:
    """Count how the checks ended, and name the root cause."""
    count = {status: sum(1 for check in checks if check.status is status) for status in Status}
    root = next((finding.slug for finding in findings if finding.severity is not Severity.INFO), None)
    return Summary(
        ok=count[Status.OK],
        info=count[Status.INFO],
        warn=count[Status.WARN],
        error=count[Status.ERROR],
        skip=count[Status.SKIP],
        unknown=count[Status.UNKNOWN],
        root_cause=root,
    )


def _finding(found: Found, stack: Stack) -> Finding:
    return finding_of(causes()[found.slug], found, {**_common(stack, found), **found.values})


def finding_of(cause: Cause, found: Found, values: Mapping[str, str]) -> Finding:
    """Say what was found in the catalogue's words, with their blanks filled in."""
    return Finding(
        code=cause.code,
        slug=found.slug,
        layer=cause.layer,
        severity=found.severity,
        title=filled(cause.title, values),
        evidence=found.evidence,
        cause=" ".join(part for part in (found.because, filled(cause.cause, values)) if part),
        breaks=filled(cause.breaks, values),
        confidence=found.confidence,
        affects=tuple(dict.fromkeys(found.affects)),
        fix=_fix(cause, found, values),
    )


def _common(stack: Stack, found: Found) -> dict[str, str]:
    return {
        "up": up_command(stack.evidence.config, len(stack.workers), found.up),
        "project": project_word(stack.evidence.project),
    }


def _fix(cause: Cause, found: Found, values: Mapping[str, str]) -> Fix:
    mend = cause.mend(found.fix)
    fillings = [{**values, **item} for item in found.items] or [dict(values)]
    # All of the first step, then all of the second: a line is commented out before anything is made anew.
    commands = [filled(template, filling) for template in mend.commands for filling in fillings]
    return Fix(filled(mend.text, fillings[0]), tuple(dict.fromkeys(commands)))


def up_command(config: ConfigFacts, workers: int, changes: Mapping[str, str]) -> str:
    """The `make up`, or `make join`, that does again what the last one did, with some settings changed.

    "" asks for a setting's default.
    """
    words = [word for word in config.up_words if _name(word) not in changes]
    if not config.remembered and workers and not any(_name(word) == "WORKERS" for word in words):
        words.append(f"WORKERS={workers}")
    words += [shlex.quote(f"{name}={value}".replace("$", "$$")) for name, value in changes.items() if value]
    words += [
        f"{name}="
        for name, value in changes.items()
        if not value and any(_name(word) == name for word in config.up_words)
    ]
    return " ".join(["make join" if config.master else "make up", *words])


def _name(word: str) -> str:
    return word.strip("'").partition("=")[0]

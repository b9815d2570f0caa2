"""Turn Evidence into a Diagnosis: every check, then the findings in order of dependency. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import msgspec.structs

from sidecar.diagnose.catalogue import Cause, causes, filled
from sidecar.diagnose.evidence import ConfigFacts, Evidence
from sidecar.diagnose.rule import FoundCause, Outcome, Rule
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
from sidecar.model.finding import Check, Consequence, Diagnosis, Finding, Fix, Status, Summary
from sidecar.model.incident import Severity
from sidecar.settings.model import project_word

T = TypeVar("T")
RULES: tuple[Rule[Stack], ...] = (
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
_STATUS = {Severity.ERROR: Status.ERROR, Severity.WARN: Status.WARN, Severity.INFO: Status.INFO}  # the worst first
_COUNTED = frozenset({"workers-fewer-than-expected", "stack-down"})  # totals of what other findings name one by one


def diagnose(evidence: Evidence, only: frozenset[str] = frozenset()) -> Diagnosis:
    """Return the diagnosis of the evidence. `only` names checks, layers or slugs; all others are left out."""
    stack = Stack(evidence)
    checks, found_causes = judged(RULES, stack)

    def is_related(cause: Cause, earlier: Finding, later: Finding) -> bool:
        is_of_master = stack.master is not None and stack.master.name in earlier.affects
        is_same = bool(set(earlier.affects) & set(later.affects))
        return is_same or cause.reaches_all or is_of_master or later.slug in _COUNTED

    findings = ranked([_finding(cause, stack) for cause in found_causes], causes(), is_related)
    if only:
        findings = tuple(
            finding
            for finding in findings
            if only & {finding.slug, finding.layer, *(check.name for check in checks if finding.slug in check.findings)}
        )
        slugs = {finding.slug for finding in findings}
        checks = tuple(check for check in checks if only & {check.name, check.layer} or slugs & set(check.findings))
    return Diagnosis(
        project=evidence.project,
        at=evidence.at,
        seconds=evidence.seconds,
        summary=summary_of(checks, findings),
        findings=findings,
        checks=checks,
        workers=len(stack.running_workers) if evidence.engine.status == "ok" else None,
        connected=stack.connected,
    )


def judged(rules: Sequence[Rule[T]], subject: T) -> tuple[tuple[Check, ...], tuple[FoundCause, ...]]:
    """Run every check. Return the result of each check, and all causes found."""
    checks: list[Check] = []
    found_causes: list[FoundCause] = []
    for rule in rules:
        if reason := rule.after(subject):
            checks.append(Check(rule.name, rule.layer, Status.SKIP, reason))
            continue
        outcome = rule.judge(subject)
        slugs = tuple(dict.fromkeys(cause.slug for cause in outcome.causes))
        checks.append(Check(rule.name, rule.layer, _status(outcome), outcome.text, slugs))
        found_causes += outcome.causes
    return tuple(checks), tuple(found_causes)


def _status(outcome: Outcome) -> Status:
    """Return the status of a check: that of the worst cause it found."""
    severities = {cause.severity for cause in outcome.causes}
    for severity, status in _STATUS.items():
        if severity in severities:
            return status
    if outcome.unknown:
        return Status.UNKNOWN
    return Status.INFO if outcome.info else Status.OK


def summary_of(checks: Sequence[Check], findings: Sequence[Finding]) -> Summary:
    """Return the number of checks by status, and the root cause."""
    counts = {status.value: sum(check.status is status for check in checks) for status in Status}
    root = next((finding.slug for finding in findings if finding.severity is not Severity.INFO), None)
    return Summary(**counts, root_cause=root)


def _finding(found: FoundCause, stack: Stack) -> Finding:
    up = up_command(stack.evidence.config, len(stack.workers), found.up)
    common = {"up": up, "project": project_word(stack.evidence.project)}
    return finding_of(causes()[found.slug], found, {**common, **found.values})


def finding_of(cause: Cause, found: FoundCause, values: Mapping[str, str]) -> Finding:
    """Return a finding: the catalogue's texts, filled with the values of this case."""
    return Finding(
        code=cause.code,
        slug=found.slug,
        layer=cause.layer,
        severity=found.severity,
        title=filled(cause.title, values),
        evidence=found.evidence,
        cause=" ".join(part for part in (found.because, filled(cause.cause, values)) if part),
        impact=filled(cause.impact, values),
        confidence=found.confidence,
        affects=tuple(dict.fromkeys(found.affects)),
        fix=_fix(cause, found, values),
    )


def _fix(cause: Cause, found: FoundCause, values: Mapping[str, str]) -> Fix:
    template = cause.fix(found.origin.fix)
    fillings = [{**values, **item} for item in found.origin.items] or [dict(values)]
    # First step for all items, then the second: each line is commented out before containers are recreated.
    commands = [filled(command, filling) for command in template.commands for filling in fillings]
    return Fix(filled(template.text, fillings[0]), tuple(dict.fromkeys(commands)))


def up_command(config: ConfigFacts, workers: int, changes: Mapping[str, str]) -> str:
    """Return the last `make up` or `make join` with some settings changed.

    The value "" stands for a setting's default.
    """
    given = {_name(word) for word in config.up_words}
    words = [word for word in config.up_words if _name(word) not in changes]
    if not config.remembered and workers and "WORKERS" not in given - set(changes):
        words.append(f"WORKERS={workers}")
    words += [shlex.quote(f"{name}={value}".replace("$", "$$")) for name, value in changes.items() if value]
    words += [f"{name}=" for name, value in changes.items() if not value and name in given]
    return " ".join(["make join" if config.master else "make up", *words])


def _name(word: str) -> str:
    return word.strip("'").partition("=")[0]


Relation = Callable[[Cause, Finding, Finding], bool]  # whether this very cause explains the symptom
_RANK = {Severity.ERROR: 0, Severity.WARN: 1, Severity.INFO: 2}


def ranked(findings: Sequence[Finding], known: Mapping[str, Cause], is_related: Relation) -> tuple[Finding, ...]:
    """Return the findings that no other finding explains, each with its consequences.

    Errors come first. Within one severity, the catalogue's order of dependency decides. The earliest cause that
    explains a later symptom of the same containers keeps it as its consequence; two independent faults are two
    findings.
    """

    def explains(earlier: Finding, later: Finding) -> bool:
        cause = known[earlier.slug]
        can_explain = later.slug in cause.explains and _RANK[earlier.severity] <= _RANK[later.severity]
        return can_explain and is_related(cause, earlier, later)

    ordered = sorted(findings, key=lambda finding: (_RANK[finding.severity], known[finding.slug].order))
    roots: dict[int, list[Finding]] = {}
    for position, finding in enumerate(ordered):
        root = _root(position, ordered, explains)
        roots.setdefault(root, []).extend([] if root == position else [finding])
    return tuple(_with_consequences(ordered[root], roots[root]) for root in sorted(roots))


def _root(position: int, ordered: Sequence[Finding], explains: Callable[[Finding, Finding], bool]) -> int:
    """Return the position of a finding's root cause. Of two findings that explain each other, it is the earlier one."""
    walked = [position]
    while True:
        here = walked[-1]
        above = next((at for at, other in enumerate(ordered) if at != here and explains(other, ordered[here])), None)
        if above is None:
            return here
        if above in walked:
            return min(walked[walked.index(above) :])
        walked.append(above)


def _with_consequences(finding: Finding, symptoms: Sequence[Finding]) -> Finding:
    consequences = {
        symptom.slug: Consequence(symptom.slug, symptom.title, symptom.evidence)
        for symptom in symptoms
        if symptom.slug != finding.slug
    }
    return msgspec.structs.replace(finding, consequences=tuple(consequences.values()))

"""From what was learnt of a Swarm to a Diagnosis, as for one machine. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sidecar.diagnose.catalogue import Cause, causes
from sidecar.diagnose.judge import finding_of, status_of, summary_of
from sidecar.diagnose.rule import Found, Outcome
from sidecar.engine.swarm_manager import WORKER
from sidecar.model.finding import Check, Consequence, Diagnosis, Finding, FindingEvidence, Status
from sidecar.model.incident import Severity
from sidecar.settings.model import project_word
from sidecar.swarm.diagnose.evidence import ClusterEvidence
from sidecar.swarm.diagnose.rules import RULES, SwarmRule

FILE = Path(__file__).with_name("catalogue.yaml")
_RANK = {Severity.ERROR: 0, Severity.WARN: 1, Severity.INFO: 2}


def diagnose(evidence: ClusterEvidence) -> Diagnosis:
    """Judge what was learnt."""
    outcomes = [(check.name, check.layer, _outcome(check, evidence)) for check in RULES]
    found = [one for _, _, outcome in outcomes if outcome for one in outcome.found]
    checks = [
        Check(name, layer, status_of(outcome) if outcome else Status.SKIP, _text(outcome))
        for name, layer, outcome in outcomes
    ]
    checks = [
        replace(check, findings=tuple(one.slug for one in outcome.found)) if outcome else check
        for check, (_, _, outcome) in zip(checks, outcomes, strict=True)
    ]
    if evidence.fleet is None:
        found = [_no_manager(evidence)]
        checks.insert(0, Check("manager", "host", Status.ERROR, evidence.refused, ("no-manager",)))
    findings = _ranked([_finding(one, evidence) for one in found])
    return Diagnosis(
        project=evidence.project,
        at=evidence.at,
        seconds=evidence.seconds,
        summary=summary_of(checks, findings),
        findings=findings,
        checks=tuple(checks),
        workers=len(evidence.fleet.running(WORKER)) if evidence.fleet else None,
        connected=evidence.registered,
    )


def _outcome(rule: SwarmRule, evidence: ClusterEvidence) -> Outcome | None:
    if evidence.fleet is None or (rule.needs_stack and not evidence.fleet.services):
        return None
    return rule.judge(evidence, evidence.fleet)


def _text(outcome: Outcome | None) -> str:
    return outcome.text if outcome else "there is nothing to look at"


def _no_manager(evidence: ClusterEvidence) -> Found:
    seen = FindingEvidence("docker info", evidence.refused, "a manager of a Swarm")
    return Found("no-manager", (seen,), values={"what": evidence.refused, "fix": evidence.refused_fix})


def _finding(found: Found, evidence: ClusterEvidence) -> Finding:
    values = {"project": project_word(evidence.project), "up": _up(evidence, found), **found.values}
    return finding_of(causes(FILE)[found.slug], found, values)


def _up(evidence: ClusterEvidence, found: Found) -> str:
    """Return the `make swarm-up` that repeats the last one with some settings changed; "" asks for a default."""
    kept = [word for word in evidence.up_words if word.strip("'").partition("=")[0] not in found.up]
    changed = [f"{name}={value}" for name, value in found.up.items()]
    return " ".join(["make swarm-up", *kept, *changed])


def _ranked(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """The findings that stand by themselves, errors first, in the order of dependency, with what they explain."""
    known = causes(FILE)
    ordered = sorted(findings, key=lambda finding: (_RANK[finding.severity], known[finding.slug].order))
    roots: list[Finding] = []
    for one in ordered:
        above = next((at for at, root in enumerate(roots) if _explains(known[root.slug], root, one)), None)
        if above is None:
            roots.append(one)
        else:
            told = Consequence(one.slug, one.title, one.evidence)
            roots[above] = replace(roots[above], consequences=(*roots[above].consequences, told))
    return tuple(roots)


def _explains(cause: Cause, earlier: Finding, later: Finding) -> bool:
    """Whether a finding is the reason of another: of a node, it explains only what is of that node, or of no other."""
    if later.slug not in cause.explains:
        return False
    return not ({"sidecar-silent", "master-port-filtered"} & {later.slug}) or bool(
        set(earlier.affects) & set(later.affects) or cause.slug == "no-node-allowed"
    )

"""Checks of the monitor (the sidecar container) and of its proxy to the engine. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sidecar.diagnose.evidence import ContainerFacts, MonitorFacts
from sidecar.diagnose.rule import FoundCause, Origin, Outcome, Rule, cannot_tell, without_sidecar
from sidecar.diagnose.stack import MONITOR, PROXY, Stack
from sidecar.model.finding import FindingEvidence

LAYER = "monitor"
_STALE_SECONDS = 15.0


def _is_part_of_stack(stack: Stack, role: str, service: str) -> bool:
    services = stack.evidence.config.services
    return bool(stack.of(role)) or any(wanted.service == service for wanted in services)


def sidecar(stack: Stack) -> Outcome:
    """Check whether the monitor runs, answers, and has new data."""
    if not _is_part_of_stack(stack, MONITOR, "monitor"):
        return Outcome("this stack has no monitor", info=True)
    facts, container = stack.evidence.monitor, next(iter(stack.of(MONITOR)), None)
    if container is None or container.state != "running":
        return _not_running(stack, "monitor-down", "monitor", container)
    if facts is None:
        return cannot_tell(stack.gap("monitor") or "the monitor was not asked")
    if stack.is_young(container) and facts.answer != "ok":
        return Outcome("the monitor has just started", info=True)
    if problems := tuple(_problems(stack, facts, container)):
        return _to_restart("monitor-down", container, problems)
    return Outcome(f"{facts.url} {facts.answer}, data {facts.age_seconds or 0:.0f} s old")


def _problems(stack: Stack, facts: MonitorFacts, container: ContainerFacts) -> Iterator[FindingEvidence]:
    """Yield the evidence that a running monitor does not watch the stack."""
    if facts.answer in ("down", "slow", "foreign"):
        yield stack.observed(facts.url, facts.error, "an answer")
        health = f"{container.health or 'no health check'}: {container.health_output}"
        yield FindingEvidence(container.name, f"running, {health}", "healthy")
    elif _is_stale(facts) and _proxy_works(stack) and not _is_cut_off(facts):
        yield stack.observed(
            facts.url, f"the data is {facts.age_seconds or 0.0:.0f} s old", "at most a few seconds old"
        )
        yield from (
            FindingEvidence("problem that the monitor reports", text) for text in (*facts.problems, *facts.warnings)[:2]
        )


def _is_stale(facts: MonitorFacts) -> bool:
    return facts.stale or (facts.age_seconds or 0.0) > _STALE_SECONDS


def _not_running(stack: Stack, slug: str, who: str, container: ContainerFacts | None) -> Outcome:
    what, name = f"container of {who}", container.name if container else who
    evidence = stack.observed(what, "does not exist", "running")
    if container is not None:
        evidence = FindingEvidence(what, container.state, "running", container.finished_at)
    return Outcome(evidence.seen, (FoundCause(slug, (evidence,), (name,), {"container": name}),))


def _to_restart(slug: str, container: ContainerFacts, evidence: Sequence[FindingEvidence]) -> Outcome:
    values = {"container": container.name}
    cause = FoundCause(slug, evidence, (container,), values, Origin("restart", (values,)))
    return Outcome(evidence[0].seen, (cause,))


def _is_cut_off(facts: MonitorFacts) -> bool:
    """Return whether the monitor reports that it cannot reach the engine. We reach it, so its proxy must be down."""
    return facts.answer == "ok" and any("Docker" in text for text in (*facts.problems, *facts.warnings))


def _proxy_works(stack: Stack) -> bool:
    return all(proxy.state == "running" and not stack.is_young(proxy) for proxy in stack.of(PROXY))


def proxy(stack: Stack) -> Outcome:
    """Check whether the monitor's proxy to the engine works."""
    if not _is_part_of_stack(stack, PROXY, "docker-proxy"):
        return Outcome("this stack has no docker-proxy", info=True)
    container = next(iter(stack.of(PROXY)), None)
    if container is None or container.state != "running":
        return _not_running(stack, "docker-proxy-down", "docker-proxy", container)
    facts = stack.evidence.monitor
    words = ""
    if facts is not None and _is_stale(facts) and _is_cut_off(facts) and not stack.is_young(container):
        words = f"; the monitor reports: {(*facts.problems, *facts.warnings)[0]}"
    if container.health == "unhealthy" or words:
        evidence = stack.observed(container.name, f"{container.health}: {container.health_output}{words}", "healthy")
        return _to_restart("docker-proxy-down", container, (evidence,))
    return Outcome(f"{container.name} {container.health or 'running'}")


RULES = (
    Rule("docker-proxy", LAYER, proxy, after=without_sidecar),
    Rule("sidecar", LAYER, sidecar, after=without_sidecar),
)

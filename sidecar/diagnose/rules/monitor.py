"""The watchers themselves: the sidecar and its proxy to the engine. Pure."""

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
    """Check whether the sidecar runs, answers, and sees."""
    if not _is_part_of_stack(stack, MONITOR, "monitor"):
        return Outcome("this stack has no sidecar", info=True)
    facts, container = stack.evidence.monitor, next(iter(stack.of(MONITOR)), None)
    if container is None or container.state != "running":
        return _not_running(stack, "monitor-down", "the sidecar", container)
    if facts is None:
        return cannot_tell(stack.gap("monitor") or "it was not asked")
    if stack.is_young(container) and facts.answer != "ok":
        return Outcome("it has only just started", info=True)
    if problems := tuple(_problems(stack, facts, container)):
        return _to_restart("monitor-down", container, problems)
    return Outcome(f"{facts.url} {facts.answer}, figures {facts.age_seconds or 0:.0f} s old")


def _problems(stack: Stack, facts: MonitorFacts, container: ContainerFacts) -> Iterator[FindingEvidence]:
    """Yield what shows that a sidecar which runs does not watch."""
    if facts.answer in ("down", "slow", "foreign"):
        yield stack.observed(facts.url, facts.error, "an answer")
        health = f"{container.health or 'no health check'}: {container.health_output}"
        yield FindingEvidence(container.name, f"running, {health}", "healthy")
    elif _is_stale(facts) and _proxy_works(stack) and not _is_cut_off(facts):
        yield stack.observed(facts.url, f"its figures are {facts.age_seconds or 0.0:.0f} s old", "a few seconds")
        yield from (FindingEvidence("it says", text) for text in (*facts.problems, *facts.warnings)[:2])


def _is_stale(facts: MonitorFacts) -> bool:
    return facts.stale or (facts.age_seconds or 0.0) > _STALE_SECONDS


def _not_running(stack: Stack, slug: str, who: str, container: ContainerFacts | None) -> Outcome:
    what, name = f"{who}'s container", container.name if container else who
    evidence = stack.observed(what, "not there", "running")
    if container is not None:
        evidence = FindingEvidence(what, container.state, "running", container.finished_at)
    return Outcome(evidence.seen, (FoundCause(slug, (evidence,), (name,), {"container": name}),))


def _to_restart(slug: str, container: ContainerFacts, evidence: Sequence[FindingEvidence]) -> Outcome:
    values = {"container": container.name}
    cause = FoundCause(slug, evidence, (container,), values, Origin("restart", (values,)))
    return Outcome(evidence[0].seen, (cause,))


def _is_cut_off(facts: MonitorFacts) -> bool:
    """Tell whether the sidecar says that it cannot reach the engine; we do reach it, so its proxy must be down."""
    return facts.answer == "ok" and any("Docker" in text for text in (*facts.problems, *facts.warnings))


def _proxy_works(stack: Stack) -> bool:
    return all(proxy.state == "running" and not stack.is_young(proxy) for proxy in stack.of(PROXY))


def proxy(stack: Stack) -> Outcome:
    """Check whether the sidecar's proxy to the engine works."""
    if not _is_part_of_stack(stack, PROXY, "docker-proxy"):
        return Outcome("this stack has no docker-proxy", info=True)
    container = next(iter(stack.of(PROXY)), None)
    if container is None or container.state != "running":
        return _not_running(stack, "docker-proxy-down", "docker-proxy", container)
    facts = stack.evidence.monitor
    words = ""
    if facts is not None and _is_stale(facts) and _is_cut_off(facts) and not stack.is_young(container):
        words = f"; the sidecar says: {(*facts.problems, *facts.warnings)[0]}"
    if container.health == "unhealthy" or words:
        evidence = stack.observed(container.name, f"{container.health}: {container.health_output}{words}", "healthy")
        return _to_restart("docker-proxy-down", container, (evidence,))
    return Outcome(f"{container.name} {container.health or 'running'}")


RULES = (
    Rule("docker-proxy", LAYER, proxy, after=without_sidecar),
    Rule("sidecar", LAYER, sidecar, after=without_sidecar),
)

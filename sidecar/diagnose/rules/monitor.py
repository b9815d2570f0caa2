"""The watchers themselves: the sidecar and its door to the engine. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from sidecar.diagnose.evidence import ContainerFacts, MonitorFacts
from sidecar.diagnose.rule import Found, Outcome, Rule, cannot_tell, without_sidecar
from sidecar.diagnose.stack import MONITOR, PROXY, Stack
from sidecar.model.finding import FindingEvidence

LAYER = "monitor"
_STALE_SECONDS = 15.0


def _is_part_of_stack(stack: Stack, role: str, service: str) -> bool:
    return bool(stack.of(role)) or any(one.service == service for one in stack.evidence.config.services)


def sidecar(stack: Stack) -> Outcome:
    """Whether the sidecar runs, answers, and sees."""
    if not _is_part_of_stack(stack, MONITOR, "monitor"):
        return Outcome("this stack has no sidecar", info=True)
    facts, container = stack.evidence.monitor, next(iter(stack.of(MONITOR)), None)
    if container is None or container.state != "running":
        seen = _not_running("the sidecar's container", stack, container)
        return Outcome(seen.seen, (_down((seen,), container),))
    if facts is None:
        return cannot_tell(stack.gap("monitor") or "it was not asked")
    if stack.is_young(container) and facts.answer != "ok":
        return Outcome("it has only just started", info=True)
    trouble = tuple(_trouble(stack, facts, container))
    if trouble:
        return Outcome(trouble[0].seen, (_down(trouble, container, running=True),))
    return Outcome(f"{facts.url} {facts.answer}, figures {facts.age_seconds or 0:.0f} s old")


def _trouble(stack: Stack, facts: MonitorFacts, container: ContainerFacts) -> Iterator[FindingEvidence]:
    """What shows that a sidecar which runs does not watch."""
    age = facts.age_seconds or 0.0
    if facts.answer in ("down", "slow", "foreign"):
        yield FindingEvidence(facts.url, facts.error, "an answer", stack.evidence.at)
        health = f"{container.health or 'no health check'}: {container.health_output}"
        yield FindingEvidence(container.name, f"running, {health}", "healthy")
    elif (facts.stale or age > _STALE_SECONDS) and _proxy_works(stack) and not _is_cut_off(facts):
        yield FindingEvidence(facts.url, f"its figures are {age:.0f} s old", "a few seconds", stack.evidence.at)
        yield from (FindingEvidence("it says", text) for text in (*facts.troubles, *facts.warnings)[:2])


def _not_running(what: str, stack: Stack, container: ContainerFacts | None) -> FindingEvidence:
    if container is None:
        return FindingEvidence(what, "not there", "running", stack.evidence.at)
    return FindingEvidence(what, container.state, "running", container.finished_at)


def _down(seen: tuple[FindingEvidence, ...], container: ContainerFacts | None, *, running: bool = False) -> Found:
    name = container.name if container else "the sidecar"
    fix, items = ("restart", ({"container": name},)) if running else ("default", ())
    return Found("monitor-down", seen, (name,), {"container": name}, fix, items)


def _is_cut_off(facts: MonitorFacts) -> bool:
    """Whether the sidecar says that it cannot reach the engine; we do reach it, so its door is what is shut."""
    return facts.answer == "ok" and any("Docker" in text for text in (*facts.troubles, *facts.warnings))


def _proxy_works(stack: Stack) -> bool:
    return all(one.state == "running" and not stack.is_young(one) for one in stack.of(PROXY))


def proxy(stack: Stack) -> Outcome:
    """Whether the sidecar's door to the engine is open."""
    if not _is_part_of_stack(stack, PROXY, "docker-proxy"):
        return Outcome("this stack has no docker-proxy", info=True)
    container = next(iter(stack.of(PROXY)), None)
    name = container.name if container else "docker-proxy"
    if container is None or container.state != "running":
        seen = _not_running("docker-proxy's container", stack, container)
        return Outcome(seen.seen, (Found("docker-proxy-down", (seen,), (name,), {"container": name}),))
    facts = stack.evidence.monitor
    is_old = facts is not None and (facts.stale or (facts.age_seconds or 0.0) > _STALE_SECONDS)
    shut = facts is not None and is_old and _is_cut_off(facts) and not stack.is_young(container)
    if container.health == "unhealthy" or shut:
        told = f"; the sidecar says: {(*facts.troubles, *facts.warnings)[0]}" if facts and shut else ""
        seen = FindingEvidence(
            name, f"{container.health}: {container.health_output}{told}", "healthy", stack.evidence.at
        )
        values = {"container": name}
        return Outcome(seen.seen, (Found("docker-proxy-down", (seen,), (name,), values, "restart", (values,)),))
    return Outcome(f"{name} {container.health or 'running'}")


RULES = (
    Rule("docker-proxy", LAYER, proxy, after=without_sidecar),
    Rule("sidecar", LAYER, sidecar, after=without_sidecar),
)

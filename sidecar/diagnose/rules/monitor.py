"""The watchers themselves: the sidecar and its door to the engine. Pure."""

from __future__ import annotations

from sidecar.diagnose.evidence import ContainerFacts
from sidecar.diagnose.rule import Found, Outcome, Rule, cannot_tell, without_stack
from sidecar.diagnose.stack import MONITOR, PROXY, Stack
from sidecar.model.finding import Seen

LAYER = "monitor"
_STALE_SECONDS = 15.0


def _is_part_of_stack(stack: Stack, role: str, service: str) -> bool:
    return bool(stack.of(role)) or any(one.service == service for one in stack.evidence.config.services)


def sidecar(stack: Stack) -> Outcome:
    """Whether the sidecar runs, answers, and sees."""
    containers = stack.of(MONITOR)
    if not _is_part_of_stack(stack, MONITOR, "monitor"):
        return Outcome("this stack has no sidecar", info=True)
    facts = stack.evidence.monitor
    container = containers[0] if containers else None
    if container is None or container.state != "running":
        seen = Seen(
            "the sidecar's container",
            container.state if container else "not there",
            "running",
            container.finished_at if container else stack.evidence.at,
        )
        return Outcome(seen.seen, (_down(stack, (seen,), container),))
    if stack.is_young(container) and (facts is None or facts.answer != "ok"):
        return Outcome("it has only just started", info=True)
    if facts is None:
        return cannot_tell(stack.gap("monitor") or "it was not asked")
    if facts.answer in ("down", "slow", "foreign"):
        seen = (
            Seen(facts.url, facts.error, "an answer", stack.evidence.at),
            Seen(
                container.name,
                f"running, {container.health or 'no health check'}: {container.health_output}",
                "healthy",
            ),
        )
        return Outcome(facts.error, (_down(stack, seen, container, running=True),))
    blind = facts.stale or (facts.age_seconds or 0) > _STALE_SECONDS
    if blind and _proxy_runs(stack):
        seen = (
            Seen(facts.url, f"its figures are {facts.age_seconds or 0:.0f} s old", "a few seconds", stack.evidence.at),
            *(Seen("it says", text) for text in (*facts.troubles, *facts.warnings)[:2]),
        )
        return Outcome("blind", (_down(stack, seen, container, running=True),))
    return Outcome(f"{facts.url} answers, figures {facts.age_seconds or 0:.0f} s old")


def _down(stack: Stack, seen: tuple[Seen, ...], container: ContainerFacts | None, *, running: bool = False) -> Found:
    name = container.name if container else "the sidecar"
    return Found(
        "monitor-down",
        seen,
        (name,),
        {"container": name},
        "restart" if running else "default",
        ({"container": name},) if running else (),
    )


def _proxy_runs(stack: Stack) -> bool:
    return all(one.state == "running" for one in stack.of(PROXY))


def proxy(stack: Stack) -> Outcome:
    """Whether the sidecar's door to the engine is open."""
    containers = stack.of(PROXY)
    if not _is_part_of_stack(stack, PROXY, "docker-proxy"):
        return Outcome("this stack has no docker-proxy", info=True)
    container = containers[0] if containers else None
    if container is None or container.state != "running":
        seen = Seen(
            "docker-proxy's container",
            container.state if container else "not there",
            "running",
            container.finished_at if container else stack.evidence.at,
        )
        values = {"container": container.name if container else "docker-proxy"}
        return Outcome(seen.seen, (Found("docker-proxy-down", (seen,), (values["container"],), values),))
    if container.health == "unhealthy":
        seen = Seen(container.name, f"unhealthy: {container.health_output}", "healthy", stack.evidence.at)
        return Outcome(
            seen.seen,
            (
                Found(
                    "docker-proxy-down",
                    (seen,),
                    (container.name,),
                    {"container": container.name},
                    "restart",
                    ({"container": container.name},),
                ),
            ),
        )
    return Outcome(f"{container.name} {container.health or 'running'}")


RULES = (
    Rule("docker-proxy", LAYER, proxy, after=without_stack),
    Rule("sidecar", LAYER, sidecar, after=without_stack),
)

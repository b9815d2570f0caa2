"""Checks of the containers: whether they exist and run, and if not, why. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime

from sidecar.common.units import GIB, MIB, plural
from sidecar.diagnose.evidence import ContainerEvent, ContainerFacts, KnownIncident
from sidecar.diagnose.rule import FoundCause, Origin, Outcome, Rule, without_engine, without_stack
from sidecar.diagnose.rules import log_signs
from sidecar.diagnose.stack import MASTER, RECENT, STANDALONE, WORKER, Stack, listed, names, size
from sidecar.model.finding import Confidence, FindingEvidence
from sidecar.model.incident import Severity

LAYER = "containers"
_DOWN = frozenset({"exited", "dead", "created", "removing"})
_SIGKILL, _SIGTERM_EXIT = 137, 143
_MEANINGS = {_SIGKILL: " (SIGKILL)", _SIGTERM_EXIT: " (SIGTERM)", 255: " (Locust gave up its master)"}
_LOOP_RESTARTS, _LOOP_DEATHS = 3, 3
_ASKED = frozenset({"kill", "stop"})
_LONGEST_STOP_SECONDS = 90.0
_LOOP_SECONDS, _LASTING_SECONDS = 300.0, 60.0  # five minutes, as in the monitor; one minute
_DEFAULT_LIMIT = 2 * GIB
_STAYS_DOWN = (
    "Docker does not restart a container that a person stopped or killed: with `unless-stopped` it stays down."
)
_INIT_OR_DEAD = re.compile(r"^(?:\S*/)?(?:docker-init|tini|dumb-init)\b|<defunct>")


# ---- services --------------------------------------------------------------------------------------------------------


def services(stack: Stack) -> Outcome:
    """Check whether the stack has a master and workers, and whether all run."""
    locusts = stack.locusts
    up = [locust for locust in locusts if locust.state not in _DOWN]
    text = _counted(stack)
    if not locusts or (not up and all(_is_asked_for(stack, locust) for locust in locusts)):
        return Outcome(text, (_stack_down(stack),))
    causes = [*_ended(stack, MASTER, "master-exited"), *_ended(stack, WORKER, "worker-exited")]
    if not stack.of(MASTER) and not stack.of(STANDALONE) and not stack.is_joined:
        causes.append(_no_master(stack))
    return Outcome(text, tuple(causes))


def _counted(stack: Stack) -> str:
    counts = Counter((our.service or our.name, our.state) for our in stack.ours)
    text = ", ".join(f"{count} {service} {state}" for (service, state), count in sorted(counts.items()))
    outside = stack.evidence.host.locust_processes[:2]
    more = f"; Locust outside Docker is not checked: {'; '.join(outside)}" if outside else ""
    return (text or "no container") + more


def _is_asked_for(stack: Stack, container: ContainerFacts) -> bool:
    """Return whether somebody stopped a container on purpose, by its exit code or by the request to Docker."""
    if container.oom_killed or container.error:
        return False
    return container.exit_code in (0, _SIGTERM_EXIT, None) or _request(stack, container) is not None


def _request(stack: Stack, container: ContainerFacts) -> tuple[str, datetime] | None:
    """Return the request to Docker just before a container's end, and its time."""
    ends = _events(stack, container, "die")
    own = [event for event in stack.evidence.events if event.container_id == container.id and event.action in _ASKED]
    for event in reversed(own):
        if ends and abs((ends[-1].at - event.at).total_seconds()) < _LONGEST_STOP_SECONDS:
            signal = f" (signal {event.signal})" if event.signal else ""
            return f"Docker was asked to {event.action} it{signal}", event.at
    return None


def _stack_down(stack: Stack) -> FoundCause:
    project, locusts = stack.evidence.project, stack.locusts
    evidence = stack.observed(
        f"containers of {project!r}",
        f"not running: {names(locusts)}" if locusts else "no container",
        "a running master and running workers",
    )
    return FoundCause("stack-down", (evidence,), (project,), {"project": project})


def _no_master(stack: Stack) -> FoundCause:
    seen = f"{plural(len(stack.workers), 'worker')}, no master"
    evidence = stack.observed(f"containers of {stack.evidence.project!r}", seen, "one master")
    values = {"container": "the master", "how": "its container does not exist"}
    return FoundCause("master-exited", (evidence,), ("the master",), values)


def _ended(stack: Stack, role: str, slug: str) -> Iterator[FoundCause]:
    down = [container for container in stack.of(role) if container.state in _DOWN and not container.oom_killed]
    ended = [container for container in down if not _is_scaled(stack, container)]
    if not ended or (role == MASTER and stack.running_master):
        return
    evidence = []
    for container in ended[:3]:
        evidence.append(
            FindingEvidence(f"state of {container.name}", _how(container), "running", container.finished_at)
        )
        if request := _request(stack, container):
            evidence.append(FindingEvidence("reason of the exit", request[0], "", request[1]))
        elif container.exit_code:
            evidence += _last_line(container)
    values = {
        "container": names(ended),
        "how": _how(ended[0]),
        "workers": f"{plural(len(ended), 'worker')} {'is' if len(ended) == 1 else 'are'}",
    }
    is_final = all(container.restart_policy == "unless-stopped" and _request(stack, container) for container in ended)
    yield FoundCause(slug, evidence, ended, values, because=_STAYS_DOWN if is_final else "")


def _is_scaled(stack: Stack, container: ContainerFacts) -> bool:
    """Return whether a worker is starting or stopping because of `make scale`."""
    if stack.role(container) != WORKER:
        return False
    if container.state == "created":
        made = container.created_at
        return not container.error and made is not None and _seconds_ago(stack, made) < _LASTING_SECONDS
    return _is_asked_for(stack, container) and len(stack.running_workers) >= stack.expected


def _how(container: ContainerFacts) -> str:
    if container.state == "created":
        return f"never started: {container.error}" if container.error else "created, but never started"
    code = "" if container.exit_code is None else f" with exit code {container.exit_code}"
    meaning = _MEANINGS.get(container.exit_code or 0, "")
    return f"{container.state}{code}{meaning}" + (f": {container.error}" if container.error else "")


def _last_line(container: ContainerFacts) -> list[FindingEvidence]:
    text = next((line.text.strip() for line in reversed(container.log) if line.text.strip()), "")
    return [FindingEvidence(f"last log line of {container.name}", text[:160])] if text else []


# ---- paused ----------------------------------------------------------------------------------------------------------


def paused(stack: Stack) -> Outcome:
    """Check whether a container is paused."""
    frozen = [our for our in stack.ours if our.state == "paused"]
    if not frozen:
        return Outcome("no container is paused")
    evidence = []
    for container in frozen[:4]:
        pauses = _events(stack, container, "pause")
        at = pauses[-1].at if pauses else stack.evidence.at
        evidence.append(FindingEvidence(f"state of {container.name}", "paused", "running", at))
    return Outcome(f"paused: {names(frozen)}", (FoundCause("container-paused", evidence, frozen, listed(frozen)),))


# ---- OOM kills -------------------------------------------------------------------------------------------------------


def oom(stack: Stack) -> Outcome:
    """Check whether the kernel lately killed a process of master or workers because it ran out of memory."""
    causes = (*_killed(stack, MASTER, "master-oom-killed"), *_killed(stack, WORKER, "worker-oom-killed"))
    monitor = stack.evidence.monitor
    is_watched = monitor is not None and monitor.answer == "ok"
    source = "the ledger" if is_watched else "Docker alone (without the monitor, some kills leave no trace)"
    minutes = int(RECENT.total_seconds() // 60)
    return Outcome(
        f"{'OOM kills' if causes else 'no OOM kill'} in the last {minutes} minutes, according to {source}", causes
    )


def _killed(stack: Stack, role: str, slug: str) -> Iterator[FoundCause]:
    victims = [(container, kills) for container in stack.of(role) if (kills := [*_kill_evidence(stack, container)])]
    if not victims:
        return
    containers = [container for container, _ in victims]
    limit = max(container.memory_limit_bytes or 0 for container in containers)
    config = stack.evidence.config
    wanted = config.master_memory_bytes if role == MASTER else config.worker_memory_bytes
    more = _DEFAULT_LIMIT if limit < _DEFAULT_LIMIT else 2 * limit
    most = int(0.9 * stack.evidence.engine.memory_bytes)
    fix = "default" if not most or more <= most else "no-room"
    if limit < wanted:  # changed on the container itself, so `up` would change nothing
        fix, more = "update", wanted
    setting = "MASTER_MEMORY" if role == MASTER else "WORKER_MEMORY"
    values = {"containers": names(containers), "limit": size(limit), "setting": setting, "more": size(more)}
    items = tuple({"container": container.name, "bytes": str(more)} for container in containers)
    yield FoundCause(
        slug,
        [kill for _, kills in victims[:3] for kill in kills[:3]],
        containers,
        values,
        Origin(fix, items),
        up={setting: f"{more // MIB}m"},
        severity=Severity.WARN if all(_is_over(stack, *victim) for victim in victims) else Severity.ERROR,
    )


def _is_over(stack: Stack, container: ContainerFacts, kills: Sequence[FindingEvidence]) -> bool:
    """Return whether a container has recovered from its kills: it is healthy since, and is not killed repeatedly."""
    since = [kill.at for kill in kills if kill.at] + [container.started_at or stack.evidence.at]
    return (
        container.state == "running"
        and container.health in ("healthy", "")
        and _seconds_ago(stack, max(since)) > _LASTING_SECONDS
        and len(_events(stack, container, "die")) < _LOOP_DEATHS
    )


def _kill_evidence(stack: Stack, container: ContainerFacts) -> Iterator[FindingEvidence]:
    limit = size(container.memory_limit_bytes) if container.memory_limit_bytes else "not set"
    kills = list(_incidents(stack, container, "oom_kill"))
    changed = _limits_changed(stack, container, kills)
    for incident in kills:
        if (incident.until or incident.at) > changed:
            wanted = f"memory below its limit ({limit})"
            yield FindingEvidence(f"incident of {container.name}", incident.text, wanted, incident.at)
    events = [event for event in _events(stack, container, "oom") if event.at > changed]
    if events:
        yield FindingEvidence(
            f"Docker events of {container.name}", f"{len(events)} × oom", "no oom event", events[-1].at
        )
    is_down, started = container.state != "running", container.started_at
    if container.oom_killed and (is_down or (started is not None and stack.evidence.at - started < RECENT)):
        evidence = f"{'exited, ' if is_down else ''}OOMKilled true, memory limit {limit}"
        at = container.finished_at if is_down else None
        yield FindingEvidence(f"state of {container.name}", evidence, "OOMKilled false", at)


def _limits_changed(stack: Stack, container: ContainerFacts, kills: Sequence[KnownIncident]) -> datetime:
    """Return the time of the last change of the memory limit. Kills before that time no longer count.

    A `docker update` event shows the change, but Docker soon forgets the event. A kill in the ledger with a lower limit
    shows it, too.
    """
    limit = container.memory_limit_bytes or 0
    had_less = [kill.until or kill.at for kill in kills if 0 < (kill.memory_limit_bytes or 0) < limit]
    updates = [event.at for event in _events(stack, container, "update")]
    return max((*had_less, *updates), default=stack.evidence.at - RECENT)


def _events(stack: Stack, container: ContainerFacts, action: str) -> list[ContainerEvent]:
    own = (event for event in stack.evidence.events if event.container_id == container.id)
    return [event for event in own if event.action == action]


def _incidents(stack: Stack, container: ContainerFacts, kind: str) -> Iterator[KnownIncident]:
    """Yield the ledger's recent incidents of the present container."""
    monitor = stack.evidence.monitor
    for incident in monitor.incidents if monitor else ():
        has_id = len(incident.container_id) == len(container.id)
        is_same = incident.container_id == container.id if has_id else incident.container == container.name
        is_recent = stack.evidence.at - (incident.until or incident.at) < RECENT
        if incident.kind == kind and is_same and incident.count and is_recent:
            yield incident


# ---- restart loops ---------------------------------------------------------------------------------------------------


def loops(stack: Stack) -> Outcome:
    """Check whether a container is in a restart loop."""
    looping = [our for our in stack.ours if _loops(stack, our)]
    if not looping:
        return Outcome("no restart loop")
    evidence = []
    for container in looping[:3]:
        code = _last_code(stack, container)
        last = "" if code is None else f", last exit code {code}"
        state = f"{plural(container.restarts, 'restart')}, {container.state}{last}"
        evidence.append(FindingEvidence(f"state of {container.name}", state, "no restart", container.started_at))
        evidence += _last_line(container)
    values = {"containers": names(looping), "container": looping[0].name, "service": looping[0].service}
    cause = FoundCause("restart-loop", evidence, looping, values, confidence=Confidence.LIKELY)
    return Outcome(f"restarting: {names(looping)}", (cause,))


def _loops(stack: Stack, container: ContainerFacts) -> bool:
    if container.state == "restarting":
        return True
    deaths = [event for event in _events(stack, container, "die") if _seconds_ago(stack, event.at) < _LOOP_SECONDS]
    started = container.started_at
    lasts = container.health == "healthy" and started and _seconds_ago(stack, started) > _LASTING_SECONDS
    return container.restarts >= _LOOP_RESTARTS and len(deaths) >= _LOOP_DEATHS and not lasts


def _seconds_ago(stack: Stack, at: datetime) -> float:
    return (stack.evidence.at - at).total_seconds()


def _last_code(stack: Stack, container: ContainerFacts) -> int | None:
    if container.exit_code is not None:
        return container.exit_code
    deaths = _events(stack, container, "die")
    return deaths[-1].exit_code if deaths else None


# ---- the image -------------------------------------------------------------------------------------------------------


def image(stack: Stack) -> Outcome:
    """Check whether the image starts Locust."""
    without = [locust for locust in stack.locusts if not stack.is_leaving(locust) and _lacks_locust(stack, locust)]
    config, up = stack.evidence.config, {"LOCUST_IMAGE": ""}
    if without:
        name, wanted = without[0].image, stack.wanted(without[0])
        evidence = [
            FindingEvidence(f"start of {locust.name}", _trace(locust), "Locust starts", locust.finished_at)
            for locust in without[:2]
        ]
        evidence.append(FindingEvidence(f"image of {without[0].name}", name))
        fix = "recreate" if wanted is not None and wanted.image != name else "default"
        values = {"image": name, "containers": names(without)}
        return Outcome(name, (FoundCause("image-without-locust", evidence, without, values, fix, up=up),))
    name = config.locust_image
    if name and not stack.locusts and not (config.locust_image_there and config.locust_image_starts):
        wrong = "does not start Locust" if config.locust_image_there else "no such image on this machine"
        missing = stack.observed("LOCUST_IMAGE", f"{name}: {wrong}", "an image that starts Locust")
        values = {"image": name, "containers": "the stack"}
        return Outcome(name, (FoundCause("image-without-locust", (missing,), (name,), values, up=up),))
    shown = ", ".join(dict.fromkeys(locust.image for locust in stack.locusts))
    return Outcome(shown or "no container")


def _lacks_locust(stack: Stack, container: ContainerFacts) -> bool:
    if "executable file not found" in container.error or "no such file or directory" in container.error:
        return True
    if container.state == "running" and not container.restarts:
        working = [process for process in container.processes or () if not _INIT_OR_DEAD.search(process)]
        has_locust = any("locust" in process.lower() for process in working)
        return bool(working) and not has_locust and not stack.is_registered(container)
    log = log_signs.latest_log(container)
    sign = log_signs.last(log, "exec-failed", *log_signs.LOADING)  # earlier lines belong to an earlier start
    if sign and sign.name == "exec-failed":
        return True
    if sign and sign.name == "no-module" and sign.detail.split(".")[0] == "locust":
        problems = stack.evidence.config.file_problems
        return not any(problem.kind == "shadow" and problem.fix == "locust" for problem in problems)
    # An image without our entry point runs another program: it exits at once, and its log does not mention Locust.
    if any("ocust" in line.text for line in log):
        return False
    return "locust" not in " ".join((*container.command, container.image)).lower()


def _trace(container: ContainerFacts) -> str:
    sign = log_signs.last(log_signs.latest_log(container), "exec-failed", "no-module")
    if container.error:
        return container.error
    if sign:
        return sign.text.strip()
    command = " ".join(container.command) or "no command"
    end = "runs" if container.exit_code is None else f"exits with code {container.exit_code}"
    return f"`{command}` {end}, and its log does not mention Locust"


RULES = (
    Rule("services", LAYER, services, after=without_engine),
    Rule("paused", LAYER, paused, after=without_stack),
    Rule("oom", LAYER, oom, after=without_stack),
    Rule("image", LAYER, image, after=without_engine),
    Rule("restarts", LAYER, loops, after=without_stack),
)

"""The containers: there, running, and if not, why not. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime

from sidecar.diagnose.evidence import ContainerEvent, ContainerFacts, KnownIncident
from sidecar.diagnose.rule import Found, Outcome, Rule, without_engine, without_stack
from sidecar.diagnose.rules import log_signs
from sidecar.diagnose.stack import MASTER, RECENT, STANDALONE, WORKER, Stack, names
from sidecar.model.finding import Confidence, FindingEvidence
from sidecar.model.incident import Severity

LAYER = "containers"
_DOWN = frozenset({"exited", "dead", "created", "removing"})
_SIGKILL, _SIGTERM_EXIT = 137, 143
_LOOP_RESTARTS, _LOOP_DEATHS = 3, 3
_ASKED = frozenset({"kill", "stop"})
_MIB, _GIB = 1 << 20, 1 << 30
_LONGEST_STOP_SECONDS = 90.0
_LOOP_SECONDS, _LASTING_SECONDS = 300.0, 60.0  # five minutes, as the sidecar has it; a minute
_DEFAULT_LIMIT = 2 * _GIB
_INIT_OR_DEAD = re.compile(r"^(?:\S*/)?(?:docker-init|tini|dumb-init)\b|<defunct>")


# ---- services --------------------------------------------------------------------------------------------------------


def services(stack: Stack) -> Outcome:
    """Whether the stack is up: a master, workers, all running."""
    locusts = stack.locusts
    up = [locust for locust in locusts if locust.state not in _DOWN]
    text = _counted(stack)
    if not locusts or (not up and all(_was_asked(stack, locust) for locust in locusts)):
        return Outcome(text, (_stack_down(stack),))
    found = [*_ended(stack, MASTER, "master-exited"), *_ended(stack, WORKER, "worker-exited")]
    if not stack.of(MASTER) and not stack.of(STANDALONE) and not stack.is_joined:
        found.append(_no_master(stack))
    return Outcome(text, tuple(found))


def _counted(stack: Stack) -> str:
    counts: dict[tuple[str, str], int] = {}
    for our in stack.ours:
        counts[our.service or our.name, our.state] = counts.get((our.service or our.name, our.state), 0) + 1
    outside = (
        "; Locust outside Docker is not looked at: " + "; ".join(stack.evidence.host.locust_processes[:2])
        if stack.evidence.host.locust_processes
        else ""
    )
    return (
        ", ".join(f"{count} {service} {state}" for (service, state), count in sorted(counts.items())) or "no container"
    ) + outside


def _was_asked(stack: Stack, container_facts: ContainerFacts) -> bool:
    """Whether somebody asked for the end of a container: its code says so, and nothing speaks against it."""
    return (
        not container_facts.oom_killed
        and not container_facts.error
        and (container_facts.exit_code in (0, _SIGTERM_EXIT, None) or bool(_request(stack, container_facts)))
    )


def _request(stack: Stack, container_facts: ContainerFacts) -> tuple[str, datetime] | None:
    """What Docker was asked to do to a container just before its end, and when."""
    ends = [
        event.at
        for event in stack.evidence.events
        if event.container_id == container_facts.id and event.action == "die"
    ]
    for event in reversed(stack.evidence.events):
        if (
            event.container_id == container_facts.id
            and event.action in _ASKED
            and ends
            and abs((ends[-1] - event.at).total_seconds()) < _LONGEST_STOP_SECONDS
        ):
            signal = f" (signal {event.signal})" if event.signal else ""
            return f"Docker was asked to {event.action} it{signal}", event.at
    return None


def _stack_down(stack: Stack) -> Found:
    locusts = stack.locusts
    if locusts:
        seen = FindingEvidence(
            f"containers of {stack.evidence.project!r}",
            f"{names(locusts)}: none runs",
            "a master and workers that run",
            stack.evidence.at,
        )
    else:
        seen = FindingEvidence(
            f"containers of {stack.evidence.project!r}", "none", "a master and workers", stack.evidence.at
        )
    return Found("stack-down", (seen,), (stack.evidence.project,), {"project": stack.evidence.project})


def _no_master(stack: Stack) -> Found:
    seen = FindingEvidence(
        f"containers of {stack.evidence.project!r}",
        f"{len(stack.workers)} workers, no master",
        "one master",
        stack.evidence.at,
    )
    return Found("master-exited", (seen,), ("the master",), {"container": "the master", "how": "its container is gone"})


def _ended(stack: Stack, role: str, slug: str) -> Iterator[Found]:
    ended = [one for one in stack.of(role) if one.state in _DOWN and not one.oom_killed and not _is_scaled(stack, one)]
    if role == MASTER and stack.running_master:
        return
    if not ended:
        return
    seen = []
    for one in ended[:3]:
        request = _request(stack, one)
        seen.append(FindingEvidence(one.name, _how(one), "running", one.finished_at))
        if request:
            seen.append(FindingEvidence("what ended it", request[0], "", request[1]))
        elif (line := _last_line(one)) and one.exit_code:
            seen.append(FindingEvidence(f"last line of {one.name}", line))
    stays = all(one.restart_policy == "unless-stopped" and _request(stack, one) for one in ended)
    because = (
        "Docker does not restart what a person stopped or killed: under `unless-stopped` it stays down."
        if stays
        else ""
    )
    values = {"container": names(ended), "how": _how(ended[0]), "count": str(len(ended))}
    yield Found(slug, tuple(seen), tuple(one.name for one in ended), values, because=because)


def _is_scaled(stack: Stack, container_facts: ContainerFacts) -> bool:
    """Whether a worker is on its way in or out, because another number of workers is wanted."""
    if stack.role(container_facts) != WORKER:
        return False
    if container_facts.state == "created":
        return (
            not container_facts.error
            and container_facts.created_at is not None
            and _seconds_ago(stack, container_facts.created_at) < _LASTING_SECONDS
        )
    return _was_asked(stack, container_facts) and len(stack.running_workers) >= stack.expected


def _how(container_facts: ContainerFacts) -> str:
    if container_facts.state == "created":
        return f"never started: {container_facts.error}" if container_facts.error else "created, never started"
    code = "" if container_facts.exit_code is None else f" with exit code {container_facts.exit_code}"
    meaning = {_SIGKILL: " (SIGKILL)", _SIGTERM_EXIT: " (SIGTERM)", 255: " (Locust gave its master up)"}.get(
        container_facts.exit_code or 0, ""
    )
    return f"{container_facts.state}{code}{meaning}" + (f": {container_facts.error}" if container_facts.error else "")


def _last_line(container_facts: ContainerFacts) -> str:
    return next((line.text.strip()[:160] for line in reversed(container_facts.log) if line.text.strip()), "")


# ---- paused ----------------------------------------------------------------------------------------------------------


def paused(stack: Stack) -> Outcome:
    """Whether a container is frozen."""
    frozen = [our for our in stack.ours if our.state == "paused"]
    if not frozen:
        return Outcome("none is paused")
    seen = tuple(
        FindingEvidence(
            one.name,
            "paused",
            "running",
            next(
                (e.at for e in reversed(stack.evidence.events) if e.container_id == one.id and e.action == "pause"),
                stack.evidence.at,
            ),
        )
        for one in frozen[:4]
    )
    values = {"containers": " ".join(one.name for one in frozen), "who": names(frozen)}
    return Outcome(
        f"paused: {names(frozen)}", (Found("container-paused", seen, tuple(one.name for one in frozen), values),)
    )


# ---- OOM kills -------------------------------------------------------------------------------------------------------


def oom(stack: Stack) -> Outcome:
    """Whether the kernel killed master or workers for want of memory, lately."""
    found = [
        one
        for role, slug in ((MASTER, "master-oom-killed"), (WORKER, "worker-oom-killed"))
        for one in _killed(stack, role, slug)
    ]
    source = (
        "the ledger"
        if stack.evidence.monitor and stack.evidence.monitor.answer == "ok"
        else "Docker alone (no sidecar: some kills leave no trace)"
    )
    return Outcome(
        f"{'kills' if found else 'no kill'} in the last {int(RECENT.total_seconds() // 60)} minutes, by {source}",
        tuple(found),
    )


def _killed(stack: Stack, role: str, slug: str) -> Iterator[Found]:
    victims = [(one, seen) for one in stack.of(role) if (seen := tuple(_kill_evidence(stack, one)))]
    if not victims:
        return
    containers = [one for one, _ in victims]
    limit = max(container.memory_limit_bytes or 0 for container in containers)
    setting = "MASTER_MEMORY" if role == MASTER else "WORKER_MEMORY"
    config = stack.evidence.config
    told = config.master_memory_bytes if role == MASTER else config.worker_memory_bytes
    more = _DEFAULT_LIMIT if limit < _DEFAULT_LIMIT else 2 * limit
    most = int(0.9 * stack.evidence.engine.memory_bytes)
    fix = "default" if not most or more <= most else "no-room"
    if limit < told:  # changed on the container itself, so that `up` would see nothing to do
        fix, more = "update", told
    values = {"containers": names(containers), "limit": _size(limit), "setting": setting, "more": _size(more)}
    items = tuple({"container": container.name, "bytes": str(more)} for container in containers)
    seen_all = tuple(seen for _, found in victims[:3] for seen in found[:3])
    affects = tuple(container.name for container in containers)
    over = all(_is_over(stack, one, found) for one, found in victims)
    severity = Severity.WARN if over else Severity.ERROR
    yield Found(slug, seen_all, affects, values, fix, items, up={setting: f"{more // _MIB}m"}, severity=severity)


def _is_over(stack: Stack, container_facts: ContainerFacts, kills: Sequence[FindingEvidence]) -> bool:
    """Whether a container has got over its kills: it has run well since then, and is not killed again and again."""
    since = [seen.at for seen in kills if seen.at] + [container_facts.started_at or stack.evidence.at]
    lasts = (
        container_facts.state == "running"
        and container_facts.health in ("healthy", "")
        and _seconds_ago(stack, max(since)) > _LASTING_SECONDS
    )
    return lasts and len(_events(stack, container_facts, "die")) < _LOOP_DEATHS


def _kill_evidence(stack: Stack, container_facts: ContainerFacts) -> Iterator[FindingEvidence]:
    now = stack.evidence.at
    limit = _size(container_facts.memory_limit_bytes) if container_facts.memory_limit_bytes else "none"
    kills = list(_incidents(stack, container_facts, "oom_kill"))
    changed = _limits_changed(stack, container_facts, kills)
    for incident in kills:
        if (incident.until or incident.at) > changed:
            yield FindingEvidence(
                f"ledger: {container_facts.name}", incident.text, f"memory below its limit of {limit}", incident.at
            )
    events = [event for event in _events(stack, container_facts, "oom") if event.at > changed]
    if events:
        yield FindingEvidence(f"Docker's events of {container_facts.name}", f"{len(events)} oom", "none", events[-1].at)
    dated = container_facts.finished_at if container_facts.state != "running" else container_facts.started_at
    if container_facts.oom_killed and (
        container_facts.state != "running" or (dated is not None and now - dated < RECENT)
    ):
        down = container_facts.state != "running"
        yield FindingEvidence(
            container_facts.name,
            f"{'ended, ' if down else ''}OOMKilled, limit {limit}",
            "OOMKilled false",
            container_facts.finished_at if down else None,
        )


def _limits_changed(stack: Stack, container_facts: ContainerFacts, kills: Sequence[KnownIncident]) -> datetime:
    """The latest moment before which its limit was another one, so that the kills until then are past.

    Docker tells of `docker update`, but forgets soon; a kill in the ledger under a lower limit than today does, too.
    """
    had_less = [
        kill.until or kill.at
        for kill in kills
        if 0 < (kill.memory_limit_bytes or 0) < (container_facts.memory_limit_bytes or 0)
    ]
    updates = [event.at for event in _events(stack, container_facts, "update")]
    return max((*had_less, *updates), default=stack.evidence.at - RECENT)


def _events(stack: Stack, container_facts: ContainerFacts, action: str) -> list[ContainerEvent]:
    return [
        event for event in stack.evidence.events if event.container_id == container_facts.id and event.action == action
    ]


def _incidents(stack: Stack, container_facts: ContainerFacts, *kinds: str) -> Iterator[KnownIncident]:
    """The ledger's recent incidents of a container that is still the same."""
    monitor = stack.evidence.monitor
    for incident in monitor.incidents if monitor else ():
        last = incident.until or incident.at
        same = (
            incident.container_id == container_facts.id
            if len(incident.container_id) == len(container_facts.id)
            else incident.container == container_facts.name
        )
        if incident.kind in kinds and same and incident.count and stack.evidence.at - last < RECENT:
            yield incident


def _size(count: int) -> str:
    return f"{count / _GIB:.1f} GiB" if count >= _GIB else f"{count / _MIB:.0f} MiB"


# ---- restart loops ---------------------------------------------------------------------------------------------------


def loops(stack: Stack) -> Outcome:
    """Whether a container ends and is started, again and again."""
    looping = [our for our in stack.ours if _loops(stack, our)]
    if not looping:
        return Outcome("none restarts again and again")
    seen = []
    for one in looping[:3]:
        code = _last_code(stack, one)
        last = "" if code is None else f", last exit code {code}"
        seen.append(
            FindingEvidence(
                one.name, f"{one.restarts} restarts, {one.state}{last}", "one start that lasts", one.started_at
            )
        )
        if line := _last_line(one):
            seen.append(FindingEvidence(f"last line of {one.name}", line))
    values = {"containers": names(looping), "container": looping[0].name, "service": looping[0].service}
    return Outcome(
        f"restarting: {names(looping)}",
        (Found("restart-loop", tuple(seen), tuple(one.name for one in looping), values, confidence=Confidence.LIKELY),),
    )


def _loops(stack: Stack, container_facts: ContainerFacts) -> bool:
    if container_facts.state == "restarting":
        return True
    deaths = [
        event for event in _events(stack, container_facts, "die") if _seconds_ago(stack, event.at) < _LOOP_SECONDS
    ]
    lasting = (
        container_facts.health == "healthy"
        and container_facts.started_at
        and _seconds_ago(stack, container_facts.started_at) > _LASTING_SECONDS
    )
    return container_facts.restarts >= _LOOP_RESTARTS and len(deaths) >= _LOOP_DEATHS and not lasting


def _seconds_ago(stack: Stack, at: datetime) -> float:
    return (stack.evidence.at - at).total_seconds()


def _last_code(stack: Stack, container_facts: ContainerFacts) -> int | None:
    deaths = _events(stack, container_facts, "die")
    return (
        container_facts.exit_code if container_facts.exit_code is not None else deaths[-1].exit_code if deaths else None
    )


# ---- the image -------------------------------------------------------------------------------------------------------


def image(stack: Stack) -> Outcome:
    """Whether the image has Locust in it."""
    without = [locust for locust in stack.locusts if not stack.is_leaving(locust) and _lacks_locust(stack, locust)]
    config = stack.evidence.config
    if without:
        seen = [
            FindingEvidence(one.name, _trace(one), "an image in which Locust starts", one.finished_at)
            for one in without[:2]
        ]
        seen.append(FindingEvidence("its image", without[0].image))
        fix = "recreate" if stack.wanted(without[0]) and _wants_other_image(stack, without[0]) else "default"
        values = {"image": without[0].image, "containers": names(without)}
        return Outcome(
            without[0].image,
            (
                Found(
                    "image-without-locust",
                    tuple(seen),
                    tuple(one.name for one in without),
                    values,
                    fix,
                    up={"LOCUST_IMAGE": ""},
                ),
            ),
        )
    if config.locust_image and not stack.locusts and not (config.locust_image_there and config.locust_image_starts):
        wrong = "no such image on this machine" if not config.locust_image_there else "what it starts is not Locust"
        said = FindingEvidence(
            "LOCUST_IMAGE", f"{config.locust_image}: {wrong}", "an image that starts Locust", stack.evidence.at
        )
        values = {"image": config.locust_image, "containers": "the stack"}
        found = Found("image-without-locust", (said,), (config.locust_image,), values, up={"LOCUST_IMAGE": ""})
        return Outcome(config.locust_image, (found,))
    shown = ", ".join(dict.fromkeys(locust.image for locust in stack.locusts))
    return Outcome(shown or "no container")


def _wants_other_image(stack: Stack, container_facts: ContainerFacts) -> bool:
    wanted = stack.wanted(container_facts)
    return wanted is not None and wanted.image != container_facts.image


def _lacks_locust(stack: Stack, container_facts: ContainerFacts) -> bool:
    if "executable file not found" in container_facts.error or "no such file or directory" in container_facts.error:
        return True
    working = [process for process in container_facts.processes or () if not _INIT_OR_DEAD.search(process)]
    if (
        working
        and container_facts.state == "running"
        and not container_facts.restarts
        and not stack.is_registered(container_facts)
    ):
        return not any("locust" in process.lower() for process in working)
    if container_facts.state == "running" and not container_facts.restarts:
        return False
    log = log_signs.latest_log(container_facts)
    sign = log_signs.last(log, "exec-failed", *log_signs.LOADING)  # what came before it is of an earlier life
    if sign and sign.name == "exec-failed":
        return True
    if sign and sign.name == "no-module" and sign.detail.split(".")[0] == "locust":
        shadows = [
            problem
            for problem in stack.evidence.config.file_problems
            if problem.kind == "shadow" and problem.fix == "locust"
        ]
        return not shadows
    # An image without an entry point of ours runs whatever it has: it ends at once and says nothing of Locust.
    silent = not any("ocust" in line.text for line in log)
    return (
        silent
        and "locust" not in " ".join(container_facts.command).lower()
        and "locust" not in container_facts.image.lower()
    )


def _trace(container_facts: ContainerFacts) -> str:
    sign = log_signs.last(log_signs.latest_log(container_facts), "exec-failed", "no-module")
    if container_facts.error:
        return container_facts.error
    if sign:
        return sign.text.strip()
    command = " ".join(container_facts.command) or "nothing"
    return f"runs `{command}` and ends with exit code {container_facts.exit_code}, without a word of Locust"


RULES = (
    Rule("services", LAYER, services, after=without_engine),
    Rule("paused", LAYER, paused, after=without_stack),
    Rule("oom", LAYER, oom, after=without_stack),
    Rule("image", LAYER, image, after=without_engine),
    Rule("restarts", LAYER, loops, after=without_stack),
)

"""Checks of master and workers: the master answers, versions match, all workers are registered. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from sidecar.common.units import plural
from sidecar.diagnose.evidence import ContainerFacts, HttpTry, Probe
from sidecar.diagnose.rule import (
    BY_HAND,
    RECREATE,
    FoundCause,
    Origin,
    Outcome,
    Rule,
    cannot_tell,
    origin,
    without_master,
    without_stack,
)
from sidecar.diagnose.rules import log_signs
from sidecar.diagnose.rules.configuration import grouped
from sidecar.diagnose.rules.network import MasterTry, master_tries
from sidecar.diagnose.stack import HEARTBEAT_SECONDS, MASTER, WORKER, Stack, environment, listed, names, setting
from sidecar.model.finding import Confidence, FindingEvidence
from sidecar.model.incident import Severity

LAYER = "locust"
_STOPPED_STATES = {"T": "stopped (SIGSTOP)", "t": "stopped by a debugger", "D": "waiting for a disk", "Z": "a zombie"}
_SILENT = frozenset({"none", "closed", "other"})
_ANSWERS = frozenset({"ok", "login", "broken-login"})
_BACK_AFTER_STOP = timedelta(seconds=15)
JUST_MADE = timedelta(seconds=10)
_SOONEST_MISSED = timedelta(seconds=10)  # an earlier `missing` row belongs to the Locust process before
_LATELY = timedelta(seconds=30)
_CALLS = timedelta(seconds=12)  # a worker calls every 5 s from its start, and logs that from the sixth call on
_DEAF = (
    "The master no longer listens to workers, although its web page works. `runner.quit()` in the locustfile, or an "
    "error in Locust's own listener, ended that part."
)
_SAME_PARTS = 2
_NO_LIMIT = 1 << 62


# ---- does the master answer? -----------------------------------------------------------------------------------------


def master_answers(stack: Stack) -> Outcome:
    """Check whether the master works: its port sends the greeting, its page answers, its process runs."""
    master = stack.running_master
    if master is None:
        return cannot_tell("no master runs")
    tried, probe = master_tries(stack), stack.probe_of(master)
    silent = [attempt for attempt in tried if attempt.tried.outcome == "open" and attempt.tried.greeting in _SILENT]
    young, state, page = stack.is_young(master), stack.inside(master).process_state, _own_page(probe)
    not_listening = _is_not_listening(stack, master) and not young
    page_is_silent = page is not None and page.stage != "ok" and page.error.startswith("no answer")
    unheard = page_is_silent and not young and not any(stack.is_registered(worker) for worker in stack.running_workers)
    deaf = () if young else _unheard_calls(stack, master)
    answers = f"page {stack.evidence.master.answer}" if stack.evidence.master else "page not checked"
    text = f"{answers}; {plural(len(tried), 'connection')} tried, {len(silent)} without a greeting"
    if silent or state in ("T", "t", "Z") or not_listening or unheard or deaf:
        evidence = [_silent_port(attempt) for attempt in silent[:2]]
        if state in _STOPPED_STATES:
            evidence.append(_stopped_process(master, state, probe.at if probe else None))
        if not_listening:
            wanted = f"port {stack.bind_port(master)}"
            evidence.append(
                stack.observed(f"ports on which {master.name} listens", stack.listening() or "no port", wanted)
            )
        if probe and page and page_is_silent:
            evidence.append(
                FindingEvidence(f"web page of the master, from inside {master.name}", page.error, "an answer", probe.at)
            )
        values = {"container": master.name}
        place = Origin(items=(values,))
        because = _DEAF if deaf and not evidence else ""
        evidence += deaf
        cause = FoundCause("master-not-answering", evidence, (master,), values, place, because=because)
        return Outcome(text, (cause,))
    if lack := _lack_of_answer(stack, master):
        return cannot_tell(lack)
    return Outcome(text)


def _unheard_calls(stack: Stack, master: ContainerFacts) -> tuple[FindingEvidence, ...]:
    """Return evidence that workers call a master which accepts their connections but does not answer."""
    calls = []
    for worker in stack.running_workers:
        sign = log_signs.latest(worker, "connect-failed", "starting")
        began = log_signs.latest(worker, "starting")
        is_calling = began is not None and began.at is not None and stack.evidence.at - began.at >= _CALLS
        if sign and is_calling and _way_is_clear(stack, worker) and not _was_heard(master, worker):
            wanted = f"registered, because {master.name} accepts its connection"
            calls.append(
                FindingEvidence(f"last log line of {worker.name} about the master", sign.text, wanted, sign.at)
            )
    return tuple(calls[:2]) if calls and len(calls) == len(stack.running_workers) else ()


def _was_heard(master: ContainerFacts, worker: ContainerFacts) -> bool:
    signs = log_signs.signs(log_signs.current_log(master), "ready")
    return any(_is_from(sign, worker) for sign in signs)


def _own_page(probe: Probe | None) -> HttpTry | None:
    """Return the answer of the master's page inside its container; None if nobody asked there."""
    return probe.http[0] if probe and probe.http else None


def _is_not_listening(stack: Stack, master: ContainerFacts) -> bool:
    """Return whether nothing listens on the master's port, as far as that is known."""
    sockets, port = stack.master_sockets, stack.bind_port(master)
    return sockets is not None and not any(socket.port == port for socket in sockets)


def _lack_of_answer(stack: Stack, master: ContainerFacts) -> str:
    """Return why it is unknown whether a master works, and what to do; "" if the master answered.

    A master that has just started may still load its locustfile. That is neither a fault nor a working master.
    """
    facts, page = stack.evidence.master, _own_page(stack.probe_of(master))
    lack = ""
    if _is_not_listening(stack, master):
        lack = f"does not listen on port {stack.bind_port(master)} yet"
    elif not (
        (facts is not None and facts.answer in _ANSWERS)
        or (page is not None and page.stage == "ok")
        or any(attempt.tried.greeting == "zmtp" for attempt in master_tries(stack))
    ):
        lack = "its web page does not answer yet"
    if not lack:
        return ""
    if not stack.is_young(master) or master.started_at is None:
        return f"{master.name} did not answer, neither at its port nor on its web page"
    seconds = (stack.evidence.at - master.started_at).total_seconds()
    return f"{master.name} started {max(0.0, seconds):.0f} s ago and {lack}; wait 30 s and diagnose again"


def _silent_port(attempt: MasterTry) -> FindingEvidence:
    said = f"the first bytes are {attempt.tried.first_bytes}" if attempt.tried.first_bytes else "no byte came"
    return FindingEvidence(
        f"TCP connection from {attempt.worker.name} to {attempt.address}",
        f"open, but without ZeroMQ's greeting: {said}",
        "ZeroMQ's greeting, which a Locust master sends at once",
        attempt.probe.at,
    )


def _stopped_process(container: ContainerFacts, state: str, at: datetime | None) -> FindingEvidence:
    return FindingEvidence(f"Locust process in {container.name}", _STOPPED_STATES[state], "running or sleeping", at)


# ---- the web page ----------------------------------------------------------------------------------------------------


def web_page(stack: Stack) -> Outcome:
    """Check whether the master's web page and its login work."""
    facts, master, monitor = stack.evidence.master, stack.running_master, stack.evidence.monitor
    if facts is None or master is None:
        return cannot_tell(stack.gap("master") or "the web page was not checked")
    slug, values = "web-login-misconfigured", {"url": facts.url}
    if facts.answer == "broken-login":
        place = origin(stack, [master], "LOCUST_WEB_LOGIN")
        value = environment(master).get("LOCUST_WEB_LOGIN", "(on the command line)")
        wanted = "not set, or login code in your locustfile"
        evidence = (
            stack.observed(facts.url, facts.error, "a web page"),
            FindingEvidence(f"environment of {master.name}", f"LOCUST_WEB_LOGIN={value}", wanted),
            place.evidence,
        )
        return Outcome(facts.error, (FoundCause(slug, evidence, (master,), values, place),))
    refused = {facts.url: facts.error} if facts.answer == "login" else {}
    if facts.answer in ("ok", "login") and monitor and "login" in monitor.locust_error:
        refused["the monitor"] = monitor.locust_error
    if refused:
        wanted = "a valid user name and password"
        seen = tuple(stack.observed(who, error, wanted) for who, error in refused.items())
        cause = FoundCause(slug, seen, (master,), values, "credentials", severity=Severity.WARN)
        return Outcome("the web page asks for a login", (cause,))
    page, is_down = _own_page(stack.probe_of(master)), facts.answer in ("slow", "down", "foreign")
    if is_down and page is not None and page.stage != "ok":
        return cannot_tell(f"{facts.url}: {facts.error}")
    version = f", Locust {facts.version}" if facts.version else ""
    return Outcome(f"{facts.url} {facts.answer}{version}", info=is_down)


# ---- versions --------------------------------------------------------------------------------------------------------


def versions(stack: Stack) -> Outcome:
    """Check whether master and workers run the same Locust. Different patch releases count as the same."""
    known = {locust.name: version for locust in stack.locusts if (version := version_of(stack, locust))}
    if not known:
        return Outcome("unknown", unknown="no version could be read")
    master, workers = stack.running_master, stack.of(WORKER)
    of_master = known.get(master.name, "") if master else ""
    with_version = [worker for worker in workers if of_master and worker.name in known]
    odd = [worker for worker in with_version if not _is_same(known[worker.name], of_master)]
    logged = _logged_versions(stack)
    if not odd and not logged:
        return Outcome(", ".join(sorted({f"Locust {version}" for version in known.values()})))
    evidence = []
    if master and of_master:
        evidence.append(stack.observed(f"Locust version in {master.name}", of_master, "the version of the workers"))
    evidence += [
        stack.observed(f"Locust version in {names(group)}", known[group[0].name], f"{of_master[:4]}…")
        for group in grouped(odd, lambda worker: known[worker.name])
    ]
    affected = odd or [worker for worker in workers if any(worker.id[:12] in line.seen for line in logged)]
    cause = _mismatch(stack, (*evidence, *logged), affected, known)
    return Outcome("versions differ", (cause,))


def _mismatch(
    stack: Stack, evidence: Sequence[FindingEvidence], affected: Sequence[ContainerFacts], known: Mapping[str, str]
) -> FoundCause:
    master = stack.running_master
    images = {container.image_id for container in (*affected, *([master] if master else []))}
    fix = RECREATE if any(_has_other_image(stack, worker) for worker in affected) else BY_HAND
    values = {
        "master": known.get(master.name, "") if master else "",
        "worker": known.get(affected[0].name, "another") if affected else "another",
        "images": str(len(images)),
    }
    return FoundCause("version-mismatch", evidence, affected, values, fix)


def _has_other_image(stack: Stack, container: ContainerFacts) -> bool:
    wanted, master = stack.wanted(container), stack.master
    if wanted is None:
        return False
    return wanted.image != container.image or (master is not None and master.image_id != container.image_id)


def version_of(stack: Stack, container: ContainerFacts) -> str:
    """Return a container's Locust version: from inside it, from another container of its image, or from its log."""
    for other in (container, *(same for same in stack.locusts if same.image_id == container.image_id)):
        if version := stack.inside(other).locust_version:
            return version
    sign = log_signs.last(container.log, "starting")
    return sign.detail if sign else ""


def _is_same(version: str, other: str) -> bool:
    return version.split(".")[:_SAME_PARTS] == other.split(".")[:_SAME_PARTS]


def _logged_versions(stack: Stack) -> list[FindingEvidence]:
    """Return the master's log lines about workers of another version, if such a worker is still there."""
    master = stack.running_master
    if master is None:
        return []
    lines = []
    for sign in log_signs.signs(log_signs.current_log(master), "version", "old-worker"):
        worker = next((worker for worker in stack.of(WORKER) if sign.detail.startswith(worker.id[:12])), None)
        is_remote = any(sign.detail.startswith(f"{row.id} ") and row.state != "missing" for row in stack.remote_rows)
        is_here = worker is not None and (worker.started_at is None or sign.at is None or sign.at >= worker.started_at)
        if is_here or is_remote:
            lines.append(FindingEvidence(f"log of {master.name}", sign.text, "no such line", sign.at))
    return lines[-2:]


# ---- registered, heard -----------------------------------------------------------------------------------------------


def workers(stack: Stack) -> Outcome:
    """Check whether all workers run, are registered and send heartbeats."""
    running, expected, connected = stack.running_workers, stack.expected, stack.connected
    away = [worker for worker in running if stack.is_registered(worker) is False and not _is_excused(stack, worker)]
    registered = "an unknown number" if connected is None else connected
    text = f"{registered} connected, {len(running)} of {expected} containers running"
    starting = [worker for worker in running if stack.is_young(worker)]
    orphans = _orphans(stack, away)
    known = {name for cause in orphans for name in cause.affects}
    missing = _missing(stack, [worker for worker in away if worker.name not in known])
    few = _few(stack, away)
    is_coming = len(starting) >= len(away) and len(running) >= expected
    if few and is_coming and starting and not orphans and not missing:
        return cannot_tell(f"{text}; {len(starting)} started less than 30 s ago")
    causes = (*orphans, *missing, *few)
    if not causes and (reason := _unsettled(stack)):
        return cannot_tell(f"{text}; {reason}")
    return Outcome(text, causes)


def _unsettled(stack: Stack) -> str:
    """Return why it is not known yet whether all workers are there; "" if the master has the expected number."""
    staying = (worker for worker in stack.running_workers if not stack.is_leaving(worker))
    if away := [worker for worker in staying if not stack.is_registered(worker)]:
        return f"registration not confirmed: {names(away)}"
    expected, connected = stack.expected, stack.connected
    is_short = len(stack.running_workers) < expected or (connected is not None and connected < expected)
    return "the other workers are starting" if is_short else ""


def _is_excused(stack: Stack, worker: ContainerFacts) -> bool:
    """Return whether a worker's absence is normal: it is stopping, or it has just ended a run and will return.

    After a run Locust's master forgets a worker, and the worker registers again after the stop timeout.
    """
    if stack.is_leaving(worker):
        return True
    master = stack.running_master
    log = log_signs.current_log(master) if master else ()
    own = [sign for sign in log_signs.signs(log, "ready", "stopped") if _is_from(sign, worker)]
    if not own or own[-1].name != "stopped" or own[-1].at is None:
        return False
    patience = setting(worker, "LOCUST_STOP_TIMEOUT", "--stop-timeout").value
    seconds = float(patience) if patience.replace(".", "", 1).isdigit() else 0.0
    return stack.evidence.at - own[-1].at < timedelta(seconds=seconds) + _BACK_AFTER_STOP


def _orphans(stack: Stack, away: Sequence[ContainerFacts]) -> tuple[FoundCause, ...]:
    """Return the workers of an earlier master. The present master does not know them, and they do not register."""
    master = stack.running_master
    if master is None or master.started_at is None:
        return ()
    signs = list(log_signs.signs(log_signs.current_log(master), "unknown-worker"))
    recent = [sign for sign in signs if sign.at is None or stack.evidence.at - sign.at < _LATELY]
    orphans = []
    for worker in away:
        is_older = worker.started_at is not None and worker.started_at < master.started_at
        if any(_is_from(sign, worker) for sign in recent) or (
            is_older and not stack.listed(worker) and _way_is_clear(stack, worker)
        ):
            orphans.append(worker)
    if not orphans:
        return ()
    evidence = (
        _start(master, "before the start of its workers"),
        *(_start(worker, "after the start of the master") for worker in orphans[:2]),
        log_signs.quote(master, signs[-1] if signs else None),
    )
    return (FoundCause("workers-orphaned", evidence, orphans, listed(orphans)),)


def _start(container: ContainerFacts, wanted: str) -> FindingEvidence:
    at = container.started_at
    return FindingEvidence(f"start time of {container.name}", f"{at:%H:%M:%S}" if at else "?", wanted, at)


def _is_from(sign: log_signs.LogPattern, container: ContainerFacts) -> bool:
    """Return whether the master's line is about the present Locust of a container, not an earlier one."""
    is_past = sign.at is not None and container.started_at is not None and sign.at < container.started_at
    return not is_past and sign.detail.startswith((f"{container.id[:12]}_", f"{container.hostname}_"))


def _way_is_clear(stack: Stack, worker: ContainerFacts) -> bool:
    """Return whether a worker received a master's greeting at the address that it uses."""
    probe, port, name = stack.probe_of(worker), stack.master_port(worker), stack.lookup(worker)
    own = stack.addresses(stack.master) if stack.master else frozenset[str]()
    if probe is None or name is None or not name.addresses or not own.issuperset(name.addresses):
        return False
    return any(attempt.port == port and attempt.address in own and attempt.greeting == "zmtp" for attempt in probe.tcp)


def _missing(stack: Stack, away: Sequence[ContainerFacts]) -> tuple[FoundCause, ...]:
    """Return the running workers that can reach the master, but that the master does not hear."""
    silent = [worker for worker in away if _is_silent(stack, worker)]
    if not silent:
        return ()
    evidence = [piece for worker in silent[:3] for piece in _silence(stack, worker)]
    return (FoundCause("heartbeat-missed", evidence, silent, listed(silent), confidence=Confidence.LIKELY),)


def _is_silent(stack: Stack, worker: ContainerFacts) -> bool:
    is_new = worker.started_at is not None and stack.evidence.at - worker.started_at < _SOONEST_MISSED
    if not is_new and any(row.state == "missing" for row in stack.listed(worker)):
        return True
    if stack.inside(worker).process_state in ("T", "t"):
        return True
    return not stack.is_young(worker) and bool(_lost(stack, worker)) and _way_is_clear(stack, worker)


def _lost(stack: Stack, worker: ContainerFacts) -> str:
    """Return the master's line about a lost worker; "" if it heard the worker again."""
    text = ""
    for master in stack.of(MASTER):
        for sign in log_signs.signs(log_signs.current_log(master), "went-missing", "self-healed", "ready"):
            if sign.detail.startswith(f"{worker.id[:12]}_"):
                text = sign.text if sign.name == "went-missing" else ""
    return text


def _silence(stack: Stack, worker: ContainerFacts) -> Iterator[FindingEvidence]:
    if any(row.state == "missing" for row in stack.listed(worker)):
        yield stack.observed(f"state of {worker.name} in the master's list", "missing", "ready or running")
    if lost := _lost(stack, worker):
        yield FindingEvidence("log of the master", lost, "no such line")
    state, age = stack.inside(worker).process_state, stack.inside(worker).heartbeat_age_seconds
    if state in _STOPPED_STATES:
        yield _stopped_process(worker, state, stack.evidence.at)
    if age is not None and age > HEARTBEAT_SECONDS:
        wanted = f"at most {HEARTBEAT_SECONDS:.0f} s ago"
        yield stack.observed(f"last heartbeat of the master in {worker.name}", f"{age:.0f} s ago", wanted)


def _few(stack: Stack, away: Sequence[ContainerFacts]) -> tuple[FoundCause, ...]:
    """Return the cause if fewer workers than expected run or are registered."""
    now, running, expected, connected = stack.evidence.at, stack.running_workers, stack.expected, stack.connected
    just_made = [worker for worker in stack.workers if worker.created_at and now - worker.created_at < JUST_MADE]
    coming = sum(worker.state == "created" for worker in just_made)
    is_short = len(running) + coming < expected and not (just_made and len(stack.workers) < expected)
    unregistered = [worker for worker in away if not stack.is_young(worker)]
    if not is_short and not unregistered:
        return _partly(stack)
    evidence = [stack.observed("running worker containers", str(len(running)), str(expected))]
    if connected is not None:
        wanted = str(max(expected, len(running)))
        evidence.append(stack.observed("workers registered at the master", str(connected), wanted))
    if unregistered:
        evidence.append(FindingEvidence("running workers", f"not registered: {names(unregistered)}", "registered"))
    shown = "?" if connected is None else str(connected)
    values = {"running": str(len(running)), "expected": str(expected), "connected": shown}
    return (FoundCause("workers-fewer-than-expected", evidence, unregistered or ("the workers",), values),)


def _partly(stack: Stack) -> tuple[FoundCause, ...]:
    """Return the cause if the master lists fewer Locust processes of a container than LOCUST_PROCESSES demands."""
    short = {
        worker: (there, wanted)
        for worker in stack.running_workers
        if not stack.is_young(worker)
        and 0
        < (there := sum(row.state != "missing" for row in stack.listed(worker)))
        < (wanted := _processes(stack, worker))
    }
    if not short:
        return ()
    evidence = [
        stack.observed(f"Locust processes of {worker.name} at the master", str(there), str(wanted))
        for worker, (there, wanted) in short.items()
    ]
    connected = stack.connected or 0
    expected = connected + sum(wanted - there for there, wanted in short.values())
    values = {"connected": str(connected), "running": str(connected), "expected": str(expected)}
    values["containers"] = " ".join(worker.name for worker in short)
    because = "A Locust process exited. Nothing starts it again while other processes of its container run."
    return (FoundCause("workers-fewer-than-expected", evidence, short, values, "process", because=because),)


def _processes(stack: Stack, worker: ContainerFacts) -> int:
    """Return how many Locust processes a worker container should have."""
    return max((row.processes for row in stack.listed(worker)), default=1)


# ---- logs, resources -------------------------------------------------------------------------------------------------


def logs(stack: Stack) -> Outcome:
    """Check whether the logs can be read, and count errors. Other checks interpret the lines."""
    unread = next((gap for gap in stack.evidence.gaps if gap.part.startswith("log:")), None)
    if unread:
        return cannot_tell(f"{unread.part.removeprefix('log:')}: {unread.reason}")
    lines = [(locust, line) for locust in stack.locusts for line in log_signs.current_log(locust)]
    errors = [(locust, line) for locust, line in lines if re.search(r"/(?:ERROR|CRITICAL)/", line.text)]
    if not errors:
        return Outcome(f"{plural(len(lines), 'line')} since the last start, no error")
    locust, line = errors[-1]
    last = f"the last in {locust.name}: {line.text.strip()[:160]}"
    return Outcome(f"{plural(len(errors), 'error')} in {plural(len(lines), 'line')}, {last}", info=True)


def resources(stack: Stack) -> Outcome:
    """Check the CPU and memory usage of master and workers."""
    measured = [locust for locust in stack.locusts if locust.memory_usage_bytes is not None]
    if not measured:
        return cannot_tell("no CPU and memory figures")
    fullest = max(measured, key=_memory_share)
    busiest = max(measured, key=lambda locust: locust.cpu_percent or 0.0)
    share = 100 * _memory_share(fullest) if fullest.memory_limit_bytes else 0.0
    processor = f"highest CPU {busiest.cpu_percent or 0:.0f} % ({busiest.name})"
    text = f"{processor}, highest memory {share:.0f} % of its limit ({fullest.name})"
    return Outcome(text, info=share >= 90)  # noqa: PLR2004  the monitor's own threshold


def _memory_share(container: ContainerFacts) -> float:
    return (container.memory_working_set_bytes or 0) / (container.memory_limit_bytes or _NO_LIMIT)


RULES = (
    Rule("logs", LAYER, logs, after=without_stack),
    Rule("resources", LAYER, resources, after=without_stack),
    Rule("master-answers", LAYER, master_answers, after=without_master),
    Rule("web-page", LAYER, web_page, after=without_master),
    Rule("versions", LAYER, versions, after=without_stack),
    Rule("workers", LAYER, workers, after=without_stack),
)

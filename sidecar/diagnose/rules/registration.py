"""Master and workers as Locust sees them: an answer, the same version, all registered and heard of. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from sidecar.diagnose.evidence import ContainerFacts, HttpTry, Probe
from sidecar.diagnose.rule import Found, Outcome, Rule, cannot_tell, without_master, without_stack
from sidecar.diagnose.rules import log_signs
from sidecar.diagnose.rules.configuration import grouped
from sidecar.diagnose.rules.mending import BY_HAND, RECREATE, origin
from sidecar.diagnose.rules.network import Knock, knocks
from sidecar.diagnose.stack import HEARTBEAT_SECONDS, MASTER, WORKER, Stack, environment, names, setting
from sidecar.model.finding import Confidence, FindingEvidence
from sidecar.model.incident import Severity

LAYER = "locust"
_STOPPED_STATES = {"T": "stopped (SIGSTOP)", "t": "stopped by a debugger", "D": "waiting for a disk", "Z": "a zombie"}
_SILENT = frozenset({"none", "closed", "other"})
_ANSWERS = frozenset({"ok", "login", "broken-login"})
_BACK_AFTER_STOP = timedelta(seconds=15)
_JUST_MADE = timedelta(seconds=10)
_SOONEST_MISSED = timedelta(seconds=10)  # a missing row before that is of the Locust that ran there until then
_SAME_PARTS = 2


# ---- does the master answer? -----------------------------------------------------------------------------------------


def master_answers(stack: Stack) -> Outcome:
    """Check whether the master does its work: its port greets, its page answers, its process runs."""
    master = stack.running_master
    if master is None:
        return cannot_tell("no master runs")
    tried, probe = knocks(stack), stack.probe_of(master)
    silent = [knock for knock in tried if knock.tried.outcome == "open" and knock.tried.greeting in _SILENT]
    young, state, page = stack.is_young(master), _process_state(stack, master), _own_page(probe)
    deaf = _is_deaf(stack, master) and not young
    mute = page is not None and page.stage != "ok" and page.error.startswith("no answer")
    unheard = mute and not young and not any(stack.is_registered(worker) for worker in stack.running_workers)
    answers = f"page {stack.evidence.master.answer}" if stack.evidence.master else "page not asked"
    text = f"{answers}; {len(tried)} knocks, {len(silent)} silent"
    if silent or state in ("T", "t", "Z") or deaf or unheard:
        seen = [_silent_knock(knock) for knock in silent[:2]]
        if state in _STOPPED_STATES:
            seen.append(_stopped_process(master, state, probe.at if probe else None))
        if deaf:
            seen.append(_open_ports(stack, master))
        if probe and page and mute:
            seen.append(FindingEvidence(f"its page, asked in {master.name}", page.error, "an answer", probe.at))
        container = {"container": master.name}
        return Outcome(
            text, (Found("master-not-answering", tuple(seen), (master.name,), container, items=(container,)),)
        )
    if lack := _lack_of_answer(stack, master):
        return cannot_tell(lack)
    return Outcome(text)


def _own_page(probe: Probe | None) -> HttpTry | None:
    """Return how the master's page answered inside the master's container; None when nobody asked there."""
    return probe.http[0] if probe and probe.http else None


def _is_deaf(stack: Stack, master: ContainerFacts) -> bool:
    """Tell whether nothing listens on the master's port, as far as anybody could look."""
    sockets, port = stack.master_sockets, stack.bind_port(master)
    return sockets is not None and not any(socket.port == port for socket in sockets)


def _lack_of_answer(stack: Stack, master: ContainerFacts) -> str:
    """Return why nobody knows whether a master works, and what to do; "" when it was seen to answer.

    A master that started lately may still load its locustfile: that is no fault, and not well either.
    """
    facts, page = stack.evidence.master, _own_page(stack.probe_of(master))
    lack = ""
    if _is_deaf(stack, master):
        lack = f"does not listen on port {stack.bind_port(master)} yet"
    elif not (
        (facts is not None and facts.answer in _ANSWERS)
        or (page is not None and page.stage == "ok")
        or any(knock.tried.greeting == "zmtp" for knock in knocks(stack))
    ):
        lack = "its page does not answer yet"
    if not lack:
        return ""
    if not stack.is_young(master) or master.started_at is None:
        return f"no answer of {master.name} was seen, neither at its port nor of its page"
    seconds = (stack.evidence.at - master.started_at).total_seconds()
    return f"{master.name} started {max(0.0, seconds):.0f} s ago and {lack}; wait half a minute and diagnose again"


def _silent_knock(knock: Knock) -> FindingEvidence:
    said = f"said {knock.tried.first_bytes}" if knock.tried.first_bytes else "said nothing"
    return FindingEvidence(
        f"from {knock.worker.name}: {knock.tried.address}:{knock.tried.port}",
        f"open, and silent: {said}",
        "ZeroMQ's greeting, which a Locust master sends at once",
        knock.probe.at,
    )


def _stopped_process(container: ContainerFacts, state: str, at: datetime | None) -> FindingEvidence:
    return FindingEvidence(f"Locust's process in {container.name}", _STOPPED_STATES[state], "running or sleeping", at)


def _open_ports(stack: Stack, master: ContainerFacts) -> FindingEvidence:
    ports = sorted({f"{socket.address}:{socket.port}" for socket in stack.master_sockets or ()})
    return FindingEvidence(
        f"{master.name} listens on",
        ", ".join(ports) or "nothing",
        f"port {stack.bind_port(master)}",
        stack.evidence.at,
    )


# ---- the web page ----------------------------------------------------------------------------------------------------


def web_page(stack: Stack) -> Outcome:
    """Whether the master's web page can be used, its login included."""
    facts, master = stack.evidence.master, stack.running_master
    if facts is None or master is None:
        return cannot_tell(stack.gap("master") or "the page was not asked")
    if facts.answer == "broken-login":
        where = origin(stack, [master], "LOCUST_WEB_LOGIN")
        seen = (
            FindingEvidence(facts.url, facts.error, "a page", stack.evidence.at),
            FindingEvidence(
                f"environment of {master.name}",
                f"LOCUST_WEB_LOGIN={environment(master).get('LOCUST_WEB_LOGIN', '(on the command line)')}",
                "unset, or code of yours that sets the login up",
            ),
            FindingEvidence("it comes from", where.text),
        )
        return Outcome(
            facts.error,
            (Found("web-login-misconfigured", seen, (master.name,), {"url": facts.url}, where.fix, where.items),),
        )
    monitor = stack.evidence.monitor
    if facts.answer == "login" and monitor and "login" in monitor.locust_error:
        said = (FindingEvidence("the sidecar", monitor.locust_error, "a login that works", stack.evidence.at),)
        return Outcome(
            "asks for a login",
            (
                Found(
                    "web-login-misconfigured",
                    said,
                    (master.name,),
                    {"url": facts.url},
                    "credentials",
                    severity=Severity.WARN,
                ),
            ),
        )
    page = _own_page(stack.probe_of(master))
    if facts.answer in ("down", "foreign", "slow") and page is not None and page.stage != "ok":
        return cannot_tell(f"{facts.url}: {facts.error}")
    return Outcome(
        f"{facts.url} {facts.answer}" + (f", Locust {facts.version}" if facts.version else ""),
        info=facts.answer in ("slow", "down", "foreign"),
    )


# ---- versions --------------------------------------------------------------------------------------------------------


def versions(stack: Stack) -> Outcome:
    """Whether master and workers run the same Locust; a patch release apart is the same."""
    known = {locust.name: version for locust in stack.locusts if (version := version_of(stack, locust))}
    if not known:
        return Outcome("not known", unknown="no version could be read")
    master = stack.running_master
    of_master = known.get(master.name, "") if master else ""
    odd = [one for one in stack.of(WORKER) if of_master and one.name in known and not _same(known[one.name], of_master)]
    told = _told_versions(stack)
    if not odd and not told:
        return Outcome(", ".join(sorted({f"Locust {version}" for version in known.values()})))
    seen = (
        [FindingEvidence(f"Locust in {master.name}", of_master, "the same as the workers'", stack.evidence.at)]
        if master and of_master
        else []
    )
    seen += [
        FindingEvidence(f"Locust in {names(group)}", known[group[0].name], f"{of_master[:4]}…", stack.evidence.at)
        for group in grouped(odd, lambda one: known[one.name])
    ]
    seen += told
    affected = odd or [one for one in stack.of(WORKER) if any(one.id[:12] in each.seen for each in told)]
    images = {one.image_id for one in affected} | ({master.image_id} if master else set())
    fix = RECREATE if any(stack.wanted(one) and _other_image(stack, one) for one in affected) else BY_HAND
    values = {
        "master": of_master,
        "worker": known.get(affected[0].name, "another") if affected else "another",
        "images": str(len(images)),
    }
    return Outcome(
        "versions differ", (Found("version-mismatch", tuple(seen), tuple(one.name for one in affected), values, fix),)
    )


def _other_image(stack: Stack, container_facts: ContainerFacts) -> bool:
    wanted, master = stack.wanted(container_facts), stack.master
    return wanted is not None and (
        wanted.image != container_facts.image or (master is not None and master.image_id != container_facts.image_id)
    )


def version_of(stack: Stack, container_facts: ContainerFacts) -> str:
    """The Locust that a container runs: as found in it, in its log, or in another container of the same image."""
    for other in (container_facts, *(same for same in stack.locusts if same.image_id == container_facts.image_id)):
        probe = stack.probe_of(other)
        if probe and probe.inside and probe.inside.locust_version:
            return probe.inside.locust_version
    sign = log_signs.last(container_facts.log, "starting")
    return sign.detail if sign else ""


def _same(one: str, other: str) -> bool:
    return one.split(".")[:_SAME_PARTS] == other.split(".")[:_SAME_PARTS]


def _told_versions(stack: Stack) -> list[FindingEvidence]:
    """What the master's log says of workers with another version, if such a worker is still there."""
    master = stack.running_master
    found = []
    for sign in log_signs.signs(log_signs.current_log(master), "version", "old-worker") if master else ():
        worker = next((one for one in stack.of(WORKER) if sign.detail.startswith(one.id[:12])), None)
        is_remote = any(sign.detail.startswith(f"{row.id} ") and row.state != "missing" for row in stack.remote_rows)
        is_here = worker is not None and (worker.started_at is None or sign.at is None or sign.at >= worker.started_at)
        if is_here or is_remote:
            found.append(
                FindingEvidence(f"log of {master.name if master else 'the master'}", sign.text, "no such line", sign.at)
            )
    return found[-2:]


# ---- registered, heard of --------------------------------------------------------------------------------------------


def workers(stack: Stack) -> Outcome:
    """Whether all workers are there, registered and heard of."""
    running, expected = stack.running_workers, stack.expected
    connected = stack.connected
    away = [one for one in running if stack.is_registered(one) is False and not _is_excused(stack, one)]
    text = f"{connected if connected is not None else '?'} connected, {len(running)} of {expected} containers run"
    starting = [one for one in running if stack.is_young(one)]
    orphans = _orphans(stack, away)
    known = {one.name for found in orphans for one in away if one.name in found.affects}
    missing = _missing(stack, [one for one in away if one.name not in known])
    few = _few(stack, running, away)
    coming = len(starting) >= len(away) and len(running) >= expected
    if few and coming and starting and not orphans and not missing:
        return cannot_tell(f"{text}; {len(starting)} started less than 30 s ago")
    found = (*orphans, *missing, *few)
    if not found and (reason := _unsettled(stack)):
        return cannot_tell(f"{text}; {reason}")
    return Outcome(text, found)


def _unsettled(stack: Stack) -> str:
    """Return why nobody knows yet whether all workers are there; "" when the master counts on as many as expected."""
    away = [one for one in stack.running_workers if not stack.is_registered(one) and not stack.is_leaving(one)]
    if away:
        return f"not known to be registered: {names(away)}"
    expected, connected = stack.expected, stack.connected
    short = len(stack.running_workers) < expected or (connected is not None and connected < expected)
    return "the others are on their way" if short else ""


def _is_excused(stack: Stack, container_facts: ContainerFacts) -> bool:
    """Whether a worker is away for a reason: it was asked to end, or it has just stopped a run and will be back.

    After a run Locust's master forgets a worker, and the worker registers anew after the stop time-out.
    """
    if stack.is_leaving(container_facts):
        return True
    master = stack.running_master
    log = log_signs.current_log(master) if master else ()
    own = [sign for sign in log_signs.signs(log, "ready", "stopped") if _is_from(sign, container_facts)]
    if not own or own[-1].name != "stopped" or own[-1].at is None:
        return False
    patience = setting(container_facts, "LOCUST_STOP_TIMEOUT", "--stop-timeout").value
    seconds = float(patience) if patience.replace(".", "", 1).isdigit() else 0.0
    return stack.evidence.at - own[-1].at < timedelta(seconds=seconds) + _BACK_AFTER_STOP


def _orphans(stack: Stack, away: Sequence[ContainerFacts]) -> tuple[Found, ...]:
    """Workers of a master that is no more: the one there now does not know them, and they do not register anew."""
    master = stack.running_master
    if master is None or master.started_at is None:
        return ()
    log = log_signs.current_log(master)
    told = [
        sign
        for sign in log_signs.signs(log, "unknown-worker")
        if sign.at is None or stack.evidence.at - sign.at < timedelta(seconds=30)
    ]
    found = []
    for container_facts in away:
        reported = any(_is_from(sign, container_facts) for sign in told)
        older = container_facts.started_at is not None and container_facts.started_at < master.started_at
        if reported or (older and not stack.listed(container_facts) and _way_is_clear(stack, container_facts)):
            found.append(container_facts)
    if not found:
        return ()
    seen = [
        FindingEvidence(
            f"start of {master.name}", f"{master.started_at:%H:%M:%S}", "before its workers", master.started_at
        ),
        *(
            FindingEvidence(
                f"start of {one.name}",
                f"{one.started_at:%H:%M:%S}" if one.started_at else "?",
                "after the master's",
                one.started_at,
            )
            for one in found[:2]
        ),
    ]
    sign = log_signs.last(log, "unknown-worker")
    seen += [FindingEvidence(f"log of {master.name}", sign.text, "no such line", sign.at)] if sign else []
    values = {"containers": " ".join(one.name for one in found), "who": names(found)}
    return (Found("workers-orphaned", tuple(seen), tuple(one.name for one in found), values),)


def _is_from(sign: log_signs.LogPattern, container_facts: ContainerFacts) -> bool:
    """Whether the master's line is about the Locust that runs in a container now, not about one before it."""
    is_past = sign.at is not None and container_facts.started_at is not None and sign.at < container_facts.started_at
    return not is_past and sign.detail.startswith((f"{container_facts.id[:12]}_", f"{container_facts.hostname}_"))


def _way_is_clear(stack: Stack, worker: ContainerFacts) -> bool:
    """Whether a worker was seen to reach a master's greeting at the place where it looks for one."""
    probe, port = stack.probe_of(worker), stack.master_port(worker)
    host = stack.master_host(worker).value
    found = next((name for name in probe.names if name.name == host), None) if probe else None
    own = stack.addresses(stack.master) if stack.master else frozenset()
    if probe is None or found is None:
        return False
    leads_there = bool(found.addresses) and set(found.addresses) <= own
    return leads_there and any(one.port == port and one.address in own and one.greeting == "zmtp" for one in probe.tcp)


def _missing(stack: Stack, away: Sequence[ContainerFacts]) -> tuple[Found, ...]:
    """Workers that run, whose way to the master is clear, and that the master does not hear."""
    silent = [container_facts for container_facts in away if _is_silent(stack, container_facts)]
    if not silent:
        return ()
    seen = [found for one in silent[:3] for found in _silence(stack, one)]
    values = {"containers": " ".join(one.name for one in silent), "who": names(silent)}
    return (
        Found("heartbeat-missed", tuple(seen), tuple(one.name for one in silent), values, confidence=Confidence.LIKELY),
    )


def _is_silent(stack: Stack, container_facts: ContainerFacts) -> bool:
    is_new = container_facts.started_at is not None and stack.evidence.at - container_facts.started_at < _SOONEST_MISSED
    if not is_new and any(row.state == "missing" for row in stack.listed(container_facts)):
        return True
    state = _process_state(stack, container_facts)
    if state in ("T", "t"):
        return True
    return (
        not stack.is_young(container_facts)
        and bool(_lost(stack, container_facts))
        and _way_is_clear(stack, container_facts)
    )


def _lost(stack: Stack, container_facts: ContainerFacts) -> str:
    """The master's own word that it lost a worker, unless it heard of it again."""
    found = ""
    for master in stack.of(MASTER):
        for sign in log_signs.signs(log_signs.current_log(master), "went-missing", "self-healed", "ready"):
            if sign.detail.startswith(f"{container_facts.id[:12]}_"):
                found = sign.text if sign.name == "went-missing" else ""
    return found


def _process_state(stack: Stack, container_facts: ContainerFacts) -> str:
    probe = stack.probe_of(container_facts)
    return probe.inside.process_state if probe and probe.inside else ""


def _silence(stack: Stack, container_facts: ContainerFacts) -> Iterator[FindingEvidence]:
    rows = [row for row in stack.listed(container_facts) if row.state == "missing"]
    if rows:
        yield FindingEvidence(
            f"the master's list: {container_facts.name}", "missing", "ready or running", stack.evidence.at
        )
    if lost := _lost(stack, container_facts):
        yield FindingEvidence("log of the master", lost, "no such line")
    state = _process_state(stack, container_facts)
    if state in _STOPPED_STATES:
        yield _stopped_process(container_facts, state, stack.evidence.at)
    age = stack.heartbeat_age(container_facts)
    if age is not None and age > HEARTBEAT_SECONDS:
        yield FindingEvidence(
            f"{container_facts.name} last heard the master",
            f"{age:.0f} s ago",
            f"at most {HEARTBEAT_SECONDS:.0f} s ago",
            stack.evidence.at,
        )


def _few(stack: Stack, running: Sequence[ContainerFacts], away: Sequence[ContainerFacts]) -> tuple[Found, ...]:
    expected = stack.expected
    just_made = [
        worker for worker in stack.workers if worker.created_at and stack.evidence.at - worker.created_at < _JUST_MADE
    ]
    coming = sum(one.state == "created" for one in just_made)
    short = len(running) + coming < expected and not (just_made and len(stack.workers) < expected)
    unregistered = [container_facts for container_facts in away if not stack.is_young(container_facts)]
    if not short and not unregistered:
        return ()
    connected = stack.connected
    seen = [FindingEvidence("worker containers that run", str(len(running)), str(expected), stack.evidence.at)]
    if connected is not None:
        seen.append(
            FindingEvidence(
                "workers that the master counts on", str(connected), str(max(expected, len(running))), stack.evidence.at
            )
        )
    if unregistered:
        seen.append(FindingEvidence("run, and are not registered", names(unregistered), "registered"))
    values = {
        "running": str(len(running)),
        "expected": str(expected),
        "connected": "?" if connected is None else str(connected),
    }
    return (
        Found(
            "workers-fewer-than-expected",
            tuple(seen),
            tuple(one.name for one in unregistered) or ("the workers",),
            values,
        ),
    )


# ---- logs, resources -------------------------------------------------------------------------------------------------


def logs(stack: Stack) -> Outcome:
    """Whether the logs can be read, and what they complain of; what a line means is told by other checks."""
    unread = [gap for gap in stack.evidence.gaps if gap.part.startswith("log:")]
    if unread:
        return cannot_tell(f"{unread[0].part.removeprefix('log:')}: {unread[0].reason}")
    lines = [(locust, line) for locust in stack.locusts for line in log_signs.current_log(locust)]
    bad = [(one, line) for one, line in lines if re.search(r"/(?:ERROR|CRITICAL)/", line.text)]
    if not bad:
        return Outcome(f"{len(lines)} lines since the last start, none of them an error")
    one, line = bad[-1]
    return Outcome(
        f"{len(bad)} errors in {len(lines)} lines, the last of {one.name}: {line.text.strip()[:160]}", info=True
    )


def resources(stack: Stack) -> Outcome:
    """What master and workers use."""
    measured = [locust for locust in stack.locusts if locust.memory_usage_bytes is not None]
    if not measured:
        return cannot_tell("no figures")
    fullest = max(measured, key=lambda one: (one.memory_working_set_bytes or 0) / (one.memory_limit_bytes or 1 << 62))
    busiest = max(measured, key=lambda one: one.cpu_percent or 0.0)
    share = (
        100 * (fullest.memory_working_set_bytes or 0) / fullest.memory_limit_bytes
        if fullest.memory_limit_bytes
        else 0.0
    )
    processor = f"most CPU {busiest.cpu_percent or 0:.0f} % ({busiest.name})"
    text = f"{processor}, fullest memory {share:.0f} % of its limit ({fullest.name})"
    return Outcome(text, info=share >= 90)  # noqa: PLR2004  the sidecar's own threshold


RULES = (
    Rule("logs", LAYER, logs, after=without_stack),
    Rule("resources", LAYER, resources, after=without_stack),
    Rule("master-answers", LAYER, master_answers, after=without_master),
    Rule("web-page", LAYER, web_page, after=without_master),
    Rule("versions", LAYER, versions, after=without_stack),
    Rule("workers", LAYER, workers, after=without_stack),
)

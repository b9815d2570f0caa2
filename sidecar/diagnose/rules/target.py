"""Checks of the target from a worker's network: name, connection, TLS, answer, proxy. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from sidecar.diagnose.evidence import ContainerFacts, ErrorRow, HttpTry, Network, Probe
from sidecar.diagnose.rule import FoundCause, Origin, Outcome, Rule, cannot_tell, without_stack
from sidecar.diagnose.rules.network import is_cut_off
from sidecar.diagnose.stack import RECENT, Stack, is_loopback
from sidecar.model.finding import Confidence, FindingEvidence
from sidecar.model.incident import Severity

LAYER = "target"
_SERVER_ERRORS = range(500, 600)
_MOSTLY = 0.5
_STATUS_IN_ERROR = re.compile(r"\b([45]\d\d) (?:Client|Server) Error|code=([45]\d\d)")
_REFUSED = frozenset({"refused", "reset"})


def target(stack: Stack) -> Outcome:
    """Check whether a worker can reach the target."""
    tried = [(worker, probe, attempt) for worker, probe in stack.probed_workers for attempt in probe.http]
    direct = [(worker, probe, attempt) for worker, probe, attempt in tried if not attempt.proxy]
    if not direct:
        gaps = [gap.reason for gap in stack.evidence.gaps if gap.part.startswith("inside:")]
        if not stack.workers:
            return cannot_tell("there is no worker from which to try the target")
        if gaps and not any(stack.probed_workers):
            return cannot_tell(gaps[0])
        return Outcome("no target URL is known: the user classes decide", info=True)
    proxied = {attempt.url: attempt for _, _, attempt in reversed(tried) if attempt.proxy}
    causes: list[FoundCause] = []
    for worker, probe, attempt in direct:
        causes += _judge(stack, worker, probe, attempt, proxied.get(attempt.url))
    causes = causes or [*_failing_requests(stack)]
    text = "; ".join(f"{_bare(attempt.url)}: {_said(attempt)}" for _, _, attempt in direct)
    return Outcome(text, tuple(causes))


def _bare(url: str) -> str:
    """Return a URL without user and password."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    return url.replace(f"{parts.username}:{parts.password}@", "") if parts.password else url


def _said(attempt: HttpTry) -> str:
    if attempt.status is not None:
        return f"status {attempt.status} in {attempt.seconds * 1000:.0f} ms"
    return attempt.error or "no answer"


def _judge(
    stack: Stack, worker: ContainerFacts, probe: Probe, attempt: HttpTry, proxied: HttpTry | None
) -> Iterator[FoundCause]:
    """Yield the causes that one request to the target shows. `proxied` is the same request through the proxy."""
    try:
        host = urlsplit(attempt.url).hostname or ""
    except ValueError:
        return
    if "://" not in attempt.url or not host:
        return  # the check of the configuration reports a URL without scheme
    if is_loopback(host):
        yield _localhost(stack, worker, attempt, host)
        return
    slug = _slug(attempt)
    if slug and not _is_explained(stack, worker, attempt):
        yield _unreached(stack, worker, probe, attempt, host, slug, proxied)


def _unreached(
    stack: Stack, worker: ContainerFacts, probe: Probe, attempt: HttpTry, host: str, slug: str, proxied: HttpTry | None
) -> FoundCause:
    """Return the cause of a failed request: an unused proxy, an overlapping Docker network, or the target."""
    url, addresses = _bare(attempt.url), ", ".join(attempt.addresses)
    evidence = [
        FindingEvidence(f"GET {url} from {worker.name}", _said(attempt), "a status below 500", probe.at),
        *_details(attempt),
        *_failures_seen(stack),
    ]
    severity = Severity.WARN if _goes_well(stack) else Severity.ERROR
    proxy, status = _bare(proxied.proxy) if proxied else "", str(attempt.status or "")
    values = {"url": url, "host": host, "error": _said(attempt), "address": addresses, "status": status, "proxy": proxy}
    if proxied is not None and slug != "target-http-error":
        evidence.append(FindingEvidence(f"GET {url} through the proxy {proxy}", _said(proxied), "an answer", probe.at))
        confidence = Confidence.CERTAIN if proxied.stage == "ok" else Confidence.LIKELY
        return FoundCause("proxy-not-applied", evidence, (url, proxy), values, severity=severity, confidence=confidence)
    if overlap := _overlap(stack, worker, attempt):
        network, subnet = overlap
        covers = f"{subnet}, which covers {addresses}; no container has that address"
        wanted = "a subnet without the target's address"
        evidence.append(FindingEvidence(f"subnet of the network {network.name}", covers, wanted))
        values |= {"network": network.name, "subnet": subnet}
        return FoundCause("subnet-overlaps-target", evidence, (url, network.name), values, severity=severity)
    return FoundCause(slug, evidence, (url,), values, _fix(stack, slug, host, attempt), severity=severity)


def _is_explained(stack: Stack, worker: ContainerFacts, attempt: HttpTry) -> bool:
    """Return whether another check explains it: the worker reaches nothing, or the stack's own target is starting."""
    is_lost = attempt.stage in ("name", "connect") and attempt.outcome not in _REFUSED
    if is_lost and is_cut_off(stack, worker):
        return True
    owner = next((owner for address in attempt.addresses if (owner := stack.owner_of(address))), None)
    return owner is not None and not owner.neighbour and attempt.outcome == "refused" and stack.is_young(owner)


def _slug(attempt: HttpTry) -> str:
    is_silent = attempt.error.startswith("no answer")
    match attempt.stage:
        case "name":
            return "target-unresolvable"
        case "tls":
            return "target-timeout" if is_silent else "target-tls"
        case "connect":
            return "target-refused" if attempt.outcome in _REFUSED else "target-timeout"
        case "http":
            return "target-timeout" if is_silent else "target-http-error"
    return "target-http-error" if attempt.status in _SERVER_ERRORS or _wants_tls(attempt) else ""


def _wants_tls(attempt: HttpTry) -> bool:
    return attempt.status == 400 and attempt.url.startswith("http://") and "HTTPS" in attempt.body  # noqa: PLR2004  Bad Request: nginx and others say so


def _details(attempt: HttpTry) -> Iterator[FindingEvidence]:
    if attempt.addresses:
        yield FindingEvidence("address of the target", ", ".join(attempt.addresses))
    if attempt.outcome and attempt.outcome != "open":
        yield FindingEvidence("TCP connection", f"{attempt.outcome}: {attempt.error}", "open")
    if attempt.body and attempt.status in _SERVER_ERRORS:
        yield FindingEvidence("start of the answer", " ".join(attempt.body.split())[:120])


def _localhost(stack: Stack, worker: ContainerFacts, attempt: HttpTry, host: str) -> FoundCause:
    url, better = _bare(attempt.url), attempt.url.replace(host, "host.docker.internal", 1)
    evidence = (
        stack.observed("target URL", url, _bare(better)),
        FindingEvidence(
            f"machine that {host} means inside {worker.name}",
            "the container itself",
            "this machine, or another container",
        ),
        FindingEvidence(f"GET {url} from {worker.name}", _said(attempt)),
    )
    of_class = any(pair.value == attempt.url for pair in stack.evidence.config.class_hosts)
    values, fix = {"url": url, "better": better}, "class" if of_class else "setting"
    return FoundCause("target-is-localhost", evidence, (url,), values, fix, up={"HOST": better})


def _overlap(stack: Stack, worker: ContainerFacts, attempt: HttpTry) -> tuple[Network, str] | None:
    """Return a network of the stack whose subnet contains the target's address, although no container has it."""
    if attempt.stage != "connect":
        return None
    joined = stack.evidence.config.target_network
    for address in attempt.addresses:
        if stack.owner_of(address):
            return None
        for network in stack.networks_over(address, worker):
            if network.name != joined and address not in network.gateways:
                return network, network.subnets[0]
    return None


def _fix(stack: Stack, slug: str, host: str, attempt: HttpTry) -> Origin:
    """Return the fix. The kit can start its own mock target; its owner must fix any other target."""
    mock = next((mock for mock in stack.of("mock-target") if host in (mock.service, mock.name)), None)
    if (host == "mock-target" or mock) and slug in ("target-unresolvable", "target-refused", "target-timeout"):
        fix = {"paused": "unpause", "running": "restart"}.get(mock.state if mock else "", "mock")
        return Origin(fix, ({"container": mock.name},) if mock and fix != "mock" else ())
    if slug == "target-tls" and attempt.error.startswith("certificate:"):
        return Origin("certificate")
    return Origin()


def _goes_well(stack: Stack) -> bool:
    """Return whether most requests of a current run succeed, so our own failed request is not the whole truth."""
    master = stack.evidence.master
    if master is None or master.state not in ("running", "spawning"):
        return False
    return master.requests > 0 and master.failures < _MOSTLY * master.requests


def _failures_seen(stack: Stack) -> Iterator[FindingEvidence]:
    master = stack.evidence.master
    if master and master.requests and master.failures:
        worst = max(master.errors, key=lambda row: row.occurrences, default=None)
        most = f", most of them with {worst.error[:100]}" if worst else ""
        yield FindingEvidence("requests of the run", f"{master.failures} of {master.requests} failed{most}")


def _failing_requests(stack: Stack) -> Iterator[FoundCause]:
    """Yield the target's error if most requests of a run fail, although the front page answers."""
    master = stack.evidence.master
    if master is None or not master.requests or master.failures < _MOSTLY * master.requests:
        return
    rows = [(row, code) for row in master.errors if (code := _code(row)) and _is_recent(stack, row)]
    if not rows or sum(row.occurrences for row, _ in rows) < _MOSTLY * master.failures:
        return
    worst, code = max(rows, key=lambda pair: pair[0].occurrences)
    times = f"{worst.occurrences} × {worst.error[:120]}"
    evidence = (
        stack.observed("requests of the run", f"{master.failures} of {master.requests} failed", "fewer failures"),
        FindingEvidence(f"{worst.method} {worst.name}", times, "a status below 400", worst.last_seen),
    )
    values = {"url": worst.name, "host": master.host, "error": f"status {code}", "status": code, "address": ""}
    yield FoundCause("target-http-error", evidence, (worst.name,), values, confidence=Confidence.LIKELY)


def _code(row: ErrorRow) -> str:
    match = _STATUS_IN_ERROR.search(row.error)
    return next((part for part in match.groups() if part), "") if match else ""


def _is_recent(stack: Stack, row: ErrorRow) -> bool:
    return row.last_seen is None or stack.evidence.at - row.last_seen < RECENT


RULES = (Rule("target", LAYER, target, after=without_stack),)

"""The target, tried from a worker's place: name, connection, TLS, answer, proxy. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import timedelta
from urllib.parse import urlsplit

from sidecar.diagnose.evidence import ContainerFacts, ErrorRow, HttpTry, Network, Probe
from sidecar.diagnose.rule import Found, Outcome, Rule, without_stack
from sidecar.diagnose.rules.network import is_cut_off
from sidecar.diagnose.stack import Stack, is_loopback
from sidecar.model.finding import Confidence, FindingEvidence
from sidecar.model.incident import Severity

LAYER = "target"
_SERVER_ERRORS = range(500, 600)
_RECENT = timedelta(minutes=15)
_MOSTLY = 0.5
_STATUS_IN_ERROR = re.compile(r"\b([45]\d\d) (?:Client|Server) Error|code=([45]\d\d)")


def target(stack: Stack) -> Outcome:
    """Whether the target can be reached from where the load comes from."""
    tried = [(worker, probe, one) for worker, probe in stack.probed_workers for one in probe.http]
    direct = [each for each in tried if not each[2].proxy]
    if not direct:
        gaps = [gap.reason for gap in stack.evidence.gaps if gap.part.startswith("inside:")]
        if not stack.workers:
            return Outcome("there is no worker to try it from", unknown="there is no worker to try it from")
        if gaps and not any(stack.probed_workers):
            return Outcome(gaps[0], unknown=gaps[0])
        return Outcome("no target is known: the classes' own clients decide", info=True)
    found = [one for worker, probe, try_ in direct for one in _judge(stack, worker, probe, try_, tried)]
    found += _failing_requests(stack, bool(found))
    text = "; ".join(f"{_bare(one.url)}: {_said(one)}" for _, _, one in direct)
    return Outcome(text, tuple(found))


def _bare(url: str) -> str:
    """A URL without user and password."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    return url.replace(f"{parts.username}:{parts.password}@", "") if parts.password else url


def _said(one: HttpTry) -> str:
    if one.status is not None:
        return f"status {one.status} in {one.seconds * 1000:.0f} ms"
    return f"{one.error or 'no answer'}"


def _judge(
    stack: Stack,
    worker: ContainerFacts,
    probe: Probe,
    one: HttpTry,
    tried: Sequence[tuple[ContainerFacts, Probe, HttpTry]],
) -> Iterator[Found]:
    try:
        host = urlsplit(one.url).hostname or ""
    except ValueError:
        return
    if "://" not in one.url or not host:
        return  # a URL without scheme is told by the check of the configuration
    if is_loopback(host):
        yield _localhost(stack, worker, one, host)
        return
    slug = _slug(one)
    if not slug or _is_no_wonder(stack, worker, one):
        return
    proxied = next((other for _, _, other in tried if other.proxy and other.url == one.url), None)
    seen = [
        FindingEvidence(f"from {worker.name}: GET {_bare(one.url)}", _said(one), "an answer below 500", probe.at),
        *_details(one),
    ]
    seen += _failures_seen(stack)
    severity = Severity.WARN if _goes_well(stack) else Severity.ERROR
    values = {
        "url": _bare(one.url),
        "host": host,
        "error": _said(one),
        "proxy": "",
        "address": ", ".join(one.addresses),
        "status": str(one.status or ""),
    }
    if proxied is not None and slug != "target-http-error":
        yield _unproxied(one, proxied, seen, values, probe, severity)
        return
    over = _overlap(stack, worker, one)
    if over is not None:
        network, subnet = over
        seen.append(
            FindingEvidence(
                f"network {network.name}",
                f"{subnet} covers {', '.join(one.addresses)}, and no container has it",
                "a subnet that leaves the target's addresses out",
            )
        )
        yield Found(
            "subnet-overlaps-target",
            tuple(seen),
            (_bare(one.url), network.name),
            {**values, "network": network.name, "subnet": subnet},
            severity=severity,
        )
        return
    fix, items = _fix(stack, slug, host, one)
    yield Found(slug, tuple(seen), (_bare(one.url),), values, fix, items, severity=severity)


def _is_no_wonder(stack: Stack, worker: ContainerFacts, one: HttpTry) -> bool:
    """Whether another check tells why: nothing gets out of the worker, or a target of the stack's own only starts."""
    if one.stage in ("name", "connect") and one.outcome not in ("refused", "reset") and is_cut_off(stack, worker):
        return True
    owner = next((owner for address in one.addresses if (owner := stack.owner_of(address))), None)
    return owner is not None and not owner.neighbour and one.outcome == "refused" and stack.is_young(owner)


def _slug(one: HttpTry) -> str:
    if one.stage == "name":
        return "target-unresolvable"
    if one.stage == "tls":
        return "target-timeout" if one.error.startswith("no answer") else "target-tls"
    if one.stage == "connect":
        return "target-refused" if one.outcome in ("refused", "reset") else "target-timeout"
    if one.stage == "http":
        return "target-timeout" if one.error.startswith("no answer") else "target-http-error"
    return "target-http-error" if one.status in _SERVER_ERRORS or _wants_tls(one) else ""


def _wants_tls(one: HttpTry) -> bool:
    return one.status == 400 and one.url.startswith("http://") and "HTTPS" in one.body  # noqa: PLR2004  Bad Request: nginx and others say so


def _details(one: HttpTry) -> Iterator[FindingEvidence]:
    if one.addresses:
        yield FindingEvidence("its address", ", ".join(one.addresses))
    if one.outcome and one.outcome != "open":
        yield FindingEvidence("TCP", f"{one.outcome}: {one.error}", "open")
    if one.body and one.status in _SERVER_ERRORS:
        yield FindingEvidence("the answer begins", " ".join(one.body.split())[:120])


def _localhost(stack: Stack, worker: ContainerFacts, one: HttpTry, host: str) -> Found:
    better = one.url.replace(host, "host.docker.internal", 1)
    seen = (
        FindingEvidence("target", _bare(one.url), _bare(better), stack.evidence.at),
        FindingEvidence(f"{host} inside {worker.name}", "the container itself", "the machine, or another container"),
        FindingEvidence(f"from {worker.name}: GET {_bare(one.url)}", _said(one)),
    )
    where = "knob" if _is_given(stack, one.url) else "class"
    return Found(
        "target-is-localhost",
        seen,
        (_bare(one.url),),
        {"url": _bare(one.url), "better": better},
        where,
        up={"HOST": better},
    )


def _is_given(stack: Stack, url: str) -> bool:
    return not any(pair.value == url for pair in stack.evidence.config.class_hosts)


def _unproxied(
    one: HttpTry,
    proxied: HttpTry,
    seen: list[FindingEvidence],
    values: dict[str, str],
    probe: Probe,
    severity: Severity,
) -> Found:
    works = proxied.stage == "ok"
    seen = [
        *seen,
        FindingEvidence(f"the same through the proxy {_bare(proxied.proxy)}", _said(proxied), "an answer", probe.at),
    ]
    confidence = Confidence.CERTAIN if works else Confidence.LIKELY
    return Found(
        "proxy-not-applied",
        tuple(seen),
        (_bare(one.url), _bare(proxied.proxy)),
        {**values, "proxy": _bare(proxied.proxy)},
        severity=severity,
        confidence=confidence,
    )


def _overlap(stack: Stack, worker: ContainerFacts, one: HttpTry) -> tuple[Network, str] | None:
    """A network of the stack's own whose subnet holds the target's address, although no container there has it."""
    if one.stage != "connect":
        return None
    joined = stack.evidence.config.target_network
    for address in one.addresses:
        if stack.owner_of(address):
            return None
        for network in stack.networks_over(address, worker):
            if network.name != joined and address not in network.gateways:
                return network, network.subnets[0]
    return None


def _fix(stack: Stack, slug: str, host: str, one: HttpTry) -> tuple[str, tuple[dict[str, str], ...]]:
    """The kit's own mock target is the kit's to start; another is a person's."""
    mock = [each for each in stack.of("mock-target") if host in (each.service, each.name)]
    is_mock = host == "mock-target" or bool(mock)
    if is_mock and slug in ("target-unresolvable", "target-refused", "target-timeout"):
        if mock and mock[0].state == "paused":
            return "unpause", ({"container": mock[0].name},)
        return ("restart", ({"container": mock[0].name},)) if mock and mock[0].state == "running" else ("mock", ())
    if slug == "target-tls" and one.error.startswith("certificate:"):
        return "certificate", ()
    return "default", ()


def _goes_well(stack: Stack) -> bool:
    """Whether most requests of the run going on succeed, so that what our own try met is not the whole truth."""
    master = stack.evidence.master
    running = master is not None and master.state in ("running", "spawning") and master.requests > 0
    return running and master is not None and master.failures < _MOSTLY * master.requests


def _failures_seen(stack: Stack) -> Iterator[FindingEvidence]:
    master = stack.evidence.master
    if master and master.requests and master.failures:
        rows = sorted(master.errors, key=lambda row: -row.occurrences)[:1]
        yield FindingEvidence(
            "the run's requests",
            f"{master.failures} of {master.requests} failed" + (f", most with {rows[0].error[:100]}" if rows else ""),
        )


def _failing_requests(stack: Stack, already: bool) -> Iterator[Found]:  # noqa: FBT001  one fact
    """Answers of the target that fail most requests of a run, although its front page answers."""
    master = stack.evidence.master
    if already or master is None or not master.requests or master.failures < _MOSTLY * master.requests:
        return
    rows = [(row, code) for row in master.errors if (code := _code(row)) and _is_recent(stack, row)]
    count = sum(row.occurrences for row, _ in rows)
    if not rows or count < _MOSTLY * master.failures:
        return
    worst, code = max(rows, key=lambda one: one[0].occurrences)
    seen = (
        FindingEvidence(
            "the run's requests", f"{master.failures} of {master.requests} failed", "fewer", stack.evidence.at
        ),
        FindingEvidence(
            f"{worst.method} {worst.name}",
            f"{worst.occurrences} times {worst.error[:120]}",
            "an answer below 400",
            worst.last_seen,
        ),
    )
    values = {"url": worst.name, "host": master.host, "error": f"status {code}", "status": code, "address": ""}
    yield Found("target-http-error", seen, (worst.name,), values, confidence=Confidence.LIKELY)


def _code(row: ErrorRow) -> str:
    match = _STATUS_IN_ERROR.search(row.error)
    return next((part for part in match.groups() if part), "") if match else ""


def _is_recent(stack: Stack, row: ErrorRow) -> bool:
    return row.last_seen is None or stack.evidence.at - row.last_seen < _RECENT


RULES = (Rule("target", LAYER, target, after=without_stack),)

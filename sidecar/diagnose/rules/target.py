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


def _said(http_try: HttpTry) -> str:
    if http_try.status is not None:
        return f"status {http_try.status} in {http_try.seconds * 1000:.0f} ms"
    return f"{http_try.error or 'no answer'}"


def _judge(
    stack: Stack,
    worker: ContainerFacts,
    probe: Probe,
    http_try: HttpTry,
    tried: Sequence[tuple[ContainerFacts, Probe, HttpTry]],
) -> Iterator[Found]:
    try:
        host = urlsplit(http_try.url).hostname or ""
    except ValueError:
        return
    if "://" not in http_try.url or not host:
        return  # a URL without scheme is told by the check of the configuration
    if is_loopback(host):
        yield _localhost(stack, worker, http_try, host)
        return
    slug = _slug(http_try)
    if not slug or _is_no_wonder(stack, worker, http_try):
        return
    proxied = next((other for _, _, other in tried if other.proxy and other.url == http_try.url), None)
    seen = [
        FindingEvidence(
            f"from {worker.name}: GET {_bare(http_try.url)}", _said(http_try), "an answer below 500", probe.at
        ),
        *_details(http_try),
    ]
    seen += _failures_seen(stack)
    severity = Severity.WARN if _goes_well(stack) else Severity.ERROR
    values = {
        "url": _bare(http_try.url),
        "host": host,
        "error": _said(http_try),
        "proxy": "",
        "address": ", ".join(http_try.addresses),
        "status": str(http_try.status or ""),
    }
    if proxied is not None and slug != "target-http-error":
        yield _unproxied(http_try, proxied, seen, values, probe, severity)
        return
    over = _overlap(stack, worker, http_try)
    if over is not None:
        network, subnet = over
        seen.append(
            FindingEvidence(
                f"network {network.name}",
                f"{subnet} covers {', '.join(http_try.addresses)}, and no container has it",
                "a subnet that leaves the target's addresses out",
            )
        )
        yield Found(
            "subnet-overlaps-target",
            tuple(seen),
            (_bare(http_try.url), network.name),
            {**values, "network": network.name, "subnet": subnet},
            severity=severity,
        )
        return
    fix, items = _fix(stack, slug, host, http_try)
    yield Found(slug, tuple(seen), (_bare(http_try.url),), values, fix, items, severity=severity)


def _is_no_wonder(stack: Stack, worker: ContainerFacts, http_try: HttpTry) -> bool:
    """Whether another check tells why: nothing gets out of the worker, or a target of the stack's own only starts."""
    if (
        http_try.stage in ("name", "connect")
        and http_try.outcome not in ("refused", "reset")
        and is_cut_off(stack, worker)
    ):
        return True
    owner = next((owner for address in http_try.addresses if (owner := stack.owner_of(address))), None)
    return owner is not None and not owner.neighbour and http_try.outcome == "refused" and stack.is_young(owner)


def _slug(http_try: HttpTry) -> str:
    if http_try.stage == "name":
        return "target-unresolvable"
    if http_try.stage == "tls":
        return "target-timeout" if http_try.error.startswith("no answer") else "target-tls"
    if http_try.stage == "connect":
        return "target-refused" if http_try.outcome in ("refused", "reset") else "target-timeout"
    if http_try.stage == "http":
        return "target-timeout" if http_try.error.startswith("no answer") else "target-http-error"
    return "target-http-error" if http_try.status in _SERVER_ERRORS or _wants_tls(http_try) else ""


def _wants_tls(http_try: HttpTry) -> bool:
    return http_try.status == 400 and http_try.url.startswith("http://") and "HTTPS" in http_try.body  # noqa: PLR2004  Bad Request: nginx and others say so


def _details(http_try: HttpTry) -> Iterator[FindingEvidence]:
    if http_try.addresses:
        yield FindingEvidence("its address", ", ".join(http_try.addresses))
    if http_try.outcome and http_try.outcome != "open":
        yield FindingEvidence("TCP", f"{http_try.outcome}: {http_try.error}", "open")
    if http_try.body and http_try.status in _SERVER_ERRORS:
        yield FindingEvidence("the answer begins", " ".join(http_try.body.split())[:120])


def _localhost(stack: Stack, worker: ContainerFacts, http_try: HttpTry, host: str) -> Found:
    better = http_try.url.replace(host, "host.docker.internal", 1)
    seen = (
        FindingEvidence("target", _bare(http_try.url), _bare(better), stack.evidence.at),
        FindingEvidence(f"{host} inside {worker.name}", "the container itself", "the machine, or another container"),
        FindingEvidence(f"from {worker.name}: GET {_bare(http_try.url)}", _said(http_try)),
    )
    where = "setting" if _is_given(stack, http_try.url) else "class"
    return Found(
        "target-is-localhost",
        seen,
        (_bare(http_try.url),),
        {"url": _bare(http_try.url), "better": better},
        where,
        up={"HOST": better},
    )


def _is_given(stack: Stack, url: str) -> bool:
    return not any(pair.value == url for pair in stack.evidence.config.class_hosts)


def _unproxied(
    http_try: HttpTry,
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
        (_bare(http_try.url), _bare(proxied.proxy)),
        {**values, "proxy": _bare(proxied.proxy)},
        severity=severity,
        confidence=confidence,
    )


def _overlap(stack: Stack, worker: ContainerFacts, http_try: HttpTry) -> tuple[Network, str] | None:
    """A network of the stack's own whose subnet holds the target's address, although no container there has it."""
    if http_try.stage != "connect":
        return None
    joined = stack.evidence.config.target_network
    for address in http_try.addresses:
        if stack.owner_of(address):
            return None
        for network in stack.networks_over(address, worker):
            if network.name != joined and address not in network.gateways:
                return network, network.subnets[0]
    return None


def _fix(stack: Stack, slug: str, host: str, http_try: HttpTry) -> tuple[str, tuple[dict[str, str], ...]]:
    """The kit's own mock target is the kit's to start; another is a person's."""
    mock = [each for each in stack.of("mock-target") if host in (each.service, each.name)]
    is_mock = host == "mock-target" or bool(mock)
    if is_mock and slug in ("target-unresolvable", "target-refused", "target-timeout"):
        if mock and mock[0].state == "paused":
            return "unpause", ({"container": mock[0].name},)
        return ("restart", ({"container": mock[0].name},)) if mock and mock[0].state == "running" else ("mock", ())
    if slug == "target-tls" and http_try.error.startswith("certificate:"):
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
    worst, code = max(rows, key=lambda row: row[0].occurrences)
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

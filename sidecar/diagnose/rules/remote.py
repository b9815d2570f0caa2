"""Checks of workers on other machines: the gate here, or their master on its machine. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from sidecar.common.text import some
from sidecar.common.units import plural
from sidecar.diagnose.evidence import ContainerFacts, Probe
from sidecar.diagnose.rule import FoundCause, Outcome, Rule, cannot_tell, without_engine
from sidecar.diagnose.stack import GATE, RECENT, Stack
from sidecar.model.finding import FindingEvidence
from sidecar.model.incident import Severity
from sidecar.settings.addresses import admits_everyone

LAYER = "network"
_REFUSED = re.compile(r"(?P<why>refused|crowded) (?P<address>\S+)")
_MOST_ADDRESSES = 4
_GATEWAY = (
    "a gateway address of Docker. Docker forwards connections with its own process, so the gate does not see the real "
    "sender. This address in the list lets everybody in"
)
_MET = {
    "refused": "nothing listens there",
    "timeout": "no answer",
    "unreachable": "no route to it",
    "closed": "it closes connections at once: REMOTE_ALLOW there lacks this machine, or its master is not running",
    "none": "the connection is open, but no Locust master answers",
    "http": "a web server answers there",
    "other": "another program answers there",
}


def remote_workers(stack: Stack) -> Outcome:
    """Check whether workers of other machines can connect here, or workers here reach their master elsewhere."""
    if stack.is_joined:
        return _joined(stack)
    address = stack.evidence.config.remote_workers
    if not address or not stack.locusts:
        return Outcome("port 5557 is not open to other machines")
    shut = _shut(stack, address)
    if shut is not None:
        return Outcome(shut.evidence[0].seen, (shut,))
    refused, crowded = _refused(stack, "refused"), _refused(stack, "crowded")
    is_open = admits_everyone(stack.evidence.config.remote_allow)
    causes = [
        *([_not_in_list(stack, refused)] if refused else []),
        *([_crowded(stack, crowded)] if crowded else []),
        *_open(stack, address),
    ]
    who = "anyone who reaches it may join" if is_open else "addresses in REMOTE_ALLOW may join"
    count = sum(row.state != "missing" for row in stack.remote_rows)
    text = f"{plural(count, 'remote worker')} registered; port 5557 is open on {address}: {who}"
    return Outcome(text, tuple(causes), info=is_open)


# ---- on the master's machine -----------------------------------------------------------------------------------------


def _gate(stack: Stack) -> ContainerFacts | None:
    return next(iter(stack.of(GATE)), None)


def _shut(stack: Stack, address: str) -> FoundCause | None:
    """Return the cause if the address is not this machine's or nothing listens there; None if the port is open."""
    values = {"address": address}
    if not stack.evidence.config.remote_address_is_own:
        own = ", ".join(stack.evidence.host.addresses[:_MOST_ADDRESSES]) or "an address of this machine"
        evidence = FindingEvidence("REMOTE_WORKERS", f"{address}, but no interface of this machine has it", own)
        return FoundCause("remote-workers-shut", (evidence,), (address,), values, "address")
    gate = _gate(stack)
    if gate is not None and gate.state == "running":
        return None
    evidence = stack.observed("container of the gate", gate.state if gate else "does not exist", "running")
    return FoundCause("remote-workers-shut", (evidence,), (address,), values)


def _refused(stack: Stack, why: str) -> tuple[str, ...]:
    """Return the addresses that the gate refused lately for this reason, newest first."""
    gate = _gate(stack)
    addresses: list[str] = []
    for line in reversed(gate.log if gate else ()):
        match = _REFUSED.fullmatch(line.text.strip())
        if match and match["why"] == why and (line.at is None or stack.evidence.at - line.at <= RECENT):
            addresses.append(match["address"])
    return tuple(dict.fromkeys(addresses))


def _not_in_list(stack: Stack, refused: tuple[str, ...]) -> FoundCause:
    gate, allow = _gate(stack), stack.evidence.config.remote_allow
    shown, addresses = refused[:_MOST_ADDRESSES], some(refused, _MOST_ADDRESSES)
    own = {gateway for network in stack.evidence.networks for gateway in network.gateways}
    evidence = (
        stack.observed(f"log of {gate.name if gate else 'the gate'}", f"refused {addresses}", ", ".join(allow)),
        *(FindingEvidence(f"owner of {address}", _GATEWAY) for address in shown if address in own),
    )
    up, values = {"REMOTE_ALLOW": ",".join([*allow, *shown])}, {"addresses": addresses, "why": "not in REMOTE_ALLOW"}
    return FoundCause("remote-worker-refused", evidence, shown, values, up=up, severity=Severity.WARN)


def _crowded(stack: Stack, refused: tuple[str, ...]) -> FoundCause:
    most, gate = stack.evidence.config.remote_workers_per_address, _gate(stack)
    shown, addresses = refused[:_MOST_ADDRESSES], some(refused, _MOST_ADDRESSES)
    seen = f"refused connections of {addresses} beyond {most} at the same time"
    evidence = (stack.observed(f"log of {gate.name if gate else 'the gate'}", seen, "one connection for each worker"),)
    up, values = {"REMOTE_WORKERS_PER_ADDRESS": f"{2 * most}"}, {"addresses": addresses, "why": "too many connections"}
    return FoundCause("remote-worker-refused", evidence, shown, values, "crowded", up=up, severity=Severity.WARN)


def _open(stack: Stack, address: str) -> Iterator[FoundCause]:
    """Yield the cause if the port is open to everybody on a public address."""
    parsed, allow = ipaddress.ip_address(address), stack.evidence.config.remote_allow
    if not admits_everyone(allow) or not (parsed.is_unspecified or parsed.is_global):
        return
    evidence = (
        FindingEvidence("REMOTE_WORKERS", address, "an address in a private network, or a list in REMOTE_ALLOW"),
        FindingEvidence(
            "REMOTE_ALLOW", f"{', '.join(allow) or 'empty'}, so anyone may join", "the addresses of the other machines"
        ),
    )
    yield FoundCause("remote-port-open", evidence, (address,), {"address": address}, severity=Severity.WARN)


# ---- on the other machine --------------------------------------------------------------------------------------------


def _joined(stack: Stack) -> Outcome:
    """Check whether the master on another machine answers the workers here."""
    place = stack.evidence.config.master
    tries = [(worker, probe, met) for worker, probe in stack.probed_workers if (met := _met(stack, worker, probe))]
    if not tries:
        return cannot_tell(f"the master at {place} could not be tried from a worker")
    failed = [(worker, probe, met) for worker, probe, met in tries if met != "ok"]
    if not failed:
        hearing = sum(bool(stack.is_registered(worker)) for worker in stack.running_workers)
        heard = f"{hearing} of {plural(len(stack.running_workers), 'worker')} hear it"
        return Outcome(f"the master at {place} answers; {heard}")
    evidence = (
        FindingEvidence(f"connection from {worker.name} to {place}", met, "a Locust master", probe.at)
        for worker, probe, met in failed[:2]
    )
    first, _, met = failed[0]
    values = {"place": place, "how": met, "host": stack.master_host(first).value}
    cause = FoundCause("remote-master-unreachable", evidence, [worker for worker, _, _ in failed], values)
    return Outcome(f"{place}: {met}", (cause,))


def _met(stack: Stack, worker: ContainerFacts, probe: Probe) -> str:
    """Return `ok`, or the answer found instead of a master; "" if nothing was tried."""
    host, port, name = stack.master_host(worker).value, stack.master_port(worker), stack.lookup(worker)
    if name is not None and not name.addresses:
        return f"its name does not resolve: {name.error or 'no address'}"
    there = {host, *(name.addresses if name else ())}
    tried = [attempt for attempt in probe.tcp if attempt.port == port and attempt.address in there]
    if not tried:
        return ""
    if any(attempt.greeting == "zmtp" for attempt in tried):
        return "ok"
    met = tried[0].greeting if tried[0].outcome == "open" else tried[0].outcome
    return _MET.get(met, tried[0].error or met)


RULES = (Rule("remote-workers", LAYER, remote_workers, after=without_engine),)

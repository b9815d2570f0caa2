"""Workers of other machines: the door that is open for them here, or the master over there. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from sidecar.diagnose.evidence import ContainerFacts, Probe
from sidecar.diagnose.rule import Found, Outcome, Rule, cannot_tell, without_engine
from sidecar.diagnose.stack import GATE, RECENT, Stack
from sidecar.model.finding import FindingEvidence
from sidecar.model.incident import Severity

LAYER = "network"
_REFUSED = re.compile(r"refused (?P<address>\S+)")
_MOST_ADDRESSES = 4
_HOW = {
    "refused": "nothing listens there",
    "timeout": "no answer",
    "unreachable": "no way there",
    "closed": "connected, and closed at once: its REMOTE_ALLOW does not hold this machine, or its master does not run",
    "none": "connected, and nobody greets",
    "http": "a web server answers there",
    "other": "something else answers there",
}


def remote_workers(stack: Stack) -> Outcome:
    """Whether workers can come here from other machines, or those here reach their master over there."""
    if stack.is_joined:
        return _joined(stack)
    address = stack.evidence.config.remote_workers
    if not address or not stack.locusts:
        return Outcome("port 5557 is open to no other machine")
    shut = _shut(stack, address)
    if shut is not None:
        return Outcome(shut.evidence[0].seen, (shut,))
    refused = _refused(stack)
    everybody = not stack.evidence.config.remote_allow
    found = [*([_told_refused(stack, refused)] if refused else []), *_open(stack, address)]
    who = "everybody who reaches it may join" if everybody else "REMOTE_ALLOW says who may join"
    count = sum(row.state != "missing" for row in stack.remote_rows)
    text = f"{count} remote worker{'' if count == 1 else 's'} registered; 5557 is open on {address}: {who}"
    return Outcome(text, tuple(found), info=everybody)


# ---- on the master's machine -----------------------------------------------------------------------------------------


def _gate(stack: Stack) -> ContainerFacts | None:
    return next(iter(stack.of(GATE)), None)


def _shut(stack: Stack, address: str) -> Found | None:
    """The address is no longer this machine's, or nothing listens there."""
    values = {"address": address}
    if not stack.evidence.config.remote_address_is_own:
        own = ", ".join(stack.evidence.host.addresses[:_MOST_ADDRESSES])
        seen = (
            FindingEvidence(
                "REMOTE_WORKERS", f"{address}: no interface of this machine has it", own or "an address of this machine"
            ),
        )
        return Found("remote-workers-shut", seen, (address,), values, "address")
    gate = _gate(stack)
    if gate is not None and gate.state == "running":
        return None
    seen = (FindingEvidence("the gate's container", gate.state if gate else "not there", "running", stack.evidence.at),)
    return Found("remote-workers-shut", seen, (address,), values)


def _refused(stack: Stack) -> tuple[str, ...]:
    """The addresses that the gate refused lately, the newest first."""
    gate = _gate(stack)
    found: list[str] = []
    for line in reversed(gate.log if gate else ()):
        match = _REFUSED.fullmatch(line.text.strip())
        if match and (line.at is None or stack.evidence.at - line.at <= RECENT):
            found.append(match["address"])
    return tuple(dict.fromkeys(found))


def _told_refused(stack: Stack, refused: tuple[str, ...]) -> Found:
    gate, allow = _gate(stack), stack.evidence.config.remote_allow
    shown = refused[:_MOST_ADDRESSES]
    told = ", ".join(shown) + (f" and {len(refused) - len(shown)} more" if len(refused) > len(shown) else "")
    seen = [
        FindingEvidence(
            f"log of {gate.name if gate else 'the gate'}", f"refused {told}", ", ".join(allow), stack.evidence.at
        )
    ]
    own = {gateway for network in stack.evidence.networks for gateway in network.gateways}
    seen += [
        FindingEvidence(
            f"{address} is",
            "a gateway of Docker's: it hands connections over from a process of its own, so the list cannot tell "
            "who came, and this address in it lets everybody in",
        )
        for address in shown
        if address in own
    ]
    return Found(
        "remote-worker-refused",
        tuple(seen),
        shown,
        {"addresses": told},
        up={"REMOTE_ALLOW": ",".join([*allow, *shown])},
        severity=Severity.WARN,
    )


def _open(stack: Stack, address: str) -> Iterator[Found]:
    """Open to everybody on a network that may be anybody's."""
    parsed = ipaddress.ip_address(address)
    if stack.evidence.config.remote_allow or not (parsed.is_unspecified or parsed.is_global):
        return
    seen = (
        FindingEvidence("REMOTE_WORKERS", address, "an address in a private network, or a list of who may join"),
        FindingEvidence("REMOTE_ALLOW", "empty: everybody may join", "the addresses of the other machines"),
    )
    yield Found("remote-port-open", seen, (address,), {"address": address}, severity=Severity.WARN)


# ---- on the other machine --------------------------------------------------------------------------------------------


def _joined(stack: Stack) -> Outcome:
    """Whether the master of another machine answers, from the place of the workers here."""
    place = stack.evidence.config.master
    tries = [(worker, probe, how) for worker, probe in stack.probed_workers if (how := _how(stack, worker, probe))]
    if not tries:
        return cannot_tell(f"nobody could look from a worker's place to the master at {place}")
    failed = [one for one in tries if one[2] != "ok"]
    if not failed:
        heard = sum(bool(stack.is_registered(running_worker)) for running_worker in stack.running_workers)
        return Outcome(f"the master at {place} answers; {heard} of {len(stack.running_workers)} workers hear it")
    seen = tuple(
        FindingEvidence(f"from {one.name}: {place}", how, "a Locust master", probe.at) for one, probe, how in failed[:2]
    )
    affects = tuple(one.name for one, _, _ in failed)
    values = {"place": place, "how": failed[0][2], "host": stack.master_host(failed[0][0]).value}
    return Outcome(f"{place}: {failed[0][2]}", (Found("remote-master-unreachable", seen, affects, values),))


def _how(stack: Stack, worker: ContainerFacts, probe: Probe) -> str:
    """`ok`, or what was met in place of a master; "" when nothing was tried."""
    host, port = stack.master_host(worker).value, stack.master_port(worker)
    name = next((name for name in probe.names if name.name == host), None)
    if name is not None and not name.addresses:
        return f"the name leads nowhere: {name.error or 'no address'}"
    there = {host, *(name.addresses if name else ())}
    tried = [one for one in probe.tcp if one.port == port and one.address in there]
    if not tried:
        return ""
    if any(one.greeting == "zmtp" for one in tried):
        return "ok"
    met = tried[0].greeting if tried[0].outcome == "open" else tried[0].outcome
    return _HOW.get(met, tried[0].error or met)


RULES = (Rule("remote-workers", LAYER, remote_workers, after=without_engine),)

"""Rules of firewalls: which of them stopped a connection, and the command that takes one away. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sidecar.diagnose.evidence import ContainerFacts, FirewallRule, TcpTry
from sidecar.diagnose.rule import Outcome, cannot_tell
from sidecar.diagnose.stack import Stack, covers

_MOST_RULES = 4
_DOCKERS_OWN = re.compile(r"^-i (\S+) -o \1 -j DROP$")  # enable_icc=false, as a rule
_PORTS = re.compile(r"(?<!! )--dports? (\S+)")
_ADDRESSES = (re.compile(r"(?<!! )-s (\S+)"), re.compile(r"(?<!! )-d (\S+)"))


def is_dockers_own(rule: FirewallRule) -> bool:
    """Tell whether it is the rule by which Docker keeps the containers of a network apart."""
    return bool(_DOCKERS_OWN.search(rule.rule))


def firewall(stack: Stack) -> Outcome:
    """Check which rules of this machine can stop packets; the check of the port tells whether one does."""
    if gap := stack.gap("host.firewall"):
        return cannot_tell(gap if stack.evidence.host.is_root else "needs root")
    rules = stack.evidence.host.firewall
    chains = sorted({rule.chain for rule in rules if rule.where == "this machine"})
    hit = sum(bool(rule.hits) for rule in rules)
    text = f"{len(rules)} rules that drop or reject, in {', '.join(chains) or 'no chain'}"
    return Outcome(text + (f"; {hit} of them stopped packets while we knocked" if hit else ""))


def hits_text(rule: FirewallRule) -> str:
    """Return what a rule stopped, as the end of a sentence."""
    if rule.hits:
        return f", stopped {rule.hits} packets while we knocked"
    return f", stopped {rule.packets} packets so far" if rule.packets else ""


def suspects(stack: Stack, tries: Sequence[TcpTry], workers: Sequence[ContainerFacts]) -> tuple[FirewallRule, ...]:
    """Return the rules that stopped these connections: those that stopped packets meanwhile, else those that fit."""
    rules = stack.evidence.host.firewall
    starts = {at.address for worker in workers for at in worker.networks if at.address}
    counted = sorted((rule for rule in rules if rule.hits), key=lambda rule: -(rule.hits or 0))
    fitting = [rule for rule in counted if _fits(rule, tries, starts)]
    if counted:
        return tuple((fitting or counted)[:_MOST_RULES])
    return tuple(rule for rule in rules if rule.hits is None and _names(rule, tries, starts))[:_MOST_RULES]


def _fits(rule: FirewallRule, tries: Sequence[TcpTry], starts: set[str]) -> bool:
    """Tell whether nothing in a rule speaks against its having stopped these connections."""
    ports = _PORTS.search(rule.rule)
    if ports and not any(_is_among(attempt.port, ports[1]) for attempt in tries):
        return False
    addresses = [address for address in (*starts, *(attempt.address for attempt in tries)) if address]
    subnets = [match[1] for pattern in _ADDRESSES if (match := pattern.search(rule.rule))]
    return all(any(covers(subnet, address) for address in addresses) for subnet in subnets)


def _is_among(port: int, written: str) -> bool:
    """Tell whether iptables' list of ports and ranges, `22,5000:6000`, holds a port."""
    for part in written.split(","):
        first, colon, last = part.partition(":")
        low, high = first or "0", (last if colon else first) or "65535"
        if low.isdigit() and high.isdigit() and int(low) <= port <= int(high):
            return True
    return False


def _names(rule: FirewallRule, tries: Sequence[TcpTry], starts: set[str]) -> bool:
    """Tell whether a rule whose packets nobody counts names the port or an address of these connections."""
    words = {str(attempt.port) for attempt in tries} | {attempt.address for attempt in tries} | starts
    return any(re.search(rf"(?<![\w.]){re.escape(word)}(?![\w.])", rule.rule) for word in words)


def removal(rule: FirewallRule) -> str:
    """Return the command that takes a stopping rule away, in the network namespace that it is in."""
    pid = f"$(docker inspect --format '{{{{.State.Pid}}}}' {rule.where})"
    enter = "" if rule.where == "this machine" else f"nsenter --target {pid} --net "
    if rule.tool == "nft":
        if rule.rule == "policy drop":
            return f"{enter}nft 'chain {rule.table} {rule.chain} {{ policy accept; }}'"
        return f"{enter}nft delete rule {rule.table} {rule.chain} handle {rule.handle}"
    table = "" if rule.table == "filter" else f"-t {rule.table} "
    if rule.rule == "policy DROP":
        return f"{enter}{rule.tool} {table}-P {rule.chain} ACCEPT"
    return f"{enter}{rule.tool} {table}-D {rule.chain} {rule.rule}"
